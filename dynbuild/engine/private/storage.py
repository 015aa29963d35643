"""Giving back the disk that one private engine takes."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from dynbuild import proc, units
from dynbuild.engine.private.answer import running
from dynbuild.engine.private.place import bytes_on_disk, locked, place_of
from dynbuild.engine.private.processes import processes_of
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
    engine = running(env)
    argv = (engine.docker, "system", "df", "--verbose", "--format", "{{json .}}")
    said = json.loads(proc.run(argv, env=engine.env(env)).stdout)
    last = datetime.now(UTC) - (selection.older or timedelta(0))
    found = []
    for image in said.get("Images") or () if selection.images else ():
        if image["Containers"] == "0" and _time(image["CreatedAt"]) <= last:
            name = f"{image['Repository']}:{image['Tag']}"
            short = image["ID"].removeprefix("sha256:")[:12]
            name = short if "<none>" in name else name
            found.append(Unused("image", name, units.parse_size(image["UniqueSize"])))
    for cache in said.get("BuildCache") or () if selection.cache else ():
        if cache["InUse"] == "false" and _time(cache["LastUsedAt"] or cache["CreatedAt"]) <= last:
            # What an image shares with the cache stays with the image.
            size = 0 if cache["Shared"] == "true" else units.parse_size(cache["Size"])
            kind = f"cache {cache['CacheType']}"
            found.append(Unused(kind, cache["Description"], size))
    return sorted(found, key=lambda one: -one.bytes)


def prune(env: Mapping[str, str], selection: Selection) -> int:
    """Remove what of images and build cache is unused; bytes that were freed on disk.

    Raises:
        NotReady: The engine is down.
    """
    place = place_of(env)
    engine = running(env)
    own = engine.env(env)
    before = bytes_on_disk(place.data)
    older = selection.older
    until = () if older is None else (f"--filter=until={older.total_seconds():.0f}s",)
    if selection.images:
        proc.run((engine.docker, "image", "prune", "--all", "--force", *until), env=own)
    if selection.cache:
        words = ("buildx", "prune", "--builder=default", "--all", "--force", *until)
        proc.run((engine.docker, *words), env=own)
    return max(0, before - bytes_on_disk(place.data))


def _time(text: str) -> datetime:
    """A moment as Docker writes it: ``2026-01-02 03:04:05.678901234 +0000 UTC``."""
    day, clock, zone, *_ = text.split()
    return datetime.fromisoformat(f"{day}T{clock.partition('.')[0]}{zone}")


def remove(env: Mapping[str, str]) -> int:
    """Remove all data of an engine that is down, and its downloaded programs; bytes freed.

    Raises:
        NotReady: It is up.
    """
    place = place_of(env)
    if not os.access(place.root, os.W_OK):
        return 0
    with locked(place):
        if processes_of(place):
            raise NotReady(
                "the private engine is in use, its data cannot be removed",
                hint="run `dynbuild engine down` first",
            )
        clear(place)  # a mount left by a crash would lead the removal out of the directory
        before = bytes_on_disk(place.root)
        for entry in place.root.iterdir():
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
        return max(0, before - bytes_on_disk(place.root))
