"""What steps took in earlier builds of a tree."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from pathlib import Path

from dynbuild.build import archive, recording

_BUILDS = 30
"""Of how many earlier builds: more tell nothing new, and take time to read."""


def of(context: Path) -> Mapping[tuple[str, int], float]:
    """Seconds of the steps that the last builds of the tree ran, by stage and number in it."""
    taken: dict[tuple[str, int], list[float]] = {}
    for one in archive.records(context)[:_BUILDS]:
        try:
            steps = recording.steps_of(one).steps
        except OSError:
            continue
        for step in steps.values():
            if step.name.is_run and step.ended and not step.cached and not step.error:
                taken.setdefault((step.name.stage, step.name.index), []).append(step.seconds)
    return {step: statistics.median(seconds) for step, seconds in taken.items()}
