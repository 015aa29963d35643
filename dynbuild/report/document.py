"""The report of a build as data: what every format of it is made from.  Pure.

``report --format json`` prints it.  Times are seconds from the begin of the build.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Literal

from dynbuild.build.recording import Recording
from dynbuild.build.result import BuildResult, ImageResult, StageFigures
from dynbuild.checked import plain
from dynbuild.errors import shorten
from dynbuild.plan.document import ImagePlan
from dynbuild.report import critical_path, pull, timeline, whatif
from dynbuild.report.history import same_work
from dynbuild.report.pull import Pull
from dynbuild.report.timeline import Bar, Kind, Span, Timeline
from dynbuild.report.whatif import WhatIf

PREPARATION, EXPORT = "preparation", "export"
"""The groups of steps that belong to no stage."""

Status = Literal["done", "failed", "interrupted", "unfinished"]
_LONG_TEXT, _LONG_TITLE = 2000, 200
_TAIL = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step of the build.

    Attributes:
        digest: What BuildKit knows it by.
        title: Its instruction in one line, options and what all have in common left out.
        text: Its name as BuildKit writes it, whole up to a bound.
        group: Index of its group.
        lane: In which lane of the group it is drawn, from 0.
        kind: What became of it.
        start: When it began.
        seconds: How long it was worked on.
        spans: When it was worked on.
        wait: How long it waited after all that it needed.
        inputs: Indexes of the steps whose results it takes.
        targets: The images that it is of, by their targets.
        bytes: What it transferred.
        lines: How many lines it printed.
        tail: The last of them, of a step that failed.
        error: Why it failed.
    """

    digest: str
    title: str
    text: str
    group: int
    lane: int
    kind: Kind
    start: float
    seconds: float
    spans: tuple[Span, ...]
    wait: float
    inputs: tuple[int, ...]
    targets: tuple[str, ...]
    bytes: int = 0
    lines: int = 0
    tail: tuple[str, ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The steps of a stage, or those that belong to none.

    Attributes:
        name: The stage, with the platform where there are several; or what the steps are for.
        lanes: How many of its steps were worked on at once.
        seconds: What its steps took together.
        run: How many instructions ran.
        cached: How many came from the cache.
        cache: What the compile cache did in the stage; ``None`` where it has no part.
    """

    name: str
    lanes: int
    seconds: float
    run: int
    cached: int
    cache: StageFigures | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of the critical path: work on a step, or a wait before one.

    Attributes:
        step: Index of the step; -1 for what comes after the last one.
        start: When it began.
        seconds: How long it took.
        wait: Whether nothing was done.
    """

    step: int
    start: float
    seconds: float
    wait: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """A build argument of an image, with the place that its value is from."""

    name: str
    value: str
    origin: str
    stages: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image of the plan, and what became of it; either may be unknown."""

    name: str
    plan: ImagePlan | None = None
    result: ImageResult | None = None
    arguments: tuple[Argument, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that is told of a build.

    Attributes:
        id: The name of the build.
        begun: When its first step began, as ISO 8601 has it; empty where that is not known.
        status: How it ended; ``unfinished`` while it runs, or when it was killed.
        seconds: How long it took.
        result: The rest of how it ended.
        images: What was built.
        groups: Its stages.
        steps: Its steps, in the order in which they began.
        path: The critical path: work and waits, to the end of the build.
        work: Seconds of the path that were work.
        parallelism: How many steps were worked on from each moment on.
        average: How many steps were worked on at once while any was.
        what_if: What single changes would save.
        warnings: What BuildKit and dynbuild warned of.
        missing: What of the record could not be read.
        earlier: Seconds of earlier builds of the same images, the newest first.
        pulls: What a node pulls of its images.
    """

    id: str
    begun: str
    status: Status
    seconds: float
    result: BuildResult | None
    images: tuple[Image, ...]
    groups: tuple[Group, ...]
    steps: tuple[Step, ...]
    path: tuple[Part, ...]
    work: float
    parallelism: tuple[tuple[float, int], ...]
    average: float
    what_if: WhatIf
    warnings: tuple[str, ...]
    missing: tuple[str, ...]
    earlier: tuple[float, ...] = ()
    pulls: tuple[Pull, ...] = ()

    @property
    def waited(self) -> float:
        """Seconds of the path that were waits."""
        return self.seconds - self.work

    def index(self) -> dict[str, int]:
        """The indexes of the steps by their digests."""
        return {step.digest: number for number, step in enumerate(self.steps)}


def of(recording: Recording, earlier: Sequence[BuildResult] = ()) -> Report:
    """The report of a build.

    Args:
        recording: Its record, read back.
        earlier: How builds of the tree ended before it, the newest first.
    """
    result = recording.result
    line = timeline.of(
        recording.solve,
        seconds=result.seconds if result else 0.0,
        until=max((line.time for line in recording.lines if line.time), default=None),
    )
    grouped = _Grouped(line, recording, result)
    index = {digest: number for number, digest in enumerate(line.bars)}
    parts = tuple(_joined(critical_path.path(line), index))
    alike = (one for one in earlier if result and same_work(one) == same_work(result))
    before = tuple(one.seconds for one in alike if one.status == "done")
    return Report(
        id=recording.id,
        begun=begun.isoformat() if (begun := line.begun or recording.begun) else "",
        status=result.status if result else "unfinished",
        seconds=line.seconds,
        result=result,
        images=tuple(_images(recording)),
        groups=grouped.groups(),
        steps=tuple(grouped.steps(index)),
        path=parts,
        work=sum(part.seconds for part in parts if not part.wait),
        parallelism=line.parallelism,
        average=line.average,
        what_if=whatif.of(line, before),
        warnings=tuple(dict.fromkeys((*_plan_warnings(recording), *_warned(recording)))),
        missing=recording.missing,
        earlier=before,
        pulls=pull.of(result, earlier) if result else (),
    )


def _plan_warnings(recording: Recording) -> Iterator[str]:
    yield from recording.plan.warnings if recording.plan else ()


def _warned(recording: Recording) -> Iterator[str]:
    """Warnings of the build: those of BuildKit with the line of the Dockerfile."""
    placed = {warned.text: warned for warned in recording.solve.warnings}
    said = recording.result.warnings if recording.result else tuple(placed)
    for text in said:
        warned = placed.get(text)
        yield f"{text} ({warned.file}:{warned.line})" if warned and warned.line else text


def as_json(report: Report) -> dict[str, object]:
    """The report as the JSON object of the interface; the arguments stand in the plan alone."""
    document: dict[str, object] = {"schema": 1, **asdict(replace(report, images=(), result=None))}
    document["result"] = report.result.document() if report.result else None
    document["images"] = [
        {
            "name": image.name,
            "plan": plain(image.plan) if image.plan else None,
        }
        for image in report.images
    ]
    document["groups"] = [
        asdict(replace(group, cache=None)) | {"cache": plain(group.cache) if group.cache else None}
        for group in report.groups
    ]
    return document


def _images(recording: Recording) -> Iterator[Image]:
    planned = {image.name: image for image in recording.plan.images} if recording.plan else {}
    done = {image.id: image for image in recording.result.images} if recording.result else {}
    for name in dict.fromkeys((*planned, *done)):
        plan = planned.get(name)
        yield Image(
            name=name,
            plan=plan,
            result=done.get(name),
            arguments=tuple(_arguments(plan)) if plan else (),
        )


def _arguments(plan: ImagePlan) -> Iterator[Argument]:
    for name, value in plan.build_args.items():
        yield Argument(
            name=name,
            value=value,
            origin=plan.origins.get(name, ""),
            stages=plan.used_by.get(name, ()),
        )


def _joined(segments: Iterable[critical_path.Segment], index: Mapping[str, int]) -> Iterator[Part]:
    """The segments of a path; runs of one step, and what it waited for between them, are one."""
    pending: Part | None = None
    for one in segments:
        step = index.get(one.digest, -1)
        part = Part(step=step, start=one.start, seconds=one.seconds, wait=one.wait)
        if pending and (pending.step, pending.wait) == (part.step, part.wait):
            seconds = pending.seconds + part.seconds
            pending = Part(step=step, start=pending.start, seconds=seconds, wait=part.wait)
            continue
        if pending:
            yield pending
        pending = part
    if pending:
        yield pending


@dataclass(slots=True)
class _Grouped:
    """The bars of a build, in groups and lanes."""

    line: Timeline
    recording: Recording
    result: BuildResult | None
    names: dict[str, int] = field(default_factory=dict)
    places: dict[str, tuple[int, int]] = field(default_factory=dict)
    lanes: dict[int, list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        platforms = {bar.name.platform for bar in self.line.bars.values() if bar.name.total}
        several = len(platforms) > 1
        for name in (PREPARATION, *self._stages(several=several), EXPORT):
            self.names.setdefault(name, len(self.names))
        for bar in self.line.bars.values():
            group = self.names[_group(bar, several=several)]
            self.places[bar.digest] = group, self._lane(group, bar)

    def _stages(self, *, several: bool) -> Iterator[str]:
        for bar in self.line.bars.values():
            if (name := _group(bar, several=several)) not in (PREPARATION, EXPORT):
                yield name

    def _lane(self, group: int, bar: Bar) -> int:
        """The first lane of the group that is free when *bar* begins."""
        ends = self.lanes.setdefault(group, [])
        for lane, end in enumerate(ends):
            if end <= bar.start:
                ends[lane] = bar.end
                return lane
        ends.append(bar.end)
        return len(ends) - 1

    def groups(self) -> tuple[Group, ...]:
        cache = self.result.compile_cache if self.result else None
        found = []
        for name, number in self.names.items():
            bars = [b for b in self.line.bars.values() if self.places[b.digest][0] == number]
            own = [bar for bar in bars if bar.name.is_instruction]
            found.append(
                Group(
                    name=name,
                    lanes=len(self.lanes.get(number, ())),
                    seconds=sum(bar.seconds for bar in bars),
                    run=sum(bar.kind != "cached" for bar in own),
                    cached=sum(bar.kind == "cached" for bar in own),
                    cache=cache.stages.get(name.partition(" ")[0]) if cache else None,
                )
            )
        return tuple(found)

    def steps(self, index: Mapping[str, int]) -> Iterator[Step]:
        waits = critical_path.waits(self.line)
        printed: dict[str, int] = {}
        for line in self.recording.lines:
            printed[line.digest] = printed.get(line.digest, 0) + 1
        for digest, bar in self.line.bars.items():
            step = self.recording.solve.steps[digest]
            group, lane = self.places[digest]
            yield Step(
                digest=digest,
                title=shorten(bar.name.telling, _LONG_TITLE),
                text=str(bar.name)[:_LONG_TEXT],
                group=group,
                lane=lane,
                kind=bar.kind,
                start=bar.start,
                seconds=bar.seconds,
                spans=bar.spans,
                wait=waits[digest],
                inputs=tuple(index[one] for one in bar.inputs if one in index),
                targets=tuple(sorted(bar.targets)),
                bytes=sum(max(part.current, part.total) for part in step.transfers.values()),
                lines=printed.get(digest, 0),
                tail=tuple(step.tail)[-_TAIL:] if bar.kind == "failed" else (),
                error=bar.error,
            )


def _group(bar: Bar, *, several: bool) -> str:
    name = bar.name
    if not name.total:
        return EXPORT if bar.kind == "export" else PREPARATION
    stage = name.stage or "the only stage"
    return f"{stage} {name.platform}" if several and name.platform else stage
