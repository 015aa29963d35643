"""How long a build waits for a registry that says nothing.

BuildKit waits for ever for an answer.  Of a push it tells when it begins and when it ends, and
nothing in between: so the limit is one for a whole layer, and the user's to set.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from dynbuild import units
from dynbuild.build.events import Event, StepEnded, StepStarted, Transfer
from dynbuild.build.result import Failure

_BEAT_SECONDS = 1.0
_QUESTION_SECONDS = 300.0
"""For a question that is answered with a few kilobytes."""

_QUESTIONS = ("load metadata for ", "importing cache manifest ")
_UPLOADS = ("pushing ", "writing layer ", "writing cache ", "writing config ", "writing manifest ")


class Waiting:
    """What a build waits for, fed with its events.  Pure."""

    def __init__(self, limit: float) -> None:
        """Start with nothing known.

        Args:
            limit: Seconds that an upload may be silent.
        """
        self._limit = limit
        self._running: dict[str, float | None] = {}
        self._names: dict[str, str] = {}
        self._last = 0.0

    def feed(self, event: Event, now: float) -> None:
        """Take in *event*, which came at *now*, in seconds of any clock."""
        self._last = now
        match event:
            case StepStarted(digest=digest, name=name):
                asks = name.instruction.startswith(_QUESTIONS)
                self._running[digest] = min(_QUESTION_SECONDS, self._limit) if asks else None
                self._names[digest] = name.instruction
            case StepEnded(digest=digest):
                self._running.pop(digest, None)
            case Transfer(digest=digest, id=id) if digest in self._running:
                uploads = id.startswith(_UPLOADS) and event.completed is None
                self._running[digest] = self._limit if uploads else None
                self._names[digest] = id if uploads else self._names.get(digest, "")

    def given_up(self, now: float) -> str:
        """What was waited for too long; empty where a step works, or there is time left."""
        limits = {digest: limit for digest, limit in self._running.items() if limit is not None}
        if not limits or len(limits) < len(self._running):
            return ""
        digest = min(limits, key=lambda one: limits[one])
        return self._names[digest] if now - self._last >= limits[digest] else ""


class RegistryTimeout:
    """Listens to a build, and cancels it where it waits for a registry too long.

    Attributes:
        lost_for: What was waited for when the registry was given up; empty while it is not.
    """

    def __init__(self, limit: float, cancel: Callable[[], None]) -> None:
        """Start the clock.

        Args:
            limit: Seconds that an upload may be silent.
            cancel: Ends the build.
        """
        self.lost_for = ""
        self._limit = limit
        self._cancel = cancel
        self._waiting = Waiting(limit)
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._beat = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> RegistryTimeout:
        self._beat.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._beat.join()

    def __call__(self, event: Event) -> None:
        """Take in *event*."""
        with self._lock:
            self._waiting.feed(event, time.monotonic())

    def failure(self) -> Failure | None:
        """Why the build was cancelled; ``None`` where no registry was given up."""
        if not self.lost_for:
            return None
        limit = units.format_time(self._limit)
        if self.lost_for.startswith(_QUESTIONS):
            limit = units.format_time(min(_QUESTION_SECONDS, self._limit))
        return Failure(
            kind="transient",
            step=self.lost_for,
            message=f"the registry has said nothing for {limit}",
            hint="see whether it answers from this machine: curl -i https://REGISTRY/v2/; a slow"
            " one has longer with --registry-timeout",
        )

    def _watch(self) -> None:
        while not self._over.wait(_BEAT_SECONDS):
            with self._lock:
                self.lost_for = self._waiting.given_up(time.monotonic())
            if self.lost_for:
                self._cancel()
                return
