"""One step of a build as far as it has come: its runs, what it printed, what it transferred."""

from __future__ import annotations

import codecs
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from dynbuild.build.events import Transfer
from dynbuild.build.steps import StepName

_TAIL_LINES = 20


@dataclass(slots=True)
class Run:
    """One time that a step was worked on.

    Attributes:
        target: The target that told of it first; its clock is that of the times.
        started: When it began.
        completed: When it ended; ``None`` while it is worked on.
        cached: Whether that was only reading its result from the cache.
        shared: Whether a build beside this one had begun it.
    """

    target: str
    started: datetime
    completed: datetime | None = None
    cached: bool = False
    shared: bool = False

    @property
    def seconds(self) -> float:
        """How long it took; 0 while it is worked on."""
        return (self.completed - self.started).total_seconds() if self.completed else 0.0


@dataclass(slots=True)
class _Stream:
    """What a step prints on one stream: characters and lines come in pieces."""

    decoder: codecs.IncrementalDecoder = field(
        default_factory=lambda: codecs.getincrementaldecoder("utf-8")("replace")
    )
    begun: list[str] = field(default_factory=list)

    def lines(self, data: bytes) -> Iterator[str]:
        """The lines that *data* ends."""
        first, *others = self.decoder.decode(data).split("\n")
        self.begun.append(first)
        for text in others:
            yield from self.rest()
            self.begun = [text]

    def rest(self) -> Iterator[str]:
        """The line that was begun, as it is."""
        # A carriage return overwrites: what a terminal would show last is kept.
        yield "".join(self.begun).rstrip("\r").rsplit("\r", 1)[-1]
        self.begun = []


@dataclass(slots=True)
class Step:
    """One vertex of the solve, as far as it has come.

    Attributes:
        digest: What it is known by.
        name: Its name, of the target that told of it first.
        names: All its names by their text, one of each target that has it.
        inputs: Digests of the steps whose results it takes.
        runs: The times it was worked on, in their order; mostly one.
        error: Why it failed; empty when it went well.
        tail: The last lines that it printed.
        transfers: Its parts by their id, as far as they have come.
    """

    digest: str
    name: StepName = field(default_factory=StepName)
    names: dict[str, StepName] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()
    runs: list[Run] = field(default_factory=list)
    error: str = ""
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=_TAIL_LINES))
    transfers: dict[str, Transfer] = field(default_factory=dict)
    _done: int = 0
    _read: int = 0
    _told: dict[str, dict[datetime, int]] = field(default_factory=dict)
    _streams: dict[int, _Stream] = field(default_factory=dict)

    @property
    def started(self) -> datetime | None:
        """When it began first."""
        return self.runs[0].started if self.runs else None

    @property
    def running(self) -> bool:
        """Whether it is worked on."""
        return bool(self.runs) and self.runs[-1].completed is None

    @property
    def ended(self) -> bool:
        """Whether it ended at least once."""
        return bool(self.runs) and self.runs[0].completed is not None

    @property
    def seconds(self) -> float:
        """How long it was worked on."""
        return sum(run.seconds for run in self.runs)

    @property
    def cached(self) -> bool:
        """Whether its result came from the cache, or from a build beside this one.

        A source is looked at before it is read from the cache, so one reading is enough; a step
        with inputs starts for nothing but to be read or to be carried out.
        """
        return self._read > 0 and (not self.inputs or self._read == self._done)

    def end(self, run: Run, completed: datetime) -> None:
        """Note that *run* ended."""
        run.completed = completed
        self._done += 1
        self._read += run.cached or run.shared

    def read(self, run: Run) -> None:
        """Note that *run* only reads its result from the cache."""
        if run.completed and not (run.cached or run.shared):
            self._read += 1
        run.cached = True

    def run(self, target: str, began: datetime, started: datetime) -> tuple[Run, bool]:
        """The run that *target* says began at a time, and whether it is news.

        Args:
            target: Who tells of it.
            began: The time by its own clock, which says whether it told of it before.
            started: The same time by the clock of all.
        """
        told = self._told.setdefault(target, {})
        if began not in told:
            order = next(reversed(told.values()), -1) + 1
            # A run that has not ended is still the same one, whatever the clock says.
            told[began] = order - 1 if order == len(self.runs) and self.running else order
        if told[began] < len(self.runs):
            return self.runs[told[began]], False
        self.runs.append(Run(target, started))
        return self.runs[-1], True

    def printed(self, stream: int, data: bytes) -> Iterator[str]:
        """The lines that *data* ends."""
        return self._streams.setdefault(stream, _Stream()).lines(data)

    def unfinished(self) -> Iterator[tuple[int, str]]:
        """The lines that were begun and never ended, with their stream."""
        for number, stream in self._streams.items():
            for text in stream.rest():
                if text:
                    yield number, text
