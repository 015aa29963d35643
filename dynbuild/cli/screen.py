"""The terminal, drawn again and again with what runs."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from rich.console import Console
from rich.live import Live as Region
from rich.text import Text

from dynbuild.build.events import Event, RecordBegun
from dynbuild.matrix.events import MatrixEvent
from dynbuild.report import frame
from dynbuild.report.display import Display
from dynbuild.report.frame import Line
from dynbuild.report.live import Live

_SECONDS = 0.25
_LEARN_SECONDS = 1.0


class Screen:
    """Listener that draws what runs, and leaves the terminal as it was.

    What is printed meanwhile stands above.
    """

    def __init__(
        self,
        live: Live,
        display: Display,
        learn: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Draw nothing yet.

        Args:
            live: What runs.
            display: Whether there are colours.
            learn: Called once beside it all, of a build that is not over at once.
            clock: Seconds, of the clock that *live* goes by.
        """
        self._live, self._colour, self._learn, self._clock = live, display.colour, learn, clock
        self._console = Console(file=sys.stderr, highlight=False, no_color=not display.colour)
        self._region = Region(
            console=self._console, auto_refresh=False, transient=True, vertical_overflow="crop"
        )
        self._size = self._console.size
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._drawing = threading.Thread(target=self._draw_on, daemon=True)
        self._learning = threading.Thread(target=self._learn_late, daemon=True)

    def __enter__(self) -> Screen:
        self._region.start()
        self._drawing.start()
        self._learning.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._drawing.join()
        # The terminal may be gone, and then there is nothing to leave as it was.
        with suppress(OSError):
            self._region.stop()

    def __call__(self, event: Event | MatrixEvent, now: float | None = None) -> None:
        """Take in *event*, which happened at *now*, or at this moment."""
        if isinstance(event, RecordBegun):
            self._console.print(f"recorded in {event.path}", markup=False, soft_wrap=True)
        with self._lock:
            self._live.feed(event, self._clock() if now is None else now)

    def _learn_late(self) -> None:
        # What comes from the cache is over before anything was learned.
        if not self._over.wait(_LEARN_SECONDS):
            self._learn()

    def _draw_on(self) -> None:
        with suppress(OSError):
            while not self._over.wait(_SECONDS):
                self._draw()

    def _draw(self) -> None:
        size = self._console.size
        if size != self._size:
            # A terminal that became narrower has broken the lines that stand there.
            self._size = size
            self._region.stop()
            self._console.clear()
            self._region.start()
        with self._lock:
            lines = frame.frame(
                self._live, width=size.width, height=size.height - 1, now=self._clock()
            )
        self._region.update(self._text(lines), refresh=True)

    def _text(self, lines: Sequence[Line]) -> Text:
        pieces: list[str | tuple[str, str]] = []
        for line in lines:
            pieces += ["\n"] if pieces else []
            pieces += [(part.text, part.style if self._colour else "") for part in line]
        return Text.assemble(*pieces, no_wrap=True, overflow="crop", end="")
