"""One settings file as a layer: its values, the line each stands on, paths made absolute."""

from __future__ import annotations

import functools
import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

from dynbuild import disk_cache, names, paths
from dynbuild.errors import NotReady, RequestError
from dynbuild.settings import layers, request_options
from dynbuild.settings.layers import Layer, LayerName, Origin, Setting

Row: TypeAlias = tuple[layers.KeyPath, Any, int | None]
"""A leaf of a file: its path, its value, the line it stands on."""

PACKAGED = Path(__file__).parent.parent / "_templates"
CHECKOUT = Path(__file__).parent.parent.parent / "templates"
"""Where dynbuild's own templates are: in a wheel, and in a checkout."""


def own() -> Path:
    """The folder of dynbuild's own catalog and templates."""
    return PACKAGED if PACKAGED.is_dir() else CHECKOUT


def read(path: Path, layer: LayerName, cache: Path | None = None) -> Layer:
    """The values of a file of settings; *layer* is what their origins say they are of.

    Args:
        path: The file.
        layer: Whose it is.
        cache: The folder where its values are kept once it is parsed; ``None``: nowhere.

    Raises:
        RequestError: There is no such file, or it is no TOML.
        NotReady: It cannot be read.
    """
    return _parsed(path, layer, _text(path), cache)


@functools.lru_cache(maxsize=16)
def _parsed(path: Path, layer: LayerName, text: str, cache: Path | None) -> Layer:
    """A file is parsed once in a process, and again when its text is another."""
    rows = _kept(path, text, cache) if cache else _rows(path, text)
    root = next((root for root in (PACKAGED, CHECKOUT) if path.is_relative_to(root)), None)
    name = f"templates/{path.relative_to(root)}" if root else str(path)
    found: dict[layers.KeyPath, Setting] = {}
    hostile = "\\u0000" in text.lower()
    for leaf, value, line in rows:
        origin = Origin(layer, name, line)
        if hostile and _has_nul((*leaf, value)):
            raise RequestError("a setting has a NUL character in it", origin=str(origin))
        found[leaf] = Setting(_beside(path, leaf, value, origin), origin)
    return _declared(found) if layer == "catalog" else found


def _has_nul(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(map(_has_nul, value))
    return isinstance(value, str) and "\0" in value


def _rows(path: Path, text: str) -> list[Row]:
    """The leaves of a file, each with its line."""
    lines = _line_numbers(text)
    return [(leaf, value, _line_of(leaf, lines)) for leaf, value in _leaves(path, text)]


def _kept(path: Path, text: str, cache: Path) -> list[Row]:
    """``_rows``, as they were kept for the very same text, else to be kept."""
    made_of = f"settings, {hashlib.sha256(text.encode()).hexdigest()}"
    file = cache / f"{path.stem}.json"
    content = disk_cache.read(file, made_of)
    if content is not None:
        return [(tuple(leaf), value, line) for leaf, value, line in json.loads(content)]
    rows = _rows(path, text)
    with suppress(TypeError):  # a date, which no setting takes
        disk_cache.write(file, made_of, json.dumps(rows).encode())
    return rows


def _declared(catalog: Layer) -> Layer:
    """Arguments that are declared with their value: the value, and beside it what they are."""
    apart: dict[layers.KeyPath, Setting] = {}
    for path, setting in catalog.items():
        if path[0] == "args" and len(path) == 3:
            value = path[2] == "value"
            apart[path[:2] if value else ("arguments", *path[1:])] = setting
        else:
            apart[path] = setting
    return apart


def _text(path: Path) -> str:
    try:
        # Editors of other systems put a mark before the first letter.
        return paths.content(path).decode("utf-8-sig")
    except FileNotFoundError as error:
        raise RequestError(f"the settings file {path} does not exist") from error
    except IsADirectoryError as error:
        raise RequestError(f"{path} is a folder, not a settings file") from error
    except OSError as error:
        raise NotReady(f"the settings file {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise RequestError(
            f"{path} is not valid TOML: line {line} is not in UTF-8",
            hint=f"iconv --from-code ISO-8859-1 --to-code UTF-8 {path}, if that is what it is in",
        ) from error


def _leaves(path: Path, text: str) -> list[tuple[layers.KeyPath, Any]]:
    try:
        found = list(layers.flatten(tree := tomllib.loads(text)))
    except tomllib.TOMLDecodeError as error:
        raise RequestError(
            f"{path} is not valid TOML: {error}", hint="see https://toml.io for the syntax"
        ) from error
    except RecursionError as error:
        raise RequestError(f"{path} is nested too deeply: no setting needs that") from error
    except ValueError as error:
        raise RequestError(
            f"{path} has a number with more digits than can be read: {_first(error)}"
        ) from error
    matrices = tree.get("matrix")
    if isinstance(matrices, dict):
        # A matrix of which nothing is said is one all the same: all cells.
        found += [(("matrix", name, "include"), []) for name in matrices if matrices[name] == {}]
    return found


def _first(error: ValueError) -> str:
    return str(error).partition(";")[0]


PATHS = frozenset(
    option.path
    for option in (*request_options.REQUEST, *request_options.SITE)
    if option.form == "path" and len(option.path) > 1
)
"""Settings that are local paths, besides those of contexts and sources."""


def _beside(file: Path, leaf: layers.KeyPath, value: Any, origin: Origin) -> Any:
    """A local path in a settings file is meant from the folder of that file."""
    if leaf[0] == "matrix" and leaf[2:3] == ("cells",) and len(leaf) > 4:
        leaf = leaf[4:]
    is_path = leaf[0] == "contexts" or leaf in PATHS
    is_path = is_path or (leaf[0] == "sources" and leaf[-1] == "path")
    if is_path and isinstance(value, str) and value and not names.is_address(value):
        beside = file.absolute().parent / paths.expanded(value, origin=str(origin))
        return str(beside.resolve())
    return value


def _line_numbers(text: str) -> dict[layers.KeyPath, int]:
    """The line on which each key or table stands, for messages.

    tomllib does not tell, so headers and keys are read off here. A key in an unusual
    notation (an inline table, a string over several lines) is not found; it then gets
    the line of the table it stands in.
    """
    table: layers.KeyPath = ()
    found: dict[layers.KeyPath, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[([^\[\]]+)\]\s*(?:#.*)?$", line):
            table = _dotted(header[1])
            found.setdefault(table, number)
        elif key := re.match(r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*[\w"'-]+)*)\s*=""", line):
            found.setdefault((*table, *_dotted(key[1])), number)
    return found


def _dotted(text: str) -> layers.KeyPath:
    parts = re.findall(r""""([^"]*)"|'([^']*)'|([\w-]+)""", text)
    return tuple(next(part for part in group if part) for group in parts if any(group))


def _line_of(leaf: layers.KeyPath, lines: Mapping[layers.KeyPath, int]) -> int | None:
    for end in range(len(leaf), 0, -1):
        if leaf[:end] in lines:
            return lines[leaf[:end]]
    return None
