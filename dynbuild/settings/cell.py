"""What settings say of the cell of a request: the default one, and what sets it apart.  Pure."""

from __future__ import annotations

from collections.abc import Iterable

from dynbuild.image_id import variant_of
from dynbuild.settings.load import Settings

INDEX = "index"
"""The way of published wheels, and the mark of an image that has them."""


def same_cuda(version: str, row: str) -> bool:
    """Whether *version* of CUDA is that of a *row* of the catalog, or within it."""
    return version == row or version.startswith(f"{row}.")


def means_cuda(version: str, row: str) -> bool:
    """Whether *version* of CUDA, of which numbers may be left out, can mean a *row*."""
    return same_cuda(version, row) or same_cuda(row, version)


def row_of(version: str, rows: Iterable[str]) -> str:
    """The one of the *rows* of the catalog that *version* of CUDA means.

    That is the one that it is of, else the only one that begins with it: 13 is 13.0 where
    there is no 13.1.  Empty where there is none, or there are several.
    """
    fitting = [row for row in rows if means_cuda(version, row)]
    of = [row for row in fitting if same_cuda(version, row)]
    found = of or fitting
    return found[0] if len(found) == 1 else ""


def default_cuda(config: Settings, framework: str) -> str:
    """The CUDA version of the default cell of a framework, whose device is cuda."""
    entry = config.catalog.frameworks[framework]
    rows = entry.devices["cuda"].cuda if "cuda" in entry.devices else ()
    return row_of(entry.cuda_default, rows) or entry.cuda_default


def engine_of(config: Settings, framework: str, device: str) -> str:
    """Where the engine of a framework comes from on a device: what ``engine`` says of it."""
    entry = config.catalog.frameworks[framework]
    return entry.devices[device].engine or entry.engine


def variant(config: Settings) -> str:
    """What sets the images of these settings apart: another release line, published wheels."""
    line = config.catalog.request.release_line
    way = config.catalog.request.dynamo_wheels.partition("==")[0]
    return variant_of("" if line == config.default_line else line, "" if way != INDEX else way)
