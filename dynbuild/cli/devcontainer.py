"""``dynbuild devcontainer``: an editor's description of the local-dev image."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dynbuild import masking
from dynbuild.cli import console, run
from dynbuild.errors import NotReady, RequestError
from dynbuild.run.launch import RunRequest

if TYPE_CHECKING:
    from dynbuild.settings.load import Settings

_IMAGE = "Image"
_CONTAINER = "Container"
_OUTPUT = "Output"

_TARGET = "local-dev"
_FOR_RUN = ("user", "name", "entrypoint", "workdir", "numa")
"""Options of ``[run]`` and its profiles that have no meaning here: the image has its user,
the tool starts the container, and the folder is where the tree is mounted."""

_SHOWN = 20
"""Lines of a difference that a message shows."""

_REFERENCE = re.compile(r'^.\s*"\w+": "\$\{localEnv:\w+\}",?$')


def _option(*spelling: str, help: str, panel: str, metavar: str) -> Any:
    return typer.Option(
        *spelling, help=help, rich_help_panel=panel, metavar=metavar, show_default=False
    )


def devcontainer(
    *,
    framework: Annotated[
        str | None, _option("--framework", help="Names the image.", panel=_IMAGE, metavar="NAME")
    ] = None,
    repository: Annotated[
        str | None, _option("--repository", help="Names the image.", panel=_IMAGE, metavar="NAME")
    ] = None,
    image: Annotated[
        str | None, _option("--image", help="The image itself.", panel=_IMAGE, metavar="REF")
    ] = None,
    profile: Annotated[
        str | None,
        _option("--profile", help="Named options of run.", panel=_IMAGE, metavar="NAME"),
    ] = None,
    config: Annotated[
        list[Path] | None,
        _option("--config", help="Settings file; repeatable.", panel=_IMAGE, metavar="FILE"),
    ] = None,
    env: Annotated[
        list[str] | None,
        _option(
            "-e",
            "--env",
            help="NAME=VALUE, or NAME of the host; repeatable.",
            panel=_CONTAINER,
            metavar="VAR",
        ),
    ] = None,
    volume: Annotated[
        list[str] | None,
        _option(
            "-v",
            "--volume",
            help="SOURCE:TARGET[:ro]; repeatable.",
            panel=_CONTAINER,
            metavar="MOUNT",
        ),
    ] = None,
    hf_home: Annotated[
        str | None,
        _option(
            "--hf-home", "--hf-cache", help="Hugging Face cache.", panel=_CONTAINER, metavar="DIR"
        ),
    ] = None,
    gpus: Annotated[
        str | None, _option("--gpus", help="GPUs, or none.", panel=_CONTAINER, metavar="SPEC")
    ] = None,
    runtime: Annotated[
        str | None,
        _option("--runtime", help="Container runtime, or none.", panel=_CONTAINER, metavar="NAME"),
    ] = None,
    network: Annotated[
        str | None,
        _option("--network", help="host, bridge, a name.", panel=_CONTAINER, metavar="MODE"),
    ] = None,
    port: Annotated[
        list[str] | None,
        _option(
            "-p", "--port", help="HOST:CONTAINER; repeatable.", panel=_CONTAINER, metavar="PORTS"
        ),
    ] = None,
    shm_size: Annotated[
        str | None,
        _option("--shm-size", help="Size of /dev/shm.", panel=_CONTAINER, metavar="SIZE"),
    ] = None,
    context: Annotated[
        Path,
        typer.Option("--context", help="The tree that is opened.", rich_help_panel=_OUTPUT),
    ] = Path(),
    output: Annotated[
        str | None,
        _option("-o", "--output", help="Another file; - prints it.", panel=_OUTPUT, metavar="PATH"),
    ] = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Write over a file that differs.", rich_help_panel=_OUTPUT),
    ] = False,
) -> None:
    """Write .devcontainer/FRAMEWORK/devcontainer.json.

    [bold]Examples[/bold]

      dynbuild devcontainer --framework vllm

      dynbuild devcontainer --framework none --gpus none -e HF_TOKEN --output -
    """
    given = {key: value for key, value in locals().items() if value is not None}
    from dynbuild.run.export import devcontainer as exported

    tree = context.expanduser().resolve()
    settings = run.load_settings(tree, config or [])
    options = run.options_of(settings, profile, given)
    chosen = _framework(settings, framework)
    if image is None and profile is not None:
        image = settings.catalog.run.profiles[profile].model_dump()["image"]
    request = _request(options, _image(settings, chosen, repository, image))
    _say_what_is_odd(request, options)
    has_script = (tree / exported.POST_CREATE).is_file()
    if not has_script:
        console.say(f"{tree} has no {exported.POST_CREATE}: nothing is run in a new container")
    text = exported.render(
        request, framework=chosen, post_create=has_script, made_by="dynbuild devcontainer"
    )
    try:
        data = text.encode()
    except UnicodeEncodeError:
        raise RequestError("the request holds bytes that are no UTF-8 text") from None
    if output == "-":
        console.out(text.rstrip("\n"))
        return
    own = tree / ".devcontainer" / chosen / "devcontainer.json"
    _write(own if output is None else Path(output).expanduser(), data, force=force)


def _framework(settings: Settings, given: str | None) -> str:
    """The framework, which names a folder too, so it is one that there is."""
    from dynbuild import names

    chosen = (given or settings.catalog.request.framework).lower()
    known = settings.catalog.frameworks
    with_target = [name for name, entry in known.items() if _TARGET in entry.targets]
    if chosen not in with_target:
        raise RequestError(
            f"there is no framework '{chosen}'"
            if chosen not in known
            else f"{chosen} has no target {_TARGET}",
            origin="flag --framework" if given else str(settings.origin("request", "framework")),
            hint=names.did_you_mean(chosen, with_target),
        )
    return chosen


def _image(settings: Settings, framework: str, repository: str | None, image: str | None) -> str:
    """The image asked for, else the name that every build of local-dev gets."""
    from dynbuild import names
    from dynbuild.run import launch

    if image is not None:
        return names.check_image(image, origin="flag --image")
    origin = settings.origin("request", "repository")
    chosen = repository or settings.catalog.request.repository
    names.check_repository(chosen, origin="flag --repository" if repository else str(origin))
    return launch.default_image(chosen, framework, _TARGET)


def _request(options: dict[str, Any], image: str) -> RunRequest:
    """The options that fit; no token of the host comes with the workspace."""
    hf_home = options.get("hf_home") or "none"
    return RunRequest(
        image=image,
        gpus=options["gpus"],
        runtime=options["runtime"],
        network=options["network"],
        shm_size=options["shm_size"],
        rm=False,
        privileged=options.get("privileged", False),
        env=tuple(options.get("env", ())),
        volumes=tuple(options.get("volume", ())),
        ports=tuple(options.get("port", ())),
        hf_home=None if hf_home.lower() == "none" else str(Path(hf_home).expanduser().absolute()),
        nixl_gds=options.get("use_nixl_gds", False),
        gms=options.get("gms", False),
        ulimits=tuple(options["ulimit"]),
        ipc=options["ipc"],
        cap_add=tuple(options.get("cap_add", ())),
        memory=options.get("memory", ""),
        cpus=options.get("cpus", ""),
    )


def _say_what_is_odd(request: RunRequest, options: dict[str, Any]) -> None:
    from dynbuild.run import preflight
    from dynbuild.run.export import common
    from dynbuild.run.export.devcontainer import WORKSPACE

    said = {name: options.get(name) for name in _FOR_RUN}
    if left := [name for name, value in said.items() if value not in (None, "", WORKSPACE)]:
        console.say(f"left out, as a dev container has its own: {', '.join(left)}")
    for note in common.secret_notes(request):
        console.warn(note)
    # Of the machine nothing is asked: the file may be for another one.
    for finding in preflight.check(request, preflight.Host()):
        if finding.name != "secret-literal":
            console.warn(f"{finding.message} ({finding.remedy})")
    if request.hf_home and not Path(request.hf_home).is_dir():
        console.warn(f"{request.hf_home} does not exist here, and docker mounts only what does")


def _write(path: Path, data: bytes, *, force: bool) -> None:
    """Write the file, unless it is there already, as it is or another.

    Raises:
        RequestError: Another one is there, and *force* is not given.
        NotReady: It cannot be read or written.
    """
    try:
        if path.exists():
            before = path.read_bytes()
            if before == data:
                console.say(f"{path} is up to date")
                return
            if not force:
                raise RequestError(
                    f"{path} is there and differs",
                    details=_differences(before, data),
                    hint="--force writes over it, --output - prints the new one",
                )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise NotReady(f"{path} cannot be written: {error.strerror}") from error
    console.say(f"wrote {path}")


def _differences(before: bytes, after: bytes) -> tuple[str, ...]:
    """The lines that would go (``-``) and come (``+``), those that look secret masked."""
    old, new = (data.decode(errors="replace").splitlines() for data in (before, after))
    lines = [
        line if _REFERENCE.search(line) else masking.scrub(line)
        for line in difflib.unified_diff(old, new, n=0, lineterm="")
        if not line.startswith(("---", "+++", "@@"))
    ]
    more = (f"and {len(lines) - _SHOWN} lines more",) if len(lines) > _SHOWN else ()
    return (*(lines[:_SHOWN] or ["only the ends of lines"]), *more)
