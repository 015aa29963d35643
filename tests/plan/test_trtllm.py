import string
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dynbuild.errors import RequestError
from dynbuild.plan.trtllm import decision, versions
from dynbuild.plan.trtllm.intent import ARGS, FLAGS, WheelRequest
from dynbuild.settings.layers import Origin, Setting
from tests.support import CATALOG

SPEC = Setting("tensorrt-llm==1.3.0rc1", Origin("catalog", "catalog.toml:1"))
INDEX = Setting("https://index.example.com/", Origin("catalog", "catalog.toml:2"))
IMAGE = "registry.example.com/tensorrt-llm/release"
OTHER = "https://other.example.com/simple"
GIT = "https://git.example.com/TensorRT-LLM.git"


def decide(arch_list=("amd64",), default_spec=SPEC, builds="/builds", **wanted):
    return decision.decide(
        WheelRequest(**wanted),
        arch_list=arch_list,
        default_spec=default_spec,
        default_index=INDEX,
        nixl_ref="0.9.0",
        abi_incompatible=("1.3.0rc1",),
        release_image=IMAGE,
        source=Path("/src"),
        builds=Path(builds),
    )


def values(intent):
    return {name: setting.value for name, setting in intent.args.items()}


def refusal(**wanted):
    with pytest.raises(RequestError) as caught:
        decide(**wanted)
    return caught.value


def image(ref, version="1.3.0rc1"):
    """The arguments of a wheel from the release image."""
    return {
        "HAS_TRTLLM_CONTEXT": "0",
        "TRTLLM_WHEEL_IMAGE": f"{IMAGE}:{version}",
        "GITHUB_TRTLLM_COMMIT": ref,
    }


def index(ref, spec, url=INDEX.value):
    """The arguments of a wheel from an index."""
    return {
        "HAS_TRTLLM_CONTEXT": "0",
        "TENSORRTLLM_PIP_WHEEL": spec,
        "TENSORRTLLM_INDEX_URL": url,
        "GITHUB_TRTLLM_COMMIT": ref,
    }


def context(ref):
    """The arguments of a wheel from a folder."""
    return {"HAS_TRTLLM_CONTEXT": "1", "GITHUB_TRTLLM_COMMIT": ref}


