"""The commands: their names, and how each is loaded when it is called.

The help of the whole program is read off a table, so that it imports no command.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer
from typer import _completion_classes
from typer._click.shell_completion import CompletionItem
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from dynbuild import __version__
from dynbuild.cli import complete, console, usage

if TYPE_CHECKING:
    from typer._click import Context


class Entry(NamedTuple):
    """A command: its *help* is the first paragraph of what *attribute* of *module* says.

    One that *lasts* collects garbage; the others end sooner than that pays, or begin to collect
    it when their planning is over.
    """

    help: str
    module: str
    attribute: str
    lasts: bool = False


COMMANDS = {
    "build": Entry("Build an image.", "build", "build"),
    "matrix": Entry(
        "Build many images: a cell that fails costs itself alone, and no step runs twice.",
        "matrix",
        "matrix",
    ),
    "promote": Entry(
        "Give the images of a run another tag, by their digests: nothing is built or pulled.",
        "promote",
        "promote",
    ),
    "plan": Entry(
        "Show what would be built, with every value and where it comes from.", "plan", "plan"
    ),
    "list": Entry("List the cells there are: the images that can be built.", "list", "cells"),
    "line": Entry(
        "Release lines: which there are, what differs from a tree, a new one.", "line", "app"
    ),
    "render": Entry("Print the Dockerfile, or write it.", "render", "render"),
    "run": Entry("Run a container.", "run", "run"),
    "report": Entry(
        "Show a build that was: its timeline, what its time went to, its log.", "report", "report"
    ),
    "attach": Entry(
        "Show a build or a matrix that runs in another terminal.", "attach", "attach", lasts=True
    ),
    "history": Entry(
        "The builds that were: what each took, where it is worse, and removing their records.",
        "history",
        "app",
    ),
    "why": Entry("Show why steps of a build ran and did not come from the cache.", "why", "why"),
    "df": Entry(
        "Show what dynbuild takes on the disk: images, build cache, records.", "disk", "df"
    ),
    "clean": Entry("Remove images, build cache and records, after asking.", "disk", "clean"),
    "devcontainer": Entry(
        "Write .devcontainer/FRAMEWORK/devcontainer.json.", "devcontainer", "devcontainer"
    ),
    "doctor": Entry(
        "Examine this machine: is it ready to build and run, and what would make it so?",
        "doctor",
        "doctor",
    ),
    "env": Entry(
        "Print what a bug report needs: versions, the engine, git, and all variables.",
        "doctor",
        "env",
    ),
    "engine": Entry(
        "A private Docker engine, for machines that have none.", "engine", "app", lasts=True
    ),
    "sccache": Entry(
        "The compile cache in S3: check it, count it, delete what is old.",
        "sccache",
        "app",
        lasts=True,
    ),
}


class _Lazy(Mapping[str, TyperCommand | TyperGroup]):
    """Commands by name, each made when it is looked up."""

    def __init__(self) -> None:
        self._made: dict[str, TyperCommand | TyperGroup] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)

    def __getitem__(self, name: str) -> TyperCommand | TyperGroup:
        if name not in self._made:
            self._made[name] = _load(name, COMMANDS[name])
        return self._made[name]


def _load(name: str, entry: Entry) -> TyperCommand | TyperGroup:
    if entry.lasts:
        gc.enable()
    target = getattr(importlib.import_module(f"dynbuild.cli.{entry.module}"), entry.attribute)
    if isinstance(target, typer.Typer):
        target.info.name = name
        target.info.cls = usage.Group
    else:
        function, target = target, typer.Typer(add_completion=False)
        target.command(name)(function)
    for info in target.registered_commands:
        info.cls = usage.Command
    command = get_command(target)
    assert isinstance(command, (TyperCommand, TyperGroup))
    for each in (*getattr(command, "commands", {}).values(), command):
        if isinstance(each, TyperCommand):
            _with_verbosity(each)
    return command


class Root(usage.Group):
    """The whole program; no command is loaded but the one that is called."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.commands = _Lazy()  # type: ignore[assignment]

    def list_commands(self, ctx: Context) -> list[str]:
        """The names, in the order of the table."""
        del ctx
        return list(COMMANDS)

    def rows(self, ctx: Context) -> tuple[tuple[str, str], ...]:
        """The name and the help of each command, from the table."""
        del ctx
        return tuple((name, entry.help) for name, entry in COMMANDS.items())

    def shell_complete(self, ctx: Context, incomplete: str) -> list[CompletionItem]:
        """The names that begin with *incomplete*, or the options."""
        if incomplete.startswith("-"):
            return super(TyperGroup, self).shell_complete(ctx, incomplete)
        return [
            CompletionItem(name, help=entry.help)
            for name, entry in COMMANDS.items()
            if name.startswith(incomplete)
        ]


