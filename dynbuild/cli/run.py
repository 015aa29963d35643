"""``dynbuild run``: start a container with what Dynamo needs."""

from __future__ import annotations

import dataclasses
import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dynbuild.cli import console, trust
from dynbuild.cli.parameters import Invocation, switch_hint, with_options
from dynbuild.cli.request import context_of, settings_of
from dynbuild.errors import NotReady, RequestError, quote
from dynbuild.settings.layers import Setting
from dynbuild.settings.run_options import RUN

if TYPE_CHECKING:
    from dynbuild.engine.model import Engine
    from dynbuild.findings import Finding
    from dynbuild.run.facts import Host
    from dynbuild.run.image import ImageKind, ImageUser
    from dynbuild.run.options import RunOptions
    from dynbuild.run.request import RunRequest
    from dynbuild.settings.load import Settings


@with_options((*RUN, trust.TRUST))
def run(
    invocation: Invocation,
    command: Annotated[
        list[str] | None,
        typer.Argument(help="After --: the command inside.", show_default=False),
    ] = None,
) -> None:
    """Run a container.

    [bold]Examples[/bold]

      dynbuild run --framework vllm --target runtime -it

      dynbuild run --framework none --target runtime --gpus none -- python -m dynamo.frontend

      dynbuild run --framework vllm --target runtime --export compose --with-services

      dynbuild run --mount-workspace --hf-home ~/.cache/huggingface --dry-run
    """
    from dynbuild.run import image, options

    _check_command(command or [])
    tree = context_of(invocation)
    invocation, image_device = _with_image_device(invocation)
    settings = settings_of(invocation, tree)
    resolved = options.resolve(settings)
    export = invocation.text("export")
    looks = export is not None or invocation.switch("dry_run")
    _check_trust(settings, resolved, looks=looks, trust_it=invocation.switch("trust"))
    # local-dev is the one image made for a developer's own user.
    own_target = export == "devcontainer" and settings.origin("request", "target").layer != "flag"
    kind = image.kind_of(settings, target="local-dev" if own_target else None)
    name = resolved.optional("image")
    _check_image(name, kind, settings, image_device)
    workspace = str(tree) if resolved.switch("mount_workspace") else None
    request = options.request(
        resolved,
        image=name or _image(kind, tree, settings),
        command=tuple(command or ()),
        workspace=workspace,
        hf_home=options.hf_home(resolved, os.environ, workspace),
        hf_token="HF_TOKEN" in os.environ,
    )
    frameworks = settings.catalog.frameworks
    placed = resolved.text("numa")
    _check_output(invocation, placed, looks=looks)
    if export is not None:
        known = dataclasses.replace(request, image_user=image.usual_user(request.image, frameworks))
        _export(known, invocation, export, tree, framework=kind.framework if name is None else "")
    elif invocation.switch("dry_run"):
        _dry_run(request, strict=invocation.switch("strict"), format=invocation.text("format"))
    else:
        if name is None and request.image == kind.conventional_name:
            said = f"image {request.image}: the conventional name, no build is recorded in {tree}"
            console.say(said)
        absent = image.missing(request.image, kind, settings, given=name is not None)
        named, strict = None if name else kind, invocation.switch("strict")
        _start(request, absent, settings, named=named, placed=placed, strict=strict)


def _check_output(invocation: Invocation, placed: str, *, looks: bool) -> None:
    """Say of words about the start, or about a file, that this call has no use for them.

    Raises:
        RequestError: There is no file that services could be in.
    """
    if invocation.text("export") is None and invocation.switch("with_services"):
        raise RequestError("--with-services is for --export", hint="add --export compose or k8s")
    if looks and placed.lower() not in ("", "none"):
        console.warn(f"--numa {placed} is decided where and when the container starts")


def _check_image(name: str | None, kind: ImageKind, settings: Settings, image_device: str) -> None:
    """Raise where the settings find no image, or find one beside the one that is named.

    Raises:
        RequestError: They do.
    """
    from dynbuild.run import image

    if name is None:
        image.check_framework(kind, settings)
        image.check_cell(kind, settings)
    elif image_device:
        raise RequestError(
            f"--device {image_device} finds an image, but {name} is named",
            hint="drop one of them; a device of this machine is /dev/X or VENDOR/CLASS=NAME",
        )


