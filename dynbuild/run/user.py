"""What ``--user`` and ``--group-add`` accept, as docker does (moby/sys, ``user``).  Pure."""

from __future__ import annotations

import re

from dynbuild.errors import RequestError, quote
from dynbuild.quick import dataclass

_NUMBER = re.compile(r"[0-9]+")
_LONGEST = 10
_HIGHEST = 2**31 - 1


@dataclass(frozen=True, slots=True)
class User:
    """A user inside a container: ``NAME``, ``UID``, or either with ``:GROUP``.

    Attributes:
        name: Name or number of the user; empty for the image's.
        group: Name or number of the group; empty for the user's own.
    """

    name: str
    group: str = ""

    @property
    def uid(self) -> int | None:
        """The number of the user, where it is given as one."""
        return _number(self.name)

    @property
    def gid(self) -> int | None:
        """The number of the group, where it is given as one."""
        return _number(self.group)

    @property
    def is_root(self) -> bool:
        """Whether this is root, with or without a group."""
        return self.name in ("root", "0")


def read(text: str) -> User:
    """The user that *text* names, as an image may name its own; nothing is refused."""
    name, _, group = text.partition(":")
    return User(name, group)


def parse(text: str) -> User:
    """A ``--user`` value.

    Raises:
        RequestError: It is none that docker takes.
    """
    user = read(text)
    for part, number in ((user.name, user.uid), (user.group, user.gid)):
        if ":" in part or (_NUMBER.fullmatch(part) and number is None):
            raise RequestError(
                f"--user {quote(text)} is no user",
                hint=f"USER or UID, and :GROUP or :GID after it; numbers are 0 to {_HIGHEST}",
            )
    return user


def parse_group(text: str) -> str:
    """A ``--group-add`` value: a group by name or number.

    Raises:
        RequestError: It is none that docker takes.
    """
    if not text or ":" in text or (_NUMBER.fullmatch(text) and _number(text) is None):
        raise RequestError(
            f"--group-add {quote(text)} is no group", hint=f"GROUP or GID, 0 to {_HIGHEST}"
        )
    return text


def _number(text: str) -> int | None:
    if not _NUMBER.fullmatch(text) or len(text) > _LONGEST or int(text) > _HIGHEST:
        return None
    return int(text)