# What is asked for, and the kind and all arguments that come of it.
DECIDED = [
    # Download
    ({}, "download", image("v1.3.0rc1")),
    ({"commit": "1.2.0"}, "download", image("v1.2.0")),
    ({"commit": "main"}, "download", image("main")),
    ({"commit": "45d7022cc33903509fd8045bbc577d77dd1d3e2f"}, "download",
     image("45d7022cc33903509fd8045bbc577d77dd1d3e2f")),
    ({"pip_wheel": "tensorrt-llm==1.3.0rc1"}, "download", image("v1.3.0rc1")),
    ({"pip_wheel": "tensorrt-llm==v1.3.0rc1"}, "download", image("v1.3.0rc1")),
    ({"pip_wheel": "tensorrt_llm == 1.3.0rc1"}, "download", image("v1.3.0rc1")),
    ({"pip_wheel": "tensorrt-llm==1.3.0-rc1"}, "download", image("v1.3.0-rc1")),
    ({"pip_wheel": "tensorrt-llm==1.3.0RC1"}, "download", image("v1.3.0RC1")),
    ({"pip_wheel": "tensorrt-llm==1.3.0rc1", "index_url": OTHER}, "download", image("v1.3.0rc1")),
    ({"pip_wheel": "tensorrt-llm==1.2.0"}, "download", index("v1.2.0", "tensorrt-llm==1.2.0")),
    ({"pip_wheel": "tensorrt-llm==1.2.0rc6.post2"}, "download",
     index("v1.2.0rc6.post2", "tensorrt-llm==1.2.0rc6.post2")),
    ({"pip_wheel": "tensorrt-llm==1.2.0", "index_url": OTHER}, "download",
     index("v1.2.0", "tensorrt-llm==1.2.0", OTHER)),
    ({"pip_wheel": "tensorrt-llm==1.2.0", "commit": "main"}, "download",
     index("main", "tensorrt-llm==1.2.0")),
    ({"pip_wheel": "tensorrt-llm==1.2.0", "commit": "v1.2.1"}, "download",
     index("v1.2.1", "tensorrt-llm==1.2.0")),
    ({"pip_wheel": "tensorrt-llm", "commit": "main"}, "download", index("main", "tensorrt-llm")),
    ({"pip_wheel": "tensorrt-llm>=1.2,<2", "commit": "1.2.0"}, "download",
     index("v1.2.0", "tensorrt-llm>=1.2,<2")),
    ({"pip_wheel": "tensorrt-llm===1.2.0"}, "download", index("v1.2.0", "tensorrt-llm===1.2.0")),
    ({"pip_wheel": "tensorrt-llm==1.2.0+cu13"}, "download",
     index("v1.2.0", "tensorrt-llm==1.2.0+cu13")),
    ({"pip_wheel": "tensorrt-llm==1.1.0,==1.2.0"}, "download",
     index("v1.2.0", "tensorrt-llm==1.1.0,==1.2.0")),
    ({"pip_wheel": "tensorrt-llm==1.3.0rc10"}, "download",
     index("v1.3.0rc10", "tensorrt-llm==1.3.0rc10")),
    ({"pip_wheel": "tensorrt-llm==1.3.0"}, "download", index("v1.3.0", "tensorrt-llm==1.3.0")),
    ({"arch_list": ("amd64", "arm64")}, "download", image("v1.3.0rc1")),
    ({"arch_list": ("amd64", "arm64"), "pip_wheel": "tensorrt-llm==1.2.0"}, "download",
     index("v1.2.0", "tensorrt-llm==1.2.0")),
    ({"default_spec": Setting("tensorrt-llm==1.2.0", SPEC.origin)}, "download",
     index("v1.2.0", "tensorrt-llm==1.2.0")),
    # A given wheel
    ({"wheel_dir": "/w", "commit": "1.2.0"}, "install", context("v1.2.0")),
    ({"wheel_dir": "/w", "commit": "v1.2.0"}, "install", context("v1.2.0")),
    ({"wheel_dir": "/w", "commit": "release/1.2"}, "install", context("release/1.2")),
    ({"wheel_dir": "/w", "commit": "main", "index_url": OTHER}, "install", context("main")),
    ({"wheel_dir": "/w", "commit": "main", "arch_list": ("arm64",)}, "install", context("main")),
    ({"wheel_dir": "/two words", "commit": "main"}, "install", context("main")),
    # Built from source
    ({"git_url": GIT, "commit": "main"}, "build", context("main")),
    ({"git_url": GIT, "commit": "1.2.0rc6.post2"}, "build", context("v1.2.0rc6.post2")),
    ({"git_url": GIT, "commit": "main", "wheel_dir": "/w"}, "build", context("main")),
    ({"git_url": GIT, "commit": "main", "index_url": OTHER}, "build", context("main")),
    ({"git_url": "git@git.example.com:a/b.git", "commit": "main"}, "build", context("main")),
    ({"git_url": "ssh://git@git.example.com/a/b", "commit": "main"}, "build", context("main")),
    ({"git_url": GIT, "commit": "main", "arch_list": ("arm64",)}, "build", context("main")),
]  # fmt: skip

