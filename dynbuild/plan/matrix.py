"""Which images a request means: cells of the catalog's matrix, and what comes with them.  Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from dynbuild import names
from dynbuild.errors import RequestError
from dynbuild.image_id import ImageId, variant_of
from dynbuild.quick import dataclass
from dynbuild.settings.layers import Origin
from dynbuild.settings.load import Settings
from dynbuild.settings.models import Framework
from dynbuild.settings.problems import Collector


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One image to decide on.

    Attributes:
        id: What it is.
        platforms: Such as linux/amd64.
        requested: It is asked for; else it is there because another is built on it.
        link: The image of the same plan that brings one of its stages.
    """

    id: ImageId
    platforms: tuple[str, ...]
    requested: bool = True
    link: Link | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """A stage that comes from another image of the plan."""

    stage: str
    image: ImageId


@dataclass(frozen=True, slots=True)
class Wheels:
    """How to get Dynamo's wheels.

    Attributes:
        way: ``source`` or ``index``.
        version: Of published ones, if one is given.
        origin: Who said so.
    """

    way: str
    version: str
    origin: Origin


AWS = "-aws"
"""Suffix of a stage, an image and a tag that has AWS's EFA user space."""

EFA_TARGETS = ("runtime", "dev", "local-dev")
"""Targets that ``--make-efa`` puts its layer on."""


def choose(config: Settings, problems: Collector) -> Cell:
    """The cell of the matrix that is asked for.

    Args:
        config: The settings.
        problems: Gets what is wrong.

    Raises:
        RequestError: There is no such cell, so that nothing else can be decided.
    """
    request = config.catalog.request
    framework = _one_of(config, "framework", request.framework.lower(), config.catalog.frameworks)
    entry = config.catalog.frameworks[framework]
    target, device, cuda, variant = request.target or "dev", request.device.lower(), "", ""
    with problems.collected():
        _one_of(config, "target", target, entry.targets, f"of {framework}")
    with problems.collected():
        _one_of(config, "device", device, entry.devices, f"of {framework}")
        cuda = _cuda(config, entry, framework, device)
    with problems.collected():
        variant = _variant(config)
    no_cell = bool(problems.problems)
    platforms: tuple[str, ...] = names.PLATFORMS[:1]
    with problems.collected(origin=config.origin("request", "platform")):
        platforms = names.parse_platforms(request.platform)
        there = entry.devices[device].platforms if device in entry.devices else platforms
        for platform in platforms:
            _one_of(config, "platform", platform, there, f"of {framework} on {device}")
    for key in ("uid", "gid"):
        if target != "local-dev" and getattr(request, key) is not None:
            problems.add(
                f"--{key} is only for the target local-dev, not for {target}",
                origin=config.origin("request", key),
                hint=f"add --target local-dev, or drop --{key}",
            )
    if no_cell:
        problems.check()
    return Cell(id=ImageId(framework, target, device, cuda, variant), platforms=platforms)


def dynamo_wheels(config: Settings) -> Wheels:
    """How to get Dynamo's wheels.

    Raises:
        RequestError: There is no such way.
    """
    text = config.catalog.request.dynamo_wheels
    origin = config.origin("request", "dynamo_wheels")
    way, separator, version = text.partition("==")
    if way not in ("source", "index") or (separator and (way == "source" or not version)):
        raise RequestError(
            f"'{text}' is no way to get Dynamo's wheels",
            origin=str(origin),
            hint="'source' builds them, 'index' or 'index==VERSION' takes published ones",
        )
    return Wheels(way, version, origin)


def _variant(config: Settings) -> str:
    """What sets the images of this request apart from the default ones of their cells."""
    line = config.catalog.request.release_line
    way = dynamo_wheels(config).way
    return variant_of("" if line == config.default_line else line, "" if way == "source" else way)


def with_efa(config: Settings, cell: Cell) -> tuple[Cell, ...]:
    """*cell*, and with ``--make-efa`` the image with AWS's layer (facts: EFA flow).

    The layer needs root, and local-dev ends as another user: there it goes between dev and
    local-dev, so dev is built as well.

    Raises:
        RequestError: There is no such layer for the target.
    """
    target = cell.id.target
    if not config.catalog.request.make_efa:
        return (cell,)
    if target not in EFA_TARGETS:
        raise RequestError(
            f"there is no EFA layer for the target '{target}'",
            origin=str(config.origin("request", "make_efa")),
            hint=f"it goes on {', '.join(EFA_TARGETS)}",
        )
    dev = replace(cell, id=replace(cell.id, target="dev"), requested=False)
    below = dev if target == "local-dev" else cell
    link = Link(below.id.target, below.id)
    aws = replace(cell, id=replace(cell.id, target=f"{target}{AWS}"), link=link)
    return (cell, aws) if below is cell else (cell, below, aws)


def _one_of(
    config: Settings, key: str, value: str, choices: Collection[str], owner: str = ""
) -> str:
    if value in choices:
        return value
    raise RequestError(
        " ".join(part for part in (f"there is no {key} '{value}'", owner) if part),
        origin=str(config.origin("request", key)),
        hint=names.did_you_mean(value, choices),
    )


def _cuda(config: Settings, entry: Framework, framework: str, device: str) -> str:
    rows = entry.devices[device].cuda
    given = config.catalog.request.cuda_version
    origin = str(config.origin("request", "cuda_version"))
    if not rows:
        if given:
            raise RequestError(
                f"device {device} has no CUDA, but CUDA {given} is asked for",
                origin=origin,
                hint="drop --cuda-version, or use --device cuda",
            )
        return ""
    version = given or entry.cuda_default
    for row in rows:
        if version == row or version.startswith(f"{row}."):
            return row
    within = [row for row in rows if row.startswith(f"{version}.")]
    if len(within) == 1:
        return within[0]
    raise RequestError(
        f"there is no CUDA {version} for {framework}",
        origin=origin,
        hint=f"there are: {', '.join(sorted(rows))}",
    )
