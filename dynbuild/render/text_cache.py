"""Rendered Dockerfiles on the disk, so that a command does not render again what is the same.

To load the template engine and its templates takes longer than an image takes to be planned.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from pathlib import Path

from dynbuild import disk_cache
from dynbuild.plan.job import ImageJob

_CODE = (Path(__file__).parent, Path(__file__).parent.parent / "plan")
"""Where what a template may ask is decided, besides the fields of the image."""


def rendered(image: ImageJob, templates: Path, cache: Path | None) -> str:
    """The Dockerfile of *image*, as it is kept for the very same image and templates.

    Args:
        image: What is rendered.
        templates: The folder of the templates.
        cache: Where texts and compiled templates are kept; ``None`` keeps none.

    Raises:
        TemplateError: See ``dynbuild.render.dockerfile.render``.
    """
    file = cache / image.plan.dockerfile if cache else None
    made_of = _made_of(image, templates) if file else ""

    def make() -> bytes:
        from dynbuild.render.dockerfile import render

        return render(image, templates, compiled=cache).encode()

    return disk_cache.kept(file, made_of, make).decode()


def _made_of(image: ImageJob, templates: Path) -> str:
    """A hash of all that a text depends on; values of arguments are among it."""
    recipe = {
        field.name: getattr(image.recipe, field.name) for field in dataclasses.fields(image.recipe)
    }
    # A set is written in another order by each process.
    ordered = {
        name: sorted(value) if isinstance(value, frozenset) else value
        for name, value in recipe.items()
    }
    of_image = repr((ordered, image.stages, image.plan)).encode()
    return hashlib.sha256(of_image + _texts(templates) + disk_cache.code(*_CODE)).hexdigest()


@functools.cache
def _texts(templates: Path) -> bytes:
    """The templates, each with its name."""
    return b"".join(
        file.name.encode() + file.read_bytes() for file in sorted(templates.glob("*.j2"))
    )
