"""Ending one private engine: its processes, its mounts, its bridge."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from contextlib import suppress

from dynbuild import proc
from dynbuild.engine.private.layout import Layout, layout_of, locked
from dynbuild.engine.private.network import remove_bridge
from dynbuild.engine.private.processes import mount_points_of, processes_of, program_name
from dynbuild.errors import NotReady

_STOP_SECONDS = 60.0


def down(env: Mapping[str, str]) -> bool:
    """End the private engine, its containers and its mounts; images and cache stay.

    Returns:
        Whether there was anything to end.

    Raises:
        NotReady: Something of it could not be ended.
    """
    layout = layout_of(env)
    if not os.access(layout.root, os.W_OK):
        return False
    with locked(layout):
        return clear(layout)


def clear(layout: Layout) -> bool:
    """End every process of this engine and undo its mounts; whether there were any.

    Raises:
        NotReady: Something of it could not be ended.
    """
    ended = _end_processes(layout)
    mounts = mount_points_of(layout)
    if mounts:
        proc.run(("umount", "--lazy", *mounts), check=False)
    if left := mount_points_of(layout) or [str(p.pid) for p in processes_of(layout)]:
        raise NotReady("a part of the private engine cannot be ended", details=tuple(left))
    bridge = remove_bridge(layout.bridge)
    layout.state.unlink(missing_ok=True)
    layout.pid_file.unlink(missing_ok=True)
    if layout.run.exists():
        shutil.rmtree(layout.run)
    return bool(ended or mounts or bridge)


def _end_processes(layout: Layout) -> bool:
    """End the servers politely, then what is left of the engine; whether there was anything."""
    import psutil

    processes = processes_of(layout)
    for name in ("dockerd", "containerd"):
        servers = [process for process in processes if program_name(process.pid) == name]
        for server in servers:
            with suppress(psutil.NoSuchProcess):
                server.terminate()
        psutil.wait_procs(servers, timeout=_STOP_SECONDS)
    for _ in range(10):
        rest = processes_of(layout)
        if not rest:
            break
        for process in rest:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(rest, timeout=5)
    return bool(processes)
