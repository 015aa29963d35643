"""What an engine says of images it has."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from urllib.parse import quote

from dynbuild import proc
from dynbuild.engine import api
from dynbuild.engine.model import Engine

_FOUND, _NOT_FOUND = 200, 404


def inspect(
    engine: Engine, env: Mapping[str, str], references: Sequence[str], fields: Sequence[str]
) -> dict[str, tuple[object, ...]]:
    """What the engine says of each image by its reference; nothing of those it does not have.

    Args:
        engine: Which engine.
        env: The caller's environment.
        references: Names of images, each once.
        fields: What to say, as ``docker image inspect`` names it, such as ``RootFS.Layers``.
    """
    with suppress(OSError, ValueError):
        # A client of docker takes longer to start than the engine takes to answer.
        answers = [(one, api.get(engine.host, f"/images/{quote(one)}/json")) for one in references]
        if all(status in (_FOUND, _NOT_FOUND) for _, (status, _) in answers):
            return {
                one: tuple(_value(said, field) for field in fields)
                for one, (status, said) in answers
                if status == _FOUND
            }
    return _by_client(engine, env, references, fields)


def _value(said: object, field: str) -> object:
    for name in field.split("."):
        said = said.get(name) if isinstance(said, dict) else None
    return said


def _by_client(
    engine: Engine, env: Mapping[str, str], references: Sequence[str], fields: Sequence[str]
) -> dict[str, tuple[object, ...]]:
    if not references:
        return {}
    template = f"[{','.join(f'{{{{json .{field}}}}}' for field in fields)}]"
    argv = (engine.docker, "image", "inspect", "--format", template, *references)
    said = proc.run(argv, env=engine.env(env), check=False).stdout.splitlines()
    if len(said) == len(references):
        values = (_values(line, len(fields)) for line in said)
        return dict(zip(references, values, strict=True))
    if len(references) == 1:
        return {}
    # Those that are not there leave no line, so it is open which line is whose.
    return {
        reference: values
        for one in references
        for reference, values in _by_client(engine, env, [one], fields).items()
    }


def _values(line: str, count: int) -> tuple[object, ...]:
    """What a client said of one image; ``None`` for each where that is no answer."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        found = None
    whole = isinstance(found, list) and len(found) == count
    return tuple(found) if whole else (None,) * count


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
