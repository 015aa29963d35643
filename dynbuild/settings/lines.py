"""Release lines: what another line of Dynamo has otherwise is laid over the catalog."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from dynbuild import names, paths
from dynbuild.errors import RequestError
from dynbuild.settings import files, layers
from dynbuild.settings.layers import Layer, Origin, Setting

KEY = ("request", "release_line")
_WHEELS = ("request", "dynamo_wheels")
_PROJECT = "pyproject.toml"
_FRAMEWORK = ("request", "framework")
_VARIABLES = {
    KEY: "DYNBUILD_RELEASE_LINE",
    _WHEELS: "DYNBUILD_DYNAMO_WHEELS",
    _FRAMEWORK: "DYNBUILD_FRAMEWORK",
}
_NUMBERED = re.compile(r"\d+(\.\d+)*")
_RENAMED = {"next": "1.0 is the tree of April 2026, 1.5 that of August 2026"}
"""Lines that are no more, and what there is for them."""


def own_folder(env: Mapping[str, str]) -> Path | None:
    """Where the caller's own lines are; ``None`` where *env* names no home.

    Raises:
        RequestError: DYNBUILD_HOME names a user whom this machine does not know.
    """
    there = any(env.get(name) for name in paths.HOME_VARIABLES)
    return paths.home(env) / "lines" if there else None


def known(templates: Path, env: Mapping[str, str]) -> tuple[str, ...]:
    """The release lines besides that of the catalog: those of *templates* and the caller's own."""
    folders = (templates / "lines", own_folder(env))
    found = {path.stem for folder in folders if folder for path in folder.glob("*.toml")}
    return tuple(sorted(found))


def file_of(line: str, templates: Path, env: Mapping[str, str]) -> Path:
    """The file of a release line, whether it is there or not.

    Raises:
        RequestError: There are two of that name.
    """
    shipped, folder = templates / "lines" / f"{line}.toml", own_folder(env)
    own = folder / f"{line}.toml" if folder else None
    if own is None or not own.is_file():
        return shipped
    if shipped.is_file():
        raise RequestError(
            f"there are two release lines {line}",
            origin=f"{own}, {shipped}",
            hint=f"give {own} another name, or remove it",
        )
    return own


def nearest(line: str, known: Collection[str]) -> str:
    """What to take in the place of *line*, which is not among those *known*."""
    return _RENAMED.get(line) or names.did_you_mean(line, known)


def check(line: str, known: Collection[str], *, origin: str | None = None) -> None:
    """Refuse a release line that there is not.

    Raises:
        RequestError: *line* is not among those *known*.
    """
    if line not in known:
        raise RequestError(
            f"there is no release line '{line}'", origin=origin, hint=nearest(line, known)
        )


def is_tree(context: Path) -> bool:
    """Whether a folder says something of itself, as source trees do; one that is not there may."""
    return not context.is_dir() or (context / _PROJECT).exists()


def without_tree(
    base: Layer,
    above: Sequence[Layer],
    templates: Path,
    cache: Path | None = None,
    *,
    env: Mapping[str, str],
) -> Layer:
    """A layer that says which line is built where there is no source tree.

    It is that of the published wheels which are asked for, else the newest that has such, and the
    frameworks that are asked for. Nothing is said where there is none, or where a tree is asked
    for: that there is no tree is told.

    Args:
        base: The catalog.
        above: What people say, lowest first.
        templates: The folder of the catalog.
        cache: Where files that are read are kept.
        env: The environment, which says where the caller's own lines are.

    Raises:
        RequestError: There are two lines of one name.
    """
    request = layers.resolve(above)
    said = request.get(_WHEELS)
    way, _, version = str(said.value).partition("==") if said else ("", "", "")
    asked = _line_of(version)
    if way == "source" or asked == _line_of(str(base[KEY].value)):
        return {}
    if asked in known(templates, env):
        return {KEY: Setting(asked, Origin("derived", f"no source tree, and wheels {version}"))}
    framework = request.get(_FRAMEWORK)
    frameworks = names.items(str(framework.value).lower()) if framework else ()
    line = _newest_published(frameworks, templates, cache, env)
    why = "no source tree, and the newest with published wheels"
    return {KEY: Setting(line, Origin("derived", why))} if line else {}


def _line_of(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _newest_published(
    frameworks: Collection[str], templates: Path, cache: Path | None, env: Mapping[str, str]
) -> str | None:
    """The newest line with a number whose wheels are published and not built, for *frameworks*."""
    numbered = filter(_NUMBERED.fullmatch, known(templates, env))
    for line in sorted(numbered, key=lambda one: tuple(map(int, one.split("."))), reverse=True):
        own = files.read(file_of(line, templates, env), "catalog", cache)
        wheels = own.get(_WHEELS)
        published = wheels is not None and str(wheels.value).startswith("index")
        if published and {path[1] for path in own if path[0] == "frameworks"}.issuperset(
            frameworks
        ):
            return line
    return None


def of_tree(context: Path, templates: Path, base: Layer, env: Mapping[str, str]) -> Layer:
    """A layer that says which line a source tree is of, by the version it gives itself.

    A line whose wheels are published and not built says nothing of a tree.
    """
    try:
        text = paths.content(context / _PROJECT).decode()
    except (OSError, ValueError):
        return {}
    version = re.search(r'^version\s*=\s*"((\d+\.\d+)\.[^"]*)"', text, re.MULTILINE)
    own = str(base[KEY].value)
    if version is None or own.startswith(f"{version[2]}."):
        return {}
    file = file_of(version[2], templates, env)
    if not file.is_file() or _WHEELS in files.read(file, "catalog"):
        return {}
    return {KEY: Setting(version[2], Origin("derived", f"version {version[1]} in {_PROJECT}"))}


def of_environment(env: Mapping[str, str]) -> Layer:
    """What the variables of *env* say of the line, and of what it is derived from.

    The line has to be known before it is known which variables there are.
    """
    return {
        path: Setting(env[name], Origin("environment", name))
        for path, name in _VARIABLES.items()
        if env.get(name)
    }


def override(layer: Layer, line: str) -> Layer:
    """*layer*, saying *line* where it says which line."""
    own = layer.get(KEY)
    if own is None or own.value == line:
        return layer
    return {**layer, KEY: Setting(line, own.origin)}


def with_line(
    base: Layer,
    line: Setting,
    templates: Path,
    cache: Path | None = None,
    *,
    env: Mapping[str, str],
) -> Layer:
    """The catalog as it is for a release line.

    The line is laid over the catalog, except that its frameworks replace the catalog's: what a
    line does not name there, it does not have.

    Raises:
        RequestError: There is no such line.
    """
    own = base[KEY].value
    if line.value == own:
        return base
    check(str(line.value), (str(own), *known(templates, env)), origin=str(line.origin))
    own_values = files.read(file_of(str(line.value), templates, env), "catalog", cache)
    replaced = {path[0] for path in own_values if path[0] == "frameworks"}
    kept = {path: setting for path, setting in base.items() if path[0] not in replaced}
    return {**kept, **own_values}
