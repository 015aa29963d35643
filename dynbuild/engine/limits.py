"""What an engine on this machine may grant a container: its own hard limits.

A process without CAP_SYS_RESOURCE cannot raise a hard limit, and then neither can the
containers it starts: asking for more makes ``docker run`` fail.
"""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Mapping
from pathlib import Path

_CAP_SYS_RESOURCE = 24  # linux/capability.h
_ROWS = {
    "Max locked memory": "memlock",
    "Max stack size": "stack",
    "Max open files": "nofile",
    "Max processes": "nproc",
    "Max core file size": "core",
}


def of_engine(host: str | None, env: Mapping[str, str]) -> dict[str, int]:
    """Hard limits by Docker's names, without those that are unlimited.

    Args:
        host: Address of the engine; ``None`` for the client's default.
        env: The caller's environment.

    Returns:
        Nothing where the engine may raise limits, or is not on this machine.
    """
    address = host or env.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    pid = _listener(address.removeprefix("unix://")) if address.startswith("unix://") else None
    if pid is None:
        return {}
    process = Path("/proc", str(pid))
    try:
        status = (process / "status").read_text(encoding="ascii", errors="replace")
        limits = (process / "limits").read_text(encoding="ascii", errors="replace")
    except OSError:
        return {}
    capabilities = re.search(r"^CapEff:\s*([0-9a-f]+)", status, re.MULTILINE)
    if capabilities is None or int(capabilities[1], 16) >> _CAP_SYS_RESOURCE & 1:
        return {}
    return parse(limits)


def parse(limits: str) -> dict[str, int]:
    """The hard limits in the text of ``/proc/PID/limits``."""
    found = {}
    for line in limits.splitlines():
        title, columns = line[:26].strip(), line[26:].split()
        if title in _ROWS and len(columns) >= 2 and columns[1].isdecimal():
            found[_ROWS[title]] = int(columns[1])
    return found


def _listener(path: str) -> int | None:
    """The process that listens on the unix socket *path* (SO_PEERCRED)."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(2)
            client.connect(path)
            raw = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    except OSError:
        return None
    pid: int = struct.unpack("3i", raw)[0]
    return pid or None
