"""What a build would have taken with one step cached, or twice as fast."""

import pytest

from dynbuild.report import timeline, whatif
from tests.build.test_recordings import NAMES, solved
from tests.report import builds


def line_of(*lines, **more):
    return timeline.of(builds.solved(*lines), **more)


def changes(line, earlier=()):
    return {one.digest: one for one in whatif.of(line, earlier).changes}


@pytest.mark.parametrize("name", NAMES)
def test_a_real_build_run_again_as_it_was_takes_its_time(name):
    line = timeline.of(solved(name)[0])
    assert whatif.Simulation(line).plain == pytest.approx(line.extent, rel=0.02)


@pytest.mark.parametrize("seed", range(100))
def test_a_graph_with_a_step_twice_as_fast(seed):
    """No less than the longest path, and no more than it took; mostly the former."""
    seconds, before, waited = builds.graph(seed)
    line = line_of(*builds.scheduled(seconds, before, waited))
    simulation = whatif.Simulation(line)
    for step in seconds:
        halved = {**seconds, step: seconds[step] / 2}
        least = builds.longest(halved, before)
        assert least - 1e-6 <= simulation.faster(step) <= line.seconds
        # More slots than were ever used are not taken to be there.
        if line.peak > 2:
            assert simulation.faster(step) == pytest.approx(least, rel=0.1)


def test_a_cached_step_spares_what_only_it_needs():
    line = line_of(*builds.LINES, seconds=20)
    compiled = changes(line)["d2"]
    # The other way through takes four of the ten seconds.
    assert compiled.cached == pytest.approx(14)
    assert compiled.faster == pytest.approx(15)


def test_what_is_not_on_the_path_saves_nothing():
    assert "d4" not in changes(line_of(*builds.LINES, seconds=20))


def test_slots_are_the_recorded_ones():
    """Three steps of two slots: the third began when one of the others ended."""
    line = line_of(
        builds.vertex("a", "[a 1/1] RUN a", 0, 10),
        builds.vertex("b", "[b 1/1] RUN b", 0, 10),
        builds.vertex("c", "[c 1/1] RUN c", 10, 20),
    )
    simulation = whatif.Simulation(line)
    assert simulation.plain == 20
    assert simulation.faster("a") == pytest.approx(15)
    assert simulation.faster("c") == pytest.approx(15)


@pytest.mark.parametrize(
    ("earlier", "spread", "measured"),
    [
        ((), 3.0, False),
        ((100, 101), 3.0, False),
        ((100, 100, 100), 0.0, True),
        ((90, 100, 110), 14.826, True),
        ((90, 100, 110, 10_000), 7.413 * 2, True),
    ],
)
def test_spread(earlier, spread, measured):
    assert whatif.spread(100, earlier) == (pytest.approx(spread, rel=0.5), measured)


def test_what_saves_less_than_builds_differ_is_silent():
    line = line_of(*builds.LINES, seconds=20)
    assert changes(line, (20, 20, 20, 20))
    assert not changes(line, (10, 20, 30, 40))
