"""What was consented to for a tree: kept outside of it, for one content of its settings file.

The folder is below dynbuild's home.  It counts only if it is the caller's own, nobody else can
write in it, and it is not in the tree itself, which could bring a consent along.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from dynbuild import disk_cache, paths
from dynbuild.errors import NotReady
from dynbuild.settings.trust import Widening


def missing(folder: Path, file: Path, asked: Iterable[Widening]) -> tuple[Widening, ...]:
    """Those of *asked* that nobody consented to for the settings *file* as it is now."""
    there = _granted(folder, file)
    return tuple(one for one in asked if list(one.identity) not in there)


def grant(folder: Path, file: Path, asked: Iterable[Widening]) -> None:
    """Remember a consent to *asked*.

    Raises:
        NotReady: It cannot be kept there.
    """
    there = _granted(folder, file)
    there += [list(one.identity) for one in asked if list(one.identity) not in there]
    text = json.dumps({"tree": str(file.parent), "granted": there}, indent=1)
    if not _is_apart(folder, file) or not disk_cache.put(_path(folder, file), text.encode()):
        raise NotReady(
            f"a consent cannot be kept in {folder}",
            hint="DYNBUILD_HOME names a folder outside of the tree in which only you can write; "
            "or name the file: --config dynbuild.toml",
        )


def sign(folder: Path, content: bytes) -> None:
    """Remember that *content*, which a tree keeps, is the caller's own word."""
    disk_cache.put(_signature(folder, content), b"")


def is_signed(folder: Path, tree: Path, content: bytes) -> bool:
    """Whether *content*, which is in *tree*, is the caller's own word and came not with it."""
    with suppress(OSError):
        apart = paths.leads_out(folder, tree) and disk_cache.is_own(folder)
        return apart and _signature(folder, content).is_file()
    return False


def _signature(folder: Path, content: bytes) -> Path:
    return folder / f"{hashlib.sha256(content).hexdigest()}.own"


def _granted(folder: Path, file: Path) -> list[list[str]]:
    with suppress(OSError, ValueError, LookupError, TypeError):
        path = _path(folder, file)
        if _is_apart(folder, file) and disk_cache.is_own(folder):
            return [[str(word) for word in row] for row in json.loads(path.read_bytes())["granted"]]
    return []


def _path(folder: Path, file: Path) -> Path:
    key = hashlib.sha256(f"{file.resolve()}\0".encode() + file.read_bytes()).hexdigest()
    return folder / f"{key}.json"


def _is_apart(folder: Path, file: Path) -> bool:
    return not folder.resolve().is_relative_to(file.parent.resolve())