# What is asked for, what the message says, and the origins that it names.
REFUSED = [
    ({"index_url": OTHER}, "says where to download from, but not what", ["index_url"]),
    ({"index_url": OTHER, "commit": "main"}, "but not what", ["index_url"]),
    ({"wheel_dir": "/w", "pip_wheel": "x==1.2.0"}, "exclude each other",
     ["wheel_dir", "pip_wheel"]),
    ({"git_url": GIT, "pip_wheel": "x==1.2.0"}, "exclude each other", ["git_url", "pip_wheel"]),
    ({"git_url": GIT, "pip_wheel": "x==1.2.0", "wheel_dir": "/w"}, "exclude each other",
     ["git_url", "pip_wheel"]),
    ({"git_url": GIT, "pip_wheel": "x==1.2.0", "commit": "main"}, "exclude each other",
     ["git_url", "pip_wheel"]),
    ({"wheel_dir": "/w"}, "needs --tensorrtllm-commit", ["wheel_dir"]),
    ({"wheel_dir": "/w", "index_url": OTHER}, "needs --tensorrtllm-commit", ["wheel_dir"]),
    ({"git_url": GIT}, "needs --tensorrtllm-commit", ["git_url"]),
    ({"git_url": GIT, "wheel_dir": "/w"}, "needs --tensorrtllm-commit", ["git_url"]),
    ({"pip_wheel": "tensorrt-llm"}, "no version in 'tensorrt-llm'", ["pip_wheel"]),
    ({"pip_wheel": "tensorrt-llm==1.2"}, "no version in", ["pip_wheel"]),
    ({"pip_wheel": "tensorrt-llm==1.2.*"}, "no version in", ["pip_wheel"]),
    ({"pip_wheel": "tensorrt-llm>=1.2.0"}, "no version in", ["pip_wheel"]),
    ({"pip_wheel": "tensorrt-llm==01.2.0"}, "no version in", ["pip_wheel"]),
    ({"wheel_dir": "/w", "commit": "main", "arch_list": ("amd64", "arm64")},
     "for one architecture, but the image is for amd64 and arm64", ["wheel_dir"]),
    ({"git_url": GIT, "commit": "main", "arch_list": ("amd64", "arm64")},
     "for one architecture, but the image is for amd64 and arm64", ["git_url"]),
    ({"pip_wheel": "--pre"}, "starts with a dash", ["pip_wheel"]),
    ({"git_url": GIT, "commit": "-a"}, "starts with a dash", ["commit"]),
    ({"git_url": "--upload-pack=x", "commit": "main"}, "starts with a dash", ["git_url"]),
    ({"git_url": GIT, "commit": "main; rm x"}, "cannot handle --tensorrtllm-commit", ["commit"]),
    ({"git_url": GIT, "commit": "main*"}, "cannot handle --tensorrtllm-commit", ["commit"]),
    ({"git_url": "https://a/$(b)", "commit": "main"}, "cannot handle --tensorrtllm-git-url",
     ["git_url"]),
    ({"git_url": GIT, "commit": "main", "wheel_dir": "/two words"},
     "cannot handle the folder to build the wheel in", ["wheel_dir"]),
    ({"index_url": "pypi", "pip_wheel": "x==1.2.0"}, "is no address", ["index_url"]),
    ({"index_url": "https://ada:hunter2@a/", "pip_wheel": "x==1.2.0"}, "user name or password",
     ["index_url"]),
    ({"index_url": "https://hunter2@a/", "pip_wheel": "x==1.2.0"}, "user name or password",
     ["index_url"]),
    ({"git_url": "HTTPS://hunter2@a/b.git", "commit": "main"}, "user name or password",
     ["git_url"]),
    ({"git_url": "ssh://git:hunter2@a/b.git", "commit": "main"}, "user name or password",
     ["git_url"]),
    ({"pip_wheel": "tensorrt-llm @ https://ada:hunter2@a/b.whl", "commit": "main"},
     "user name or password", ["pip_wheel"]),
]  # fmt: skip


def named(case):
    return " ".join(f"{key}={value}" for key, value in case.items()) or "nothing"


def test_there_are_at_least_forty_cases():
    assert len(DECIDED) + len(REFUSED) >= 40


@pytest.mark.parametrize(
    ("wanted", "kind", "args"), [pytest.param(*case, id=named(case[0])) for case in DECIDED]
)
def test_one_intent_and_its_arguments(wanted, kind, args):
    intent = decide(**wanted)
    assert intent.kind == kind
    assert values(intent) == args
    assert set(args) <= set(ARGS) <= set(CATALOG["args"])
    assert intent.ref == args["GITHUB_TRTLLM_COMMIT"]
    assert bool(intent.context) == (kind != "download")
    assert bool(intent.command) == bool(intent.output) == bool(intent.stamp) == (kind == "build")
    assert intent.arch == ("" if kind == "download" else wanted.get("arch_list", ("amd64",))[0])


@pytest.mark.parametrize(
    ("wanted", "message", "names"), [pytest.param(*case, id=named(case[0])) for case in REFUSED]
)
def test_what_is_refused_and_where_it_came_from(wanted, message, names):
    origins = {name: Origin("overlay", f"dynbuild.toml:{line}") for line, name in enumerate(FLAGS)}
    error = refusal(**wanted, origins=origins)
    assert message in error.message
    assert error.origin == ", ".join(str(origins[name]) for name in names)
    assert error.hint
    if len(names) > 1:
        assert all(FLAGS[name] in error.message for name in names)
    assert "hunter2" not in f"{error.message}{error.hint}{error.details}{error.origin}"


