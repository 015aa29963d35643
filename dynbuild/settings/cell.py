"""What settings say of the cell of a request: the default one, and what sets it apart.  Pure."""

from __future__ import annotations

from dynbuild.image_id import variant_of
from dynbuild.settings.load import Settings

INDEX = "index"
"""The way of published wheels, and the mark of an image that has them."""


def same_cuda(version: str, row: str) -> bool:
    """Whether *version* of CUDA is that of a *row* of the catalog, or within it."""
    return version == row or version.startswith(f"{row}.")


def default_cuda(config: Settings, framework: str) -> str:
    """The CUDA version of the default cell of a framework, whose device is cuda."""
    entry = config.catalog.frameworks[framework]
    rows = entry.devices["cuda"].cuda if "cuda" in entry.devices else ()
    return next((row for row in rows if same_cuda(entry.cuda_default, row)), entry.cuda_default)


def variant(config: Settings) -> str:
    """What sets the images of these settings apart: another release line, published wheels."""
    line = config.catalog.request.release_line
    way = config.catalog.request.dynamo_wheels.partition("==")[0]
    return variant_of("" if line == config.default_line else line, "" if way != INDEX else way)
