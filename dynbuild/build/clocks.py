"""The clocks of the targets of one build, brought to one.

Bake shifts the times of each target so that its first step seems to begin with the build. A step
that two targets share tells how far they are apart: its runs last equally long on both clocks.
"""

from __future__ import annotations

from datetime import datetime, timedelta

_EQUAL = timedelta(microseconds=2)
# What lasts no longer may be equally long by chance.
_TELLING = timedelta(milliseconds=1)


class Clocks:
    """How far the clock of each target is ahead of that of the first."""

    def __init__(self) -> None:
        """Start with clocks that are taken to be one."""
        self._ahead: dict[str, timedelta] = {}

    def time(self, target: str, time: datetime) -> datetime:
        """What the first target's clock shows when that of *target* shows *time*."""
        return time - self._ahead[target] if target in self._ahead else time

    def compare(
        self,
        first: str,
        span: tuple[datetime, datetime],
        second: str,
        other: tuple[datetime, datetime],
    ) -> None:
        """Learn from one run what two targets tell of it.

        Args:
            first: The target that told of it first.
            span: Begin and end, as ``time`` gave them then.
            second: Another target.
            other: Begin and end by its own clock.
        """
        length = span[1] - span[0]
        if length < _TELLING or abs(other[1] - other[0] - length) > _EQUAL:
            return
        if second not in self._ahead:
            self._ahead.setdefault(first, timedelta())
            self._ahead[second] = other[0] - span[0]
        elif first not in self._ahead:
            self._ahead[first] = span[0] - self.time(second, other[0])
