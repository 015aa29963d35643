"""A call that is carried out beside other work."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

_T = TypeVar("_T")


class Background(Generic[_T]):
    """A call in a thread of its own, which begins at once and ends with the program.

    Nothing is told of it before somebody wants its result.
    """

    def __init__(self, call: Callable[[], _T]) -> None:
        self._call = call
        self._results: list[_T] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._results.append(self._call())
        except BaseException as error:
            self._error = error

    def result(self) -> _T:
        """What the call returns, when it is there; what it raises is raised here."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._results[0]
