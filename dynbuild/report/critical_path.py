"""The critical path of a build: the chain of steps and waits that its time is made of.  Pure.

It goes back from the step that ended last, each time to the step that was waited for longest.
What lies between the end of that one and the begin of the next is a wait: for a slot, for the
builder, for work that is no step.  So the path and its waits are the whole time of the build,
and where nothing waits, the path is the longest one through the graph.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from dynbuild.report.timeline import Bar, Timeline

_NOTHING = 1e-9


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of the path: work on a step, or a wait.

    Attributes:
        digest: Of the step; of the one that waited for its begin, if it is a wait.
        start: When it began, in seconds from the begin of the build.
        end: When it ended.
        wait: Whether nothing was done.
    """

    digest: str
    start: float
    end: float
    wait: bool = False

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.end - self.start


def path(timeline: Timeline) -> tuple[Segment, ...]:
    """The critical path from the begin of the build to its end, work and waits."""
    bars = timeline.bars
    last = max(bars.values(), key=lambda bar: bar.end, default=None)
    if last is None:
        return ()
    parts = list(_back(bars, last, timeline.seconds))
    parts.reverse()
    return tuple(part for part in parts if part.seconds > _NOTHING or not part.wait)


def _back(bars: Mapping[str, Bar], last: Bar, end: float) -> Iterator[Segment]:
    bar: Bar | None = last
    time, waiting, seen = end, "", set[str]()
    while bar is not None:
        seen.add(bar.digest)
        for start, stop in reversed(bar.spans):
            if (stop := min(stop, time)) < start or start >= time > stop:
                continue
            yield Segment(waiting, stop, time, wait=True)
            yield Segment(bar.digest, start, stop)
            time, waiting = start, bar.digest
        bar = _waited_for(bars, bar, time, seen)
    yield Segment(waiting, 0.0, time, wait=True)


def _waited_for(
    bars: Mapping[str, Bar], bar: Bar, time: float, seen: Collection[str]
) -> Bar | None:
    """What *bar* came after last; ``None`` where it came after nothing."""
    best, latest = None, -1.0
    for digest in bar.before:
        other = bars.get(digest)
        if other is None or digest in seen:
            continue
        released = other.released(time)
        if released is not None and released > latest:
            best, latest = other, released
    return best


def waits(timeline: Timeline) -> dict[str, float]:
    """How long each step waited between the end of what it came after and its begin."""
    found = {}
    for bar in timeline.bars.values():
        others = (timeline.bars[digest] for digest in bar.before if digest in timeline.bars)
        ends = [end for other in others if (end := other.released(bar.start)) is not None]
        found[bar.digest] = max(0.0, bar.start - max(ends, default=0.0))
    return found


def longest(weights: Mapping[str, float], before: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    """The path of the greatest weight through a graph, from its begin to its end.

    Args:
        weights: The weight of each step, none negative.
        before: The steps before each; a circle is cut where it is met.
    """
    best: dict[str, float] = {}
    through: dict[str, str | None] = {}
    for step in order(weights, before):
        known = [other for other in before.get(step, ()) if other in best]
        through[step] = max(known, key=best.__getitem__, default=None)
        best[step] = weights[step] + max((best[other] for other in known), default=0.0)
    step_or_none = max(best, key=best.__getitem__, default=None)
    found: list[str] = []
    while step_or_none is not None:
        found.append(step_or_none)
        step_or_none = through[step_or_none]
    return tuple(reversed(found))


def order(steps: Iterable[str], before: Mapping[str, Iterable[str]]) -> Iterator[str]:
    """*steps* in an order in which each comes after those before it."""
    known = dict.fromkeys(steps)
    entered: set[str] = set()
    for first in known:
        ahead = [(first, False)]
        while ahead:
            step, done = ahead.pop()
            if done:
                yield step
            elif step not in entered:
                entered.add(step)
                ahead.append((step, True))
                ahead += [
                    (o, False) for o in before.get(step, ()) if o in known and o not in entered
                ]
