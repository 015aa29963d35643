"""The build record: one folder a build, ``.dynbuild/builds/<id>/``.

plan.json      what was decided        Dockerfile     what was rendered
bake.json      what BuildKit was told  metadata.json  what it answered (digests)
events.jsonl   its progress, raw       log            the same to read
context.json   what steps took from build contexts, with hashes
result.json    how it ended; written last, so a folder without it is unfinished

A disk that is full, or a folder that cannot be written, stops no build that has begun: a
``Journal`` keeps its error, and ``finish`` raises it when all else is done.
"""

from __future__ import annotations

import errno
import functools
import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from dynbuild import paths
from dynbuild.build.inputs import ignore_file
from dynbuild.errors import NotReady

if TYPE_CHECKING:
    from dynbuild.build.result import BuildResult

STATE = ".dynbuild"
# Logs and arguments of a build are the business of who built, whatever the umask says.
_FOLDER, _FILE = 0o700, 0o600
_ABANDONED_SECONDS = 24 * 3600
_TIME = "%Y%m%dT%H%M%S"
_READ = 256


_ID = re.compile(r"([0-9]{8}T[0-9]{6})-([0-9]+)(?:\.[0-9]+)?-(.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class RecordId:
    """The name of a record, taken apart.

    Attributes:
        begun: When it was begun, to the second.
        process: The process that did.
        of: What it is of: the id of an image, or the name of a matrix.
    """

    begun: datetime
    process: int
    of: str

    @classmethod
    def parse(cls, text: str) -> RecordId | None:
        """What the name *text* says; ``None`` where it is of another form."""
        if parts := _ID.fullmatch(text):
            with suppress(ValueError):
                begun = datetime.strptime(parts[1], _TIME).replace(tzinfo=UTC)
                return cls(begun, int(parts[2]), parts[3])
        return None


def begun(record_id: str) -> datetime | None:
    """When the record of that name was begun; ``None`` where the name does not say it."""
    name = RecordId.parse(record_id)
    return name.begun if name else None


@dataclass(frozen=True, slots=True)
class Record:
    """The folder of one build; the paths of its files are properties of it."""

    path: Path

    @property
    def id(self) -> str:
        """The name of the build."""
        return self.path.name

    @property
    def of(self) -> str:
        """What its name says that it is of; empty where that is of another form."""
        name = RecordId.parse(self.id)
        return name.of if name else ""

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
    def context(self) -> Path:
        """What was taken from build contexts."""
        return self.path / "context.json"

    @property
    def plan(self) -> Path:
        """What was decided."""
        return self.path / "plan.json"

    @property
    def bake(self) -> Path:
        """The bake definition."""
        return self.path / "bake.json"

    @property
    def result(self) -> Path:
        """How the build ended."""
        return self.path / "result.json"

    @property
    def page(self) -> Path:
        """The report, once it was asked for."""
        return self.path / "report.html"

    def dockerfile(self, name: str, *, only: bool) -> Path:
        """The rendered Dockerfile of image *name*; plain ``Dockerfile`` for an only one."""
        return self.path / ("Dockerfile" if only else f"{name}.Dockerfile")

    def write(self, path: Path, text: str) -> None:
        """Write a file of the record whole or not at all."""
        part = path.with_name(f".{path.name}.part")
        try:
            with _open(part) as out:
                out.write(text.encode("utf-8", errors="surrogateescape"))
            part.replace(path)
        except OSError:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            raise

    def write_json(self, path: Path, value: Any) -> None:
        """Write *value* as JSON, whole or not at all."""
        self.write(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")

    def finish(self, ended: BuildResult) -> None:
        """Seal the record with how the build *ended*.

        Raises:
            OSError: It cannot be written.
        """
        self.write_json(self.result, ended.document())

    def announce(self) -> None:
        """Point ``latest`` at the record, whose build begins.

        Raises:
            OSError: It cannot be written.
        """
        link = self.path.parent / f".latest-{self.id}"
        link.unlink(missing_ok=True)
        link.symlink_to(self.path.name)
        link.replace(self.path.parent / "latest")


class Journal:
    """A file of a record that grows while the build runs.

    Attributes:
        error: Why it could not be written to its end; ``None`` while all is well.
    """

    def __init__(self, path: Path) -> None:
        """Make the file *path*, empty."""
        self.error: OSError | None = None
        self._file: IO[bytes] | None = None
        try:
            # Unbuffered: what is told is on the disk, and nothing is left to fail at the end.
            self._file = _open(path, buffering=0)
        except OSError as error:
            self.error = error

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def write(self, text: str) -> None:
        """Add *text*; after a first failure nothing more."""
        if self._file is None or self.error is not None or not text:
            return
        try:
            left = memoryview(text.encode("utf-8", errors="replace"))
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            self.error = error


def _open(path: Path, *, buffering: int = -1) -> IO[bytes]:
    """Make the file *path*, empty, which only its owner may read."""
    how = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    opened = os.open(path, how | os.O_NOFOLLOW, _FILE)
    os.fchmod(opened, _FILE)
    return os.fdopen(opened, "wb", buffering)


def state(context: Path, name: str) -> Path:
    """What is called *name* among what dynbuild keeps in the tree *context*.

    Raises:
        NotReady: A link leads there: a tree would choose what is written over.
    """
    path = context / STATE / name
    if paths.leads_out(path, context):
        raise NotReady(
            f"{path} is outside of the tree, where a link leads: nothing is kept there",
            hint="remove the link; another disk is mounted in its place, or use another --context",
        )
    return path


def hashes(context: Path) -> Path:
    """The file that keeps hashes of files of the tree *context*; see ``state``."""
    return state(context, "hashes.json")


def builds(context: Path) -> Path:
    """The folder that holds the records of the tree *context*; see ``state``."""
    return state(context, "builds")


def ignore_rules(tree: Path) -> str:
    """The ignore file of *tree* and of its build.

    BuildKit prefers the one beside the Dockerfile: the tree's own rules hold, and dynbuild's
    records never travel to the builder.
    """
    return f"{ignore_file(tree)}\n{STATE}/\n"


def new_id(name: str) -> str:
    """A name for a build that starts now: sorts by time, says which image."""
    return f"{datetime.now(UTC):{_TIME}}-{os.getpid()}-{name}"


def create(context: Path, build_id: str) -> Record:
    """Make the folder of a new record; folders that a killed build left behind go.

    Raises:
        NotReady: The folder cannot be written.
    """
    return create_in(builds(context), build_id)


def create_in(parent: Path, name: str) -> Record:
    """Make the folder *name* in the folder *parent* of records; see ``create``.

    Raises:
        NotReady: The folder cannot be written.
    """
    try:
        parent.mkdir(parents=True, exist_ok=True)
        # The state must not make its own tree dirty, nor show up in it.
        with suppress(FileExistsError), (parent.parent / ".gitignore").open("x") as ignore:
            ignore.write("*\n")
        _sweep(parent)
        path = _new(parent, name)
        for folder in (parent, path):
            folder.chmod(_FOLDER)
    except OSError as error:
        raise unwritable(parent, error) from error
    return Record(path)


def _new(parent: Path, name: str) -> Path:
    """A new folder: *name*, or one with a number where the same second has that already."""
    time, process, of = name.split("-", 2)
    for number in count(1):
        path = parent / (f"{time}-{process}.{number}-{of}" if number > 1 else name)
        with suppress(FileExistsError):
            path.mkdir()
            return path
    raise AssertionError("there is always another number")


def unwritable(folder: Path, error: OSError) -> NotReady:
    """The error of a record that cannot be written."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    remedy = "make room on that disk" if full else "make the folder writable"
    return NotReady(
        f"the build record cannot be written below {folder}: {error.strerror}",
        hint=f"{remedy}, or use another --context",
    )


def finished(context: Path) -> Iterator[BuildResult]:
    """How every finished build ended, newest first; what cannot be read is passed over."""
    try:
        folders = sorted(builds(context).iterdir(), reverse=True)
    except OSError:
        return
    for path in folders:
        if not path.is_symlink():
            with suppress(OSError, ValueError):
                yield read(Record(path))


def read(record: Record) -> BuildResult:
    """How the build of *record* ended.

    Raises:
        OSError: There is no result, or it cannot be read.
        ValueError: It is damaged.
    """
    return _read(record, paths.stamp(paths.regular(record.result)))


@functools.lru_cache(_READ)
def _read(record: Record, _: tuple[int, int, int]) -> BuildResult:
    """The result of a record whose file has that stamp: looked at often, parsed once."""
    # Its models take a while to make, and a record is begun without them.
    from dynbuild.build import result

    ended = result.parse(record.result.read_bytes())
    return replace(ended, id=record.id, record=str(record.path))


def _sweep(parent: Path) -> None:
    for path in parent.iterdir():
        name = RecordId.parse(path.name)
        if name is None or path.is_symlink() or (path / "result.json").exists():
            continue
        # On a shared folder the process may be another machine's: a day is a build's end.
        try:
            old = time.time() - path.stat().st_mtime > _ABANDONED_SECONDS
        except OSError:
            continue
        if old and not Path(f"/proc/{name.process}").exists():
            shutil.rmtree(path, ignore_errors=True)
