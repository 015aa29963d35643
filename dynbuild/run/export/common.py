"""What the formats share: the parts of a run request, YAML, comments."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from dynbuild import masking
from dynbuild.errors import RequestError
from dynbuild.run import launch
from dynbuild.run.launch import RunRequest

Node: TypeAlias = "Mapping[str, Node] | Sequence[Node] | str | int"

NATS_IMAGE = "nats:2.10.28"
ETCD_IMAGE = "quay.io/coreos/etcd:v3.5.21"
NATS_COMMAND = ("-js",)
"""NATS with JetStream (facts: local infrastructure)."""

# Control characters, line breaks of Unicode, the byte order mark, and what reorders text
# on a screen.  YAML 1.1 takes none of the first three as they are inside quotes.
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufffe\uffff]"
)
_PLAIN_KEY = re.compile(r"[A-Za-z][A-Za-z_]{2,}")
_YAML_WORDS = frozenset(("true", "false", "null", "yes", "off"))
# Docker's rule for the names of containers and volumes.
_DOCKER_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
# RFC 1123: at most 63 characters in a label.
_LABEL_LENGTH = 63


@dataclass(frozen=True, slots=True)
class Mount:
    """One ``-v``.

    Attributes:
        source: Path of the host, name of a volume, or empty for a volume without name.
        target: Path inside.
        options: ``ro``, ``z`` and so on, in the order given.
    """

    source: str
    target: str
    options: tuple[str, ...]

    @property
    def is_path(self) -> bool:
        """Whether the source is a path of the host; a relative one starts with a dot."""
        return self.source.startswith(("/", "."))

    @property
    def read_only(self) -> bool:
        """Whether the container cannot write to it."""
        return "ro" in self.options


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpus:
    """What ``--gpus`` asks for.

    Attributes:
        count: How many; ``None`` is all of them, unless *devices* names some.
        devices: Indexes or UUIDs.
        driver: Of the devices; empty lets the engine choose.
        capabilities: What the driver must offer.
        options: Of the driver.
    """

    count: int | None = None
    devices: tuple[str, ...] = ()
    driver: str = ""
    capabilities: tuple[str, ...] = ("gpu",)
    options: Mapping[str, str] = field(default_factory=dict)


def variables(request: RunRequest) -> dict[str, str | None]:
    """Values by name, ``None`` where the caller's is passed on; the last of a name counts."""
    found = {}
    for text in launch.environment(request):
        name, equals, value = text.partition("=")
        found[name] = value if equals else None
    return found


def is_secret(name: str) -> bool:
    """Whether the value of the variable *name* is probably one to keep out of files.

    The documents give no list of patterns (facts: environment, caches, logging).
    """
    return masking.secret_name(name)


def secret_notes(request: RunRequest) -> list[str]:
    """A sentence for each variable whose value should not stand in a file."""
    pairs = (text.partition("=") for text in launch.environment(request))
    found = dict.fromkeys(name for name, _, value in pairs if value and is_secret(name))
    return [f"-e {name}: looks like a secret; pass the name without its value." for name in found]


def mounts(request: RunRequest) -> tuple[Mount, ...]:
    """All mounts, without repeats.

    Raises:
        RequestError: One that Docker would refuse.
    """
    return tuple(dict.fromkeys(_mount(text) for text in launch.mounts(request)))


def _mount(text: str) -> Mount:
    parts = text.split(":")
    if len(parts) == 1:
        parts = ["", *parts]
    if len(parts) > 3 or not parts[1].startswith("/"):
        raise RequestError(f"-v {text} is no SOURCE:TARGET[:OPTIONS] with an absolute target")
    options = tuple(parts[2].split(",")) if parts[2:] else ()
    mount = Mount(parts[0], parts[1], options)
    if mount.source and not mount.is_path and not _DOCKER_NAME.fullmatch(mount.source):
        raise RequestError(
            f"-v {text}: '{mount.source}' is neither a path nor the name of a volume",
            hint="a path starts with / or ./",
        )
    return mount


def runtime(request: RunRequest) -> str:
    """The container runtime asked for, empty for the engine's own."""
    wanted = launch.uses_gpus(request) and request.runtime.lower() != "none"
    return request.runtime if wanted else ""


