"""Ports that are taken, services that are there already, networks that lead nowhere."""

from __future__ import annotations

import ipaddress
import itertools
import re
from collections.abc import Iterator

from dynbuild.errors import RequestError
from dynbuild.findings import Finding
from dynbuild.run import numa, ports
from dynbuild.run.facts import Host, is_on, variables
from dynbuild.run.request import RunRequest

SERVICES = {4222: ("NATS", "nats-server"), 2379: ("etcd", "etcd")}
"""Ports that Dynamo's services listen on: what listens there, and its program."""

_MODEL_FLAGS = ("--model", "--model-path", "--draft-model-path", "--speculative-model")
_HUB_NAME = re.compile(r"\w[\w.-]*/[\w.-]+")
_OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")


def check_ports(request: RunRequest, host: Host) -> Iterator[Finding]:
    """Published ports: of no effect, refused, or taken."""
    if not request.ports:
        return
    if request.network == "host":
        yield Finding(
            "ports-unused",
            "-p has no effect with --network host",
            "leave -p out; or --network bridge",
        )
    elif request.network.startswith("container:"):
        yield Finding(
            "ports-refused",
            f"docker refuses -p with --network {request.network}",
            "publish the ports on that other container",
        )
    if request.network == "none" or request.network.startswith("container:"):
        return
    for text in request.ports:
        yield from _taken(request, host, text)


def _taken(request: RunRequest, host: Host, text: str) -> Iterator[Finding]:
    try:
        port = ports.parse(text)
    except RequestError:
        return  # which is said where the options are read
    if port.protocol != "tcp":
        return
    # On the host's network nothing is published: the program inside takes its own port.
    numbers = port.container if request.network == "host" else port.host
    address = "" if request.network == "host" else port.address
    taken = [number for number in numbers if _listens(host, address, number)]
    # Of several ports for one inside docker takes a free one.
    several = len(numbers) > 1 and len(port.container) == 1
    if taken and (not several or len(taken) == len(numbers)):
        yield Finding(
            "port-taken",
            f"-p {text}: something listens on port {numa.format_list(taken)} of this host",
            "another port, or stop what listens: `ss -ltnp` shows it",
        )


def _listens(host: Host, address: str, port: int) -> bool:
    """Whether a socket of the host leaves no room for one on *address*; all if it is empty."""
    return any(
        number == port and (_wild(address) or _wild(other) or other == address)
        for other, number in host.listening
    )


def _wild(address: str) -> bool:
    try:
        return not address or ipaddress.ip_address(address).is_unspecified
    except ValueError:
        return False


def check_services(request: RunRequest, host: Host) -> Iterator[Finding]:
    """NATS and etcd, where this host already serves them."""
    if request.network != "host":
        return
    started = _started(request)
    for port, (service, program) in SERVICES.items():
        if not _listens(host, "", port):
            continue
        if any(_starts(text, program) for text in started):
            yield Finding(
                "port-taken",
                f"{program} cannot start: port {port} of this host is taken",
                "--network bridge with -p for a second one; or use the one that runs",
            )
        else:
            yield Finding(
                "service-present",
                f"this host already serves port {port} ({service}), and the container will use it",
                "nothing if that is meant; else --network bridge with -p",
                note=True,
            )


def _started(request: RunRequest) -> list[str]:
    """The program of the container, and the scripts that a shell gets with ``-c``."""
    program = request.entrypoint or next(iter(request.command), "")
    pairs = itertools.pairwise(request.command)
    return [program, *(after for word, after in pairs if re.fullmatch(r"-[a-z]*c", word))]


def _starts(script: str, program: str) -> bool:
    """Whether *program* stands where *script* names a command, not an argument of one."""
    at = r"(?:^|[;&|(\n]|\b(?:exec|nohup)\s)\s*(?:[^\s;&|]*/)?"
    return re.search(rf"{at}{re.escape(program)}(?=$|[\s;&|)])", script) is not None


def check_network(request: RunRequest, host: Host) -> Iterator[Finding]:
    """What a container without a network cannot reach."""
    if request.network != "none":
        return
    set_here = variables(request, host.passed)
    offline = any(is_on(set_here.get(name)) for name in _OFFLINE)
    names = {entry.partition("=")[0] for entry in request.all_env}
    downloads = [f"the download of {model}" for model in _models(request.command)]
    if request.hf_home and "HF_TOKEN" in names:
        downloads.append("HF_TOKEN for downloads into the Hugging Face cache")
    hub = bool(downloads) and not offline
    services = [name for name in ("NATS_SERVER", "ETCD_ENDPOINTS") if name in names]
    lost = [*(("-p",) if request.ports else ()), *(downloads if hub else ()), *services]
    if lost:
        yield Finding(
            "network-none",
            f"with --network none nothing comes of {', '.join(lost)}",
            "another --network"
            + ("; or fill the cache first and set -e HF_HUB_OFFLINE=1" if hub else ""),
        )


def _models(command: tuple[str, ...]) -> list[str]:
    """The models of the hub, ``ORGANISATION/NAME``, that *command* names."""
    found = []
    for word, after in itertools.pairwise((*command, "")):
        flag, equals, value = word.partition("=")
        name = value if equals else after
        if flag in _MODEL_FLAGS and _HUB_NAME.fullmatch(name) and name not in found:
            found.append(name)
    return found
