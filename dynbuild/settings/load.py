"""Read the catalog and its overlays, lay the environment and flags over them.

``load`` is the one reader of settings files.  What it returns is complete and checked:
a ``Catalog`` and, for every leaf, where its value came from.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import ValidationError

from dynbuild import names
from dynbuild.errors import NotReady, RequestError, TemplateError
from dynbuild.settings import layers, models
from dynbuild.settings.layers import Layer, Origin, Setting
from dynbuild.settings.models import Catalog

OVERLAY_NAME = "dynbuild.toml"
"""The overlay that is taken from the build context without being asked for."""

ENV_PREFIX = "DYNBUILD_"
ARG_PREFIX = "DYNBUILD_ARG_"
OTHER_VARIABLES = ("DYNBUILD_HOME", "DYNBUILD_LOG", "DYNBUILD_TEMPLATES", "DYNBUILD_SECRET_")
"""Variables that are no settings: where the engine lives, how much is said, which templates,
and what BuildKit reads its secrets from."""

_PACKAGED = Path(__file__).parent.parent / "_templates"
_CHECKOUT = Path(__file__).parent.parent.parent / "templates"


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
    return _PACKAGED if _PACKAGED.is_dir() else _CHECKOUT


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
    above = [_read(path, "overlay") for path in overlays]
    base = _read(catalog_file, "catalog")
    default_line = str(base[_LINE].value)
    base = _with_line(base, _chosen_line(base, above, env, flags), templates)
    known = {table: _keys_below(base, table) for table in models.CLOSED_TABLES}
    known["args"] |= models.PASSED_THROUGH
    stack = (base, *above, _environment(env, known), flags)
    resolved = layers.resolve(stack)
    unknown = dict(_unknown_keys(resolved, known))
    problems = list(unknown.values())
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
        problems += _type_problems(error, kept)
    else:
        problems += _unknown_references(catalog, kept)
        if not problems:
            origins = {path: setting.origin for path, setting in resolved.items()}
            return Settings(catalog, origins, stack, default_line)
    first, *rest = problems
    raise RequestError(
        first.message, origin=first.origin, hint=first.hint, details=tuple(map(str, rest))
    )


def lines(templates: Path) -> tuple[str, ...]:
    """The release lines that *templates* has besides that of its catalog."""
    return tuple(sorted(path.stem for path in (templates / "lines").glob("*.toml")))


_LINE = ("request", "release_line")


def _chosen_line(
    base: Layer, above: Sequence[Layer], env: Mapping[str, str], flags: Layer
) -> Setting:
    """The release line, which has to be known before its layer can be read."""
    variable = f"{ENV_PREFIX}RELEASE_LINE"
    own = env.get(variable, "")
    given: Layer = {_LINE: Setting(own, Origin("environment", variable))} if own else {}
    return layers.resolve((base, *above, given, flags)).get(_LINE, base[_LINE])


def _with_line(base: Layer, chosen: Setting, templates: Path) -> Layer:
    """The catalog as it is for a release line.

    The line is laid over the catalog, except that its table of a framework replaces the
    catalog's: what a line does not name there, it does not have.

    Raises:
        RequestError: There is no such line.
    """
    own = base[_LINE].value
    if chosen.value == own:
        return base
    known = (own, *lines(templates))
    if chosen.value not in known:
        raise RequestError(
            f"there is no release line '{chosen.value}'",
            origin=str(chosen.origin),
            hint=names.did_you_mean(str(chosen.value), known),
        )
    line = _read(templates / "lines" / f"{chosen.value}.toml", "catalog")
    replaced = {path[:2] for path in line if path[0] == "frameworks"}
    kept = {path: setting for path, setting in base.items() if path[:2] not in replaced}
    return {**kept, **line}


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


@dataclass(frozen=True, slots=True)
class _Problem:
    message: str
    origin: str
    hint: str | None = None

    def __str__(self) -> str:
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.origin}: {self.message}{hint}"


def _read(path: Path, layer: str) -> Layer:
    try:
        text = path.read_text(encoding="utf-8")
        tree = tomllib.loads(text)
    except FileNotFoundError as error:
        raise RequestError(f"the settings file {path} does not exist") from error
    except IsADirectoryError as error:
        raise RequestError(f"{path} is a folder, not a settings file") from error
    except OSError as error:
        raise NotReady(f"the settings file {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RequestError(
            f"{path} is not valid TOML: {error}", hint="see https://toml.io for the syntax"
        ) from error
    lines = _line_numbers(text)
    own = next((root for root in (_PACKAGED, _CHECKOUT) if path.is_relative_to(root)), None)
    name = f"templates/{path.relative_to(own)}" if own else str(path)
    return {
        leaf: Setting(_beside(path, leaf, value), Origin(layer, f"{name}:{line}" if line else name))
        for leaf, value in layers.flatten(tree)
        for line in [_line_of(leaf, lines)]
    }


SCCACHE_VARIABLES = {
    "SCCACHE_BUCKET": "SCCACHE_BUCKET",
    "SCCACHE_REGION": "SCCACHE_REGION",
    "SCCACHE_ENDPOINT": "SCCACHE_ENDPOINT",
    "SCCACHE_S3_USE_SSL": "SCCACHE_S3_USE_SSL",
    # BuildKit takes an argument with KEY in its name for a secret.
    "SCCACHE_S3_KEY_PREFIX": "SCCACHE_PREFIX",
}
"""Variables of sccache's own, and the build argument that each sets."""

