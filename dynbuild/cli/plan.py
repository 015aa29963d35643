"""``dynbuild plan``: what would be built, and what of it would run."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

import typer

from dynbuild.cli import console
from dynbuild.cli.planning import PlannedJob, decide, dockerfiles, notes_of
from dynbuild.cli.request import BuildRequest, with_request
from dynbuild.errors import RequestError


@with_request
def plan(
    request: BuildRequest,
    format: Annotated[
        Literal["table", "json"], typer.Option("--format", help="For people, or for programs.")
    ] = "table",
    offline: Annotated[
        bool,
        typer.Option(
            "--offline",
            help="List every remote place; fail if one is a public default. With --diff: ask"
            " nothing over the network.",
        ),
    ] = False,
    diff: Annotated[
        str | None,
        typer.Option(
            "--diff",
            help="Show which steps will run, and why, beside an earlier build: the last one of"
            " the image, or the one with that id.",
            metavar="[ID]",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Show what would be built, with every value and where it comes from.

    [bold]Examples[/bold]

      dynbuild plan --framework none --target runtime

      dynbuild plan --framework vllm --target runtime --cuda-version 13.0 --format json

      dynbuild plan --framework none --target runtime --config site.toml --offline

      dynbuild plan --framework none --target runtime --diff
    """
    planned = decide(request)
    if diff is not None:
        from dynbuild.cli import why

        texts = dockerfiles(planned)
        why.show_prediction(planned.job, texts, diff or None, format, offline=offline)
        return
    warnings = (*notes_of(planned), *planned.plan.warnings)
    shown = replace(planned.plan, warnings=warnings)
    planned = replace(planned, job=replace(planned.job, plan=shown))
    from dynbuild.report import plan_table

    if offline:
        _offline(planned, format)
        return
    if format == "json":
        console.out_json(planned.plan.document())
        return
    for line in plan_table.lines(planned.plan, console.out_display()):
        console.out(line)
    for warning in planned.plan.warnings:
        console.warn(warning)


def _offline(planned: PlannedJob, format: str) -> None:
    """Every remote place of the plan.

    Raises:
        RequestError: One is still a public default.
    """
    from dynbuild.plan import remote
    from dynbuild.report import plan_table

    plan = planned.plan
    found = remote.of_job(planned.job, dockerfiles(planned))
    if format == "json":
        console.out_json(replace(plan, remote=found).document())
    else:
        for line in plan_table.remote_lines(found, console.out_display()):
            console.out(line)
        if not remote.uncovered(found):
            console.out(f"\nall {len(found)} places covered")
    for warning in plan.warnings:
        console.warn(warning)
    left = remote.uncovered(found)
    if left:
        raise RequestError(
            f"{len(left)} of {len(found)} remote places are public ones that no setting covers",
            hint=f"these would: {', '.join(remote.keys(left))}; see docs/air-gap.md",
        )
