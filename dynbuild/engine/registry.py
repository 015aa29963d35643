"""What a registry says of a name of an image, asked with the logins that a push has."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from dynbuild import proc
from dynbuild.engine.builder import Builder
from dynbuild.quick import dataclass

_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of asking.

    Attributes:
        images: The configuration of the image, or of each platform's, as read; for ``labels``.
        digest: Of what the name stands for, of all platforms together; empty for none.
        refusal: What was said in place of it; empty where there is one.
    """

    images: object = None
    digest: str = ""
    refusal: str = ""


def inspect(
    builder: Builder, env: Mapping[str, str], name: str, seconds: float = _SECONDS
) -> Answer:
    """Ask for the image *name*, all in one question.

    Args:
        builder: Whose logins and settings of registries count.
        env: The caller's environment.
        name: Its reference.
        seconds: How long that may take.

    Raises:
        NotReady: There is no answer in time.
    """
    # With {{.Manifest.Digest}}, buildx prints what it prints without a format.
    both = "[{{json .Manifest}},{{json .Image}}]"
    argv = (*builder.engine.buildx_argv, "imagetools", "inspect", "--format", both, name)
    done = proc.run(argv, env=builder.buildx_env(env), check=False, timeout=seconds)
    if done.returncode != 0:
        return Answer(refusal=done.stderr.strip() or f"exit status {done.returncode}")
    try:
        manifest, images = json.loads(done.stdout)
    except (ValueError, TypeError, RecursionError):
        return Answer()
    digest = manifest.get("digest", "") if isinstance(manifest, dict) else ""
    return Answer(images=images, digest=str(digest))


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """A layer of an image as its registry has it.

    Attributes:
        made_by: The instruction that made it; empty where that is not said.
        digest: Its own, as it is packed.
        size: Bytes, packed.
        platform: Of the image that it is of.
    """

    made_by: str
    digest: str
    size: int
    platform: str


def layers(
    builder: Builder, env: Mapping[str, str], name: str, seconds: float = _SECONDS
) -> tuple[Blob, ...]:
    """The layers of each platform of an image, the base's first; none where that is not said.

    Args:
        builder: Whose logins and settings of registries count.
        env: The caller's environment.
        name: ``REPOSITORY@DIGEST``.
        seconds: How long each of the questions may take.

    Raises:
        NotReady: There is no answer in time.
    """
    images = inspect(builder, env, name, seconds).images
    if not isinstance(images, dict):
        return ()
    repository = name.partition("@")[0]

    def raw(reference: str) -> dict[str, Any]:
        argv = (*builder.engine.buildx_argv, "imagetools", "inspect", "--raw", reference)
        said = proc.run(argv, env=builder.buildx_env(env), check=False, timeout=seconds).stdout
        document: dict[str, Any] = json.loads(said)
        return document

    try:
        index = raw(name)
        if "manifests" not in index:
            return tuple(_blobs(index, images, ""))
        found: list[Blob] = []
        for one in index["manifests"]:
            of = one["platform"]
            parts = (of["os"], of["architecture"], of.get("variant", ""))
            platform = "/".join(part for part in parts if part)
            # An attestation is of no platform.
            if "unknown" not in parts:
                own = images if "rootfs" in images else images[platform]
                found += _blobs(raw(f"{repository}@{one['digest']}"), own, platform)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return ()
    return tuple(found)


def _blobs(manifest: dict[str, Any], config: dict[str, Any], platform: str) -> Iterator[Blob]:
    made_by = [one.get("created_by", "") for one in config["history"] if not one.get("empty_layer")]
    packed = manifest["layers"]
    if len(made_by) != len(packed):
        made_by = [""] * len(packed)
    for text, one in zip(made_by, packed, strict=True):
        yield Blob(
            made_by=str(text), digest=str(one["digest"]), size=int(one["size"]), platform=platform
        )


def labels(images: object, name: str) -> Iterator[str]:
    """The label *name* of an image, or of each platform of an index, from ``Answer.images``."""
    for config in (images, *images.values()) if isinstance(images, dict) else ():
        inner = config.get("config") if isinstance(config, dict) else None
        found = inner.get("Labels") if isinstance(inner, dict) else None
        if isinstance(found, dict) and found.get(name):
            yield str(found[name])
