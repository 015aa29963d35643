"""How a matrix ended, as data: ``result.json`` of its record, and what ``matrix`` prints as JSON.

It is the manifest of the whole set, which later commands read.  Pure: text in, models out.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat

from dynbuild.build.result import ImageResult, Retry, Steps, parse_as, schema_of

Status = Literal["done", "failed", "cancelled", "skipped"]


class _Model(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="ignore", populate_by_name=True, allow_inf_nan=False
    )


class TestResult(_Model):
    """How a test in an image ended."""

    name: str
    promised: bool = Field(
        default=False, description="whether every image of its target is tested so"
    )
    status: Literal["passed", "failed", "skipped"]
    seconds: NonNegativeFloat = 0.0
    message: str = Field(default="", description="why it did not pass")
    lines: tuple[str, ...] = Field(default=(), description="the last lines that it printed")


class CellResult(ImageResult):
    """What became of one cell."""

    build: str = Field(default="", description="name of its build, and of that record's folder")
    platforms: tuple[str, ...] = ()
    line: str = Field(default="", description="its release line")
    reference: str = Field(
        default="", description="REPOSITORY@DIGEST of an image that was pushed; else empty"
    )
    moved: bool = Field(default=False, description="whether its tags are on it")
    tests: tuple[TestResult, ...] = ()
    unchanged: bool = Field(
        default=False, description="whether its tags had its content already: nothing was built"
    )
    retries: tuple[Retry, ...] = Field(
        default=(), description="what failed for a fault of the moment, and was tried again"
    )

    @property
    def told(self) -> str:
        """The result as reports call it."""
        return "unchanged" if self.unchanged else self.status

    @property
    def told_tests(self) -> tuple[TestResult, ...]:
        """The tests that a table has: those that did not pass, and those of the settings."""
        return tuple(one for one in self.tests if one.status != "passed" or not one.promised)


class MatrixResult(_Model):
    """How all cells ended."""

    format: Literal[1] = Field(default=1, alias="schema")
    id: str = Field(description="name of the run, and of its record's folder")
    name: str = Field(default="", description="the [matrix.NAME] it is of")
    record: str = Field(default="", description="folder of its record")
    status: Literal["done", "failed", "interrupted"]
    version: str = ""
    commit: str = ""
    seconds: NonNegativeFloat = 0.0
    steps: Steps = Field(default=Steps(), description="of all solves together, each step once")
    common: str = Field(
        default="", description="name of the build of the common steps, where they came first"
    )
    cells: tuple[CellResult, ...] = ()
    retries: tuple[Retry, ...] = Field(
        default=(), description="the same of what belongs to no cell alone"
    )
    warnings: tuple[str, ...] = ()

    @property
    def every_retry(self) -> tuple[tuple[str, Retry], ...]:
        """What was tried again, each with the cell it is of, or with nothing."""
        own = [(cell.id, one) for cell in self.cells for one in cell.retries]
        return (*(("", one) for one in self.retries), *own)

    def document(self) -> dict[str, Any]:
        """The result as the JSON object of the interface."""
        return self.model_dump(mode="json", by_alias=True)


def parse(text: bytes | str) -> MatrixResult:
    """The result that *text* holds.

    Raises:
        ValueError: It is no JSON, or no result of a matrix.
    """
    return parse_as(MatrixResult, text)


def schema() -> dict[str, Any]:
    """JSON Schema of ``MatrixResult.document()``."""
    return schema_of(MatrixResult)
