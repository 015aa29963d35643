"""What a registry says of a name of an image, asked with the logins that a push has."""

from __future__ import annotations

from collections.abc import Mapping

from dynbuild import proc
from dynbuild.engine.builder import Builder
from dynbuild.quick import dataclass

_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of asking.

    Attributes:
        images: The configuration of the image as JSON, or of each platform's; empty for none.
        refusal: What was said in place of it; empty where there is one.
    """

    images: str = ""
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
    argv = (builder.engine.docker, "buildx", "imagetools", "inspect", "--format", "{{json .Image}}")
    done = proc.run((*argv, name), env=builder.env(env), check=False, timeout=_SECONDS)
    if done.returncode == 0:
        return Answer(images=done.stdout)
    return Answer(refusal=done.stderr.strip() or f"exit status {done.returncode}")
