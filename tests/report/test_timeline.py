"""The steps of a build on a line of time."""

import pytest

from dynbuild.report import timeline
from tests.build.test_recordings import NAMES, solved
from tests.report import builds


def bars(*lines, **more):
    return timeline.of(builds.solved(*lines), **more).bars


def test_seconds_count_from_the_first_step():
    line = timeline.of(builds.solved(*builds.LINES), seconds=20)
    assert line.begun == builds.BEGUN
    assert {digest: (bar.start, bar.end) for digest, bar in line.bars.items()} == {
        "d0": (0, 0.5),
        "d1": (0.5, 1),
        "d2": (1, 11),
        "d3": (11, 11),
        "d4": (1, 5),
        "d5": (13, 14),
        "d6": (14, 19),
    }
    assert (line.seconds, line.extent) == (20, 19)


def test_what_became_of_steps():
    kinds = {digest: bar.kind for digest, bar in bars(*builds.LINES).items()}
    assert kinds == {
        **dict.fromkeys(("d1", "d2", "d4", "d5"), "run"),
        "d0": "internal",
        "d3": "cached",
        "d6": "export",
    }
    failed = builds.vertex("d9", "[ucx 1/1] RUN false", 0, 1, error="exit code: 1")
    stopped = builds.vertex("d8", "[nixl 1/1] RUN sleep", 0, 1, error="context canceled")
    assert {bar.kind for bar in bars(failed, stopped).values()} == {"failed", "cancelled"}


def test_own_work_comes_after_what_ended_before_it():
    line = bars(*builds.LINES)
    assert line["d1"].before == ("d0",)
    assert line["d6"].before == ("d5",)
    assert line["d2"].before == ("d1",)


def test_a_step_that_has_not_ended_goes_as_far_as_anything_was_heard():
    lines = (builds.vertex("a", "[x 1/1] RUN a", 0, None), builds.printed("a", "line\n", 7))
    solve = builds.solved(*lines)
    assert timeline.of(solve).bars["a"].seconds == 0
    heard = builds.BEGUN.replace(second=builds.BEGUN.second + 7)
    assert timeline.of(solve, until=heard).bars["a"].seconds == 7


def test_runs_of_a_step_do_not_overlap():
    step = ("a", "[x 1/2] FROM scratch")
    lines = (builds.vertex(*step, 0, 2), builds.vertex(*step, 3, 4, cached=True))
    (bar,) = bars(*lines).values()
    assert bar.spans == ((0, 2), (3, 4))
    assert bar.seconds == 3
    assert (bar.released(2), bar.released(3.5), bar.released(9), bar.released(1)) == (2, 2, 4, None)


def test_parallelism():
    line = timeline.of(builds.solved(*builds.LINES))
    assert line.peak == 2
    assert line.parallelism[:3] == ((0, 1), (0.5, 1), (1, 2))
    assert line.average == pytest.approx(21 / 17)


def test_nothing_has_begun():
    line = timeline.of(builds.solved())
    assert (line.bars, line.seconds, line.peak, line.average) == ({}, 0, 1, 0)


@pytest.mark.parametrize("name", NAMES)
def test_real_builds(name):
    solve, _ = solved(name)
    line = timeline.of(solve)
    assert set(line.bars) == {digest for digest, step in solve.steps.items() if step.runs}
    for bar in line.bars.values():
        assert 0 <= bar.start <= bar.end <= line.seconds
        # Work that is no instruction has a place in the graph too, but for the very first.
        assert bar.before or bar.start < 0.1 or bar.inputs
