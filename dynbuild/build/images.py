"""What became of each image of a build: status, digest, size, steps."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

from dynbuild.build.metadata import Metadata
from dynbuild.build.result import BuildResult, Failure, ImageResult, Layer, Steps
from dynbuild.build.solve import Solve
from dynbuild.build.steps import StepName
from dynbuild.engine import images
from dynbuild.engine.model import Engine
from dynbuild.errors import one_line, shorten
from dynbuild.plan.document import ImagePlan, PlanDocument

_LOOK_BACK = 20
_LONG = 200
_SHELL = re.compile(r"RUN (?:\|[0-9]+ .*?)?/bin/\w+(?: -[a-z]+| pipefail)*? -c ", re.DOTALL)


def results(
    plan: PlanDocument,
    solve: Solve,
    metadata: Metadata,
    why: Failure | None,
    *,
    engine: Engine,
    env: Mapping[str, str],
    seconds: float,
    earlier: Iterable[BuildResult] = (),
) -> tuple[tuple[ImageResult, ...], tuple[str, ...]]:
    """The result of each image of *plan* that has a name, and what was not to be learned.

    Args:
        plan: What was built.
        solve: Its steps.
        metadata: What bake wrote down.
        why: Why it failed; ``None`` if it did not.
        engine: Where it was built.
        env: The caller's environment.
        seconds: How long it took.
        earlier: How builds ended before, the newest first: what they know is not asked again.
    """
    named = [image for image in plan.images if image.tags]
    if why is not None:
        failed = _failed(solve, why)
        return tuple(_unmade(image, solve, why, failed, seconds) for image in named), ()
    stored = _stored([image for image in named if image.output == "load"], engine, env)
    digests = {
        image.name: metadata.digest(image.id.bake_target) or stored[image.name][0]
        for image in named
        if image.name in stored
    }
    known = _known(earlier, set(digests.values()))
    done = []
    for image in named:
        target = image.id.bake_target
        own, size = stored.get(image.name, ("", None))
        done.append(
            ImageResult(
                id=image.name,
                status="done",
                output=image.output,
                tags=image.tags if image.output != "none" else (),
                digest=metadata.digest(target) or own,
                size=size,
                layers=(known.get(digests[image.name]) or _layers(image, engine, env))
                if image.name in digests
                else (),
                seconds=seconds,
                steps=Steps(**solve.counts(target)),
            )
        )
    unknown = metadata.damaged or not metadata.targets
    said = ("the file of the build's digests (metadata.json) cannot be read",) if unknown else ()
    return tuple(done), said


def failed(plan: PlanDocument, solve: Solve, why: Failure | None) -> tuple[str, ...]:
    """The names of the images, those without a tag among them, that a failure is of."""
    if why is None or why.kind == "cancelled":
        return ()
    targets = _failed(solve, why)
    return tuple(image.name for image in plan.images if image.id.bake_target in targets)


def _known(earlier: Iterable[BuildResult], digests: set[str]) -> dict[str, tuple[Layer, ...]]:
    """The layers of images by their digests, as far as earlier builds made the same ones."""
    known: dict[str, tuple[Layer, ...]] = {}
    for result in islice(earlier, _LOOK_BACK):
        if digests <= known.keys():
            break
        for image in result.images:
            if image.digest in digests and image.layers:
                known[image.digest] = image.layers
    return known


def _layers(image: ImagePlan, engine: Engine, env: Mapping[str, str]) -> tuple[Layer, ...]:
    """The layers of an image that was loaded, as far as they add anything."""
    return tuple(
        Layer(made_by=_made_by(text), size=size)
        for text, size in images.history(engine, env, image.tags[0])
        if size
    )


def _made_by(text: str) -> str:
    """The instruction in a line, without its arguments, its shell and BuildKit's mark."""
    instruction = _SHELL.sub("RUN ", text.removesuffix(" # buildkit"), count=1)
    telling = StepName(index=1, total=1, instruction=instruction).telling
    return shorten(one_line(telling), _LONG)


def _failed(solve: Solve, why: Failure) -> frozenset[str]:
    """The targets that the step which failed belongs to; all where no step is known."""
    step = solve.failed() if why.step else None
    return (solve.images(step.digest) if step else frozenset()) or frozenset(solve.targets)


def _unmade(
    image: ImagePlan, solve: Solve, why: Failure, failed: frozenset[str], seconds: float
) -> ImageResult:
    target = image.id.bake_target
    own = why.kind != "cancelled" and target in failed
    return ImageResult(
        id=image.name,
        status="failed" if own else "cancelled",
        output=image.output,
        seconds=seconds,
        steps=Steps(**solve.counts(target)),
        failure=why if own else None,
    )


def _stored(
    loaded: Sequence[ImagePlan], engine: Engine, env: Mapping[str, str]
) -> dict[str, tuple[str, int | None]]:
    """Digest and size of each image as the engine has it."""
    names = {image.tags[0]: image.name for image in loaded}
    stored = {}
    for tag, line in images.inspect(engine, env, tuple(names), "{{.Id}} {{.Size}}").items():
        digest, _, size = line.partition(" ")
        stored[names[tag]] = (digest, int(size) if size.isascii() and size.isdecimal() else None)
    return stored
