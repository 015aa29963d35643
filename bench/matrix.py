"""Plan and render every image of every release line, until it is 300, in one process."""

from __future__ import annotations

import itertools
from pathlib import Path

from dynbuild.plan import planner, selection
from dynbuild.plan.machine import Machine
from dynbuild.plan.named_matrix import every_line
from dynbuild.plan.version import Version
from dynbuild.render.dockerfile import render
from dynbuild.settings import load

VERSION = Version(tag="v1.0.0", python="1.0.0", commit="0" * 40, dirty=False, origin="bench")
COMPILED = Path.home() / ".cache" / "dynbuild" / "templates"
CELLS = 300


def main() -> None:
    """Do it, and say how much it was."""
    templates = load.templates_dir()
    lines = load.Lines(templates=templates, overlays=(), env={}, flags={})
    selected = selection.of_matrix(lines, lines.chosen, every_line(lines))
    shared = planner.Shared(
        config=lines[lines.chosen[0]],
        version=VERSION,
        context=Path(),
        machine=Machine(uid=1000, gid=1000),
    )
    cells = tuple(itertools.islice(itertools.cycle(selected), CELLS))
    jobs = planner.decide_all(cells, shared)
    planner.merge(jobs, shared)
    texts = {render(image, templates, compiled=COMPILED) for job in jobs for image in job.images}
    print(f"{len(jobs)} cells, {len(texts)} Dockerfiles")


if __name__ == "__main__":
    main()
