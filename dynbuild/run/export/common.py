"""What the formats share: the parts of a run request, YAML, comments."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from dynbuild import masking
from dynbuild.errors import RequestError, quote
from dynbuild.run.gpus import Gpus
from dynbuild.run.gpus import parse as parse_gpus
from dynbuild.run.request import RunRequest
from dynbuild.settings.mounts import Mount

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
_LONGEST_KEY = 1000
_PLAIN_KEY = re.compile(r"[A-Za-z][A-Za-z_]{2,}")
_YAML_WORDS = frozenset(("true", "false", "null", "yes", "off"))
# RFC 1123: at most 63 characters in a label.
_LABEL_LENGTH = 63


def variables(request: RunRequest) -> dict[str, str | None]:
    """Values by name, ``None`` where the caller's is passed on; the last of a name counts."""
    found = {}
    for text in request.all_env:
        name, equals, value = text.partition("=")
        found[name] = value if equals else None
    return found


def secret_notes(request: RunRequest) -> list[str]:
    """A sentence for each variable whose value should not stand in a file."""
    pairs = (text.partition("=") for text in request.all_env)
    found = dict.fromkeys(name for name, _, value in pairs if masking.is_secret(name, value))
    return [f"-e {name}: looks like a secret; pass the name without its value." for name in found]


def mounts(request: RunRequest) -> tuple[Mount, ...]:
    """All mounts, without repeats.

    Raises:
        RequestError: One that Docker would refuse.
    """
    return tuple(dict.fromkeys(request.mounts))


def gpus(request: RunRequest) -> Gpus | None:
    """The GPUs asked for; ``None`` where there are none.

    Raises:
        RequestError: A choice that Docker would refuse.
    """
    if not request.uses_gpus:
        return None
    choice = parse_gpus(request.gpus)
    if choice.count == 0:
        raise RequestError(f"--gpus {quote(request.gpus)} names no GPUs", hint="--gpus none")
    return choice


def dns_name(request: RunRequest) -> str:
    """A name after the container or its image that is a DNS label (RFC 1123)."""
    wanted = request.name or request.image.partition("@")[0].rpartition("/")[2]
    label = re.sub("[^a-z0-9]+", "-", wanted.lower())[:_LABEL_LENGTH].strip("-")
    return label or "dynamo"


def left_out(request: RunRequest, known: Sequence[str], why: str) -> list[str]:
    """A sentence for each word of docker, and each field of a mount but *known*, that goes."""
    fields = (field for mount in mounts(request) for field in mount.extra)
    gone = (f"--mount …,{field}" for field in fields if field.partition("=")[0] not in known)
    words = (f"--docker-arg {word}" for word in request.docker_args)
    return [masking.scrub_message(f"{word}: left out; {why}.") for word in (*gone, *words)]


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
    # A longer key has to be marked as one (https://yaml.org/spec/1.2.2/#742-flow-mappings).
    mark = [f"? {name}"] if len(name) > _LONGEST_KEY else []
    name = "" if mark else name
    if isinstance(value, (str, int)) or not value:
        return [*mark, f"{name}: {json_text(value)}"]
    return [*mark, f"{name}:", *(f"  {line}" for line in _lines(value))]
