"""The tables of options in the documentation, made from their declarations.  Pure."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from dynbuild.settings import request_options, run_options
from dynbuild.settings.layers import KeyPath
from dynbuild.settings.option import Option

Row: TypeAlias = tuple[str, ...]

_MERGES = {
    "replace": "the highest layer's",
    "append": "all layers', lowest first",
    "by-key": "all layers', the highest of each name",
}


def filled(page: str, catalog: Mapping[str, Any]) -> str:
    """*page* with each table of options made anew, between ``<!-- NAME -->`` and the end mark.

    Args:
        page: The text of a page.
        catalog: The values of the catalog, table by table.
    """
    for name, table in TABLES.items():
        page = replaced(page, name, functools.partial(table, catalog))
    return page


def replaced(page: str, name: str, lines: Callable[[], list[str]]) -> str:
    """*page* with *lines* between the marks of *name*, where it has them."""
    start, mark, rest = page.partition(f"<!-- {name} -->\n")
    _, end, rest = rest.partition(f"<!-- end of {name} -->")
    return "\n".join((f"{start}{mark}", *lines(), "", f"{end}{rest}")) if end else page


def flags_of_build(catalog: Mapping[str, Any]) -> list[str]:
    """What ``build``, ``plan`` and ``render`` take."""
    del catalog
    return _table(
        ("Flag", "Sets"),
        [(_spelled(option), option.doc or option.help) for option in request_options.REQUEST],
    )


def settings_of_build(catalog: Mapping[str, Any]) -> list[str]:
    """The settings that are no build arguments, with their variables."""
    rows: dict[KeyPath, Row] = {}
    for option in (*request_options.REQUEST, *request_options.SITE):
        if option.path[:1] in (("request",), ("site",)):
            default = option.default or _shown(_at(catalog, option))
            rows.setdefault(option.path, (_code(option.path[-1]), _code(option.variable), default))
    return _table(("Setting", "Variable", "Default"), list(rows.values()))


def flags_of_run(
    catalog: Mapping[str, Any], options: Sequence[Option] = run_options.RUN
) -> list[str]:
    """What ``run`` takes."""
    rows = [
        (
            _spelled(option),
            option.default or _shown(_at(catalog, option), on="on", off="off"),
            option.doc or option.help,
        )
        for option in options
    ]
    return _table(("Flag", "Default", "Becomes"), rows)


def settings_of_run(
    catalog: Mapping[str, Any], options: Sequence[Option] = run_options.SETTINGS
) -> list[str]:
    """The keys of ``[run]`` and its profiles, and how their layers combine."""
    del catalog
    rows = [
        (_code(option.path[-1]), _code(option.variable), _MERGES[option.merge])
        for option in options
    ]
    return _table(("Key", "Variable", "What counts"), rows)


TABLES: Mapping[str, Callable[[Mapping[str, Any]], list[str]]] = {
    "flags of build": flags_of_build,
    "settings of build": settings_of_build,
    "flags of run": flags_of_run,
    "settings of run": settings_of_run,
}
"""The tables by the names of their marks."""


def _spelled(option: Option) -> str:
    metavar = option.metavar or "|".join(option.choices)
    values = [*option.flags]
    if values:
        values[-1] += metavar if metavar.startswith("[") else f" {metavar}"
    shown = option.switches if option.shown == "all" else option.switches[:1]
    return ", ".join(map(_code, (*values, *(spelling for spelling, _ in shown))))


def _at(catalog: Mapping[str, Any], option: Option) -> Any:
    value: Any = catalog
    for key in option.path or (option.name,):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _shown(value: Any, *, on: str = "true", off: str = "false") -> str:
    if isinstance(value, bool) or value is None:
        return on if value else off
    return ", ".join(value) if isinstance(value, list) else str(value)


def _code(text: str) -> str:
    return f"`{text}`"


def _table(header: Row, rows: Iterable[Row]) -> list[str]:
    table = [header, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    lines = [
        f"| {' | '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))} |"
        for row in table
    ]
    return [lines[0], f"|{'|'.join('-' * (width + 2) for width in widths)}|", *lines[1:]]
