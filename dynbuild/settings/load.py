"""Read the catalog and its overlays, lay the environment and flags over them.

What it returns is complete and checked:
a ``Catalog`` and, for every leaf, where its value came from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dynbuild import paths
from dynbuild.errors import TemplateError
from dynbuild.quick import dataclass
from dynbuild.settings import environment, files, layers, lines, models, problems
from dynbuild.settings.layers import Layer, Origin, Setting
from dynbuild.settings.models import Catalog

OVERLAY_NAME = "dynbuild.toml"
"""The overlay that is taken from the build context without being asked for."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The combined settings.

    Attributes:
        catalog: The values, typed and checked.
        origins: For the path of every leaf, where its value came from.
        layers: The layers in order, lowest first.
        default_line: The release line of the catalog itself.
    """

    catalog: Catalog
    origins: Mapping[layers.KeyPath, Origin]
    layers: tuple[Layer, ...]
    default_line: str

    def lowest(self, *path: str) -> Any:
        """What the catalog itself says at *path*, before anything was laid over it."""
        setting = self.layers[0].get(path)
        return None if setting is None else setting.value

    def origin(self, *path: str) -> Origin:
        """Where the leaf at *path* came from; a default of the model has no layer."""
        return self.origins.get(path, Origin("catalog", "default"))


def templates_dir(override: str | None = None) -> Path:
    """The folder of the catalog and the templates: *override*, else those of dynbuild.

    Raises:
        TemplateError: *override* is not a folder.
    """
    if override:
        path = paths.expanded(override, origin="templates")
        if not path.is_dir():
            raise TemplateError(
                f"the template folder {path} does not exist",
                hint="--templates names a folder shaped like dynbuild's own templates/",
            )
        return path
    return files.own()


def overlays_of(context: Path, given: Iterable[Path]) -> list[Path]:
    """The settings files of a source tree: its own, if it has one, below those *given*."""
    own = context / OVERLAY_NAME
    return [*([own] if own.is_file() else []), *given]


def load(
    *,
    templates: Path,
    overlays: Sequence[Path],
    env: Mapping[str, str],
    flags: Layer,
    cache: Path | None = None,
) -> Settings:
    """Combine all layers and check the result.

    Args:
        templates: The folder with ``catalog.toml``.
        overlays: Settings files, lowest first.
        env: The environment; only ``DYNBUILD_…`` variables are looked at.
        flags: What the command line says.
        cache: Where the catalog's values are kept once it is parsed.

    Raises:
        TemplateError: There is no catalog in *templates*.
        RequestError: A file is malformed, a key unknown, a value of the wrong type. All
            problems are reported at once.
    """
    catalog_file = templates / "catalog.toml"
    if not catalog_file.is_file():
        raise TemplateError(
            f"there is no catalog at {catalog_file}",
            hint="a template folder needs its own catalog.toml; copy dynbuild's to start from",
        )
    above = [files.read(path, "overlay") for path in overlays]
    base = files.read(catalog_file, "catalog", cache)
    default_line = str(base[lines.KEY].value)
    base = lines.with_line(base, lines.chosen(base, above, env, flags), templates, cache)
    known = {table: _keys_below(base, table) for table in models.CLOSED_TABLES}
    known["args"] |= models.PASSED_THROUGH
    stack = (base, *above, environment.layer(env, known["args"]), flags)
    resolved = layers.resolve(stack)
    unknown = dict(problems.unknown_keys(resolved, known))
    wrong = [*unknown.values(), *problems.nul_characters(resolved)]
    # What is unknown is said once; the rest is looked at all the same.
    kept = {
        path: setting
        for path, setting in resolved.items()
        if not any(path[: len(bad)] == bad for bad in unknown)
    }
    try:
        catalog = Catalog.model_validate(
            layers.nest({path: setting.value for path, setting in kept.items()})
        )
    except ValidationError as error:
        wrong += problems.wrong_types(error, kept)
    else:
        wrong += problems.unknown_references(catalog, kept)
        if not wrong:
            origins = {path: setting.origin for path, setting in resolved.items()}
            return Settings(catalog, origins, stack, default_line)
    raise problems.as_error(wrong)


def args_of(settings: Settings, framework: str, device: str, cuda: str) -> dict[str, Setting]:
    """Every build argument as it stands for one image, with its origin.

    Each layer is folded from the general to the special scope, and the layers in their
    order, so that an overlay's ``[args]`` wins over the catalog's per-framework value.
    """
    scopes = (
        ("args",),
        ("frameworks", framework, "args"),
        ("frameworks", framework, "devices", device, "args"),
        ("frameworks", framework, "devices", device, "cuda", cuda),
    )
    result: dict[str, Setting] = {}
    for layer in settings.layers:
        for scope in scopes:
            for path, setting in layer.items():
                if path[:-1] == scope:
                    result[path[-1]] = setting
    return result


def _keys_below(layer: Layer, table: str) -> frozenset[str]:
    return frozenset(path[1] for path in layer if path[0] == table and len(path) > 1)
