"""How dynbuild talks: results on stdout, everything else on stderr.

Colour is used only on a terminal and only where ``NO_COLOR`` is not set.  On a terminal, tables
and lines fit it; in a pipe or a file nothing is cut.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import sys
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

from dynbuild.errors import RequestError
from dynbuild.report.display import COLUMNS, COMMANDS, Display

_state = {"verbosity": 0, "json": False}


def set_verbosity(level: int) -> None:
    """0 shows what matters, 1 the output of steps, 2 everything; -1 errors and results only."""
    _state["verbosity"] = level


def verbosity() -> int:
    """The level set for this process."""
    return _state["verbosity"]


def display(stream: TextIO) -> Display:
    """How text is to look on *stream* (https://no-color.org)."""
    if not stream.isatty():
        return Display()
    colour = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return Display(colour=colour, width=shutil.get_terminal_size((COLUMNS, 24)).columns)


def out_display() -> Display:
    """Where results are shown."""
    return display(sys.stdout)


def err_display() -> Display:
    """Where everything else is shown."""
    return display(sys.stderr)


def progress(asked: str) -> str:
    """What *asked* of ``--progress`` means here: live, plain, json or quiet.

    With json, all that is said on stderr from now on is of that form.

    Raises:
        RequestError: There is no terminal to draw on.
    """
    terminal = sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    if asked == "live" and not terminal:
        raise RequestError(
            "--progress live draws on a terminal, and standard error is none",
            hint="plain has lines, json events; auto takes what is there",
        )
    set_json(on=asked == "json")
    if asked != "auto":
        return asked
    if verbosity() < 0:
        return "quiet"
    # What steps print goes by in lines.
    return "live" if terminal and not verbosity() else "plain"


def say(text: str = "") -> None:
    """One line of progress or explanation, on stderr."""
    if verbosity() >= 0:
        error(text)


def mark(text: str) -> None:
    """A line that a CI system obeys, as it is: nothing in it is anybody else's."""
    if verbosity() >= 0:
        with contextlib.suppress(OSError):
            print(text, file=sys.stderr, flush=True)


def detail(text: str) -> None:
    """One line that is shown only where more than the usual is asked for."""
    if verbosity() >= 1:
        say(f"        {text}")


def set_json(*, on: bool) -> None:
    """Whether all that is said on stderr are events, one JSON object a line."""
    _state["json"] = on


def event(line: str) -> None:
    """One event on stderr, which is JSON already."""
    with contextlib.suppress(OSError):
        print(line, file=sys.stderr, flush=True)


def error(text: str) -> None:
    """One line on stderr, however little is to be said; that nobody can read it is no error."""
    if _state["json"]:
        from dynbuild.report import event_json

        event(event_json.message(text))
        return
    with contextlib.suppress(OSError):
        print(_lines(text, err_display()), file=sys.stderr, flush=True)


def _lines(text: str, display: Display) -> str:
    """*text* as a place shows it."""
    return "\n".join(display.wrapped(display.visible(text)))


def warn(text: str) -> None:
    """A warning, on stderr, without the secrets that it may quote."""
    from dynbuild import masking

    say(err_display().warning(masking.scrub_message(text)))


class OutputLost(Exception):
    """A result could not be written; the cause is the error of the system."""


def out(text: str) -> None:
    """A result for people, on stdout: nothing in it moves a cursor, wherever it is shown.

    Raises:
        OutputLost: It cannot be written.
    """
    try:
        print(_lines(text, out_display()), file=sys.stdout, flush=True)
    except OSError as error:
        raise OutputLost from error


def out_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table as the result."""
    for line in out_display().table(header, rows):
        out(line)


def out_data(text: str) -> None:
    """A result for programs, on stdout: as it is, in UTF-8; a terminal gets it as people do.

    Raises:
        OutputLost: It cannot be written.
    """
    stream = sys.stdout
    binary = getattr(stream, "buffer", None)
    if stream.isatty() or binary is None:
        # What only looks like a stream has no bytes.
        text = out_display().visible(text) if stream.isatty() else text
        binary = None
    try:
        if binary is None:
            stream.write(text)
        else:
            stream.flush()
            # A name that is no text is the bytes that it was.
            binary.write(text.encode(errors="surrogateescape"))
        stream.flush()
    except OSError as error:
        raise OutputLost from error


def out_json(value: Any) -> None:
    """A result that programs read: one JSON document on stdout."""
    out_data(json_text(value))


def json_text(value: Any, *, indent: int | None = 2) -> str:
    """*value* as a JSON document that is one in a terminal too.

    What a terminal would obey, and what has no code in UTF-8, is escaped in JSON's own way.
    """
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return re.sub(f"{COMMANDS}|[\ud800-\udfff]", lambda one: f"\\u{ord(one[0]):04x}", text) + "\n"
