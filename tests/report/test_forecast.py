"""How long a build still takes, held against how long it then took."""

import random
import re
import statistics
from datetime import datetime, timedelta

import pytest

from dynbuild.build.events import StepEnded, StepStarted
from dynbuild.build.solve import Solve, replay
from dynbuild.report import forecast, timeline
from dynbuild.report.live import Live
from tests.report.builds import graph, scheduled
from tests.support import ROOT

RECORDINGS = ("single", "linked", "platforms")
TIME = re.compile(r"20\d\d-\d\d-\d\dT[\d:.]+Z")
MOMENTS = 40


def scaled(name, by, seed=None):
    """A recording that takes *by* times as long, each moment of it somewhat sooner or later."""
    text = (ROOT / "tests" / "data" / "events" / f"{name}.jsonl").read_text(encoding="utf-8")
    times = sorted({datetime.fromisoformat(time) for time in TIME.findall(text)})
    chance, moved, at = random.Random(seed), {}, times[0]
    for before, time in zip((times[0], *times), times, strict=False):
        # Gaps and not moments are changed, so the order stays.
        at += (time - before) * by * (chance.uniform(0.8, 1.2) if seed is not None else 1)
        moved[time] = at

    def change(found):
        return moved[datetime.fromisoformat(found[0])].isoformat().replace("+00:00", "Z")

    return TIME.sub(change, text).splitlines()


def line_of(lines):
    solve = Solve()
    list(replay(lines, solve))
    return timeline.of(solve)


def error(known, lines):
    """The median of how far what is left was from what then was left, as a share of that."""
    events = [e for e in replay(lines) if isinstance(e, StepStarted | StepEnded) and e.time]
    events.sort(key=lambda event: event.time)
    begun, end = events[0].time, events[-1].time
    live = Live({"x": "running"}, begun.timestamp(), forecasts={"x": known})
    errors = []
    for number in range(MOMENTS):
        now = begun + (end - begun) * number / MOMENTS
        while events and events[0].time <= now:
            event = events.pop(0)
            live.feed(event, event.time.timestamp())
        left = (end - now) / timedelta(seconds=1)
        errors.append(abs(live.remaining(now.timestamp()) - left) / left)
    return statistics.median(errors)


@pytest.mark.parametrize("name", RECORDINGS)
@pytest.mark.parametrize("pace", [0.5, 1, 1.7])
def test_a_second_run_of_a_recording(name, pace):
    known = forecast.of([line_of(scaled(name, 100))])
    errors = [error(known, scaled(name, 100 * pace, seed)) for seed in range(5)]
    assert statistics.median(errors) <= 0.25, errors


@pytest.mark.parametrize(("paces", "most"), [((1,), 0.15), ((0.6, 1, 1.5), 0.25)])
def test_second_runs_of_random_graphs(paces, most):
    errors = []
    for seed in range(60):
        seconds, before, waited = graph(seed, waits=True)
        known = forecast.of([line_of(scheduled(seconds, before, waited))])
        chance = random.Random(seed)
        pace = chance.choice(paces)
        slower = {step: took * pace * chance.uniform(0.8, 1.2) for step, took in seconds.items()}
        errors.append(error(known, scheduled(slower, before, waited)))
    assert statistics.median(errors) <= most, sorted(errors)


def test_before_it_begins_it_takes_as_long_as_it_did():
    for seed in range(60):
        seconds, before, waited = graph(seed, waits=True)
        line = line_of(scheduled(seconds, before, waited))
        left = forecast.of([line]).remaining(ran={}, cached=frozenset(), running={})
        assert left == pytest.approx(line.extent)


def test_what_nobody_needs_any_more_takes_no_time():
    seconds, before = {"s0": 60, "s1": 5, "s2": 7}, {"s0": [], "s1": ["s0"], "s2": ["s1"]}
    known = forecast.of([line_of(scheduled(seconds, before, dict.fromkeys(seconds, 0)))])
    cached = frozenset({"[s1 1/1] RUN s1"})
    assert known.remaining(ran={}, cached=cached, running={}) == 7


def test_the_seconds_of_a_step_are_those_of_the_builds_that_ran_it():
    runs = [line_of(scheduled({"s0": took}, {"s0": []}, {"s0": 0})) for took in (10, 12, 90)]
    assert forecast.of(runs).remaining(ran={}, cached=frozenset(), running={}) == 12


def test_of_nothing_nothing_is_known():
    assert forecast.of([]) is None
    assert forecast.of([timeline.Timeline(bars={})]) is None
