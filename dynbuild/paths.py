"""Local paths in what a person writes: flags, variables, settings files."""

from __future__ import annotations

import os
from pathlib import Path

from dynbuild import names
from dynbuild.errors import RequestError, quote


def expanded(text: str, *, origin: str | None = None) -> Path:
    """The path that *text* writes; it may start with ``~`` or ``~USER``.

    Raises:
        RequestError: It has a NUL character, or a user that this machine does not know.
    """
    if "\0" in text:
        raise RequestError("a path has a NUL character in it, which no path can", origin=origin)
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        user = text.partition("/")[0]
        raise RequestError(
            f"{quote(text)}: this machine knows no home folder for {quote(user)}",
            origin=origin,
            hint="write the path in full",
        ) from error


def local(text: str, *, origin: str | None = None) -> Path:
    """``expanded``, and absolute from the current folder.

    Raises:
        RequestError: As ``expanded``.
    """
    return Path(os.path.abspath(expanded(text, origin=origin)))  # noqa: PTH100 - keeps links


def local_or_address(text: str, *, origin: str | None = None) -> str:
    """*text* as ``local`` has it, but an address as it is."""
    return text if names.is_address(text) else str(local(text, origin=origin))
