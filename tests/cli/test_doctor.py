from __future__ import annotations

import json
import os
import re
import typing
from unittest import mock

import pytest
import typer
from typer.testing import CliRunner

from dynbuild.cli import console
from dynbuild.cli import doctor as commands
from dynbuild.doctor import examination, model
from dynbuild.doctor.model import Check
from dynbuild.errors import NotReady
from dynbuild.report.display import Display

pytestmark = pytest.mark.processes("docker", "git", "nvcc", "nvidia-smi")


@pytest.fixture
def env(tmp_path):
    """An environment in which DOCKER_HOST points nowhere."""
    found = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(tmp_path),
        "DYNBUILD_HOME": str(tmp_path / "own"),
        "DOCKER_HOST": f"unix://{tmp_path}/none.sock",
        "MY_TOKEN": "correct-horse",
        "ODD": "two\nlines\x1b[31m",
    }
    with mock.patch.dict(os.environ, found, clear=True):
        yield found


CHECKS = (
    Check(name="engine", status="ok", value="private, Docker 28"),
    Check(name="buildx", status="warning", value="old " * 30, remedy="renew it " * 20),
    Check(name="GPU", status="absent", value="none", remedy="--gpus none"),
    Check(name="disk", status="ok", value=""),
)


@pytest.fixture
def examined(monkeypatch):
    def pretend(*checks):
        monkeypatch.setattr(examination, "examine", lambda _env, _context: checks)

    return pretend


@pytest.mark.usefixtures("env")
def test_no_engine_exits_with_3_after_the_table(tmp_path, capsys):
    with pytest.raises(NotReady) as caught:
        commands.doctor("table", str(tmp_path))
    assert caught.value.exit_code == 3
    assert caught.value.message == "this machine is not ready: engine"
    assert caught.value.hint
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("engine")
    assert "problem" in out[0]
    assert [line for line in out if line.startswith("HF cache")]


@pytest.mark.usefixtures("env")
def test_no_engine_exits_with_3_after_the_json(tmp_path, capsys):
    with pytest.raises(NotReady):
        commands.doctor("json", str(tmp_path))
    found = json.loads(capsys.readouterr().out)
    assert (found["schema"], found["ready"]) == (1, False)
    for check in found["checks"]:
        assert check.keys() == {"name", "status", "value", "remedy"}
        assert check["status"] in typing.get_args(model.Status)


def test_warnings_are_no_failure(examined, capsys):
    examined(*CHECKS)
    assert commands.doctor("table", ".") is None
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "engine  ok       private, Docker 28"
    assert out[-1] == "disk    ok"
    assert "                 -> --gpus none" in out
    assert commands.doctor("json", ".") is None
    assert json.loads(capsys.readouterr().out)["ready"] is True


def test_a_terminal_gets_colour_in_the_same_places(examined, capsys, monkeypatch):
    examined(*CHECKS)
    commands.doctor("table", ".")
    plain = capsys.readouterr().out
    monkeypatch.setattr(console, "out_display", lambda: Display(colour=True))
    commands.doctor("table", ".")
    coloured = capsys.readouterr().out
    assert "\x1b[32mok\x1b[0m" in coloured
    assert re.sub(r"\x1b\[\d+m", "", coloured) == plain


@pytest.mark.usefixtures("env")
def test_env_masks_secrets_and_keeps_lines_whole(tmp_path, capsys):
    commands.env("text", str(tmp_path))
    out = capsys.readouterr().out
    assert "  MY_TOKEN=<masked, 13 characters>" in out
    assert f"  HOME={tmp_path}" in out
    assert r"  ODD=two\nlines\x1b[31m" in out
    assert "correct-horse" not in out
    for title in ("dynbuild", "python", "kernel", "engine:", "tools:", "git:", "variables:"):
        assert [line for line in out.splitlines() if line.startswith(title)]


def test_env_as_json(env, tmp_path, capsys):
    commands.env("json", str(tmp_path))
    found = json.loads(capsys.readouterr().out)
    assert found["variables"]["ODD"] == env["ODD"]
    assert found["variables"]["MY_TOKEN"] == "<masked, 13 characters>"
    assert list(found["variables"]) == sorted(found["variables"])
    assert "error" in found["engine"]


@pytest.mark.parametrize("name", ["doctor", "env"])
def test_help_has_examples_and_fits(name):
    app = typer.Typer(rich_markup_mode="rich")
    app.command("doctor")(commands.doctor)
    app.command("env")(commands.env)
    done = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "80", "TERM": "dumb"})
    assert done.exit_code == 0
    assert f"dynbuild {name} --format json" in done.stdout.replace("--context ~/dynamo ", "")
    assert CliRunner().invoke(app, [name, "--format", "yaml"]).exit_code == 2
