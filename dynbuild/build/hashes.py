"""Hashes of files, kept from build to build while size, times and inode stay as they were."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

_PIECE = 1 << 20
# A file that changes within one tick of the clock looks the same as before.
_TICK_NS = 2 * 10**9


class Stopped(Exception):
    """The build is over, and so is the reading of its files."""


class Memory:
    """Hashes of files, kept from build to build."""

    def __init__(self, path: Path) -> None:
        """Read what is kept in the file *path*; damage is as good as nothing."""
        self._path = path
        self._before: Mapping[str, object] = {}
        self._now: dict[str, str] = {}
        self._settled = time.time_ns() - _TICK_NS
        with suppress(OSError, ValueError, RecursionError):
            kept = json.loads(path.read_bytes())
            self._before = kept if isinstance(kept, dict) else {}

    def sha256(self, path: str, state: os.stat_result, stopped: Callable[[], bool]) -> str:
        """The hash of the file *path*, which is in *state*.

        Raises:
            OSError: It cannot be read.
            Stopped: *stopped* said so.
        """
        modified, changed = state.st_mtime_ns, state.st_ctime_ns
        mark = f"{state.st_size} {modified} {changed} {state.st_ino} "
        kept = self._before.get(path)
        if not (isinstance(kept, str) and kept.startswith(mark)):
            kept = mark + _hash(path, stopped)
        if modified < self._settled > changed:
            self._now[path] = kept
        return kept[len(mark) :]

    def keep(self) -> None:
        """Write down what is known now; a disk that is full does not matter."""
        if self._now == self._before:
            return
        with suppress(OSError):
            number, name = tempfile.mkstemp(dir=self._path.parent, prefix=f".{self._path.name}.")
            part = Path(name)
            try:
                with os.fdopen(number, "w", encoding="utf-8") as file:
                    file.write(json.dumps(self._now))
                part.replace(self._path)
            except OSError:
                part.unlink()
                raise


def _hash(path: str, stopped: Callable[[], bool]) -> str:
    total = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - paths of files cost time
        while piece := file.read(_PIECE):
            if stopped():
                raise Stopped
            total.update(piece)
    return total.hexdigest()
