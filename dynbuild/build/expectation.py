"""The expectation that steps come from the cache, held against what a build does.  Pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from dynbuild.build.events import Event, LogLine, Retried, StepEnded, StepStarted
from dynbuild.build.result import Failure
from dynbuild.build.steps import StepName

_LONGEST = timedelta(seconds=2)
"""So long a step may go on without saying whether it was in the cache: reading one takes less."""


class Expectation:
    """Listens to a build for the first step that is not in the cache, of those that should be.

    Attributes:
        missed: The name of that step; ``None`` while there is none.
    """

    def __init__(self, pattern: str, reason: Callable[[StepName], str]) -> None:
        """Expect the steps that fit *pattern* to be in the cache.

        Args:
            pattern: See ``StepName.fits``; ``*`` for all.
            reason: What tells why a step is not there.
        """
        self.missed: StepName | None = None
        self._pattern = pattern
        self._reason = reason
        self._running: dict[str, tuple[StepName, datetime | None]] = {}

    def feed(self, event: Event) -> bool:
        """Take in *event*; whether it is the one that tells of the first miss."""
        if self.missed is not None:
            return False
        match event:
            case StepStarted(digest=digest, name=name, inputs=inputs, time=time):
                # What ADD downloads is looked at each time: it needs nothing.
                if name.is_instruction and inputs and name.fits(self._pattern):
                    self._running[digest] = name, time
            case StepEnded(digest=digest, cached=cached) if digest in self._running:
                name, _ = self._running.pop(digest)
                if not cached and not event.error:
                    self._miss(name)
            case LogLine(digest=digest) if digest in self._running:
                self._miss(self._running[digest][0])
            case Retried():
                self._running.clear()
        now = getattr(event, "time", None)
        for name, begun in self._running.values():
            if now and begun and now - begun > _LONGEST:
                self._miss(name)
        return self.missed is not None

    def _miss(self, name: StepName) -> None:
        self.missed = self.missed or name

    def failure(self) -> Failure | None:
        """Why the build was ended; ``None`` where all was as it was expected."""
        if self.missed is None:
            return None
        return Failure(
            kind="user",
            step=str(self.missed),
            message=f"it is not in the cache, as --expect-cached says: {self._reason(self.missed)}",
            hint="dynbuild plan --diff shows all that would run, and why",
        )
