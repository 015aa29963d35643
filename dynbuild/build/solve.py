"""The state of a build: the graph of its steps, fed with BuildKit's progress line by line.

Progress is rawjson, one object a line (SolveStatus: vertexes, statuses, logs, warnings). What was
recorded of a build gives the same events again.

BuildKit tells of a step more than once. Bake solves each target by itself, and each solve tells
of the steps that it shares with others, under a name and with a clock of its own; and within
a solve a step may start again, to fetch what it only looked at. The first, second … start that
any target tells of is the first, second … run of the step; the same run told by another is no
news. Times are those of one clock as far as the targets' clocks can be compared.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta

from dynbuild.build.clocks import Clocks
from dynbuild.build.events import (
    Event,
    LogLine,
    Message,
    StepEnded,
    StepStarted,
    Transfer,
    Warned,
)
from dynbuild.build.rawjson import Fields
from dynbuild.build.steps import StepName
from dynbuild.build.vertex import Run, Step

_CLOCK_STEP = timedelta(seconds=1)
_CLIENT_BEGINS = "load local bake definitions"


class Solve:
    """The steps of a build by their digests, fed line by line."""

    def __init__(self, begun: datetime | None = None, targets: Iterable[str] = ()) -> None:
        """Start with nothing known.

        Args:
            begun: When the build began, so that steps a solve beside this one had started
                before are told apart; without it bake's own first step says so.
            targets: The bake targets that are built; several are also learned from the names.
        """
        self.begun = begun
        self.targets = dict.fromkeys(targets)
        self.steps: dict[str, Step] = {}
        self.messages: list[str] = []
        self.warnings: dict[Warned, None] = {}
        # Names begin with their target where bake has more than one.
        self._prefixes = set(self.targets) if len(self.targets) > 1 else set()
        self._children: dict[str, dict[str, None]] = {}
        self._clocks = Clocks()

    # ---- reading -------------------------------------------------------------------------

    def feed(self, line: str) -> Iterator[Event]:
        """Take in one line of progress and say what it means."""
        line = line.rstrip("\n")
        status: object = None
        if line.startswith("{"):
            try:
                status = json.loads(line)
            except (ValueError, RecursionError):
                status = None
        if isinstance(status, dict):
            yield from self._status(status, line)
        elif line.strip():
            self.messages.append(line)
            yield Message(line)

    def _status(self, status: Mapping[str, object], line: str) -> Iterator[Event]:
        readers: tuple[tuple[str, Callable[[Fields], Iterator[Event]]], ...] = (
            ("vertexes", self._vertex),
            ("statuses", self._transfer),
            ("logs", self._log),
            ("warnings", self._warning),
        )
        strange = False
        for key, read in readers:
            entries = status.get(key) or ()
            if not isinstance(entries, (list, tuple)):
                strange = True
                continue
            for entry in entries:
                try:
                    yield from read(Fields(entry))
                except (TypeError, ValueError, OverflowError):
                    # Progress of an unknown shape is no reason to end a build.
                    strange = True
        if strange:
            yield Message(line)

    def _vertex(self, vertex: Fields) -> Iterator[Event]:
        digest, text, error = vertex.text("digest"), vertex.text("name"), vertex.text("error")
        inputs, cached = vertex.texts("inputs"), bool(vertex.get("cached"))
        started, completed = vertex.time("started"), vertex.time("completed")
        if not digest:
            raise ValueError("a vertex without a digest")
        step = self.steps.get(digest) or self.steps.setdefault(digest, Step(digest))
        nameless = not step.names
        named = self._name(step, text)
        self._connect(step, inputs)
        if step.name.instruction == _CLIENT_BEGINS and self.begun is None:
            self.begun = started
        if nameless and step.names and step.running:
            yield _started(step, step.runs[-1], again=True)
        began = started or completed
        if began is None:
            return
        run, new = step.run(named.target, began, self._clocks.time(named.target, began))
        if new:
            # A solve that runs beside this one lends its steps; they are not our work.
            run.shared = self.begun is not None and began < self.begun - _CLOCK_STEP
            yield _started(step, run, again=len(step.runs) > 1)
        if completed and run.completed is None:
            again = run is not step.runs[0]
            if cached:
                step.read(run)
            step.error = error
            step.end(run, run.started + max(timedelta(), completed - began))
            yield from self._end(step, run, again=again)
        elif completed and run.completed:
            span = (run.started, run.completed)
            self._clocks.compare(run.target, span, named.target, (began, completed))
            if run is not step.runs[-1]:
                return
            if cached and named.target == run.target:
                step.read(run)
            # Of one failure a target says how it came, and others that they were cancelled.
            if error != step.error and not (step.error and is_cancelled(error)):
                step.error = error
                yield from self._end(step, run, again=True)

    def _end(self, step: Step, run: Run, *, again: bool) -> Iterator[Event]:
        for stream, text in step.unfinished():
            yield self._line(step, text, stream, run.completed)
        yield StepEnded(
            digest=step.digest,
            time=run.completed,
            seconds=run.seconds,
            cached=step.cached,
            error=step.error,
            again=again,
        )

    def _name(self, step: Step, text: str) -> StepName:
        if not text:
            return step.name
        if text not in step.names:
            name = step.names[text] = StepName.parse(text, self._prefixes)
            if len(step.names) == 1:
                step.name = name
            if name.target and name.scope == "internal":
                self._prefixes.add(name.target)
                self.targets.setdefault(name.target)
        return step.names[text]

    def _connect(self, step: Step, inputs: tuple[str, ...]) -> None:
        if inputs == step.inputs or not inputs:
            return
        step.inputs = tuple(dict.fromkeys((*step.inputs, *inputs)))
        for digest in inputs:
            self._children.setdefault(digest, {})[step.digest] = None

    def _transfer(self, status: Fields) -> Iterator[Event]:
        step = self.steps.get(status.text("vertex"))
        if step is None:
            return
        part = Transfer(
            digest=step.digest,
            id=status.text("id"),
            action=status.text("name"),
            current=status.number("current"),
            total=status.number("total"),
            time=status.time("timestamp"),
            started=status.time("started"),
            completed=status.time("completed"),
        )
        before = step.transfers.get(part.id)
        # Every target that shares the step tells of each part, some later than others.
        if before is None or _further(part, before):
            step.transfers[part.id] = part
            yield part

    def _log(self, log: Fields) -> Iterator[Event]:
        data, time = log.bytes("data"), log.time("timestamp")
        stream = log.number("stream") or 1
        step = self.steps.get(log.text("vertex"))
        if step is None:
            return
        for line in step.printed(stream, data):
            yield self._line(step, line, stream, time)

    def _line(self, step: Step, text: str, stream: int, time: datetime | None) -> LogLine:
        step.tail.append(text)
        return LogLine(digest=step.digest, text=text, stream=stream, time=time)

    def _warning(self, warning: Fields) -> Iterator[Event]:
        source, (place, *_) = warning.fields("sourceInfo"), (*warning.each("range"), Fields({}))
        warned = Warned(
            text=warning.bytes("short").decode(errors="replace"),
            digest=warning.text("vertex"),
            url=warning.text("url"),
            file=source.text("filename"),
            line=place.fields("start").number("line"),
            detail=tuple(
                base64.b64decode(line).decode(errors="replace") for line in warning.texts("detail")
            ),
        )
        if warned.text and warned not in self.warnings:
            self.warnings[warned] = None
            yield warned

    # ---- asking --------------------------------------------------------------------------

    def parents(self, digest: str) -> tuple[Step, ...]:
        """The steps whose results the step takes, as far as they were told of."""
        step = self.steps.get(digest)
        inputs = step.inputs if step else ()
        return tuple(self.steps[other] for other in inputs if other in self.steps)

    def children(self, digest: str) -> tuple[Step, ...]:
        """The steps that take the result of the step."""
        return tuple(self.steps[other] for other in self._children.get(digest, ()))

    def images(self, digest: str) -> frozenset[str]:
        """The targets that reach a step: that have it, or a step which takes its result."""
        if len(self.targets) == 1:
            return frozenset(self.targets if digest in self.steps else ())
        found: set[str] = set()
        seen, ahead = {digest}, [digest]
        while ahead:
            step = self.steps.get(here := ahead.pop())
            found.update(name.target for name in (step.names.values() if step else ()))
            new = self._children.get(here, {}).keys() - seen
            seen |= new
            ahead += new
        return frozenset(found & self.targets.keys())

    def unwritten_caches(self) -> tuple[Step, ...]:
        """The exports of build caches that failed, which fails no build (``ignore-error``)."""
        return tuple(step for step in self.steps.values() if step.error and _is_export(step))

    def unread_caches(self) -> Iterator[tuple[str, str]]:
        """The imports of build caches that failed, which fails no build: the cache, and why."""
        for step in self.steps.values():
            if step.error and is_import(step.name.instruction):
                yield step.name.instruction.removeprefix(_IMPORT).removeprefix("from "), step.error

    def failed(self) -> Step | None:
        """The step that failed of itself, not one cancelled because of it."""
        errors = [step for step in self.steps.values() if step.error]
        # Of what fails no build, it is the last to be told.
        errors.sort(key=lambda step: _is_export(step) or is_import(step.name.instruction))
        own = [step for step in errors if not is_cancelled(step.error)]
        return next(iter(own or errors), None)

    def counts(self, target: str = "") -> dict[str, int]:
        """Instructions ``run`` and ``cached``, and the RUN instructions among the former.

        Args:
            target: Only those that this target reaches; without it, all.
        """
        done = [step for step in self.steps.values() if step.name.is_instruction and step.ended]
        if target:
            done = [step for step in done if target in self.images(step.digest)]
        ran = [step for step in done if not step.cached]
        return {
            "run": len(ran),
            "cached": len(done) - len(ran),
            "run_instructions": sum(step.name.is_run for step in ran),
        }


def replay(lines: Iterable[str], solve: Solve | None = None) -> Iterator[Event]:
    """The events of recorded progress, the same as while it was recorded."""
    solve = solve or Solve()
    for line in lines:
        yield from solve.feed(line)


def is_cancelled(error: str) -> bool:
    """Whether a step ended because of another's failure, or of a signal."""
    return "cancel" in error.lower()


def is_import(instruction: str) -> bool:
    """Whether that is to read a build cache, without which a build goes on."""
    return instruction.startswith(_IMPORT)


_IMPORT = "importing cache manifest "


def _is_export(step: Step) -> bool:
    return step.name.instruction.startswith("exporting cache")


def _started(step: Step, run: Run, *, again: bool) -> StepStarted:
    return StepStarted(
        digest=step.digest, name=step.name, inputs=step.inputs, time=run.started, again=again
    )


def _further(part: Transfer, before: Transfer) -> bool:
    """Whether *part* says more than what was known *before*."""
    return (
        part.current > before.current
        or part.total > before.total
        or (part.completed is not None and before.completed is None)
    )
