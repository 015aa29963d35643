"""Giving back the disk that one private engine takes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from contextlib import suppress

from dynbuild import proc
from dynbuild.engine.private.answer import running
from dynbuild.engine.private.place import Place, bytes_on_disk, locked, place_of
from dynbuild.engine.private.processes import processes_of
from dynbuild.engine.private.stop import clear
from dynbuild.errors import NotReady


def prune(env: Mapping[str, str], everything: bool) -> int:
    """Remove unused images and build cache, or, from an engine that is down, everything.

    Args:
        env: The environment of the user.
        everything: Remove the engine's data and its downloaded programs too.

    Returns:
        Bytes that were freed on disk.

    Raises:
        NotReady: The engine is down, or, for *everything*, is up.
    """
    place = place_of(env)
    if everything:
        return _remove(place)
    engine = running(env)
    own = engine.env(env)
    before = bytes_on_disk(place.data)
    proc.run((engine.docker, "image", "prune", "--all", "--force"), env=own)
    proc.run((engine.docker, "buildx", "prune", "--builder=default", "--all", "--force"), env=own)
    return max(0, before - bytes_on_disk(place.data))


def _remove(place: Place) -> int:
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
