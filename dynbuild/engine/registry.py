"""What a registry says of a name of an image, asked with the logins that a push has."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

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
    argv = (builder.engine.docker, "buildx", "imagetools", "inspect", "--format", both, name)
    done = proc.run(argv, env=builder.env(env), check=False, timeout=seconds)
    if done.returncode != 0:
        return Answer(refusal=done.stderr.strip() or f"exit status {done.returncode}")
    try:
        manifest, images = json.loads(done.stdout)
    except (ValueError, TypeError, RecursionError):
        return Answer()
    digest = manifest.get("digest", "") if isinstance(manifest, dict) else ""
    return Answer(images=images, digest=str(digest))


def labels(images: object, name: str) -> Iterator[str]:
    """The label *name* of an image, or of each platform of an index, from ``Answer.images``."""
    for config in (images, *images.values()) if isinstance(images, dict) else ():
        inner = config.get("config") if isinstance(config, dict) else None
        found = inner.get("Labels") if isinstance(inner, dict) else None
        if isinstance(found, dict) and found.get(name):
            yield str(found[name])
