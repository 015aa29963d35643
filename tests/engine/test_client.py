from __future__ import annotations

import json
import os
import socket
import tempfile
import threading
from pathlib import Path

import pytest

from dynbuild.engine import client
from dynbuild.engine.client import find
from dynbuild.engine.model import Engine
from dynbuild.errors import NotReady

pytestmark = [pytest.mark.processes("docker"), pytest.mark.network]

SYSTEM = {
    "ServerVersion": "29.0.0",
    "DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]],
    "ClientInfo": {"Plugins": [{"Name": "buildx", "Version": "v0.30.0"}]},
}
DOWN = {"ServerVersion": "", "ClientInfo": {"Plugins": []}}


@pytest.fixture
def env(tmp_path):
    (tmp_path / "bin").mkdir()
    with tempfile.TemporaryDirectory(prefix="dynbuild-") as home:  # short enough for a socket
        yield {"PATH": f"{tmp_path}/bin:/usr/bin:/bin", "DYNBUILD_HOME": home}


def docker(env, answer, *, complaint="", sleep=0):
    """A docker client that gives one answer to everything."""
    script = Path(env["PATH"].split(":")[0], "docker")
    script.write_text(
        f"#!/bin/sh\nsleep {sleep}\ncat <<'END'\n{json.dumps(answer)}\nEND\n"
        f"echo '{complaint}' >&2\n{'exit 1' if complaint else ''}\n"
    )
    script.chmod(0o755)
    return str(script)


@pytest.fixture
def private_engine(env):
    """What a running private engine looks like from outside: a state file and a socket."""
    root = Path(env["DYNBUILD_HOME"], "engine")
    (root / "packages/usr/bin").mkdir(parents=True)
    (root / "packages/usr/bin/docker").touch()
    (root / "run").mkdir()
    path = root / "run/docker.sock"
    host = f"unix://{path}"
    (root / "state.json").write_text(
        json.dumps({"host": host, "buildx": "0.29.1", "network": "host"})
    )
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    containerd = socket.socket(socket.AF_UNIX)
    containerd.bind(str(root / "run/containerd.sock"))
    containerd.listen()

    def serve():
        while True:
            try:
                link, _ = listener.accept()
            except OSError:
                return
            with link:
                if link.recv(4096):
                    link.sendall(b'HTTP/1.0 200 OK\r\n\r\n{"Version": "28.5.2"}')

    thread = threading.Thread(target=serve)
    thread.start()
    yield host
    containerd.close()
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


@pytest.mark.usefixtures("private_engine")
def test_a_system_engine_is_used_as_it_is(env):
    path = docker(env, SYSTEM)
    engine = find(env)
    assert engine == Engine("system", path, None, None, "29.0.0", "0.30.0", True)
    assert engine.network == "bridge"
    assert engine.env(env) == env


def test_buildx_is_called_as_the_client_calls_it(env):
    """The client asks the plugin what it is before it calls it, which takes as long as a build."""
    path = docker(env, SYSTEM)
    assert (find(env).buildx_argv, find(env).plugin_env) == ((path, "buildx"), {})
    plugin = {"Name": "buildx", "Version": "v0.30.0", "Path": "/p/docker-buildx"}
    docker(env, {**SYSTEM, "ClientInfo": {"Plugins": [plugin]}})
    found = find(env)
    assert found.buildx_argv == ("/p/docker-buildx", "buildx")
    assert found.plugin_env == {"DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND": path}


def test_the_store_of_the_system_engine_is_told(env):
    docker(env, {**SYSTEM, "DriverStatus": [["Backing Filesystem", "extfs"]]})
    assert not find(env).containerd_store


@pytest.mark.parametrize("plugins", [None, [], [{"Name": "buildx", "Err": "broken"}]])
def test_a_system_engine_needs_buildx(env, plugins):
    path = docker(env, {**SYSTEM, "ClientInfo": {"Plugins": plugins}})
    with pytest.raises(NotReady, match="no buildx") as caught:
        find(env)
    assert path in caught.value.message
    assert "docker-buildx" in (caught.value.hint or "")


def test_the_private_engine_is_found_where_no_other_answers(env, private_engine):
    docker(env, DOWN, complaint="Cannot connect to the Docker daemon")
    engine = find(env)
    assert (engine.kind, engine.host, engine.version) == ("private", private_engine, "28.5.2")
    assert (engine.buildx, engine.network) == ("0.29.1", "host")


def test_the_private_engine_needs_no_client_on_path(env, private_engine):
    env["PATH"] = "/nowhere"
    assert find(env).host == private_engine


def test_the_private_engine_can_be_chosen_by_its_address(env, private_engine):
    docker(env, SYSTEM)
    assert find(env | {"DOCKER_HOST": private_engine}).kind == "private"


def test_nothing_answers(env):
    docker(env, DOWN, complaint="permission denied while connecting")
    with pytest.raises(NotReady, match="no Docker engine answers") as caught:
        find(env)
    assert "dynbuild engine up" in (caught.value.hint or "")
    assert caught.value.details == ("permission denied while connecting",)


@pytest.mark.usefixtures("private_engine")
@pytest.mark.parametrize("name", ["DOCKER_HOST", "DOCKER_CONTEXT"])
def test_a_chosen_engine_is_never_replaced(env, name):
    docker(env, DOWN, complaint="Cannot connect")
    with pytest.raises(NotReady, match=f"{name}='unix:///dead.sock'") as caught:
        find(env | {name: "unix:///dead.sock"})
    assert caught.value.exit_code == 3
    assert name in (caught.value.hint or "")


def test_a_chosen_engine_without_a_client(env):
    with pytest.raises(NotReady, match="no docker client on PATH"):
        find({"PATH": "/nowhere", "DOCKER_HOST": "unix:///a.sock", "HOME": env["DYNBUILD_HOME"]})


def test_an_engine_that_hangs(env, monkeypatch):
    monkeypatch.setattr(client, "_PATIENCE", 0.2)
    script = Path(docker(env, SYSTEM))
    script.write_text("#!/bin/sh\nexec sleep 60\n")
    with pytest.raises(NotReady, match="engine at tcp://far does not answer"):
        find(env | {"DOCKER_HOST": "tcp://far"})


def test_a_client_that_talks_nonsense(env):
    Path(docker(env, SYSTEM)).write_text("#!/bin/sh\necho '[]'\n")
    with pytest.raises(NotReady, match="no Docker engine answers"):
        find(env)


def test_a_private_engine_that_went_away(env, private_engine):
    Path(private_engine.removeprefix("unix://")).unlink()
    with pytest.raises(NotReady, match="does not run") as caught:
        find(env | {"DOCKER_HOST": private_engine})
    assert "dynbuild engine up" in (caught.value.hint or "")


def test_environment_of_the_private_engine():
    engine = Engine(
        "private", "/h/p/usr/bin/docker", "unix:///s", Path("/h/config"), "28", "0.29", True
    )
    base = {"PATH": "/bin", "DOCKER_CONTEXT": "x", "DOCKER_TLS_VERIFY": "1", "LANG": "C"}
    made = engine.env(base)
    assert made == {
        "PATH": "/h/p/usr/bin:/h/p/usr/sbin:/bin",
        "DOCKER_HOST": "unix:///s",
        "DOCKER_CONFIG": "/h/config",
        "LANG": "C",
    }
    assert engine.env(made) == made
    assert engine.env({})["PATH"].endswith(os.defpath)
