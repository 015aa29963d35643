"""Whether the base images that an engine has fit the platforms of a plan."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from dynbuild import proc
from dynbuild.engine.model import Engine
from dynbuild.errors import RequestError
from dynbuild.plan.document import ImagePlan, PlanDocument

# The arguments that name an image to build on (its tag is in …_TAG), and the stage it becomes.
_BASES = {
    "BASE_IMAGE": "base",
    "RUNTIME_IMAGE": "runtime",
    "FRONTEND_BASE_IMAGE": "frontend",
    "PYTORCH_BASE_IMAGE": "pytorch_base",
}


def check_bases(engine: Engine, env: Mapping[str, str], plan: PlanDocument) -> None:
    """Raise if an image of the engine that *plan* builds on is for another platform.

    BuildKit takes an image that the engine has before it asks a registry, and one that is
    not an index whatever its platform is: an image for arm64 would hold amd64 programs.

    Raises:
        RequestError: There is such an image.
    """
    # The classic store asks the registry where the platform is another one.
    if not engine.containerd_store:
        return
    docker = engine.env(env)
    for image in plan.images:
        for arg, reference in _bases(image):
            argv = (engine.docker, "image", "inspect", "--format", "{{json .}}", reference)
            done = proc.run(argv, env=docker, check=False)
            if done.returncode != 0:
                continue
            found = json.loads(done.stdout)
            has = f"{found.get('Os')}/{found.get('Architecture')}"
            kind = (found.get("Descriptor") or {}).get("mediaType", "")
            missing = [platform for platform in image.platforms if platform != has]
            # Of an index, BuildKit finds what is missing in the registry, or fails.
            if not missing or not kind or re.search(r"index|list", kind):
                continue
            # A builder of its own has no access to the engine's images.
            builder = proc.run((engine.docker, "buildx", "inspect"), env=docker, check=False)
            if not re.search(r"^Driver:\s*docker$", builder.stdout, re.MULTILINE):
                return
            raise RequestError(
                f"the image {reference} on this engine is for {has} only, and {image.name} is"
                f" wanted for {missing[0]}",
                origin=image.origins.get(arg),
                hint="`dynbuild engine base --arch amd64 --arch arm64` makes one for both; one"
                f" that can be pulled for both: docker image rm {reference}",
            )


def _bases(image: ImagePlan) -> Iterator[tuple[str, str]]:
    """The images that *image* is built on, each with its argument; no replaced ones."""
    for arg, stage in _BASES.items():
        name, tag = (image.build_args.get(key, "") for key in (arg, f"{arg}_TAG"))
        reference = f"{name}:{tag}"
        if name and tag and not {stage, name, reference} & image.contexts.keys():
            yield arg, reference