app = typer.Typer(
    name="dynbuild",
    cls=Root,
    invoke_without_command=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Plan, render, build and run the container images of NVIDIA Dynamo.",
    epilog="Exit status: 0 done, 1 the build or run failed, 2 the request is wrong, "
    "3 the machine is not ready, 70 a bug of dynbuild, 130 interrupted.",
)


def _version(wanted: bool) -> None:
    if wanted:
        console.out(f"dynbuild {__version__}")
        raise typer.Exit


def _louder(count: int) -> None:
    if count:
        console.set_verbosity(max(console.verbosity(), count))


def _quieter(given: bool) -> None:
    if given:
        console.set_verbosity(-1)


_Verbose = Annotated[
    int,
    typer.Option(
        *("-v", "--verbose"),
        count=True,
        callback=_louder,
        show_default=False,
        help="Show more; -vv everything.",
    ),
]
_Quiet = Annotated[
    bool,
    typer.Option(
        *("-q", "--quiet"),
        callback=_quieter,
        show_default=False,
        help="Show only errors and results.",
    ),
]


@app.callback()
def root(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_version,
            is_eager=True,
            show_default=False,
            help="Show the version.",
        ),
    ] = False,
    verbose: _Verbose = 0,
    quiet: _Quiet = False,
) -> None:
    """Options that come before every command, or after it."""
    del version, verbose, quiet
    if context.invoked_subcommand is None:
        console.error(context.get_help().rstrip("\n"))
        raise typer.Exit(2)


def _with_verbosity(command: TyperCommand) -> None:
    """Let *command* take ``-v`` and ``-q`` too, where the letters are not its own."""

    def only(verbose: _Verbose = 0, quiet: _Quiet = False) -> None:
        """Carries the two options."""

    carrier = typer.Typer(add_completion=False)
    carrier.command(cls=usage.Command)(only)
    own = {spelling for param in command.params for spelling in param.opts}
    for param in get_command(carrier).params:
        param.opts = [spelling for spelling in param.opts if spelling not in own]
        param.expose_value = False
        if param.opts:
            command.params.append(param)


def _no_plugins() -> None:
    """Keep pydantic from looking for plugins, as PYDANTIC_DISABLE_PLUGINS does, but earlier.

    The look alone imports a tenth of what a command imports, and opens the metadata of every
    package that is installed.
    """
    loader = ModuleType("pydantic.plugin._loader")
    loader.get_plugins = tuple  # type: ignore[attr-defined]
    sys.modules.setdefault(loader.__name__, loader)


def run(words: list[str]) -> int:
    """Run the command that *words* say; its exit status."""
    _no_plugins()
    level = os.environ.get("DYNBUILD_LOG", "").strip().lower()
    console.set_verbosity({"quiet": -1, "info": 1, "debug": 2, "1": 1, "2": 2}.get(level, 0))
    console.set_json(on=False)
    if complete.VARIABLE in os.environ:
        # Help for a shell has no markup; to remove it, the library would import rich.
        _completion_classes._sanitize_help_text = str  # type: ignore[assignment]
    status = app(args=words, prog_name="dynbuild", standalone_mode=False)
    return status if isinstance(status, int) else 0
