"""What ``--device`` accepts: one grammar, docker's own (docker/cli, ``opts``).  Pure."""

from __future__ import annotations

import re

from dynbuild.errors import RequestError, quote
from dynbuild.quick import dataclass

CDI = re.compile(
    r"[A-Za-z][A-Za-z0-9_.-]*[A-Za-z0-9]/[A-Za-z][A-Za-z0-9_-]*=[A-Za-z0-9](?:[\w.:-]*[A-Za-z0-9])?"
)
"""A device's name in the Container Device Interface: ``VENDOR/CLASS=NAME``."""

_RIGHTS = re.compile("[rwm]{1,3}")


@dataclass(frozen=True, slots=True)
class Device:
    """One ``--device``.

    Attributes:
        source: Path on the host, or name in the Container Device Interface.
        target: Path inside; empty for a name.
        rights: Some of ``rwm``; empty for all.
    """

    source: str
    target: str = ""
    rights: str = ""


def parse(text: str) -> Device:
    """A ``--device`` value: ``/dev/X[:/dev/Y][:rwm]``, or ``VENDOR/CLASS=NAME``.

    Raises:
        RequestError: It is none that docker takes.
    """
    if CDI.fullmatch(text):
        return Device(text)
    source, *rest = text.split(":")
    rights = rest.pop() if rest and _RIGHTS.fullmatch(rest[-1]) else ""
    target = rest.pop() if rest else source
    if rest or not (source.startswith("/") and target.startswith("/")):
        raise RequestError(
            f"--device {quote(text)} is no device",
            hint="/dev/X[:/dev/Y][:rwm], such as /dev/infiniband; or VENDOR/CLASS=NAME",
        )
    if len(set(rights)) < len(rights):
        raise RequestError(f"--device {quote(text)}: a right stands there twice")
    return Device(source, target, rights)
