"""How long a build will still take, from earlier builds of the same steps.  Pure.

Each step that is not done begins when those before it are, after the same wait as then, and takes
the median of what it took when it ran; what ran so far says how much faster or slower this build
is than those.
"""

from __future__ import annotations

import re
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from dynbuild.build.steps import StepName
from dynbuild.report import critical_path
from dynbuild.report.timeline import Timeline

_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}")
_SLOWEST, _FASTEST = 8.0, 1 / 8
_LEAST = 0.5


def key(name: StepName) -> str:
    """What a step is known by from build to build: its place and its instruction."""
    return _DIGEST.sub("", str(name))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """A step of an earlier build: what it took, the wait before it, the steps before it."""

    seconds: float
    wait: float
    before: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is known of a build before it runs; ``steps`` each after those before it."""

    steps: Mapping[str, _Known]

    def remaining(
        self, *, ran: Mapping[str, float], cached: Set[str], running: Mapping[str, float]
    ) -> float:
        """Seconds to the end of the last step.

        Args:
            ran: The steps that ended, with their seconds.
            cached: The steps whose result was there.
            running: The steps that are worked on, with their seconds so far.
        """
        pace = self._pace(ran, running)
        done = self._done(ran.keys() | cached)
        ends: dict[str, float] = {}
        for step, known in self.steps.items():
            took = known.seconds * pace
            if step in running:
                ends[step] = max(0.0, took - running[step])
            elif step in done:
                ends[step] = 0.0
            else:
                begin = max((ends.get(other, 0.0) for other in known.before), default=0.0)
                ends[step] = begin + known.wait + took
        return max(ends.values(), default=0.0)

    def _pace(self, ran: Mapping[str, float], running: Mapping[str, float]) -> float:
        """How many times as long as then steps take now."""
        now = then = 0.0
        for step, seconds in (*ran.items(), *running.items()):
            known = self.steps.get(step)
            if known and (step in ran or seconds > known.seconds):
                now += seconds
                then += known.seconds
        if then < _LEAST:
            return 1.0
        return min(_SLOWEST, max(_FASTEST, now / then))

    def _done(self, ended: Set[str]) -> set[str]:
        """The steps that ended, and those that only they needed: nobody asks for these again."""
        done = set(ended)
        after: dict[str, list[str]] = defaultdict(list)
        for step, known in self.steps.items():
            for other in known.before:
                after[other].append(step)
        for step in reversed(list(self.steps)):
            if after[step] and all(other in done for other in after[step]):
                done.add(step)
        return done


def of(timelines: Sequence[Timeline]) -> Forecast | None:
    """What earlier builds say of the next; ``None`` where they say nothing.

    Args:
        timelines: Those builds, the newest first.
    """
    took: dict[str, list[float]] = defaultdict(list)
    for timeline in timelines:
        for bar in timeline.bars.values():
            if bar.kind != "cached":
                took[key(bar.name)].append(bar.seconds)
    largest = max(timelines, key=lambda timeline: len(timeline.bars), default=None)
    if largest is None or not largest.bars:
        return None
    waits = critical_path.waits(largest)
    names = {digest: key(bar.name) for digest, bar in largest.bars.items()}
    steps: dict[str, _Known] = {}
    for digest, bar in largest.bars.items():
        seconds = took.get(names[digest])
        steps.setdefault(
            names[digest],
            _Known(
                seconds=statistics.median(seconds) if seconds else bar.seconds,
                wait=waits.get(digest, 0.0),
                before=tuple(names[other] for other in bar.before if other in names),
            ),
        )
    return Forecast(steps)
