"""``dynbuild run``: start a container with what Dynamo needs."""

from __future__ import annotations

import dataclasses
import os
import shlex
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from dynbuild.cli import console
from dynbuild.errors import NotReady, RequestError
from dynbuild.launch import RunRequest

CONTEXT = {"allow_interspersed_args": True}

_IMAGE = "Image"
_CONTAINER = "Container"
_ACCESS = "Devices, network, files"


def run(
    command: Annotated[
        list[str] | None,
        typer.Argument(help="After --: the command inside.", show_default=False),
    ] = None,
    *,
    framework: Annotated[
        str, typer.Option(help="Names the image.", rich_help_panel=_IMAGE, metavar="NAME")
    ] = "vllm",
    target: Annotated[
        str,
        typer.Option(
            help="Names the image.", rich_help_panel=_IMAGE, metavar="STAGE", show_default="dev"
        ),
    ] = "",
    repository: Annotated[
        str, typer.Option(help="Names the image.", rich_help_panel=_IMAGE, metavar="NAME")
    ] = "dynamo",
    image: Annotated[
        str | None,
        typer.Option(help="The image itself.", rich_help_panel=_IMAGE, metavar="REF"),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the container.", rich_help_panel=_CONTAINER)
    ] = None,
    entrypoint: Annotated[
        str | None, typer.Option(help="In place of the image's.", rich_help_panel=_CONTAINER)
    ] = None,
    workdir: Annotated[
        str, typer.Option(help="Working directory inside.", rich_help_panel=_CONTAINER)
    ] = "/workspace",
    user: Annotated[
        str | None, typer.Option(help="User, or user:group.", rich_help_panel=_CONTAINER)
    ] = None,
    interactive: Annotated[
        bool, typer.Option("-it", help="Interactive, on a terminal.", rich_help_panel=_CONTAINER)
    ] = False,
    rm: Annotated[
        bool, typer.Option("--rm/--no-rm", help="Remove it at its end.", rich_help_panel=_CONTAINER)
    ] = True,
    privileged: Annotated[
        bool,
        typer.Option(
            "--privileged/--no-privileged", help="All privileges.", rich_help_panel=_CONTAINER
        ),
    ] = False,
    env: Annotated[
        list[str] | None,
        typer.Option(
            "-e", "--env", help="NAME=VALUE, or NAME; repeatable.", rich_help_panel=_CONTAINER
        ),
    ] = None,
    gpus: Annotated[
        str, typer.Option(help="GPUs, or none.", rich_help_panel=_ACCESS, metavar="SPEC")
    ] = "all",
    runtime: Annotated[
        str, typer.Option(help="Container runtime, or none.", rich_help_panel=_ACCESS)
    ] = "nvidia",
    network: Annotated[
        str,
        typer.Option(help="host, bridge, none, container:NAME, a name.", rich_help_panel=_ACCESS),
    ] = "host",
    port: Annotated[
        list[str] | None,
        typer.Option("-p", "--port", help="HOST:CONTAINER; repeatable.", rich_help_panel=_ACCESS),
    ] = None,
    volume: Annotated[
        list[str] | None,
        typer.Option(
            "-v", "--volume", help="SOURCE:TARGET[:ro]; repeatable.", rich_help_panel=_ACCESS
        ),
    ] = None,
    mount_workspace: Annotated[
        bool,
        typer.Option(
            "--mount-workspace", help="Mount --context, /tmp and /mnt.", rich_help_panel=_ACCESS
        ),
    ] = False,
    context: Annotated[
        Path, typer.Option(help="The tree to mount.", rich_help_panel=_ACCESS)
    ] = Path(),
    hf_home: Annotated[
        str | None,
        typer.Option(
            "--hf-home",
            "--hf-cache",
            help="Hugging Face cache, or none.",
            rich_help_panel=_ACCESS,
            show_default="$HF_HOME",
        ),
    ] = None,
    use_nixl_gds: Annotated[
        bool, typer.Option("--use-nixl-gds", help="GPUDirect Storage.", rich_help_panel=_ACCESS)
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the command and do nothing.")
    ] = False,
    format: Annotated[
        Literal["line", "json"], typer.Option("--format", help="Of --dry-run.")
    ] = "line",
) -> None:
    """Run a container.

    [bold]Examples[/bold]

      dynbuild run --framework vllm --target runtime -it

      dynbuild run --framework none --target runtime --gpus none -- python -m dynamo.frontend

      dynbuild run --mount-workspace --hf-home ~/.cache/huggingface --dry-run
    """
    from dynbuild import launch, names

    _check_command(command or [])
    if image is not None:
        names.check_image(image, origin="flag --image")
    tree = str(context.expanduser().resolve()) if mount_workspace else None
    request = RunRequest(
        image=image or launch.default_image(repository, framework, target),
        command=tuple(command or ()),
        gpus=gpus,
        runtime=runtime,
        network=network,
        interactive=interactive,
        rm=rm,
        privileged=privileged,
        env=tuple(env or ()),
        volumes=tuple(volume or ()),
        ports=tuple(port or ()),
        workdir=workdir,
        user=user,
        name=name,
        entrypoint=entrypoint,
        workspace=tree,
        hf_home=_hf_home(hf_home, tree),
        hf_token="HF_TOKEN" in os.environ,
        nixl_gds=use_nixl_gds,
    )
    if image is None:
        _check_framework(framework)
    if dry_run:
        argv = launch.argv(request)
        if format == "json":
            console.out_json({"argv": argv})
        else:
            console.out(shlex.join(argv))
        return
    _start(request)


def _check_command(command: list[str]) -> None:
    """Everything before ``--`` must be a flag: a stray word is a mistake, not a command."""
    if command and sys.argv[-len(command) - 1 :] != ["--", *command]:
        raise RequestError(
            f"'{command[0]}' is no flag of dynbuild run",
            hint="the command inside the container comes after --",
        )


def _check_framework(framework: str) -> None:
    from dynbuild import names, settings

    catalog = settings.load(
        templates=settings.templates_dir(), overlays=(), env={}, flags={}
    ).catalog
    if framework.lower() not in catalog.frameworks:
        raise RequestError(
            f"there is no framework '{framework}'",
            hint=names.did_you_mean(framework, catalog.frameworks),
        )


def _hf_home(flag: str | None, workspace: str | None) -> str | None:
    """Flag, then HF_HOME, then a folder of the mounted workspace; ``none`` clears it."""
    found = flag or os.environ.get("HF_HOME") or ""
    if found.lower() == "none":
        return None
    if not found:
        return f"{workspace}/container/.cache/huggingface" if workspace else None
    return str(Path(found).expanduser().absolute())


def _start(request: RunRequest) -> None:
    from dynbuild import launch, proc
    from dynbuild.engine import client, limits

    engine = client.find(os.environ)
    environment = engine.env(os.environ)
    found = proc.run(
        [engine.docker, "image", "inspect", "--format", "{{.Id}}", request.image],
        env=environment,
        check=False,
    )
    if found.returncode != 0:
        raise NotReady(
            f"there is no image {request.image} on this engine",
            hint="build it: dynbuild build --framework … --target …; "
            "or name one: dynbuild run --image REF",
        )
    if request.hf_home:
        Path(request.hf_home).mkdir(parents=True, exist_ok=True)
    hard = limits.of_engine(engine.host, environment)
    ulimits, said = launch.fit_ulimits(request.ulimits, hard)
    for sentence in said:
        console.warn(sentence)
    argv = launch.argv(dataclasses.replace(request, ulimits=ulimits))
    proc.replace([engine.docker, *argv[1:]], env=environment)
