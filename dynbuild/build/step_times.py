"""What steps took in earlier builds of a tree."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from dynbuild.build import archive
from dynbuild.build.solve import Solve, replay

_BUILDS = 30
"""Of how many earlier builds: more tell nothing new, and take time to read."""


def of(context: Path) -> Mapping[tuple[str, int], float]:
    """Seconds of the steps that the last builds of the tree ran, by stage and number in it."""
    taken: dict[tuple[str, int], list[float]] = {}
    for one in archive.records(context)[:_BUILDS]:
        solve = Solve()
        with suppress(OSError, ValueError), one.events.open(encoding="utf-8") as lines:
            for _ in replay(lines, solve):
                pass
        for step in solve.steps.values():
            if step.name.is_run and step.ended and not step.cached and not step.error:
                taken.setdefault((step.name.stage, step.name.index), []).append(step.seconds)
    return {step: statistics.median(seconds) for step, seconds in taken.items()}
