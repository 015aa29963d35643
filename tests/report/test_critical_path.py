"""The critical path: chains of work and waits."""

import itertools

import pytest

from dynbuild.report import critical_path, timeline
from tests.build.test_recordings import NAMES, solved
from tests.report import builds

SEEDS = range(200)


def path(*progress, **more):
    line = timeline.of(builds.solved(*progress), **more)
    return line, critical_path.path(line)


def total(parts, wait):
    return sum(part.seconds for part in parts if part.wait == wait)


@pytest.mark.parametrize("seed", SEEDS)
def test_without_waits_it_is_the_longest_path(seed):
    seconds, before, waited = builds.graph(seed)
    line, parts = path(*builds.scheduled(seconds, before, waited))
    expected = builds.longest(seconds, before)
    assert total(parts, wait=False) == pytest.approx(expected)
    assert total(parts, wait=True) == pytest.approx(0)
    assert line.seconds == pytest.approx(expected)
    steps = [part.digest for part in parts]
    assert all(step in before[after] for step, after in itertools.pairwise(steps))
    assert not before[steps[0]]


@pytest.mark.parametrize("seed", SEEDS)
def test_with_waits_it_is_the_longest_path_of_work_and_waits(seed):
    seconds, before, waited = builds.graph(seed, waits=True)
    line, parts = path(*builds.scheduled(seconds, before, waited))
    weights = {step: seconds[step] + waited[step] for step in seconds}
    # A build begins with its first step: nobody can tell what that waited for.
    idle = min(waited[step] for step in seconds if not before[step])
    assert total(parts, wait=False) + total(parts, wait=True) == pytest.approx(line.seconds)
    assert line.seconds + idle == pytest.approx(builds.longest(weights, before))
    chosen = {part.digest for part in parts if not part.wait}
    assert total(parts, wait=False) == pytest.approx(sum(seconds[step] for step in chosen))


@pytest.mark.parametrize("seed", SEEDS)
def test_the_longest_path_by_weights(seed):
    seconds, before, _ = builds.graph(seed)
    found = critical_path.longest(seconds, before)
    assert sum(seconds[step] for step in found) == pytest.approx(builds.longest(seconds, before))
    assert all(step in before[after] for step, after in itertools.pairwise(found))


@pytest.mark.parametrize("name", NAMES)
def test_path_and_waits_of_real_builds_are_their_time(name):
    """Against the steps' own times, by one clock, and their own seconds."""
    solve, _ = solved(name)
    line = timeline.of(solve)
    parts = critical_path.path(line)
    runs = [run for step in solve.steps.values() for run in step.runs]
    begun = min(run.started for run in runs if not run.shared)
    wall = (max(run.completed for run in runs) - begun).total_seconds()
    waits = total(parts, wait=True)
    assert total(parts, wait=False) + waits == pytest.approx(wall, rel=0.01)
    own = sum(line.bars[digest].seconds for digest in {p.digest for p in parts if not p.wait})
    assert own + waits == pytest.approx(wall, rel=0.01)
    # What follows itself in time: no part begins before the one before it has ended.
    assert all(a.end == b.start for a, b in itertools.pairwise(parts))


def test_waits_are_told_with_what_waited():
    _, parts = path(*builds.LINES, seconds=20)
    assert [(part.digest, part.seconds, part.wait) for part in parts] == [
        ("d0", 0.5, False),
        ("d1", 0.5, False),
        ("d2", 10, False),
        ("d3", 0, False),
        ("d5", 2, True),
        ("d5", 1, False),
        ("d6", 5, False),
        ("", 1, True),
    ]


def test_waits_of_each_step():
    line = timeline.of(builds.solved(*builds.LINES))
    assert {digest: wait for digest, wait in critical_path.waits(line).items() if wait} == {"d5": 2}


def test_a_circle_ends():
    before = {"a": ["b"], "b": ["a"], "c": ["b", "absent"]}
    assert critical_path.longest({"a": 1, "b": 2, "c": 3}, before)[-1] == "c"
    turning = [
        builds.vertex("a", "[x 1/2] RUN a", 0, 1, ["b"]),
        builds.vertex("b", "[x 2/2] RUN b", 0, 1, ["a"]),
    ]
    _, parts = path(*turning)
    assert total(parts, wait=False) == 1


def test_no_steps_have_no_path():
    assert path()[1] == ()
    assert critical_path.longest({}, {}) == ()
