"""A small KV cache block manager: pool sizes and eviction."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from kvbm import _core

__all__ = ["Cuda", "Layout", "Usage", "cuda", "layout", "usage", "version"]

version = _core.version


class Cuda(NamedTuple):
    """The CUDA that the core was compiled with."""

    version: int
    devices: int


class Layout(NamedTuple):
    """How a pool is divided."""

    blocks: int
    stride: int
    unused: int


class Usage(NamedTuple):
    """What a series of accesses did to a pool."""

    hits: int
    evictions: int


def cuda() -> Cuda | None:
    """The CUDA runtime and the GPUs it finds; ``None`` where it was compiled without CUDA."""
    found = _core.cuda()
    return Cuda(*found) if found else None


def layout(pool: int, block: int, alignment: int = 4096) -> Layout:
    """Divide a pool of bytes into aligned blocks."""
    return Layout(*_core.plan_pool(pool, block, alignment))


def usage(accesses: Iterable[int], capacity: int) -> Usage:
    """Replay block accesses against an LRU pool."""
    return Usage(*_core.replay(accesses, capacity))
