import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dynbuild import __version__
from dynbuild.cli import commands, console
from dynbuild.errors import BuildFailed, Interrupted, NotReady, RequestError, TemplateError
from dynbuild.report.display import Display
from tests.support import DEMO, ENV, ROOT, Terminal, call, spawn

COMMANDS = ("build", "plan", "render", "run", "engine")


def test_the_version():
    result = call("--version")
    assert (result.code, result.out, result.err) == (0, f"dynbuild {__version__}\n", "")


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_names_every_command_and_status(flag):
    result = call(flag)
    assert (result.code, result.err) == (0, "")
    assert all(command in result.out for command in COMMANDS)
    text = " ".join(result.out.split())
    for status in (
        "0 done",
        "1 the build or run failed",
        "2 the request is wrong",
        "130 interrupted",
    ):
        assert status in text


@pytest.mark.parametrize("command", ["build", "plan", "render", "run"])
def test_the_help_of_a_command_has_examples(command):
    result = call(command, "--help")
    assert result.code == 0
    assert "Examples" in result.out
    assert f"dynbuild {command} " in result.out


@pytest.mark.parametrize("command", ["build", "plan", "render", "run"])
def test_help_fits_eighty_columns(command):
    assert max(map(len, call(command, "--help").out.splitlines())) <= 80


@pytest.mark.parametrize("argv", [[], ["plna"], ["plan", "stray"]], ids=" ".join)
def test_no_help_among_the_results(argv):
    assert call(*argv).out == ""


@pytest.mark.parametrize("argv", [[], ["--quiet"], ["engine"], ["history"], ["sccache"]])
def test_no_command_shows_the_help_and_is_wrong(argv):
    result = call(*argv)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("Usage: dynbuild")
    assert "\nCommands:\n" in result.err
    assert "error:" not in result.err


SECRET = "ghp_0123456789abcdef0123456789"


