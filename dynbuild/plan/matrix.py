"""Which images a request means: cells of the catalog's matrix, and what comes with them.  Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from dynbuild import names
from dynbuild.errors import RequestError
from dynbuild.image_id import ImageId, variant_of
from dynbuild.plan import stages
from dynbuild.settings.load import Settings
from dynbuild.settings.models import Framework


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One image to decide on.

    Attributes:
        framework: vllm, trtllm, sglang, none.
        target: The stage that becomes the image.
        device: cuda or cpu.
        cuda: CUDA version as in the catalog, empty on a device without.
        variant: What the image is otherwise than the default one of its cell.
        platforms: Such as linux/amd64.
        wanted: It is asked for; else it is there because another is built on it.
        linked: The image of the same plan that brings one of its stages.
    """

    framework: str
    target: str
    device: str
    cuda: str
    variant: str
    platforms: tuple[str, ...]
    wanted: bool = True
    linked: Link | None = None

    @property
    def id(self) -> ImageId:
        """What the image is called."""
        return ImageId(self.framework, self.target, self.device, self.cuda, self.variant)


@dataclass(frozen=True, slots=True)
class Link:
    """A stage that comes from another image of the plan."""

    stage: str
    image: ImageId


EFA_TARGETS = ("runtime", "dev", "local-dev")
"""Targets that ``--make-efa`` puts its layer on."""


def choose(config: Settings) -> Choice:
    """The cell of the matrix, or an error that names the cells there are."""
    request = config.catalog.request
    framework = _one_of(config, "framework", request.framework.lower(), config.catalog.frameworks)
    entry = config.catalog.frameworks[framework]
    target = _one_of(config, "target", request.target or "dev", entry.targets, f"of {framework}")
    device = _one_of(config, "device", request.device.lower(), entry.devices, f"of {framework}")
    row = entry.devices[device]
    cuda = _cuda(config, entry, framework, device)
    try:
        platforms = names.parse_platforms(request.platform)
    except RequestError as error:
        error.origin = str(config.origin("request", "platform"))
        raise
    for platform in platforms:
        _one_of(config, "platform", platform, row.platforms, f"of {framework} on {device}")
    if target != "local-dev":
        for key in ("uid", "gid"):
            if getattr(request, key) is not None:
                raise RequestError(
                    f"--{key} is only for the target local-dev, not for {target}",
                    origin=str(config.origin("request", key)),
                    hint=f"add --target local-dev, or drop --{key}",
                )
    return Choice(
        framework=framework,
        target=target,
        device=device,
        cuda=cuda,
        variant=_variant(config),
        platforms=platforms,
    )


def _variant(config: Settings) -> str:
    """What sets the images of this request apart from the default ones of their cells."""
    request = config.catalog.request
    line = "" if request.release_line == config.default_line else request.release_line
    wheels, _ = dynamo_wheels(config)
    return variant_of(line, "" if wheels == "source" else wheels)


def dynamo_wheels(config: Settings) -> tuple[str, str]:
    """How to get Dynamo's wheels, ``source`` or ``index``, and the version if one is given."""
    text = config.catalog.request.dynamo_wheels
    wheels, separator, number = text.partition("==")
    if wheels not in ("source", "index") or (separator and (wheels == "source" or not number)):
        raise RequestError(
            f"'{text}' is no way to get Dynamo's wheels",
            origin=str(config.origin("request", "dynamo_wheels")),
            hint="'source' builds them, 'index' or 'index==VERSION' takes published ones",
        )
    return wheels, number


def with_efa(config: Settings, asked: Choice) -> tuple[Choice, ...]:
    """*asked*, and with ``--make-efa`` the image with AWS's layer (facts: EFA flow).

    The layer needs root, and local-dev ends as another user: there it goes between dev and
    local-dev, so dev is built as well.
    """
    if not config.catalog.request.make_efa:
        return (asked,)
    if asked.target not in EFA_TARGETS:
        raise RequestError(
            f"there is no EFA layer for the target '{asked.target}'",
            origin=str(config.origin("request", "make_efa")),
            hint=f"it goes on {', '.join(EFA_TARGETS)}",
        )
    below = replace(asked, target="dev", wanted=False) if asked.target == "local-dev" else asked
    link = Link(below.target, below.id)
    aws = replace(asked, target=f"{asked.target}{stages.AWS}", linked=link)
    return (asked, aws) if below is asked else (asked, below, aws)


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
    wanted = config.catalog.request.cuda_version
    origin = str(config.origin("request", "cuda_version"))
    if not rows:
        if wanted:
            raise RequestError(
                f"device {device} has no CUDA, but CUDA {wanted} is asked for",
                origin=origin,
                hint="drop --cuda-version, or use --device cuda",
            )
        return ""
    wanted = wanted or entry.cuda_default
    for row in rows:
        if wanted == row or wanted.startswith(f"{row}."):
            return row
    within = [row for row in rows if row.startswith(f"{wanted}.")]
    if len(within) == 1:
        return within[0]
    raise RequestError(
        f"there is no CUDA {wanted} for {framework}",
        origin=origin,
        hint=f"there are: {', '.join(sorted(rows))}",
    )
