"""``dynbuild devcontainer``: an editor's description of the local-dev image."""

from __future__ import annotations

import dataclasses
import difflib
import re
from pathlib import Path
from typing import TYPE_CHECKING

from dynbuild import masking, paths
from dynbuild.cli import console, trust
from dynbuild.cli.parameters import Invocation, with_options
from dynbuild.cli.request import context_of, settings_of
from dynbuild.errors import NotReady, RequestError
from dynbuild.settings import run_options
from dynbuild.settings.option import Option, by_name

if TYPE_CHECKING:
    from dynbuild.run.image import ImageKind
    from dynbuild.run.options import RunOptions
    from dynbuild.run.request import RunRequest
    from dynbuild.settings.load import Settings

_TARGET = "local-dev"
_WORKSPACE = "/workspace"
_FOR_RUN = ("user", "name", "entrypoint", "workdir", "numa", "restart")
"""Options of ``[run]`` and its profiles that have no meaning here: the image has its user,
the tool starts the container, and the folder is where the tree is mounted."""

_SHOWN = 20
"""Lines of a difference that a message shows."""

_REFERENCE = re.compile(r'^.\s*"\w+": "\$\{localEnv:\w+\}",?$')

_OUTPUT = "Output"
_OF_RUN = by_name(run_options.RUN)
_SHARED = ("env", "volume", "hf_home", "gpus", "runtime", "network", "port", "shm_size")

OPTIONS = (
    *(_OF_RUN[name] for name in ("framework", "repository", "image", "profile", "config")),
    *(dataclasses.replace(_OF_RUN[name], panel=run_options.CONTAINER) for name in _SHARED),
    dataclasses.replace(
        run_options.CONTEXT, help="The tree that is opened (default .).", panel=_OUTPUT
    ),
    Option(
        name="output",
        flags=("-o", "--output"),
        help="Another file; - prints it.",
        panel=_OUTPUT,
        metavar="PATH",
        source="file",
    ),
    Option(
        name="force",
        kind="switch",
        switches=(("--force", True),),
        help="Write over a file that differs.",
        panel=_OUTPUT,
    ),
)


@with_options(OPTIONS)
def devcontainer(invocation: Invocation) -> None:
    """Write .devcontainer/FRAMEWORK/devcontainer.json.

    [bold]Examples[/bold]

      dynbuild devcontainer --framework vllm

      dynbuild devcontainer --framework none --gpus none -e HF_TOKEN --output -
    """
    from dynbuild.run import options
    from dynbuild.run.export import devcontainer as exported
    from dynbuild.run.image import check_framework, kind_of
    from dynbuild.settings.trust import of_run

    tree = context_of(invocation)
    settings = settings_of(invocation, tree)
    resolved = options.resolve(settings)
    for note in trust.notes(settings, of_run(settings, resolved.settings), "run"):
        console.warn(note)
    kind = kind_of(settings, target=_TARGET)
    # The framework names a folder too, so it has to be one that there is.
    check_framework(kind, settings, target=_TARGET)
    request = _request(resolved, _image(settings, kind, resolved, invocation))
    _say_what_is_odd(request, resolved)
    has_script = (tree / exported.POST_CREATE).is_file()
    if not has_script:
        console.say(f"{tree} has no {exported.POST_CREATE}: nothing is run in a new container")
    text = exported.render(
        request, framework=kind.framework, post_create=has_script, made_by="dynbuild devcontainer"
    )
    try:
        data = text.encode()
    except UnicodeEncodeError:
        raise RequestError("the request holds bytes that are no UTF-8 text") from None
    output = invocation.text("output")
    if output == "-":
        console.out_data(text)
        return
    own = tree / ".devcontainer" / kind.framework / "devcontainer.json"
    if output is None and paths.leads_out(own, tree):
        raise RequestError(
            f"{own} is outside of the tree, where a link leads",
            hint="remove the link, or name the file that you mean with --output",
        )
    path = own if output is None else paths.expanded(output, origin="flag --output")
    _write(path, data, force=invocation.switch("force"))


def _image(
    settings: Settings, kind: ImageKind, resolved: RunOptions, invocation: Invocation
) -> str:
    """The image of the flag or the profile, else the name that every build of local-dev gets.

    One of ``[run]`` itself is for runs.
    """
    from dynbuild import names

    if (flag := invocation.text("image")) is not None:
        return flag
    if "image" in resolved.profile:
        return str(resolved.profile["image"].value)
    names.check_repository(kind.repository, origin=str(settings.origin("request", "repository")))
    return kind.conventional_name


def _request(resolved: RunOptions, image: str) -> RunRequest:
    """The options that fit; no token of the host comes with the workspace."""
    from dynbuild.run import options

    request = options.request(resolved, image=image, hf_home=options.hf_home(resolved, {}, None))
    return dataclasses.replace(
        request,
        rm=False,
        restart="",
        interactive=False,
        tty=False,
        detach=False,
        user=None,
        name=None,
        entrypoint=None,
        workdir=_WORKSPACE,
    )


def _say_what_is_odd(request: RunRequest, resolved: RunOptions) -> None:
    from dynbuild.run import preflight
    from dynbuild.run.export import common
    from dynbuild.run.facts import Host

    said = {name: resolved.optional(name) for name in _FOR_RUN}
    if left := [name for name, value in said.items() if value not in (None, "", _WORKSPACE)]:
        console.say(f"left out, as a dev container has its own: {', '.join(left)}")
    for note in common.secret_notes(request):
        console.warn(note)
    # Of the machine nothing is asked: the file may be for another one.
    for finding in preflight.check(request, Host()):
        if finding.name != "secret-literal":
            console.warn(f"{finding.message} ({finding.remedy})")
    if request.hf_home and not Path(request.hf_home).is_dir():
        console.warn(f"{request.hf_home} does not exist here, and docker mounts only what does")


def _write(path: Path, data: bytes, *, force: bool) -> None:
    """Write the file, unless it is there already, as it is or another.

    Raises:
        RequestError: Another one is there, and *force* is not set.
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
