"""A matrix of the settings, ``[matrix.NAME]``, with those that it extends.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field

from dynbuild import names
from dynbuild.errors import RequestError
from dynbuild.quick import dataclass
from dynbuild.settings.layers import Layer, Origin, Setting, flatten
from dynbuild.settings.load import Settings

DEFAULT = "default"
"""The matrix that is meant where none is named."""

CELL_TABLES = ("args", "contexts", "request", "sources", "tools")
"""The tables that a matrix may have for some of its cells."""

AXES = {
    "framework": "frameworks",
    "target": "targets",
    "device": "devices",
    "cuda_version": "cuda",
    "release_line": "lines",
}
"""The axes by their keys in a request, each with its key in a matrix."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedMatrix:
    """A set of cells, by axes and by globs of ids; each with where it is written.

    Attributes:
        axes: By the key of an axis in a request, its values; an axis that is left out has all.
        include: Globs of cells that are in it besides.
        exclude: Globs of cells that are not in it.
        cells: By a glob, settings that the cells have which it means.
    """

    axes: Mapping[str, Setting] = field(default_factory=dict)
    include: tuple[Setting, ...] = ()
    exclude: tuple[Setting, ...] = ()
    cells: Mapping[str, Layer] = field(default_factory=dict)


def named(config: Settings, name: str | None) -> NamedMatrix:
    """The matrix *name* of the settings, with those that it extends.

    Without a name it is the one called ``default``; where there is none, every cell.

    Raises:
        RequestError: There is no such matrix, one extends itself, or a cell's setting is none.
    """
    if name is None and DEFAULT not in config.catalog.matrix:
        return NamedMatrix()
    return _extended(config, name or DEFAULT, ())


def every_line(lines: Iterable[str]) -> NamedMatrix:
    """Every cell of the *lines*."""
    said = Setting(tuple(lines), Origin("derived", "every release line"))
    return NamedMatrix(axes={"release_line": said})


def _extended(config: Settings, name: str, by: tuple[str, ...]) -> NamedMatrix:
    known = config.catalog.matrix
    origin = str(config.origin("matrix", by[-1], "extends")) if by else None
    if name in by:
        raise RequestError(
            f"the matrix '{name}' extends itself",
            origin=origin,
            hint=f"the way round: {', '.join((*by, name))}",
        )
    if name not in known:
        raise RequestError(
            f"there is no matrix '{name}'",
            origin=origin,
            hint=names.did_you_mean(name, known) if known else "no settings file has [matrix.NAME]",
        )
    found = NamedMatrix()
    for parent in known[name].extends:
        found = _over(found, _extended(config, parent, (*by, name)))
    return _over(found, _own(config, name))


def _own(config: Settings, name: str) -> NamedMatrix:
    table = config.catalog.matrix[name]

    def written(key: str) -> tuple[Setting, ...]:
        origin = config.origin("matrix", name, key)
        return tuple(Setting(value, origin) for value in getattr(table, key))

    axes = {
        axis: Setting(tuple(values), config.origin("matrix", name, key))
        for axis, key in AXES.items()
        if (values := getattr(table, key)) is not None
    }
    cells = {glob: _layer(config, name, glob) for glob in table.cells}
    return NamedMatrix(
        axes=axes, include=written("include"), exclude=written("exclude"), cells=cells
    )


def _layer(config: Settings, name: str, glob: str) -> Layer:
    """The settings that *name* has for the cells of a glob.

    Raises:
        RequestError: A cell cannot have one of them.
    """
    layer = {}
    for path, value in flatten(config.catalog.matrix[name].cells[glob]):
        origin = config.origin("matrix", name, "cells", glob, *path)
        if path[0] not in CELL_TABLES:
            raise RequestError(
                f"a cell has no setting '{'.'.join(path)}' of its own",
                origin=str(origin),
                hint=f"it may have the tables {', '.join(CELL_TABLES)}",
            )
        if path[0] == "request" and path[1:] and path[1] in AXES:
            raise RequestError(
                f"'{path[1]}' says which cell it is, and is no setting of a cell",
                origin=str(origin),
                hint=f"the axes of a matrix are {', '.join(AXES.values())}",
            )
        layer[path] = Setting(value, origin)
    return layer


def _over(below: NamedMatrix, above: NamedMatrix) -> NamedMatrix:
    """An axis of *above* takes the place of that of *below*; globs and settings are added."""
    cells = dict(below.cells)
    for glob, layer in above.cells.items():
        # What is written later stands above, for a cell that several globs mean.
        cells[glob] = {**cells.pop(glob, {}), **layer}
    return NamedMatrix(
        axes={**below.axes, **above.axes},
        include=(*below.include, *above.include),
        exclude=(*below.exclude, *above.exclude),
        cells=cells,
    )
