"""The build record: one folder a build, ``.dynbuild/builds/<id>/``.

plan.json      what was decided        Dockerfile     what was rendered
bake.json      what BuildKit was told  metadata.json  what it answered (digests)
events.jsonl   its progress, raw       log            the same to read
result.json    how it ended; written last, so a folder without it is unfinished
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dynbuild.errors import NotReady

STATE = ".dynbuild"
_ABANDONED_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True)
class Record:
    """The folder of one build; the paths of its files are properties of it."""

    path: Path

    @property
    def id(self) -> str:
        """The name of the build."""
        return self.path.name

    @property
    def log(self) -> Path:
        """What the steps printed, to read."""
        return self.path / "log"

    @property
    def events(self) -> Path:
        """BuildKit's progress as it came, one JSON object a line."""
        return self.path / "events.jsonl"

    @property
    def metadata(self) -> Path:
        """What the build returned: digests and references."""
        return self.path / "metadata.json"

    @property
    def bake(self) -> Path:
        """The bake definition."""
        return self.path / "bake.json"

    @property
    def result(self) -> Path:
        """How the build ended."""
        return self.path / "result.json"

    def dockerfile(self, name: str, *, only: bool) -> Path:
        """The rendered Dockerfile of image *name*; plain ``Dockerfile`` for an only one."""
        return self.path / ("Dockerfile" if only else f"{name}.Dockerfile")

    def write(self, path: Path, text: str) -> None:
        """Write a file of the record whole or not at all."""
        part = path.with_name(f".{path.name}.part")
        part.write_text(text, encoding="utf-8")
        part.replace(path)

    def write_json(self, path: Path, value: Any) -> None:
        """Write *value* as JSON, whole or not at all."""
        self.write(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")

    def finish(self, result: dict[str, Any]) -> None:
        """Seal the record with *result* and point ``latest`` at it."""
        self.write_json(self.result, result)
        link = self.path.parent / f".latest-{os.getpid()}"
        link.unlink(missing_ok=True)
        link.symlink_to(self.path.name)
        link.replace(self.path.parent / "latest")


def builds(context: Path) -> Path:
    """The folder that holds the records of the tree *context*."""
    return context / STATE / "builds"


def new_id(name: str) -> str:
    """A name for a build that starts now: sorts by time, says which image."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}-{name}"


def create(context: Path, build_id: str) -> Record:
    """Make the folder of a new record; folders that a killed build left behind go.

    Raises:
        NotReady: The folder cannot be written.
    """
    parent = builds(context)
    try:
        parent.mkdir(parents=True, exist_ok=True)
        # The state must not make its own tree dirty, nor show up in it.
        ignore = parent.parent / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n", encoding="utf-8")
        _sweep(parent)
        path = parent / build_id
        path.mkdir()
    except OSError as error:
        raise NotReady(
            f"the build record cannot be written below {parent}: {error.strerror}",
            hint="make the folder writable, or use another --context",
        ) from error
    return Record(path)


def finished(context: Path) -> Iterator[tuple[Record, dict[str, Any]]]:
    """Every finished record with its result, newest first."""
    parent = builds(context)
    if not parent.is_dir():
        return
    for path in sorted(parent.iterdir(), reverse=True):
        record = Record(path)
        if not path.is_symlink() and record.result.is_file():
            try:
                yield record, json.loads(record.result.read_text(encoding="utf-8"))
            except ValueError:
                continue


def _sweep(parent: Path) -> None:
    for path in parent.iterdir():
        parts = path.name.split("-")
        if path.is_symlink() or (path / "result.json").exists() or len(parts) < 3:
            continue
        # On a shared folder the process may be another machine's: a day is a build's end.
        old = time.time() - path.stat().st_mtime > _ABANDONED_SECONDS
        if old and parts[1].isdecimal() and not Path(f"/proc/{parts[1]}").exists():
            shutil.rmtree(path, ignore_errors=True)
