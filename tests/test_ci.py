"""What .ci/run puts around the test command, with a stand-in for make."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support import ROOT

pytestmark = pytest.mark.processes("env")


@pytest.fixture
def start(tmp_path):
    """Starts .ci/run from elsewhere, where make is a shell script; it notes its environment."""

    def run(script):
        make = tmp_path / "make"
        make.write_text(
            f"#!/bin/sh\nprintenv DYNBUILD_HOME TMPDIR CI > {tmp_path}/seen\n{script}\n"
        )
        make.chmod(0o755)
        path = f"{tmp_path}:{os.environ['PATH']}"
        env = os.environ | {"PATH": path, "DYNBUILD_HOME": "/nonexistent", "CI": ""}
        # A shell cannot trap what its caller ignored, as what runs in the background does.
        argv = ["env", "--default-signal=INT,HUP,TERM", ROOT / ".ci" / "run"]
        return subprocess.Popen(argv, cwd=tmp_path, env=env, stdin=subprocess.DEVNULL)

    return run


def seen(tmp_path):
    home, files, ci = (tmp_path / "seen").read_text().splitlines()
    return Path(home), Path(files), ci


@pytest.mark.parametrize("status", [0, 1, 2])
def test_the_status_is_that_of_the_test_command_and_nothing_is_left(start, tmp_path, status):
    script = (
        f'ls -A "$DYNBUILD_HOME" "$TMPDIR" > {tmp_path}/before; touch "$TMPDIR/x"; exit {status}'
    )
    with start(script) as process:
        assert process.wait() == status
    home, files, ci = seen(tmp_path)
    assert (tmp_path / "before").read_text().split() == [f"{home}:", f"{files}:"]
    assert ci == "true"
    assert home.parent == files.parent
    assert not home.parent.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_the_tests_and_leaves_nothing(start, tmp_path, number):
    os.mkfifo(tmp_path / "ready")
    with start(f"sh -c 'echo $$ > {tmp_path}/ready; exec sleep 1000'") as process:
        child = int((tmp_path / "ready").read_text())
        process.send_signal(number)
        assert process.wait() == 128 + number
    home, _, _ = seen(tmp_path)
    assert not home.parent.exists()
    assert not Path(f"/proc/{child}").exists()


def test_sockets_have_room_below_it(start, tmp_path):
    """The path of a socket has at most 107 bytes; the engine's own state stays in its home."""
    with start("exit 0") as process:
        process.wait()
    home, files, _ = seen(tmp_path)
    assert len(f"{home}/engine/run") <= 70
    assert len(f"{files}/dynbuild-12345678/engine/run") <= 70
