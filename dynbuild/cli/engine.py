"""``dynbuild engine``: the private Docker engine."""

from __future__ import annotations

import dataclasses
import os
import shlex
from collections.abc import Sequence
from contextlib import suppress
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dynbuild import paths, units
from dynbuild.cli import console, prompt
from dynbuild.errors import NotReady, RequestError

if TYPE_CHECKING:
    from dynbuild.engine.cuda_base import Toolkit
    from dynbuild.engine.model import Engine

app = typer.Typer(
    add_completion=False,
    help="A private Docker engine, for machines that have none.\n\n"
    "It needs root on Debian, Ubuntu or a relative.  Nothing is installed but runc and"
    " iptables: engine, images and cache live below $DYNBUILD_HOME (by default"
    " ~/.local/share/dynbuild).  An engine that the machine has is left alone, and is"
    " preferred wherever it answers.",
    no_args_is_help=True,
)


class Format(StrEnum):
    """How results are printed."""

    TABLE = "table"
    JSON = "json"


class Arch(StrEnum):
    """Architectures that images are made for."""

    AMD64 = "amd64"
    ARM64 = "arm64"


@app.command()
def up(
    if_needed: Annotated[
        bool, typer.Option("--if-needed", help="Only where no other engine answers.")
    ] = False,
) -> None:
    """Start the engine, downloading it the first time, and print its address.

    Starting one that runs changes nothing.

    Example: dynbuild engine up && dynbuild build
    """
    from dynbuild.engine import client, private

    if if_needed:
        with suppress(NotReady):
            found = client.find(os.environ)
            if found.kind == "system":
                console.say(f"this machine's engine answers: Docker {found.version}")
                return
    engine = private.up(os.environ, console.say)
    console.say(f"the private engine is up: Docker {engine.version}, buildx {engine.buildx}")
    console.out_data(f"{engine.host}\n")


@app.command()
def down(
    if_unused: Annotated[
        bool,
        typer.Option("--if-unused", help="Only if no other installation of dynbuild uses it."),
    ] = False,
) -> None:
    """End the engine with its containers; images and build cache stay.

    Example: dynbuild engine down
    """
    from dynbuild.engine import private

    if if_unused and (others := private.leave(os.environ)):
        console.say(f"the private engine stays up: {' and '.join(others)} uses it")
        return
    ended = private.down(os.environ)
    console.say("the private engine is down" if ended else "the private engine was not running")


@app.command()
def status(
    format: Annotated[
        Format, typer.Option("--format", help="A table for people, or JSON for programs.")
    ] = Format.TABLE,
) -> None:
    """Show whether the engine runs, where it lives and how much space it takes.

    Example: dynbuild engine status --format json
    """
    from dynbuild.engine import private

    found = private.status(os.environ)
    if format is Format.JSON:
        console.out_json({**dataclasses.asdict(found), "home": str(found.home)})
        return
    state = "running" if found.running else "broken" if found.trouble else "down"
    rows = [
        ("state", f"{state}: {found.trouble}" if found.trouble else state),
        ("home", str(found.home)),
        ("data", units.format_size(found.data_bytes)),
    ]
    if found.pid is not None:
        rows.append(("pid", str(found.pid)))
    if found.uptime is not None:
        rows.append(("uptime", units.format_time(found.uptime)))
    if found.running:
        rows += [
            ("host", str(found.host)),
            ("engine", str(found.version)),
            ("buildx", str(found.buildx)),
            ("network", "the host's only" if found.network == "host" else "bridge"),
        ]
    if found.trouble:
        rows.insert(1, ("remedy", "run `dynbuild engine up`"))
    for name, value in rows:
        console.out(f"{name:<8}  {value}")


@app.command()
def env() -> None:
    """Print the variables that lead docker to the engine, for the shell.

    Example: eval "$(dynbuild engine env)" && docker ps
    """
    from dynbuild.engine import private

    before = dict(os.environ)
    after = private.running(before).env(before)
    for name in sorted(before.keys() - after.keys()):
        console.out_data(f"unset {name}\n")
    for name in ("DOCKER_HOST", "DOCKER_CONFIG", "PATH"):
        console.out_data(f"export {name}={shlex.quote(after[name])}\n")


