"""How a matrix ended, as data: ``result.json`` of its record, and what ``matrix`` prints as JSON.

It is the manifest of the whole set, which later commands read.  Pure: text in, models out.
"""

from __future__ import annotations

from dataclasses import field
from typing import Any, Literal

from dynbuild import checked
from dynbuild.build.result import (
    ImageResult,
    Result,
    Retry,
    Seconds,
    Steps,
    parse_as,
)
from dynbuild.checked import described
from dynbuild.quick import dataclass

Status = Literal["done", "failed", "cancelled", "skipped"]


@dataclass(frozen=True, kw_only=True)
class TestResult(Result):
    """How a test in an image ended."""

    name: str
    promised: bool = described("whether every image of its target is tested so", default=False)
    status: Literal["passed", "failed", "skipped"]
    seconds: Seconds = 0.0
    message: str = described("why it did not pass", default="")
    lines: tuple[str, ...] = described("the last lines that it printed", default=())


@dataclass(frozen=True, kw_only=True)
class CellResult(ImageResult):
    """What became of one cell."""

    build: str = described("name of its build, and of that record's folder", default="")
    platforms: tuple[str, ...] = ()
    line: str = described("its release line", default="")
    reference: str = described(
        "REPOSITORY@DIGEST of an image that was pushed; else empty", default=""
    )
    moved: bool = described("whether its tags are on it", default=False)
    tests: tuple[TestResult, ...] = ()
    unchanged: bool = described(
        "whether its tags had its content already: nothing was built", default=False
    )
    retries: tuple[Retry, ...] = described(
        "what failed for a fault of the moment, and was tried again", default=()
    )

    @property
    def told(self) -> str:
        """The result as reports call it."""
        return "unchanged" if self.unchanged else self.status

    @property
    def told_tests(self) -> tuple[TestResult, ...]:
        """The tests that a table has: those that did not pass, and those of the settings."""
        return tuple(one for one in self.tests if one.status != "passed" or not one.promised)


@dataclass(frozen=True, kw_only=True)
class MatrixResult(Result):
    """How all cells ended."""

    format: Literal[1] = field(default=1, metadata={"alias": "schema"})
    id: str = described("name of the run, and of its record's folder")
    name: str = described("the [matrix.NAME] it is of", default="")
    record: str = described("folder of its record", default="")
    status: Literal["done", "failed", "interrupted"]
    version: str = ""
    commit: str = ""
    seconds: Seconds = 0.0
    steps: Steps = described("of all solves together, each step once", default=Steps())
    common: str = described(
        "name of the build of the common steps, where they came first", default=""
    )
    cells: tuple[CellResult, ...] = ()
    retries: tuple[Retry, ...] = described("the same of what belongs to no cell alone", default=())
    warnings: tuple[str, ...] = ()

    @property
    def every_retry(self) -> tuple[tuple[str, Retry], ...]:
        """What was tried again, each with the cell it is of, or with nothing."""
        own = [(cell.id, one) for cell in self.cells for one in cell.retries]
        return (*(("", one) for one in self.retries), *own)


def parse(text: bytes | str) -> MatrixResult:
    """The result that *text* holds.

    Raises:
        ValueError: It is no JSON, or no result of a matrix.
    """
    return parse_as(MatrixResult, text)


def schema() -> dict[str, Any]:
    """JSON Schema of ``MatrixResult.document()``."""
    return checked.schema(MatrixResult)
