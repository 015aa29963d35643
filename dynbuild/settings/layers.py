"""Layers of settings and the one rule by which they combine.

A setting is a leaf of a tree, addressed by its path (``("args", "NIXL_REF")``).  Layers
are folded in order, catalog < overlay < environment < flags; the last layer that sets a
leaf wins, whole (lists are replaced, not appended to).  Every value keeps its origin.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

KeyPath = tuple[str, ...]

LayerName = Literal["catalog", "overlay", "environment", "flag", "git", "machine", "derived"]
"""Who can set a value: a person in one of ``ORDER``, or what is not written by anybody."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value came from.

    Attributes:
        layer: Who set it.
        source: The file, the variable, the flag, or the rule.
        line: In that file, where it is known.
        mirror: The prefix of an address that an entry of ``[mirrors]`` took the place of.
    """

    layer: LayerName
    source: str
    line: int | None = None
    mirror: str = ""

    def __str__(self) -> str:
        mirror = f"(mirror of {self.mirror})" if self.mirror else ""
        return " ".join(part for part in (self.layer, self.location, mirror) if part)

    @property
    def location(self) -> str:
        """The source, with the line in it."""
        return self.source if self.line is None else f"{self.source}:{self.line}"


ORDER = ("catalog", "overlay", "environment", "flag")
"""The layers a person sets values in, lowest first."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A value and its origin."""

    value: Any
    origin: Origin


def rank(origin: Origin) -> int:
    """How high the layer of *origin* is; derived values are the lowest."""
    return ORDER.index(origin.layer) if origin.layer in ORDER else -1


Layer = Mapping[KeyPath, Setting]


def flatten(tree: Mapping[str, Any], prefix: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    """Every leaf of *tree* with its path; tables are branches, everything else a leaf."""
    for key, value in tree.items():
        path = (*prefix, key)
        if isinstance(value, Mapping):
            yield from flatten(value, path)
        else:
            yield path, value


def nest(leaves: Mapping[KeyPath, Any]) -> dict[str, Any]:
    """The tree of *leaves*: the reverse of ``flatten``.

    A leaf and a table of the same name cannot both stand; the one that comes later does.
    """
    tree: dict[str, Any] = {}
    for path, value in leaves.items():
        branch = tree
        for key in path[:-1]:
            below = branch.get(key)
            if not isinstance(below, dict):
                below = branch[key] = {}
            branch = below
        branch[path[-1]] = value
    return tree


def resolve(layers: Iterable[Layer]) -> dict[KeyPath, Setting]:
    """Fold *layers*, lowest first; a later layer's value replaces an earlier one's.

    Where a layer sets a leaf on the path of earlier leaves, or a table where a leaf
    stood, the earlier ones go, so that the model can say what is wrong with the new shape.
    """
    lowest, *above = layers
    result = dict(lowest)
    # The tables that stand or have stood; most layers set no leaf that is not there.
    tables: set[KeyPath] = set()
    for layer in above:
        for path, setting in layer.items():
            if path not in result:
                tables = tables or {table for old in result for table in _tables(old)}
                if path in tables or not result.keys().isdisjoint(_tables(path)):
                    for old in [old for old in result if _overlap(old, path)]:
                        del result[old]
                tables.update(_tables(path))
            result[path] = setting
    return result


def _tables(path: KeyPath) -> list[KeyPath]:
    """The tables that a leaf at *path* is in."""
    return [path[:end] for end in range(1, len(path))]


def _overlap(one: KeyPath, other: KeyPath) -> bool:
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]
