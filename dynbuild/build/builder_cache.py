"""Which steps a builder still has, by what it says of the entries of its cache.  Pure.

BuildKit says of an entry what made it: ``mount / from exec`` and the command of a RUN
(``solver/llbsolver/ops/exec.go``), or the name of the step where it made files
(``solver/llbsolver/file/refmanager.go``).  It does not say from which inputs: one of the same
words made from others is taken for the step.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Mapping

from dynbuild.render.graph import Graph, Step

_NAMELESS = " fileop target\n"
"""What older ones say of all steps that make files."""


class BuilderCache:
    """What is in the cache of a builder."""

    def __init__(self, made_by: Iterable[str]) -> None:
        """*made_by* is what made each entry, in BuildKit's words."""
        self._text = "".join(f" {_plain(one)}\n" for one in made_by)

    def has(self, step: Step, names: Iterable[str] = ()) -> bool:
        """Whether a step's result is in it; also where that cannot be told.

        Args:
            step: The step.
            names: What it was called in a build, where that is known.
        """
        own = step.instruction
        if not step.is_run and _NAMELESS in self._text:
            return True
        if not step.is_run:
            called = (step.parts.get("expanded", ""), str(own), *names)
            return any(f"] {_plain(one)}\n" in self._text for one in called if one)
        if own.body.startswith("#!"):
            return True  # The command is the name of a file then.
        if own.body:
            return _plain(own.body) in self._text
        return f" {_plain(_command(own.text))}\n" in self._text


def lost(
    made: Graph,
    changed: Container[str],
    cache: BuilderCache,
    names: Mapping[str, Iterable[str]],
) -> frozenset[str]:
    """The keys of steps that have to be run again though nothing of them is another one.

    A step that is not in the cache only runs where its result is wanted: it is the last one of
    the image, or a step that runs needs it.

    Args:
        made: The steps of an image.
        changed: Keys of those that run anyhow.
        cache: What the builder has.
        names: What steps were called in a build, by their keys.
    """
    needed = {key for step in made.steps.values() for key in step.inputs}
    wanted = {key for key in made.steps if key not in needed}
    found = set()
    for key, step in reversed([*made.steps.items()]):
        if key not in wanted:
            continue
        if key not in changed:
            if not cache.has(step, names.get(key, ())):
                found.add(key)
            elif not step.is_linked:
                continue
        wanted.update(step.inputs)
    return frozenset(found)


def _plain(text: str) -> str:
    return " ".join(text.split())


def _command(text: str) -> str:
    """The words of a RUN: the shell's text, or a list of them."""
    if text.startswith("["):
        try:
            return " ".join(map(str, json.loads(text)))
        except (ValueError, TypeError, RecursionError):
            pass
    return text
