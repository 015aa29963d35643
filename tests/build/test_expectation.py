"""The first step that is not in the cache, where it should be."""

import pytest

from dynbuild.build.events import Retried
from dynbuild.build.expectation import Expectation
from tests.report import builds


def told(pattern, *lines):
    expectation = Expectation(pattern, lambda name: f"because of {name.stage}")
    solve = builds.Solve()
    for number, line in enumerate(lines):
        for event in solve.feed(line):
            if expectation.feed(event):
                return number, expectation.failure()
    return None, expectation.failure()


RUNS = "[ucx 2/3] RUN cd /source && make -j2"
CACHED = builds.vertex("a", "[ucx 1/3] COPY x y", 0, 0, ["s"], cached=True)


@pytest.mark.parametrize(
    "lines",
    [
        (builds.vertex("b", RUNS, 0, 1, ["a"]),),
        (builds.vertex("b", RUNS, 0, None, ["a"]), builds.printed("b", "CC x\n", 1)),
        (builds.vertex("b", RUNS, 0, None, ["a"]), builds.vertex("c", "[x 1/1] COPY a b", 3, 4)),
    ],
    ids=["ends", "prints", "goes on"],
)
@pytest.mark.parametrize("pattern", ["*", "ucx", "u*", "RUN make*", "make"])
def test_a_step_that_runs_is_a_miss_at_once(pattern, lines):
    number, failure = told(pattern, CACHED, *lines)
    assert number == len(lines)
    assert (failure.kind, failure.step) == ("user", RUNS)
    assert failure.message.endswith("as --expect-cached says: because of ucx")


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        ("*", CACHED),
        ("*", builds.vertex("b", "[internal] load build definition", 0, 9)),
        ("*", builds.vertex("b", "exporting to image", 0, 9, ["a"])),
        ("*", builds.vertex("b", "[ucx 1/3] FROM docker.io/library/debian", 0, 9)),
        ("*", builds.vertex("b", "[ucx_src 1/1] ADD https://example.com/x /", 0, 9)),
        ("nixl", builds.vertex("b", RUNS, 0, 9, ["a"])),
        ("*", builds.vertex("b", RUNS, 0, 9, ["a"], error="exit code: 1")),
    ],
)
def test_what_is_no_miss(pattern, line):
    assert told(pattern, line) == (None, None)


def test_the_first_miss_is_told_once():
    expectation = Expectation("*", lambda name: f"because of {name.stage}")
    solve = builds.Solve()
    lines = [builds.vertex(digest, f"[{digest} 1/1] RUN x", 0, 1, ["a"]) for digest in "bcd"]
    told = [expectation.feed(event) for line in lines for event in solve.feed(line)]
    assert told.count(True) == 1
    assert expectation.missed.stage == "b"


def test_a_step_that_was_called_off_with_a_try_is_no_miss_of_the_next():
    expectation = Expectation("*", lambda _: "")
    runs, later = builds.vertex("b", RUNS, 0, None, ["a"]), builds.vertex("c", "[x 1/1] COPY", 3, 4)
    for event in builds.Solve().feed(runs):
        assert not expectation.feed(event)
    expectation.feed(Retried(message="reset", seconds=0.0, tried=1))
    assert not any(expectation.feed(event) for event in builds.Solve().feed(later))
