"""What is wrong with settings: every problem of one request, told in one error.

The first problem is the error's own sentence, the others its details, so that a person
mends a file once and not once for each mistake in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dynbuild import names
from dynbuild.errors import RequestError
from dynbuild.quick import dataclass
from dynbuild.settings import layers, models
from dynbuild.settings.layers import Origin, Setting
from dynbuild.settings.models import Catalog

if TYPE_CHECKING:
    from pydantic import ValidationError

_NAMED = 3
"""How many of those that have a problem are named."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one value.

    Attributes:
        message: One sentence, no full stop.
        origin: Where the value came from.
        hint: What to do about it.
    """

    message: str
    origin: str
    hint: str | None = None

    def of(self, having: Sequence[str]) -> Problem:
        """The problem, with the names of what has it."""
        more = f" and {len(having) - _NAMED} more" if len(having) > _NAMED else ""
        message = f"{', '.join(having[:_NAMED])}{more}: {self.message}"
        return Problem(message, self.origin, self.hint)

    def __str__(self) -> str:
        origin = f"{self.origin}: " if self.origin else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{origin}{self.message}{hint}"


def as_error(problems: Sequence[Problem], details: Sequence[str] = ()) -> RequestError:
    """One error that tells all of *problems*, of which there is one at least."""
    first, *rest = problems
    return RequestError(
        first.message,
        origin=first.origin or None,
        hint=first.hint,
        details=(*details, *map(str, rest)),
    )


class Collector:
    """The problems of one request, gathered while its decisions are made.

    Attributes:
        problems: Each once, in the order in which they came up.
    """

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._details: tuple[str, ...] = ()

    def add(self, message: str, *, origin: Origin | None = None, hint: str | None = None) -> None:
        """Note a problem."""
        self.extend([Problem(message, str(origin or ""), hint)])

    def extend(self, problems: Iterable[Problem]) -> None:
        """Note several."""
        for problem in problems:
            if problem not in self.problems:
                self.problems.append(problem)

    def include(self, other: Collector) -> None:
        """Note those of *other*."""
        if not self.problems:
            self._details = other._details
        self.extend(other.problems)

    @classmethod
    def of_all(cls, each: Mapping[Any, Collector], total: int) -> Collector:
        """The problems of several things in one, each with the names of those that have it.

        Args:
            each: The problems by what they are of.
            total: How many things there are; what all of them have is said without names.
        """
        names_of: dict[Problem, list[str]] = {}
        for name, one in each.items():
            for problem in one.problems:
                names_of.setdefault(problem, []).append(str(name))
        found = cls()
        for one in each.values():
            found.include(one)
        found.problems = [
            problem if len(having) == total else problem.of(having)
            for problem, having in names_of.items()
        ]
        return found

    @contextmanager
    def collected(self, *, origin: Origin | None = None) -> Iterator[None]:
        """What is refused in here is noted, and the rest goes on.

        Args:
            origin: Of the value that is looked at, where an error does not say it.
        """
        try:
            yield
        except RequestError as error:
            if not self.problems:
                self._details = error.details
            said = error.origin or str(origin or "")
            self.extend([Problem(error.message, said, error.hint)])

    def check(self) -> None:
        """Raise if anything was noted.

        Raises:
            RequestError: One for all of it.
        """
        if self.problems:
            raise as_error(self.problems, self._details)


def unknown_keys(
    resolved: Mapping[layers.KeyPath, Setting], known: Mapping[str, frozenset[str]]
) -> Iterator[tuple[layers.KeyPath, Problem]]:
    """Keys that there are not, each with its problem.

    Args:
        resolved: The settings.
        known: For a table with keys of its own: which the catalog has.
    """
    seen = set()
    for path, setting in resolved.items():
        if setting.origin.layer == "catalog":
            continue
        for depth, key in enumerate(path):
            parent = path[:depth]
            choices = models.keys_at(parent)
            if len(parent) == 1 and parent[0] in known:
                choices = tuple(known[parent[0]])
            elif _holds_args(parent):
                choices = tuple(known["args"])
            if choices is None or key in choices:
                continue
            if path[: depth + 1] not in seen:
                seen.add(path[: depth + 1])
                problem = Problem(
                    f"unknown key '{'.'.join(path[: depth + 1])}'",
                    str(setting.origin),
                    names.did_you_mean(key, choices, _LISTS.get(parent[0], "") if parent else "")
                    if choices
                    else f"{parent[-1]} is no table",
                )
                yield path[: depth + 1], problem
            break


def nul_characters(resolved: Mapping[layers.KeyPath, Setting]) -> Iterator[Problem]:
    """Texts with a NUL character, which no argument, variable or path of a process can have.

    Build arguments are left to the plan, which refuses every control character in them.
    """
    for path, setting in resolved.items():
        items = setting.value if isinstance(setting.value, list) else [setting.value]
        hostile = any(isinstance(item, str) and "\0" in item for item in items)
        if hostile and path[0] not in ("args", "frameworks"):
            yield Problem(f"'{'.'.join(path)}' has a NUL character in it", str(setting.origin))


def _holds_args(path: layers.KeyPath) -> bool:
    """Whether *path* is one of a framework's tables of build arguments."""
    if path[:1] != ("frameworks",):
        return False
    return path[2:] == ("args",) or (
        path[2:3] == ("devices",)
        and (path[4:] == ("args",) or (path[4:5] == ("cuda",) and len(path) == 6))
    )


