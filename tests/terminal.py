"""A terminal for tests: a pseudo-terminal, and what would stand on its screen.

The screen knows as much of ECMA-48 as is written to it; anything else fails the test.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

from tests.support import ENV, ROOT

_PIECES = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])|([\r\n])|([^\x1b\r\n]+)", re.DOTALL)


class Screen:
    """What stands in *columns* and *rows*, where the cursor is and whether it is seen."""

    def __init__(self, columns, rows):
        self.columns, self.rows = columns, rows
        self.lines = [[" "] * columns for _ in range(rows)]
        self.x = self.y = 0
        self.cursor = True
        self.styled = False

    def feed(self, text):
        at = 0
        while at < len(text):
            piece = _PIECES.match(text, at)
            assert piece, f"not known to this screen: {text[at : at + 20]!r}"
            at = piece.end()
            numbers, command, control, said = piece.groups()
            if command:
                self._command(numbers, command)
            elif control == "\r":
                self.x = 0
            elif control:
                self._down()
            else:
                for char in said:
                    self._put(char)

    def _command(self, numbers, command):
        count = int(numbers) if numbers.isdigit() else 1
        match numbers, command:
            case "?25", "l" | "h":
                self.cursor = command == "h"
            case _, "A":
                self.y = max(0, self.y - count)
            case "2", "K":
                self.lines[self.y] = [" "] * self.columns
            case "", "H":
                self.x = self.y = 0
            case "2", "J":
                self.lines = [[" "] * self.columns for _ in range(self.rows)]
            case _, "m":
                self.styled |= numbers not in ("", "0")
            case _:
                raise AssertionError(f"not known to this screen: {numbers}{command}")

    def _put(self, char):
        if self.x >= self.columns:
            self.x = 0
            self._down()
        self.lines[self.y][self.x] = char
        self.x += 1

    def _down(self):
        self.y += 1
        if self.y == self.rows:
            self.lines = [*self.lines[1:], [" "] * self.columns]
            self.y -= 1

    def resized(self, columns, rows):
        """As it is after its window changed: what stood there is broken where it has to."""
        old = self.text.split("\n")
        made = Screen(columns, rows)
        made.cursor, made.styled = self.cursor, self.styled
        made.feed("\r\n".join(old[: self.y + 1]))
        return made

    @property
    def text(self):
        """What stands there, without blanks at the ends of lines."""
        return "\n".join("".join(line).rstrip() for line in self.lines)


class Session:
    """A command on a terminal; ``screens`` are what stood there, with the time."""

    def __init__(self, *argv, columns=80, rows=24, env=None):
        self.screen = Screen(columns, rows)
        self.screens = []
        self._main, worker = pty.openpty()
        self.resize(columns, rows)
        given = {**ENV, "TERM": "xterm-256color", **(env or {})}
        given.pop("COLUMNS", None)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "dynbuild", *map(str, argv)],
            stdin=worker, stdout=worker, stderr=worker, env=given, cwd=ROOT,
            start_new_session=True,
        )  # fmt: skip
        os.close(worker)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self._main >= 0:
            os.close(self._main)

    def resize(self, columns, rows):
        """Make the window of another size."""
        size = struct.pack("HHHH", rows, columns, 0, 0)
        fcntl.ioctl(self._main, termios.TIOCSWINSZ, size)
        if (columns, rows) != (self.screen.columns, self.screen.rows):
            self.screen = self.screen.resized(columns, rows)

    def read(self, until, seconds=60):
        """Read on until *until* stands on the screen, or to the end where that is empty."""
        ends, begun = time.monotonic() + seconds, ""
        while time.monotonic() < ends:
            if not select.select([self._main], [], [], 0.1)[0]:
                if self.process.poll() is not None:
                    break
                continue
            try:
                data = os.read(self._main, 65536)
            except OSError:
                break
            if not data:
                break
            begun += data.decode(errors="replace")
            # A sequence may come in two pieces.
            whole, begun = (begun, "") if "\x1b" not in begun[-12:] else _split(begun)
            self.screen.feed(whole)
            self.screens.append((time.monotonic(), self.screen.text))
            if until and until in self.screen.text:
                return self.screen.text
        assert not until, f"{until!r} was never there:\n{self.screen.text}"
        return self.screen.text

    def interrupt(self):
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def end(self, seconds=60):
        """Read to the end; the exit status."""
        self.read("", seconds)
        code = self.process.wait(seconds)
        os.close(self._main)
        self._main = -1
        return code


def _split(text):
    """*text* up to a sequence that is not whole, and the rest."""
    last = text.rindex("\x1b")
    return (text, "") if _PIECES.match(text, last) else (text[:last], text[last:])
