"""Which processes and mounts belong to one private engine.

They are found again by what they are, not by a number in a file: a process belongs to
the engine when it is one of its programs and was started with a path below its
directory, or when its root directory is an image layer of this engine.  So a stale or
reused pid means nothing here.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dynbuild.engine.private.layout import Layout

if TYPE_CHECKING:
    import psutil

_SERVERS = frozenset(("dockerd", "containerd", "containerd-shim-runc-v2"))


def program_name(pid: int) -> str:
    """Base name of the program that process *pid* runs, empty when that cannot be seen."""
    with suppress(OSError):
        program = Path(f"/proc/{pid}/exe").readlink().name
        return program.removesuffix(" (deleted)")
    return ""


def processes_of(layout: Layout) -> list[psutil.Process]:
    """Every process of this engine: its programs, and what runs in its containers."""
    import psutil

    own = (f"{layout.root}/", f"{layout.run}/")
    layers = f"{layout.data}/"
    root = Path("/")
    processes = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            # Inside a container of an engine, that engine's paths can be the same as ours.
            here = root.samefile(f"/proc/{process.pid}/root")
            if here and program_name(process.pid) in _SERVERS:
                mine = any(argument.startswith(own) for argument in process.cmdline()[1:])
            else:
                mine = not here and any(
                    mount.target == "/" and layers in mount.line for mount in _mounts(process.pid)
                )
            if mine:
                processes.append(process)
    return processes


@dataclass(frozen=True, slots=True)
class _Mount:
    source: str
    target: str
    line: str


def _mounts(pid: int | str) -> list[_Mount]:
    """The mounts that a process sees, in the order they were made."""
    text = Path(f"/proc/{pid}/mountinfo").read_text(encoding="utf-8", errors="replace")
    rows = ((line.split(" ", 5), line) for line in text.splitlines())
    return [_Mount(source=row[3], target=row[4], line=line) for row, line in rows]


def mount_points_of(layout: Layout) -> list[str]:
    """Mount points of this engine, the innermost first."""
    below = (f"{layout.data}/", f"{layout.run}/")
    return [
        mount.target
        for mount in reversed(_mounts("self"))
        # The engine mounts its data directory on itself; a disk there is the user's.
        if mount.target.startswith(below)
        or (mount.target == str(layout.data) and mount.source != "/")
    ]
