"""What ``dynbuild run`` takes from settings and records, and how flags change it."""

import json
import shlex

import pytest

from tests.support import call

ALWAYS = "docker run --gpus all --rm --network host --runtime nvidia --shm-size=10G"
LIMITS = "--ulimit memlock=-1 --ulimit stack=67108864 --ulimit nofile=65536:65536"
END = "-w /workspace --cap-add CAP_SYS_PTRACE --ipc host"

OVERLAY = """\
[request]
framework = "none"
target = "runtime"
repository = "team/dynamo"

[run]
env = ["FROM=overlay"]

[run.profiles.ci]
gpus = "none"
network = "none"
user = "4711"
env = ["CI=1"]
ulimit = ["nofile=1024"]
rm = false

[run.profiles.big]
shm_size = "64G"
memory = "512g"
mount_workspace = true
"""

LINES = [
    ("--shm-size 1g", f"{ALWAYS.replace('10G', '1g')} {LIMITS} {END} i"),
    ("--ulimit memlock=64", f"{ALWAYS} {LIMITS.replace('-1', '64', 1)} {END} i"),
    ("--ulimit nproc=10:20", f"{ALWAYS} {LIMITS} --ulimit nproc=10:20 {END} i"),
    (
        "--ulimit stack=1 --ulimit stack=2",
        f"{ALWAYS} {LIMITS.replace('stack=67108864', 'stack=2')} {END} i",
    ),
    ("--ipc private", f"{ALWAYS} {LIMITS} {END.replace('ipc host', 'ipc private')} i"),
    ("--ipc container:a", f"{ALWAYS} {LIMITS} {END.replace('ipc host', 'ipc container:a')} i"),
    (
        "--cap-add NET_ADMIN",
        f"{ALWAYS} {LIMITS} {END.replace('--ipc', '--cap-add NET_ADMIN --ipc')} i",
    ),
    (
        "--use-nixl-gds --cap-add KILL --cap-add cap_bpf",
        f"{ALWAYS} {LIMITS} -v /run/udev:/run/udev:ro -v /tmp:/tmp -w /workspace --cap-add "
        "CAP_SYS_PTRACE --cap-add=IPC_LOCK --cap-add KILL --cap-add cap_bpf --ipc host i",
    ),
    ("--gms", f"{ALWAYS} {LIMITS} -v /tmp:/tmp {END} i"),
    (
        "--gms --use-nixl-gds",
        f"{ALWAYS} {LIMITS} -v /run/udev:/run/udev:ro -v /tmp:/tmp "
        f"{END.replace(' --ipc', ' --cap-add=IPC_LOCK --ipc')} i",
    ),
    ("--memory 64g", f"{ALWAYS} {LIMITS} {END} --memory 64g i"),
    ("--cpus 1.5", f"{ALWAYS} {LIMITS} {END} --cpus 1.5 i"),
    ("--memory 1g --cpus 2 --name me", f"{ALWAYS} {LIMITS} {END} --memory 1g --cpus 2 --name me i"),
    (
        "--user 5 --cpus 2",
        f"{ALWAYS} {LIMITS} -e USER=5 -e LOGNAME=5 {END} --user 5 --group-add 0 --cpus 2 i",
    ),
    ("-i", f"{ALWAYS.replace('--rm', '-i --rm')} {LIMITS} {END} i"),
    ("-it -i", f"{ALWAYS.replace('--rm', '-it --rm')} {LIMITS} {END} i"),
    ("--no-rm --privileged", f"{ALWAYS.replace('--rm ', '')} {LIMITS} {END} --privileged i"),
    ("--privileged --no-privileged", f"{ALWAYS} {LIMITS} {END} i"),
    ("--runtime none", f"{ALWAYS.replace('--runtime nvidia ', '')} {LIMITS} {END} i"),
    ("--workdir /a --network bridge",
     f"{ALWAYS.replace('host', 'bridge')} {LIMITS} {END.replace('/workspace', '/a')} i"),
    ("--gpus 2 --shm-size 2g",
     f"{ALWAYS.replace('all', '2').replace('10G', '2g')} {LIMITS} {END} i"),
    ("--gpus none --ipc private --entrypoint sh",
     "docker run --rm --network host --shm-size=10G "
     f"{LIMITS} {END.replace('ipc host', 'ipc private')} --entrypoint sh i"),
]  # fmt: skip