@pytest.mark.parametrize("wanted", [{"index_url": OTHER}, {"git_url": GIT, "pip_wheel": "x==1"}])
def test_an_error_of_intent_lists_the_three_groups(wanted):
    details = refusal(**wanted).details
    assert [text.split(":")[0] for text in details] == [
        "to download",
        "to take a wheel",
        "to build one",
    ]


def test_a_default_without_a_version_is_an_error_of_its_own_layer():
    error = refusal(default_spec=Setting("tensorrt-llm", Origin("overlay", "a.toml:3")))
    assert error.origin == "overlay a.toml:3"


def test_a_flag_is_the_origin_where_none_is_told():
    assert refusal(wheel_dir="/w").origin == "flag --tensorrtllm-pip-wheel-dir"


def test_every_argument_says_where_it_comes_from():
    origins = {
        "pip_wheel": Origin("environment", "SPEC"),
        "commit": Origin("flag", FLAGS["commit"]),
    }

    def told(**wanted):
        return {name: str(s.origin) for name, s in decide(**wanted, origins=origins).args.items()}

    assert told() == {
        "HAS_TRTLLM_CONTEXT": "catalog catalog.toml:1",
        "TRTLLM_WHEEL_IMAGE": "derived ABI of tensorrt-llm==1.3.0rc1",
        "GITHUB_TRTLLM_COMMIT": "derived version in catalog catalog.toml:1",
    }
    assert told(pip_wheel="x==1.2.0", commit="main") == {
        "HAS_TRTLLM_CONTEXT": "environment SPEC",
        "TENSORRTLLM_PIP_WHEEL": "environment SPEC",
        "TENSORRTLLM_INDEX_URL": "catalog catalog.toml:2",
        "GITHUB_TRTLLM_COMMIT": "flag --tensorrtllm-commit",
    }
    assert told(wheel_dir="/w", commit="main") == {
        "HAS_TRTLLM_CONTEXT": "flag --tensorrtllm-pip-wheel-dir",
        "GITHUB_TRTLLM_COMMIT": "flag --tensorrtllm-commit",
    }
    assert told(git_url=GIT, commit="main")["HAS_TRTLLM_CONTEXT"] == "flag --tensorrtllm-git-url"


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({}, []),
        ({"pip_wheel": "x==1.2.0", "index_url": OTHER}, []),
        ({"pip_wheel": "x==1.3.0rc1", "index_url": OTHER}, [f"comes from {IMAGE}:1.3.0rc1"]),
        ({"wheel_dir": "/w", "commit": "main"}, []),
        ({"wheel_dir": "/w", "commit": "main", "index_url": OTHER}, ["nothing is downloaded"]),
        ({"git_url": GIT, "commit": "1.2.0"}, []),
        ({"git_url": GIT, "commit": "45d7022"}, []),
        ({"git_url": GIT, "commit": "main"}, ["'main' may be a branch"]),
        ({"git_url": GIT, "commit": "1.2.0", "index_url": OTHER}, ["nothing is downloaded"]),
    ],
    ids=str,
)
def test_warnings(wanted, said):
    warnings = decide(**wanted).warnings
    assert len(warnings) == len(said)
    assert all(part in text for part, text in zip(said, warnings, strict=True))


# The build


def test_the_command_has_each_value_as_a_word_of_its_own():
    intent = decide(git_url=GIT, commit="1.2.0", arch_list=("arm64",))
    script, *words = intent.command
    assert script == "/src/container/build_trtllm_wheel.sh"
    assert dict(zip(words[::2], words[1::2], strict=True)) == {
        "-o": intent.output,
        "-c": "v1.2.0",
        "-a": "arm64",
        "-n": "0.9.0",
        "-u": GIT,
    }
    assert intent.stamp == "arm64_v1.2.0"
    assert intent.context == intent.output


def test_a_given_folder_is_the_context_as_it_is():
    assert decide(wheel_dir="/two words", commit="main").context == "/two words"


