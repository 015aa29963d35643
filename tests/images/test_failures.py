"""What a user sees when a build goes wrong, and what it leaves behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid

import psutil
import pytest

from tests.conftest import DEMO
from tests.session import NAME as RUN


@pytest.fixture
def context(tmp_path):
    path = tmp_path / "tree"
    path.mkdir()
    return path


def _ucx(tmp_path, configure):
    """A source tree in UCX's place whose configure script is *configure*."""
    path = tmp_path / "ucx"
    path.mkdir()
    for name, text in (("configure", "exit 0"), ("contrib/configure-release", configure)):
        script = path / name
        script.parent.mkdir(exist_ok=True)
        script.write_text(f"#!/bin/sh\n{text}\n")
        script.chmod(0o755)
    return path


def _flags(context, ucx):
    return (
        "build", "--config", str(DEMO / "dynbuild.toml"), "--context", str(context),
        "--source", f"ucx={ucx}", "--no-load",
    )  # fmt: skip


def _record(context):
    (record,) = (p for p in (context / ".dynbuild" / "builds").iterdir() if not p.is_symlink())
    return record


def test_failing_step_is_named_with_its_last_lines_and_the_log(dynbuild, context, tmp_path):
    ucx = _ucx(tmp_path, f"echo 'no such compiler {uuid.uuid4()}'; echo the last line >&2; exit 7")
    done = dynbuild(*_flags(context, ucx))
    assert done.returncode == 1
    assert "error: the step failed: [ucx 2/2] RUN cd /source" in done.stderr
    assert "no such compiler" in done.stderr
    assert "the last line" in done.stderr
    assert "exit code: 7" in done.stderr
    record = _record(context)
    assert f"the whole log: {record / 'log'}" in done.stderr
    assert "the last line" in (record / "log").read_text()
    assert json.loads((record / "result.json").read_text())["status"] == "failed"
    assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("dynbuild")
@pytest.mark.parametrize(
    ("number", "group"),
    [(signal.SIGINT, False), (signal.SIGINT, True), (signal.SIGTERM, False)],
    ids=["SIGINT", "Ctrl-C on a terminal", "SIGTERM"],
)
def test_interrupt_cancels_the_build_and_closes_the_record(context, tmp_path, number, group):
    # The sleep is a number nobody else sleeps, so that it can be found from outside.
    mark = f"{uuid.uuid4().int % 10**6 + 10**6}"
    ucx = _ucx(tmp_path, f"exec sleep {mark}")
    process = subprocess.Popen(
        [sys.executable, "-m", "dynbuild", *_flags(context, ucx)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ),
        start_new_session=True,
    )  # fmt: skip
    with process:
        try:
            _await(lambda: _sleeping(mark), process)
            # A terminal signals the whole group: the docker client hears it as well.
            (os.killpg if group else os.kill)(process.pid, number)
            _, stderr = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130, stderr
    assert "interrupted" in stderr
    assert "Traceback" not in stderr
    _await(lambda: not _sleeping(mark), None)
    record = _record(context)
    assert json.loads((record / "result.json").read_text())["status"] == "interrupted"
    for line in (record / "events.jsonl").read_text().splitlines():
        json.loads(line)
    assert not list(record.glob(".*.part"))


def _sleeping(mark):
    for process in psutil.process_iter(["cmdline"]):
        if process.info["cmdline"] == ["sleep", mark]:
            return True
    return False


def _await(condition, process, seconds=600):
    end = time.monotonic() + seconds
    while not condition():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.2)


def test_engine_that_does_not_answer(dynbuild, context, tmp_path):
    done = dynbuild(
        "build", "--config", str(DEMO / "dynbuild.toml"), "--context", str(context),
        env={"DOCKER_HOST": f"unix://{tmp_path}/none.sock"},
    )  # fmt: skip
    assert done.returncode == 3
    assert "DOCKER_HOST" in done.stderr
    assert not (context / ".dynbuild").exists()


def test_base_image_that_cannot_be_pulled(dynbuild, context):
    done = dynbuild(
        "build", "--config", str(DEMO / "dynbuild.toml"), "--context", str(context),
        "--base-image", "127.0.0.1:9/no/such", "--no-load",
    )  # fmt: skip
    assert done.returncode == 1
    assert "127.0.0.1:9/no/such" in done.stderr
    assert "--base-image" in done.stderr


def test_image_to_run_that_is_not_there(dynbuild):
    done = dynbuild("run", "--image", f"{RUN}/none:such", "--gpus", "none")
    assert done.returncode == 3
    assert "nothing is pulled here" in done.stderr
