"""Builds beside each other: what is worse than it was."""

import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynbuild.build.result import CacheFigures, StageFigures, Steps
from dynbuild.report import history
from tests.report import builds


def result(**more):
    return builds.result(**{"id": builds.ID, **more})


def figures(results, **more):
    return [[str(one) for one in past.regressions] for past in history.of(results, **more)]


def test_a_time_is_worse_than_the_median():
    results = [result(seconds=seconds) for seconds in (30, 20, 21, 19, 500, 20)]
    assert figures(results)[0] == ["time 30.0 s instead of 20.0 s (+50 %)"]
    assert figures(results)[1:] == [[], [], [], [], []]


def test_of_few_builds_nothing_is_concluded():
    assert figures([result(seconds=s) for s in (90, 20, 20)])[0] == []
    assert figures([result(seconds=s) for s in (90, 20, 20, 20)])[0] != []


def test_builds_that_differ_anyway_are_not_worse():
    assert figures([result(seconds=s) for s in (30, 20, 27, 13, 24)])[0] == []


def test_a_time_is_compared_with_builds_that_did_as_much():
    cached = [result(seconds=1.0, steps=Steps(cached=3))] * 4
    assert figures([result(seconds=20), *cached])[0] == []


def test_only_builds_of_the_same_images_that_were_done_count():
    other = [result(seconds=1, images=()), result(seconds=1, status="failed")] * 3
    assert figures([result(seconds=20), *other])[0] == []
    assert figures([result(seconds=20, status="failed"), *[result(seconds=2)] * 4])[0] == []


def test_only_the_last_ones_count():
    results = [result(seconds=s) for s in (30, 30, 30, 30, 10, 10, 10, 10, 10)]
    assert figures(results, last=3)[0] == []
    assert figures(results, last=8)[0] != []


def test_tolerance():
    results = [result(seconds=s) for s in (23, 20, 20, 20)]
    assert figures(results)[0] != []
    assert figures(results, tolerance=0.2)[0] == []


def test_a_size_is_worse():
    def sized(size):
        (image,) = builds.result().images
        return result(images=(replace(image, size=size),))

    results = [sized(size) for size in (400_000_000, 200_000_000, 200_000_000, 200_000_000)]
    assert figures(results)[0] == ["size of none-runtime-cpu 400 MB instead of 200 MB (+100 %)"]
    assert figures(list(reversed(results)))[0] == []


def test_a_hit_rate_is_worse():
    def rated(rate):
        total = StageFigures(requests=100, hit_rate=rate)
        return result(compile_cache=CacheFigures(kind="local", total=total))

    results = [rated(rate) for rate in (0.5, 0.9, 0.95, 0.9, 0.9)]
    assert figures(results)[0] == ["hit rate 50 % instead of 90 %"]
    assert figures([rated(0.95), *results[1:]])[0] == []
    assert figures([rated(0.85), *results[1:]])[0] == []


def test_a_pattern_chooses_images():
    results = [result(), result(images=())]
    assert len(history.of(results)) == 2
    assert len(history.of(results, image="none-*")) == 1
    assert history.of(results, image="vllm-*") == []


def test_what_a_build_is_told_with():
    (past,) = history.of([result()])
    assert (past.images, past.size, past.begun.day) == ("none-runtime-cpu", 239_000_000, 22)
    assert past.digest == "sha256:" + "ab" * 32
    (nothing,) = history.of([result(images=())])
    assert (nothing.images, nothing.size, nothing.digest) == ("-", None, "")


@given(st.lists(st.floats(0.1, 1e6), min_size=3, max_size=9), st.floats(0, 1))
def test_what_is_no_more_than_before_is_never_worse(earlier, tolerance):
    assert not history.above(min(earlier), earlier, tolerance)
    assert history.above(max(earlier) * 1e9, earlier, tolerance)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few(count):
    assert not history.above(100, [1] * count, 0)


def test_a_long_history_is_read_in_one_pass():
    many = [result(seconds=20.0 + number % 3) for number in range(4000)]
    begun = time.process_time()
    assert len(history.of(many)) == 4000
    assert time.process_time() - begun < 2
