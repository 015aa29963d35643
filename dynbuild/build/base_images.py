"""Whether the base images that a plan builds on are there, and fit its platforms."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping, Sequence

from dynbuild.engine import images
from dynbuild.engine.builder import Builder
from dynbuild.errors import NotReady, RequestError
from dynbuild.plan.document import ImagePlan, PlanDocument
from dynbuild.plan.mirrors import LOCAL

# The arguments that name an image to build on (its tag is in …_TAG), and the stage it becomes.
_BASES = {
    "BASE_IMAGE": "base",
    "RUNTIME_IMAGE": "runtime",
    "FRONTEND_BASE_IMAGE": "frontend",
    "PYTORCH_BASE_IMAGE": "pytorch_base",
}
_FIELDS = ("Os", "Architecture", "Descriptor")
_NOTHING = (None, None, None)


def check_bases(builder: Builder, env: Mapping[str, str], plan: PlanDocument) -> None:
    """Raise if an image that *plan* builds on cannot be had, or is for another platform.

    Images of ``dynbuild engine base`` are on no registry: asked for one, BuildKit would say of
    a public registry that it denies access.  And BuildKit takes an image that the engine has
    before it asks a registry, and one that is not an index whatever its platform is: an image
    for arm64 would hold amd64 programs.

    Raises:
        NotReady: An image of dynbuild's own is not there.
        RequestError: There is an image for another platform.
    """
    bases = [(image, arg, reference) for image in plan.images for arg, reference in _bases(image)]
    references = tuple(dict.fromkeys(reference for _, _, reference in bases))
    if not builder.in_engine:
        # Such a builder has no access to the engine's images.
        _check_own(builder, (), bases)
        return
    said = images.inspect(builder.engine, env, references, _FIELDS)
    _check_own(builder, said, bases)
    # The classic store asks the registry where the platform is another one.
    if not builder.engine.containerd_store:
        return
    for image, arg, reference in bases:
        platform, kind = _read(said.get(reference, _NOTHING))
        lacking = [wanted for wanted in image.platforms if wanted != platform]
        # Of an index, BuildKit finds what is missing in the registry, or fails.
        if not lacking or not kind or re.search(r"index|list", kind):
            continue
        raise RequestError(
            f"the image {reference} on this engine is for {platform} only, and {image.name} is"
            f" wanted for {lacking[0]}",
            origin=image.origins.get(arg),
            hint=f"`{_command(reference, image.platforms)}` makes one for each; one"
            f" that can be pulled for each: docker image rm {reference}",
        )


def _check_own(
    builder: Builder, there: Container[str], bases: Sequence[tuple[ImagePlan, str, str]]
) -> None:
    """Raise if an image that only ``dynbuild engine base`` makes is not among those *there*.

    Raises:
        NotReady: It is not.
    """
    for image, arg, reference in bases:
        if not reference.startswith(LOCAL) or reference in there:
            continue
        make = _command(reference, image.platforms)
        if builder.in_engine:
            hint = f"make it: {make}"
        else:
            hint = (
                "docker buildx use default takes the engine's own builder; by a registry:"
                f" {make} --push REGISTRY/NAME:TAG"
            )
        raise NotReady(
            f"there is no image {reference} {'on' if builder.in_engine else 'for'} {builder}",
            origin=image.origins.get(arg),
            hint=hint,
        )


def _command(reference: str, platforms: Sequence[str]) -> str:
    """The command that makes the base image *reference*, or one like it, for *platforms*."""
    suite, _, form = reference.rpartition(":")[2].partition("-")
    given = f" --suite {suite}" if reference.startswith(LOCAL) and suite else ""
    archs = [platform.removeprefix("linux/") for platform in platforms]
    if form == "multi" or len(archs) > 1 or form in archs:
        given += "".join(f" --arch {arch}" for arch in archs)
    return f"dynbuild engine base{given}"


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


def _read(said: Sequence[object]) -> tuple[str, str]:
    """Platform of an image, and the media type of what its name is for."""
    system, architecture, descriptor = said
    kind = descriptor.get("mediaType") if isinstance(descriptor, dict) else None
    return f"{system}/{architecture}", str(kind or "")


def _bases(image: ImagePlan) -> Iterator[tuple[str, str]]:
    """The images that *image* is built on, each with its argument; no replaced ones."""
    for arg, stage in _BASES.items():
        name, tag = (image.build_args.get(key, "") for key in (arg, f"{arg}_TAG"))
        reference = f"{name}:{tag}"
        if name and tag and not {stage, name, reference} & image.contexts.keys():
            yield arg, reference
