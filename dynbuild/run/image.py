"""Which image a run takes where none is given, and who runs in an image.  Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection

from dynbuild import names
from dynbuild.errors import NotReady, RequestError, quote
from dynbuild.image_id import AWS, ImageId
from dynbuild.quick import dataclass
from dynbuild.run.request import IMAGE_UID
from dynbuild.settings import cell
from dynbuild.settings.layers import Origin
from dynbuild.settings.load import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageKind:
    """What names an image that is not given itself.

    Attributes:
        framework: The framework in it.
        target: The stage that it is.
        repository: The name before its tag.
        latest: The tag that moves to the newest image of the cell.
    """

    framework: str
    target: str
    repository: str
    latest: str

    @property
    def conventional_name(self) -> str:
        """What ``dynbuild build`` with the same settings tags as the latest image."""
        return f"{self.repository}:{self.latest}"


USER_LABEL = "dynbuild.user"
"""The label with the numbers of dynamo in an image of local-dev, ``UID:GID``."""

_USER = "dynamo"
_LOCAL_DEV = "local-dev"
_TARGETS = (_LOCAL_DEV, "dev", "runtime", "frontend")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageUser:
    """Who runs in an image.

    Attributes:
        name: As its configuration has it: ``NAME``, ``UID`` or ``UID:GID``; empty for root.
        ids: The numbers of dynamo, ``UID:GID``; empty where they are not known: they are the
            builder's own.
    """

    name: str
    ids: str = f"{IMAGE_UID}:0"


def user_of(
    reference: str, name: str, label: str, ids: str, frameworks: Collection[str]
) -> ImageUser:
    """Who runs in the image *reference*.

    Args:
        reference: Its name, which says the target where no label does.
        name: The user of its configuration.
        label: Its ``LABEL``; a name or a digest of the image says nothing then.
        ids: Its ``USER_LABEL``.
        frameworks: Those that there are.
    """
    try:
        target = ImageId.parse(label).target if label else target_of(reference, frameworks)
    except RequestError:
        target = target_of(reference, frameworks)
    if not (target or "").startswith(_LOCAL_DEV):
        return ImageUser(name=name)
    return ImageUser(name=name, ids=ids)


def target_of(reference: str, frameworks: Collection[str]) -> str | None:
    """The target that the tag of *reference* names by convention; ``None`` where it names none.

    After the target there may be what sets the cell apart (``ImageId.tag_suffix``).
    """
    name = reference.partition("@")[0].rpartition("/")[2]
    tag = f"-{name.partition(':')[2].removesuffix(AWS)}"
    # The latest tag of dev ends with its framework.
    named = (*((target, target) for target in _TARGETS), *((fw, "dev") for fw in frameworks))
    for end, target in named:
        if tag.endswith(f"-{end}"):
            return target
    known = "|".join(map(re.escape, frameworks))
    found = re.search(rf"-(?:{known})-({'|'.join(_TARGETS)})-[\w.-]+$", tag)
    if found:
        return found[1]
    return "dev" if re.search(rf"-(?:{known})-(?:cpu|xpu|cuda[0-9.]+)(?:-[\w.-]+)?$", tag) else None


def usual_user(reference: str, frameworks: Collection[str]) -> str | None:
    """The user of an image by the convention of its tag; ``None`` where that says nothing."""
    target = target_of(reference, frameworks)
    return {None: None, _LOCAL_DEV: None, "dev": "root"}.get(target, _USER)


def kind_of(settings: Settings, *, target: str | None = None) -> ImageKind:
    """The kind that the settings ask for, of *target* where that is given."""
    request = settings.catalog.request
    framework, target = request.framework.lower(), target or request.target or "dev"
    return ImageKind(
        framework=framework,
        target=target,
        repository=request.repository,
        latest=_latest(settings, framework, target),
    )


def _latest(settings: Settings, framework: str, target: str) -> str:
    """The latest tag of the cell; of what is no cell, as if it were the default one."""
    request = settings.catalog.request
    device = request.device.lower()
    try:
        entry = settings.catalog.frameworks[framework]
        default = cell.default_cuda(settings, framework)
        rows = tuple(entry.devices[device].cuda)
        cuda = cell.row_of(request.cuda_version or default, rows) or (default if rows else "")
        return ImageId(framework, target, device, cuda, cell.variant(settings)).latest_tag(default)
    except (KeyError, RequestError):  # told where the framework is checked, or where it is run
        return f"latest-{framework}-{target}".removesuffix("-dev")


_ASKED = {
    "--repository": "repository",
    "--device": "device",
    "--cuda-version": "cuda_version",
    "--release-line": "release_line",
    "--dynamo-wheels": "dynamo_wheels",
}
"""What else a request may say that an image is built by."""


def _given(settings: Settings, key: str) -> str:
    """What the request says of *key*; empty where only the catalog does."""
    said = settings.origin("request", key).layer != "catalog"
    return str(getattr(settings.catalog.request, key)) if said else ""


def missing(reference: str, kind: ImageKind, settings: Settings, *, given: bool) -> NotReady:
    """The error where the image *reference* is not on the engine.

    Args:
        reference: The image.
        kind: What names it.
        settings: What else it is built by.
        given: Whether the image was named itself, so that it may be anybody's.
    """
    asked = {"--framework": kind.framework, "--target": kind.target or "dev"}
    asked |= {flag: text for flag, key in _ASKED.items() if (text := _given(settings, key))}
    build = shlex.join(("dynbuild", "build", *(word for pair in asked.items() for word in pair)))
    return NotReady(
        f"there is no image {reference} on this engine",
        hint=f"nothing is pulled here: docker pull {shlex.quote(reference)} brings it"
        if given
        else f"build it: {build}; or name another: dynbuild run --image REF",
    )


def fits(image_id: str, kind: ImageKind, settings: Settings) -> bool:
    """Whether the image *image_id* is of *kind*, and has what else is said of it.

    That is its device, CUDA version and release line.
    """
    try:
        found = ImageId.parse(image_id)
    except RequestError:
        return False
    if (found.framework, found.target) != (kind.framework, kind.target):
        return False
    device, cuda, line = (
        _given(settings, key) for key in ("device", "cuda_version", "release_line")
    )
    marks = set(found.variant.split("+")) - {"", cell.INDEX}
    own = set() if line == settings.default_line else {line}
    return (
        device.lower() in ("", found.device)
        and (not cuda or cell.means_cuda(cuda, found.cuda))
        and (not line or marks == own)
    )


def by_tree(settings: Settings) -> Origin | None:
    """Where the tree's own file says which repository an image is of; ``None`` if others do."""
    origin = settings.origin("request", "repository")
    return origin if origin.source == str(settings.tree_file) else None


