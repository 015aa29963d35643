"""How a matrix ended as Markdown, for the summary of a CI job.  Pure."""

from __future__ import annotations

from collections.abc import Iterator

from dynbuild import units
from dynbuild.build.result import Failure, Retry
from dynbuild.errors import shorten
from dynbuild.matrix.result import CellResult, MatrixResult
from dynbuild.report.markdown import code, fenced, plain, table

_FAILURES = 20
_LINE = 400
_TITLE = 90
_HEX = 12
_MARKS = {"done": "✅", "failed": "❌", "cancelled": "⏹️", "skipped": "⏭️", "unchanged": "✅"}


def render(result: MatrixResult) -> str:
    """The lines of *result*: its table, each failure once, and the warnings."""
    done = sum(cell.status == "done" for cell in result.cells)
    name = f"{plain(result.name)}: " if result.name else ""
    lines = [
        f"## {name}{done} of {len(result.cells)} images in {units.format_time(result.seconds)}",
        "",
        *table(
            ("Cell", "Result", "Time", "Steps run", "Cached", "Size", "Digest", "First error"),
            [row for cell in result.cells for row in (_row(cell), *_tests(cell))],
        ),
        *_failures(result),
    ]
    if result.every_retry:
        lines += ["### Tried again", "", *map(_again, result.every_retry[:_FAILURES]), ""]
    if result.warnings:
        lines += ["### Warnings", "", *(f"- {plain(one)}" for one in result.warnings), ""]
    return "\n".join(lines)


def _row(cell: CellResult) -> tuple[str, ...]:
    solved = bool(cell.build)
    why = cell.failure
    return (
        code(cell.id),
        f"{_MARKS[cell.told]} {cell.told}",
        units.format_time(cell.seconds) if solved else "",
        str(cell.steps.run) if solved else "",
        str(cell.steps.cached) if solved else "",
        units.format_size(cell.size) if cell.size else "",
        code(cell.digest.removeprefix("sha256:")[:_HEX]) if cell.digest else "",
        code(shorten(why.step or why.message, _TITLE)) if why else "",
    )


def _again(one: tuple[str, Retry]) -> str:
    cell, retry = one
    where = code(cell) if cell else "for all"
    step = f" {code(shorten(retry.step, _TITLE))}" if retry.step else ""
    wait = units.format_time(retry.waited)
    return f"- {where}{step} after {wait}: {code(shorten(retry.message, _TITLE))}"


def _tests(cell: CellResult) -> Iterator[tuple[str, ...]]:
    for test in cell.told_tests:
        mark = _MARKS[{"passed": "done"}.get(test.status, test.status)]
        time = units.format_time(test.seconds)
        said = code(shorten(test.message, _TITLE)) if test.message else ""
        name = plain(f"{cell.id}: {test.name}")
        yield (name, f"{mark} {test.status}", time, "", "", "", "", said)


def _failures(result: MatrixResult) -> Iterator[str]:
    """Each failure once, with the cells that it is of."""
    cells: dict[Failure, list[str]] = {}
    for cell in result.cells:
        if cell.failure is not None:
            cells.setdefault(cell.failure, []).append(cell.id)
    for why, names in list(cells.items())[:_FAILURES]:
        yield f"### {', '.join(map(code, names))}"
        yield ""
        if why.step:
            yield code(why.step)
            yield ""
        yield from fenced([shorten(line, _LINE) for line in (*why.lines, why.message)])
        if why.hint:
            yield f"What to do: {plain(why.hint)}"
            yield ""
    if len(cells) > _FAILURES:
        yield f"{len(cells) - _FAILURES} failures more are in the record."
        yield ""
