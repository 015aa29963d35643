"""Which processors and which memory are near a container's GPUs.  Pure.

The nearest NUMA node of a GPU is what ``nvidia-smi topo -m`` says it is (facts: storage
and NUMA); the processors of a node are the kernel's own list.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from dynbuild.errors import RequestError, quote
from dynbuild.quick import dataclass
from dynbuild.run.gpus import Gpus, gpu_of, parse

_TITLES = re.compile(r"CPU Affinity|NUMA Affinity|GPU NUMA ID")
_ROW = re.compile(r"GPU(\d+)\b(.*)")
_MOST = 1 << 16  # more processors or nodes than Linux can be built for
_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A NUMA node of the machine.

    Attributes:
        id: Its number.
        cpus: Its processors as the kernel lists them, such as ``0-31,64-95``; empty for a
            node of memory only, such as a GPU's own on Grace Hopper.
    """

    id: int
    cpus: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """A GPU and what is near it.

    Attributes:
        index: Its number in nvidia-smi.
        uuid: ``GPU-…``; empty where nvidia-smi was not asked or did not say.
        cpus: Its nearest processors, as nvidia-smi lists them; empty where unknown.
        nodes: Its nearest NUMA nodes; empty where unknown.
        memory: The NUMA nodes that are its own memory (coherent platforms only).
    """

    index: int
    uuid: str = ""
    cpus: str = ""
    nodes: tuple[int, ...] = ()
    memory: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where a container is to stay.

    Attributes:
        cpuset_cpus: For ``--cpuset-cpus``; empty for no bound.
        cpuset_mems: For ``--cpuset-mems``; empty for no bound.
        reason: Why, in one sentence without a full stop.
    """

    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    reason: str


def parse_list(text: str) -> frozenset[int]:
    """The numbers in a list such as ``0-3,8`` (the kernel's cpulist format).

    Raises:
        ValueError: The text is no such list.
    """
    found: set[int] = set()
    for part in filter(None, text.strip().split(",")):
        first, dash, last = part.partition("-")
        low, high = int(first), int(last) if dash else int(first)
        if not 0 <= low <= high < _MOST:
            raise ValueError(f"'{part}' is no range")
        found.update(range(low, high + 1))
    return frozenset(found)


def format_list(numbers: Iterable[int]) -> str:
    """The shortest list of *numbers*, such as ``0-3,8``."""
    ranges: list[list[int]] = []
    for number in sorted(set(numbers)):
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in ranges)


def parse_topology(text: str) -> tuple[Gpu, ...]:
    """The GPUs of ``nvidia-smi topo -m``, whatever columns it has.

    A row holds one word for each device of the header, then the affinities: one cell for
    each title where they are separated by tabs, else one word for each.  Older versions
    leave out the last titles.  ``N/A`` and an empty cell are unknown.
    """
    titles: list[str] = []
    devices = 0
    found = []
    for line in _ESCAPES.sub("", text).splitlines():
        names = _TITLES.findall(line)
        if names:
            titles = names
            devices = len(line[: line.index(names[0])].split())
        row = _ROW.match(line.strip())
        if row and not names and titles:
            cells = dict(zip(titles, _cells(row[2], devices, len(titles)), strict=False))
            cpus = cells.get("CPU Affinity", "")
            found.append(
                Gpu(
                    index=int(row[1]),
                    cpus=format_list(_numbers(cpus)),
                    nodes=_numbers(cells.get("NUMA Affinity", "")),
                    memory=_numbers(cells.get("GPU NUMA ID", "")),
                )
            )
    return tuple(found)


def _cells(rest: str, devices: int, titles: int) -> list[str]:
    """The affinities at the end of a row; nothing where they cannot be told apart."""
    words = rest.split()[devices:]
    if len(words) == titles:
        return words
    if "\t" not in rest:
        return []
    # A title wider than a tab stop is followed in the rows by one more tab, but for the last.
    cells = [cell.strip() for cell in rest.strip(" ").split("\t")[devices + 1 :]]
    return [*cells[: titles - 1], cells[-1]] if len(cells) >= titles else cells


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(sorted(parse_list(text)))
    except ValueError:
        return ()


def parse_query(text: str) -> dict[int, str]:
    """Index and UUID of ``nvidia-smi --query-gpu=index,uuid --format=csv,noheader``."""
    found = {}
    for line in text.splitlines():
        index, _, uuid = line.partition(",")
        if index.strip().isdecimal() and uuid.strip():
            found[int(index)] = uuid.strip()
    return found


def topology(topo: str, query: str) -> tuple[Gpu, ...]:
    """The machine's GPUs from both answers of nvidia-smi; either may be empty."""
    near = {gpu.index: gpu for gpu in parse_topology(topo)}
    uuids = parse_query(query)
    return tuple(
        Gpu(
            index=index,
            uuid=uuids.get(index, ""),
            cpus=near[index].cpus if index in near else "",
            nodes=near[index].nodes if index in near else (),
            memory=near[index].memory if index in near else (),
        )
        for index in sorted({*near, *uuids})
    )


def resolve(choice: Gpus, gpus: Collection[Gpu]) -> tuple[tuple[Gpu, ...], tuple[str, ...]]:
    """The GPUs that *choice* means, and those it names that the machine has not.

    A number of GPUs means the first ones, as it does for the NVIDIA runtime; of a number that
    is too high the first GPU that is not there is named.  Of a slice of a GPU, such as
    ``0:1``, the GPU counts.
    """
    ordered = sorted(gpus, key=lambda gpu: gpu.index)
    if not choice.devices:
        wanted = len(ordered) if choice.count is None else choice.count
        return tuple(ordered[:wanted]), (str(len(ordered)),) * (wanted > len(ordered))
    by_name = {str(gpu.index): gpu for gpu in ordered} | {
        gpu.uuid.lower(): gpu for gpu in ordered if gpu.uuid
    }
    found, missing = [], []
    for device in choice.devices:
        name = gpu_of(device).lower()
        named = ordered if name == "all" else [by_name[name]] if name in by_name else []
        found += [gpu for gpu in named if gpu not in found]
        if not named:
            missing.append(device)
    return tuple(found), tuple(missing)


def place(gpus: str, topology: Collection[Gpu], nodes: Collection[Node], wanted: str) -> Placement:
    """Where a container with *gpus* is to stay.

    Args:
        gpus: The ``--gpus`` value.
        topology: The machine's GPUs.
        nodes: The machine's NUMA nodes.
        wanted: ``auto`` for the nodes nearest the GPUs, a list of nodes such as ``1`` or
            ``0-1``; ``none`` or nothing for no placement.

    Returns:
        No bounds, and why, where ``auto`` has nothing to go by.  The memory nodes of the
        GPUs themselves are always allowed: without them they could not use their memory.

    Raises:
        RequestError: *wanted* is no such value or names a node that is not there or has no
            processors; or ``auto`` meets a *gpus* that names none.
    """
    if wanted.lower() in ("", "none"):
        return Placement(reason="no NUMA placement was asked for")
    chosen, missing = resolve(parse(gpus), topology)
    if wanted.lower() == "auto":
        near, reason = _nearest(chosen, missing, topology, [n for n in nodes if n.cpus])
    else:
        near, reason = _named(wanted, nodes), "asked for"
    if not near:
        return Placement(reason=reason)
    own = {node for gpu in chosen for node in gpu.memory} & {node.id for node in nodes}
    cpus = {cpu for node in nodes if node.id in near for cpu in parse_list(node.cpus)}
    return Placement(
        cpuset_cpus=format_list(cpus), cpuset_mems=format_list(near | own), reason=reason
    )


def _nearest(
    chosen: tuple[Gpu, ...], missing: tuple[str, ...], known: Collection[Gpu], nodes: list[Node]
) -> tuple[frozenset[int], str]:
    """The nodes nearest *chosen*, none where that makes no sense; and why."""
    unknown = [gpu for gpu in chosen if not _near(gpu, nodes)]
    near = frozenset(node for gpu in chosen for node in _near(gpu, nodes))
    if not nodes:
        reason = "the kernel names no NUMA nodes"
    elif len(nodes) == 1:
        reason = "this machine has one NUMA node"
    elif not known:
        reason = "nvidia-smi names no GPUs"
    elif missing:
        reason = f"nvidia-smi names no GPU {missing[0]}"
    elif not chosen:
        reason = "the container gets no GPU"
    elif unknown:
        reason = f"nvidia-smi names no NUMA node near {_gpus(unknown)}"
    elif len(near) == len(nodes):
        reason = f"every NUMA node is near {_gpus(chosen)}"
    else:
        return near, f"nearest to {_gpus(chosen)}"
    return frozenset(), reason


def _near(gpu: Gpu, nodes: list[Node]) -> set[int]:
    """The nodes with processors that are near *gpu*: by number, else by their processors."""
    named = {node.id for node in nodes if node.id in gpu.nodes}
    cpus = parse_list(gpu.cpus)
    return named or {node.id for node in nodes if cpus & parse_list(node.cpus)}


def parse_wanted(text: str) -> frozenset[int]:
    """The nodes that *text* names; none for ``auto`` and ``none``.

    Raises:
        RequestError: It is neither a word of these nor a list of numbers.
    """
    if text.lower() in ("auto", "none"):
        return frozenset()
    try:
        numbers = parse_list(text)
    except ValueError:
        numbers = frozenset()
    if not numbers:
        raise RequestError(
            f"--numa takes auto or numbers of nodes, not {quote(text)}", hint="such as 0 or 0-1"
        )
    return numbers


def _named(wanted: str, nodes: Collection[Node]) -> frozenset[int]:
    usable = format_list(node.id for node in nodes if node.cpus)
    hint = f"NUMA nodes with processors here: {usable}" if usable else "leave --numa out"
    numbers = parse_wanted(wanted)
    absent = numbers - {node.id for node in nodes}
    if absent:
        raise RequestError(f"there is no NUMA node {format_list(absent)} here", hint=hint)
    bare = numbers & {node.id for node in nodes if not node.cpus}
    if bare:
        raise RequestError(f"NUMA node {format_list(bare)} has no processors", hint=hint)
    return numbers


def _gpus(gpus: Collection[Gpu]) -> str:
    return f"GPU {format_list(gpu.index for gpu in gpus)}"
