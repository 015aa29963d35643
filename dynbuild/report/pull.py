"""What a node pulls of an image, where it has the last one before it and where it has none.  Pure.

Layers are told apart by their digests, as a registry and an engine do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dynbuild import units
from dynbuild.build.result import BuildResult, ImageResult, Layer


@dataclass(frozen=True, slots=True, kw_only=True)
class Pull:
    """What a node pulls.

    Attributes:
        image: Id of the image.
        platform: Which of its platforms; empty where it is not said.
        has: Id of the build whose image the node has; empty: it has none.
        layers: How many layers it pulls.
        bytes: How many bytes they are.
        packed: Whether that is as a registry sends them; else it is what they are unpacked.
    """

    image: str
    platform: str
    has: str
    layers: int
    bytes: int
    packed: bool

    @property
    def size(self) -> str:
        """The bytes, for people."""
        return f"{units.format_size(self.bytes)}{'' if self.packed else ' unpacked'}"


def of(result: BuildResult, earlier: Iterable[BuildResult]) -> tuple[Pull, ...]:
    """The pulls of the images of a build, as far as the digests of their layers are known.

    Args:
        result: How the build ended.
        earlier: How builds ended before it, the newest first.
    """
    before = tuple(earlier)
    return tuple(
        pull
        for image in result.images
        for platform in dict.fromkeys(layer.platform for layer in image.layers)
        for pull in _pulls(image, platform, before)
    )


def _pulls(image: ImageResult, platform: str, before: Iterable[BuildResult]) -> Iterator[Pull]:
    own = _layers(image, platform)
    if not own:
        return
    packed = image.output == "push"
    had = [("", dict[str, Layer]()), *_last(image, platform, before)]
    for has, there in had:
        new = [layer for digest, layer in own.items() if digest not in there]
        yield Pull(
            image=image.id,
            platform=platform,
            has=has,
            layers=len(new),
            bytes=sum(layer.size for layer in new),
            packed=packed,
        )


def _last(
    image: ImageResult, platform: str, before: Iterable[BuildResult]
) -> Iterator[tuple[str, dict[str, Layer]]]:
    """The build that made the image last, and the layers that it had."""
    for result in before:
        for one in result.images:
            if (one.id, one.output, one.status) != (image.id, image.output, "done"):
                continue
            layers = _layers(one, platform)
            if layers:
                yield result.id, layers
                return


def _layers(image: ImageResult, platform: str) -> dict[str, Layer]:
    """The layers of a platform by their digests; none where one of these is not known."""
    own = [layer for layer in image.layers if layer.platform == platform]
    return {layer.digest: layer for layer in own} if all(layer.digest for layer in own) else {}
