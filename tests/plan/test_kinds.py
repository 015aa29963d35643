"""Typed arguments: what the value of each may be, wherever it was set."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynbuild.plan import kinds
from dynbuild.settings.layers import Origin, Setting
from dynbuild.settings.models import Argument
from tests import cells as matrix
from tests.support import (
    ARGUMENTS,
    CATALOG,
    NONE_CPU,
    NONE_RUNTIME,
    load,
    make_image,
    refusal,
)
from tests.values import legal

DECLARED = load().catalog.arguments
FLAG = Origin("flag", "--build-arg X")
VLLM = {"framework": "vllm", "target": "runtime"}
LOCAL = {"framework": "none", "target": "local-dev"}


def problem(arg, text):
    """What is wrong with a text as the value of an argument."""
    setting = Setting(text, FLAG)
    like = CATALOG["args"][arg]
    found = kinds.problem(arg, DECLARED[arg], setting, like)
    return found or kinds.missing(arg, DECLARED[arg], setting, like)


# ---- the declarations --------------------------------------------------------------------


def test_every_argument_is_declared_with_its_value():
    assert set(DECLARED) == set(CATALOG["args"])
    for name, declared in DECLARED.items():
        assert declared.help, name
        assert (declared.kind == "choice") <= bool(declared.words), name
        assert (declared.kind == "int") == (declared.bounds is not None), name


@pytest.mark.parametrize("line", matrix.LINES)
def test_what_the_catalog_says_in_any_scope_is_a_value_of_its_kind(line):
    config = load(release_line=line)
    looked_at = 0
    for path, setting in config.layers[0].items():
        if path[0] in ("args", "frameworks") and path[-1] in DECLARED:
            assert kinds.problem(path[-1], DECLARED[path[-1]], setting) is None, path
            looked_at += 1
    assert looked_at > len(DECLARED)


def test_an_overlay_cannot_say_what_an_argument_is(overlay):
    one = overlay('[arguments.NIXL_REF]\nkind = "text"\n')
    assert "unknown key 'arguments'" in refusal(one, **NONE_CPU).message
    two = overlay('[args]\nNIXL_REF = { value = "x", kind = "text" }\n')
    assert "args.NIXL_REF" in refusal(two, **NONE_CPU).message


# ---- what is taken and what is not -------------------------------------------------------


@pytest.mark.parametrize("name", sorted(ARGUMENTS))
@given(data=st.data())
def test_legal_values_are_taken(name, data):
    assert problem(name, data.draw(legal(name))) is None


@pytest.mark.parametrize("kind", sorted(kinds.NOUNS))
@given(text=st.text(max_size=30))
def test_a_value_that_is_taken_is_one_word_on_one_line(kind, text):
    """But for texts, which may have blanks."""
    found = kinds.problem("A_IMAGE", Argument(kind=kind, help=""), Setting(text, FLAG))
    if found is None:
        assert len(text.splitlines()) <= 1
        assert kind == "text" or not text or text.split() == [text]
    else:
        assert found.message.startswith(("A_IMAGE ", "the value of A_IMAGE "))
        assert found.origin == str(FLAG)
        assert len(found.message) < 200


REFUSED = [
    ("NIXL_REF", "", "NIXL_REF is empty", "leave it out for the catalog's own, 0.9.0"),
    ("NIXL_REF", "a b", "which is no git ref", "a branch, a tag or a commit"),
    ("NIXL_REF", "-x", "which is no git ref", "such as 0.9.0"),
    ("NIXL_REF", "v1..2", "which is no git ref", ""),
    ("NIXL_REF", "x.lock", "which is no git ref", ""),
    ("NIXL_REF", "main:sub", "which is no git ref", ""),
    ("NIXL_REF", "@", "which is no git ref", ""),
    ("MAX_JOBS", "abc", "MAX_JOBS is 'abc', which is no whole number", "from 1 to 4096"),
    ("MAX_JOBS", "0", "MAX_JOBS is '0'", "from 1 to 4096"),
    ("MAX_JOBS", "", "MAX_JOBS is empty", "16"),
    ("CARGO_BUILD_JOBS", "-3", "CARGO_BUILD_JOBS is '-3'", "from 1 to 4096"),
    ("CARGO_BUILD_JOBS", "4.0", "which is no whole number", ""),
    ("CARGO_BUILD_JOBS", "9" * 5000, "which is no whole number", "from 1 to 4096"),
    ("CARGO_BUILD_JOBS", "٣", "which is no whole number", ""),
    ("BUILD_JOBS", "all", "BUILD_JOBS is 'all'", "or empty: all cores"),
    ("GCC_TOOLSET", "140", "GCC_TOOLSET is '140'", "from 9 to 15"),
    ("PYTHON_VERSION", "4", "PYTHON_VERSION is '4'", "2 numbers with dots between them, such as 3"),
    ("PYTHON_VERSION", "3.12.1", "which is no version", "2 numbers"),
    ("PYTHON_VERSION", "v3.12", "which is no version", ""),
    ("PYTHON_VERSION", "3.12t", "which is no version", ""),
    ("RUST_VERSION", "newest", "which is no version", "or stable, beta*, nightly*"),
    ("NATS_VERSION", "latest", "which is no version", "such as v2.10.28"),
    ("VLLM_REF", "main", "VLLM_REF is 'main', which is no version", "such as v0.14.1"),
    ("TORCH_VER", ">=2.0", "which is no version", ""),
    ("UV_EXCLUDE_NEWER", "3 days", "which is no date", "such as 2026-"),
    ("UV_EXCLUDE_NEWER", "20260212", "which is no date", ""),
    ("UV_EXCLUDE_NEWER", "2026-02-30", "which is no date", ""),
    ("UV_EXCLUDE_NEWER", "2026-02-12T18:00", "which is no date", ""),
    ("BASE_IMAGE", "debian:12", "BASE_IMAGE is 'debian:12', which has a tag",
     "BASE_IMAGE=debian and BASE_IMAGE_TAG=12"),
    ("BASE_IMAGE", f"debian:12@sha256:{'a' * 64}", "which has a digest",
     f"BASE_IMAGE_TAG=12@sha256:{'a' * 64}"),
    ("BASE_IMAGE", f"debian@sha256:{'a' * 64}", "which has a digest", "BASE_IMAGE_TAG=TAG@sha256"),
    ("MANYLINUX_IMAGE", "quay.io/pypa/x:1", "which has a tag", "MANYLINUX_TAG=1"),
    ("BASE_IMAGE", "Own/debian", "which is no name of an image", "lower-case"),
    ("BASE_IMAGE", "Debian", "which is no name of an image", "lower-case"),
    ("BASE_IMAGE", "my debian", "which is no name of an image", ""),
    ("BASE_IMAGE", "https://r.example.com/x", "which is no name of an image", ""),
    ("BASE_IMAGE_TAG", "a b", "which is no tag of an image", "up to 128"),
    ("BASE_IMAGE_TAG", ":12", "which is no tag of an image", ""),
    ("BASE_IMAGE_TAG", "12@sha256:abc", "which is no tag of an image", "@sha256:"),
    ("EPP_IMAGE", "Own/epp:1", "which is no reference of an image", ""),
    ("EPP_IMAGE", "own/epp:", "which is no reference of an image", ""),
    ("ENABLE_KVBM", "yes", "ENABLE_KVBM is 'yes'", "it is 'true' or 'false'"),
    ("ENABLE_KVBM", "1", "ENABLE_KVBM is '1'", "it is 'true' or 'false'"),
    ("HAS_TRTLLM_CONTEXT", "true", "HAS_TRTLLM_CONTEXT is 'true'", "it is one of: 0, 1"),
    ("SCCACHE_S3_RW_MODE", "read_only", "is 'read_only'", "READ_ONLY, READ_WRITE"),
    ("CUDA_REPO_URL", "developer.example.com/cuda", "which is no address", "begins with https://"),
    ("CUDA_REPO_URL", "https://", "which is no address", ""),
    ("CUDA_REPO_URL", "https://a b/", "which is no address", "has no blanks"),
    ("CUDA_REPO_URL", "ftp://example.com/", "which is no address", ""),
    ("CUDA_REPO_URL", "file:///srv/cuda", "which is no address", ""),
    ("VLLM_EXTRAS", "flashinfer, runai", "which is no list of names", "without blanks"),
    ("VLLM_EXTRAS", "a,,b", "which is no list of names", ""),
    ("MATURIN_FEATURES", "a b", "which is no list of names", ""),
    ("WORKSPACE_DIR", "workspace", "which is no path in an image", "absolute"),
    ("WORKSPACE_DIR", "/a:/b", "which is no path in an image", "colons"),
    ("WORKSPACE_DIR", "/a/../b", "which is no path in an image", ""),
    ("USER_UID", "me", "USER_UID is 'me', which is no uid", "from 0 to 4294967294"),
    ("TORCH_CUDA_ARCH_LIST", "", "TORCH_CUDA_ARCH_LIST is empty", "9.0;10.0"),
    ("TORCH_CUDA_ARCH_LIST", "9.0\n10.0", "has a line break", ""),
    ("TORCH_CUDA_ARCH_LIST", "9.0\u202810.0", "has a line break", ""),
    ("TORCH_CUDA_ARCH_LIST", "9.0\u202910.0", "has a line break", ""),
    ("TORCH_CUDA_ARCH_LIST", "cafe\u0301", "that docker buildx bake would change", "composed form"),
    ("TORCH_CUDA_ARCH_LIST", "\ufeff9.0", "docker buildx bake would change", "byte order mark"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("arg", "text", "message", "hint"),
    REFUSED,
    ids=[f"{arg}={text[:20]!a}" for arg, text, *_ in REFUSED],
)
def test_what_is_refused_and_what_to_do_instead(arg, text, message, hint):
    found = problem(arg, text)
    assert message in found.message
    assert hint in (found.hint or "")


TAKEN = [
    *(("NIXL_REF", text) for text in ("main", "v1.20.x", "release/1.0", "4f2a1b9", "a" * 40)),
    *(("VLLM_REF", text) for text in ("v0.14.0", "0.14.0", "0.14.0rc1", "v1")),
    *(("RUST_VERSION", text) for text in ("1.90.0", "stable", "nightly-2026-01-01")),
    *(("EFA_VERSION", text) for text in ("1.45.1", "latest")),
    *(("VLLM_OMNI_REF", text) for text in ("", "v0.16.0", "release/v0.19.0rc1")),
    *(("DEEPGEMM_REF", text) for text in ("", "477618c")),
    *(("BUILD_JOBS", text) for text in ("", "1", "64")),
    *(("BASE_IMAGE", text) for text in ("debian", "nvcr.io/nvidia/cuda", "localhost:5000/x/y")),
    *(("BASE_IMAGE_TAG", text) for text in ("12", f"12@sha256:{'a' * 64}", "25.06-cuda12.9")),
    *(("EPP_IMAGE", text) for text in ("own", "own/epp:1", f"r.io/epp@sha256:{'a' * 64}")),
    *(("TRTLLM_WHEEL_IMAGE", text) for text in ("trtllm_wheel_image_empty", "r.io/wheel:1")),
    *(("MATURIN_FEATURES", text) for text in ("", "kv-indexer,kv-indexer-runtime", "a/b")),
    *(("SGLANG_PINS_CUDA12", text) for text in ("a==1", "a==1 b==2")),
    *(("CUDA_REPO_URL", text) for text in ("http://10.0.0.1:8080/x?y=1", "https://[::1]/")),
]  # fmt: skip


@pytest.mark.parametrize(("arg", "text"), TAKEN, ids=str)
def test_what_is_taken(arg, text):
    assert problem(arg, text) is None


@pytest.mark.parametrize(
    "text",
    ["https://ada:hunter2@example.com/x", "https://hunter2@example.com", "http://a:hunter2@b c/"],
)
def test_an_address_with_a_password_is_refused_and_not_shown(text):
    found = problem("PYTORCH_INDEX_URL", text)
    assert "hunter2" not in str(found)


# ---- in the plan -------------------------------------------------------------------------


def test_a_value_is_refused_in_every_scope(overlay):
    """Also in scopes of other images than the one that is planned."""
    scopes = (
        "[args]",
        "[frameworks.none.args]",
        "[frameworks.vllm.args]",
        "[frameworks.none.devices.cpu.args]",
        '[frameworks.vllm.devices.cuda.cuda."13.0"]',
    )
    for scope in scopes:
        path = overlay(f'{scope}\nCARGO_BUILD_JOBS = "-3"\n')
        error = refusal(path, **NONE_CPU)
        assert error.message == "CARGO_BUILD_JOBS is '-3', which is no whole number"
        assert error.origin == f"overlay {path}:2"
    error = refusal(**NONE_CPU, env={"DYNBUILD_ARG_CARGO_BUILD_JOBS": "-3"})
    assert error.origin == "environment DYNBUILD_ARG_CARGO_BUILD_JOBS"
    error = refusal(**NONE_CPU, args={"CARGO_BUILD_JOBS": "-3"})
    assert error.origin == "flag --build-arg CARGO_BUILD_JOBS"


def test_a_value_is_told_once_and_all_of_them():
    error = refusal(**NONE_CPU, args={"NIXL_REF": "", "PYTHON_VERSION": "4", "MAX_JOBS": "abc"})
    text = "\n".join((error.message, *error.details))
    for name in ("NIXL_REF is empty", "PYTHON_VERSION is '4'", "MAX_JOBS is 'abc'"):
        assert text.count(name) == 1
    assert error.exit_code == 2


def test_an_argument_is_what_an_overlay_uses_it_for(overlay):
    """The tag of a tool's own image, the ref of a source's own repository."""
    source = '[sources.ffmpeg]\nkind = "git"\nrepo = "https://example.com/f.git"\nref = "{}"\n'
    path = overlay(f'[args]\nFFMPEG_VERSION = "n7.1"\n{source.format("FFMPEG_VERSION")}')
    assert make_image(path, **NONE_CPU)
    tool = '[tools.nats]\nkind = "image"\nimage = "nats"\nfiles = ["/nats-server"]\n'
    path = overlay(f'[args]\nNATS_VERSION = "alpine"\n{tool}')
    assert make_image(path, **NONE_CPU).build_args["NATS_VERSION"] == "alpine"
    error = refusal(overlay('[args]\nNATS_VERSION = "alpine"\n'), **NONE_CPU)
    assert "which is no version" in error.message
    # Only a git source makes a ref of it.
    path = overlay(
        '[args]\nFFMPEG_VERSION = "main"\n[sources.ffmpeg]\nkind = "url"\n'
        'url = "https://example.com/f.tar.gz"\nref = "FFMPEG_VERSION"\n'
    )
    assert "FFMPEG_VERSION is 'main', which is no version" in refusal(path, **NONE_CPU).message


def test_an_empty_value_counts_where_it_is_used_or_was_given():
    """The catalog has none for the runtime image of ``none``, which uses none."""
    assert "RUNTIME_IMAGE" not in make_image(**NONE_RUNTIME).build_args
    error = refusal(**NONE_RUNTIME, args={"RUNTIME_IMAGE": ""})
    assert error.message == "RUNTIME_IMAGE is empty"
    assert error.hint == "it is a name of an image"


def test_cuda_of_packages_and_of_base_images_are_one():
    error = refusal(**VLLM, cuda_version="12.9", args={"CUDA_VERSION": "13.0"})
    assert error.message == "CUDA_VERSION is '13.0', but the base images have CUDA 12.9"
    assert error.origin == "flag --build-arg CUDA_VERSION"
    assert error.hint.startswith("--cuda-version 13.0 ")
    for text in ("12.9", "12.9.1"):
        made = make_image(**VLLM, cuda_version="12.9", args={"CUDA_VERSION": text})
        assert made.build_args["CUDA_VERSION"] == text
    assert refusal(**VLLM, cuda_version="12.9", args={"CUDA_VERSION": "12.90"})


def test_a_plan_says_what_an_empty_value_means_and_what_a_new_one_rebuilds():
    made = make_image(**NONE_CPU)
    assert made.unset["BUILD_JOBS"] == "all cores"
    assert set(made.unset) == {name for name, value in made.build_args.items() if not value}
    assert made.used_by["NIXL_UCX_REF"] == ("ucx_src",)
    assert made.used_by["BUILD_JOBS"] == ("ucx", "nixl")
    assert set(made.used_by) == set(made.build_args)
    assert all(made.used_by.values())


def test_a_value_of_a_build_stands_in_no_rendered_file():
    assert {name for name, one in DECLARED.items() if one.per_build} == {
        "DYNAMO_COMMIT_SHA", "USER_UID", "USER_GID",
    }  # fmt: skip
    assert make_image(**LOCAL, uid=7).build_args["USER_UID"] == "7"


@pytest.mark.parametrize(
    "value", ["0a1b2c3", "9d960762398a", "9d960762398a88fcec32a44a040930dbd6dcde1"]
)
def test_a_commit_that_is_cut_short_is_refused(value):
    error = refusal(**NONE_CPU, args={"NIXL_UCX_REF": value})
    assert "looks like a commit that is cut short" in error.message
    assert f"git rev-parse {value}" in error.hint
    assert f"refs/tags/{value}" in error.hint


@pytest.mark.parametrize(
    "value", ["deadbeef", "20240722", "0a1b2c", "v0a1b2c3", "refs/tags/0a1b2c3", "0a1b2c3d" * 5]
)
def test_what_is_no_short_commit_is_taken(value):
    assert make_image(**NONE_CPU, args={"NIXL_UCX_REF": value}).build_args["NIXL_UCX_REF"] == value
