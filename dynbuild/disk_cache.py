"""Work that is kept on the disk, so that the next command need not do it again.

A folder counts only if it is the user's own and nobody else can write in it, as with
``__pycache__``.  Each file begins with what it was made of and by, and with a checksum; whatever
is wrong with one, or with the folder, the work is done as if nothing were kept.
"""

from __future__ import annotations

import functools
import hashlib
import os
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from dynbuild import __version__, paths

_MADE_BY = f"dynbuild {__version__}, {sys.version}"


def read(path: Path, made_of: str) -> bytes | None:
    """What is kept as *path*, if it was made of just that by just this program."""
    with suppress(OSError):
        if is_own(path.parent):
            head, _, content = path.read_bytes().partition(b"\n\n")
            if head == _head(made_of, content):
                return content
    return None


def kept(path: Path | None, made_of: str, make: Callable[[], bytes]) -> bytes:
    """What is kept as *path*; where nothing is, or not of that, what *make* makes, to be kept.

    Args:
        path: The file; ``None``: nothing is kept.
        made_of: What the content depends on.
        make: Makes the content; what it raises is raised, and nothing is kept.
    """
    if path is None:
        return make()
    content = read(path, made_of)
    if content is None:
        content = make()
        write(path, made_of, content)
    return content


def write(path: Path, made_of: str, content: bytes) -> None:
    """Keep *content* as *path*, whole or not at all."""
    put(path, _head(made_of, content) + b"\n\n" + content)


def put(path: Path, content: bytes) -> bool:
    """Write *path*, for its owner only, whole or not at all; whether it could be written."""
    import tempfile  # a command that finds everything does not need it

    with suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not is_own(path.parent):
            return False
        # The file is for its owner only from the start.
        number, part = tempfile.mkstemp(dir=path.parent, prefix=".")
        try:
            with os.fdopen(number, "wb") as file:
                file.write(content)
            os.replace(part, path)  # noqa: PTH105
        except OSError:
            os.unlink(part)  # noqa: PTH108
            raise
        return True
    return False


@functools.cache
def code(*places: Path) -> bytes:
    """What tells one state of a checkout's code from another, as for Python's own bytecode.

    Args:
        places: Modules, and folders of them.
    """
    files = [file for place in places for file in (place, *place.rglob("*.py"))]
    return repr([(str(file), paths.stamp(file)) for file in sorted(files)]).encode()


def _head(made_of: str, content: bytes) -> bytes:
    made_by = " ".join(_MADE_BY.split())
    return f"{made_by}\n{made_of}\n{hashlib.sha256(content).hexdigest()}".encode()


def is_own(folder: Path) -> bool:
    """Whether *folder* belongs to the caller, and nobody else can write in it."""
    found = folder.lstat()
    writable = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not writable
