from __future__ import annotations

import dataclasses
import json
import shlex
from datetime import timedelta

import pytest
import typer
from typer.testing import CliRunner

from dynbuild.cli import engine as commands
from dynbuild.cli import prompt
from dynbuild.engine import base, emulation, private
from dynbuild.engine import client as engines
from dynbuild.engine.model import Engine
from dynbuild.errors import Interrupted, NotReady, RequestError


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


@pytest.fixture
def unused(monkeypatch):
    """An engine with an unused image; what is asked for and what is removed."""
    asked = []
    found = [private.storage.Unused("image", "old:1", 5_000_000)]
    monkeypatch.setattr(private, "unused", lambda _env, which: asked.append(which) or found)
    monkeypatch.setattr(private, "prune", lambda _env, which: asked.append(which) or 7_000_000)
    return asked


@pytest.mark.parametrize(
    ("words", "chosen"),
    [
        ((), {}),
        (("--images",), {"cache": False}),
        (("--cache",), {"images": False}),
        (("--images", "--cache", "--older-than", "7d"), {"older": timedelta(days=7)}),
    ],
)
def test_what_prune_is_about(call, unused, words, chosen):
    assert "7 MB freed" in call("prune", *words).stderr
    done = call("prune", "--dry-run", *words)
    assert "old:1" in done.stdout
    assert "1 would go" in done.stderr
    assert unused == [private.Selection(**chosen)] * 2, (
        "in a script nothing is asked, and a dry run removes nothing"
    )


@pytest.mark.parametrize("answer", ["y", "n", ""])
def test_prune_asks_on_a_terminal(call, unused, monkeypatch, answer):
    monkeypatch.setattr(prompt, "is_interactive", lambda: True)
    monkeypatch.setattr(typer, "confirm", lambda *_, **__: answer == "y")
    done = call("prune")
    assert "old:1" in done.stdout
    assert len(unused) == (2 if answer == "y" else 1)
    assert isinstance(done.exception, Interrupted) == (answer != "y")
    unused.clear()
    call("prune", "--yes")
    assert len(unused) == 1


@pytest.mark.processes("du")
def test_prune_of_everything(call, monkeypatch):
    removed = []
    monkeypatch.setattr(private, "remove", lambda _env: removed.append(1) or 7_000_000)
    for words in (("--cache",), ("--older-than", "1d"), ("--images",)):
        assert isinstance(call("prune", "--all", *words).exception, RequestError)
    assert "would go" in call("prune", "--all", "--dry-run").stderr
    assert removed == []
    assert "7 MB freed" in call("prune", "--all").stderr


def test_an_engine_that_others_use_is_not_ended(call, monkeypatch):
    monkeypatch.setattr(private, "down", lambda _env: True)
    monkeypatch.setattr(private, "leave", lambda _env: ("/other/.venv",))
    assert "/other/.venv uses it" in call("down", "--if-unused").stderr
    assert "is down" in call("down").stderr
    monkeypatch.setattr(private, "leave", lambda _env: ())
    assert "is down" in call("down", "--if-unused").stderr


@pytest.mark.processes("du")
def test_a_broken_engine_has_a_remedy(call, monkeypatch):
    status = private.status
    broken = {"running": False, "trouble": "containerd has ended; dockerd still runs", "pid": 1}
    monkeypatch.setattr(private, "status", lambda env: dataclasses.replace(status(env), **broken))
    lines = call("status").stdout.splitlines()
    assert lines[0] == "state     broken: containerd has ended; dockerd still runs"
    assert lines[1] == "remedy    run `dynbuild engine up`"


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

    engine = Engine("system", "/docker", None, None, "28", "0.29", True)
    monkeypatch.setattr(engines, "find", lambda _env: engine)
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
