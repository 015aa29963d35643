"""The records of a tree as a whole: which there are, which one is meant, and what they take."""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from dynbuild.build import follow, record, recording
from dynbuild.build.record import Record
from dynbuild.errors import NotReady, RequestError, quote
from dynbuild.names import nearest

LATEST = "latest"
"""The word for the build that ended last; a number after ``~`` counts back from it."""

_BACK = re.compile(rf"(?:{LATEST})?~([0-9]{{1,6}})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A record as it lies on the disk.

    Attributes:
        record: The record.
        begun: When its build began.
        finished: Whether it has a result, and nothing more will be written.
        bytes: What its files take.
        kind: Of what it is: one build, or a run of a matrix, whose builds have records as well.
        running: Whether the process that writes it runs on this machine.
    """

    record: Record
    begun: datetime | None
    finished: bool
    bytes: int
    kind: Literal["build", "matrix"] = "build"
    running: bool = False


def records(context: Path) -> list[Record]:
    """The records of the tree *context*, the newest first."""
    try:
        folders = [path for path in record.builds(context).iterdir() if _is_record(path)]
    except OSError:
        return []
    return [Record(path) for path in sorted(folders, reverse=True)]


def entries(context: Path) -> Iterator[Entry]:
    """The records with what they take, the newest first."""
    for one in records(context):
        yield entry(one, "build", finished=one.result.is_file())


def entry(one: Record, kind: Literal["build", "matrix"], *, finished: bool) -> Entry:
    """The record *one* with what it takes."""
    return Entry(
        record=one,
        begun=record.begun(one.id),
        finished=finished,
        bytes=_bytes(one.path),
        kind=kind,
        running=not finished and follow.is_written(one.id),
    )


def choose(context: Path, named: str | None) -> Record:
    """The record that *named* means.

    Args:
        context: The tree.
        named: The id of a build or a beginning of it, which may be the image's id as well;
            ``latest`` or ``None`` for the newest, ``~1`` for the one before it.

    Raises:
        RequestError: There is none, or several fit.
    """
    there = records(context)
    if not there:
        raise RequestError(
            f"no build of {context} has a record", hint="dynbuild build leaves one behind"
        )
    back = _BACK.fullmatch(named or "~0") or (_BACK.fullmatch("~0") if named == LATEST else None)
    if back:
        if int(back[1]) < len(there):
            return there[int(back[1])]
        raise RequestError(f"{named} is before the first of {len(there)} builds", hint=_LIST)
    word = named or ""
    for one in there:
        if one.id == word:
            return one
    of_image = next((one for one in there if one.of == word), None)
    if of_image:
        return of_image
    fitting = [one for one in there if one.id.startswith(word)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise RequestError(
            f"{quote(word)} is the beginning of {len(fitting)} builds",
            hint=f"name one, such as {fitting[0].id}",
        )
    near = nearest(word, [one.id for one in there])
    raise RequestError(
        f"no build is called {quote(word)}", hint=f"did you mean {near}?" if near else _LIST
    )


def before(context: Path, later: Record) -> Record:
    """The build before *later*, of the same image if there is one.

    Raises:
        RequestError: It is the first one.
    """
    there = earlier(context, later)
    if not there:
        raise RequestError(f"{later.id} is the first build of {context}", hint=_LIST)
    return last_of(there, recording.images_of(later)) or there[0]


def earlier(context: Path, than: Record) -> list[Record]:
    """The records of the tree *context* that began before *than*, the newest first."""
    return [one for one in records(context) if one.id < than.id]


def last_of(there: Iterable[Record], images: Iterable[str]) -> Record | None:
    """The first of the records *there* that is of one of the *images*: what compares with them.

    A record whose plan cannot be read is of none.
    """
    named = set(images)
    return next((one for one in there if named & set(recording.images_of(one))), None)


def outdated(
    kept: Sequence[Entry],
    *,
    now: datetime,
    older: timedelta | None = None,
    keep: int = 0,
    most: int | None = None,
) -> list[Entry]:
    """The records that may go, of those *kept*, the newest of which is first.

    What is not finished may still run, unless it is a day old and its process is not here.

    Args:
        kept: All records.
        now: The time.
        older: Only what began longer ago than that; ``None`` where the age does not matter.
        keep: So many of the newest of each kind stay, whatever else is said.
        most: Bytes that all records may take together; ``None``: age and number decide alone.
    """
    gone = []
    room = sum(one.bytes for one in kept) - most if most is not None else None
    left = Counter(one.kind for one in kept)
    for one in reversed(kept):
        left[one.kind] -= 1
        age = now - one.begun if one.begun else timedelta.max
        if left[one.kind] < keep or one.running or (not one.finished and age < _ABANDONED):
            continue
        if older is not None and age <= older:
            continue
        if room is not None:
            if room <= 0:
                break
            room -= one.bytes
        gone.append(one)
    return gone[::-1]


def remove(gone: Iterable[Entry]) -> None:
    """Remove records; ``latest`` goes when it leads nowhere any more.

    Raises:
        NotReady: One cannot be removed.
    """
    for one in gone:
        folder = one.record.path
        try:
            shutil.rmtree(folder)
        except OSError as error:
            raise NotReady(
                f"the record {folder} cannot be removed: {error.strerror}",
                hint="its folder belongs to somebody else, perhaps",
            ) from error
        latest = folder.parent / LATEST
        if latest.is_symlink() and not latest.exists():
            latest.unlink()


_ABANDONED = timedelta(days=1)
_LIST = "dynbuild history list shows those there are"


def _is_record(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink() and not path.name.startswith(".")


def _bytes(folder: Path) -> int:
    """What the files below *folder* take on the disk; a link is not followed."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += Path(place, name).lstat().st_blocks * 512
            except OSError:
                continue
    return total
