"""A registry that says nothing is not waited for for ever; whatever works is."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynbuild.build import registry_timeout
from dynbuild.build.events import LogLine, StepEnded, StepStarted, Transfer
from dynbuild.build.registry_timeout import RegistryTimeout, Waiting
from dynbuild.build.steps import StepName

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LIMIT = 1000.0


def started(name, digest="a"):
    return StepStarted(digest=digest, name=StepName.parse(name), inputs=(), time=NOW)


def ended(digest="a"):
    return StepEnded(digest=digest, time=NOW, seconds=1.0, cached=False, error="")


def part(id, digest="a", completed=None):
    return Transfer(
        digest=digest,
        id=id,
        action="",
        current=0,
        total=0,
        time=NOW,
        started=NOW,
        completed=completed,
    )


PUSH = (
    started("exporting to image"),
    part("exporting layers", completed=NOW),
    part("pushing layers"),
)
CACHE = (started("exporting cache to registry"), part("writing layer sha256:1"))
ASK = (started("[internal] load metadata for registry.example.com/x:y"),)
IMPORT = (started("importing cache manifest from registry.example.com/x:y"),)


def fed(*events):
    waiting = Waiting(LIMIT)
    for event in events:
        waiting.feed(event, 0.0)
    return waiting


@pytest.mark.parametrize(
    ("events", "limit", "what"),
    [
        (PUSH, LIMIT, "pushing layers"),
        (CACHE, LIMIT, "writing layer sha256:1"),
        (ASK, 300, "load metadata for registry.example.com/x:y"),
        (IMPORT, 300, "importing cache manifest from registry.example.com/x:y"),
    ],
)
def test_a_silent_registry_is_given_up(events, limit, what):
    assert fed(*events).given_up(limit - 1) == ""
    assert fed(*events).given_up(limit) == what


@pytest.mark.parametrize(
    "events",
    [
        (),
        (started("[ucx 1/2] RUN make"),),
        (*PUSH, ended()),
        (*PUSH, part("pushing layers", completed=NOW)),
        (*PUSH, started("[ucx 1/2] RUN make", "b")),
        (started("exporting to image"), part("exporting layers")),
        (part("pushing layers", "nobody"),),
    ],
)
def test_whoever_works_is_waited_for(events):
    assert fed(*events).given_up(1e9) == ""


def test_any_sign_of_life_starts_the_clock_again():
    waiting = fed(*PUSH)
    waiting.feed(LogLine(digest="b", text="x", stream=1, time=NOW), LIMIT - 1)
    assert waiting.given_up(LIMIT) == ""
    assert waiting.given_up(2 * LIMIT) == "pushing layers"


def test_a_limit_below_that_of_questions_holds_for_them():
    waiting = Waiting(10)
    waiting.feed(*ASK, 0.0)
    assert waiting.given_up(10)


@given(st.lists(st.sampled_from([*PUSH, *CACHE, *ASK, ended(), ended("b")])), st.floats(0, 299))
def test_nothing_is_given_up_before_the_shortest_limit(events, now):
    assert fed(*events).given_up(now) == ""


def test_a_build_is_cancelled_and_says_why(monkeypatch):
    monkeypatch.setattr(registry_timeout, "_BEAT_SECONDS", 0.001)
    cancelled = threading.Event()
    with RegistryTimeout(0.01, cancelled.set) as watch:
        assert watch.failure() is None
        for event in PUSH:
            watch(event)
        assert cancelled.wait(10)
    why = watch.failure()
    assert (why.kind, why.step) == ("transient", "pushing layers")
    assert "said nothing for" in why.message
    assert "--registry-timeout" in why.hint
