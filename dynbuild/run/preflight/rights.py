"""What a container may do to the machine, told and not refused: it was asked for."""

from __future__ import annotations

import dataclasses
import posixpath
from collections.abc import Iterator
from typing import Any

from dynbuild.errors import RequestError
from dynbuild.findings import Finding
from dynbuild.run.facts import Host
from dynbuild.run.request import RunRequest
from dynbuild.settings import mounts

_MIGHTY = frozenset(
    (
        *("ALL", "SYS_ADMIN", "SYS_MODULE", "SYS_RAWIO", "DAC_READ_SEARCH", "BPF", "SYS_BOOT"),
        *("NET_ADMIN", "MAC_ADMIN", "SYSLOG", "PERFMON", "SYS_TIME", "DAC_OVERRIDE"),
    )
)
"""Capabilities that lead out of a container, or change the machine (capabilities(7))."""

_SYSTEM = frozenset(
    f"/{name}"
    for name in ("bin", "boot", "dev", "etc", "lib", "proc", "root", "run", "sbin", "sys", "usr")
) | {"/var", "/var/lib", "/var/run", "/home"}
_SOCKETS = ("docker.sock", "containerd.sock", "podman.sock", "crio.sock", "buildkitd.sock")
_MEMORY = ("/dev", "/dev/mem", "/dev/kmem", "/dev/port")
_LOOSE = ("seccomp=unconfined", "apparmor=unconfined", "label=disable", "systempaths=unconfined")
_WORDS = (
    "--pid=host",
    "--network=host",
    "--net=host",
    "--ipc=host",
    "--userns=host",
    "--uts=host",
    "--cgroupns=host",
    "--device-cgroup-rule",
)


def check(request: RunRequest, host: Host) -> Iterator[Finding]:
    """Rights beyond those of a plain run, each with what asks for less."""
    del host
    request = _with_words(request)
    if request.privileged:
        yield _told(
            "--privileged: root inside can do to this machine whatever its own root can",
            "leave it out; --cap-add or --device gives the one thing that is needed",
        )
    for name in request.cap_add:
        if name.upper().removeprefix("CAP_") in _MIGHTY:
            yield _told(
                f"--cap-add {name}: much of what this machine's root can do",
                "leave it out where the program runs without it",
            )
    for option in request.security_opts:
        if option.replace(":", "=", 1) in _LOOSE:
            yield _told(f"--security-opt {option}: a guard of the kernel is off", "leave it out")
    for device in request.devices:
        if posixpath.normpath(device.partition(":")[0]) in _MEMORY:
            yield _told(
                f"--device {device}: the machine's own memory or all its devices", "name one"
            )
    for word in request.docker_args:
        if word.startswith(_WORDS):
            yield _told(
                f"--docker-arg {word}: a part of this machine is the container's", "leave it out"
            )
    yield from _mounts(request)


_OPTIONS = {
    "-v": "volumes", "--volume": "volumes", "--mount": "long_mounts", "--device": "devices",
    "--cap-add": "cap_add", "--security-opt": "security_opts",
}  # fmt: skip
_READERS = {"volumes": mounts.parse, "long_mounts": mounts.parse_long}


def _with_words(request: RunRequest) -> RunRequest:
    """*request* with what its words for docker ask for in the place of options."""
    said: dict[str, Any] = {}
    for word in request.docker_args:
        option, _, value = word.partition("=")
        if option[:2] == "-v":
            option, value = "-v", word[2:].removeprefix("=")
        if option == "--privileged":
            said["privileged"] = value.lower() not in ("false", "f", "0")
        elif field := _OPTIONS.get(option):
            try:
                _READERS.get(field, str)(value)
            except RequestError:
                continue  # docker refuses it
            said[field] = (*said.get(field, getattr(request, field)), value)
    return dataclasses.replace(request, **said)


def _mounts(request: RunRequest) -> Iterator[Finding]:
    for mount in request.mounts:
        source = posixpath.normpath(mount.source).replace("//", "/")
        if not mount.is_path:
            continue
        if source.rpartition("/")[2] in _SOCKETS:
            yield _told(
                f"{mount.source} is mounted: who can write there is root on this machine",
                "leave it out; what needs an engine gets one of its own",
            )
        elif source == "/":
            yield _told("all files of this machine are mounted", "mount the folder that is needed")
        elif source in _SYSTEM and not mount.read_only:
            yield _told(f"{source} of this machine is mounted and can be written", "append :ro")


def check_shared(request: RunRequest) -> Iterator[Finding]:
    """What of the machine the container shares by the defaults, where that is a note's worth."""
    shared = [
        (name, remedy)
        for value, name, remedy in (
            (request.network, "network", "--network bridge and -p for its ports"),
            (request.ipc, "IPC", "--ipc private"),
        )
        if value == "host"
    ]
    if shared:
        names, remedies = zip(*shared, strict=True)
        yield _told(
            f"the container shares {' and '.join(names)} with this host",
            f"apart: {'; '.join(remedies)}",
        )


def _told(message: str, remedy: str) -> Finding:
    return Finding("rights", message, remedy, note=True)