def check_label(reference: str, label: str, kind: ImageKind, settings: Settings) -> None:
    """Refuse to take what the tree's own file names for an image of dynbuild's.

    A repository of a tree's own would otherwise choose among all images of the caller's.

    Args:
        reference: The image.
        label: Its ``LABEL``.
        kind: What it is to be.
        settings: The settings.

    Raises:
        RequestError: It is another image, and nobody but the tree says that it is meant.
    """
    origin = by_tree(settings)
    if origin and not fits(label, kind, settings):
        raise RequestError(
            f"{reference} is not {kind.framework} {kind.target} of dynbuild's but "
            f"{label or 'an image without its label'}, and only the tree's own file names it",
            origin=str(origin),
            hint=f"--image {shlex.quote(reference)} takes it all the same, --repository another",
        )


def check_framework(kind: ImageKind, settings: Settings, *, target: str | None = None) -> None:
    """Refuse a framework that there is not, or that does not have *target*.

    Raises:
        RequestError: It is one.
    """
    if "," in kind.framework or "," in kind.target:
        raise RequestError(
            f"one image is run, and not {kind.framework} {kind.target}", hint="name one of them"
        )
    known = settings.catalog.frameworks
    fitting = [name for name, row in known.items() if target is None or target in row.targets]
    if kind.framework not in fitting:
        raise RequestError(
            f"there is no framework {quote(kind.framework)}"
            if kind.framework not in known
            else f"{kind.framework} has no target {target}",
            origin=str(settings.origin("request", "framework")),
            hint=names.did_you_mean(kind.framework, fitting),
        )


def check_cell(kind: ImageKind, settings: Settings) -> None:
    """Refuse a device or a CUDA version that the framework does not have.

    Raises:
        RequestError: It is one.
    """
    entry = settings.catalog.frameworks[kind.framework]
    device = settings.catalog.request.device.lower()
    if device not in entry.devices:
        raise RequestError(
            f"there is no device {quote(device)} of {kind.framework}",
            origin=str(settings.origin("request", "device")),
            hint=f"{names.did_you_mean(device, entry.devices)}; "
            "one of this machine is /dev/X or VENDOR/CLASS=NAME",
        )
    rows, given = entry.devices[device].cuda, _given(settings, "cuda_version")
    if given and not cell.row_of(given, rows):
        raise RequestError(
            f"there is no CUDA {given} for {kind.framework} on {device}",
            origin=str(settings.origin("request", "cuda_version")),
            hint=names.did_you_mean(given, rows) if rows else "drop --cuda-version",
        )
