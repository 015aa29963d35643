"""What a build shows on a terminal, in a pipe and to a program while it runs."""

import itertools
import json
import os
from pathlib import Path

import pytest

from dynbuild.build import record, recording, step_times
from dynbuild.build.result import ImageResult, Steps
from dynbuild.cli import progress_display
from dynbuild.report.live import Live
from tests import fake_docker
from tests.report import builds
from tests.support import DEMO, ROOT, call
from tests.terminal import Session

pytestmark = pytest.mark.processes("docker", "git", "python", "python3", "python3.11")

RECORDINGS = ROOT / "tests" / "data" / "events"
WARNING = "the context is no git repository"


def words(tree, *more):
    return ("build", "--config", DEMO / "dynbuild.toml", "--context", tree, *more)


def path_of(docker):
    return {"PATH": f"{docker.path}{os.pathsep}{os.environ['PATH']}"}


def slowly(docker, name, seconds, end=""):
    lines = (RECORDINGS / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    docker.says(play=fake_docker.played(lines, seconds, end))


def step(name, digest="sha256:1", **more):
    return json.dumps(
        {"vertexes": [{"digest": digest, "name": name, "started": "2026-01-02T03:04:05Z", **more}]}
    )


@pytest.mark.parametrize(("columns", "rows", "plain"), [(80, 24, False), (200, 50, True)])
def test_a_build_on_a_terminal(docker, tree, columns, rows, plain):
    slowly(docker, "single", 0.1)
    env = path_of(docker) | ({"NO_COLOR": "1"} if plain else {})
    with Session(*words(tree), columns=columns, rows=rows, env=env) as session:
        assert session.end() == 0, session.screen.text
        shown = [text for _, text in session.screens if " steps  0:0" in text]
        assert any("none-runtime-cpu+index" in text and "ucx 1/1" in text for text in shown)
        assert any("done: " in text and "fetch 1 cached" in text for text in shown)
        # Nothing of it is left but what was said before and after.
        assert " steps  0:0" not in session.screen.text
        assert "record  " in session.screen.text
        assert session.screen.cursor
        assert session.screen.styled is not plain


def test_the_screen_never_stands_still(docker, tree):
    running = step("[ucx 2/2] RUN cd /source && { make -j8; }")
    docker.says(play=fake_docker.played([running], 0, "sleep 5"))
    with Session(*words(tree), env=path_of(docker)) as session:
        session.read("RUN make -j8")
        begun = len(session.screens)
        assert session.end() == 0
        seen = session.screens[begun - 1 :]
        changes = [now for (_, one), (now, other) in itertools.pairwise(seen) if one != other]
        changes = [seen[0][0], *changes]
        assert len(changes) > 4
        assert max(after - before for before, after in itertools.pairwise(changes)) < 2


def test_a_terminal_that_changes_its_size(docker, tree):
    running = [step(f"[stage{n} 2/2] RUN work {'x' * 60}", f"sha256:{n}") for n in range(8)]
    docker.says(play=fake_docker.played(running, 0, fake_docker.GATE))
    with Session(*words(tree), columns=120, rows=40, env=path_of(docker)) as session:
        session.read("stage7 2/2")
        session.resize(60, 8)
        session.read("and 3 more")
        docker.go()
        assert session.end() == 0
        narrow = [text for _, text in session.screens if "and 3 more" in text]
        assert all(text.count(" steps  0:") == 1 for text in narrow)
        assert session.screen.cursor


def test_an_interrupt_leaves_the_terminal_as_it_was(docker, tree):
    running = step("[ucx 2/2] RUN make")
    docker.says(play=fake_docker.played([running], 0, "sleep 30"))
    with Session(*words(tree), env=path_of(docker)) as session:
        session.read("ucx 2/2")
        assert not session.screen.cursor
        session.interrupt()
        assert session.end() == 130
        assert session.screen.cursor
        assert "ucx 2/2" not in session.screen.text
        assert "interrupted" in session.screen.text


def test_what_a_step_prints_is_not_obeyed(docker, tree):
    printed = "\x1b[2J\x1b]0;title\x07\x1b[31mred\x1b[0m\x1b[9;9H\x9b5A"
    lines = fake_docker.progress(printed=f"{printed}\n").splitlines()
    docker.says(play=fake_docker.played(lines[:-1], 0, f"{fake_docker.GATE}; echo '{lines[-1]}'"))
    with Session(*words(tree), env=path_of(docker)) as session:
        assert "ucx 2/2" in session.read("red")
        docker.go()
        assert session.end() == 0


def test_lines_in_a_pipe(docker, tree):
    slowly(docker, "cached", 0)
    done = call(*words(tree), env=path_of(docker))
    assert done.code == 0, done.err
    assert "from the cache" in done.err
    assert done.err.count("cached") == 0
    (record,) = [line for line in done.err.splitlines() if line.startswith("recorded in ")]
    assert Path(record.removeprefix("recorded in ")).is_dir()


def test_nothing_is_shown_while_a_quiet_build_runs(docker, tree):
    done = call(*words(tree, "--progress", "quiet"), env=path_of(docker))
    assert done.code == 0
    assert "RUN make" not in done.err
    assert "record  " in done.out


def test_events_are_json(docker, tree):
    slowly(docker, "failed", 0, "exit 1")
    docker.says(status="1")
    done = call(*words(tree, "--progress", "json"), env=path_of(docker))
    assert done.code == 1
    events = [json.loads(line) for line in done.err.splitlines()]
    kinds = {event["event"] for event in events}
    assert {"record-begun", "step-started", "step-ended", "log-line", "message"} <= kinds
    started = next(one for one in events if one["event"] == "step-started" and one.get("stage"))
    assert started["name"].startswith("[")
    assert any(one["event"] == "step-ended" and one.get("error") for one in events)
    assert any(one["event"] == "message" and "error: " in one["text"] for one in events)


def test_what_draws_needs_a_terminal(docker, tree):
    done = call(*words(tree, "--progress", "live"), env=path_of(docker))
    assert done.code == 2
    assert "--progress live draws on a terminal" in done.err


def test_twelve_cells_of_which_one_fails(docker, tree):
    lines = fake_docker.progress(error="exit code: 2", printed="no such file\n").splitlines()
    failing = fake_docker.played(lines, 0, "exit 1")
    going = fake_docker.played([step("[ucx 2/2] RUN make")], 0, "sleep 4")
    docker.says(play=f'case "$last" in *frontend-cpu*)\n{failing};;\n*)\n{going};;\nesac\n')
    chosen = ("--framework", "none", "--device", "cpu,cuda", "--dynamo-wheels", "index")
    argv = ("matrix", *chosen, "--context", tree)
    with Session(*argv, env=path_of(docker)) as session:
        session.read("FAILED ")
        assert session.end(120) == 1
    shown = [text for _, text in session.screens if "FAILED " in text and " cells: " in text]
    assert any("12 cells: " in text and "no such file" in text for text in shown)
    assert "frontend-cpu" in session.screen.text
    assert session.screen.cursor


def test_an_earlier_build_is_replayed_once_for_all_that_is_learned_of_it(tmp_path, monkeypatch):
    names = ("none-runtime-cpu", "none-dev-cpu")
    for number in (1, 2):
        images = tuple(ImageResult(id=name, output="load") for name in names)
        ended = builds.result(images=images, steps=Steps(run=1, run_instructions=1))
        of = f"2026112{number}T013012-{number}-{names[0]}"
        builds.recorded(record.builds(tmp_path), builds.LINES, ended, of)
    replayed = []
    replay = recording.replay

    def noted(lines, solve):
        replayed.append(lines.name)
        return replay(lines, solve)

    monkeypatch.setattr(recording, "replay", noted)
    live = Live(dict.fromkeys(names, "waiting"), 0.0)
    progress_display.load_forecasts(live, tmp_path)
    assert live.forecasts.keys() == set(names)
    assert step_times.of(tmp_path)["ucx", 2] == pytest.approx(10)
    assert len(replayed) == 2
