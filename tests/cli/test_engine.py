from __future__ import annotations

import json
import shlex

import pytest
from typer.testing import CliRunner

from dynbuild.cli import engine as commands
from dynbuild.engine import base, emulation, private
from dynbuild.engine import client as engines
from dynbuild.engine.model import Engine
from dynbuild.errors import NotReady


@pytest.fixture
def call(tmp_path, monkeypatch):
    monkeypatch.setenv("DYNBUILD_HOME", str(tmp_path))
    monkeypatch.delenv("DOCKER_HOST", raising=False)

    def invoke(*argv):
        return CliRunner().invoke(commands.app, argv)

    return invoke


@pytest.mark.processes("du")
def test_status_of_nothing(call, tmp_path):
    found = json.loads(call("status", "--format", "json").stdout)
    assert (found["running"], found["pid"], found["data_bytes"]) == (False, None, 0)
    assert found["home"] == str(tmp_path)
    assert "down" in call("status").stdout
    assert list(tmp_path.iterdir()) == []


def test_what_needs_a_running_engine_says_so(call):
    for command in ("env", "prune"):
        error = call(command).exception
        assert isinstance(error, NotReady)
        assert error.hint == "run `dynbuild engine up`"


def test_down_of_nothing(call):
    done = call("down")
    assert (done.exit_code, done.stdout) == (0, "")
    assert "was not running" in done.stderr


def test_env_is_for_a_shell(call, monkeypatch, tmp_path):
    config = tmp_path / "it's here"
    engine = Engine("private", "/p/usr/bin/docker", "unix:///s", config, "28", "0.29", True)
    monkeypatch.setattr(private, "running", lambda _env: engine)
    monkeypatch.setenv("DOCKER_CONTEXT", "other")
    lines = [shlex.split(line) for line in call("env").stdout.splitlines()]
    assert ["unset", "DOCKER_CONTEXT"] in lines
    assert ["export", f"DOCKER_CONFIG={config}"] in lines
    assert ["export", "DOCKER_HOST=unix:///s"] in lines
    assert any(word.startswith("PATH=/p/usr/bin:/p/usr/sbin:") for _, word in lines)


@pytest.mark.parametrize(
    ("words", "made"),
    [
        ((), ("make_base", {"arch": None, "force": False})),
        (("--arch", "arm64", "--force"), ("make_base", {"arch": "arm64", "force": True})),
        (("--arch", "arm64", "--arch", "arm64"), ("make_base", {"arch": "arm64"})),
        (
            ("--arch", "amd64", "--arch", "arm64"),
            ("make_joined_base", {"archs": ["amd64", "arm64"], "push": None}),
        ),
        (("--push", "r.example/a:b"), ("make_joined_base", {"archs": [], "push": "r.example/a:b"})),
    ],
)
def test_base(call, monkeypatch, words, made):
    seen = []

    def play(name):
        return lambda *_, **options: seen.append((name, options)) or "its:name"

    monkeypatch.setattr(engines, "find", lambda _env: None)
    for name in ("make_base", "make_joined_base"):
        monkeypatch.setattr(base, name, play(name))
    done = call("base", "--suite", "trixie", *words)
    assert (done.exit_code, done.stdout) == (0, "its:name\n")
    ((name, options),) = seen
    assert name == made[0]
    assert options.items() >= (made[1] | {"suite": "trixie"}).items()


@pytest.mark.parametrize("command", ["emulate", "base"])
def test_an_architecture_that_is_not_known(call, command):
    words = ("vax",) if command == "emulate" else ("--arch", "vax")
    assert call(command, *words).exit_code == 2


def test_emulate(call, monkeypatch):
    answers = {"arm64": True, "amd64": False}
    monkeypatch.setattr(emulation, "ensure", lambda arch, *_: answers[arch])
    monkeypatch.setattr(emulation, "other", lambda: "amd64")
    done = call("emulate", "arm64")
    assert (done.exit_code, done.stdout) == (0, "")
    assert "programs for linux/arm64 run here now" in done.stderr
    assert "programs for linux/amd64 run here already" in call("emulate").stderr


def test_emulate_remove(call, monkeypatch):
    asked = []
    monkeypatch.setattr(emulation, "remove", lambda _env, arch: asked.append(arch) or ("arm64",))
    assert "the emulator for arm64 is away" in call("emulate", "--remove").stderr
    monkeypatch.setattr(emulation, "remove", lambda _env, arch: asked.append(arch) or ())
    assert "dynbuild has registered no emulator" in call("emulate", "amd64", "--remove").stderr
    assert asked == [None, "amd64"]
