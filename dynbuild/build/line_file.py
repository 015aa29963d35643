"""A new release line: what a source tree says, and where it says nothing what another line says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from dynbuild.build.line_check import counts, effective, same
from dynbuild.build.pins import Pin, TreePins
from dynbuild.errors import RequestError
from dynbuild.plan import kinds
from dynbuild.quick import dataclass
from dynbuild.settings.layers import KeyPath, Layer, Origin, Setting
from dynbuild.settings.load import Settings

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,30}")
_DATE = ("args", "UV_EXCLUDE_NEWER")
_HEAD = (("request",), ("args",))


@dataclass(frozen=True, slots=True)
class Value:
    """A value of the new line, and the comment that says where it is from."""

    value: str | bool | list[str]
    comment: str


def check_name(name: str) -> None:
    """Refuse a name that tags of images and files could not have.

    Raises:
        RequestError: It is such a one.
    """
    if not _NAME.fullmatch(name):
        raise RequestError(
            f"'{name}' is no name of a release line",
            hint="lower-case letters, digits, '.', '_', '-', such as 1.7",
        )


def nearest(version: str, known: Mapping[str, Settings]) -> str:
    """The line that a tree of *version* is likest: the newest that is not newer.

    Lines of published wheels say nothing of a tree.
    """
    wanted = _number(version)
    built = [
        line for line, config in known.items() if config.catalog.request.dynamo_wheels == "source"
    ]
    older = [line for line in built if _number(line) <= wanted]
    return max(older or built, key=_number) if older or not built else min(built, key=_number)


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def compose(name: str, like: str, config: Settings, own: Layer, pins: TreePins) -> str:
    """The text of the file of the line *name*.

    Args:
        name: What it is called.
        like: The line that says what the tree does not.
        config: Its settings.
        own: What its own file says; of the catalog's own line, the frameworks.
        pins: What the tree says.
    """
    values = {
        path: Value(setting.value, f"as in {like}")
        for path, setting in own.items()
        if _is_there(path, pins)
    }
    refused: list[str] = []
    for pin in pins.pins:
        if wrong := _refusal(config, pin):
            refused.append(wrong)
        elif not counts(config, pin):
            refused.append(f"{pin.place}: {pin.path[-1]} = {pin.value}, which an image brings")
        elif effective(config, pin.path) is not None or pin.path[4:5] == ("cuda",):
            values[pin.path] = Value(pin.value, pin.place)
        else:
            refused.append(f"{pin.place}: {'.'.join(pin.path)} = {pin.value}, which {like} has not")
    values |= _checksums(config, values)
    values[("request", "release_line")] = Value(name, "")
    values[_DATE] = Value("", "the day of the release, once there is one")
    values |= _requirements(values, pins)
    values |= dict(_cuda(values, pins))
    unused = (f"{pin.place}: {'.'.join(pin.path[1:])} = {pin.value}" for pin in pins.unused)
    notes = [*refused, *unused]
    return "\n".join((*_introduction(name, like, pins), *_tables(values), *_notes(notes), ""))


def _is_there(path: KeyPath, pins: TreePins) -> bool:
    """Whether a tree that says which frameworks and CUDA versions it has does not say no to one."""
    if path[0] != "frameworks":
        return True
    rows = _rows(path[1], pins)
    if pins.frameworks and path[1] not in pins.frameworks:
        return False
    return path[4:5] != ("cuda",) or not rows or path[5] in rows


def _rows(framework: str, pins: TreePins) -> tuple[str, ...]:
    """The CUDA versions that a tree says a framework has."""
    paths = (pin.path for pin in pins.pins)
    return tuple(
        dict.fromkeys(
            path[5] for path in paths if path[1:2] == (framework,) and path[4:5] == ("cuda",)
        )
    )


def _cuda(values: Mapping[KeyPath, Value], pins: TreePins) -> Iterator[tuple[KeyPath, Value]]:
    """What follows from the CUDA versions that there are: which is the usual one, and its name."""
    for framework in dict.fromkeys(path[1] for path in values if path[0] == "frameworks"):
        own, rows = ("frameworks", framework), _rows(framework, pins)
        usual = values.get((*own, "cuda_default"))
        if rows and usual and usual.value not in rows:
            yield (*own, "cuda_default"), Value(max(rows, key=_number), "the newest of the tree")
        for row in rows:
            path = (*own, "devices", "cuda", "cuda", row, "CUDA_VERSION")
            if path not in values:
                yield path, Value(row, "of the images above")


def _introduction(name: str, like: str, pins: TreePins) -> Iterator[str]:
    yield f"# A source tree of version {_plain(pins.version) or 'unknown'}: --release-line {name}."
    yield "# A comment says where in the tree a value is from, or that it is that of another line."
    yield f"# What neither says is the catalog's.  Made by `dynbuild line new`, after {like}."
    yield ""


def _notes(notes: list[str]) -> Iterator[str]:
    if notes:
        yield "# What the tree says besides, and no value above stands for:"
        yield "#"
        yield from (f"#   {_plain(note)}" for note in notes)


def _plain(text: str) -> str:
    """*text* on one line, as it stands in a comment."""
    return "".join(char if char.isprintable() else "?" for char in text)[:300]


def _refusal(config: Settings, pin: Pin) -> str:
    """Why what a tree says is no value; empty where it is one."""
    declared = config.catalog.arguments.get(pin.path[-1])
    setting = Setting(pin.value, Origin("overlay", pin.place))
    problem = kinds.problem(pin.path[-1], declared, setting) if declared else None
    return f"{pin.place}: {problem.message}" if problem else ""


def _checksums(config: Settings, values: Mapping[KeyPath, Value]) -> dict[KeyPath, Value]:
    """Checksums of other versions are none of these."""
    found: dict[KeyPath, Value] = {}
    for table, entries in (("tools", config.catalog.tools), ("sources", config.catalog.sources)):
        for name, entry in entries.items():
            sums = getattr(entry, "sha256", "")
            own = (table, name, "sha256")
            paths: list[KeyPath] = [own] if sums else []
            if isinstance(sums, dict):
                paths = [(*own, arch) for arch in sums]
            arg = getattr(entry, "version", "") or "".join(
                re.findall(r"\$\{(\w+)\}", str(getattr(entry, "url", "")))[:1]
            )
            before, now = effective(config, ("args", arg)), values.get(("args", arg))
            if paths and before and now and not same(arg, str(before.value), str(now.value)):
                found |= {path: Value("", f"none is known for {arg} {now.value}") for path in paths}
    return found


def _requirements(values: Mapping[KeyPath, Value], pins: TreePins) -> dict[KeyPath, Value]:
    """The files of requirements that the tree has; a list of another line may name more."""
    found: dict[KeyPath, Value] = {}
    for path, one in values.items():
        if path[0] == "frameworks" and isinstance(one.value, list) and _is_files(path):
            there = [name for name in one.value if name in pins.requirements]
            gone = [name for name in one.value if name not in pins.requirements]
            comment = f"; the tree has no {', '.join(gone)}" if gone else ", all in container/deps"
            found[path] = Value(there, one.comment + comment)
    return found


def _is_files(path: KeyPath) -> bool:
    return path[2].endswith("requirements")


def _tables(values: Mapping[KeyPath, Value]) -> Iterator[str]:
    tables: dict[KeyPath, dict[str, Value]] = {head: {} for head in _HEAD}
    for path, one in values.items():
        tables.setdefault(path[:-1], {})[path[-1]] = one
    order = [*_HEAD, *sorted((table for table in tables if table not in _HEAD), key=_place)]
    for table in order:
        yield f"[{'.'.join(map(_key, table))}]"
        for key, one in tables[table].items():
            comment = f"  # {_plain(one.comment)}" if one.comment else ""
            yield f"{_key(key)} = {json.dumps(one.value, ensure_ascii=False)}{comment}"
        yield ""


def _place(table: KeyPath) -> tuple[bool, KeyPath]:
    return table[0] == "frameworks", table


def _key(key: str) -> str:
    return key if re.fullmatch(r"[\w-]+", key, re.ASCII) else json.dumps(key)
