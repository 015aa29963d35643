"""How ``dynbuild run`` starts a container: what it asks docker, and what it becomes."""

import json
import os
import shlex

import pytest

from tests import fake_docker
from tests.support import call, spawn

pytestmark = pytest.mark.processes("docker", "python", "git")

QUIET = ("--gpus", "none", "--ipc", "private", "--ulimit", "nofile=1")


@pytest.fixture
def docker(tmp_path):
    docker = fake_docker.make(tmp_path / "bin")
    info = fake_docker.INFO | {"Name": os.uname().nodename, "InitCommit": {"ID": "N/A"}}
    docker.says(info=json.dumps(info), image="dynamo\nnone-runtime-cpu\n\n")
    return docker


@pytest.fixture
def run(docker, tmp_path):
    def start(*argv, **more):
        env = {"PATH": f"{docker.path}:{os.environ['PATH']}", **more}
        network = () if "--network" in argv else ("--network", "bridge")
        return spawn("run", *QUIET, *network, "--context", tmp_path, *argv, env=env)

    return start


def started(docker):
    """The command that became of it."""
    (line,) = (line for line in docker.asked if line.startswith("run "))
    return line.split()


def test_nothing_is_pulled_and_what_is_printed_is_started(run, docker):
    assert run("--image", "x:y").code == 0
    words = started(docker)
    assert words[:2] == ["run", "--pull=never"]
    printed = call("run", "--dry-run", *QUIET, "--network", "bridge", "--image", "x:y").out
    assert ["docker", "run", *words[2:]] == shlex.split(printed)
    assert not [line for line in docker.asked if line.startswith("pull")]


@pytest.mark.parametrize(
    ("words", "terminal"), [(("-it",), "-i"), (("-t",), "-t"), (("-d", "-it"), "-it")]
)
def test_a_terminal_that_is_not_there_is_left_out(run, docker, words, terminal):
    result = run("--image", "x", *words)
    assert terminal in started(docker)
    assert ("no terminal on standard input" in result.err) is (terminal == "-i")


@pytest.mark.parametrize(
    "case",
    [
        ("none-local-dev-aws-cpu", "4321:77", 4322, "uid 4321 cannot write to"),
        ("none-local-dev-cpu", "4321:77", 4321, ""),
        ("none-runtime-cpu", "", 4322, "uid 1000 cannot write to"),
    ],
)
@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_who_runs_inside_is_read_off_the_labels(run, docker, tmp_path, case):
    label, ids, owner, said = case
    folder = tmp_path / "mine"
    folder.mkdir(mode=0o700)
    os.chown(folder, owner, -1)
    docker.says(image=f"dynamo\n{label}\n{ids}\n")
    err = run("--image", f"x@sha256:{'0' * 64}", "-v", f"{folder}:/data").err
    assert ("cannot write" in err) is bool(said)
    assert f"{said} {folder}" in err or not said


def test_an_image_that_is_not_there_is_told_with_what_builds_it(run, docker):
    (docker.path / "image").unlink()
    result = run("--framework", "none", "--target", "frontend", DYNBUILD_REPOSITORY="team/x",
                 DYNBUILD_DEVICE="cpu")  # fmt: skip
    assert result.code == 3
    assert "there is no image team/x:latest-none-frontend-cpu on this engine" in result.err
    wanted = "dynbuild build --framework none --target frontend --repository team/x --device cpu"
    assert f"build it: {wanted};" in result.hint
    assert "docker pull x:y" in run("--image", "x:y").hint
    assert not [line for line in docker.asked if line.startswith(("run ", "pull"))]


def test_an_engine_that_fails_is_not_an_image_that_is_missing(run, docker):
    program = docker.path / "docker"
    broken = 'echo "client version 1.20 is too old" >&2; exit 1'
    program.write_text(
        program.read_text().replace('"image inspect")', f'"image inspect") {broken}')
    )
    result = run("--image", "x")
    assert result.code == 3
    assert "says nothing of the image x" in result.err
    assert "too old" in result.err


def test_init_needs_its_program(run):
    result = run("--image", "x", "--init", "--strict")
    assert result.code == 3
    assert "docker-init" in result.err


def test_no_variable_of_the_client_asks_a_registry(run, docker):
    program = docker.path / "docker"
    said = 'echo "trust=$DOCKER_CONTENT_TRUST"'
    program.write_text(program.read_text().replace('"run "*)', f'"run "*) {said}'))
    assert run("--image", "x", DOCKER_CONTENT_TRUST="1").out == "trust=\n"


def test_rights_are_told_and_strict_lets_them_pass(run, docker):
    result = run("--image", "x", "--privileged", "--network", "host", "--strict")
    assert result.code == 0, result.err
    assert "--privileged: root inside" in result.err
    assert "the container shares network with this host" in result.err
    assert "--privileged" in started(docker)


