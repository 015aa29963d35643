"""Which installations of dynbuild use one private engine, so that none ends another's."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from dynbuild.engine.private.layout import Layout, layout_of


def join(env: Mapping[str, str]) -> None:
    """Note that this installation uses the engine."""
    layout = layout_of(env)
    if _own() not in _recorded(layout):
        with suppress(OSError):  # another user's engine: whoever may not write ends nothing
            _write(layout, (*_recorded(layout), _own()))


def leave(env: Mapping[str, str]) -> tuple[str, ...]:
    """Note that this installation uses the engine no more; the others that are still there."""
    layout = layout_of(env)
    others = tuple(name for name in _recorded(layout) if name != _own() and Path(name).exists())
    if layout.root.is_dir() and os.access(layout.root, os.W_OK):
        _write(layout, others)
    return others


def _own() -> str:
    """What tells this installation from others: the folder of its Python environment."""
    return sys.prefix


def _recorded(layout: Layout) -> tuple[str, ...]:
    try:
        found = json.loads(layout.installations.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return ()
    return tuple(map(str, found)) if isinstance(found, list) else ()


def _write(layout: Layout, names: Sequence[str]) -> None:
    draft = layout.installations.with_suffix(".new")
    draft.write_text(json.dumps(names, indent=2) + "\n", encoding="utf-8")
    draft.replace(layout.installations)
