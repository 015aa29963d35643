"""What ``build``, ``plan`` and ``render`` are asked for on the command line."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dynbuild import paths
from dynbuild.cli import console, tree
from dynbuild.cli.parameters import Invocation, command
from dynbuild.errors import RequestError
from dynbuild.quick import dataclass
from dynbuild.settings.layers import Layer
from dynbuild.settings.matrix_options import BUILDER, NO_TESTS
from dynbuild.settings.option import Option
from dynbuild.settings.progress_option import PROGRESS
from dynbuild.settings.request_options import REQUEST

if TYPE_CHECKING:
    from dynbuild.settings.load import Lines, Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """Which cells of a matrix are meant.

    Attributes:
        matrix: Its name; ``None`` is the default one.
        only: Globs of ids that are in it.
        skip: Globs of ids that are left out.
        shard: Which part of them, as it is written; empty is all.
        if_changed: Whether those are left out whose tags have their content already.
    """

    matrix: str | None = None
    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    shard: str = ""
    if_changed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """What the command line says.

    Attributes:
        flags: The layer of settings it makes.
        context: The build context.
        overlays: Files given by ``--config``.
        templates: Folder given by ``--templates``.
        cells: The cells of a matrix; ``None`` where the axes of the request say them.
        builder: Name of the buildx builder; empty where buildx chooses.
        progress: How it is shown while it runs.
        tests: Whether tests are run in the images.
    """

    flags: Layer
    context: Path
    overlays: tuple[Path, ...]
    templates: str | None
    cells: Cells | None = None
    builder: str = ""
    progress: str = "auto"
    tests: bool = True


def with_request(function: Callable[..., None], *more: Option) -> Callable[..., None]:
    """Give *function* all request flags; it gets them as one ``BuildRequest``, its first argument.

    Args:
        function: The command.
        more: Options that ``build_request_of`` reads besides.
    """

    def called(invocation: Invocation, **own: Any) -> None:
        function(build_request_of(invocation), **own)

    called.__name__, called.__doc__ = function.__name__, function.__doc__
    called.__signature__ = inspect.signature(function, eval_str=True)  # type: ignore[attr-defined]
    return command((*REQUEST, *more), called)


def with_builder(function: Callable[..., None]) -> Callable[..., None]:
    """``with_request``, and the builder may be named, how its work is shown, what is tested."""
    return with_request(function, BUILDER, NO_TESTS, PROGRESS)


def build_request_of(invocation: Invocation) -> BuildRequest:
    """What the request flags of *invocation* ask for.

    Raises:
        RequestError: Two of them exclude each other, or there is no terminal for one.
    """
    load, push = invocation.text("load"), invocation.text("push")
    if load == "load" and push is not None:
        raise RequestError(
            "--push and --load exclude each other",
            hint="build twice: the second time everything comes from the cache",
        )
    return BuildRequest(
        flags=invocation.layer,
        context=context_of(invocation),
        overlays=configs_of(invocation),
        templates=invocation.text("templates"),
        builder=invocation.text("builder") or "",
        progress=console.progress(invocation.text("progress") or "auto"),
        tests=not invocation.switch("no_tests"),
    )


def context_of(invocation: Invocation) -> Path:
    """The folder that ``--context`` names, else the tree that the current one is in."""
    return tree.context(invocation.text("context"))


def lines_of(
    *, flags: Layer, context: Path, overlays: Sequence[Path], templates: str | None
) -> Lines:
    """The settings of a source tree for each release line."""
    from dynbuild.settings import load

    found = load.Lines(
        templates=load.templates_dir(templates),
        overlays=overlays,
        tree_file=load.own_file(context, overlays),
        env=os.environ,
        flags=flags,
        cache=cache_folder("settings", os.environ),
        context=context,
        builds=True,
    )
    if found.why:
        console.say(
            f"the release line is {found.chosen[0]} ({found.why}); --release-line names another"
        )
    return found


def settings_of(invocation: Invocation, context: Path | None = None) -> Settings:
    """The settings of a source tree, with the files and the flags of the command line."""
    from dynbuild.settings import load

    given = configs_of(invocation)
    context = context or context_of(invocation)
    return load.load(
        templates=load.templates_dir(os.environ.get("DYNBUILD_TEMPLATES")),
        overlays=given,
        tree_file=load.own_file(context, given),
        context=context,
        env=os.environ,
        flags=invocation.layer,
        cache=cache_folder("settings", os.environ),
    )


def cache_folder(what: str, env: Mapping[str, str]) -> Path | None:
    """Where work of the kind *what* is kept; nowhere for a user whose home is not there."""
    home = Path(env.get("HOME") or "/nonexistent")
    cache = Path(env.get("XDG_CACHE_HOME") or home / ".cache")
    return cache / "dynbuild" / what if cache.is_absolute() and home.is_dir() else None


def configs_of(invocation: Invocation) -> tuple[Path, ...]:
    """The settings files that ``--config`` names."""
    return tuple(
        paths.expanded(text, origin="flag --config") for text in invocation.items("config")
    )
