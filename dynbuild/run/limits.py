"""What ``--ulimit`` and ``--cpus`` accept, and what of the former an engine can grant.  Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from dynbuild import names
from dynbuild.errors import RequestError, quote
from dynbuild.quick import dataclass

NAMES = (
    *("core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile"),
    *("nproc", "rss", "rtprio", "rttime", "sigpending", "stack"),
)
"""The limits that docker knows (docker/go-units)."""

_LIMIT = re.compile(r"([a-z]+)=(-1|[0-9]{1,19})(?::(-1|[0-9]{1,19}))?")
_PROCESSORS = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,9})?")
_LARGEST = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Ulimit:
    """A resource limit; -1 is unlimited.

    Attributes:
        name: Docker's name of it.
        soft: The limit.
        hard: What a process may raise it to; ``None`` is the same as *soft*.
    """

    name: str
    soft: int
    hard: int | None = None

    def __str__(self) -> str:
        return f"{self.name}={self.soft}" + ("" if self.hard is None else f":{self.hard}")


def parse_ulimit(text: str) -> Ulimit:
    """A ``--ulimit`` value, ``NAME=SOFT[:HARD]``.

    Raises:
        RequestError: It is none that docker takes.
    """
    match = _LIMIT.fullmatch(text)
    if not match:
        raise RequestError(
            f"{quote(text)} is no limit, NAME=SOFT[:HARD]", hint="such as nofile=1024"
        )
    name, soft, hard = match[1], int(match[2]), int(match[3] or match[2])
    if name not in NAMES:
        raise RequestError(
            f"{quote(text)} is no limit, NAME=SOFT[:HARD]", hint=names.did_you_mean(name, NAMES)
        )
    if max(soft, hard) > _LARGEST:
        raise RequestError(f"{quote(text)}: a limit is less than 2^63, or -1 for none")
    if hard != -1 and (soft > hard or soft == -1):
        raise RequestError(f"{quote(text)}: the soft limit is above the hard one")
    return Ulimit(name=name, soft=soft, hard=int(match[3]) if match[3] else None)


def fit(
    ulimits: tuple[str, ...], hard: Mapping[str, int]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """*ulimits* cut to what the engine may grant, and a sentence for each that was cut.

    Args:
        ulimits: ``NAME=SOFT[:HARD]``; -1 is unlimited.
        hard: The engine's own hard limits; a name that is missing is unbounded.
    """
    fitted, said = [], []
    for text in ulimits:
        limit = parse_ulimit(text)
        bound = hard.get(limit.name)
        values = (limit.soft,) if limit.hard is None else (limit.soft, limit.hard)
        if bound is None or all(0 <= value <= bound for value in values):
            fitted.append(text)
            continue
        cut = ":".join(str(value if 0 <= value <= bound else bound) for value in values)
        fitted.append(f"{limit.name}={cut}")
        said.append(f"the engine may not grant {text}: its own hard limit is {bound}")
    return tuple(fitted), tuple(said)


def parse_processors(text: str) -> str:
    """A ``--cpus`` value: a number of processors, with or without a fraction.

    Raises:
        RequestError: It is none.
    """
    if not _PROCESSORS.fullmatch(text):
        raise RequestError(f"{quote(text)} is no number of processors", hint="such as 8 or 1.5")
    return text
