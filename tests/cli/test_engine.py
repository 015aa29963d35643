from __future__ import annotations

import json
import shlex

import pytest
from typer.testing import CliRunner

from dynbuild.cli import engine as commands
from dynbuild.engine import Engine, private
from dynbuild.errors import NotReady


@pytest.fixture
def call(tmp_path, monkeypatch):
    monkeypatch.setenv("DYNBUILD_HOME", str(tmp_path))
    monkeypatch.delenv("DOCKER_HOST", raising=False)

    def invoke(*argv):
        return CliRunner().invoke(commands.app, argv)

    return invoke


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


@pytest.mark.parametrize(("count", "text"), [(0, "0 kB"), (88e6, "88 MB"), (3.2e9, "3.2 GB")])
def test_sizes(count, text):
    assert commands._bytes(int(count)) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(61, "1 min 1 s"), (7260, "2 h 1 min"), (180000, "2 days")]
)
def test_durations(seconds, text):
    assert commands._duration(seconds) == text
