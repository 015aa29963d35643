"""What writes lines of what runs, and a sign of life where nothing is told for long."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Generic, Self, TypeVar

from dynbuild.report.display import Display

SILENCE_SECONDS = 30.0
"""After which a sign of life is due."""

_BEAT_SECONDS = 5.0
_Event = TypeVar("_Event")


class Heartbeat(ABC, Generic[_Event]):
    """Listener to events of any thread, which is asked for a sign of life between them."""

    def __init__(self, say: Callable[[str], None], display: Display, verbosity: int) -> None:
        """Start the clock.

        Args:
            say: Takes a line that is to be seen.
            display: How it is to look there.
            verbosity: 1 shows what steps print as well.
        """
        self._say, self._display, self._verbosity = say, display, verbosity
        self._begun = time.monotonic()
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beats, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def __call__(self, event: _Event) -> None:
        """Show *event*."""
        with self._lock:
            self._show(event)

    def _beats(self) -> None:
        # What runs may be silent for minutes, so the clock and not its output is the beat.
        while not self._over.wait(_BEAT_SECONDS):
            with self._lock:
                self._beat(time.monotonic())

    @abstractmethod
    def _show(self, event: _Event) -> None:
        """Show *event*."""

    @abstractmethod
    def _beat(self, now: float) -> None:
        """Give a sign of life, if one is due."""

    def _clock(self) -> str:
        """The seconds since it began."""
        return f"{time.monotonic() - self._begun:6.1f}s"
