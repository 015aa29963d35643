"""``dynbuild run``: start a container with what Dynamo needs."""

from __future__ import annotations

import dataclasses
import os
import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from dynbuild import units
from dynbuild.cli import console
from dynbuild.errors import NotReady, RequestError
from dynbuild.run.launch import RunRequest

if TYPE_CHECKING:
    from dynbuild.engine.model import Engine
    from dynbuild.findings import Finding
    from dynbuild.run.preflight import Host
    from dynbuild.settings.load import Settings

_IMAGE = "Image"
_CONTAINER = "Container"
_ACCESS = "Devices, network, files"
_LIMITS = "Limits"
_ELSEWHERE = "Elsewhere"


def _text(*spelling: str, help: str, panel: str, metavar: str, default: str = "") -> Any:
    # The default comes from the settings; the help names the catalog's.
    text = f"{help.rstrip('.')} (default {default})." if default else help
    return typer.Option(
        *spelling, help=text, rich_help_panel=panel, metavar=metavar, show_default=False
    )


def run(
    command: Annotated[
        list[str] | None,
        typer.Argument(help="After --: the command inside.", show_default=False),
    ] = None,
    *,
    framework: Annotated[
        str | None, _text("--framework", help="Names the image.", panel=_IMAGE, metavar="NAME")
    ] = None,
    target: Annotated[
        str | None, _text("--target", help="Names the image.", panel=_IMAGE, metavar="STAGE")
    ] = None,
    repository: Annotated[
        str | None, _text("--repository", help="Names the image.", panel=_IMAGE, metavar="NAME")
    ] = None,
    image: Annotated[
        str | None, _text("--image", help="The image itself.", panel=_IMAGE, metavar="REF")
    ] = None,
    profile: Annotated[
        str | None,
        _text("--profile", help="Named options of the settings.", panel=_IMAGE, metavar="NAME"),
    ] = None,
    config: Annotated[
        list[Path] | None,
        typer.Option(
            "--config",
            help="Settings file; repeatable.",
            rich_help_panel=_IMAGE,
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str | None, _text("--name", help="Its name.", panel=_CONTAINER, metavar="NAME")
    ] = None,
    entrypoint: Annotated[
        str | None,
        _text("--entrypoint", help="In place of the image's.", panel=_CONTAINER, metavar="PROGRAM"),
    ] = None,
    workdir: Annotated[
        str | None,
        _text(
            "--workdir",
            help="Directory inside.",
            panel=_CONTAINER,
            metavar="DIR",
            default="/workspace",
        ),
    ] = None,
    user: Annotated[
        str | None, _text("--user", help="USER or UID:GID.", panel=_CONTAINER, metavar="USER")
    ] = None,
    interactive: Annotated[
        bool, typer.Option("-it", help="Interactive, on a terminal.", rich_help_panel=_CONTAINER)
    ] = False,
    stdin: Annotated[
        bool, typer.Option("-i", help="Pass standard input on.", rich_help_panel=_CONTAINER)
    ] = False,
    rm: Annotated[
        bool | None,
        typer.Option(
            "--rm/--no-rm",
            help="Remove it at its end (default).",
            rich_help_panel=_CONTAINER,
            show_default=False,
        ),
    ] = None,
    privileged: Annotated[
        bool | None,
        typer.Option(
            "--privileged/--no-privileged",
            help="All privileges.",
            rich_help_panel=_CONTAINER,
            show_default=False,
        ),
    ] = None,
    env: Annotated[
        list[str] | None,
        typer.Option(
            "-e",
            "--env",
            help="NAME=VALUE, or NAME; repeatable.",
            rich_help_panel=_CONTAINER,
            metavar="VAR",
            show_default=False,
        ),
    ] = None,
    gpus: Annotated[
        str | None,
        _text("--gpus", help="GPUs, or none.", panel=_ACCESS, metavar="SPEC", default="all"),
    ] = None,
    runtime: Annotated[
        str | None,
        _text(
            "--runtime",
            help="Container runtime, or none.",
            panel=_ACCESS,
            metavar="NAME",
            default="nvidia",
        ),
    ] = None,
    network: Annotated[
        str | None,
        _text(
            "--network",
            help="host, bridge, none, container:NAME, a name.",
            panel=_ACCESS,
            metavar="MODE",
            default="host",
        ),
    ] = None,
    port: Annotated[
        list[str] | None,
        typer.Option(
            "-p",
            "--port",
            help="HOST:CONTAINER; repeatable.",
            rich_help_panel=_ACCESS,
            metavar="PORTS",
            show_default=False,
        ),
    ] = None,
    volume: Annotated[
        list[str] | None,
        typer.Option(
            "-v",
            "--volume",
            help="SOURCE:TARGET[:ro]; repeatable.",
            rich_help_panel=_ACCESS,
            metavar="MOUNT",
            show_default=False,
        ),
    ] = None,
    mount_workspace: Annotated[
        bool | None,
        typer.Option(
            "--mount-workspace",
            help="Mount --context, /tmp and /mnt.",
            rich_help_panel=_ACCESS,
            show_default=False,
        ),
    ] = None,
    context: Annotated[
        Path, typer.Option("--context", help="The tree to mount.", rich_help_panel=_ACCESS)
    ] = Path(),
    hf_home: Annotated[
        str | None,
        _text(
            "--hf-home",
            "--hf-cache",
            help="Hugging Face cache, or none.",
            panel=_ACCESS,
            metavar="DIR",
            default="$HF_HOME",
        ),
    ] = None,
    use_nixl_gds: Annotated[
        bool | None,
        typer.Option(
            "--use-nixl-gds", help="GPUDirect Storage.", rich_help_panel=_ACCESS, show_default=False
        ),
    ] = None,
    gms: Annotated[
        bool | None,
        typer.Option(
            "--gms",
            help="Share the GPU memory service's sockets.",
            rich_help_panel=_ACCESS,
            show_default=False,
        ),
    ] = None,
    shm_size: Annotated[
        str | None,
        _text("--shm-size", help="Size of /dev/shm.", panel=_LIMITS, metavar="SIZE", default="10G"),
    ] = None,
    ulimit: Annotated[
        list[str] | None,
        typer.Option(
            "--ulimit",
            help="NAME=SOFT[:HARD] in place of a default; repeatable.",
            rich_help_panel=_LIMITS,
            metavar="LIMIT",
            show_default=False,
        ),
    ] = None,
    ipc: Annotated[
        str | None,
        _text("--ipc", help="IPC namespace.", panel=_LIMITS, metavar="MODE", default="host"),
    ] = None,
    cap_add: Annotated[
        list[str] | None,
        typer.Option(
            "--cap-add",
            help="Capability; repeatable.",
            rich_help_panel=_LIMITS,
            metavar="NAME",
            show_default=False,
        ),
    ] = None,
    memory: Annotated[
        str | None, _text("--memory", help="Bound of memory.", panel=_LIMITS, metavar="SIZE")
    ] = None,
    cpus: Annotated[
        str | None, _text("--cpus", help="Bound of processors.", panel=_LIMITS, metavar="NUMBER")
    ] = None,
    numa: Annotated[
        str | None,
        _text(
            "--numa", help="Stay on these NUMA nodes: auto, 0, 0-1.", panel=_LIMITS, metavar="NODES"
        ),
    ] = None,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Do not start where the preflight warns."),
    ] = False,
    export: Annotated[
        str | None,
        _text(
            "--export",
            help="Print the same run as compose, k8s, devcontainer or systemd.",
            panel=_ELSEWHERE,
            metavar="FORMAT",
        ),
    ] = None,
    with_services: Annotated[
        bool,
        typer.Option("--with-services", help="With NATS and etcd.", rich_help_panel=_ELSEWHERE),
    ] = False,
    gpu_type: Annotated[
        str,
        typer.Option(
            "--gpu-type",
            help="Resource name of a GPU in Kubernetes.",
            rich_help_panel=_ELSEWHERE,
            metavar="NAME",
        ),
    ] = "nvidia.com/gpu",
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

      dynbuild run --framework vllm --target runtime --export compose --with-services

      dynbuild run --mount-workspace --hf-home ~/.cache/huggingface --dry-run
    """
    given = {key: value for key, value in locals().items() if value is not None}
    _check_command(command or [])
    tree = context.expanduser().resolve()
    settings = load_settings(tree, config or [])
    options = options_of(settings, profile, given)
    if export == "devcontainer" and target is None:
        target = "local-dev"  # the one image made for a developer's own user
    wanted = _Wanted.of(settings, framework, target, repository, check=options.get("image") is None)
    request = dataclasses.replace(
        _request(options, wanted, tree, tuple(command or ())), interactive=interactive, stdin=stdin
    )
    placed = options.get("numa", "")
    if export is None and with_services:
        raise RequestError("--with-services is for --export", hint="add --export compose or k8s")
    if placed and (export is not None or dry_run):
        console.warn(f"--numa {placed} is decided where and when the container starts")
    if export is not None:
        from dynbuild.run.export import devcontainer
        from dynbuild.run.export import export as exported

        text = exported(
            request,
            export,
            services=with_services,
            framework=wanted.framework if options.get("image") is None else "",
            gpu_type=gpu_type,
            post_create=(tree / devcontainer.POST_CREATE).is_file(),
        )
        console.out(text.rstrip("\n"))
        return
    if dry_run:
        from dynbuild.run import launch, preflight

        # Of the machine nothing is asked: what is said is wrong with the request itself.
        _say(preflight.check(request, preflight.Host()), strict=strict)
        argv = launch.argv(request)
        if format == "json":
            console.out_json({"argv": argv})
        else:
            console.out(shlex.join(argv))
        return
    if options.get("image") is None and request.image == wanted.conventional:
        console.say(f"image {request.image}: the conventional name, no build is recorded in {tree}")
    _start(request, wanted, placed=placed, strict=strict)


def _check_command(command: list[str]) -> None:
    """Everything before ``--`` must be a flag: a stray word is a mistake, not a command."""
    if command and sys.argv[-len(command) - 1 :] != ["--", *command]:
        raise RequestError(
            f"'{command[0]}' is no flag of dynbuild run",
            hint="the command inside the container comes after --",
        )


def load_settings(tree: Path, overlays: list[Path]) -> Settings:
    """The settings of a source tree with those of *overlays*, which no flag changes."""
    from dynbuild.settings import load

    return load.load(
        templates=load.templates_dir(os.environ.get("DYNBUILD_TEMPLATES")),
        overlays=load.overlays_of(tree, overlays),
        env=os.environ,
        flags={},
    )


def options_of(settings: Settings, profile: str | None, given: dict[str, Any]) -> dict[str, Any]:
    """The options of ``[run]``, then of the profile, then of the flags, by their names.

    Raises:
        RequestError: There is no such profile, or a value that docker would refuse.
    """
    from dynbuild import names
    from dynbuild.settings.models import RunProfile

    run = settings.catalog.run
    if profile is not None and profile not in run.profiles:
        raise RequestError(
            f"there is no profile '{profile}'",
            origin="flag --profile",
            hint=names.did_you_mean(profile, run.profiles)
            if run.profiles
            else f"make one: [run.profiles.{profile}] in dynbuild.toml",
        )
    chosen = run.profiles[profile] if profile is not None else RunProfile()
    found: dict[str, Any] = {}
    for field in RunProfile.model_fields:
        values = (getattr(run, field), getattr(chosen, field), given.get(field))
        said = [value for value in values if value is not None]
        if said and isinstance(said[-1], list):
            found[field] = [item for value in said for item in value]
        elif said:
            found[field] = said[-1]
    limits = {item.partition("=")[0]: item for item in found["ulimit"]}
    for item in limits.values():
        if not re.fullmatch(r"[a-z]+=-?\d+(:-?\d+)?", item):
            raise RequestError(
                f"'{item}' is no limit", hint="--ulimit takes NAME=SOFT[:HARD], as in nofile=1024"
            )
    found["ulimit"] = list(limits.values())
    for key in ("memory", "shm_size"):
        if found.get(key):
            flag = f"--{key.replace('_', '-')}"
            units.parse_size(found[key], base=units.BINARY, origin=f"{flag}, or {key} of [run]")
    if found.get("cpus") and not re.fullmatch(r"\d+(\.\d+)?", found["cpus"]):
        raise RequestError(f"'{found['cpus']}' is no number of processors", hint="--cpus 1.5")
    return found


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """What names an image that is not given by name."""

    framework: str
    target: str
    repository: str

    @property
    def conventional(self) -> str:
        """The name that the newest image of this kind is tagged with."""
        from dynbuild.run import launch

        return launch.default_image(self.repository, self.framework, self.target)

    @classmethod
    def of(
        cls,
        settings: Settings,
        framework: str | None,
        target: str | None,
        repository: str | None,
        *,
        check: bool,
    ) -> _Wanted:
        from dynbuild import names

        request = settings.catalog.request
        chosen = (framework or request.framework).lower()
        if check and chosen not in settings.catalog.frameworks:
            raise RequestError(
                f"there is no framework '{chosen}'",
                origin="flag --framework" if framework else None,
                hint=names.did_you_mean(chosen, settings.catalog.frameworks),
            )
        return cls(
            framework=chosen,
            target=target or request.target,
            repository=repository or request.repository,
        )


def _request(
    options: dict[str, Any],
    wanted: _Wanted,
    tree: Path,
    command: tuple[str, ...],
) -> RunRequest:
    from dynbuild import names

    image = options.get("image")
    if image is not None:
        names.check_image(image, origin="flag --image")
    workspace = str(tree) if options.get("mount_workspace") else None
    return RunRequest(
        image=image or _image(wanted, tree),
        command=command,
        gpus=options["gpus"],
        runtime=options["runtime"],
        network=options["network"],
        shm_size=options["shm_size"],
        rm=options["rm"],
        privileged=options.get("privileged", False),
        env=tuple(options.get("env", ())),
        volumes=tuple(options.get("volume", ())),
        ports=tuple(options.get("port", ())),
        workdir=options["workdir"],
        user=options.get("user"),
        name=options.get("name"),
        entrypoint=options.get("entrypoint"),
        workspace=workspace,
        hf_home=_hf_home(options.get("hf_home"), workspace),
        hf_token="HF_TOKEN" in os.environ,
        nixl_gds=options.get("use_nixl_gds", False),
        gms=options.get("gms", False),
        ulimits=tuple(options["ulimit"]),
        ipc=options["ipc"],
        cap_add=tuple(options.get("cap_add", ())),
        memory=options.get("memory", ""),
        cpus=options.get("cpus", ""),
    )


def _image(wanted: _Wanted, tree: Path) -> str:
    """The newest image built from this tree that fits, else the conventional name."""
    from dynbuild.build import record

    for result in record.finished(tree):
        if result.status != "done":
            continue
        for image in result.images:
            tags = [tag for tag in image.tags if tag.startswith(f"{wanted.repository}:")]
            # A pushed image is elsewhere.
            if (
                tags
                and image.output == "load"
                and image.id.startswith(f"{wanted.framework}-{wanted.target}-")
            ):
                console.say(f"image {tags[0]}: the newest build from {tree} ({result.id})")
                return tags[0]
    return wanted.conventional


def _hf_home(option: str | None, workspace: str | None) -> str | None:
    """Flag or profile, then HF_HOME, then a folder of the workspace; ``none`` clears it."""
    found = option or os.environ.get("HF_HOME") or ""
    if found.lower() == "none":
        return None
    if not found:
        return f"{workspace}/container/.cache/huggingface" if workspace else None
    return str(Path(found).expanduser().absolute())


def _start(request: RunRequest, wanted: _Wanted, *, placed: str, strict: bool) -> None:
    """Look at the machine, say what will go wrong, and become the container's client."""
    from dynbuild import proc
    from dynbuild.engine import client
    from dynbuild.run import host, launch, preflight

    engine = client.find(os.environ)
    environment = engine.env(os.environ)
    user = _image_user(request, wanted, engine, environment)
    if request.hf_home:
        _make_folder(Path(request.hf_home))
    facts = host.read(request, engine, os.environ, image_user=user)
    _say(preflight.check(request, facts), strict=strict)
    if placed:
        request = _place(request, facts, placed)
    ulimits, _ = launch.fit_ulimits(request.ulimits, facts.hard_limits)
    argv = launch.argv(dataclasses.replace(request, ulimits=ulimits))
    proc.replace([engine.docker, *argv[1:]], env=environment)


def _make_folder(path: Path) -> None:
    """Make the Hugging Face cache: docker would make it too, but for root alone."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NotReady(
            f"the Hugging Face cache {path} cannot be made: {error.strerror}",
            hint="--hf-home names another folder, --hf-home none goes without",
        ) from error


def _say(findings: tuple[Finding, ...], *, strict: bool) -> None:
    faults = [finding for finding in findings if not finding.note]
    if strict and faults:
        raise NotReady(
            "the preflight found what will go wrong",
            hint="correct it, or leave --strict out",
            details=tuple(f"{f.name}: {f.message}; {f.remedy}" for f in faults),
        )
    for finding in findings:
        text = f"{finding.message} ({finding.remedy})"
        if finding.note:
            console.say(text)
        else:
            console.warn(text)


def _place(request: RunRequest, facts: Host, wanted: str) -> RunRequest:
    """Pin processors and memory to the NUMA nodes that are *wanted*."""
    from dynbuild.run import numa

    gpus = numa.topology(facts.topo, facts.gpu_query)
    place = numa.place(request.gpus, gpus, facts.nodes, wanted)
    console.say(f"NUMA: {place.reason}")
    return dataclasses.replace(
        request, cpuset_cpus=place.cpuset_cpus, cpuset_mems=place.cpuset_mems
    )


def _image_user(
    request: RunRequest, wanted: _Wanted, engine: Engine, environment: dict[str, str]
) -> str:
    """The user that the image names; the image has to be there."""
    from dynbuild import proc

    found = proc.run(
        [engine.docker, "image", "inspect", "--format", "{{.Config.User}}", request.image],
        env=environment,
        check=False,
    )
    if found.returncode != 0:
        raise NotReady(
            f"there is no image {request.image} on this engine",
            hint=f"build it: dynbuild build --framework {wanted.framework} "
            f"--target {wanted.target}; or name another: dynbuild run --image REF",
        )
    return found.stdout.strip()
