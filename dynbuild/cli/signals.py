"""Signals become the cancellation of what runs; only the main thread hears them."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from dynbuild.proc import Cancellation

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PATIENCE = 2


@contextmanager
def cancelling(cancellation: Cancellation) -> Iterator[None]:
    """While active, SIGINT, SIGTERM and SIGHUP call the work off.

    Work that looks at the cancellation ends by itself; anything else is interrupted by an
    exception, and so is work that has not ended at the third signal.
    """
    heard = 0

    def handle(*_: object) -> None:
        nonlocal heard
        heard += 1
        cancellation.cancel()
        if heard > _PATIENCE or not cancellation.observed:
            raise KeyboardInterrupt

    # What was started with nohup is not to end with its terminal.
    ours = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = [(number, signal.signal(number, handle)) for number in ours]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)
