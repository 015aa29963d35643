"""What a build that ended told, read back from its record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dynbuild.build.solve import Solve, replay
from dynbuild.build.steps import StepName
from tests.conftest import ROOT


def solve(report: dict[str, Any]) -> Solve:
    """The steps of the build of *report*."""
    solve = Solve()
    with Path(ROOT, report["record"], "events.jsonl").open(encoding="utf-8") as lines:
        for _ in replay(lines, solve):
            pass
    return solve


def ran(report: dict[str, Any]) -> list[StepName]:
    """Names of the instructions that were carried out, not taken from a cache."""
    return [
        step.name
        for step in solve(report).steps.values()
        if step.name.is_instruction and step.ended and not step.cached
    ]
