"""Consent to what a tree's own settings file asks for, command by command."""

import json
import os
import subprocess
import sys

import pytest

from tests.support import ENV, NONE_CPU, call, source_tree, spawn

pytestmark = pytest.mark.processes("git", "python", "docker")

SETTINGS = """[request]
framework = "none"
target = "frontend"
device = "cpu"
network = "host"
build_epp = true
[contexts]
base = "/"
[run]
privileged = true
volume = ["/:/host"]
"""
ASKED = ("dynbuild.toml:5: request.network = host", "dynbuild.toml:6: request.build_epp")
OF_RUN = ("dynbuild.toml:10: run.privileged", "dynbuild.toml:11: run.volume = /:/host")
NO_ENGINE = {"DOCKER_HOST": "unix:///nowhere"}


@pytest.fixture
def tree(tmp_path):
    """A tree that asks for much, and whose commands leave marks."""
    folder = source_tree(tmp_path / "tree")
    (folder / "dynbuild.toml").write_text(SETTINGS)
    picker = folder / "deploy/inference-gateway/epp"
    picker.mkdir(parents=True)
    (picker / "Makefile").write_text(f"all:\n\ttouch {tmp_path}/mark\n")
    return folder


@pytest.fixture
def run(tree, tmp_path):
    def call_it(*words, **env):
        home = {"DYNBUILD_HOME": str(tmp_path / "home"), **NO_ENGINE, **env}
        return call(*words, "--context", tree, env=home)

    return call_it


@pytest.mark.parametrize(("command", "lines"), [("build", ASKED), ("run", OF_RUN)])
def test_without_consent_nothing_is_done(run, command, lines, tmp_path):
    result = run(command)
    assert result.code == 2
    assert "was taken because it is in the tree, and asks for more than a tree may do" in result.err
    assert all(line in result.err for line in lines)
    assert "hint: --trust consents to it" in result.err
    assert not (tmp_path / "mark").exists()
    assert not (tmp_path / "home").exists()


def test_a_consent_is_given_once_for_one_content(run, tree):
    given = run("build", "--trust")
    # It went on, to where there is no engine.
    assert given.code == 3
    assert "trusted from now on" in given.err
    assert all(line in given.err for line in (*ASKED, *OF_RUN))
    for command in ("build", "run", "build"):
        again = run(command)
        assert again.code == 3
        assert "trust" not in again.err
    (tree / "dynbuild.toml").write_text(SETTINGS + "# another\n")
    assert run("build").code == 2


def test_a_file_that_is_named_is_the_callers(run, tree):
    assert run("build", "--config", tree / "dynbuild.toml").code == 3
    assert run("run", "--config", tree / "dynbuild.toml").code == 3


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (("plan",), ASKED),
        (("plan", "--format", "json"), ASKED),
        (("plan", "--offline"), ASKED),
        (("render",), ASKED),
        (("build", "--dry-run"), ASKED),
        (("run", "--dry-run"), OF_RUN),
        (("run", "--export", "compose"), OF_RUN),
        (("devcontainer", "--output", "-"), OF_RUN[1:]),
        (("doctor",), ()),
        (("env",), ()),
    ],
    ids=" ".join,
)
def test_what_only_looks_goes_on_and_tells(tree, tmp_path, words, lines):
    before = {path: path.stat().st_mtime_ns for path in (tmp_path, *tree.rglob("*"), tree)}
    env = {"DYNBUILD_HOME": str(tmp_path / "home"), **NO_ENGINE}
    result = spawn(*words, "--context", tree, env=env)
    assert result.code in (0, 2 if "--offline" in words else 0, 3 if words == ("doctor",) else 0)
    told = result.out if "json" in words else result.err
    assert all(f"{line}" in told for line in lines)
    assert told.count("asks for --trust") >= len(lines)
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_what_was_consented_to_is_no_warning(run):
    run("build", "--trust")
    assert "asks for" not in run("plan").err
    assert json.loads(run("plan", "--format", "json").out)["network"] == "host"


@pytest.mark.parametrize(
    ("answer", "env", "code"), [("y\n", {}, 3), ("n\n", {}, 2), ("y\n", {"CI": "true"}, 2)]
)
def test_somebody_at_a_terminal_is_asked(tree, tmp_path, answer, env, code):
    main, end = os.openpty()
    os.write(main, answer.encode())
    done = subprocess.run(
        [sys.executable, "-m", "dynbuild", "build", "--context", tree],
        env={**ENV, **NO_ENGINE, "DYNBUILD_HOME": str(tmp_path / "home"), **env},
        stdin=end, stdout=subprocess.PIPE, stderr=end, check=False, timeout=60,
    )  # fmt: skip
    said = os.read(main, 100_000).decode()
    os.close(main)
    os.close(end)
    assert done.returncode == code, said
    assert ("Trust it with that?" in said) is not bool(env)
    assert (tmp_path / "home/trust").exists() is (code == 3)


def test_the_bucket_that_a_tree_names_is_not_asked(tmp_path):
    (tmp_path / "dynbuild.toml").write_text(
        '[args]\nSCCACHE_BUCKET = "theirs"\nSCCACHE_REGION = "eu-central-1"\n'
    )
    for command in ("check", "prune", "stats"):
        more = ("--older-than", "1d") if command == "prune" else ()
        result = call("sccache", command, *more, "--context", tmp_path)
        assert result.code == 2
        assert "args.SCCACHE_BUCKET = theirs: your AWS credentials are used there" in result.err


def test_a_secret_in_the_file_is_not_told(run, tree):
    (tree / "dynbuild.toml").write_text('[run]\nvolume = ["/ghp_0123456789abcdefghij:/x"]\n')
    for words in (("run",), ("run", "--trust"), ("run", "--dry-run")):
        assert "0123456789abcdefghij" not in run(*words).err


def test_a_tree_that_asks_for_nothing_is_not_asked(tmp_path):
    words = [word for name, text in NONE_CPU.items() for word in (f"--{name}", text)]
    (tmp_path / "dynbuild.toml").write_text('[request]\nrepository = "mine"\n')
    result = call("plan", *words, "--dynamo-wheels", "index", "--context", tmp_path)
    assert (result.code, "trust" in result.err) == (0, False)
