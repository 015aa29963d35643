"""Docker engines: the one the machine has, and a private one that needs no installation."""

from __future__ import annotations

from dynbuild.engine.client import Engine, find

__all__ = ["Engine", "find"]