def _check_trust(settings: Settings, resolved: RunOptions, *, looks: bool, trust_it: bool) -> None:
    """What the tree's own file asks for: consented to before it is done, told where one looks.

    Raises:
        RequestError: There is no consent.
    """
    if settings.tree_file is None:
        return
    from dynbuild.settings.trust import of_run

    asked = of_run(settings, resolved.settings)
    if not looks:
        trust.check(settings, asked, trust=trust_it)
        return
    for note in trust.notes(settings, asked, "run"):
        console.warn(note)


def _check_command(command: list[str]) -> None:
    """Everything before ``--`` must be a flag: a stray word is a mistake, not a command."""
    if not command or sys.argv[-len(command) - 1 :] == ["--", *command]:
        return
    raise RequestError(
        f"{quote(command[0])} is no flag of dynbuild run",
        hint=_switch_hint(command[0]) or "the command inside the container comes after --",
    )


def _switch_hint(word: str) -> str | None:
    """What is written for a switch with a word after it, as the old launcher took it."""
    before = dict(zip(sys.argv[1:], sys.argv, strict=False)).get(word, "")
    return switch_hint(RUN, before, word)


def _with_image_device(invocation: Invocation) -> tuple[Invocation, str]:
    """What the flags say, where a ``--device`` with no slash is what the image is built for.

    Docker's own devices are paths, or names with a vendor.
    """
    given = invocation.layer.get(("run", "device"))
    words = [word for word in given.value if "/" not in word] if given else []
    if given is None or not words:
        return invocation, ""
    device = ",".join(dict.fromkeys(words))
    kept = [word for word in given.value if "/" in word]
    layer = {
        **invocation.layer,
        ("run", "device"): Setting(kept, given.origin),
        ("request", "device"): Setting(device, given.origin),
    }
    if not kept:
        del layer["run", "device"]
    return dataclasses.replace(invocation, layer=layer), device


def _image(kind: ImageKind, tree: Path, settings: Settings) -> str:
    """The newest image built from this tree that fits, else the conventional name.

    Which one it is, is said, and which of other cells would have fitted as well; and that a
    tree's own file says what it is called.
    """
    from dynbuild.build import record
    from dynbuild.run.image import by_tree, fits

    if origin := by_tree(settings):
        console.say(f"the repository {kind.repository} is the tree's own word: {origin.location}")
    fitting: dict[str, str] = {}
    newest = ""
    for result in record.finished(tree):
        if result.status != "done":
            continue
        for image in result.images:
            tags = [tag for tag in image.tags if tag.startswith(f"{kind.repository}:")]
            # A pushed image is elsewhere.
            if tags and image.output == "load" and fits(image.id, kind, settings):
                newest = newest or result.id
                fitting.setdefault(image.id, tags[0])
    if not fitting:
        return kind.conventional_name
    (name, tag), *others = fitting.items()
    console.say(f"image {tag}: the newest build from {tree} ({newest})")
    if others:
        listed = ", ".join(f"{other} ({its_tag})" for other, its_tag in others)
        console.say(
            f"it is {name}; these fit as well: {listed};"
            " --device, --cuda-version and --release-line choose"
        )
    return tag


def _export(
    request: RunRequest, invocation: Invocation, format: str, tree: Path, *, framework: str
) -> None:
    """Print the run as a file of another tool, and tell the rights that it asks for."""
    from dynbuild.run.export import GPU_TYPE, devcontainer, export
    from dynbuild.run.facts import Host
    from dynbuild.run.preflight import rights

    text = export(
        request,
        format,
        services=invocation.switch("with_services"),
        framework=framework,
        gpu_type=invocation.text("gpu_type") or GPU_TYPE,
        post_create=(tree / devcontainer.POST_CREATE).is_file(),
    )
    _say(tuple(rights.check(request, Host())), strict=False)
    console.out_data(text)


