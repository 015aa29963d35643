"""One record of CSV, as docker reads it in ``--gpus`` and ``--mount``.  Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

_FIELD = re.compile(r'"((?:[^"]|"")*)"|([^",\r\n]*)')


def read(text: str) -> list[str] | None:
    """The fields of *text*; ``None`` where it is no record.

    A quote within a bare field is an error, as in Go.  An empty text has no field.
    """
    found: list[str] = []
    at = 0
    while at <= len(text):
        match = _FIELD.match(text, at)
        assert match is not None
        at = match.end()
        if at < len(text) and text[at] != ",":
            return None
        found.append(match[2] if match[1] is None else match[1].replace('""', '"'))
        at += 1
    return found if text else []


def joined(fields: Iterable[str]) -> str:
    """The record that has *fields*."""
    return ",".join(map(_quoted, fields))


def _quoted(field: str) -> str:
    return '"' + field.replace('"', '""') + '"' if re.search('[,"\r\n]', field) else field
