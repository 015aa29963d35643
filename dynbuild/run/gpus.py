"""What ``--gpus`` accepts: one grammar, docker's own (docker/cli, ``opts/gpus.go``).  Pure.

One record of CSV with the fields ``count``, ``device``, ``driver``, ``capabilities`` and
``options``, each once; a field without a key is the count.  A field with commas in it stands
in double quotes.  And two of the launcher's own: ``none``, in any case, and names of the
Container Device Interface for GPUs, with commas between, ``nvidia.com/gpu=0,nvidia.com/gpu=1``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field

from dynbuild.errors import RequestError, quote
from dynbuild.quick import dataclass
from dynbuild.run import devices
from dynbuild.settings import csv_fields

_KEYS = ("count", "device", "driver", "capabilities", "options")
_COUNT = re.compile(r"[0-9]{1,18}")
_HINT = """all, a number, device=0, '"device=0,2"', device=GPU-UUID, nvidia.com/gpu=0, or none"""
_CDI = re.compile(r"nvidia\.com/gpu=(.+)")
_OLD_MIG = re.compile(r"MIG-(GPU-[^/]+)/[0-9]+/[0-9]+", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpus:
    """The GPUs that a container is to get.

    Attributes:
        count: How many, from the first on; ``None`` is all of them, unless *devices* names
            some; 0 is none.
        devices: Indexes, UUIDs, slices of a GPU and CDI names, as written.
        driver: Of the devices; empty lets the engine choose.
        capabilities: What the driver must offer.
        options: Of the driver.
        unquoted: Whether a list of devices lacks the quotes that docker needs around it:
            it takes the second device for a number of GPUs, and refuses to have both.
        cdi: Whether the value is names of the Container Device Interface alone, which docker
            takes as ``--device`` and needs no container runtime for.
    """

    count: int | None = None
    devices: tuple[str, ...] = ()
    driver: str = ""
    capabilities: tuple[str, ...] = ("gpu",)
    options: Mapping[str, str] = field(default_factory=dict)
    unquoted: bool = False
    cdi: bool = False


def is_none(text: str) -> bool:
    """Whether *text* leaves GPUs out, and their runtime with them."""
    return text.lower() == "none"


def cdi_names(text: str) -> tuple[str, ...]:
    """The names in *text*, where it has nothing but names of the Container Device Interface."""
    names = tuple(csv_fields.read(text) or ())
    # Other devices by name are for --device, whatever they are.
    gpus = (devices.CDI.fullmatch(name) and "/gpu=" in name for name in names)
    return names if all(gpus) else ()


def parse(text: str) -> Gpus:
    """What a ``--gpus`` value asks for.

    A list of devices without its quotes is read as it is meant, and marked: see ``for_docker``.

    Raises:
        RequestError: It is none that docker takes.
    """
    if is_none(text):
        return Gpus(count=0)
    record = csv_fields.read(text)
    if record is None:
        raise _error(text)
    if names := cdi_names(text):
        return Gpus(devices=names, cdi=True)
    said: dict[str, str] = {}
    loose: list[str] = []
    for entry in record:
        name, equals, value = entry.partition("=")
        key = name if equals else "count"
        if not equals and "device" in said:
            loose.append(entry)
        elif key not in _KEYS or key in said:
            raise _error(text)
        else:
            said[key] = value if equals else name
    chosen = (*_split(said["device"]), *loose) if "device" in said else ()
    if "device" in said and ("count" in said or not chosen or not all(chosen)):
        raise _error(text)
    asked = _split(said.get("capabilities", ""))
    pairs = (pair.partition("=") for pair in _split(said.get("options", "")))
    return Gpus(
        # Docker's own default for a value that says nothing of a number.
        count=None if chosen else _count(said.get("count", "1"), text),
        devices=chosen,
        driver=said.get("driver", ""),
        capabilities=tuple(dict.fromkeys((*asked, "gpu"))),
        options={name: value for name, _, value in pairs},
        unquoted=bool(loose),
    )


def for_docker(text: str) -> str:
    """*text* with the quotes that docker needs around a list of devices."""
    if is_none(text) or not parse(text).unquoted:
        return text
    found: list[str] = []
    for entry in csv_fields.read(text) or ():
        if "=" not in entry and any(field.startswith("device=") for field in found):
            at = next(n for n, field in enumerate(found) if field.startswith("device="))
            found[at] += f",{entry}"
        else:
            found.append(entry)
    return csv_fields.joined(found)


def gpu_of(device: str) -> str:
    """The index or UUID of the GPU that *device* is, or is a slice of.

    ``0`` of ``0:1`` and of the CDI name ``nvidia.com/gpu=0``; a slice's own UUID stays.
    """
    name = device.strip()
    if cdi := _CDI.fullmatch(name):
        name = cdi[1]
    if slice_ := _OLD_MIG.fullmatch(name):
        return slice_[1]
    return name.partition(":")[0]


def _split(text: str) -> tuple[str, ...]:
    return tuple(text.split(",")) if text else ()


def _count(text: str, whole: str) -> int | None:
    if text in ("all", "-1"):
        return None
    if not _COUNT.fullmatch(text):
        raise _error(whole)
    return int(text)


def _error(text: str) -> RequestError:
    return RequestError(f"--gpus {quote(text)} names no GPUs", hint=_HINT)
