"""The command line: wiring, and the one place that prints errors and exits."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer
from typer.exceptions import TyperException

from dynbuild import __version__
from dynbuild.errors import DynbuildError
from dynbuild.report import console

app = typer.Typer(
    name="dynbuild",
    invoke_without_command=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Plan, render, build and run the container images of NVIDIA Dynamo.",
    epilog="Exit status: 0 done, 1 the build or run failed, 2 the request is wrong, "
    "3 the machine is not ready, 130 interrupted.",
)


def _version(wanted: bool) -> None:
    if wanted:
        console.out(f"dynbuild {__version__}")
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
    verbose: Annotated[
        int, typer.Option("-v", "--verbose", count=True, help="Show more; -vv everything.")
    ] = 0,
) -> None:
    """Options that come before every command."""
    del version
    if context.invoked_subcommand is None:
        # get_help prints the help as well as returning it.
        with contextlib.redirect_stdout(sys.stderr):
            context.get_help()
        raise typer.Exit(2)
    level = max(verbose, _level(os.environ.get("DYNBUILD_LOG", "")))
    console.set_verbosity(level)


def _level(text: str) -> int:
    return {"info": 1, "debug": 2, "1": 1, "2": 2}.get(text.strip().lower(), 0)


def _commands() -> None:
    # Commands keep their slow imports to themselves, so this stays quick.
    from dynbuild.cli import build, devcontainer, doctor, engine, run, sccache

    app.command("build")(build.build)
    app.command("plan")(build.plan)
    app.command("render")(build.render)
    app.command("run", context_settings=run.CONTEXT)(run.run)
    app.command("devcontainer")(devcontainer.devcontainer)
    app.command("doctor")(doctor.doctor)
    app.command("env")(doctor.env)
    app.add_typer(engine.app, name="engine")
    app.add_typer(sccache.app, name="sccache")


_commands()


def words(argv: Sequence[str]) -> list[str]:
    """*argv* with the value that a flag has where it is written without one.

    The library has no options with a value that may be left out.
    """
    ours = argv.index("--") if "--" in argv else len(argv)
    bare = {"--use-sccache": "--use-sccache=s3"}
    return [*(bare.get(word, word) for word in argv[:ours]), *argv[ours:]]


def main() -> NoReturn:
    """Run the command line and exit with the status of what happened."""
    try:
        status = app(args=words(sys.argv[1:]), prog_name="dynbuild", standalone_mode=False)
    except DynbuildError as error:
        _show(error)
        sys.exit(error.exit_code)
    except TyperException as error:
        _show_usage(error)
        sys.exit(2)
    except (KeyboardInterrupt, typer.Abort):
        console.say("interrupted")
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output went away; nothing more can be said to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    sys.exit(status if isinstance(status, int) else 0)


def _show(error: DynbuildError) -> None:
    stream = sys.stderr
    where = f" (from {error.origin})" if error.origin else ""
    console.say(f"{console.style('error:', 'red', stream)} {error.message}{where}")
    for line in error.details:
        console.say(f"  {line}")
    if error.hint:
        console.say(f"{console.style('hint:', 'cyan', stream)} {error.hint}")


def _show_usage(error: TyperException) -> None:
    context = getattr(error, "ctx", None)
    text = error.format_message()
    console.say(f"{console.style('error:', 'red', sys.stderr)} {text}")
    if context is not None:
        console.say(
            f"{console.style('hint:', 'cyan', sys.stderr)} see '{context.command_path} --help'"
        )
