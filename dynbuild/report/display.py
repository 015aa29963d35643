"""How text looks where it is shown: with or without colour, in how many columns.  Pure.

Whoever writes to a stream knows what it is and makes the ``Display``; text is made for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from dynbuild.errors import shorten
from dynbuild.quick import dataclass, regex

COLUMNS = 80
"""Of prose and of lines that are padded, where nobody says how wide it may be."""

_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_NARROW = 8
_OURS = "|".join(sorted({"0", *_STYLES.values()}))
COMMANDS = r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]"
"""What terminals obey: control characters, and those that make a line read as another one."""

_COLOUR = rf"\x1b\[(?:{_OURS})m"
_COLOURS = regex(_COLOUR)
_LABEL = regex(
    rf"\s*(?:{_COLOUR})?(?:(?:error|warning|hint):|[-*]|->|\d\.|\S+(?: \S+){{0,2}} (?= ))"
    rf"(?:{_COLOUR})?\s+"
)
"""What a line begins with that says something of the rest of it."""


@dataclass(frozen=True, slots=True)
class Table:
    """The lines of a table.

    Attributes:
        head: Its heading; without one, each row says in each line what that is.
        rows: The lines of each row.
    """

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @property
    def lines(self) -> list[str]:
        """All of them; rows without a heading stand apart."""
        lines = list(self.head)
        for row in self.rows:
            lines += [""] if lines and not self.head else []
            lines += row
        return lines


@dataclass(frozen=True, slots=True)
class Display:
    """What the place can show that text is made for.

    Attributes:
        colour: Whether it takes colours.
        width: Columns of the terminal; ``None`` for a file or a pipe, where nothing is cut.
    """

    colour: bool = False
    width: int | None = None

    def style(self, text: str, name: str) -> str:
        """*text* in one of the styles bold, dim, red, green, yellow, cyan, if there are any."""
        return f"\x1b[{_STYLES[name]}m{text}\x1b[0m" if self.colour else text

    def visible(self, text: str) -> str:
        """*text* with every character that a terminal would obey in its place, but our colours.

        Line ends and tabs stay: text of several lines is shown as such.
        """
        ours = rf"(\x1b\[(?:{_OURS})m)|" if self.colour else "(?!)()|"
        return re.sub(ours + COMMANDS, lambda found: found[1] or repr(found[0])[1:-1], text)

    def warning(self, text: str) -> str:
        """The line that warns of *text*."""
        return f"{self.style('warning:', 'yellow')} {text}"

    def wrapped(self, text: str) -> list[str]:
        """The lines of *text*, each as several where it is wider than the place.

        They break at blanks alone, since a path, a digest or an id in two parts is none: a word
        that is too wide stands alone, as it is.  What goes on stands below what began: behind
        the label or the mark of its line, else as far in as that.
        """
        return [part for line in text.split("\n") for part in self._parts(line)]

    def _parts(self, line: str) -> Iterator[str]:
        if self.width is None or _columns(line) <= self.width:
            yield line
            return
        label = _LABEL.match(line)
        left = _columns(label[0]) if label else 0
        if not label or left > self.width // 3:
            left = len(line) - len(line.lstrip())
        part, blank = "", ""
        for piece in re.findall(r"\s+|\S+", line):
            if piece.isspace() and part.strip():
                blank = piece
                continue
            begins = _columns(part + blank)
            if begins > left and part.strip() and begins + _columns(piece) > self.width:
                yield part
                part, blank = " " * left + piece, ""
            else:
                part, blank = part + blank + piece, ""
        yield part

    def table(self, header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
        """Lines of ``table_of``."""
        return self.table_of(header, rows).lines

    def table_of(self, header: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
        """A table that fits the width; the widest column gives way first.

        Where there are too many columns for that, each row is a block of lines.
        """
        cells = [tuple(header), *(tuple(row) for row in rows)]
        widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
        gaps = 2 * (len(widths) - 1)
        room = sum(widths) + gaps if self.width is None else self.width
        while sum(widths) + gaps > room and max(widths) > _NARROW:
            widths[widths.index(max(widths))] -= 1
        if sum(widths) + gaps > room:
            return self._blocks(cells, room)
        lines = []
        for row in cells:
            padded = (shorten(cell, w).ljust(w) for cell, w in zip(row, widths, strict=True))
            lines.append("  ".join(padded).rstrip())
        head, *rest = lines
        return Table(
            head=(head, "  ".join("-" * w for w in widths)), rows=tuple((line,) for line in rest)
        )

    @staticmethod
    def _blocks(cells: Sequence[Sequence[str]], room: int) -> Table:
        """The rows of a table, with a line for each cell that says something."""
        header, *rows = cells
        first = max(map(len, header))
        blocks = (
            tuple(
                f"{title:<{first}}  {shorten(cell, max(_NARROW, room - first - 2))}"
                for title, cell in zip(header, row, strict=True)
                if cell
            )
            for row in rows
        )
        return Table(head=(), rows=tuple(blocks))


def _columns(text: str) -> int:
    """How wide *text* is, without our colours."""
    return len(_COLOURS.sub("", text))
