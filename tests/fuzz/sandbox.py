"""Where inputs are tried: only git starts, nothing is reached, all files are in one folder."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import shutil
import signal
import socket
import sys
import webbrowser
from pathlib import Path
from unittest import mock

from dynbuild import proc
from dynbuild.engine import emulation
from dynbuild.errors import NotReady

SECONDS = 120
"""A command that takes longer hangs, even on a loaded machine."""


def _refuse(*_, **__):
    raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")


def _only_git(function):
    def called(argv, *more, **words):
        if Path(argv[0]).name != "git":
            raise NotReady(f"the program '{argv[0]}' cannot be started")
        return function(argv, *more, **words)

    return called


def _never(argv, *_, **__):
    raise NotReady(f"the program '{argv[0]}' cannot be started")


def _hangs(*_):
    raise TimeoutError(f"no end after {SECONDS} seconds")


@contextlib.contextmanager
def sandbox(folder):
    """What commands find while it lasts; yields the variables that they are to have."""
    programs = folder / "bin"
    programs.mkdir(parents=True, exist_ok=True)
    git = shutil.which("git")
    if git is not None and not (programs / "git").exists():
        (programs / "git").symlink_to(git)
    with contextlib.ExitStack() as stack:
        for where, name, new in (
            (proc, "run", _only_git(proc.run)),
            (proc, "start", _only_git(proc.start)),
            (proc, "start_daemon", _never),
            (proc, "replace", _never),
            (emulation, "_BINFMT", folder / "binfmt_misc"),
            (webbrowser, "open", lambda _: False),
            (socket, "getaddrinfo", _refuse),
            (socket.socket, "connect", _refuse),
            (socket.socket, "connect_ex", lambda *_: errno.ECONNREFUSED),
            (sys, "stdin", io.StringIO()),
        ):
            stack.enter_context(mock.patch.object(where, name, new))
        before = signal.signal(signal.SIGALRM, _hangs)
        stack.callback(signal.signal, signal.SIGALRM, before)
        yield {
            "PATH": str(programs),
            "HOME": str(folder / "home"),
            "DYNBUILD_HOME": str(folder / "engine"),
            "DYNBUILD_ALLOW_UNVERSIONED": "1",
            "DOCKER_HOST": "unix:///dev/null/docker.sock",
            "TMPDIR": os.environ.get("TMPDIR", "/tmp"),
        }


@contextlib.contextmanager
def in_time():
    """Call off what takes longer than ``SECONDS``."""
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
