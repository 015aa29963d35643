"""Which files of a build context ``.dockerignore`` leaves out, by the rules of BuildKit.

A pattern holds for a path and for all below it, the last that fits decides, and ``!`` takes
files back in even from folders that are left out.  ``*`` and ``?`` stay inside of a folder,
``**`` is any number of folders.  Pure.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Sequence

from dynbuild.quick import dataclass, regex

_SIGNS = regex(r"[*?\[\]\\]")
_NOTHING = regex(r"(?!)")
_ANYWHERE = regex(r"\*\*/(\*?)([^/*?\[\]\\]+)")
_PLAIN = {"*": "[^/]*", "?": "[^/]"}
# One or more of: a character, or two with a dash between them; \\ takes a sign as it is.
_CLASS = regex(r"(\^?)((?:(?:\\.|[^\]\\-])(?:-(?:\\.|[^\]\\-]))?)+)\]")


@dataclass(frozen=True, slots=True)
class Pattern:
    """One line of an ignore file.

    Attributes:
        text: The pattern, cleaned, without its ``!``.
        takes_back: Whether it began with ``!``.
    """

    text: str
    takes_back: bool
    _expression: re.Pattern[str]

    @property
    def expression(self) -> str:
        """The regular expression of it."""
        return self._expression.pattern

    def matches(self, path: str) -> bool:
        """Whether it fits *path* itself; the folders above are not looked at."""
        return self._expression.match(path) is not None


Matches = tuple[bool, ...]
"""For each pattern whether it fits a folder, or one above it."""


@dataclass(frozen=True, slots=True)
class _LeavingOut:
    """The patterns that leave something out, so that a path that none fits costs next to nothing.

    Attributes:
        names: Of those such as ``**/target``, the names.
        ends: Of those such as ``**/*.o``, the ends of names.
        others: Fits the paths that any other one fits.
    """

    names: frozenset[str]
    ends: tuple[str, ...]
    others: re.Pattern[str]

    @classmethod
    def of(cls, patterns: Iterable[Pattern]) -> _LeavingOut:
        """*patterns*, by their form."""
        names: set[str] = set()
        ends: set[str] = set()
        others = []
        for one in patterns:
            if name := _ANYWHERE.fullmatch(one.text):
                (ends if name[1] else names).add(name[2])
            else:
                others.append(one.expression)
        every = re.compile("|".join(others)) if others else _NOTHING
        return cls(frozenset(names), tuple(sorted(ends)), every)

    def any_fits(self, path: str, name: str) -> bool:
        """Whether one of the patterns fits *path*, whose last part *name* is."""
        return name in self.names or name.endswith(self.ends) or self.others.match(path) is not None


@dataclass(frozen=True, slots=True)
class Ignore:
    """The patterns of an ignore file, in their order."""

    patterns: tuple[Pattern, ...]
    _leaving_out: _LeavingOut

    @classmethod
    def parse(cls, text: str) -> Ignore:
        """The patterns that the ignore file *text* has.

        Raises:
            ValueError: One is malformed; BuildKit refuses the file as well.
        """
        patterns = tuple(map(_pattern, _lines(text)))
        return cls(patterns, _LeavingOut.of([one for one in patterns if not one.takes_back]))

    @property
    def takes_back(self) -> bool:
        """Whether something in a folder that is left out may be taken back in."""
        return any(pattern.takes_back for pattern in self.patterns)

    def enter(self, path: str, name: str, above: Matches | None = None) -> tuple[bool, Matches]:
        """Whether *path* is left out, and what to hand on for what is in it.

        Args:
            path: Relative to the context, with ``/``.
            name: The last part of it.
            above: What this said of the folder that it is in; ``None`` for one of the root.
        """
        # Most paths fit nothing, and are asked about at once.
        if not (above and True in above) and not self._leaving_out.any_fits(path, name):
            return False, above or (False,) * len(self.patterns)
        excluded, fits = False, []
        for index, pattern in enumerate(self.patterns):
            fit = above is not None and above[index]
            # One that could not change what is decided so far is not looked at, as BuildKit.
            if not fit and pattern.takes_back == excluded:
                fit = pattern.matches(path)
            fits.append(fit)
            if fit:
                excluded = not pattern.takes_back
        return excluded, tuple(fits)

    def excludes(self, path: str) -> bool:
        """Whether *path* is left out."""
        excluded, above = False, None
        parts = path.split("/")
        for depth, name in enumerate(parts, start=1):
            excluded, above = self.enter("/".join(parts[:depth]), name, above)
        return excluded


def _lines(text: str) -> Sequence[str]:
    """The patterns as they are written, cleaned; ``!`` stays before them."""
    cleaned = []
    for line in text.removeprefix("\ufeff").split("\n"):
        if line.startswith("#") or not (line := line.strip()):
            continue
        takes_back = line.startswith("!")
        bare = line.removeprefix("!").strip() if takes_back else line
        if bare:
            bare = posixpath.normpath(bare).replace("//", "/", 1)
            bare = bare[1:] if len(bare) > 1 and bare.startswith("/") else bare
        cleaned.append(f"!{bare}" if takes_back else bare)
    return cleaned


def _pattern(line: str) -> Pattern:
    takes_back = line.startswith("!")
    text = line.removeprefix("!")
    if not text:
        raise ValueError("a '!' with nothing after it")
    return Pattern(text, takes_back, re.compile(expression(text)))


def expression(text: str) -> str:
    """The regular expression of the pattern *text*, which holds for a whole path.

    Raises:
        ValueError: It is malformed.
    """
    # BuildKit compares a pattern that has no other sign with the end of a path, or with its
    # beginning: `**name` fits names that end so, `name**` all that begin so.
    if text.startswith("**") and not _SIGNS.search(text[2:]):
        tail = text[2:]
        return rf"(?:.*{re.escape(tail)}|{re.escape(tail.removeprefix('/'))})\Z"
    if text.endswith("**") and not _SIGNS.search(text[:-2]):
        return re.escape(text[:-2])
    rest, made = text, ""
    while rest:
        sign, rest = rest[0], rest[1:]
        if sign == "*" and rest.startswith("*"):
            rest = rest[1:].removeprefix("/")
            made += "(?:.*/)?" if rest else ".*"
        elif sign in _PLAIN:
            made += _PLAIN[sign]
        elif sign == "\\":
            if not rest:
                raise ValueError(f"the pattern '{text}' ends with a backslash")
            made, rest = made + re.escape(rest[0]), rest[1:]
        elif sign == "[":
            group, rest = _class(rest, text)
            made += group
        else:
            made += re.escape(sign)
    return made + r"\Z"


def _class(rest: str, text: str) -> tuple[str, str]:
    """A class of characters, whose ``[`` was read, and what comes after it."""
    inside = _CLASS.match(rest)
    if inside is None:
        raise ValueError(f"the pattern '{text}' has a '[' that is no class of characters")
    # Unlike Go, Python sees classes inside of a class, and set operations.
    bare = re.sub(r"(?<!\\)([\[&~|])", r"\\\1", inside[2])
    group = f"[{inside[1]}{bare}]"
    try:
        re.compile(group)
    except re.error as error:
        raise ValueError(f"the pattern '{text}' is malformed: {error}") from error
    return group, rest[inside.end() :]
