"""What a check found: the one type that preflights, the doctor and reports speak in."""

from __future__ import annotations

from dynbuild.quick import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that will go wrong, or is worth knowing.

    Attributes:
        name: Its kind, for programs: ``gpu-runtime``, ``port-taken``, …
        message: What is wrong, one sentence, no full stop.  Holds no secret.
        remedy: What to do about it.
        note: Whether it may well be meant so; such a finding is never an error.
    """

    name: str
    message: str
    remedy: str
    note: bool = False
