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
        images: The configuration of the image as JSON, or of each platform's; empty for none.
        digest: Of what the name stands for, where that was asked for.
        refusal: What was said in place of it; empty where there is one.
    """

    images: str = ""
    digest: str = ""
    refusal: str = ""


def inspect(builder: Builder, env: Mapping[str, str], name: str) -> Answer:
    """Ask for the image *name*.

    Args:
        builder: Whose logins and settings of registries count.
        env: The caller's environment.
        name: Its reference.

    Raises:
        NotReady: There is no answer in time.
    """
    done = _ask(builder, env, name, "{{json .Image}}", _SECONDS)
    return done if isinstance(done, Answer) else Answer(images=done)


def digest(
    builder: Builder, env: Mapping[str, str], name: str, seconds: float = _SECONDS
) -> Answer:
    """Ask what the name of an image stands for: its digest, of all platforms together.

    *seconds* is how long that may take.

    Raises:
        NotReady: There is no answer in time.
    """
    # With {{.Manifest.Digest}}, buildx prints what it prints without a format.
    done = _ask(builder, env, name, "{{json .Manifest}}", seconds)
    if isinstance(done, Answer):
        return done
    try:
        return Answer(digest=str(json.loads(done)["digest"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        return Answer(refusal="it says nothing that is known")


def labels(text: str, name: str) -> Iterator[str]:
    """The label *name* of an image, or of each platform of an index, from ``Answer.images``."""
    try:
        read: object = json.loads(text)
    except (ValueError, RecursionError):
        return
    for config in (read, *read.values()) if isinstance(read, dict) else ():
        inner = config.get("config") if isinstance(config, dict) else None
        found = inner.get("Labels") if isinstance(inner, dict) else None
        if isinstance(found, dict) and found.get(name):
            yield str(found[name])


def _ask(
    builder: Builder, env: Mapping[str, str], name: str, template: str, seconds: float
) -> str | Answer:
    """What is said, or the refusal."""
    argv = (builder.engine.docker, "buildx", "imagetools", "inspect", "--format", template, name)
    done = proc.run(argv, env=builder.env(env), check=False, timeout=seconds)
    if done.returncode == 0:
        return done.stdout
    return Answer(refusal=done.stderr.strip() or f"exit status {done.returncode}")
