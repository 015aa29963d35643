"""The network of one private engine: its bridge, what is wrong with it, the engines beside it."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dynbuild.engine.private import connection, firewall
from dynbuild.engine.private.layout import Layout
from dynbuild.engine.private.processes import processes_of, program_name
from dynbuild.errors import NotReady
from dynbuild.quick import dataclass

if TYPE_CHECKING:
    from ipaddress import IPv4Interface

# From linux/sockios.h: add a bridge, remove it; the flags of an interface, its address, its mask.
_SIOCBRADDBR, _SIOCBRDELBR, _SIOCSIFFLAGS = 0x89A0, 0x89A1, 0x8914
_SIOCGIFFLAGS, _SIOCGIFADDR, _SIOCGIFNETMASK = 0x8913, 0x8915, 0x891B
_IFF_UP = 1
_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why build steps and containers have no network.

    Attributes:
        kind: ``rules``: what the packet filter had is gone; ``forward``: the kernel forwards
            nothing; ``bridge``: the interface or its address is gone; ``connection``: all of
            that is there, and still nothing comes through.
        message: What is wrong.
        gone: The rules that are gone.
    """

    kind: Literal["rules", "forward", "bridge", "connection"]
    message: str
    gone: tuple[str, ...] = ()


def has_neighbour(layout: Layout) -> bool:
    """Whether another live engine uses this machine's network.

    An engine that starts with a packet filter, whatever its bridge is, rewrites the
    chains that all engines share, and so cuts the containers of the others off.
    """
    import psutil

    own = {process.pid for process in processes_of(layout)}
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
    firewall.remove(name)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        # A bridge that is up cannot be removed.
        fcntl.ioctl(link, _SIOCSIFFLAGS, struct.pack("16sh22x", name.encode(), 0))
        fcntl.ioctl(link, _SIOCBRDELBR, struct.pack("16s", name.encode()))
    return True


def rules(layout: Layout) -> tuple[str, ...]:
    """The rules that the network of this engine lives on, as they are now."""
    return firewall.rules(layout.bridge)


def trouble(layout: Layout, saved: Sequence[str]) -> Trouble | None:
    """What is wrong with the network of an engine that has one of its own.

    Args:
        layout: The engine.
        saved: Its ``rules`` when it started.

    Returns:
        ``None`` where nothing is, and where this user may not look.
    """
    if os.geteuid() != 0:
        return None
    address = _address(layout.bridge)
    if address is None:
        return Trouble("bridge", f"the network bridge {layout.bridge} or its address is gone")
    there = set(rules(layout))
    if gone := tuple(rule for rule in saved if rule not in there):
        return Trouble(
            "rules",
            f"{len(gone)} of {len(saved)} firewall rules of {layout.bridge} are gone: another"
            " Docker, or a firewall, was started after it",
            gone,
        )
    if _FORWARD.read_text(encoding="ascii").strip() == "0":
        return Trouble("forward", f"the kernel forwards nothing ({_FORWARD} is 0)")
    if connection.works(layout.bridge, address) is False:
        return Trouble(
            "connection",
            f"the name servers of this machine are not reached from {layout.bridge}: a firewall"
            " may be in between",
        )
    return None


def repair(layout: Layout, saved: Sequence[str], wrong: Trouble) -> Trouble | None:
    """Put back what is gone; what is still wrong then.

    Args:
        layout: The engine.
        saved: Its ``rules`` when it started.
        wrong: What was found of it (``trouble``).

    Raises:
        ToolFailed: The packet filter refuses its rules.
    """
    found: Trouble | None = wrong
    for _ in range(2):
        if found is None or found.kind not in ("rules", "forward"):
            return found
        if found.kind == "rules":
            firewall.restore(found.gone)
        else:
            _FORWARD.write_text("1\n", encoding="ascii")
        found = trouble(layout, saved)
    return found


def _address(name: str) -> IPv4Interface | None:
    """The address of the interface *name*, where it is up and has one."""
    from ipaddress import IPv4Interface

    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:

        def ask(request: int) -> bytes:
            return fcntl.ioctl(link, request, struct.pack("16s24x", name.encode()))

        (flags,) = struct.unpack_from("h", ask(_SIOCGIFFLAGS), 16)
        if flags & _IFF_UP:
            # struct sockaddr_in: the family and a port are before the address.
            asked = (ask(request)[20:24] for request in (_SIOCGIFADDR, _SIOCGIFNETMASK))
            address, mask = map(socket.inet_ntoa, asked)
            return IPv4Interface(f"{address}/{mask}")
    return None
