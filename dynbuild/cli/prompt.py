"""Asking before something is removed, and the options of the commands that remove."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import Annotated

import typer

from dynbuild import units
from dynbuild.errors import Interrupted, RequestError

DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would go; remove nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def age(older_than: str | None) -> timedelta | None:
    """What ``--older-than`` says; ``None`` without it.

    Raises:
        RequestError: It is no time.
    """
    return units.parse_time(older_than, origin="flag --older-than") if older_than else None


def is_interactive() -> bool:
    """Whether there is somebody to ask: what is read and what is shown is a terminal."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def confirm(question: str, *, yes: bool) -> None:
    """Ask *question* on the terminal, unless it is answered already.

    Raises:
        Interrupted: The answer is no.
        RequestError: There is nobody to ask.
    """
    if yes:
        return
    if not is_interactive():
        raise RequestError(
            "there is no terminal to ask on, and nothing was removed",
            hint="--yes answers the question, --dry-run shows what would go",
        )
    if not typer.confirm(question, err=True):
        raise Interrupted("nothing was removed")
