"""Keeps tests from what is outside of them: they start no process and open no connection.

Python tells of each such call before it is made (``sys.addaudithook``), whoever makes it.  A
test that means to is marked: ``processes`` with the names of the programs, ``network`` for
connections on loopback.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import pytest

_STARTS = (
    *("subprocess.Popen", "os.exec", "os.fork", "os.forkpty"),
    *("os.posix_spawn", "os.spawn", "os.system"),
)
_CONNECTS = (
    *("socket.bind", "socket.connect", "socket.getaddrinfo", "socket.gethostbyname"),
    *("socket.sendmsg", "socket.sendto"),
)


MARKS = ("processes", "network")


class _Guard:
    """What the test that runs now may do; everything while none does.

    Attributes:
        on: Whether anything is forbidden.
        programs: The programs that may be started.
        hosts: Addresses that may be used beside those of loopback; ``None``: none at all.
    """

    def __init__(self) -> None:
        self.on = False
        self.programs: Collection[str] = ()
        self.hosts: Collection[str] | None = None

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        """Refuse the call with an error that no ``except Exception`` swallows."""
        if not self.on:
            return
        if event in _STARTS:
            program = _program(arguments)
            if program not in self.programs:
                pytest.fail(
                    f"a unit test starts '{program}'; if it is meant to, mark it:"
                    f" @pytest.mark.processes('{program}')"
                )
        elif event in _CONNECTS:
            address = arguments[0] if event.startswith("socket.get") else arguments[1]
            host = address[0] if isinstance(address, tuple) else address
            if self.hosts is None or not (host in self.hosts or _is_here(host)):
                pytest.fail(
                    f"a unit test reaches {host!r}; if it is meant to, and stays on loopback,"
                    " mark it: @pytest.mark.network"
                )


def _program(arguments: Sequence[object]) -> str:
    """Name of the program that a call starts, empty for ``fork``; this Python is ``python``.

    The plugin by which docker's client builds is the client.
    """
    first = arguments[0] if arguments else ""
    path = os.fsdecode(first) if isinstance(first, str | bytes) else str(first)
    return "python" if path == sys.executable else Path(path).name.removesuffix("-buildx")


def _is_here(host: object) -> bool:
    """Whether an address is loopback, or the path of a socket that is no service's."""
    text = os.fsdecode(host) if isinstance(host, str | bytes) else ""
    if text == "localhost" or "/" in text:
        return not text.startswith(("/run/", "/var/run/"))
    try:
        return ipaddress.ip_address(text).is_loopback
    except ValueError:
        return False


_guard = _Guard()
sys.addaudithook(_guard)


@contextlib.contextmanager
def only(programs: Collection[str], hosts: Collection[str] | None) -> Iterator[None]:
    """Refuse to start other programs, and to open connections, in every thread."""
    _guard.on, _guard.programs, _guard.hosts = True, programs, hosts
    try:
        yield
    finally:
        _guard.on = False
