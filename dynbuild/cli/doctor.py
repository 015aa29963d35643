"""``dynbuild doctor`` and ``dynbuild env``: what this machine has, and what to tell others."""

from __future__ import annotations

import dataclasses
import os
import textwrap
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dynbuild.cli import console, tree
from dynbuild.errors import NotReady
from dynbuild.report.display import Display

if TYPE_CHECKING:
    from dynbuild.doctor.model import Check

_COLOURS = {"ok": "green", "warning": "yellow", "problem": "red", "absent": "dim"}
_NARROW = 16
_MARK = max(map(len, _COLOURS))

_Context = Annotated[
    str | None,
    typer.Option(
        "--context", help="Folder of Dynamo's source.", metavar="PATH", show_default=False
    ),
]


def doctor(
    format: Annotated[
        Literal["table", "json"], typer.Option("--format", help="For people, or for programs.")
    ] = "table",
    context: _Context = None,
) -> None:
    """Examine this machine: is it ready to build and run, and what would make it so?

    Nothing is changed, and nobody but this machine and its engine is asked.
    The exit status is 3 where no engine answers, or its client has no buildx.

    [bold]Examples[/bold]

      dynbuild doctor

      dynbuild doctor --context ~/dynamo --format json
    """
    from dynbuild.doctor import examination

    checks = examination.examine(os.environ, tree.context(context))
    if format == "json":
        console.out_json(
            {
                "schema": 1,
                "ready": examination.ready(checks),
                "checks": [dataclasses.asdict(check) for check in checks],
            }
        )
    else:
        for line in _table(checks, console.out_display()):
            console.out(line)
    problems = [check for check in checks if check.status == "problem"]
    if problems:
        raise NotReady(
            f"this machine is not ready: {', '.join(check.name for check in problems)}",
            hint=problems[0].remedy or None,
        )


def _table(checks: tuple[Check, ...], display: Display) -> list[str]:
    """A line or more a check; its remedy is on lines of its own."""
    first = max(len(check.name) for check in checks)
    column = first + _MARK + 4
    lines = []
    for check in checks:
        mark = display.style(check.status, _COLOURS[check.status])
        head = f"{check.name:<{first}}  {mark}{' ' * (_MARK - len(check.status) + 2)}"
        value, *rest = _wrapped(check.value, display, column) or [""]
        lines += [f"{head}{value}".rstrip(), *(" " * column + line for line in rest)]
        if check.remedy:
            start, *more = _wrapped(check.remedy, display, column + 3)
            lines.append(f"{' ' * column}-> {start}")
            lines += [" " * (column + 3) + line for line in more]
    return lines


def _wrapped(text: str, display: Display, column: int) -> list[str]:
    """*text* from *column* on; one line in a file or a pipe, and words stay whole anywhere."""
    if display.width is None:
        return [text] if text else []
    width = max(display.width - column, _NARROW)
    return textwrap.wrap(text, width, break_on_hyphens=False, break_long_words=False)


def env(
    format: Annotated[
        Literal["text", "json"], typer.Option("--format", help="For people, or for programs.")
    ] = "text",
    context: _Context = None,
) -> None:
    """Print what a bug report needs: versions, the engine, git, and all variables.

    Values that are, or may be, secrets are masked: only their length is shown.
    Read the output all the same before you publish it.

    [bold]Examples[/bold]

      dynbuild env > report.txt

      dynbuild env --format json
    """
    from dynbuild.doctor import capture

    found = dataclasses.asdict(capture.capture(os.environ, tree.context(context)))
    if format == "json":
        console.out_json(found)
        return
    for line in _text(found):
        console.out(line)


def _text(found: dict[str, object]) -> list[str]:
    single = {name: value for name, value in found.items() if not isinstance(value, dict)}
    lines = [f"{name:<8}  {value}" for name, value in single.items()]
    for title, rows in found.items():
        if isinstance(rows, dict):
            joint = "=" if title == "variables" else ": "
            lines += ["", f"{title}:", *(f"  {k}{joint}{_line(v)}" for k, v in rows.items())]
    return lines


def _line(value: object) -> str:
    """*value* on one line, with nothing in it that would move a terminal's cursor."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = "none" if value is None else str(value)
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