@pytest.mark.parametrize(
    ("argv", "message", "hint"),
    [
        (["plna"], "No such command 'plna'", "'dynbuild --help'"),
        (["plan", "--framewrok", "none"], "No such option: --framewrok", "'dynbuild plan --help'"),
        (["plan", "--framework"], "'--framework' requires an argument", ""),
        (["plan", "--format", "yaml"], "'yaml' is not one of", "'dynbuild plan --help'"),
        (["plan", "stray"], "unexpected extra argument", "'dynbuild plan --help'"),
        (["plan", f"--{SECRET}"], "No such option: --<masked", "'dynbuild plan --help'"),
        (["build", "--use-sccache", SECRET], "unexpected extra argument", ""),
        (["build", f"--progress={SECRET}"], "is not one of", ""),
        (["plan", "bob:abcdef@host"], "unexpected extra argument", ""),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_command_line_that_makes_no_sense(argv, message, hint):
    result = call(*argv)
    assert result.code == 2
    assert message in result.err
    assert hint in result.hint
    assert "Traceback" not in result.err
    assert "abcdef" not in result.err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RequestError("a"), 2),
        (TemplateError("a"), 2),
        (NotReady("a"), 3),
        (BuildFailed("a"), 1),
        (Interrupted("a"), 130),
        (KeyboardInterrupt(), 130),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_every_failure_has_its_status(monkeypatch, error, code):
    def fail(**_):
        raise error

    monkeypatch.setattr(commands, "app", fail)
    result = call("plan")
    assert (result.code, result.out) == (code, "")
    assert "Traceback" not in result.err


def test_an_error_is_shown_with_all_it_knows(monkeypatch):
    def fail(**_):
        raise RequestError("it is wrong", hint="mend it", origin="flag --x", details=("one", "two"))

    monkeypatch.setattr(commands, "app", fail)
    assert call("plan").err == ("error: it is wrong (from flag --x)\n  one\n  two\nhint: mend it\n")


def divide(**_):
    1 / 0  # noqa: B018


@pytest.mark.parametrize("argv", [["plan"], ["-vv", "plan"], ["plan", "-vv"]], ids=" ".join)
def test_a_mistake_of_ours_is_one_sentence_and_with_vv_all_of_it(monkeypatch, argv):
    monkeypatch.setattr("dynbuild.settings.load.Lines", divide)
    result = call(*argv)
    assert (result.code, result.out) == (70, "")
    *before, said, hint = result.err.splitlines()
    assert said.startswith("error: this is a bug of dynbuild: ZeroDivisionError: division by zero")
    assert "-vv" in hint
    assert "dynbuild env" in hint
    assert ("Traceback" in "".join(before)) == ("-vv" in argv)
    assert bool(before) == ("-vv" in argv)


@pytest.mark.parametrize("argv", [["plan"], ["-vv", "plan"]], ids=" ".join)
def test_a_mistake_of_ours_tells_no_secret(monkeypatch, argv):
    def fail(**_):
        raise ValueError("https://ada:hunter2@example.com/")

    monkeypatch.setattr("dynbuild.settings.load.Lines", fail)
    result = call(*argv)
    assert result.code == 70
    assert "example.com" in result.err
    assert "hunter2" not in result.err


# ---- the commands ------------------------------------------------------------------------


@pytest.mark.parametrize("name", commands.COMMANDS)
def test_the_table_says_what_the_commands_say(name):
    usage, about, *_ = call(name, "--help").out.split("\n\n")
    assert usage.startswith(f"Usage: dynbuild {name} ")
    assert " ".join(about.split()) == commands.COMMANDS[name].help


def test_help_says_what_options_say():
    text = call("plan", "--help").out
    assert "\nWhat to build:\n  --framework NAME  " in text
    assert "  -q, --quiet            Show only errors and results.\n" in text
    assert "[default: table]" in text
    assert "\n  dynbuild plan --framework none --target runtime\n" in text
    # A command that is too long for a line can be copied all the same.
    assert "--cuda-version 13.0 \\\n      --format json\n" in text


@pytest.mark.processes("git")
@pytest.mark.parametrize("argv", [["plan", "--no-cache", "-v"], ["run", "--image", "x", "-q"]])
def test_values_of_options_keep_their_kinds(argv):
    more = ["--format", "json", "--context", DEMO, *(["--dry-run"] if argv[0] == "run" else [])]
    result = call(*argv, *more)
    assert result.code == 0, result.err
    json.loads(result.out)


# ---- the console -------------------------------------------------------------------------


@pytest.mark.processes("git")
@pytest.mark.parametrize(
    ("argv", "env", "level"),
    [
        ([], {}, 0),
        (["-v"], {}, 1),
        (["-vv"], {}, 2),
        (["-v", "--verbose"], {}, 2),
        ([], {"DYNBUILD_LOG": "info"}, 1),
        ([], {"DYNBUILD_LOG": " Debug "}, 2),
        (["-vv"], {"DYNBUILD_LOG": "info"}, 2),
        ([], {"DYNBUILD_LOG": "nonsense"}, 0),
        ([], {"DYNBUILD_LOG": "quiet"}, -1),
        (["-q"], {"DYNBUILD_LOG": "debug"}, -1),
    ],
)
def test_how_much_is_said(argv, env, level):
    for words in (
        (*argv, "run", "--dry-run", "--image", "x"),
        (*argv, "plan", "--context", DEMO),
        ("plan", "--context", DEMO, *argv),
    ):
        assert call(*words, env=env).code == 0
        assert console.verbosity() == level


@pytest.mark.processes("git")
def test_quiet_shows_errors_and_results_only():
    words = ("plan", "--framework", "none", "--target", "runtime", "--efa-version", "1.45.1")
    loud, quiet = (call(*words, "--context", DEMO, *more) for more in ((), ("-q",)))
    assert "warning: EFA_VERSION" in loud.err
    assert quiet.err == ""
    assert quiet.out == loud.out
    assert call("-q", "plan", "--framework", "vlm").err.startswith("error: there is no framework")


def test_the_letter_v_is_a_volume_of_run():
    words = ("run", "--dry-run", "--image", "x", "--verbose", "-v", "/data:/data")
    assert "-v /data:/data" in call(*words).out
    assert console.verbosity() == 1


@pytest.mark.processes("git", "python")
def test_no_colour_where_nobody_looks():
    result = call("plan", "--framework", "nothing")
    assert "\x1b" not in result.err + call("--help").out


@pytest.mark.parametrize(
    ("env", "colour"),
    [
        ({"TERM": "xterm"}, True),
        ({"TERM": "dumb"}, False),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
        ({"TERM": "xterm", "NO_COLOR": ""}, True),
    ],
)
def test_colour_on_a_terminal_that_wants_it(monkeypatch, env, colour):
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    styled = console.display(Terminal()).style("x", "red")
    assert styled == ("\x1b[31mx\x1b[0m" if colour else "x")


@pytest.mark.parametrize(("columns", "width"), [("132", 132), ("", 80), ("0", 80)])
def test_the_width_of_a_terminal(monkeypatch, columns, width):
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr(sys, "__stdout__", io.StringIO())
    assert console.display(Terminal()).width == width


def test_a_pipe_has_no_width_and_no_colour(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm")
    assert console.display(io.StringIO()) == Display()


# ---- as a process ------------------------------------------------------------------------


@pytest.mark.processes("python")
def test_as_a_program():
    result = spawn("--version")
    assert (result.code, result.out) == (0, f"dynbuild {__version__}\n")


@pytest.mark.processes("dynbuild")
def test_as_the_installed_script():
    script = Path(sys.executable).parent / "dynbuild"
    done = subprocess.run(
        [script, "--version"], env=ENV, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"dynbuild {__version__}\n"


@pytest.mark.processes("python")
def test_a_reader_that_goes_away():
    command = [sys.executable, "-m", "dynbuild", "render", "--context", str(DEMO)]
    process = subprocess.Popen(
        command, cwd=ROOT, env=ENV, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    assert process.wait() == 1
    assert "Traceback" not in said
    assert "BrokenPipe" not in said


@pytest.mark.processes("python")
def test_an_error_as_a_process():
    result = spawn("plan", "--framework", "vlm")
    assert (result.code, result.out) == (2, "")
    assert re.match(r"error: there is no framework 'vlm' \(from flag --framework\)\n", result.err)
    assert "did you mean 'vllm'?" in result.hint


@pytest.mark.processes("python")
def test_a_plan_as_a_process():
    result = spawn("plan", "--context", DEMO, "--format", "json")
    assert result.code == 0
    assert json.loads(result.out)["schema"] == 1