def unknown_references(
    catalog: Catalog, resolved: Mapping[layers.KeyPath, Setting]
) -> Iterator[Problem]:
    """Tools and sources name build arguments; each must be one."""
    named: list[tuple[layers.KeyPath, str]] = []
    for name, tool in catalog.tools.items():
        named.append((("tools", name, "version"), tool.version))
    for name, source in catalog.sources.items():
        named.append((("sources", name, "ref"), source.ref))
        named += [(("sources", name, "url"), arg) for arg in re.findall(r"\$\{(\w*)\}", source.url)]
    for path, arg in named:
        if arg not in catalog.args and (arg or path[2] == "url"):
            yield Problem(
                f"'{'.'.join(path)}' names the build argument '{arg}', which does not exist",
                str(resolved[path].origin),
                names.did_you_mean(arg, catalog.args, "docs/arguments.md"),
            )


_LISTS = {"args": "docs/arguments.md", "request": "docs/build.md", "run": "docs/launcher.md"}
"""Where the keys of a table are listed."""

_EXPECTED = {
    "string_type": "a string in quotes",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "list_type": "a list in brackets",
    "dict_type": "a table",
    "dataclass_type": "a table",
}
_TOML_NAMES = {
    str: "a string",
    bool: "a boolean",
    int: "a whole number",
    float: "a number with a point",
    list: "a list",
    dict: "a table",
}


def wrong_types(error: ValueError, resolved: Mapping[layers.KeyPath, Setting]) -> Iterator[Problem]:
    """What the models say is wrong with values, in words for whoever wrote the file."""
    if TYPE_CHECKING:
        assert isinstance(error, ValidationError)
    for item in error.errors():
        loc = tuple(str(part) for part in item["loc"])
        below = [path for path in resolved if path[: len(loc)] == loc or loc[: len(path)] == path]
        # The highest layer is the one that brought the offending value in.
        highest = max(
            (resolved[path] for path in below),
            key=lambda setting: layers.rank(setting.origin),
            default=None,
        )
        origin = str(highest.origin) if highest else "catalog"
        key = ".".join(loc)
        if item["type"] in _EXPECTED:
            got = _TOML_NAMES.get(type(item["input"]), type(item["input"]).__name__)
            text = f"'{key}' must be {_EXPECTED[item['type']]}, not {got}"
            hint = None
            if loc[0] == "mirrors" and isinstance(item["input"], dict):
                hint = 'a prefix with a dot is written in quotes: "nvcr.io" = "…"'
            if item["type"] == "string_type" and isinstance(item["input"], (int, float)):
                hint = f'write "{str(item["input"]).lower()}"'
            yield Problem(text, origin, hint)
        elif item["type"] == "missing":
            yield Problem(f"'{key}' is missing", origin)
        else:
            yield Problem(f"'{key}': {item['msg'].removeprefix('Value error, ')}", origin)
