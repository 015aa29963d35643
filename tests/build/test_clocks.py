from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from dynbuild.build.clocks import Clocks
from tests import support  # noqa: F401 - the profile of hypothesis

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def span(begin, seconds, ahead=0.0):
    begin = NOON + timedelta(seconds=begin + ahead)
    return begin, begin + timedelta(seconds=seconds)


def test_clocks_are_one_until_they_are_known_to_differ():
    assert Clocks().time("low", NOON) == NOON


def test_runs_that_last_differently_are_different_runs():
    clocks = Clocks()
    clocks.compare("low", span(0, 5), "high", span(0, 6, ahead=3))
    clocks.compare("low", span(0, 0), "high", span(0, 0, ahead=3))
    assert clocks.time("high", NOON) == NOON


def test_what_is_known_once_stays():
    clocks = Clocks()
    clocks.compare("low", span(0, 5), "high", span(0, 5, ahead=3))
    clocks.compare("low", span(0, 5), "high", span(0, 5, ahead=4))
    assert clocks.time("high", NOON) == NOON - timedelta(seconds=3)


def test_the_one_that_told_first_may_be_the_one_not_known_yet():
    clocks = Clocks()
    clocks.compare("low", span(0, 5), "high", span(0, 5, ahead=3))
    clocks.compare("side", span(9, 5, ahead=-2), "high", span(9, 5, ahead=3))
    assert clocks.time("side", NOON) == NOON + timedelta(seconds=2)


@given(st.lists(st.integers(-3600, 3600), min_size=2, max_size=6))
def test_all_clocks_are_that_of_the_first(ahead):
    clocks = Clocks()
    for number, by in enumerate(ahead[1:], 1):
        # Each shares a step with the one before it, which told of it first.
        before, _ = span(number, 1, ahead[number - 1])
        told = clocks.time(str(number - 1), before)
        clocks.compare(
            str(number - 1), (told, told + timedelta(seconds=1)), str(number), span(number, 1, by)
        )
    for number, by in enumerate(ahead):
        time = NOON + timedelta(seconds=by - ahead[0])
        assert clocks.time(str(number), time) == NOON
