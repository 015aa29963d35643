"""Which installations of dynbuild use one private engine, so that none ends another's."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from dynbuild.engine.private.place import Place, place_of


def join(env: Mapping[str, str]) -> None:
    """Note that this installation uses the engine."""
    place = place_of(env)
    if _own() not in _noted(place):
        with suppress(OSError):  # another user's engine: whoever may not write ends nothing
            _write(place, (*_noted(place), _own()))


def leave(env: Mapping[str, str]) -> tuple[str, ...]:
    """Note that this installation uses the engine no more; the others that are still there."""
    place = place_of(env)
    others = tuple(name for name in _noted(place) if name != _own() and Path(name).exists())
    if place.root.is_dir() and os.access(place.root, os.W_OK):
        _write(place, others)
    return others


def _own() -> str:
    """What tells this installation from others: the folder of its Python environment."""
    return sys.prefix


def _noted(place: Place) -> tuple[str, ...]:
    try:
        found = json.loads(place.users.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return ()
    return tuple(map(str, found)) if isinstance(found, list) else ()


def _write(place: Place, names: Sequence[str]) -> None:
    draft = place.users.with_suffix(".new")
    draft.write_text(json.dumps(names, indent=2) + "\n", encoding="utf-8")
    draft.replace(place.users)