@pytest.mark.parametrize(("flags", "line"), LINES, ids=[flags for flags, _ in LINES])
def test_flags_and_the_exact_command(tmp_path, flags, line):
    words = ["run", "--dry-run", "--image", "i", "--context", str(tmp_path)]
    result = call(*words, *shlex.split(flags))
    assert result.code == 0, result.err
    assert result.out == f"{line}\n"


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "dynbuild.toml").write_text(OVERLAY)
    return tmp_path


def _run(tree, *flags):
    result = call("run", "--dry-run", "--format", "json", "--context", str(tree), *flags)
    assert result.code == 0, result.err
    return json.loads(result.out)["argv"], result.err


def test_settings_of_the_tree_name_the_image_and_add_variables(tree):
    argv, _ = _run(tree)
    assert argv[-1] == "team/dynamo:latest-none-runtime"
    assert argv[argv.index("-e") + 1] == "FROM=overlay"


def test_profile_changes_the_defaults_and_adds_to_lists(tree):
    argv, _ = _run(tree, "--profile", "ci", "-e", "FLAG=1")
    assert "--gpus" not in argv
    assert "--rm" not in argv
    assert [argv[i + 1] for i, word in enumerate(argv) if word == "-e"] == [
        "FROM=overlay", "CI=1", "FLAG=1", "USER=4711", "LOGNAME=4711",
    ]  # fmt: skip
    assert "nofile=1024" in argv
    assert "nofile=65536:65536" not in argv
    assert argv[argv.index("--user") + 1] == "4711"


def test_flag_beats_the_profile(tree):
    argv, _ = _run(tree, "--profile", "ci", "--gpus", "all", "--network", "host", "--rm")
    assert argv[argv.index("--gpus") + 1] == "all"
    assert argv[argv.index("--network") + 1] == "host"
    assert "--rm" in argv


def test_profile_that_is_not_there_names_the_nearest(tree):
    result = call("run", "--dry-run", "--context", str(tree), "--profile", "bif")
    assert result.code == 2
    assert "there is no profile 'bif'" in result.err
    assert "did you mean 'big'?" in result.hint


def test_profiles_are_checked_like_everything_else(tmp_path):
    (tmp_path / "dynbuild.toml").write_text("[run.profiles.ci]\nshm_sise = '1g'\n")
    result = call("run", "--dry-run", "--context", str(tmp_path))
    assert result.code == 2
    assert "unknown key 'run.profiles.ci.shm_sise'" in result.err
    assert "did you mean 'shm_size'?" in result.hint


def test_newest_build_of_the_tree_is_taken(tree):
    for name, image, status in (
        ("20260101T000000-1-none-runtime-cpu", "none-runtime-cpu", "done"),
        ("20260102T000000-1-none-runtime-cpu", "none-runtime-cpu", "done"),
        ("20260103T000000-1-none-runtime-cpu", "none-runtime-cpu", "failed"),
        ("20260103T010000-1-none-runtime-cpu", "none-runtime-cpu", "pushed"),
        ("20260104T000000-1-none-dev-cpu", "none-dev-cpu", "done"),
        ("20260105T000000-1-none-runtime-aws-cpu", "none-runtime-aws-cpu", "done"),
        ("20260106T000000-1-no-id", "no id", "done"),
    ):
        folder = tree / ".dynbuild" / "builds" / name
        folder.mkdir(parents=True)
        tags = [f"team/dynamo:{name[:8]}"]
        result = {"status": status, "images": [{"name": image, "tags": tags, "size": 1}]}
        if status == "pushed":
            result["status"] = "done"
            result["images"][0]["size"] = None
        (folder / "result.json").write_text(json.dumps(result))
    argv, err = _run(tree)
    assert argv[-1] == "team/dynamo:20260102"
    assert "the newest build from" in err
    assert _run(tree, "--repository", "other")[0][-1] == "other:latest-none-runtime"
    toml = tree / "dynbuild.toml"
    toml.write_text(toml.read_text().replace("[request]", '[request]\ndevice = "cuda"', 1))
    assert _run(tree)[0][-1] == "team/dynamo:latest-none-runtime"