_PATHS = frozenset(
    (
        ("site", "ca_bundle"),
        ("site", "meson_packages"),
        ("request", "tensorrtllm_pip_wheel_dir"),
    )
)
"""Settings that are local paths, besides those of contexts and sources."""


def _beside(file: Path, leaf: layers.KeyPath, value: Any) -> Any:
    """A local path in a settings file is meant from the folder of that file."""
    is_path = leaf[0] == "contexts" or leaf in _PATHS
    is_path = is_path or (leaf[0] == "sources" and leaf[-1] == "path")
    if is_path and isinstance(value, str) and value and not names.is_address(value):
        return str((file.absolute().parent / Path(value).expanduser()).resolve())
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
                if (table, key) in _PATHS:
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


def _unknown_keys(
    resolved: Mapping[layers.KeyPath, Setting], known: Mapping[str, frozenset[str]]
) -> Iterator[tuple[layers.KeyPath, _Problem]]:
    seen = set()
    for path, setting in resolved.items():
        if setting.origin.layer == "catalog":
            continue
        for depth, key in enumerate(path):
            parent = path[:depth]
            choices = models.keys_at(parent)
            if len(parent) == 1 and parent[0] in known:
                choices = tuple(known[parent[0]])
            elif _holds_args(parent):
                choices = tuple(known["args"])
            if choices is None or key in choices:
                continue
            if path[: depth + 1] not in seen:
                seen.add(path[: depth + 1])
                problem = _Problem(
                    f"unknown key '{'.'.join(path[: depth + 1])}'",
                    str(setting.origin),
                    names.did_you_mean(key, choices) if choices else f"{parent[-1]} is no table",
                )
                yield path[: depth + 1], problem
            break


def _holds_args(path: layers.KeyPath) -> bool:
    """Whether *path* is one of a framework's tables of build arguments."""
    if path[:1] != ("frameworks",):
        return False
    return path[2:] == ("args",) or (
        path[2:3] == ("devices",)
        and (path[4:] == ("args",) or (path[4:5] == ("cuda",) and len(path) == 6))
    )


def _unknown_references(
    catalog: Catalog, resolved: Mapping[layers.KeyPath, Setting]
) -> Iterator[_Problem]:
    """Tools and sources name build arguments; each must be one."""
    named: list[tuple[layers.KeyPath, str]] = []
    for name, tool in catalog.tools.items():
        named.append((("tools", name, "version"), tool.version))
    for name, source in catalog.sources.items():
        named.append((("sources", name, "ref"), source.ref))
        named += [(("sources", name, "url"), arg) for arg in re.findall(r"\$\{(\w*)\}", source.url)]
    for path, arg in named:
        if arg not in catalog.args and (arg or path[2] == "url"):
            yield _Problem(
                f"'{'.'.join(path)}' names the build argument '{arg}', which does not exist",
                str(resolved[path].origin),
                names.did_you_mean(arg, catalog.args),
            )


_WANTED = {
    "string_type": "a string in quotes",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "list_type": "a list in brackets",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
}
_TOML_NAMES = {
    str: "a string",
    bool: "a boolean",
    int: "a whole number",
    float: "a number with a point",
    list: "a list",
    dict: "a table",
}


def _type_problems(
    error: ValidationError, resolved: Mapping[layers.KeyPath, Setting]
) -> Iterator[_Problem]:
    for item in error.errors():
        loc = tuple(str(part) for part in item["loc"])
        below = [path for path in resolved if path[: len(loc)] == loc or loc[: len(path)] == path]
        # The highest layer is the one that brought the offending value in.
        highest = max(
            (resolved[path] for path in below),
            key=lambda setting: layers.rank(setting.origin),
            default=None,
        )
        origin = str(highest.origin) if highest else "catalog"
        key = ".".join(loc)
        if item["type"] in _WANTED:
            got = _TOML_NAMES.get(type(item["input"]), type(item["input"]).__name__)
            text = f"'{key}' must be {_WANTED[item['type']]}, not {got}"
            hint = None
            if loc[0] == "mirrors" and isinstance(item["input"], dict):
                hint = 'a prefix with a dot is written in quotes: "nvcr.io" = "…"'
            if item["type"] == "string_type" and isinstance(item["input"], (int, float)):
                hint = f'write "{str(item["input"]).lower()}"'
            yield _Problem(text, origin, hint)
        elif item["type"] == "string_pattern_mismatch":
            yield _Problem(f"'{key}' must be 64 hexadecimal digits, or empty", origin)
        elif item["type"] == "missing":
            yield _Problem(f"'{key}' is missing", origin)
        else:
            yield _Problem(f"'{key}': {item['msg'].removeprefix('Value error, ')}", origin)
