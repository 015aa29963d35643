"""What an engine says of images it has."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from dynbuild import proc
from dynbuild.engine.model import Engine


def inspect(
    engine: Engine, env: Mapping[str, str], references: Sequence[str], template: str
) -> dict[str, str]:
    """What the engine says of each image by its reference; nothing of those it does not have.

    Args:
        engine: Which engine.
        env: The caller's environment.
        references: Names of images, each once.
        template: What to say, in one line, as docker's ``--format`` has it.
    """
    if not references:
        return {}
    argv = (engine.docker, "image", "inspect", "--format", template, *references)
    said = proc.run(argv, env=engine.env(env), check=False).stdout.splitlines()
    if len(said) == len(references):
        return dict(zip(references, said, strict=True))
    if len(references) == 1:
        return {}
    # Those that are not there leave no line, so it is open which line is whose.
    return {
        reference: line
        for one in references
        for reference, line in inspect(engine, env, [one], template).items()
    }


def has(engine: Engine, env: Mapping[str, str], name: str) -> bool:
    """Whether the engine has an image of that name."""
    argv = (engine.docker, "image", "ls", "--quiet", name)
    return bool(proc.run(argv, env=engine.env(env)).stdout)


def history(engine: Engine, env: Mapping[str, str], reference: str) -> tuple[tuple[str, int], ...]:
    """What made each layer of an image and its bytes, the base first; nothing if it is not there.

    Args:
        engine: Which engine.
        env: The caller's environment.
        reference: The name of the image.
    """
    words = ("image", "history", "--human=false", "--no-trunc", "--format", "{{json .}}")
    argv = (engine.docker, *words, reference)
    said = proc.run(argv, env=engine.env(env), check=False).stdout.splitlines()
    layers = [json.loads(line) for line in said if line.startswith("{")]
    return tuple((layer["CreatedBy"], int(layer["Size"])) for layer in reversed(layers))
