"""What a build would have taken if one step had been cached, or twice as fast.  Pure.

The graph is run again with that change: each step begins when those before it have ended and
one of the recorded number of slots is free, in the recorded order, and after the same wait as
then unless a slot explains it.  Steps that run side by side are taken to cost each other nothing.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dynbuild.report import critical_path, history
from dynbuild.report.timeline import Bar, Timeline

_MOST = 24
_SHORT_SHARE, _SHORT_SECONDS = 0.01, 0.05
_UNKNOWN_SPREAD = 0.03


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change of one step, and the time of the build with it, in seconds.

    Attributes:
        digest: Which step.
        cached: If its result had come from the cache, and what only it needs had not run.
        faster: If it had taken half its time.
    """

    digest: str
    cached: float
    faster: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """What single changes would save.

    Attributes:
        spread: Seconds by which builds like this one differ anyway: what saves less is left out.
        measured: Whether that was measured on earlier builds.
        floor: Seconds of the longest path alone: no number of machines builds faster.
        changes: Those that save more, the best first.
    """

    spread: float
    measured: bool
    floor: float
    changes: tuple[Change, ...]


class Simulation:
    """A recorded build that can be run again with other times.

    Attributes:
        plain: Seconds to the end of its last step when it is run again as it was.
    """

    def __init__(self, timeline: Timeline) -> None:
        """Learn slots and waits from *timeline*."""
        self._bars = timeline.bars
        self._before = {
            digest: [other for other in bar.before if other in timeline.bars]
            for digest, bar in timeline.bars.items()
        }
        self._after: dict[str, list[str]] = defaultdict(list)
        for digest, others in self._before.items():
            for other in others:
                self._after[other].append(digest)
        self._inputs_of: dict[str, set[str]] = defaultdict(set)
        for digest, bar in timeline.bars.items():
            for other in bar.inputs:
                self._inputs_of[other].add(digest)
        self._slots = timeline.peak
        self._rank = {digest: rank for rank, digest in enumerate(timeline.bars)}
        self._lags = _lags(timeline)
        self._recorded = timeline.seconds
        self._took = {digest: self._length(bar) for digest, bar in timeline.bars.items()}
        self.plain = self._run({})

    def seconds(self, saved: Mapping[str, float]) -> float:
        """How long the build would have taken had steps taken so many seconds less."""
        return self._recorded - min(max(0.0, self.plain - self._run(saved)), self._recorded)

    def cached(self, digest: str) -> float:
        """How long it would have taken had the step come from the cache."""
        return self.seconds({one: self._took[one] for one in self._only_for(digest)})

    def faster(self, digest: str) -> float:
        """How long it would have taken had the step been twice as fast."""
        return self.seconds({digest: self._bars[digest].seconds / 2})

    def _length(self, bar: Bar) -> float:
        """How long *bar* took until the last that needed it began: it may be read again later."""
        starts = (self._bars[other].start for other in self._after[bar.digest])
        ends = [end for start in starts if (end := bar.released(start)) is not None]
        return max(ends, default=bar.end) - bar.start

    def _only_for(self, digest: str) -> set[str]:
        """The step, and all that nothing but it needs."""
        chosen, ahead = {digest}, [digest]
        while ahead:
            for other in self._bars[ahead.pop()].inputs:
                if other in self._bars and other not in chosen and self._inputs_of[other] <= chosen:
                    chosen.add(other)
                    ahead.append(other)
        return chosen

    def _run(self, saved: Mapping[str, float]) -> float:
        left = {digest: len(others) for digest, others in self._before.items()}
        ready = [(self._lags[d], self._rank[d], d) for d, count in left.items() if not count]
        heapq.heapify(ready)
        running: list[tuple[float, str]] = []
        ends: dict[str, float] = {}
        now = 0.0
        while ready or running:
            if (
                ready
                and len(running) < self._slots
                and (not running or ready[0][0] <= running[0][0])
            ):
                start, _, digest = heapq.heappop(ready)
                now = max(now, start)
                took = self._took[digest] - saved.get(digest, 0.0)
                heapq.heappush(running, (now + max(0.0, took), digest))
                continue
            now, digest = heapq.heappop(running)
            ends[digest] = now
            for other in self._after[digest]:
                left[other] -= 1
                if not left[other]:
                    heapq.heappush(ready, (now + self._lags[other], self._rank[other], other))
        return max(ends.values(), default=0.0)


def _lags(timeline: Timeline) -> dict[str, float]:
    """The waits of the steps, but where every slot was taken when they ended."""
    peak = timeline.peak
    full = [time for time, level in timeline.parallelism if level >= peak > 1]
    lags = critical_path.waits(timeline)
    for digest, wait in lags.items():
        start = timeline.bars[digest].start
        if any(start - wait <= time <= start for time in full):
            lags[digest] = 0.0
    return lags


def spread(seconds: float, earlier: Sequence[float]) -> tuple[float, bool]:
    """By how much builds of *seconds* differ without a cause, and whether that was measured.

    Args:
        seconds: How long the build took.
        earlier: How long earlier builds of the same work took.
    """
    if len(earlier) < history.FEW:
        return _UNKNOWN_SPREAD * seconds, False
    return history.deviation(earlier), True


def of(timeline: Timeline, earlier: Sequence[float] = ()) -> WhatIf:
    """What single changes of the longest steps would save.

    Args:
        timeline: The build.
        earlier: Seconds of earlier builds of the same work.
    """
    noise, measured = spread(timeline.seconds, earlier)
    simulation = Simulation(timeline)
    least = max(_SHORT_SECONDS, _SHORT_SHARE * timeline.seconds)
    long = sorted(
        (bar for bar in timeline.bars.values() if _may_change(bar) and bar.seconds >= least),
        key=lambda bar: -bar.seconds,
    )
    changes = [
        Change(
            digest=bar.digest,
            cached=simulation.cached(bar.digest),
            faster=simulation.faster(bar.digest),
        )
        for bar in long[:_MOST]
    ]
    kept = [one for one in changes if timeline.seconds - min(one.cached, one.faster) > noise]
    kept.sort(key=lambda one: one.cached)
    weights = {digest: bar.seconds for digest, bar in timeline.bars.items()}
    before = {digest: bar.before for digest, bar in timeline.bars.items()}
    floor = sum(weights[digest] for digest in critical_path.longest(weights, before))
    return WhatIf(spread=noise, measured=measured, floor=floor, changes=tuple(kept))


def _may_change(bar: Bar) -> bool:
    return bar.kind == "run"
