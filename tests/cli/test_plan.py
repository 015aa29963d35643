import json
import shutil

import jsonschema
import pytest

from tests.support import (
    DEMO,
    ROOT,
    TEMPLATES,
    WORKSPACE,
    call,
    git,
    repository,
    source_tree,
    spawn,
)

pytestmark = pytest.mark.processes("git", "python")

NONE = ("--framework", "none", "--target", "runtime")
CPU = (*NONE, "--device", "cpu")
HERE = ("--context", WORKSPACE)


def document(*argv, **more):
    result = call("plan", *argv, "--format", "json", **more)
    assert result.code == 0, result.err
    assert result.err == ""
    return json.loads(result.out)


def image(*argv, **more):
    (found,) = document(*argv, **more)["images"]
    return found


def refused(*argv, **more):
    result = call("plan", *argv, **more)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("error: ")
    assert "Traceback" not in result.err
    return result


@pytest.fixture
def overlay(tmp_path):
    def write(text, name="site.toml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


# ---- what a plan shows -------------------------------------------------------------------


def test_a_table():
    result = call("plan", *CPU, *HERE)
    assert result.code == 0
    lines = result.out.splitlines()
    assert lines[0].startswith("version    v")
    assert f"context    {WORKSPACE}" in lines
    assert "none-runtime-cpu" in lines
    assert "platforms  linux/amd64" in lines
    assert "output     load" in lines
    (row,) = [line for line in lines if line.startswith("PYTHON_VERSION")]
    assert row.split() == ["PYTHON_VERSION", "3.12", row.split()[-1]]
    assert row.split()[-1].startswith("catalog.toml:")


@pytest.mark.parametrize("columns", [60, 80, 250])
def test_the_rows_of_a_table_fit_the_terminal(columns):
    lines = call("plan", "--framework", "trtllm", *HERE, columns=columns).out.splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith("argument"))
    assert max(map(len, lines[start:])) <= columns
    assert any("…" in line for line in lines[start:]) == (columns < 250)


@pytest.mark.parametrize("columns", [1, 10, 20, 33])
def test_a_terminal_that_is_too_narrow_for_a_table(columns):
    result = call("plan", *CPU, *HERE, columns=columns)
    assert result.code == 0, result.err
    assert "argument" in result.out


def test_a_table_in_a_pipe_is_whole():
    text = call("plan", "--framework", "trtllm", *HERE).out
    assert "…" not in text
    (made,) = document("--framework", "trtllm", *HERE)["images"]
    for name, value in made["build_args"].items():
        assert (value or f"({made['unset'][name]})") in text


def test_results_and_warnings_go_apart():
    result = call("plan", *CPU, *HERE, "--build-arg", "VLLM_REF=v1")
    assert "warning: VLLM_REF (flag --build-arg VLLM_REF) is used by no stage" in result.err
    assert "warning" not in result.out