@pytest.mark.parametrize("form", ["compose", "k8s", "systemd"])
def test_an_export_tells_rights(form):
    result = call("run", "--image", "x", "--privileged", "--export", form)
    assert result.code == 0
    assert "--privileged: root inside" in result.err
    assert "--privileged: root inside" not in result.out


@pytest.mark.parametrize(
    ("words", "context"),
    [
        (("--framework", "vllm"), {"runAsUser": 0, "runAsGroup": 0}),
        (("--framework", "vllm", "--target", "runtime"), {"runAsUser": 1000, "runAsGroup": 0}),
        (("--framework", "vllm", "--target", "local-dev"), {}),
        (("--image", "reg/x@sha256:" + "0" * 64), {}),
        (("--image", "reg/x:v1-none-dev"), {"runAsUser": 0, "runAsGroup": 0}),
        (("--user", "54321"), {"runAsUser": 54321, "runAsGroup": 0}),
    ],
)
def test_a_pod_runs_as_docker_would(words, context):
    import yaml

    pod = yaml.safe_load(call("run", "--gpus", "none", "--export", "k8s", *words).out)
    assert pod["spec"]["securityContext"] == {**context, "fsGroup": 0}


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("detach", "true", ["-d"]),
        ("interactive", "yes", ["-i"]),
        ("tty", "1", ["-t"]),
        ("init", "on", ["--init=true"]),
        ("restart", "always", ["--restart", "always"]),
        ("device", "/dev/a,amd.com/gpu=0", ["--device", "/dev/a", "--device", "amd.com/gpu=0"]),
        ("env_file", "/a,b", ["--env-file", "/a,b"]),
        ("label", "a=1,2", ["--label", "a=1,2"]),
        ("mount", "type=tmpfs,target=/t", ["--mount", "type=tmpfs,target=/t"]),
        ("add_host", "a:::1", ["--add-host", "a:::1"]),
        ("group_add", "44,video", ["--group-add", "44", "--group-add", "video"]),
        ("security_opt", "no-new-privileges", ["--security-opt", "no-new-privileges"]),
        ("docker_arg", "--sysctl=a=b,c", ["--sysctl=a=b,c"]),
    ],
)
def test_options_come_from_variables_and_profiles_too(tmp_path, key, value, words):
    said = call("run", "--dry-run", env={f"DYNBUILD_RUN_{key.upper()}": value})
    assert said.code == 0, said.err
    assert " ".join(words) in said.out
    items = value.split(",") if key in ("device", "group_add") else [value]
    switch = value in ("true", "yes", "1", "on")
    item = "true" if switch else json.dumps(value if key == "restart" else items)
    (tmp_path / "a.toml").write_text(f"[run.profiles.p]\n{key} = {item}\n")
    said = call("run", "--dry-run", "--config", tmp_path / "a.toml", "--profile", "p")
    assert said.code == 0, said.err
    assert " ".join(words) in said.out


OWN = '[request]\nframework = "none"\ntarget = "runtime"\nrepository = "corp/secret"\n'


@pytest.mark.parametrize("recorded", [False, True])
@pytest.mark.parametrize("label", ["none-runtime-cpu", "none-dev-cpu", "", "what"])
def test_a_tree_names_no_image_but_dynbuilds_own(run, docker, tmp_path, recorded, label):
    (tmp_path / "dynbuild.toml").write_text(OWN)
    if recorded:  # which a tree may bring along
        folder = tmp_path / ".dynbuild" / "builds" / "20260101T000000-1-none-runtime-cpu"
        folder.mkdir(parents=True)
        image = {"name": "none-runtime-cpu", "tags": ["corp/secret:7"], "size": 1}
        (folder / "result.json").write_text(json.dumps({"status": "done", "images": [image]}))
    docker.says(image=f"dynamo\n{label}\n\n")
    result = run("--device", "cpu")
    fits = label == "none-runtime-cpu"
    assert result.code == (0 if fits else 2), result.err
    said = f"the repository corp/secret is the tree's own word: {tmp_path}/dynbuild.toml:4"
    assert said in result.err
    name = "corp/secret:7" if recorded else "corp/secret:latest-none-runtime-cpu"
    if not fits:
        assert f"{name} is not none runtime of dynbuild's" in result.err
        assert f"--image {name} takes it" in result.hint
        assert not [line for line in docker.asked if line.startswith("run ")]
        # Whoever names it means it.
        assert run("--image", name).code == 0
        assert run("--repository", "corp/secret", "--device", "cpu").code == 0
    else:
        assert started(docker)[-1] == name
