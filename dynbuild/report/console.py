"""How dynbuild talks: results on stdout, everything else on stderr, plain and in 80 columns.

Colour is used only on a terminal and only where ``NO_COLOR`` is not set.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

WIDTH = 80

_state = {"verbosity": 0}

_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


def colourful(stream: TextIO) -> bool:
    """Whether *stream* is a terminal that wants colour (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def set_verbosity(level: int) -> None:
    """0 shows what matters, 1 the output of steps, 2 everything; -1 errors and results only."""
    _state["verbosity"] = level


def verbosity() -> int:
    """The level set for this process."""
    return _state["verbosity"]


def style(text: str, name: str, stream: TextIO) -> str:
    """*text* in one of the styles bold, dim, red, green, yellow, cyan, if *stream* wants it."""
    return f"\x1b[{_STYLES[name]}m{text}\x1b[0m" if colourful(stream) else text


def say(text: str = "") -> None:
    """One line of progress or explanation, on stderr."""
    if verbosity() >= 0:
        error(text)


def error(text: str) -> None:
    """One line on stderr, however little is to be said; that nobody can read it is no error."""
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def warn(text: str) -> None:
    """A warning, on stderr."""
    say(f"{style('warning:', 'yellow', sys.stderr)} {text}")


def out(text: str) -> None:
    """A result, on stdout."""
    print(text, file=sys.stdout, flush=True)


def out_json(value: Any) -> None:
    """A result that programs read: one JSON document on stdout."""
    # Signs that the stream has no code for are escaped in JSON's own way.
    plain = (getattr(sys.stdout, "encoding", None) or "utf-8").lower() not in ("utf-8", "utf8")
    out(json.dumps(value, indent=2, ensure_ascii=plain))


def shorten(text: str, width: int) -> str:
    """*text* cut in the middle to *width* characters, the ends being what identifies it."""
    if len(text) <= width:
        return text
    keep = width - 1
    return f"{text[: keep - keep // 2]}…{text[len(text) - keep // 2 :]}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, width: int = WIDTH) -> list[str]:
    """Lines of a table that fits *width* columns; the widest column gives way first."""
    cells = [tuple(header), *(tuple(row) for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    gaps = 2 * (len(widths) - 1)
    while sum(widths) + gaps > width and max(widths) > 8:
        widths[widths.index(max(widths))] -= 1
    lines = []
    for row in cells:
        padded = (shorten(cell, w).ljust(w) for cell, w in zip(row, widths, strict=True))
        lines.append("  ".join(padded).rstrip())
    lines.insert(1, "  ".join("-" * w for w in widths))
    return lines
