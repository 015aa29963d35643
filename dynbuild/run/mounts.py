"""What ``-v`` accepts: one grammar, docker's own (moby, ``volume/mounts``).  Pure."""

from __future__ import annotations

import posixpath
import re

from dynbuild.errors import RequestError, quote
from dynbuild.quick import dataclass

PROPAGATION = ("shared", "slave", "private", "rshared", "rslave", "rprivate")
CONSISTENCY = ("consistent", "cached", "delegated")
SELINUX = ("z", "Z")
_GROUPS = (("ro", "rw"), SELINUX, PROPAGATION, CONSISTENCY, ("nocopy",))

NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
"""Docker's rule for the names of volumes, and of containers."""


@dataclass(frozen=True, slots=True)
class Mount:
    """One ``-v``.

    Attributes:
        source: Path of the host, name of a volume, or empty for a volume without name.
        target: Path inside.
        options: ``ro``, ``z`` and so on, in the order given.
    """

    source: str
    target: str
    options: tuple[str, ...] = ()

    @property
    def is_path(self) -> bool:
        """Whether the source is a path of the host; a relative one starts with a dot."""
        return self.source.startswith(("/", "."))

    @property
    def read_only(self) -> bool:
        """Whether the container cannot write to it."""
        return "ro" in self.options

    def option_of(self, group: tuple[str, ...]) -> str:
        """The option out of *group* that is set; empty where there is none."""
        return next((option for option in self.options if option in group), "")


def parse(text: str) -> Mount:
    """A ``-v`` value: ``SOURCE:TARGET[:OPTIONS]``, or ``TARGET`` for a volume without name.

    A colon separates: docker has no way to write a path that holds one.

    Raises:
        RequestError: It is none that docker takes.
    """
    parts = text.split(":")
    if len(parts) == 1:
        parts = ["", *parts]
    elif not parts[0]:
        raise _error(text)
    if len(parts) > 3 or not parts[1].startswith("/"):
        raise _error(text)
    options = tuple(parts[2].split(",")) if parts[2:] and parts[2] else ()
    mount = Mount(parts[0], parts[1], options)
    if posixpath.normpath(mount.target) in ("/", "//"):
        raise RequestError(f"-v {quote(text)}: nothing can be mounted at /")
    if mount.source and not mount.is_path and not NAME.fullmatch(mount.source):
        raise RequestError(
            f"-v {quote(text)}: {quote(mount.source)} is neither a path nor the name of a volume",
            hint="a path starts with / or ./",
        )
    _check_options(text, options)
    return mount


def source_of(text: str) -> tuple[str, str]:
    """The source of a ``-v`` value as it is written, and the rest of it."""
    source, colon, rest = text.partition(":")
    return (source, f"{colon}{rest}") if colon else ("", text)


def _check_options(text: str, options: tuple[str, ...]) -> None:
    for option in options:
        if not any(option in group for group in _GROUPS):
            raise RequestError(f"-v {quote(text)}: there is no option {quote(option)}")
    for group in _GROUPS:
        if len(both := [option for option in options if option in group]) > 1:
            raise RequestError(f"-v {quote(text)}: {' and '.join(both)} exclude each other")


def _error(text: str) -> RequestError:
    return RequestError(
        f"-v {quote(text)} is no SOURCE:TARGET[:OPTIONS] with an absolute target",
        hint="docker takes no path with a colon in it" if text.count(":") > 2 else None,
    )
