"""What happens during a build, as frozen values.

``Solve`` reads BuildKit's rawjson progress, one JSON object a line (SolveStatus: vertexes,
statuses, logs, warnings), and turns it into events; drive and report meet only here.
"""

from __future__ import annotations

import base64
import codecs
import json
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

_TAIL_LINES = 20
_CLOCK_STEP = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class StepStarted:
    """A step began. *name* is BuildKit's, such as ``[ucx 3/3] RUN …``."""

    name: str


@dataclass(frozen=True, slots=True)
class StepEnded:
    """A step ended after *seconds*; *error* is empty when it went well."""

    name: str
    seconds: float
    cached: bool
    error: str


@dataclass(frozen=True, slots=True)
class LogLine:
    """A step printed a line."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Warned:
    """BuildKit warned of something in the Dockerfile."""

    text: str


@dataclass(frozen=True, slots=True)
class Message:
    """A line that belongs to no step, such as the client's own errors."""

    text: str


Event = StepStarted | StepEnded | LogLine | Warned | Message


@dataclass(slots=True)
class Step:
    """One vertex of the solve, as far as it has come."""

    name: str
    started: datetime | None = None
    seconds: float = 0.0
    completed: bool = False
    cached: bool = False
    error: str = ""
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=_TAIL_LINES))
    partial: str = ""
    shared: bool = False
    decoder: codecs.IncrementalDecoder = field(
        default_factory=lambda: codecs.getincrementaldecoder("utf-8")("replace")
    )

    @property
    def title(self) -> str:
        """Its name in one line, without mounts and other options."""
        return title(self.name)

    @property
    def is_instruction(self) -> bool:
        """Whether this is an instruction of the Dockerfile that makes a layer.

        BuildKit's own work is none, nor is FROM: looking at an image is never cached.
        """
        return bool(re.match(r"\[.*?\] (?!FROM )", self.name)) and not is_internal(self.name)

    @property
    def is_run(self) -> bool:
        """Whether it is a RUN instruction, the kind that costs time."""
        return self.is_instruction and bool(re.search(r"\] RUN\b", self.name))


class Solve:
    """The state of a solve, fed line by line."""

    def __init__(self, begun: datetime | None = None) -> None:
        """Start with nothing known.

        Args:
            begun: When the build began, so that steps a solve beside this one had started
                before are told apart; ``None`` takes every step for our own.
        """
        self.begun = begun
        self.steps: dict[str, Step] = {}
        self.messages: list[str] = []

    def feed(self, line: str) -> Iterator[Event]:
        """Take in one line of progress and say what it means."""
        line = line.rstrip("\n")
        status: Any = None
        if line.startswith("{"):
            try:
                status = json.loads(line)
            except ValueError:
                status = None
        if not isinstance(status, dict):
            if line.strip():
                self.messages.append(line)
                yield Message(line)
            return
        try:
            yield from self._status(status)
        except (AttributeError, KeyError, TypeError, ValueError):
            # Progress of an unknown shape is no reason to end a build.
            yield Message(line)

    def _status(self, status: dict[str, Any]) -> Iterator[Event]:
        for vertex in status.get("vertexes") or ():
            yield from self._vertex(vertex)
        for log in status.get("logs") or ():
            yield from self._log(log)
        for warning in status.get("warnings") or ():
            short = base64.b64decode(warning.get("short") or "").decode(errors="replace")
            if short:
                yield Warned(short)

    def _vertex(self, vertex: dict[str, Any]) -> Iterator[Event]:
        step = self.steps.setdefault(vertex["digest"], Step(vertex.get("name", "")))
        if not step.name:
            step.name = vertex.get("name", "")
        started = _time(vertex.get("started"))
        if started and step.started is None:
            step.started = started
            # A solve that runs beside this one lends its steps; they are not our work.
            step.shared = self.begun is not None and started < self.begun - _CLOCK_STEP
            yield StepStarted(step.name)
        step.cached = step.cached or bool(vertex.get("cached"))
        error = vertex.get("error") or ""
        completed = _time(vertex.get("completed"))
        if completed:
            if started:
                step.seconds = max(step.seconds, (completed - started).total_seconds())
            if not step.completed or error != step.error:
                step.completed = True
                step.error = error
                if step.partial:
                    yield self._line(step, step.partial)
                    step.partial = ""
                yield StepEnded(step.name, step.seconds, step.cached or step.shared, error)

    def _log(self, log: dict[str, Any]) -> Iterator[Event]:
        step = self.steps.get(log["vertex"])
        if step is None:
            return
        # A piece may end within a character: the decoder keeps the rest for the next.
        text = step.decoder.decode(base64.b64decode(log.get("data") or ""))
        *lines, step.partial = (step.partial + text).split("\n")
        for line in lines:
            yield self._line(step, line)

    def _line(self, step: Step, line: str) -> LogLine:
        # A carriage return overwrites: what a terminal would show last is kept.
        shown = line.rstrip("\r").rsplit("\r", 1)[-1]
        step.tail.append(shown)
        return LogLine(step.name, shown)

    def failed(self) -> Step | None:
        """The step that failed of itself, not one cancelled because of it."""
        errors = [step for step in self.steps.values() if step.error]
        own = [step for step in errors if "cancel" not in step.error.lower()]
        return next(iter(own or errors), None)

    def counts(self) -> dict[str, int]:
        """Instructions ``run`` and ``cached``, and the RUN instructions among the former."""
        done = [step for step in self.steps.values() if step.is_instruction and step.completed]
        ran = [step for step in done if not step.cached and not step.shared]
        return {
            "run": len(ran),
            "cached": len(done) - len(ran),
            "run_instructions": sum(step.is_run for step in ran),
        }


def is_internal(name: str) -> bool:
    """Whether the step *name* is BuildKit's own work; of several images, each has such steps."""
    return re.match(r"\[(\S+ )?internal\] |(?!\[)", name) is not None


def title(name: str) -> str:
    """The name of a step in one line: white space folded, options left out."""
    bare = re.sub(r"--(?:mount|network|chown|chmod|checksum|from)=\S+\s*", "", name)
    folded = re.sub(r"\s+", " ", bare)
    # What every installation begins with says nothing of which one it is.
    return re.sub(r"rm -f \S*docker-clean && apt-get update && DEBIAN\S+ ", "", folded).replace(
        " --no-install-recommends", ""
    )


def _time(text: str | None) -> datetime | None:
    if not text:
        return None
    # BuildKit writes nanoseconds, Python reads up to microseconds.
    trimmed = re.sub(r"(\.\d{6})\d+", r"\1", text)
    return datetime.fromisoformat(trimmed)
