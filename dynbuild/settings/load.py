"""Read the catalog and its overlays, lay the environment and flags over them.

What it returns is complete and checked:
a ``Catalog`` and, for every leaf, where its value came from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import ValidationError

from dynbuild import names
from dynbuild.errors import RequestError, TemplateError
from dynbuild.settings import files, layers, lines, models, problems
from dynbuild.settings.layers import Layer, Origin, Setting
from dynbuild.settings.models import Catalog

OVERLAY_NAME = "dynbuild.toml"
"""The overlay that is taken from the build context without being asked for."""

ENV_PREFIX = "DYNBUILD_"
ARG_PREFIX = "DYNBUILD_ARG_"
OTHER_VARIABLES = ("DYNBUILD_HOME", "DYNBUILD_LOG", "DYNBUILD_TEMPLATES", "DYNBUILD_SECRET_")
"""Variables that are no settings: where the engine lives, how much is said, which templates,
and what BuildKit reads its secrets from."""


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
        path = Path(override)
        if not path.is_dir():
            raise TemplateError(
                f"the template folder {path} does not exist",
                hint="--templates names a folder shaped like dynbuild's own templates/",
            )
        return path
    return files.PACKAGED if files.PACKAGED.is_dir() else files.CHECKOUT


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
) -> Settings:
    """Combine all layers and check the result.

    Args:
        templates: The folder with ``catalog.toml``.
        overlays: Settings files, lowest first.
        env: The environment; only ``DYNBUILD_…`` variables are looked at.
        flags: What the command line says.

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
    base = files.read(catalog_file, "catalog")
    default_line = str(base[lines.KEY].value)
    base = lines.with_line(base, lines.chosen(base, above, env, flags), templates)
    known = {table: _keys_below(base, table) for table in models.CLOSED_TABLES}
    known["args"] |= models.PASSED_THROUGH
    stack = (base, *above, _environment(env, known), flags)
    resolved = layers.resolve(stack)
    unknown = dict(problems.unknown_keys(resolved, known))
    wrong = list(unknown.values())
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


SCCACHE_VARIABLES = {
    "SCCACHE_BUCKET": "SCCACHE_BUCKET",
    "SCCACHE_REGION": "SCCACHE_REGION",
    "SCCACHE_ENDPOINT": "SCCACHE_ENDPOINT",
    "SCCACHE_S3_USE_SSL": "SCCACHE_S3_USE_SSL",
    # BuildKit takes an argument with KEY in its name for a secret.
    "SCCACHE_S3_KEY_PREFIX": "SCCACHE_PREFIX",
}
"""Variables of sccache's own, and the build argument that each sets."""


def _keys_below(layer: Layer, table: str) -> frozenset[str]:
    return frozenset(path[1] for path in layer if path[0] == table and len(path) > 1)


def _environment(env: Mapping[str, str], known: Mapping[str, frozenset[str]]) -> Layer:
    fields = models.Request.model_fields | models.Site.model_fields
    result: dict[layers.KeyPath, Setting] = {}
    for name in sorted(env):
        origin = Origin("environment", name)
        if name in SCCACHE_VARIABLES:
            if env[name]:
                # The name with dynbuild's prefix is the more deliberate one.
                own = SCCACHE_VARIABLES[name]
                result.setdefault(("args", own), Setting(env[name], origin))
        elif name.startswith(ARG_PREFIX):
            arg = name.removeprefix(ARG_PREFIX)
            if arg not in known["args"]:
                raise RequestError(
                    f"there is no build argument '{arg}'",
                    origin=str(origin),
                    hint=names.did_you_mean(arg, known["args"]),
                )
            result["args", arg] = Setting(env[name], origin)
        elif name.startswith(ENV_PREFIX) and not name.startswith(OTHER_VARIABLES):
            key = name.removeprefix(ENV_PREFIX).lower()
            if key not in fields:
                raise RequestError(
                    f"there is no setting for the variable {name}",
                    hint=names.did_you_mean(
                        name, {f"{ENV_PREFIX}{field.upper()}" for field in fields}
                    ),
                )
            # CI systems set a variable to nothing to leave it out.
            if env[name]:
                table = "request" if key in models.Request.model_fields else "site"
                value = _from_text(env[name], fields[key].annotation, origin)
                if (table, key) in files.PATHS:
                    value = str(Path(value).absolute())
                result[table, key] = Setting(value, origin)
    return result


def _from_text(text: str, annotation: Any, origin: Origin) -> Any:
    if annotation is bool:
        words = {"1": True, "true": True, "yes": True, "on": True}
        words |= {"0": False, "false": False, "no": False, "off": False, "": False}
        if text.lower() not in words:
            raise RequestError(f"'{text}' is neither true nor false", origin=str(origin))
        return words[text.lower()]
    if get_origin(annotation) is list:
        return [item for item in (part.strip() for part in text.split(",")) if item]
    if int in get_args(annotation):
        if not text.isdecimal():
            raise RequestError(f"'{text}' is not a number", origin=str(origin))
        return int(text)
    return text