def test_a_document_follows_the_schema():
    schema = json.loads((ROOT / "docs/plan.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(document(*CPU, *HERE), schema)


def test_the_overlay_of_the_context_counts_unasked():
    found = document("--context", DEMO)
    assert found["context"] == str(DEMO)
    (made,) = found["images"]
    assert made["name"] == "none-runtime-cpu+index"
    assert made["origins"]["BASE_IMAGE"].startswith(f"overlay {DEMO}/dynbuild.toml:")


def test_the_four_layers_on_the_command_line(tmp_path, overlay):
    tree = source_tree(tmp_path / "tree")
    (tree / "dynbuild.toml").write_text('[args]\nBUILD_JOBS = "1"\n')
    one, two = (
        overlay('[args]\nBUILD_JOBS = "2"\n', "one.toml"),
        overlay('[args]\nBUILD_JOBS = "3"\n', "two.toml"),
    )
    base = (*CPU, "--context", tree)
    env = {"DYNBUILD_ARG_BUILD_JOBS": "4"}
    configs = ("--config", one, "--config", two)
    stack = [
        (image(*base), "1", f"overlay {tree}/dynbuild.toml:2"),
        (image(*base, "--config", one), "2", f"overlay {one}:2"),
        (image(*base, *configs), "3", f"overlay {two}:2"),
        (image(*base, *configs, env=env), "4", "environment DYNBUILD_ARG_BUILD_JOBS"),
        (
            image(*base, *configs, "--build-arg", "BUILD_JOBS=5", env=env),
            "5",
            "flag --build-arg BUILD_JOBS",
        ),
    ]
    for made, value, origin in stack:
        assert (made["build_args"]["BUILD_JOBS"], made["origins"]["BUILD_JOBS"]) == (value, origin)


@pytest.mark.parametrize(
    ("argv", "name", "value", "origin"),
    [
        (["--base-image", "mine"], "BASE_IMAGE", "mine", "flag --base-image"),
        (["--base-image-tag", "v1"], "BASE_IMAGE_TAG", "v1", "flag --base-image-tag"),
        (["--nixl-ref", "0.9.1"], "NIXL_REF", "0.9.1", "flag --nixl-ref"),
        (["--enable-kvbm"], "ENABLE_KVBM", "true", "flag --enable-kvbm"),
        (["--no-enable-kvbm"], "ENABLE_KVBM", "false", "flag --no-enable-kvbm"),
        (
            ["--enable-gpu-memory-service"],
            "ENABLE_GPU_MEMORY_SERVICE",
            "true",
            "flag --enable-gpu-memory-service",
        ),
        (["--enable-media-nixl"], "ENABLE_MEDIA_NIXL", "true", "flag --enable-media-nixl"),
        (["--enable-media-ffmpeg"], "ENABLE_MEDIA_FFMPEG", "true", "flag --enable-media-ffmpeg"),
        (["--build-arg", "NIXL_REF=a=b,c"], "NIXL_REF", "a=b,c", "flag --build-arg NIXL_REF"),
        (["--build-arg", "BUILD_JOBS="], "BUILD_JOBS", "", "flag --build-arg BUILD_JOBS"),
        (
            ["--build-arg", "BUILD_JOBS=1", "--build-arg", "BUILD_JOBS=2"],
            "BUILD_JOBS",
            "2",
            "flag --build-arg BUILD_JOBS",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_flag_sets_an_argument(argv, name, value, origin):
    made = image(*NONE, *HERE, *argv)
    assert (made["build_args"][name], made["origins"][name]) == (value, origin)


@pytest.mark.parametrize(
    ("argv", "key", "value"),
    [
        (["--platform", "arm64"], "platforms", ["linux/arm64"]),
        (["--platform", "linux/arm64,linux/amd64"], "platforms", ["linux/amd64", "linux/arm64"]),
        (
            ["--platform", "amd64", "--platform", "arm64"],
            "platforms",
            ["linux/amd64", "linux/arm64"],
        ),
        (["--tag", "a:b"], "tags", ["a:b", "dynamo:latest-none-runtime"]),
        (["--tag", "a:b", "--no-tag-latest"], "tags", ["a:b"]),
        (["--load"], "output", "load"),
        (["--no-load"], "output", "none"),
        (["--push", "--repository", "localhost:5000/x"], "output", "push"),
        (["--no-load", "--push", "--repository", "localhost:5000/x"], "output", "push"),
        (["--no-cache"], "no_cache", True),
        (["--cache-from", "a", "--cache-from", "b"], "cache_from", ["a", "b"]),
        (["--cache-to", "type=inline"], "cache_to", ["type=inline"]),
        (["--cuda-version", "12.8.1"], "cuda_version", "12.8"),
        (
            ["--build-context", "base=docker-image://x:y"],
            "contexts",
            {"base": "docker-image://x:y"},
        ),
        (
            ["--build-context", "ucx=/tmp", "--build-context", "base=/"],
            "contexts",
            {"ucx": "/tmp", "base": "/"},
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_flag_sets_a_field(argv, key, value):
    assert image(*NONE, *HERE, *argv)[key] == value


def test_a_build_argument_without_a_value_is_the_callers_variable():
    """As docker has it: https://docs.docker.com/reference/cli/docker/buildx/build/#build-arg."""
    words = ("--build-arg", "NIXL_UCX_REF")
    found = image(*NONE, *HERE, *words, env={"NIXL_UCX_REF": "v9.9"})
    assert found["build_args"]["NIXL_UCX_REF"] == "v9.9"
    assert found["origins"]["NIXL_UCX_REF"] == (
        "flag --build-arg NIXL_UCX_REF, from the environment"
    )
    assert image(*NONE, *HERE, *words) == image(*NONE, *HERE)
    done = call("plan", *NONE, *HERE, "--build-arg", "NIXL_UXC_REF", env={"NIXL_UXC_REF": "1"})
    assert done.code == 2
    assert "NIXL_UCX_REF" in done.hint


KNOWN_FLAGS = [
    "platform",
    "framework",
    "cuda-version",
    "nixl-ref",
    "base-image",
    "base-image-tag",
    "target",
    "uid",
    "gid",
    "build-arg",
    "tag",
    "no-cache",
    "no-load",
    "push",
    "cache-from",
    "cache-to",
    "build-context",
    "enable-kvbm",
    "enable-gpu-memory-service",
    "enable-media-nixl",
    "enable-media-ffmpeg",
    "vllm-max-jobs",
    "efa-version",
    "no-tag-latest",
]


@pytest.mark.parametrize(
    "columns",
    [80, 120],
)
def test_flags_that_build_sh_users_know(columns):
    text = spawn("build", "--help", env={"COLUMNS": str(columns)}).out
    assert [flag for flag in KNOWN_FLAGS if f"--{flag}" not in text] == []


def test_a_source_from_a_folder(tmp_path):
    (tmp_path / "ucx").mkdir()
    made = image(*CPU, *HERE, "--source", "ucx=ucx", cwd=tmp_path)
    assert made["contexts"] == {"ucx_src": str(tmp_path / "ucx")}
    assert "NIXL_UCX_REF" not in made["build_args"]


def test_the_version_is_that_of_the_context(tmp_path):
    tree = repository(source_tree(tmp_path / "tree"))
    git(tree, "add", "--all")
    git(tree, "commit", "--quiet", "--message", "tree")
    git(tree, "tag", "v1.2.3+cu12")
    found = document(*CPU, "--context", tree, cwd=tmp_path)
    assert found["version"]["tag"] == "v1.2.3+cu12"
    assert found["version"]["origin"] == "git tag v1.2.3+cu12"
    assert found["version"]["commit"] == git(tree, "rev-parse", "HEAD")
    assert found["version"]["dirty"] is False
    assert found["images"][0]["tags"][0] == "dynamo:v1.2.3-cu12-none-runtime-cpu"


def test_variables_replace_git(tmp_path):
    tree = source_tree(tmp_path / "tree")
    env = {"commit_id": "abc", "latest_tag": "v2.0.0", "DYNAMO_COMMIT_SHA": "f" * 40}
    found = document(*CPU, "--context", tree, env=env)
    assert found["version"]["tag"] == "v2.0.0.dev.abc"
    assert found["images"][0]["build_args"]["DYNAMO_COMMIT_SHA"] == "f" * 40


def test_the_origin_of_a_commit_from_the_environment(tmp_path):
    tree = source_tree(tmp_path / "tree")
    made = image(*CPU, "--context", tree, env={"DYNAMO_COMMIT_SHA": "f" * 40})
    assert "DYNAMO_COMMIT_SHA" in made["origins"]["DYNAMO_COMMIT_SHA"]


def test_a_plan_touches_nothing(tmp_path):
    tree = source_tree(tmp_path / "tree")
    before = sorted(path.name for path in tree.rglob("*"))
    call("plan", *CPU, "--context", tree)
    assert sorted(path.name for path in tree.rglob("*")) == before


def test_no_secret_is_shown():
    env = {"DYNBUILD_INDEX_URL": "https://user:hunter2@mirror.example.com/simple"}
    for form in ("table", "json"):
        result = call("plan", *CPU, *HERE, "--format", form, env=env)
        assert "index_url" in result.out
        assert "hunter2" not in result.out + result.err


def test_the_environment_is_not_copied_in():
    env = {"GITHUB_TOKEN": "hunter2", "AWS_SECRET_ACCESS_KEY": "hunter2", "HF_TOKEN": "hunter2"}
    assert "hunter2" not in call("plan", *CPU, *HERE, "--format", "json", env=env).out


# ---- requests that are wrong -------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "message", "hint"),
    [
        (["--framework", "vlm"], "there is no framework 'vlm' (from flag --framework)", "'vllm'"),
        (
            ["--target", "runtme"],
            "there is no target 'runtme' of none (from flag --target)",
            "'runtime'",
        ),
        (["--device", "gpu"], "there is no device 'gpu' of none (from flag --device)", "cpu, cuda"),
        (
            ["--cuda-version", "11.8"],
            "there is no CUDA 11.8 for none (from flag --cuda-version)",
            "there are: 12.8",
        ),
        (
            ["--platform", "linux/arm"],
            "there is no platform 'linux/arm' (from flag --platform)",
            "linux/arm64",
        ),
        (
            ["--uid", "1"],
            "--uid is only for the target local-dev, not for runtime (from flag --uid)",
            "--target local-dev",
        ),
        (["--uid", "ada"], "--uid takes a number, not 'ada'", ""),
        (["--uid", "99999999999"], "'request.uid': Input should be less than or equal to", ""),
        (
            ["--tag", "foo:a+b"],
            "'foo:a+b' has a tag that Docker refuses (from flag --tag)",
            "128 letters",
        ),
        (
            ["--repository", "Dynamo"],
            "'Dynamo' is not an image repository that Docker accepts",
            "lower-case",
        ),
        (["--build-arg", "=x"], "--build-arg takes NAME=VALUE, not '=x'", ""),
        (
            ["--build-arg", "NIXL_REFF=x"],
            "unknown key 'args.NIXL_REFF' (from flag --build-arg NIXL_REFF)",
            "'NIXL_REF'",
        ),
        (
            ["--build-arg", "NIXL_REF=a\nb"],
            "the value of NIXL_REF has a line break or a control character",
            "",
        ),
        (
            ["--build-arg", "ENABLE_KVBM=maybe"],
            "ENABLE_KVBM is 'maybe' (from flag --build-arg ENABLE_KVBM)",
            "'true' or 'false'",
        ),
        (
            ["--build-arg", "ETCD_VERSION=v3.6.0"],
            "ETCD_VERSION is changed to v3.6.0",
            "tools.etcd.sha256",
        ),
        (["--push", "--load"], "--push and --load exclude each other", "build twice"),
        (
            ["--push"],
            "names no registry, so it cannot be pushed (from flag --push)",
            "--repository REGISTRY/dynamo",
        ),
        (
            ["--dynamo-wheels", "wheels"],
            "'wheels' is no way to get Dynamo's wheels",
            "'index==VERSION'",
        ),
        (["--source", "ucx"], "--source takes NAME=VALUE, not 'ucx'", ""),
        (["--source", "ucxx=/tmp"], "unknown key 'sources.ucxx' (from flag --source)", "'ucx'"),
        (
            ["--source", "ucx=/nowhere"],
            "the source path of 'ucx_src' is not there: /nowhere",
            "--source ucx=PATH",
        ),
        (
            ["--build-context", "ucx_src=/nowhere"],
            "the source path of 'ucx_src' is not there: /nowhere",
            "--build-context",
        ),
        (
            ["--config", "/nowhere/site.toml"],
            "the settings file /nowhere/site.toml does not exist",
            "",
        ),
        (["--templates", "/nowhere"], "the template folder /nowhere does not exist", "--templates"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_request_that_is_wrong(argv, message, hint):
    result = refused(*NONE, *HERE, *argv)
    assert message in result.err.partition("\nhint:")[0]
    assert hint in result.hint


def test_a_context_that_does_not_exist():
    result = refused(*NONE, "--context", "/nowhere/tree")
    assert "the build context /nowhere/tree does not exist" in result.err
    assert result.hint == "--context names a folder"


@pytest.mark.parametrize(
    "words",
    [("--context", ""), ("--config", ""), ("--source", "nixl="), ("--build-context", "nixl_src=")],
    ids=" ".join,
)
def test_an_empty_path_is_not_the_current_folder(words):
    assert "a path is empty" in refused(*NONE, *words).err


def test_a_context_that_is_no_source_tree(tmp_path):
    result = refused(*NONE, "--context", tmp_path, "--dynamo-wheels", "source")
    assert f"the build context {tmp_path} has no pyproject.toml" in result.err
    assert "--dynamo-wheels index" in result.hint


@pytest.mark.parametrize(
    ("words", "line", "why"),
    [
        ((), "1.6", "the newest with published wheels"),
        (("--dynamo-wheels", "index"), "1.6", "the newest with published wheels"),
        (("--dynamo-wheels", "index==1.5.0", "--framework", "none"), "1.5", "wheels 1.5.0"),
    ],
)
def test_without_a_tree_the_line_is_one_of_published_wheels(tmp_path, words, line, why):
    result = call("plan", *words, "--context", tmp_path)
    assert result.code == 0, result.err
    first = f"the release line is {line} (no source tree, and {why}); --release-line names another"
    assert result.err.splitlines()[0] == first
    assert result.out.splitlines()[3].endswith(f"+{line}+index")


def test_an_overlay_with_a_misspelt_key(overlay):
    path = overlay('\n[args]\nNIXL_REFF = "x"\n')
    result = refused(*NONE, *HERE, "--config", path)
    assert f"unknown key 'args.NIXL_REFF' (from overlay {path}:3)" in result.err
    assert "did you mean 'NIXL_REF', " in result.hint


def test_an_overlay_with_several_wrong_types(overlay):
    path = overlay('[args]\nNIXL_REF = 0.9\n[request]\nno_cache = "yes"\n')
    result = refused(*NONE, *HERE, "--config", path)
    for line, key in ((2, "args.NIXL_REF"), (4, "request.no_cache")):
        assert f"'{key}' must be" in result.err
        assert f"{path}:{line}" in result.err


def test_an_overlay_that_is_not_toml(overlay):
    path = overlay("[args\n")
    result = refused(*NONE, *HERE, "--config", path)
    assert f"{path} is not valid TOML: " in result.err
    assert "line 1" in result.err
    assert result.hint


def test_a_damaged_overlay_in_the_context(tmp_path):
    tree = source_tree(tmp_path / "tree")
    (tree / "dynbuild.toml").write_text("= 1\n")
    assert f"{tree}/dynbuild.toml is not valid TOML" in refused(*NONE, "--context", tree).err


def test_a_folder_of_templates_without_a_catalog(tmp_path):
    result = refused(*NONE, *HERE, "--templates", tmp_path)
    assert f"there is no catalog at {tmp_path}/catalog.toml" in result.err


def test_templates_from_the_environment(tmp_path):
    copy = shutil.copytree(TEMPLATES, tmp_path / "templates")
    catalog = (copy / "catalog.toml").read_text(encoding="utf-8")
    (copy / "catalog.toml").write_text(catalog.replace('value = "0.9.0"', 'value = "9"'))
    made = image(*CPU, *HERE, env={"DYNBUILD_TEMPLATES": str(copy)})
    assert made["build_args"]["NIXL_REF"] == "9"


def test_an_odd_environment_gives_no_traceback():
    assert call("plan", *CPU, *HERE, env={"SUDO_UID": "ada"}).code in (0, 2, 3)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--vllm-max-jobs", "abc"], "MAX_JOBS is 'abc', which is no whole number"),
        (["--nixl-ref", "a b"], "NIXL_REF is 'a b', which is no git ref"),
        (["--base-image", "debian:12"], "BASE_IMAGE is 'debian:12', which has a tag"),
        (["--base-image-tag", "a b"], "BASE_IMAGE_TAG is 'a b'"),
        (["--efa-version", "x"], "EFA_VERSION is 'x', which is no version"),
        (["--epp-image", "Own:1"], "EPP_IMAGE is 'Own:1'"),
        (["--dynamo-wheels", "index==new"], "DYNAMO_VERSION is 'new', which is no version"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_flags_are_checked_as_arguments_are(argv, message):
    result = call("plan", "--framework", "none", "--target", "runtime", *argv)
    assert result.code == 2
    assert message in result.err
    assert f"(from flag {argv[0]})" in result.err
    assert result.hint
