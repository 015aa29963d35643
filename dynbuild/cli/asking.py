"""Asking before something is removed."""

from __future__ import annotations

import sys

import typer

from dynbuild.errors import Interrupted, RequestError


def confirm(question: str, *, yes: bool) -> None:
    """Ask *question* on the terminal, unless it is answered already.

    Raises:
        Interrupted: The answer is no.
        RequestError: There is nobody to ask.
    """
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise RequestError(
            "there is no terminal to ask on, and nothing was removed",
            hint="--yes answers the question, --dry-run shows what would go",
        )
    if not typer.confirm(question, err=True):
        raise Interrupted("nothing was removed")
