"""What ``-p`` accepts: one grammar, docker's own (docker/go-connections, ``nat``).  Pure."""

from __future__ import annotations

import ipaddress
import re

from dynbuild.errors import RequestError, quote
from dynbuild.quick import dataclass

PROTOCOLS = ("tcp", "udp", "sctp")

_RANGE = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9}))?")
_HIGHEST = 65535


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """A published port.

    Attributes:
        address: Address on the host; empty for all.
        host: Ports on the host; empty where docker picks one.
        container: Ports inside.
        protocol: tcp, udp or sctp.
    """

    address: str = ""
    host: range = range(0)
    container: range
    protocol: str = "tcp"


def parse(text: str) -> Port:
    """A ``-p`` value, ``[ADDRESS:][HOST:]CONTAINER[/PROTOCOL]``, its ports single or ``A-B``.

    An IPv6 address may stand in brackets.

    Raises:
        RequestError: It is none that docker takes.
    """
    rest, _, protocol = text.partition("/")
    outside, _, container = rest.rpartition(":")
    address, _, published = outside.rpartition(":")
    protocol = protocol.lower() or "tcp"
    if not _RANGE.fullmatch(container) or protocol not in PROTOCOLS:
        raise _error(text)
    if published and not _RANGE.fullmatch(published):
        raise _error(text)
    inside = _range(text, container, lowest=1)
    wanted = _range(text, published, lowest=0) if published not in ("", "0") else range(0)
    if wanted and len(wanted) != len(inside) > 1:
        raise RequestError(
            f"-p {quote(text)}: there are {len(wanted)} ports outside for {len(inside)} inside"
        )
    return Port(address=_address(text, address), host=wanted, container=inside, protocol=protocol)


def _range(text: str, ports: str, *, lowest: int) -> range:
    first, _, last = ports.partition("-")
    low, high = int(first), int(last or first)
    if low > high:
        raise _error(text)
    if low < lowest or high > _HIGHEST:
        raise RequestError(f"-p {quote(text)}: ports are 1 to {_HIGHEST}")
    return range(low, high + 1)


def _address(text: str, address: str) -> str:
    bare = address[1:-1] if address.startswith("[") and address.endswith("]") else address
    if not bare:
        return ""
    try:
        found = ipaddress.ip_address(bare)
    except ValueError:
        found = None
    if found is None or "%" in bare:
        raise RequestError(
            f"-p {quote(text)}: {quote(bare)} is no address",
            hint="an IPv4 address, or an IPv6 address in brackets: [::1]:8000:8000",
        )
    return str(found)


def _error(text: str) -> RequestError:
    return RequestError(
        f"-p {quote(text)} is no HOST:CONTAINER",
        hint="[ADDRESS:][HOST:]CONTAINER[/tcp|udp|sctp], such as 8000:8000 or 127.0.0.1:80:8000",
    )