def gpus(request: RunRequest) -> Gpus | None:
    """The GPUs asked for, read as the docker command reads ``--gpus``.

    That is one line of CSV with ``count``, ``device``, ``driver``, ``capabilities`` and
    ``options``; a field without a key is the count.

    Raises:
        RequestError: One that Docker would refuse.
    """
    if not launch.uses_gpus(request):
        return None
    rows = list(csv.reader([request.gpus]))
    fields: dict[str, str] = {}
    for entry in rows[0] if rows else []:
        name, equals, value = entry.partition("=")
        key, value = (name, value) if equals else ("count", name)
        if key in fields or key not in ("count", "device", "driver", "capabilities", "options"):
            raise _gpu_error(request.gpus)
        fields[key] = value
    if "device" in fields and "count" in fields:
        raise _gpu_error(request.gpus)
    capabilities = fields["capabilities"].split(",") if "capabilities" in fields else []
    pairs = (pair.partition("=") for pair in _split(fields.get("options", "")))
    return Gpus(
        count=None if "device" in fields else _count(fields.get("count", "1"), request.gpus),
        devices=_split(fields.get("device", "")),
        driver=fields.get("driver", ""),
        capabilities=tuple(dict.fromkeys((*capabilities, "gpu"))),
        options={name: value for name, _, value in pairs},
    )


def _split(text: str) -> tuple[str, ...]:
    return tuple(text.split(",")) if text else ()


def _count(text: str, whole: str) -> int | None:
    if text in ("all", "-1"):
        return None
    if not re.fullmatch("[0-9]+", text) or int(text) == 0:
        raise _gpu_error(whole)
    return int(text)


def _gpu_error(text: str) -> RequestError:
    return RequestError(
        f"--gpus {text} is no choice of GPUs",
        hint="all, a number, none, device=0, or for several --gpus '\"device=0,1\"'",
    )


def check_name(request: RunRequest) -> None:
    """Refuse a name of the container that Docker would refuse.

    Raises:
        RequestError: It is one.
    """
    if request.name and not _DOCKER_NAME.fullmatch(request.name):
        raise RequestError(
            f"--name {request.name} is no name for a container",
            hint="letters, digits, '_', '.' and '-', two at least, a letter or digit first",
        )


def dns_name(request: RunRequest) -> str:
    """A name after the container or its image that is a DNS label (RFC 1123)."""
    wanted = request.name or request.image.partition("@")[0].rpartition("/")[2]
    label = re.sub("[^a-z0-9]+", "-", wanted.lower())[:_LABEL_LENGTH].strip("-")
    return label or "dynamo"


def given(fields: Mapping[str, Node | None]) -> dict[str, Node]:
    """*fields* without those that say nothing: ``None``, false, empty."""
    return {name: value for name, value in fields.items() if value}


def seen(text: str) -> str:
    r"""*text* with ``\uXXXX`` for each character that would not show as itself."""
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def header(format: str, notes: Sequence[str], mark: str = "#") -> str:
    """The comment at the top: where the file comes from, and what it cannot say."""
    lines = (f"Made by `dynbuild run --export {format}`.", *notes)
    return "".join(f"{mark} {seen(line)}\n" for line in lines)


def json_text(value: object, indent: int | None = None) -> str:
    """*value* as JSON in which every character shows as itself or as an escape."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return "\n".join(seen(line) for line in text.split("\n"))


def yaml(node: Node) -> str:
    """*node* as YAML in block style; every text is quoted, as JSON is YAML too."""
    return "\n".join(_lines(node)) + "\n"


def _lines(node: Node) -> list[str]:
    if isinstance(node, (str, int)) or not node:
        return [json_text(node)]
    if isinstance(node, Mapping):
        return [line for key, value in node.items() for line in _pair(key, value)]
    return [
        f"{'  ' if number else '- '}{line}"
        for item in node
        for number, line in enumerate(_lines(item))
    ]


def _pair(key: str, value: Node) -> list[str]:
    plain = _PLAIN_KEY.fullmatch(key) and key.lower() not in _YAML_WORDS
    name = key if plain else json_text(key)
    if isinstance(value, (str, int)) or not value:
        return [f"{name}: {json_text(value)}"]
    return [f"{name}:", *(f"  {line}" for line in _lines(value))]
