"""Which image a run takes where none is given, and who runs in an image.  Pure."""

from __future__ import annotations

import shlex
from collections.abc import Collection

from dynbuild import names
from dynbuild.errors import NotReady, RequestError, quote
from dynbuild.image_id import ImageId
from dynbuild.quick import dataclass
from dynbuild.run.request import IMAGE_UID
from dynbuild.settings.load import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageKind:
    """What names an image that is not given itself.

    Attributes:
        framework: The framework in it.
        target: The stage that it is.
        repository: The name before its tag.
    """

    framework: str
    target: str
    repository: str

    @property
    def conventional_name(self) -> str:
        """What ``dynbuild build`` tags as the latest image of this kind.

        The dev image has no suffix, and no target means dev.
        """
        suffix = "" if self.target in ("", "dev") else f"-{self.target}"
        return f"{self.repository}:latest-{self.framework.lower()}{suffix}"


LABEL = "dynbuild.image"
"""The label with the id of an image that dynbuild built."""

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
    """The target that the tag of *reference* names by convention; ``None`` where it names none."""
    name = reference.partition("@")[0].rpartition("/")[2]
    tag = name.partition(":")[2].removesuffix("-aws")
    # The latest tag of dev ends with its framework.
    named = (*((target, target) for target in _TARGETS), *((fw, "dev") for fw in frameworks))
    return next((target for end, target in named if f"-{tag}".endswith(f"-{end}")), None)


def usual_user(reference: str, frameworks: Collection[str]) -> str | None:
    """The user of an image by the convention of its tag; ``None`` where that says nothing."""
    target = target_of(reference, frameworks)
    return {None: None, _LOCAL_DEV: None, "dev": "root"}.get(target, _USER)


def kind_of(settings: Settings, *, target: str | None = None) -> ImageKind:
    """The kind that the settings ask for, of *target* where that is given."""
    request = settings.catalog.request
    return ImageKind(
        framework=request.framework.lower(),
        target=target or request.target,
        repository=request.repository,
    )


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
    """Whether the image *image_id* is of *kind*, and of the device and CUDA version asked for."""
    try:
        found = ImageId.parse(image_id)
    except RequestError:
        return False
    asked = (
        (_given(settings, "device"), found.device),
        (_given(settings, "cuda_version"), found.cuda),
    )
    return (found.framework, found.target) == (kind.framework, kind.target or "dev") and all(
        said in ("", there) for said, there in asked
    )


def check_framework(kind: ImageKind, settings: Settings, *, target: str | None = None) -> None:
    """Refuse a framework that there is not, or that does not have *target*.

    Raises:
        RequestError: It is one.
    """
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
