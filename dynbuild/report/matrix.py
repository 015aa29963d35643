"""What a person sees of a matrix: a line for each cell that ends, and a table at its end."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace

from dynbuild import units
from dynbuild.build.events import LogLine, Retried, StepEnded, StepStarted, Warned
from dynbuild.build.solve import is_cancelled
from dynbuild.errors import one_line, shorten
from dynbuild.matrix.events import (
    CellEnded,
    MatrixEvent,
    SolveEnded,
    SolveEvent,
    SolveStarted,
    TagsMoved,
)
from dynbuild.matrix.result import CellResult, MatrixResult
from dynbuild.report.display import Display
from dynbuild.report.heartbeat import SILENCE_SECONDS, Heartbeat

_STYLES = {
    "done": "green",
    "failed": "red",
    "cancelled": "yellow",
    "skipped": "yellow",
    "unchanged": "green",
}


class Progress(Heartbeat[MatrixEvent]):
    """Listener that writes a line for each cell that ends, and a sign of life between them."""

    def __init__(
        self,
        say: Callable[[str], None],
        display: Display,
        verbosity: int,
        cells: int,
        more: Callable[[CellResult], None] = lambda _: None,
    ) -> None:
        """Start the clock.

        Args:
            say: Takes a line that is to be seen.
            display: How it is to look there.
            verbosity: 1 shows what steps print as well.
            cells: How many cells there are.
            more: Told of each cell that ends, after its line.
        """
        super().__init__(say, display, verbosity)
        self._more, self._cells = more, cells
        self._running: dict[str, dict[str, str]] = {}
        self._names: dict[str, str] = {}
        self._ended = 0
        self._told = self._begun

    def _show(self, event: MatrixEvent) -> None:
        match event:
            case SolveStarted(solve=solve):
                self._running[solve] = {}
                if self._verbosity >= 1:
                    self._line(f"{solve} begins")
            case SolveEnded(solve):
                self._running.pop(solve, None)
            case SolveEvent(solve, inner):
                self._step(solve, inner)
            case CellEnded(cell):
                self._ended += 1
                self._line(_ended(cell, self._display, f"{self._ended}/{self._cells}"))
                self._more(cell)
            case TagsMoved(cell=cell, tags=tags):
                self._line(f"{cell} is {', '.join(tags)}")

    def _step(self, solve: str, event: object) -> None:
        running = self._running.setdefault(solve, {})
        match event:
            case StepStarted(digest=digest, name=name):
                self._names[digest] = name.title
                running[digest] = name.title
            case StepEnded(digest=digest):
                running.pop(digest, None)
                if event.error and not is_cancelled(event.error):
                    self._line(f"{solve}: {self._names.get(digest, digest)}  FAILED")
            case Retried(message=message, seconds=seconds):
                running.clear()
                wait = units.format_time(seconds)
                self._line(f"{solve}: {message}: tried again in {wait}")
            case LogLine(digest=digest, text=text) if self._verbosity >= 1:
                self._say(f"        {self._names.get(digest, digest)} | {text}")
            case Warned(text=text) if self._verbosity >= 1:
                self._say(self._display.warning(text))
            case _:
                pass

    def _line(self, text: str) -> None:
        self._told = time.monotonic()
        self._say(f"{self._clock()}  {text}")

    def _beat(self, now: float) -> None:
        if now - self._told > SILENCE_SECONDS and self._running:
            steps = len(set().union(*self._running.values()))
            left = self._cells - self._ended
            self._line(f"{self._ended} done, {left} to go; {steps} steps running")


def _ended(cell: CellResult, display: Display, count: str) -> str:
    status = display.style(cell.status, _STYLES[cell.status])
    facts = [f"{cell.id}  {status}", units.format_time(cell.seconds), _steps(cell)]
    if cell.size is not None:
        facts.append(units.format_size(cell.size))
    if cell.failure:
        facts.append(cell.failure.step or cell.failure.message)
    return f"{count}  " + "  ".join(facts)


def _steps(cell: CellResult) -> str:
    return f"{cell.steps.run} run, {cell.steps.cached} cached"


HEADER = ("cell", "result", "time", "run", "cached", "size", "digest", "first error")
_GIVE_WAY = ("digest", "size", "time", "cached", "run")
"""Columns that a narrow terminal does without, the first of them first; a pipe has all."""

_HEX = 12
"""Digits of a digest that a terminal has."""


def table(result: MatrixResult, display: Display) -> list[str]:
    """A line for each cell; whole in a pipe.

    On a terminal the ids stay whole, and the first error has a line of its own.
    """
    rows = [row for cell in result.cells for row in (_row(cell), *_tests(cell))]
    used = [
        number for number in range(len(HEADER)) if number < 2 or any(row[number] for row in rows)
    ]
    if display.width is None:
        return display.table(
            [HEADER[number] for number in used], [[row[number] for number in used] for row in rows]
        )
    names = [HEADER[number] for number in used if HEADER[number] != "first error"]
    shown = [dict(zip(HEADER, _narrow(row), strict=True)) for row in rows]
    for name in _GIVE_WAY:
        widths = [max(len(row[name]) for row in (*shown, {name: name})) for name in names]
        if sum(widths) + 2 * (len(widths) - 1) <= display.width:
            break
        names = [one for one in names if one != name]
    made = display.table_of(names, [[row[name] for name in names] for row in shown])
    errors = (
        (shorten(f"  {row['first error']}", display.width),) if row["first error"] else ()
        for row in shown
    )
    told = tuple((*row, *error) for row, error in zip(made.rows, errors, strict=True))
    return replace(made, rows=told).lines


def _narrow(row: tuple[str, ...]) -> tuple[str, ...]:
    *facts, digest, error = row
    return (*facts, digest.removeprefix("sha256:")[:_HEX], error)


def _row(cell: CellResult) -> tuple[str, ...]:
    failure = cell.failure
    return (
        cell.id,
        cell.told,
        units.format_time(cell.seconds) if cell.build else "",
        str(cell.steps.run) if cell.build else "",
        str(cell.steps.cached) if cell.build else "",
        "" if cell.size is None else units.format_size(cell.size),
        cell.digest,
        "" if failure is None else one_line(failure.step or failure.message),
    )


def _tests(cell: CellResult) -> Iterator[tuple[str, ...]]:
    for test in cell.told_tests:
        time, said = units.format_time(test.seconds), one_line(test.message)
        yield (f"  {test.name}", test.status, time, "", "", "", "", said)


def summary(result: MatrixResult) -> Iterator[str]:
    """The lines below the table."""
    counts = Counter(cell.told for cell in result.cells)
    said = ", ".join(f"{counts[status]} {status}" for status in _STYLES if counts[status])
    yield f"{'cells':<8}{said}"
    yield f"{'time':<8}{units.format_time(result.seconds)}"
    yield f"{'steps':<8}{result.steps.run} run, {result.steps.cached} cached"
    tests = Counter(test.status for cell in result.cells for test in cell.tests)
    if tests:
        said = ", ".join(f"{count} {status}" for status, count in sorted(tests.items()))
        yield f"{'tests':<8}{said}"
    again = len(result.every_retry)
    if again:
        yield f"{'again':<8}{again} tries, of which the record tells"
    yield f"{'record':<8}{result.record}"
    failed = next((cell for cell in result.cells if cell.failure), None)
    if failed and failed.failure:
        yield ""
        yield f"{failed.id}: {failed.failure.step or 'no step began'}"
        # Whatever a step printed, a CI system takes no line of it for a command.
        yield from (f"  | {line}" for line in failed.failure.lines)
        yield f"  {failed.failure.message}"
