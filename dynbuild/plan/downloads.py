"""What is downloaded by address and its checksums; tools that no build can do without.  Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from dynbuild.plan.decision import Values
from dynbuild.plan.job import ImageJob
from dynbuild.plan.recipe import Recipe
from dynbuild.plan.stages import Stage
from dynbuild.quick import dataclass
from dynbuild.settings.load import OVERLAY_NAME, Settings
from dynbuild.settings.problems import Problem


@dataclass(frozen=True, slots=True)
class Download:
    """A tool or source that comes from an address.

    Attributes:
        table: ``tools`` or ``sources``.
        name: Its name there.
        args: The arguments in its address.
        sums: Its checksums, by the keys below its table.
    """

    table: str
    name: str
    args: tuple[str, ...]
    sums: Mapping[tuple[str, ...], str]


def _of(image: ImageJob) -> tuple[Download, ...]:
    """The downloads of an image."""
    found = (_download(stage, image.recipe) for stage in image.stages)
    return tuple(download for download in found if download)


def _download(stage: Stage, recipe: Recipe) -> Download | None:
    if stage.template == "tool.url":
        tool = recipe.tools[stage.subject]
        sums: Mapping[tuple[str, ...], str] = {
            ("sha256", arch): tool.sha256.get(arch, "") for arch in tool.url
        }
        return Download("tools", stage.subject, (tool.version,), sums)
    if stage.template == "source.url":
        source = recipe.sources[stage.subject]
        args = tuple(re.findall(r"\$\{(\w+)\}", source.url))
        return Download("sources", stage.subject, args, {("sha256",): source.sha256})
    return None


def unchecked(image: ImageJob) -> list[str]:
    """Warn of downloads without a checksum."""
    return [
        f"{download.name} is downloaded without a checksum "
        f"(set {download.table}.{download.name}.sha256)"
        for download in _of(image)
        if not all(download.sums.values())
    ]


def problems(config: Settings, image: ImageJob, values: Values) -> Iterator[Problem]:
    """Checksums that belong to another version, and tools that are left out and needed."""
    recipe = image.recipe
    for name in ("uv", "rust", "protoc") if recipe.from_source else ("uv",):
        if recipe.tools[name].kind == "none":
            yield Problem(
                f"the images cannot be built without {name}",
                str(config.origin("tools", name, "kind")),
                f"tools.{name}.kind is one of: image, url, apt, pypi",
            )
    for download in _of(image):
        table, name = download.table, download.name
        fixed = [
            key
            for key, value in download.sums.items()
            if value and config.origin(table, name, *key).layer == "catalog"
        ]
        moved = [arg for arg in download.args if values[arg].value != config.lowest("args", arg)]
        if fixed and moved:
            yield Problem(
                f"{moved[0]} is changed to {values[moved[0]].value}, but the checksum of "
                f"{name} is the one of the catalog's version",
                str(values[moved[0]].origin),
                f'give the new one as {table}.{name}.sha256 in {OVERLAY_NAME} ("" goes without)',
            )
