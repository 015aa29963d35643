"""Sizes and times: read once, shown once.  Pure.

Memory is counted in powers of 1024, as docker's ``--memory`` and ``--shm-size`` are; disks,
images and objects in powers of 1000, as ``docker images``, disks and S3 do.  Text becomes a
whole number of bytes by whole numbers alone, so nothing is rounded on the way but a fraction
of a byte; what is shown has three significant digits, as ``docker images`` shows sizes.
"""

from __future__ import annotations

import re
from datetime import timedelta

from dynbuild.errors import RequestError, quote
from dynbuild.quick import regex

DECIMAL, BINARY = 1000, 1024

_PREFIXES = "kmgtpe"
# Digits are bounded: Python refuses to read a number of more than 4300, and nothing has so many.
_SIZE = regex(rf"([0-9]{{1,19}})(?:\.([0-9]{{0,9}}))? *(?:([{_PREFIXES}])(i?))?b?", re.I)
_LARGEST = 2**63 - 1
"""Docker's own bound, and that of every file system."""

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 24 * 3600, "w": 7 * 24 * 3600}
_TIME = regex(rf"([0-9]{{1,6}}) *([{''.join(_SECONDS)}])", re.I)
_INTEGER = regex(r"[+-]?[0-9]{1,30}")


def parse_size(text: str, *, base: int = DECIMAL, origin: str | None = None) -> int:
    """Bytes in ``512``, ``500M``, ``1.5 GB`` or ``200GiB``.

    Args:
        text: What the user wrote; the case of letters does not matter.
        base: What a kilo is where the text does not say: ``DECIMAL``, or ``BINARY`` as docker
            has it.  ``i`` is always 1024.
        origin: Where the text came from.

    Raises:
        RequestError: It is no size, or one beyond 8 EiB.
    """
    match = _SIZE.fullmatch(text.strip())
    if match:
        whole, fraction, prefix, binary = match.groups(default="")
        power = 1 + _PREFIXES.index(prefix.lower()) if prefix else 0
        scale = 10 ** len(fraction)
        count: int = int(whole + fraction) * (BINARY if binary else base) ** power // scale
        if count <= _LARGEST:
            return count
    raise RequestError(
        f"{quote(text)} is no size", origin=origin, hint="such as 512M, 64G, 1.5T or 200GiB"
    )


def format_size(count: int, *, base: int = DECIMAL) -> str:
    """A number of bytes in three significant digits: ``1.02 GB``, ``88 MB``, ``7.6 GiB``."""
    names = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
    if base == BINARY:
        names = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
    power = 0
    # The next unit as soon as this one would be shown as a whole one of it.
    while power < len(names) - 1 and 2 * count >= (2 * base - 1) * base**power:
        power += 1
    unit = base**power
    decimals = 2 if 1000 * count < 9995 * unit else 1 if 100 * count < 9995 * unit else 0
    scale = 10**decimals if power else 1
    whole, fraction = divmod((2 * count * scale + unit) // (2 * unit), scale)
    digits = f"{fraction:0{decimals}}".rstrip("0") if fraction else ""
    return f"{whole}.{digits} {names[power]}" if digits else f"{whole} {names[power]}"


def parse_time(text: str, *, origin: str | None = None) -> timedelta:
    """The time in ``90s``, ``45m``, ``12h``, ``30d`` or ``4w``.

    Raises:
        RequestError: It is no time.
    """
    match = _TIME.fullmatch(text.strip())
    if not match:
        raise RequestError(
            f"{quote(text)} is no time", origin=origin, hint="such as 45m, 12h, 30d or 4w"
        )
    return timedelta(seconds=int(match[1]) * _SECONDS[match[2].lower()])


def format_time(seconds: float) -> str:
    """A time in its two largest units: ``7.4 s``, ``3 min 20 s``, ``2 h 1 min``, ``5 days``."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes_left = divmod(minutes, 60)
    if hours >= 48:
        return f"{hours // 24} days"
    if hours:
        return f"{hours} h {minutes_left} min" if minutes_left else f"{hours} h"
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"


def format_minutes(seconds: float) -> str:
    """A time to the minute, one at least: for what is known, or matters, no better."""
    return format_time(60 * max(1, round(seconds / 60)))


def parse_integer(text: str, *, low: int, high: int, origin: str | None = None) -> int:
    """The whole number in *text*, from *low* to *high*.

    Raises:
        RequestError: It is none, or out of these bounds.
    """
    word = text.strip()
    if _INTEGER.fullmatch(word) and low <= int(word) <= high:
        return int(word)
    raise RequestError(
        f"{quote(text)} is no whole number from {low} to {high}",
        origin=origin,
        hint=f"write a number from {low} to {high}",
    )
