"""What a check says of the machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warning", "problem", "absent"]
"""``ok``; ``warning`` where something will go wrong or slowly; ``problem`` where nothing can
be built; ``absent`` where something optional is not there."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one check found out.

    Attributes:
        status: How that is.
        value: What was found.
        remedy: What to do about it; empty where there is nothing to do.
    """

    status: Status
    value: str
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One line of the doctor's table: the name of a check and its answer.

    Attributes:
        name: What was looked at.
        status: See ``Answer``.
        value: See ``Answer``.
        remedy: See ``Answer``.
    """

    name: str
    status: Status
    value: str
    remedy: str = ""


def ok(value: str) -> Answer:
    """All is well."""
    return Answer("ok", value)


def warning(value: str, remedy: str = "") -> Answer:
    """Something will go wrong, or slowly."""
    return Answer("warning", value, remedy)


def problem(value: str, remedy: str = "") -> Answer:
    """Nothing can be built."""
    return Answer("problem", value, remedy)


def absent(value: str, remedy: str = "") -> Answer:
    """Something optional is not there."""
    return Answer("absent", value, remedy)
