import json
import shlex

import pytest

from tests.support import DEMO, WORKSPACE, call, source_tree, spawn

pytestmark = pytest.mark.processes("docker", "git", "python")

CPU = ("--framework", "none", "--target", "runtime", "--device", "cpu")
CUDA = ("--framework", "none", "--target", "runtime")
HERE = ("--context", WORKSPACE)


def dry(*argv, **more):
    result = call("build", *argv, "--dry-run", "--format", "json", **more)
    assert (result.code, result.err) == (0, "")
    return json.loads(result.out)


def command(text):
    """The words of the printed command, without the variables before it."""
    words = shlex.split(text.splitlines()[1])
    return words[words.index("docker") :]


def test_a_dry_run_shows_the_command_and_its_definition():
    result = call("build", *CPU, *HERE, "--dry-run")
    assert (result.code, result.err) == (0, "")
    note, _, _, *definition = result.out.splitlines()
    words = command(result.out)
    assert words[:3] == ["docker", "buildx", "bake"]
    assert words[-1] == "none-runtime-cpu"
    assert note.startswith("# ")
    assert words[words.index("--file") + 1] in note
    assert json.loads("\n".join(definition))["group"]["default"]["targets"] == ["none-runtime-cpu"]


def test_a_dry_run_for_programs():
    found = dry(*CPU, *HERE)
    assert set(found) == {"argv", "env", "definition", "dockerfiles"}
    assert found["argv"][:3] == ["docker", "buildx", "bake"]
    assert found["dockerfiles"] == {"none-runtime-cpu": call("render", *CPU, *HERE).out}


def test_the_definition_says_what_the_plan_says():
    argv = (*CUDA, *HERE, "--tag", "a:b", "--no-cache", "--cache-from", "type=gha")
    (image,) = json.loads(call("plan", *argv, "--format", "json").out)["images"]
    target = dry(*argv)["definition"]["target"]["none-runtime-cuda12_8"]
    keyed = {k: v for k, v in image["build_args"].items() if k not in image["unkeyed_args"]}
    assert target["args"] == keyed
    assert target["tags"] == image["tags"] == ["a:b", "dynamo:latest-none-runtime"]
    assert target["target"] == image["stage"]
    assert target["platforms"] == image["platforms"]
    assert (target["no-cache"], target["cache-from"]) == (True, ["type=gha"])
    assert target["context"] == str(WORKSPACE)


def test_a_dry_run_shows_the_values_that_go_by_variables():
    """Run by hand, the command has them: none is a secret."""
    found = dry(*CPU, *HERE, "--build-arg", "BUILD_JOBS=3")
    (target,) = found["definition"]["target"].values()
    held = {one["id"]: found["env"][one["env"]] for one in target["secret"] if "env" in one}
    assert held["BUILD_JOBS"] == "3"


def test_a_dry_run_touches_nothing(tmp_path):
    tree = source_tree(tmp_path / "tree")
    before = sorted(path.name for path in tree.rglob("*"))
    dry(*CPU, "--context", tree)
    assert sorted(path.name for path in tree.rglob("*")) == before
    assert [path.name for path in tmp_path.iterdir()] == ["tree"]


def test_a_dry_run_needs_no_docker():
    found = dry("--context", DEMO, env={"DOCKER_HOST": "unix:///nowhere.sock"})
    (target,) = found["definition"]["target"].values()
    assert target["tags"][1] == "dynamo-demo:latest-none-runtime-cpu-index"


def test_a_dry_run_shows_no_secret():
    url = "https://user:hunter2@mirror.example.com/simple"
    env = {"DYNBUILD_INDEX_URL": url, "GITHUB_TOKEN": "hunter2", "AWS_SESSION_TOKEN": "hunter2"}
    for form in ("table", "json"):
        result = call("build", *CPU, *HERE, "--dry-run", "--format", form, env=env)
        assert '"id": "index_url"' in result.out
        assert "hunter2" not in result.out + result.err


@pytest.mark.parametrize("text", ["two words", "quote'", 'quote"', "star*", "a;b", "\u00e4"])
def test_values_stay_whole_in_a_dry_run(text):
    vllm = ("--framework", "vllm", "--target", "runtime")
    definition = dry(*vllm, *HERE, "--build-arg", f"TORCH_CUDA_ARCH_LIST={text}")["definition"]
    (target,) = definition["target"].values()
    assert target["args"]["TORCH_CUDA_ARCH_LIST"] == text


def test_a_folder_with_a_blank_in_its_name(tmp_path):
    tree = source_tree(tmp_path / "my tree")
    words = command(call("build", *CPU, "--context", tree, "--dry-run").out)
    assert words[words.index("--file") + 1].startswith(f"{tree}/.dynbuild/builds/")


@pytest.mark.parametrize(
    ("argv", "message", "hint"),
    [
        (["--framework", "vlm"], "there is no framework 'vlm'", "'vllm'"),
        (["--push", "--load"], "--push and --load exclude each other", "build twice"),
        (["--push"], "names no registry", "--repository REGISTRY/dynamo"),
        (["--gid", "1"], "--gid is only for the target local-dev", "--target local-dev"),
        (["--build-arg", "=NIXL"], "--build-arg takes NAME=VALUE", ""),
        (["--target", "framework"], "there is no target 'framework' of none", "runtime"),
        (["--build-arg", "ETCD_VERSION=v3.6.0"], "the checksum of etcd", "tools.etcd.sha256"),
        (["--context", "/nowhere"], "the build context /nowhere does not exist", "--context"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
@pytest.mark.parametrize("mode", [[], ["--dry-run"]], ids=["build", "dry run"])
def test_a_wrong_request_is_refused_before_anything_starts(mode, argv, message, hint):
    env = {"DOCKER_HOST": "unix:///nowhere.sock"}
    where = () if "--context" in argv else HERE
    result = call("build", *CPU, *where, *argv, *mode, env=env)
    assert (result.code, result.out) == (2, "")
    assert message in result.err
    assert hint in result.hint


def test_as_a_process():
    result = spawn("build", "--context", DEMO, "--dry-run")
    assert (result.code, result.err) == (0, "")
    assert command(result.out)[:3] == ["docker", "buildx", "bake"]
