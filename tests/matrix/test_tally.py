"""Steps of several solves, each counted once."""

from dynbuild.build.events import Retried, StepEnded, StepStarted
from dynbuild.build.steps import StepName
from dynbuild.matrix.tally import Tally


def test_a_step_that_several_solves_tell_of_counts_once():
    tally = Tally()
    told = [
        ("one", "shared", False),
        ("other", "shared", False),
        # To a solve that began later the same step is one from the cache.
        ("last", "shared", True),
        ("one", "read", True),
        ("other", "read", True),
        ("other", "own", False),
    ]
    for solve, digest, cached in told:
        name = StepName.parse(f"[stage 1/2] RUN make {digest}", ())
        tally.feed(solve, StepStarted(digest=digest, name=name))
        tally.feed(solve, StepEnded(digest=digest, cached=cached))
    internal = StepName.parse("[internal] load build definition", ())
    tally.feed("one", StepStarted(digest="internal", name=internal))
    tally.feed("one", StepEnded(digest="internal"))
    steps = tally.steps()
    assert (steps.run, steps.cached, steps.run_instructions) == (2, 1, 2)


def test_what_is_said_last_of_a_step_counts_and_a_try_that_failed_does_not():
    tally = Tally()
    name = StepName.parse("[stage 1/2] COPY a b", ())
    tally.feed("one", StepStarted(digest="read", name=name))
    tally.feed("one", StepEnded(digest="read"))
    tally.feed("one", StepEnded(digest="read", cached=True, again=True))
    assert (tally.steps().run, tally.steps().cached) == (0, 1)
    tally.feed("one", StepStarted(digest="tried", name=name))
    tally.feed("one", StepEnded(digest="tried"))
    tally.feed("one", Retried(message="reset", seconds=1.0, tried=1))
    assert tally.steps().run == 0
