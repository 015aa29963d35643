"""Which images a request means: cells of the catalog's matrix, and what comes with them.  Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from dynbuild import names
from dynbuild.errors import RequestError
from dynbuild.image_id import AWS, ImageId, variant_of
from dynbuild.quick import dataclass
from dynbuild.settings import cell as cell_settings
from dynbuild.settings.cell import INDEX, row_of
from dynbuild.settings.layers import Origin
from dynbuild.settings.load import Settings
from dynbuild.settings.models import Framework
from dynbuild.settings.problems import Collector, Problem


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


EFA_TARGETS = ("runtime", "dev", "local-dev")
"""Targets that ``--make-efa`` puts its layer on."""


def cell(
    config: Settings,
    framework: str,
    target: str,
    device: str,
    cuda_version: str,
    *,
    problems: Collector,
) -> Cell | None:
    """The cell with those parts; ``None`` where there is none.

    Args:
        config: The settings.
        framework: As it is asked for, likewise the others.
        target: The stage.
        device: Such as cuda.
        cuda_version: Empty for the framework's default; else a version, or the beginning of one.
        problems: Gets what is wrong.
    """
    entry, cuda, mark = None, "", ""
    with problems.collected():
        entry = config.catalog.frameworks[
            _one_of(config, "framework", framework, config.catalog.frameworks)
        ]
    if entry is None:
        return None
    with problems.collected():
        _one_of(config, "target", target, entry.targets, f"of {framework}")
    with problems.collected():
        _one_of(config, "device", device, entry.devices, f"of {framework}")
        cuda = _cuda(config, entry, framework, device, cuda_version)
    with problems.collected():
        mark = variant(config)
    no_cell = bool(problems.problems)
    platforms: tuple[str, ...] = names.PLATFORMS[:1]
    with problems.collected(origin=config.origin("request", "platform")):
        platforms = names.parse_platforms(config.catalog.request.platform)
        there = entry.devices[device].platforms if device in entry.devices else platforms
        for platform in platforms:
            _one_of(config, "platform", platform, there, f"of {framework} on {device}")
    if no_cell:
        return None
    return Cell(id=ImageId(framework, target, device, cuda, mark), platforms=platforms)


def every(config: Settings) -> Iterator[ImageId]:
    """The ids of all cells of a release line, in the order of the catalog.

    Raises:
        RequestError: There is no such way to get Dynamo's wheels.
    """
    mark = variant(config)
    for framework, entry in config.catalog.frameworks.items():
        for device, row in entry.devices.items():
            for cuda in row.cuda or ("",):
                for target in entry.targets:
                    yield ImageId(framework, target, device, cuda, mark)


class Known:
    """The cells there are, of every release line: what a glob of the settings may mean.

    The cells of the command itself may be fewer, so that one of another line is no mistake.
    """

    def __init__(self, lines: Mapping[str, Settings], first: Iterable[str]) -> None:
        """Those of *lines*; settings are combined only where *first* has no cell of a glob."""
        self._lines = lines
        self._order = dict.fromkeys((*first, *lines))
        self._ids: dict[str, list[ImageId]] = {}

    def has(self, glob: str) -> bool:
        """Whether *glob* means any of them, or one with AWS's layer."""
        return any(matches(glob, one) or matches(glob, _with_aws(one)) for one in self._every())

    def hint(self, glob: str) -> str:
        """What to write in the place of *glob*."""
        return names.did_you_mean(glob, map(str, self._every()), "`dynbuild list`")

    def _every(self) -> Iterator[ImageId]:
        """The ids of all; a line that the settings do not fit has none."""
        for line in self._order:
            if line not in self._ids:
                self._ids[line] = []
                with suppress(RequestError):
                    self._ids[line] += every(self._lines[line])
            yield from self._ids[line]


def _with_aws(one: ImageId) -> ImageId:
    return replace(one, target=f"{one.target}{AWS}") if one.target in EFA_TARGETS else one


def matches(glob: str, one: ImageId) -> bool:
    """Whether *glob* means a cell; how Dynamo's wheels come need not be in it."""
    return one.matches(glob) or without_wheels(one).matches(glob)


def ids_without_user(config: Settings, targets: Sequence[str]) -> Iterator[Problem]:
    """The ids of a user, where none of the *targets* has one."""
    for key in ("uid", "gid"):
        if getattr(config.catalog.request, key) is not None:
            yield Problem(
                f"--{key} is only for the target local-dev, not for {', '.join(targets)}",
                str(config.origin("request", key)),
                f"add --target local-dev, or drop --{key}",
            )


def dynamo_wheels(config: Settings) -> Wheels:
    """How to get Dynamo's wheels.

    Raises:
        RequestError: There is no such way.
    """
    text = config.catalog.request.dynamo_wheels
    origin = config.origin("request", "dynamo_wheels")
    way, separator, version = text.partition("==")
    if way not in ("source", INDEX) or (separator and (way == "source" or not version)):
        raise RequestError(
            f"'{text}' is no way to get Dynamo's wheels",
            origin=str(origin),
            hint="'source' builds them, 'index' or 'index==VERSION' takes published ones",
        )
    return Wheels(way, version, origin)


def variant(config: Settings) -> str:
    """What sets the images of these settings apart from the default ones of their cells.

    Raises:
        RequestError: There is no such way to get Dynamo's wheels.
    """
    dynamo_wheels(config)
    return cell_settings.variant(config)


def without_wheels(image: ImageId) -> ImageId:
    """The id as it is where Dynamo's wheels are built from source."""
    marks = (mark for mark in image.variant.split("+") if mark != INDEX)
    return replace(image, variant=variant_of(*marks))


def with_efa(config: Settings, cell: Cell) -> tuple[Cell, ...]:
    """*cell*, and with ``--make-efa`` the image with AWS's layer (facts: EFA flow).

    The layer needs root, and local-dev ends as another user: there it goes between dev and
    local-dev, so dev is built as well.

    Raises:
        RequestError: There is no such layer for the target, or the device.
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
    if cell.id.device == "xpu":
        raise RequestError(
            "there is no EFA layer for the device xpu",
            origin=str(config.origin("request", "make_efa")),
            hint="drop --make-efa, or use --device cuda",
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


def _cuda(config: Settings, entry: Framework, framework: str, device: str, given: str) -> str:
    rows = entry.devices[device].cuda
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
    if row := row_of(version, rows):
        return row
    raise RequestError(
        f"there is no CUDA {version} for {framework}",
        origin=origin,
        hint=f"there are: {', '.join(sorted(rows))}",
    )
