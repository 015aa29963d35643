"""Whether the base images that an engine has fit the platforms of a plan."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from dynbuild.engine import images
from dynbuild.engine.builder import Builder
from dynbuild.errors import RequestError
from dynbuild.plan.document import ImagePlan, PlanDocument

# The arguments that name an image to build on (its tag is in …_TAG), and the stage it becomes.
_BASES = {
    "BASE_IMAGE": "base",
    "RUNTIME_IMAGE": "runtime",
    "FRONTEND_BASE_IMAGE": "frontend",
    "PYTORCH_BASE_IMAGE": "pytorch_base",
}
_TEMPLATE = '["{{.Os}}/{{.Architecture}}", {{json .Descriptor}}]'


def check_bases(builder: Builder, env: Mapping[str, str], plan: PlanDocument) -> None:
    """Raise if an image of the engine that *plan* builds on is for another platform.

    BuildKit takes an image that the engine has before it asks a registry, and one that is
    not an index whatever its platform is: an image for arm64 would hold amd64 programs.

    Raises:
        RequestError: There is such an image.
    """
    # The classic store asks the registry where the platform is another one, and a builder of
    # its own has no access to the engine's images.
    if not builder.in_engine or not builder.engine.containerd_store:
        return
    bases = [(image, arg, reference) for image in plan.images for arg, reference in _bases(image)]
    references = tuple(dict.fromkeys(reference for _, _, reference in bases))
    said = images.inspect(builder.engine, env, references, _TEMPLATE)
    for image, arg, reference in bases:
        platform, kind = _read(said.get(reference, ""))
        lacking = [wanted for wanted in image.platforms if wanted != platform]
        # Of an index, BuildKit finds what is missing in the registry, or fails.
        if not lacking or not kind or re.search(r"index|list", kind):
            continue
        raise RequestError(
            f"the image {reference} on this engine is for {platform} only, and {image.name} is"
            f" wanted for {lacking[0]}",
            origin=image.origins.get(arg),
            hint="`dynbuild engine base --arch amd64 --arch arm64` makes one for both; one"
            f" that can be pulled for both: docker image rm {reference}",
        )


def check_load(builder: Builder, plan: PlanDocument) -> None:
    """Raise if *builder* cannot load an image of *plan* into the engine.

    Raises:
        RequestError: One is for several platforms, and only an index can hold them.
    """
    for image in plan.images:
        if image.output == "load" and not builder.can_load(len(image.platforms)):
            raise RequestError(
                f"{image.name} is for {len(image.platforms)} platforms, which {builder} cannot"
                " load as one image",
                hint="--push sends it to a registry; an engine loads it that keeps images in"
                " containerd's store, such as the private one: dynbuild engine up",
            )


def _read(line: str) -> tuple[str, str]:
    """Platform of an image, and the media type of what its name is for."""
    try:
        platform, descriptor = json.loads(line)
        return str(platform), str((descriptor or {}).get("mediaType", ""))
    except (ValueError, TypeError, AttributeError, RecursionError):
        return "", ""


def _bases(image: ImagePlan) -> Iterator[tuple[str, str]]:
    """The images that *image* is built on, each with its argument; no replaced ones."""
    for arg, stage in _BASES.items():
        name, tag = (image.build_args.get(key, "") for key in (arg, f"{arg}_TAG"))
        reference = f"{name}:{tag}"
        if name and tag and not {stage, name, reference} & image.contexts.keys():
            yield arg, reference
