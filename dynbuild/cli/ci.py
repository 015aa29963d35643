"""What a CI system gets of a matrix: files with the result, and marks in its log."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from dynbuild import paths
from dynbuild.cli import console
from dynbuild.cli.parameters import Invocation
from dynbuild.errors import NotReady
from dynbuild.quick import dataclass

if TYPE_CHECKING:
    from dynbuild.matrix.result import CellResult, MatrixResult

_SUMMARY = "GITHUB_STEP_SUMMARY"
_LINES = 200
"""Of the end of a log that a CI system folds."""


@dataclass(frozen=True, slots=True)
class Files:
    """Where the result is written besides.

    Attributes:
        junit: As JUnit's XML.
        summary: As Markdown.
        after: Whether the summary comes after what is in its file.
    """

    junit: Path | None = None
    summary: Path | None = None
    after: bool = False

    def write(self, result: MatrixResult) -> None:
        """Write *result*.

        Raises:
            NotReady: A file cannot be written.
        """
        if self.junit:
            from dynbuild.report import junit

            _write(self.junit, junit.render(result))
        if self.summary:
            from dynbuild.report import matrix_markdown

            text = matrix_markdown.render(result)
            if self.after:
                # The runner gives every step a file, which other tools of the step write too.
                text = f"{_read(self.summary)}{text}"
            _write(self.summary, text)


def files(invocation: Invocation) -> Files:
    """The files that the command line and the CI system name.

    Raises:
        NotReady: One cannot be written: nobody is to learn that after hours.
    """
    junit, summary = invocation.text("junit"), invocation.text("summary")
    given = os.environ.get(_SUMMARY)
    named = summary or given
    one = Files(
        junit=paths.expanded(junit, origin="flag --junit").absolute() if junit else None,
        summary=paths.expanded(named, origin="flag --summary").absolute() if named else None,
        after=bool(given) and summary in (None, given),
    )
    for path in filter(None, (one.junit, one.summary)):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            there = path.exists()
            path.open("a").close()
            if not there:
                # Where nothing comes of the run, an empty file would be no result of it.
                path.unlink()
        except OSError as error:
            raise _unwritable(path, error) from error
    return one


def marks(builds: Path) -> Callable[[CellResult], None]:
    """What says to a CI system of a cell what is more than its line: nothing outside of one.

    Args:
        builds: The folder with the records of builds.
    """
    from dynbuild.report import ci_log

    system = ci_log.system_of(os.environ)

    def told(cell: CellResult) -> None:
        why = cell.failure
        if why is None or system is None:
            return
        title = f"{cell.id}: {why.step or why.message}"
        fold = ci_log.Fold(title=title, mark=secrets.token_hex(8), seconds=int(time.time()))
        for mark in fold.begin(system):
            console.mark(mark)
        lines = _tail(builds / cell.build / "log") if cell.build else []
        for line in lines or (*why.lines, why.message):
            console.say(line)
        text = "\n".join(filter(None, (why.step, *why.lines, why.message)))
        for mark in (*fold.end(system), *ci_log.error(system, cell.id, text)):
            console.mark(mark)

    return told


def _tail(log: Path) -> list[str]:
    return _read(log).splitlines()[-_LINES:]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> NotReady:
    return NotReady(f"{path} cannot be written: {error.strerror}")
