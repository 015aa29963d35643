"""One call to a service, which ends in time or in a finding."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from dynbuild.errors import NotReady
from dynbuild.findings import Finding

_T = TypeVar("_T")

# One that answers a byte at a time, a name server or a helper program that is silent.
_CALL_SECONDS = 9.0


class Unusable(NotReady):
    """The cache cannot be used.

    Attributes:
        finding: Why, and what to do about it.
    """

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.message, hint=finding.remedy)
        self.finding = finding


class Refused(Unusable):
    """The credentials are good, and lack a right."""


def in_time(call: Callable[[], _T], explain: Callable[[Exception], Finding], silent: Finding) -> _T:
    """The result of *call*, which is given up after a while; errors become findings."""
    done: list[_T] = []
    failed: list[Exception] = []

    def work() -> None:
        try:
            done.append(call())
        except Exception as error:
            failed.append(error)

    # A daemon: a name server that never answers must not hold up the end of the program.
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(_CALL_SECONDS)
    if done:
        return done[0]
    if not failed:
        raise Unusable(silent)
    if isinstance(failed[0], NotReady):
        raise failed[0]
    finding = explain(failed[0])
    raise (Refused if finding.name == "denied" else Unusable)(finding) from None
