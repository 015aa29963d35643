"""What became of each image of a build: status, digest, size, steps."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

from dynbuild import names
from dynbuild.build.metadata import Metadata
from dynbuild.build.result import BuildResult, Failure, ImageResult, Layer, Steps
from dynbuild.build.solve import Solve
from dynbuild.build.steps import StepName
from dynbuild.engine import images, registry
from dynbuild.engine.builder import Builder
from dynbuild.engine.model import Engine
from dynbuild.errors import NotReady, one_line, shorten
from dynbuild.plan.document import ImagePlan, PlanDocument
from dynbuild.quick import dataclass

MANY_LAYERS = 110
"""Above so many layers an image is warned of, its base's among them.

Docker's own store chains no more than 125 (moby, ``layer/layer_store.go``), and an image that is
built on this one has some of its own.
"""
_LOOK_BACK = 20
_LONG = 200
_SOON = 10.0
_NO_LAYER = re.compile(
    r"(?:/bin/sh -c #\(nop\) +)?"
    r"(?:ARG|CMD|ENTRYPOINT|ENV|EXPOSE|HEALTHCHECK|LABEL|MAINTAINER|SHELL|STOPSIGNAL|USER|VOLUME)\b"
)
_SHELL = re.compile(r"RUN (?:\|[0-9]+ .*?)?/bin/\w+(?: -[a-z]+| pipefail)*? -c ", re.DOTALL)


def results(
    plan: PlanDocument,
    solve: Solve,
    metadata: Metadata,
    why: Failure | None,
    *,
    builder: Builder,
    env: Mapping[str, str],
    seconds: float,
    earlier: Iterable[BuildResult] = (),
) -> tuple[tuple[ImageResult, ...], tuple[str, ...]]:
    """The result of each image of *plan* that has a name, and what somebody has to know of them.

    That is what was not to be learned, and an image with too many layers.

    Args:
        plan: What was built.
        solve: Its steps.
        metadata: What bake wrote down.
        why: Why it failed; ``None`` if it did not.
        builder: What built it.
        env: The caller's environment.
        seconds: How long it took.
        earlier: How builds ended before, the newest first: what they know is not asked again.
    """
    named = [image for image in plan.images if image.tags]
    if why is not None:
        failed = _failed(solve, why)
        return tuple(_unmade(image, solve, why, failed, seconds) for image in named), ()
    loaded = [image for image in named if image.output == "load"]
    stored = _stored(loaded, builder.engine, env)
    digests = {
        image.name: metadata.digest(image.id.bake_target)
        or stored.get(image.name, _Stored()).digest
        for image in named
        if image.name in stored or image.output == "push"
    }
    known = _known(earlier, set(digests.values()) - {""})
    done = []
    for image in named:
        target = image.id.bake_target
        own = stored.get(image.name, _Stored())
        done.append(
            ImageResult(
                id=image.name,
                status="done",
                output=image.output,
                tags=image.tags if image.output != "none" else (),
                digest=metadata.digest(target) or own.digest,
                size=own.size,
                layers=known.get(digests[image.name])
                or _layers(image, digests[image.name], own, builder, env)
                if image.name in digests
                else (),
                seconds=seconds,
                steps=Steps(**solve.counts(target)),
            )
        )
    return tuple(done), tuple(_warnings(stored, metadata))


def _warnings(stored: Mapping[str, _Stored], metadata: Metadata) -> Iterator[str]:
    for name, one in stored.items():
        if len(one.layers) > MANY_LAYERS:
            yield (
                f"{name} has {len(one.layers)} layers, those of its base image among them, and some"
                " engines take no image of more than 125"
            )
    if metadata.damaged or not metadata.targets:
        yield "the file of the build's digests (metadata.json) cannot be read"


def failed(plan: PlanDocument, solve: Solve, why: Failure | None) -> tuple[str, ...]:
    """The names of the images, those without a tag among them, that a failure is of."""
    if why is None or why.kind == "cancelled":
        return ()
    targets = _failed(solve, why)
    return tuple(image.name for image in plan.images if image.id.bake_target in targets)


def _known(earlier: Iterable[BuildResult], digests: set[str]) -> dict[str, tuple[Layer, ...]]:
    """The layers of images by their digests, as far as earlier builds made the same ones."""
    known: dict[str, tuple[Layer, ...]] = {}
    looked_at = islice(earlier, _LOOK_BACK)
    # A result is read when it is asked for, which takes a while.
    while not digests <= known.keys() and (result := next(looked_at, None)):
        for image in result.images:
            if image.digest in digests and image.layers:
                known[image.digest] = image.layers
    return known


def _layers(
    image: ImagePlan, digest: str, stored: _Stored, builder: Builder, env: Mapping[str, str]
) -> tuple[Layer, ...]:
    """The layers of an image that was pushed; of one that was loaded those that add anything."""
    if image.output == "push":
        return _pushed(image, digest, builder, env) if digest else ()
    made = images.history(builder.engine, env, image.tags[0])
    # The engine does not tell which entries of the history are no layers.
    layers = [one for one in made if one[1] or not _NO_LAYER.match(one[0])]
    digests = stored.layers if len(stored.layers) == len(layers) else ("",) * len(layers)
    return tuple(
        Layer(made_by=_made_by(text), size=size, digest=own)
        for (text, size), own in zip(layers, digests, strict=True)
        if size
    )


def _pushed(
    image: ImagePlan, digest: str, builder: Builder, env: Mapping[str, str]
) -> tuple[Layer, ...]:
    repository, _ = names.split_reference(image.tags[0])
    try:
        blobs = registry.layers(builder, env, f"{repository}@{digest}", _SOON)
    except NotReady:
        # The image is there, and that is what the build was for.
        return ()
    return tuple(
        Layer(
            made_by=_made_by(one.made_by), size=one.size, digest=one.digest, platform=one.platform
        )
        for one in blobs
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


@dataclass(frozen=True, slots=True)
class _Stored:
    """What the engine has: digest, bytes, its layers, none of which is known of others."""

    digest: str = ""
    size: int | None = None
    layers: tuple[str, ...] = ()


def _stored(
    loaded: Sequence[ImagePlan], engine: Engine, env: Mapping[str, str]
) -> dict[str, _Stored]:
    """What the engine has of each image, by the image's name."""
    by_tag = {image.tags[0]: image.name for image in loaded}
    stored = {}
    fields = ("Id", "Size", "RootFS.Layers")
    for tag, (digest, size, layers) in images.inspect(engine, env, tuple(by_tag), fields).items():
        own = tuple(map(str, layers)) if isinstance(layers, list) else ()
        stored[by_tag[tag]] = _Stored(
            digest=str(digest or ""),
            size=size if isinstance(size, int) else None,
            layers=own,
        )
    return stored
