"""Local paths in what a person writes: flags, variables, settings files."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from dynbuild import names
from dynbuild.errors import RequestError, quote

_NAME_MAX, _PATH_MAX = 255, 4095
"""Bytes of a name and of a path (linux/limits.h; the kernel's 4096 have the NUL at the end)."""


_MOST_LINKS = 40
"""On the way to a file (path_resolution(7))."""

_LARGEST = 16 * 1024 * 1024
"""Bytes of a file that a person wrote; /dev/zero has no end."""


def content(path: Path) -> bytes:
    """What is in a file that a person names, which may be a pipe.

    Raises:
        OSError: It cannot be read, or is larger than anything that people write.
    """
    with path.open("rb") as file:
        data = file.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
    return data


def regular(path: Path) -> Path:
    """*path*, which is a file: a pipe is waited for, and a device may have no end.

    Raises:
        OSError: It is none.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "it is no file", str(path))
    return path


def stamp(path: Path) -> tuple[int, int, int]:
    """What tells a file from what takes its place, or is written to it later.

    Raises:
        OSError: There is none.
    """
    state = path.stat()
    return state.st_ino, state.st_mtime_ns, state.st_size


def expanded(text: str, *, origin: str | None = None) -> Path:
    """The path that *text* writes; it may start with ``~`` or ``~USER``.

    Raises:
        RequestError: It is empty, has a NUL character, is longer than a path can be, or has a
            user that this machine does not know.
    """
    if not text:
        raise RequestError("a path is empty", origin=origin, hint="'.' is the current folder")
    if "\0" in text:
        raise RequestError("a path has a NUL character in it, which no path can", origin=origin)
    if len(os.fsencode(text)) > _PATH_MAX or any(
        len(os.fsencode(part)) > _NAME_MAX for part in text.split("/")
    ):
        raise RequestError(
            f"{quote(text)} is longer than a path can be",
            origin=origin,
            hint=f"a name has {_NAME_MAX} bytes at most, a path {_PATH_MAX}",
        )
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        user = text.partition("/")[0]
        raise RequestError(
            f"{quote(text)}: this machine knows no home folder for {quote(user)}",
            origin=origin,
            hint="write the path in full",
        ) from error


HOME_VARIABLES = ("DYNBUILD_HOME", "XDG_DATA_HOME", "HOME")
"""What ``home`` goes by."""


def home(env: Mapping[str, str]) -> Path:
    """The directory of dynbuild: ``$DYNBUILD_HOME``, else one in the user's data directory.

    Raises:
        RequestError: The variable names a user whom this machine does not know.
    """
    if chosen := env.get("DYNBUILD_HOME"):
        return expanded(chosen, origin="environment DYNBUILD_HOME").resolve()
    data = env.get("XDG_DATA_HOME") or Path(env.get("HOME") or Path.home(), ".local/share")
    return Path(data, "dynbuild").resolve()


def with_home(text: str, *, origin: str | None = None) -> str:
    """*text* with the folder that a ``~`` at its beginning stands for; else as it is.

    Raises:
        RequestError: As ``expanded``.
    """
    return str(expanded(text, origin=origin)) if text.startswith("~") else text


def leads_out(path: Path, root: Path) -> bool:
    """Whether *path* is outside of the folder *root*, or any step of the way to it is.

    A way that leaves it and comes back is outside: a link by ``/proc/self`` leads another
    process, as docker's daemon is, elsewhere than this one.
    """
    real = Path(os.path.realpath(root))
    left = _below(os.path.join(os.getcwd(), path), root, real)  # noqa: PTH109, PTH118 - keeps ..
    here, links = real, 0
    while left:
        part = left.pop(0)
        here = here.parent if part == ".." else here / part
        if not here.is_relative_to(real):
            return True
        try:
            target = os.readlink(here)  # noqa: PTH115
        except OSError:
            continue
        links += 1
        if links > _MOST_LINKS:
            return True
        if not target.startswith("/"):
            here, left = here.parent, [*Path(target).parts, *left]
            continue
        further = _below(target, root, real)
        if further is None:
            return True
        here, left = real, [*further, *left]
    return left is None


def _below(text: str, *roots: Path) -> list[str] | None:
    """The parts of an absolute path below one of *roots*, as it is written; else ``None``."""
    path = Path(text)
    below = next((root for root in roots if path.is_relative_to(root)), None)
    return None if below is None else list(path.relative_to(below).parts)


def local(text: str, *, origin: str | None = None) -> Path:
    """``expanded``, and absolute from the current folder.

    Raises:
        RequestError: As ``expanded``.
    """
    return Path(os.path.abspath(expanded(text, origin=origin)))  # noqa: PTH100 - keeps links


def local_or_address(text: str, *, origin: str | None = None) -> str:
    """*text* as ``local`` has it, but an address as it is."""
    return text if names.is_address(text) else str(local(text, origin=origin))
