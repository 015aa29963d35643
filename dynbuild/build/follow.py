"""A record that is read while its build writes it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from dynbuild import paths
from dynbuild.build import record
from dynbuild.build.events import Event, RecordBegun, Retried
from dynbuild.build.record import Record, RecordId
from dynbuild.build.solve import Solve

_CHUNK = 1 << 20
_CLOCKS = 2.0
"""Seconds by which the time of a name, which is whole, and that of a process may differ."""


@dataclass(slots=True)
class Follower:
    """What reads the events of a record on, as far as they are written.

    Times are seconds since the epoch by the clock of the machine that began the build: the
    engine may go by another one, so of its times only the distance to its first one counts.

    Attributes:
        record: The record.
    """

    record: Record
    _solve: Solve = field(default_factory=Solve)
    _first: datetime | None = None
    _last: float = 0.0
    _inode: int = 0
    _read: int = 0
    _rest: bytes = b""

    @property
    def begun(self) -> float:
        """When the build began."""
        return begun(self.record.id, self.record.path)

    @property
    def ended(self) -> bool:
        """Whether the build has a result, and no event comes any more."""
        return self.record.result.is_file()

    def events(self) -> Iterator[tuple[float, Event]]:
        """What was written since the last call, each with its time."""
        if not self._last:
            self._last = self.begun
            yield self._last, RecordBegun(self.record.id, str(self.record.path))
        try:
            file = paths.regular(self.record.events).open("rb")
        except OSError:
            return
        with file:
            yield from self._reopened(os.fstat(file.fileno()).st_ino)
            file.seek(self._read)
            while data := file.read(_CHUNK):
                self._read += len(data)
                *lines, self._rest = (self._rest + data).split(b"\n")
                for line in lines:
                    yield from self._line(line)

    def _reopened(self, inode: int) -> Iterator[tuple[float, Event]]:
        """A try that was made again has a file of its own in the place of the one before."""
        if self._inode and inode != self._inode:
            self._solve, self._read, self._rest = Solve(), 0, b""
            yield self._last, Retried(message="a try failed", seconds=0.0, tried=1)
        self._inode = inode

    def _line(self, line: bytes) -> Iterator[tuple[float, Event]]:
        for event in self._solve.feed(line.decode(errors="replace")):
            time = getattr(event, "time", None)
            if isinstance(time, datetime):
                self._first = self._first or time
                self._last = self.begun + (time - self._first).total_seconds()
            yield self._last, event


def begun(id: str, path: Path) -> float:
    """When the record of a build or a matrix was begun, in seconds since the epoch.

    Args:
        id: Its name.
        path: Its folder, which says it where the name does not.
    """
    said = record.begun(id)
    return said.timestamp() if said else path.stat().st_ctime


def is_written(id: str) -> bool:
    """Whether the process runs on this machine that the name of a build or a matrix says.

    A process of that number that began later is another one.
    """
    import psutil

    name = RecordId.parse(id)
    if name is None:
        return False
    try:
        return psutil.Process(name.process).create_time() < name.begun.timestamp() + _CLOCKS
    except (psutil.Error, OverflowError):
        return False
