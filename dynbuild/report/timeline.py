"""The steps of a build on one line of time: when each was worked on, and what it came after.  Pure.

Seconds count from the first step of the build.  BuildKit says which results a step takes; of
its own work (loading, exporting) it says nothing, so what such a step came after is the last
thing of the same target that had ended when it began.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from typing import Literal, TypeAlias

from dynbuild.build.solve import Solve, is_cancelled
from dynbuild.build.steps import StepName
from dynbuild.build.vertex import Step

Kind = Literal["run", "cached", "failed", "cancelled", "internal", "export"]
Span: TypeAlias = tuple[float, float]

_NEVER: Span = (0.0, 0.0)
# Clocks of two targets are one to within this.
_TOLERANCE = 0.002


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A step on the line of time.

    Attributes:
        digest: Which step.
        name: Its name.
        kind: What became of it: an instruction that ran, was cached, failed or was cancelled;
            BuildKit's own work, or the export of an image or a cache.
        spans: When it was worked on, in seconds, disjoint and in order; at least one.
        inputs: Digests of the steps whose results it takes.
        after: Digests of the steps that it came after without taking a result.
        targets: The targets that it is of.
        error: Why it failed.
    """

    digest: str
    name: StepName
    kind: Kind
    spans: tuple[Span, ...] = (_NEVER,)
    inputs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    targets: frozenset[str] = frozenset()
    error: str = ""

    @property
    def start(self) -> float:
        """When it began first."""
        return self.spans[0][0]

    @property
    def end(self) -> float:
        """When it ended last."""
        return self.spans[-1][1]

    @property
    def seconds(self) -> float:
        """How long it was worked on."""
        return sum(end - start for start, end in self.spans)

    @property
    def before(self) -> tuple[str, ...]:
        """The steps that it waited for."""
        return (*self.inputs, *self.after)

    def released(self, time: float) -> float | None:
        """When its result was there for a step that began at *time*; ``None``: later only."""
        ends = [end for _, end in self.spans if end <= time + _TOLERANCE]
        return min(ends[-1], time) if ends else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """A build on a line of time.

    Attributes:
        bars: Its steps by digest, in the order in which they began.
        begun: When the first step began.
        seconds: How long the build took: to the end of its last step, or as its result says.
    """

    bars: Mapping[str, Bar]
    begun: datetime | None = None
    seconds: float = 0.0

    @property
    def extent(self) -> float:
        """When the last step ended."""
        return max((bar.end for bar in self.bars.values()), default=0.0)

    @property
    def parallelism(self) -> tuple[tuple[float, int], ...]:
        """How many steps were worked on from each moment on at which that changed."""
        changes: dict[float, int] = {}
        for bar in self.bars.values():
            for start, end in bar.spans:
                if end > start:
                    changes[start] = changes.get(start, 0) + 1
                    changes[end] = changes.get(end, 0) - 1
        level, points = 0, []
        for time in sorted(changes):
            level += changes[time]
            points.append((time, level))
        return tuple(points)

    @property
    def peak(self) -> int:
        """How many steps were worked on at once at most; 1 where nothing took time."""
        return max((level for _, level in self.parallelism), default=1) or 1

    @property
    def average(self) -> float:
        """How many steps were worked on at once while any was."""
        points = self.parallelism
        busy = sum(then[0] - now[0] for now, then in pairwise(points) if now[1])
        work = sum(bar.seconds for bar in self.bars.values())
        return work / busy if busy else 0.0


def of(solve: Solve, *, seconds: float = 0.0, until: datetime | None = None) -> Timeline:
    """The line of time of the steps of *solve*, as far as it went.

    Args:
        solve: The steps.
        seconds: How long the build took, where that is known; no less than its steps did.
        until: When something was heard of the build last: steps that have not ended go to there.
    """
    steps = [step for step in solve.steps.values() if step.runs]
    runs = [run for step in steps for run in step.runs]
    own = [run.started for run in runs if not run.shared] or [run.started for run in runs]
    if not own:
        return Timeline(bars={}, seconds=seconds)
    begun = min(own)
    last = max(run.completed or run.started for run in runs)
    last = max(last, until or last)
    bars = [_bar(solve, step, begun, last) for step in steps]
    bars.sort(key=lambda bar: (bar.start, bar.end))
    ordered = {bar.digest: bar for bar in _ordered(bars)}
    extent = max(bar.end for bar in bars)
    return Timeline(bars=ordered, begun=begun, seconds=max(seconds, extent))


def _bar(solve: Solve, step: Step, begun: datetime, last: datetime) -> Bar:
    spans = (
        ((run.started - begun).total_seconds(), ((run.completed or last) - begun).total_seconds())
        for run in step.runs
    )
    return Bar(
        digest=step.digest,
        name=step.name,
        kind=_kind(step),
        spans=tuple(_disjoint(spans)) or (_NEVER,),
        inputs=tuple(parent.digest for parent in solve.parents(step.digest) if parent.runs),
        targets=solve.images(step.digest),
        error=step.error,
    )


def _kind(step: Step) -> Kind:
    if step.error:
        return "cancelled" if is_cancelled(step.error) else "failed"
    if step.name.is_internal:
        return "internal" if step.name.scope or not _exports(step.name) else "export"
    if step.cached:
        return "cached"
    return "run"


def _exports(name: StepName) -> bool:
    return name.instruction.startswith(("exporting", "pushing", "resolving provenance", "sending"))


def _disjoint(spans: Iterable[Span]) -> Iterator[Span]:
    """*spans* in order, none before the build or inside of another."""
    until = 0.0
    for start, end in sorted(spans):
        begin = max(start, until)
        if end > begin or (end == begin == start):
            yield begin, end
            until = end


def _ordered(bars: Sequence[Bar]) -> Iterator[Bar]:
    """The bars, those that take no result with what they came after."""
    ended = sorted(bars, key=lambda bar: bar.spans[0][1])
    ends = [bar.spans[0][1] for bar in ended]
    for bar in bars:
        if bar.inputs:
            yield bar
            continue
        any_kind = bar.kind == "export"
        earlier = ended[: bisect_right(ends, bar.start + _TOLERANCE)]
        before = next(
            (
                other.digest
                for other in reversed(earlier)
                if other.digest != bar.digest
                and (any_kind or other.kind in ("internal", "export"))
                and other.start < bar.start
                and _together(other, bar)
            ),
            None,
        )
        yield replace(bar, after=(before,)) if before else bar


def _together(one: Bar, other: Bar) -> bool:
    return not one.targets or not other.targets or bool(one.targets & other.targets)