def _dry_run(request: RunRequest, *, strict: bool, format: str | None) -> None:
    """Print the command.  Of the machine nothing is asked, only the request is judged."""
    from dynbuild.run import launch, preflight
    from dynbuild.run.facts import Host

    _say(preflight.check(request, Host()), strict=strict)
    argv = launch.argv(request)
    if format == "json":
        console.out_json({"argv": argv})
    else:
        console.out_data(f"{shlex.join(argv)}\n")


def _start(
    request: RunRequest,
    absent: NotReady,
    settings: Settings,
    *,
    named: ImageKind | None,
    placed: str,
    strict: bool,
) -> None:
    """Look at the machine, say what will go wrong, and become the container's client."""
    from dynbuild import proc
    from dynbuild.engine import client
    from dynbuild.run import host, launch, limits, preflight
    from dynbuild.run.preflight import rights

    engine = client.find(os.environ)
    environment = _docker_environment(engine.env(os.environ))
    user = _image_user(request, absent, settings, engine, environment, named=named)
    if request.hf_home:
        _make_folder(Path(request.hf_home))
    facts = host.read(request, engine, os.environ, image=user)
    _say((*preflight.check(request, facts), *rights.check_shared(request)), strict=strict)
    if request.interactive and request.tty and not request.detach and not sys.stdin.isatty():
        console.say("no terminal on standard input: -t is left out (-i alone passes a pipe on)")
        request = dataclasses.replace(request, tty=False)
    if placed:
        request = _place(request, facts, placed)
    ulimits, _ = limits.fit(request.ulimits, facts.hard_limits)
    argv = launch.argv(dataclasses.replace(request, ulimits=ulimits))
    # The image is there; should it go in between, or be one of another platform, that is an error.
    proc.replace([engine.docker, "run", "--pull=never", *argv[2:]], env=environment)


def _docker_environment(env: Mapping[str, str]) -> dict[str, str]:
    """*env* without what would have the client ask a registry about an image that is here."""
    return {name: value for name, value in env.items() if name != "DOCKER_CONTENT_TRUST"}


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


def _place(request: RunRequest, facts: Host, nodes: str) -> RunRequest:
    """Pin processors and memory to the NUMA *nodes* that are asked for."""
    from dynbuild.run import numa

    gpus = numa.topology(facts.topo, facts.gpu_query)
    place = numa.place(request.gpus, gpus, facts.nodes, nodes)
    console.say(f"NUMA: {place.reason}")
    return dataclasses.replace(
        request, cpuset_cpus=place.cpuset_cpus, cpuset_mems=place.cpuset_mems
    )


def _image_user(
    request: RunRequest,
    absent: NotReady,
    settings: Settings,
    engine: Engine,
    environment: Mapping[str, str],
    *,
    named: ImageKind | None,
) -> ImageUser:
    """Who runs in the image; it has to be there, and be what it was *named* for."""
    from dynbuild import proc
    from dynbuild.image_id import LABEL
    from dynbuild.run.image import USER_LABEL, check_label, user_of

    parts = ".Config.User", *(f'index .Config.Labels "{label}"' for label in (LABEL, USER_LABEL))
    template = "\n".join(f"{{{{{part}}}}}" for part in parts)
    found = proc.run(
        [engine.docker, "image", "inspect", "--format", template, request.image],
        env=environment,
        check=False,
    )
    if found.returncode != 0 and "no such image" in found.stderr.lower():
        raise absent
    if found.returncode != 0:
        raise NotReady(
            f"the engine says nothing of the image {request.image}",
            hint="'dynbuild doctor' looks at the engine and its client",
            details=tuple(found.stderr.strip().splitlines()[-3:]),
        )
    name, label, ids = (*found.stdout.split("\n"), "", "", "")[:3]
    if named is not None:
        check_label(request.image, label.strip(), named, settings)
    frameworks = settings.catalog.frameworks
    return user_of(request.image, name.strip(), label.strip(), ids.strip(), frameworks)
