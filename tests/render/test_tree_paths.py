"""What cells copy and mount of the source tree is in the trees that their lines are made for.

`tests/data/trees/LINE.txt` has the paths of the tree, as far as steps name any: those of its root,
folders with a `/` at the end.
"""

from __future__ import annotations

import fnmatch
import re
from pathlib import Path

import pytest

from tests import cells

TREES = Path(__file__).resolve().parent.parent / "data" / "trees"
MAY_MISS = re.compile(r"\[.\]/?$|\*$")
"""The end of a pattern, which copies what some releases have."""


def read(text):
    """The paths of the build context that a Dockerfile copies or mounts."""
    joined = re.sub(r"\\\n\s*", " ", text)
    for line in joined.splitlines():
        if line.startswith("COPY ") and "--from=" not in line and "<<" not in line:
            *sources, _ = [word for word in line.split()[1:] if not word.startswith("--")]
            yield from sources
        for mount in re.findall(r"--mount=(type=bind\S+)", line):
            if "from=" not in mount:
                yield re.search(r"source=([^,\s]+)", mount)[1]


@pytest.mark.parametrize("line", sorted(path.stem for path in TREES.glob("*.txt")))
def test_every_path_that_a_cell_takes_is_in_the_tree_of_its_line(line):
    there = [path.rstrip("/") for path in (TREES / f"{line}.txt").read_text().split("\n")]
    taken = {}
    for cell in cells.cells():
        if cell.line == line and cell.variant in ("default", "everything"):
            _, text = cells.rendered(cell)
            taken |= dict.fromkeys(read(text), str(cell))
    assert len(taken) > 15
    missing = {
        path: cell
        for path, cell in taken.items()
        if path != "./"
        and not MAY_MISS.search(path)
        and not fnmatch.filter(there, path.rstrip("/"))
    }
    assert not missing
    optional = {path for path in taken if MAY_MISS.search(path)}
    assert [path for path in optional if fnmatch.filter(there, path.rstrip("/"))]
