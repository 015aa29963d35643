"""A release line beside a source tree: what the two say of the same thing and say differently."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dynbuild.build.pins import Pin, TreePins
from dynbuild.quick import dataclass
from dynbuild.settings import load
from dynbuild.settings.layers import KeyPath, Origin, Setting
from dynbuild.settings.load import Settings

OURS = "ours:"
"""How the comment begins on a value of a line that differs from the tree on purpose."""

_OF_ENGINE = {
    "vllm": {"VLLM_REF", "VLLM_EXTRAS", "VLLM_OMNI_REF", "FLASHINF_REF", "LMCACHE_REF", "MAX_JOBS"},
    "sglang": {"SGLANG_REF", "SGLANG_KERNEL_REF"},
    "trtllm": {"TENSORRTLLM_PIP_WHEEL", "TENSORRTLLM_INDEX_URL", "PYTORCH_TRITON_VER"}
    | {"TORCH_VER", "TORCHVISION_VER", "TORCHAO_VER", "TORCHDATA_VER", "TORCHTITAN_VER"}
    | {"TORCH_TENSORRT_VER", "JINJA2_VER", "SYMPY_VER", "FLASH_ATTN_VER", "FLASHINFER_PYTHON_VER"},
}
"""The arguments that count only where the engine is installed, and not part of a vendor's image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that a line and a tree say differently.

    Attributes:
        pin: Its setting, with dots between the keys.
        line: What the line says; empty where it says nothing.
        origin: Where.
        tree: What the tree says.
        place: Where.
        reason: Why, where the line says that it is on purpose.
    """

    pin: str
    line: str
    origin: str
    tree: str
    place: str
    reason: str = ""

    def document(self) -> dict[str, Any]:
        """The difference as a JSON object."""
        return asdict(self)


def differences(config: Settings, pins: TreePins, templates: Path) -> Iterator[Difference]:
    """Where the line of *config* and a tree differ, in the order in which the tree says it."""
    seen: set[tuple[KeyPath, str]] = set()
    missing: set[KeyPath] = set()
    for pin in pins.pins:
        if (pin.path, pin.value) in seen or not counts(config, pin):
            continue
        seen.add((pin.path, pin.value))
        own = effective(config, pin.path)
        if own is None:
            cell = _cell(pin.path)
            if cell not in missing:
                missing.add(cell)
                name = ".".join(cell)
                yield Difference(pin=name, line="", origin="", tree="there", place=pin.place)
        elif not same(pin.path[-1], str(own.value), pin.value):
            yield Difference(
                pin=".".join(pin.path),
                line=str(own.value),
                origin=own.origin.location,
                tree=pin.value,
                place=pin.place,
                reason=_reason(own.origin, templates),
            )
    yield from _requirements(config, pins)


def counts(config: Settings, pin: Pin) -> bool:
    """Whether an image of the line has a use for a pin."""
    for framework, args in _OF_ENGINE.items():
        if pin.path[-1] in args:
            there = config.catalog.frameworks.get(framework)
            row = there and there.devices.get(pin.path[3] if pin.path[2:3] == ("devices",) else "")
            engine = (row.engine if row else None) or (there.engine if there else "")
            return engine in ("stage", "wheel")
    return True


def _cell(path: KeyPath) -> KeyPath:
    """What of the line is not there: a framework, its device, a CUDA version of that."""
    return path[:6] if path[4:5] == ("cuda",) else path[:4]


def effective(config: Settings, path: KeyPath) -> Setting | None:
    """What a line says at *path*, there or more generally; ``None`` where it has no such cell."""
    arg, framework, device, cuda = path[-1], "", "", ""
    if path[0] == "frameworks":
        framework = path[1]
        there = config.catalog.frameworks.get(framework)
        if there is None:
            return None
        if path[2] == "devices":
            device = path[3]
            cuda = path[5] if path[4] == "cuda" else ""
            row = there.devices.get(device)
            if row is None or (cuda and cuda not in row.cuda):
                return None
    return load.args_of(config, framework, device, cuda).get(arg)


def same(arg: str, one: str, other: str) -> bool:
    """Whether two values of an argument mean the same: a list in any order, a ref with v or not."""
    if arg.endswith(("_FEATURES", "_EXTRAS")):
        return set(one.split(",")) == set(other.split(","))
    return one == other or one.removeprefix("v") == other.removeprefix("v")


def _requirements(config: Settings, pins: TreePins) -> Iterator[Difference]:
    for framework, row in config.catalog.frameworks.items():
        lists = (row.requirements, row.dev_requirements, *row.target_requirements.values())
        for name in dict.fromkeys(file for files in lists for file in files):
            if name not in pins.requirements:
                path = ("frameworks", framework, "requirements")
                origin = config.origin(*path).location
                place = "container/deps"
                pin = ".".join(path)
                yield Difference(pin=pin, line=name, origin=origin, tree="", place=place)


def _reason(origin: Origin, templates: Path) -> str:
    """The comment on the value, where it says that it is ours and not the tree's."""
    name = origin.source
    file = templates.parent / name if name.startswith("templates/") else Path(name)
    try:
        line = file.read_text(encoding="utf-8").splitlines()[(origin.line or 1) - 1]
    except (OSError, ValueError, IndexError):
        return ""
    for start in (n for n, char in enumerate(line) if char == "#"):
        try:
            tomllib.loads(line[:start])
        except ValueError:
            continue  # the sign is part of a value
        comment = line[start + 1 :].strip()
        return comment.removeprefix(OURS).strip() if comment.startswith(OURS) else ""
    return ""