@app.command()
def prune(
    images: Annotated[bool, typer.Option("--images", help="Images only.")] = False,
    cache: Annotated[bool, typer.Option("--cache", help="Build cache only.")] = False,
    older_than: Annotated[
        str | None,
        typer.Option(
            "--older-than",
            help="Only what was made (images) or used last (cache) longer ago: 12h, 7d, 4w.",
            metavar="TIME",
            show_default=False,
        ),
    ] = None,
    *,
    dry_run: prompt.DryRun = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask; nothing is asked in a script.")
    ] = False,
    everything: Annotated[
        bool,
        typer.Option("--all", help="Of an engine that is down: all data and the programs too."),
    ] = False,
) -> None:
    """Remove unused images and build cache, after asking on a terminal.

    Examples: dynbuild engine prune --dry-run; dynbuild engine prune --cache --older-than 7d;
    dynbuild engine down && dynbuild engine prune --all
    """
    from dynbuild.engine import private

    answered = yes or not prompt.is_interactive()
    if everything:
        if images or cache or older_than:
            raise RequestError(
                "--all removes everything: it goes with --dry-run and --yes only",
                origin="flag --all",
            )
        home = paths.home(os.environ)
        if dry_run:
            size = units.format_size(private.status(os.environ).data_bytes)
            console.say(f"{size} of data below {home} would go, and the programs")
            return
        prompt.confirm(
            f"Remove all data and programs of the private engine below {home}?", yes=answered
        )
        console.say(f"{units.format_size(private.remove(os.environ))} freed")
        return
    older = prompt.age(older_than)
    chosen = private.Selection(images=images or not cache, cache=cache or not images, older=older)
    if dry_run or not answered:
        found = private.unused(os.environ, chosen)
        rows = [(one.kind, units.format_size(one.bytes), one.name) for one in found]
        console.out_table(("what", "size", "name"), rows)
        if not found or dry_run:
            total = sum(one.bytes for one in found)
            console.say(f"{len(found)} would go, about {units.format_size(total)}")
            return
    prompt.confirm("Remove that?", yes=answered)
    console.say(f"{units.format_size(private.prune(os.environ, chosen))} freed")


@app.command()
def base(
    suite: Annotated[
        str, typer.Option(help="Debian suite: a codename, or stable, testing.")
    ] = "stable",
    arch: Annotated[
        list[Arch] | None,
        typer.Option(
            help="Architecture; the machine's own by default. Given twice, one image holds both.",
            show_default=False,
        ),
    ] = None,
    push: Annotated[
        str | None,
        typer.Option(
            help="Push it there instead: REGISTRY/NAME:TAG.",
            metavar="REFERENCE",
            show_default=False,
        ),
    ] = None,
    cuda: Annotated[
        str | None,
        typer.Option(
            help="With that CUDA toolkit on it: 13.0 from the package index, 12.4 from Debian.",
            metavar="VERSION",
            show_default=False,
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Make it even if it is there.")] = False,
) -> None:
    """Make a small Debian base image from this machine's mirror, and print its name.

    It goes to whichever engine dynbuild uses, the system's or the private one.

    For an architecture that the machine cannot run, an emulator is registered: see emulate.

    With --cuda it has a toolkit to compile with and a stub in place of the driver, so that
    components are built without NVIDIA's registry and without a GPU.

    Examples: dynbuild engine base --suite trixie; dynbuild engine base --suite trixie --cuda 13.0;
    dynbuild engine base --arch amd64 --arch arm64
    """
    from dynbuild.engine import private
    from dynbuild.engine.client import find

    toolkit = _toolkit(cuda) if cuda is not None else None
    engine = find(os.environ)
    if engine.kind == "private":
        private.join(os.environ)
    name = _made_base(engine, arch or [], suite=suite, push=push, toolkit=toolkit, force=force)
    console.out_data(f"{name}\n")


def _made_base(
    engine: Engine,
    archs: Sequence[Arch],
    *,
    suite: str,
    push: str | None,
    toolkit: Toolkit | None,
    force: bool,
) -> str:
    """The name of the base image, which is there then: for one architecture, or for several."""
    from dynbuild.engine.base import make_base, make_joined_base

    if push is None and len(set(archs)) < 2:
        return make_base(
            engine,
            os.environ,
            suite=suite,
            arch=archs[0] if archs else None,
            toolkit=toolkit,
            force=force,
            say=console.say,
        )
    return make_joined_base(
        engine,
        os.environ,
        archs=archs,
        suite=suite,
        push=push,
        toolkit=toolkit,
        force=force,
        say=console.say,
    )


def _toolkit(version: str) -> Toolkit:
    """The toolkit of *version*, reached as this machine is set up to reach the index."""
    from dynbuild.build import facts
    from dynbuild.engine.cuda_base import Toolkit

    machine = facts.read(os.environ)
    return Toolkit(version=version, ca_bundle=machine.ca_bundle, index_url=machine.index_url)


@app.command()
def emulate(
    arch: Annotated[
        Literal["amd64", "arm64"] | None,
        typer.Argument(help="The architecture; the other one by default.", show_default=False),
    ] = None,
    remove: Annotated[
        bool, typer.Option("--remove", help="Take away what this command registered before.")
    ] = False,
) -> None:
    """Make this machine run, and so build, programs of another architecture.

    QEMU is downloaded and registered with the kernel until the next start of the machine.
    Nothing changes where anybody has registered an emulator.  It needs root.

    Examples: dynbuild engine emulate arm64; dynbuild engine emulate --remove
    """
    from dynbuild.engine import emulation

    if remove:
        gone = emulation.remove(os.environ, arch)
        said = " and ".join(f"the emulator for {one}" for one in gone)
        console.say(f"{said} is away" if gone else "dynbuild has registered no emulator")
        return
    wanted = arch or emulation.other()
    new = emulation.ensure(wanted, os.environ, console.say)
    console.say(f"programs for linux/{wanted} run here {'now' if new else 'already'}")
