"""A build that is watched from another terminal."""

import contextlib
import json
import subprocess
import sys
import time

import pytest

from dynbuild.build import archive
from dynbuild.build.record import Record
from tests import fake_docker
from tests.cli.test_progress_display import path_of, step, words
from tests.report.builds import vertex
from tests.support import DEMO, ENV, ROOT, call
from tests.terminal import Session

pytestmark = pytest.mark.processes("docker", "git", "python", "python3", "python3.11")

FAILED = fake_docker.progress(error="exit code: 2", printed="no rule to make it\n").splitlines()


@contextlib.contextmanager
def running(docker, tree, *argv):
    """A build beside the test, once its record is there; it may end as it likes."""
    process = subprocess.Popen(
        [sys.executable, "-m", "dynbuild", *map(str, argv)],
        env={**ENV, **path_of(docker)}, cwd=ROOT, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        ends = time.monotonic() + 60
        while not any(one.events.exists() for one in archive.records(tree)):
            assert time.monotonic() < ends
            assert process.poll() is None
            time.sleep(0.05)
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_build_is_watched_to_its_end(docker, tree):
    docker.says(
        play=fake_docker.played(FAILED[:-1], 0, f"{fake_docker.GATE}; echo '{FAILED[-1]}'; exit 1")
    )
    with (
        running(docker, tree, *words(tree)),
        Session("attach", "--context", tree) as session,
    ):
        assert "none-runtime-cpu+index" in session.read("ucx 2/2")
        docker.go()
        assert session.end() == 1
    assert "no rule to make it" in session.screen.text
    assert session.screen.cursor


def test_the_end_of_the_view_is_not_that_of_the_build(docker, tree):
    docker.says(play=fake_docker.played([step("[ucx 2/2] RUN make")], 0, "sleep 30"))
    with running(docker, tree, *words(tree)) as build:
        with Session("attach", "--context", tree) as session:
            session.read("ucx 2/2")
            session.interrupt()
            assert session.end() == 0
        assert "the build goes on" in session.screen.text
        assert session.screen.cursor
        assert build.poll() is None


def test_a_matrix_is_watched_to_its_end(docker, tree):
    docker.says(play=fake_docker.played([step("[ucx 2/2] RUN make")], 0, fake_docker.GATE))
    argv = ("matrix", "--config", DEMO / "dynbuild.toml", "--context", tree)
    with (
        running(docker, tree, *argv, "--target", "runtime,dev"),
        Session("attach", "--context", tree) as session,
    ):
        session.read("cells")
        docker.go()
        session.end()
    heads = [text for _, text in session.screens if " cells: " in text]
    assert heads
    assert "steps" in session.screen.text


def test_one_that_is_over_is_shown_at_once(docker, tree):
    assert call(*words(tree), env=path_of(docker)).code == 0
    done = call("attach", "~0", "--context", tree)
    assert done.code == 0, done.err
    assert "1 run, 0 cached" in done.out or "0 run, 1 cached" in done.out
    assert call("attach", "--context", tree).code == 2


def test_one_that_was_killed_is_told(tree, monkeypatch):
    monkeypatch.setattr("dynbuild.cli.attach._SILENCE_SECONDS", 0)
    folder = tree / ".dynbuild" / "builds" / "20261122T013012-999999999-none-runtime-cpu"
    folder.mkdir(parents=True)
    one = Record(folder)
    one.events.write_text(vertex("sha256:1", "[ucx 2/2] RUN make", 0, 9) + '{"vertexes": [{"dig')
    done = call("attach", "none-runtime-cpu", "--context", tree, "--progress", "json")
    assert done.code == 1
    events = [json.loads(line) for line in done.err.splitlines()]
    assert [event["event"] for event in events[:3]] == [
        "record-begun",
        "step-started",
        "step-ended",
    ]
    assert "nothing is heard" in done.err


def test_no_build_runs(tree):
    done = call("attach", "--context", tree)
    assert done.code == 2
    assert "no build of" in done.err
    assert not list(tree.iterdir())
