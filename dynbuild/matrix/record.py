"""The record of a matrix: one folder a run, ``.dynbuild/matrices/<id>/``.

plan.json    all that was decided     result.json   how it ended so far, cell by cell

Each solve of it has a record of its own beside, ``.dynbuild/builds/<id>/``.  The result is written
whenever a cell ends: what is read after a kill is what was done before.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from dynbuild import paths
from dynbuild.build import archive, record
from dynbuild.build.archive import Entry
from dynbuild.build.record import Record
from dynbuild.errors import RequestError
from dynbuild.matrix import result
from dynbuild.matrix.result import MatrixResult
from dynbuild.plan.document import PlanDocument

_READ = 64


@dataclass(frozen=True, slots=True)
class MatrixRecord:
    """The folder of one run of a matrix."""

    path: Path

    @property
    def id(self) -> str:
        """The name of the run."""
        return self.path.name

    @property
    def plan(self) -> Path:
        """What was decided."""
        return self.path / "plan.json"

    @property
    def result(self) -> Path:
        """How it ended so far."""
        return self.path / "result.json"

    @property
    def builds(self) -> Path:
        """The folder of the records of its solves."""
        return record.builds(self.path.parents[2])

    def write(self, ended: MatrixResult) -> None:
        """Write how it ended so far.

        Raises:
            OSError: It cannot be written.
        """
        Record(self.path).write_json(self.result, ended.document())


def folder(context: Path) -> Path:
    """The folder that holds the records of matrices of the tree; see ``record.state``."""
    return record.state(context, "matrices")


def create(plan: PlanDocument, name: str) -> MatrixRecord:
    """Begin the record of the matrix *name*, which may be empty.

    Raises:
        NotReady: The folder cannot be written.
    """
    parent = folder(Path(plan.context))
    made = record.create_in(parent, record.new_id(name or "matrix"))
    try:
        made.write_json(made.path / "plan.json", plan.document())
    except OSError as error:
        raise record.unwritable(parent, error) from error
    return MatrixRecord(made.path)


def begun(context: Path) -> Iterator[MatrixRecord]:
    """The records of the tree *context*, newest first."""
    with suppress(OSError):
        for path in sorted(folder(context).iterdir(), reverse=True):
            if path.is_dir() and not path.is_symlink():
                yield MatrixRecord(path)


def every(context: Path) -> Iterator[MatrixRecord]:
    """Those that have a result."""
    return (one for one in begun(context) if one.result.is_file())


def find(context: Path, id: str) -> MatrixRecord:
    """The record of the run *id*, or of the last one where *id* is empty.

    Raises:
        RequestError: There is none.
    """
    one = next((one for one in every(context) if id in ("", one.id)), None)
    if one is None:
        raise RequestError(
            f"there is no run '{id}' of a matrix" if id else "no matrix was run here yet",
            origin=str(folder(context)),
            hint="`dynbuild matrix` runs one; --context names the tree that it was run for",
        )
    return one


def named(context: Path, text: str) -> MatrixRecord | None:
    """The record of the run *text*, or of the only one whose id begins so, if there is one."""
    fitting = [one for one in begun(context) if one.id.startswith(text)]
    whole = (one for one in fitting if one.id == text)
    return next(whole, fitting[0] if len(fitting) == 1 else None)


def entries(context: Path) -> list[Entry]:
    """All records of the tree *context*, of builds and of matrices, the newest first."""
    own = (
        archive.entry(Record(one.path), "matrix", finished=_ended(one)) for one in begun(context)
    )
    every = [*archive.entries(context), *own]
    return sorted(every, key=lambda one: one.record.id, reverse=True)


def _ended(one: MatrixRecord) -> bool:
    """Whether a run came to its end: until then its result says that it was interrupted."""
    try:
        return result_of(one).status != "interrupted"
    except RequestError:
        return False


def plan_of(one: MatrixRecord) -> PlanDocument:
    """What was decided.

    Raises:
        RequestError: The record is damaged.
    """
    with _read(one):
        return PlanDocument.parse(paths.regular(one.plan).read_bytes())


def result_of(one: MatrixRecord) -> MatrixResult:
    """How it ended, or how far it came.

    Raises:
        RequestError: The record is damaged, or has no result yet.
    """
    with _read(one):
        return _result(one, paths.stamp(paths.regular(one.result)))


@functools.lru_cache(_READ)
def _result(one: MatrixRecord, _: tuple[int, int, int]) -> MatrixResult:
    """The result of a run whose file has that stamp: looked at often, parsed once."""
    ended = result.parse(one.result.read_bytes())
    return replace(ended, id=one.id, record=str(one.path))


@contextmanager
def _read(one: MatrixRecord) -> Iterator[None]:
    """Tell a file of the record that cannot be read.

    Raises:
        RequestError: It cannot.
    """
    try:
        yield
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise RequestError(
            f"the record {one.path} cannot be read: {said}",
            hint="run the matrix anew; what is done comes from the cache",
        ) from error