def recorded(tree, *ids):
    for number, image in enumerate(ids):
        folder = tree / ".dynbuild" / "builds" / f"2026010{number}T000000-1-{image}"
        folder.mkdir(parents=True)
        images = [{"name": image, "tags": [f"team/dynamo:{image}"], "size": 1}]
        (folder / "result.json").write_text(json.dumps({"status": "done", "images": images}))


def test_which_of_several_images_is_taken_is_said(tree):
    recorded(tree, "none-runtime-cuda12.8", "none-runtime-cpu", "none-runtime-cpu")
    argv, err = _run(tree)
    assert argv[-1] == "team/dynamo:none-runtime-cpu"
    said = "these fit as well: none-runtime-cuda12.8 (team/dynamo:none-runtime-cuda12.8)"
    assert f"it is none-runtime-cpu; {said}" in err
    for flags in (("--device", "cuda"), ("--cuda-version", "12.8")):
        argv, err = _run(tree, *flags)
        assert argv[-1] == "team/dynamo:none-runtime-cuda12.8"
        assert "fit as well" not in err
    assert _run(tree, "--release-line", "1.0")[0][-1] == "team/dynamo:latest-none-runtime-1.0"


def test_a_device_with_a_slash_is_one_of_the_machine(tree):
    recorded(tree, "none-runtime-cuda12.8", "none-runtime-cpu")
    argv, _ = _run(tree, "--device", "cuda", "--device", "/dev/infiniband")
    assert argv[-1] == "team/dynamo:none-runtime-cuda12.8"
    assert argv[argv.index("--device") + 1] == "/dev/infiniband"
    result = call("run", "--dry-run", "--context", str(tree), "--image", "x", "--device", "cpu")
    assert (result.code, "--device cpu finds an image, but x is named" in result.err) == (2, True)
    result = call("run", "--dry-run", "--context", str(tree), "--cuda-version", "11")
    assert (result.code, "there is no CUDA 11 for none" in result.err) == (2, True)


def test_limit_that_is_none(tree):
    result = call("run", "--dry-run", "--context", str(tree), "--ulimit", "nofile")
    assert result.code == 2
    assert "'nofile' is no limit" in result.err


def test_strict_refuses_what_is_only_warned_of(tree):
    flags = ("run", "--dry-run", "--context", str(tree), "-p", "80:80")
    assert call(*flags).code == 0
    result = call(*flags, "--strict")
    assert result.code == 3
    assert "ports-unused" in result.err
    assert result.out == ""


@pytest.mark.parametrize("form", ["compose", "k8s", "devcontainer", "systemd"])
def test_export_holds_the_image_and_starts_nothing(tree, form):
    result = call("run", "--context", str(tree), "--gpus", "none", "--export", form)
    assert result.code == 0, result.err
    target = "local-dev" if form == "devcontainer" else "runtime"
    assert f"team/dynamo:latest-none-{target}" in result.out


def test_export_of_an_unknown_form(tree):
    result = call("run", "--context", str(tree), "--export", "nomad")
    assert result.code == 2
    assert "compose" in result.hint


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--memory", "much"], "'much' is no size"),
        (["--shm-size", "-1"], "'-1' is no size"),
        (["--cpus", "many"], "'many' is no number of processors"),
        (["--numa", "near"], "--numa takes auto or numbers of nodes, not 'near'"),
        (["--ipc", "all"], "--ipc 'all' is no mode"),
        (["--network", "container:"], "names no container"),
        (["--cap-add", "SYS_ADMN"], "'SYS_ADMN' is no capability"),
        (["--security-opt", "seccomp"], "'seccomp' is no option"),
        (["--docker-arg=--pull=always"], "a run pulls nothing"),
        (["--with-services"], "--with-services is for --export"),
    ],
)
def test_values_that_docker_would_refuse(tree, flags, message):
    result = call("run", "--dry-run", "--context", str(tree), *flags)
    assert result.code == 2
    assert message in result.err


@pytest.mark.parametrize("word", ["none", "NONE"])
def test_without_placement_nothing_is_said_of_it(tree, word):
    argv, err = _run(tree, "--numa", word)
    assert "--cpuset-cpus" not in argv
    assert "numa" not in err.lower()


def test_placement_is_not_guessed_in_a_dry_run(tree):
    argv, err = _run(tree, "--numa", "auto")
    assert "--cpuset-cpus" not in argv
    assert "decided where and when" in err
