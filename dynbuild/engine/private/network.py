"""The network of one private engine: its bridge, and the engines beside it."""

from __future__ import annotations

import fcntl
import shutil
import socket
import struct
from contextlib import suppress
from pathlib import Path

from dynbuild import proc
from dynbuild.engine import packages
from dynbuild.engine.private.place import Place
from dynbuild.engine.private.processes import processes_of, program_name
from dynbuild.errors import NotReady

# From linux/sockios.h: add a bridge, remove it, set the flags of an interface.
_SIOCBRADDBR, _SIOCBRDELBR, _SIOCSIFFLAGS = 0x89A0, 0x89A1, 0x8914


def has_neighbour(place: Place) -> bool:
    """Whether another live engine uses this machine's network.

    An engine that starts with a packet filter, whatever its bridge is, rewrites the
    chains that all engines share, and so cuts the containers of the others off.
    """
    import psutil

    own = {process.pid for process in processes_of(place)}
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if program_name(process.pid) != "dockerd" or process.pid in own:
                continue
            if Path(f"/proc/{process.pid}/ns/net").samefile("/proc/self/ns/net"):
                return True
    return False


def add_bridge(name: str) -> None:
    """Make the interface *name*.

    Raises:
        NotReady: This user or this kernel cannot.
    """
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
            fcntl.ioctl(link, _SIOCBRADDBR, struct.pack("16s", name.encode()))
    except OSError as error:
        raise NotReady(
            f"the network bridge {name} cannot be made: {error.strerror}",
            hint="it needs CAP_NET_ADMIN and a kernel with bridges; "
            "or point DOCKER_HOST at an engine elsewhere",
        ) from error


def remove_bridge(name: str) -> bool:
    """Remove the interface *name* and the rules about it; whether it was there."""
    if name not in (interface for _, interface in socket.if_nameindex()):
        return False
    _remove_rules(name)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        # A bridge that is up cannot be removed.
        fcntl.ioctl(link, _SIOCSIFFLAGS, struct.pack("16sh22x", name.encode(), 0))
        fcntl.ioctl(link, _SIOCBRDELBR, struct.pack("16s", name.encode()))
    return True


def _remove_rules(bridge: str) -> None:
    """Remove the packet filter's rules that name *bridge*; everything else stays.

    The engine leaves them behind.  The one that hides a subnet behind the machine's
    address would spoil the traffic of another engine that takes that subnet later.
    """
    env = {"PATH": packages.search_path({})}
    for kind in ("iptables", "ip6tables"):
        if shutil.which(f"{kind}-save", path=env["PATH"]) is None:
            continue
        changes = []
        for line in proc.run((f"{kind}-save",), env=env, check=False).stdout.splitlines():
            if line.startswith("-A ") and bridge in line.split():
                changes.append(line.replace("-A", "-D", 1))
            elif line.startswith("*") or line == "COMMIT":
                changes.append(line)
        if any(change.startswith("-D") for change in changes):
            text = "\n".join((*changes, ""))
            proc.run((f"{kind}-restore", "--noflush", "--wait"), input=text, env=env)
