"""The words that a shell offers as the value of an option.

They are read off the catalog and the settings of the tree, without checking either: nothing
slow is imported for it, and what cannot be read offers nothing.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

import typer

from dynbuild import paths
from dynbuild.cli import tree
from dynbuild.settings import files, lines
from dynbuild.settings.option import Option

Table: TypeAlias = Mapping[str, Any]

VARIABLE = "_DYNBUILD_COMPLETE"
"""What the shell's function sets when it asks for words."""


def words(option: Option, said: Mapping[str, Any], incomplete: str) -> list[str]:
    """What may stand for the value of *option* that begins with *incomplete*.

    Args:
        option: The option whose value is looked for.
        said: The values of the command's other options, by their names.
        incomplete: What there is of the value.

    Returns:
        Whole words; none where the shell's own completion of files is meant.
    """
    if option.kind == "pairs" and "=" in incomplete:
        return []
    offered = (*option.words, *(_names(option.source, said) if option.source else ()))
    item = incomplete
    before = ""
    if option.several or (option.kind == "list" and option.source == "platform"):
        before, comma, item = incomplete.rpartition(",")
        before += comma
    return [
        before + word for word in dict.fromkeys(offered) if word.startswith(item) and word != item
    ]


def _names(source: str, said: Mapping[str, Any]) -> Iterator[str]:
    """The names of a *source* of words, as ``Option.source`` has it."""
    if source == "variable":
        yield from sorted(os.environ)
    elif source == "image":
        yield from _built(tree.root_of(said.get("context")))
    elif source == "platform":
        yield from ("linux/amd64", "linux/arm64")
    elif source not in ("folder", "file"):
        yield from _of_catalog(source, said)


def _of_catalog(source: str, said: Mapping[str, Any]) -> Iterator[str]:
    catalog, line_names = _catalog(said)
    if source == "line":
        yield from line_names
    elif source == "argument":
        yield from (f"{name}=" for name in sorted(_table(catalog, "args")))
    elif source == "source":
        yield from (f"{name}=" for name in _table(catalog, "sources"))
    elif source == "context":
        yield from (f"{name}_src=" for name in _table(catalog, "sources"))
    elif source == "profile":
        yield from _table(catalog, "run", "profiles")
    elif source == "framework":
        yield from _table(catalog, "frameworks")
    elif source == "matrix":
        yield from _table(catalog, "matrix")
    else:
        frameworks = _table(catalog, "frameworks")
        chosen = [name for name in _said(said, "framework") if name.lower() in frameworks]
        for name in chosen or frameworks:
            table = _table(frameworks, name.lower())
            yield from _of_framework(source, name.lower(), table, _said(said, "device"))


def _said(said: Mapping[str, Any], name: str) -> list[str]:
    """What is given for an option that may be several."""
    value = said.get(name) or ()
    texts = [value] if isinstance(value, str) else value
    return [item for text in texts for item in str(text).split(",") if item]


def _of_framework(source: str, name: str, framework: Table, given: list[str]) -> Iterable[str]:
    devices = _table(framework, "devices")
    targets = [str(target) for target in framework.get("targets", ())]
    if source == "target":
        return targets
    if source == "device":
        return devices
    kept = [device for device in given if device in devices] or devices
    versions = {device: list(_table(devices, device, "cuda")) for device in kept}
    if source == "cuda":
        return chain.from_iterable(versions.values())
    return [
        f"{name}-{target}-{device}{cuda}"
        for device, rows in versions.items()
        for cuda in rows or ("",)
        for target in targets
    ]


def _catalog(said: Mapping[str, Any]) -> tuple[Table, list[str]]:
    """The settings of the request, read and merged but not checked; the release lines."""
    templates = Path(said.get("templates") or os.environ.get("DYNBUILD_TEMPLATES") or files.own())
    catalog = _read(templates / "catalog.toml")
    own = _table(catalog, "request").get("release_line", "")
    known = [str(own), *lines.known(templates, os.environ)]
    overlays = [tree.root_of(said.get("context")) / tree.SETTINGS]
    overlays += [Path(name).expanduser() for name in said.get("config") or ()]
    line = (
        next(iter(_said(said, "release_line")), "")
        or os.environ.get("DYNBUILD_RELEASE_LINE")
        or own
    )
    if line != own and line in known:
        special = _read(lines.file_of(line, templates, os.environ))
        # Its table of a framework takes the place of the catalog's.
        frameworks = {**_table(catalog, "frameworks"), **_table(special, "frameworks")}
        catalog = {**_merged(catalog, special), "frameworks": frameworks}
    for path in overlays:
        catalog = _merged(catalog, _read(path))
    return catalog, known


def _read(path: Path) -> Table:
    with suppress(OSError, ValueError, RecursionError):
        return tomllib.loads(paths.regular(path).read_bytes().decode("utf-8-sig"))
    return {}


def _merged(below: Table, above: Table) -> Table:
    found = dict(below)
    for key, value in above.items():
        under = found.get(key)
        found[key] = (
            _merged(under, value) if isinstance(under, dict) and isinstance(value, dict) else value
        )
    return found


def _table(tables: Table, *path: str) -> Table:
    for key in path:
        tables = tables.get(key, {})
        if not isinstance(tables, Mapping):
            return {}
    return tables


def build_ids(ctx: typer.Context, incomplete: str) -> list[str]:
    """The ids of the builds of the tree that begin with *incomplete*, the newest first."""
    folder = tree.root_of(ctx.params.get("context")) / ".dynbuild" / "builds"
    with suppress(OSError):
        names = [path.name for path in folder.iterdir() if not path.is_symlink()]
        return sorted((name for name in names if name.startswith(incomplete)), reverse=True)
    return []


def _built(context: Path) -> Iterator[str]:
    """The tags of the images that were built from a tree, the newest first."""
    import json

    for result in sorted((context / ".dynbuild" / "builds").glob("*/result.json"), reverse=True):
        with suppress(OSError, ValueError, RecursionError, AttributeError, TypeError, KeyError):
            for image in json.loads(paths.regular(result).read_bytes())["images"]:
                yield from map(str, image["tags"])
