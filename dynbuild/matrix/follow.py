"""The record of a matrix that is read while it runs, with those of its solves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from dynbuild import paths
from dynbuild.build import archive
from dynbuild.build.follow import Follower, begun
from dynbuild.build.record import RecordId
from dynbuild.errors import RequestError
from dynbuild.matrix import record
from dynbuild.matrix.events import (
    CellEnded,
    MatrixEvent,
    SolveEnded,
    SolveEvent,
    SolveStarted,
)
from dynbuild.matrix.record import MatrixRecord
from dynbuild.matrix.result import MatrixResult
from dynbuild.plan.document import PlanDocument


@dataclass(slots=True)
class MatrixFollower:
    """What reads on how a matrix goes.

    Attributes:
        record: Its record.
        context: The tree that it is of.
        result: How it ended so far.
    """

    record: MatrixRecord
    context: Path
    result: MatrixResult | None = None
    _solves: dict[str, Follower] = field(default_factory=dict)
    _over: set[str] = field(default_factory=set)
    _told: set[str] = field(default_factory=set)

    @property
    def begun(self) -> float:
        """When it began, in seconds since the epoch."""
        return begun(self.record.id, self.record.path)

    @property
    def ended(self) -> bool:
        """Whether it came to its end; one that was called off is told by its process."""
        return self.result is not None and self.result.status in ("done", "failed")

    def events(self) -> Iterator[tuple[float, MatrixEvent]]:
        """What was written since the last call, each with its time."""
        with suppress(RequestError):
            self.result = record.result_of(self.record)
        self._find()
        for name, solve in self._solves.items():
            if name in self._over:
                continue
            ended = solve.ended
            if name not in self._told:
                self._told.add(name)
                yield solve.begun, SolveStarted(solve=name, cells=_cells(solve))
            last = solve.begun
            for last, event in solve.events():
                yield last, SolveEvent(name, event)
            if ended:
                self._over.add(name)
                yield last, SolveEnded(name)
        for cell in self.result.cells if self.result else ():
            # What has not ended yet is written as skipped.
            if cell.id not in self._told and (cell.status != "skipped" or self.ended):
                self._told.add(cell.id)
                yield self.begun, CellEnded(cell)

    def _find(self) -> None:
        """The records of its solves: those that its process began."""
        own = RecordId.parse(self.record.id)
        for one in reversed(archive.records(self.context)):
            name = RecordId.parse(one.id) if one.id not in self._solves else None
            if own and name and name.process == own.process and name.begun >= own.begun:
                self._solves[one.id] = Follower(one)


def _cells(solve: Follower) -> tuple[str, ...]:
    """The cells that a solve makes; none where it is of common steps."""
    with suppress(OSError, ValueError):
        plan = PlanDocument.parse(paths.regular(solve.record.plan).read_bytes())
        return tuple(image.name for image in plan.images if image.tags)
    return ()