@pytest.mark.parametrize("wheel_dir", ["", "/w"])
def test_each_architecture_ref_and_repository_has_its_folder(wheel_dir):
    cases = [
        {"git_url": url, "commit": ref, "arch_list": (arch,)}
        for url in (GIT, "https://git.example.com/fork.git")
        for ref in ("1.2.0", "main", "release/1.2", "release-1.2")
        for arch in ("amd64", "arm64")
    ]
    folders = {decide(**case, wheel_dir=wheel_dir).output for case in cases}
    assert len(folders) == len(cases)
    parents = {str(Path(folder).parent) for folder in folders}
    assert parents == {wheel_dir or "/builds"}


def test_the_same_request_has_the_same_folder():
    one, other = (decide(git_url=GIT, commit=ref) for ref in ("1.2.0", "v1.2.0"))
    assert one.output == other.output


# Refs and versions

NUMBERS = st.integers(0, 999).map(str)
SUFFIXES = st.one_of(
    st.just(""),
    st.builds(
        "".join,
        st.tuples(
            st.sampled_from("-+" + string.ascii_letters),
            st.text(string.ascii_letters + string.digits + ".-", min_size=1, max_size=12),
        ),
    ),
)
BARE = st.builds("{}.{}.{}{}".format, NUMBERS, NUMBERS, NUMBERS, SUFFIXES)


@given(version=BARE)
def test_a_version_gets_one_v(version):
    assert versions.is_version(version)
    assert versions.normalise(version) == f"v{version}"
    assert versions.normalise(f"v{version}") == f"v{version}"


@given(ref=st.text())
def test_normalising_is_done_once_and_only_to_versions(ref):
    found = versions.normalise(ref)
    assert found in (ref, f"v{ref}")
    assert versions.normalise(found) == found
    if found != ref:
        assert versions.is_version(ref)
        assert ref[0] in string.digits


@given(version=BARE, name=st.text(string.ascii_lowercase + "-_", min_size=1))
def test_the_version_of_a_requirement_comes_back(version, name):
    assume("+" not in version)
    for spec in (f"{name}=={version}", f"{name}==v{version}", f"{name}==0.0.1,=={version}"):
        assert versions.version_of(spec) == version


@given(spec=st.text("tensorrt-llm=<>!~v0123456789.+*; '\"abc\n"))
def test_a_version_of_a_requirement_is_a_version_and_stands_in_it(spec):
    version = versions.version_of(spec)
    if version:
        assert versions.is_version(version)
        assert version[0] in string.digits
        assert version in spec.rpartition("==")[2]


@pytest.mark.parametrize(
    "ref",
    ["", "v", "1", "1.2", "1.2.3.4", "01.2.3", "1.02.3", "V1.2.3", "vv1.2.3", "1.2.3a", "1.2.3-",
     "1.2.3+", "1.2.3_a", "1.2.3rc1\n", " 1.2.3", "1.2.3 ", "\u0661.\u0662.\u0663", "1.2.3\u00e90",
     "main", "45d7022cc33903509fd8045bbc577d77dd1d3e2f", "release/1.2.0", "refs/tags/v1.2.0"],
)  # fmt: skip
def test_what_is_no_version_stays_as_it_is(ref):
    assert not versions.is_version(ref)
    assert versions.normalise(ref) == ref


@pytest.mark.parametrize("ref", ["", "v", "1", "1.2", "1.2.3.4", "01.2.3", "vv1.2.3", "1.2.3a"])
def test_what_is_no_version_is_none_in_a_requirement(ref):
    assert versions.version_of(f"tensorrt-llm=={ref}") == ""


@pytest.mark.parametrize(
    ("spec", "version"),
    [
        ("tensorrt-llm==1.2.0; python_version>='3.10'", "1.2.0"),
        ("tensorrt-llm==1.2.0; python_version=='3.12'", ""),
        ("tensorrt-llm==  1.2.0", "1.2.0"),
        ("==1.2.0", "1.2.0"),
        ("1.2.0", ""),
        ("", ""),
    ],
)
def test_where_the_version_of_a_requirement_ends(spec, version):
    assert versions.version_of(spec) == version


# Wheels in folders
