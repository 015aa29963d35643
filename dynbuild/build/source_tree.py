"""The files of a source tree that say something of it: each is read once, whoever asks.

A tree is not trusted: what leads out of it, or is larger than what people write, is not there.
"""

from __future__ import annotations

import tomllib
from dataclasses import field
from pathlib import Path
from typing import Any

from dynbuild import paths
from dynbuild.quick import dataclass

_LARGEST = 1 << 20
"""Bytes of a file that is looked at."""


@dataclass(frozen=True, slots=True)
class SourceTree:
    """A source tree.

    Attributes:
        root: The folder.
    """

    root: Path
    _texts: dict[str, str] = field(default_factory=dict)
    _tables: dict[str, dict[str, Any]] = field(default_factory=dict)

    def holds(self, name: str) -> bool:
        """Whether the way to *name* stays in the tree, wherever its links lead."""
        return not paths.leads_out(self.root / name, self.root)

    def text(self, name: str) -> str:
        """The file *name*; empty where it is none, which its own program tells."""
        if name not in self._texts:
            path = self.root / name
            try:
                there = self.holds(name) and paths.regular(path).stat().st_size <= _LARGEST
                self._texts[name] = path.read_text(encoding="utf-8") if there else ""
            except (OSError, ValueError):
                self._texts[name] = ""
        return self._texts[name]

    def toml(self, name: str) -> dict[str, Any]:
        """The file *name*; empty where it is none."""
        if name not in self._tables:
            try:
                self._tables[name] = tomllib.loads(self.text(name))
            except ValueError:
                self._tables[name] = {}
        return self._tables[name]

    def place(self, name: str, word: str) -> str:
        """The file *name* and the line that has *word*, for people."""
        lines = enumerate(self.text(name).splitlines(), 1)
        return next((f"{name}:{number}" for number, line in lines if word in line), name)
