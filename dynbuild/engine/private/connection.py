"""A question that is sent from a private engine's bridge, as a build step would send it.

A thread gets a network of its own with one end of a cable, whose other end is in the bridge.
All of that is gone with the thread.  Only root can do it.
"""

from __future__ import annotations

import array
import fcntl
import os
import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ipaddress import IPv4Interface

# From linux/sched.h; linux/sockios.h: add a route; set flags, address and mask of an interface,
# ask for its number, put it into a bridge; linux/rtnetlink.h and linux/if_link.h for the cable.
_CLONE_NEWNET = 0x40000000
_SIOCADDRT, _SIOCSIFFLAGS, _SIOCSIFADDR, _SIOCSIFNETMASK = 0x890B, 0x8914, 0x8916, 0x891C
_SIOCGIFINDEX, _SIOCBRADDIF = 0x8933, 0x89A2
_UP, _GATEWAY = 1, 2
# From linux/sockios.h, linux/ethtool.h: ask whether an interface has a link.
_SIOCETHTOOL, _GET_LINK = 0x8946, 0x0A
_RTM_NEWLINK, _REQUEST_CREATE_ACK = 16, 0x605
_HARDWARE, _NAME, _LINK_INFO, _NET_NS_FD, _NESTED = 1, 3, 18, 28, 0x8000
_KIND, _DATA, _PEER = 1, 2, 1  # inside of _LINK_INFO; _PEER inside of _DATA

_RESOLVERS = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))
_PORT = 53
# A question for the root's name servers: whatever is answered, the way there and back is open.
_QUESTION = b"\x64\x62\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x01"
_SECONDS, _TRIES = 0.7, 3


def works(bridge: str, own: IPv4Interface) -> bool | None:
    """Whether the machine's name servers are reached from *bridge*.

    Args:
        bridge: The interface.
        own: Its address.

    Returns:
        ``None`` where that says nothing: there is no name server that containers could ask, the
        machine itself does not reach them, or this process may not try.
    """
    servers = resolvers()
    if not servers or os.geteuid() != 0:
        return None
    answer: list[bool] = []

    def ask() -> None:
        with suppress(OSError), _beside(bridge, own):
            answer.append(_any_answers(servers))

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    if not answer:
        return None
    return True if answer[0] else (False if _any_answers(servers) else None)


def resolvers() -> tuple[str, ...]:
    """The name servers that build steps get: those of the machine that are not its own."""
    import ipaddress

    for file in _RESOLVERS:
        found = []
        with suppress(OSError):
            for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
                words = line.split()
                if len(words) > 1 and words[0] == "nameserver":
                    with suppress(ValueError):
                        address = ipaddress.ip_address(words[1])
                        if address.version == 4 and not address.is_loopback:
                            found.append(str(address))
        if found:
            return tuple(found)
    return ()


def _any_answers(servers: Sequence[str]) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.settimeout(_SECONDS)
        for _ in range(_TRIES):
            for server in servers:
                with suppress(OSError):
                    link.sendto(_QUESTION, (server, _PORT))
            with suppress(TimeoutError):
                return bool(link.recv(512))
    return False


@contextmanager
def _beside(bridge: str, own: IPv4Interface) -> Iterator[None]:
    """Take this thread for good into a network that is connected with *bridge*."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    number = threading.get_native_id()
    cable = f"dynb-{number}"
    with (
        Path("/proc/thread-self/ns/net").open("rb") as outside,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as there,
    ):
        if libc.unshare(_CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        _lay_cable("eth0", cable, outside.fileno())
        index = _index(there, cable)
        fcntl.ioctl(there, _SIOCBRADDIF, struct.pack("16si20x", bridge.encode(), index))
        _set_up(there, cable)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as here:
            # The engine gives addresses from the lower end.
            address = own.network.broadcast_address - 1 - number % 64
            _address(here, _SIOCSIFADDR, str(address))
            _address(here, _SIOCSIFNETMASK, str(own.netmask))
            _set_up(here, "eth0")
            # struct rtentry: where to, through what, mask.
            ways = map(_inet, ("0", str(own.ip), "0"))
            route = struct.pack("8x16s16s16sH62x", *ways, _UP | _GATEWAY)
            fcntl.ioctl(here, _SIOCADDRT, route)
        _notice_link(there, cable)
        yield


def _index(link: socket.socket, name: str) -> int:
    request = fcntl.ioctl(link, _SIOCGIFINDEX, struct.pack("16s24x", name.encode()))
    index: int = struct.unpack("16xi20x", request)[0]
    return index


def _set_up(link: socket.socket, name: str) -> None:
    fcntl.ioctl(link, _SIOCSIFFLAGS, struct.pack("16sh22x", name.encode(), _UP))


def _notice_link(link: socket.socket, name: str) -> None:
    """Have the kernel see now that the cable is whole: by itself it looks once a second.

    Until then the bridge passes nothing on, and the first question waits for that second.
    """
    value = array.array("I", (_GET_LINK, 0))
    with suppress(OSError):
        request = struct.pack("16sP16x", name.encode(), value.buffer_info()[0])
        fcntl.ioctl(link, _SIOCETHTOOL, request)


def _address(link: socket.socket, request: int, address: str) -> None:
    fcntl.ioctl(link, request, struct.pack("16s16s8x", b"eth0", _inet(address)))


def _inet(address: str) -> bytes:
    return struct.pack("=HH4s8x", socket.AF_INET, 0, socket.inet_aton(address))


def _lay_cable(name: str, other: str, outside: int) -> None:
    """Make a pair of interfaces: *name* here, *other* in the network of the file *outside*."""

    def attribute(kind: int, value: bytes) -> bytes:
        head = struct.pack("=HH", 4 + len(value), kind)
        return head + value + bytes(-len(value) % 4)

    link = bytes(16)
    peer = link + attribute(_NAME, other.encode() + b"\0")
    # A bridge takes over the lowest address of its interfaces: not this one's.
    peer += attribute(_HARDWARE, b"\xfe\xff" + struct.pack(">I", threading.get_native_id()))
    peer += attribute(_NET_NS_FD, struct.pack("=I", outside))
    data = attribute(_DATA | _NESTED, attribute(_PEER | _NESTED, peer))
    info = attribute(_LINK_INFO | _NESTED, attribute(_KIND, b"veth\0") + data)
    body = link + attribute(_NAME, name.encode() + b"\0") + info
    head = struct.pack("=IHHII", 16 + len(body), _RTM_NEWLINK, _REQUEST_CREATE_ACK, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as netlink:
        netlink.send(head + body)
        # struct nlmsghdr, then the error, 0 for none.
        error = struct.unpack("=i", netlink.recv(4096)[16:20])[0]
    if error:
        raise OSError(-error, os.strerror(-error))
