"""What the options accept that have a small grammar each, docker's own.  Pure."""

from __future__ import annotations

import ipaddress
import re

from dynbuild.errors import RequestError, quote
from dynbuild.names import did_you_mean
from dynbuild.quick import dataclass
from dynbuild.settings.mounts import NAME

GATEWAY = "host-gateway"
"""The address that docker replaces by the host's."""

_RESTART = re.compile(r"no|always|unless-stopped|on-failure(?::[0-9]{1,9})?")
_HOST = re.compile(r"([A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?)[:=](.+)")

_IPC = re.compile(r"host|private|shareable|none|container:\S+")
_SWITCHES = ("no-new-privileges", "writable-cgroups")
_SECURITY = ("seccomp", "apparmor", "label", "systempaths", *_SWITCHES)
_CAPABILITIES = (
    "ALL", "AUDIT_CONTROL", "AUDIT_READ", "AUDIT_WRITE", "BLOCK_SUSPEND", "BPF",
    "CHECKPOINT_RESTORE", "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID",
    "IPC_LOCK", "IPC_OWNER", "KILL", "LEASE", "LINUX_IMMUTABLE", "MAC_ADMIN", "MAC_OVERRIDE",
    "MKNOD", "NET_ADMIN", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_RAW", "PERFMON", "SETFCAP",
    "SETGID", "SETPCAP", "SETUID", "SYSLOG", "SYS_ADMIN", "SYS_BOOT", "SYS_CHROOT",
    "SYS_MODULE", "SYS_NICE", "SYS_PACCT", "SYS_PTRACE", "SYS_RAWIO", "SYS_RESOURCE",
    "SYS_TIME", "SYS_TTY_CONFIG", "WAKE_ALARM",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Host:
    """One ``--add-host``: a name and its address, or ``GATEWAY``."""

    name: str
    address: str


def variable(text: str) -> None:
    """Refuse a ``-e`` without a name.

    Raises:
        RequestError: It is one.
    """
    name, _, _ = text.partition("=")
    if not name:
        raise RequestError("a variable has no name", hint="NAME=VALUE, or NAME for your own value")
    if any(char.isspace() or not char.isprintable() for char in name):
        raise RequestError(f"-e {quote(name)}: a name has no blanks and no control characters")


def name(text: str) -> None:
    """Refuse a ``--name`` that docker would refuse.

    Raises:
        RequestError: It is one.
    """
    if not NAME.fullmatch(text):
        raise RequestError(
            f"--name {quote(text)} is no name for a container",
            hint="letters, digits, '_', '.' and '-', two at least, a letter or digit first",
        )


def word(text: str) -> None:
    """Refuse what is no word: it is empty, or has blanks or control characters.

    Raises:
        RequestError: It is none.
    """
    if not text or any(char.isspace() or not char.isprintable() for char in text):
        raise RequestError(f"{quote(text)} is no word: it is empty, or has a blank in it")


def folder(text: str) -> None:
    """Refuse a ``-w`` that is no absolute path.

    Raises:
        RequestError: It is none.
    """
    if not text.startswith("/"):
        raise RequestError(
            f"--workdir {quote(text)} is no absolute path", hint="such as /workspace"
        )


def label(text: str) -> None:
    """Refuse a ``--label`` without a name.

    Raises:
        RequestError: It is one.
    """
    word(text.partition("=")[0])


def host(text: str) -> Host:
    """An ``--add-host`` value: ``NAME:ADDRESS``, or with ``=``; ``host-gateway`` is an address.

    Raises:
        RequestError: It is none that docker takes.
    """
    match = _HOST.fullmatch(text)
    address = match[2] if match else ""
    bare = address[1:-1] if address.startswith("[") and address.endswith("]") else address
    try:
        if not match or (bare != GATEWAY and not ipaddress.ip_address(bare)):
            raise ValueError
    except ValueError:
        raise RequestError(
            f"--add-host {quote(text)} is no NAME:ADDRESS", hint="such as store:10.0.0.7"
        ) from None
    return Host(match[1], bare)


def restart(text: str) -> None:
    """Refuse a ``--restart`` that docker would refuse.

    Raises:
        RequestError: It is one.
    """
    if not _RESTART.fullmatch(text):
        raise RequestError(
            f"--restart {quote(text)} is no policy",
            hint="no, always, unless-stopped, on-failure[:N]",
        )


def network(text: str) -> None:
    """Refuse a ``--network`` that is no word, or joins a container without a name.

    Raises:
        RequestError: It is one.
    """
    word(text)
    if text == "container:":
        raise RequestError("--network 'container:' names no container", hint="container:NAME")


def ipc(text: str) -> None:
    """Refuse an ``--ipc`` that docker would refuse.

    Raises:
        RequestError: It is one.
    """
    if not _IPC.fullmatch(text):
        raise RequestError(
            f"--ipc {quote(text)} is no mode", hint="host, private, shareable, none, container:NAME"
        )


def capability(text: str) -> None:
    """Refuse a ``--cap-add`` that docker would refuse (capabilities(7)).

    Raises:
        RequestError: It is one.
    """
    short = text.upper().removeprefix("CAP_")
    if short not in _CAPABILITIES:
        raise RequestError(
            f"--cap-add {quote(text)} is no capability",
            hint=did_you_mean(short, _CAPABILITIES, "man 7 capabilities"),
        )


def security(text: str) -> None:
    """Refuse a ``--security-opt`` that docker would refuse.

    Raises:
        RequestError: It is one.
    """
    name, *value = re.split("[:=]", text, maxsplit=1)
    if name not in _SECURITY or not (any(value) or (name in _SWITCHES and not value)):
        raise RequestError(
            f"--security-opt {quote(text)} is no option",
            hint="no-new-privileges, or seccomp=, apparmor=, label= or systempaths= with a value",
        )


def docker_argument(text: str) -> None:
    """Refuse a ``--docker-arg`` that is no option: docker would take it for the image.

    One that has docker ask a registry is refused as well: nothing is pulled in a run.

    Raises:
        RequestError: It is one.
    """
    if not text.startswith("-") or not text.strip("-"):
        raise RequestError(
            f"--docker-arg {quote(text)} is no option of docker run",
            hint="an option and its value are one word: --docker-arg=--sysctl=kernel.msgmax=65536",
        )
    if text.partition("=")[0] == "--pull" and text != "--pull=never":
        raise RequestError(
            f"--docker-arg {quote(text)}: a run pulls nothing", hint="before it: docker pull IMAGE"
        )
