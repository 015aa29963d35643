"""Giving back the disk that one private engine takes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from dynbuild import proc
from dynbuild.engine import usage
from dynbuild.engine.private.layout import bytes_on_disk, layout_of, locked
from dynbuild.engine.private.processes import processes_of
from dynbuild.engine.private.state import running
from dynbuild.engine.private.stop import clear
from dynbuild.errors import NotReady


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What of an engine's unused data is meant.

    Attributes:
        images: Images that no container uses.
        cache: Build cache that no build uses.
        older: Only what was made (an image) or used last (cache) longer ago than that.
    """

    images: bool = True
    cache: bool = True
    older: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Unused:
    """Something that ``prune`` would remove.

    Attributes:
        kind: ``image``, or ``cache`` with BuildKit's word for it: ``exec.cachemount``.
        name: Name of the image, or what made the cache.
        bytes: What goes with it, as the engine counts.
    """

    kind: str
    name: str
    bytes: int


def unused(env: Mapping[str, str], selection: Selection) -> list[Unused]:
    """What ``prune`` would remove, the largest first; nothing is changed.

    Raises:
        NotReady: The engine is down.
    """
    kept = usage.usage(running(env), env)
    last = datetime.now(UTC) - (selection.older or timedelta(0))
    found = [
        Unused("image", image.name, image.bytes)
        for image in (kept.images if selection.images else ())
        if not image.used and image.created <= last
    ]
    found += [
        Unused(f"cache {cache.kind}", cache.what, cache.bytes)
        for cache in (kept.cache if selection.cache else ())
        if not cache.used and cache.last <= last
    ]
    return sorted(found, key=lambda one: -one.bytes)


def prune(env: Mapping[str, str], selection: Selection) -> int:
    """Remove what of images and build cache is unused; bytes that were freed on disk.

    Raises:
        NotReady: The engine is down.
    """
    layout = layout_of(env)
    engine = running(env)
    own = engine.env(env)
    before = bytes_on_disk(layout.data)
    older = selection.older
    until = () if older is None else (f"--filter=until={older.total_seconds():.0f}s",)
    if selection.images:
        proc.run((engine.docker, "image", "prune", "--all", "--force", *until), env=own)
    if selection.cache:
        usage.prune_cache(engine, env, older)
    return max(0, before - bytes_on_disk(layout.data))


def remove(env: Mapping[str, str]) -> int:
    """Remove all data of an engine that is down, and its downloaded programs; bytes freed.

    Raises:
        NotReady: It is up.
    """
    layout = layout_of(env)
    if not os.access(layout.root, os.W_OK):
        return 0
    with locked(layout):
        if processes_of(layout):
            raise NotReady(
                "the private engine is in use, its data cannot be removed",
                hint="run `dynbuild engine down` first",
            )
        clear(layout)  # a mount left by a crash would lead the removal out of the directory
        before = bytes_on_disk(layout.root)
        for entry in layout.root.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                for inner in entry.iterdir():
                    if inner.is_dir() and not inner.is_symlink():
                        shutil.rmtree(inner)
                    else:
                        inner.unlink()
                with suppress(OSError):  # a file system of the user's may be mounted there
                    entry.rmdir()
            elif entry.name != "lock":
                entry.unlink()
        return max(0, before - bytes_on_disk(layout.root))
