"""``dynbuild build`` and ``plan``."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dynbuild.cli import console
from dynbuild.cli.planning import PlannedJob, decide, dockerfiles, notes_of
from dynbuild.cli.request import BuildRequest, with_builder, with_request
from dynbuild.cli.trust import HELP
from dynbuild.errors import RequestError
from dynbuild.image_id import AWS

if TYPE_CHECKING:
    from dynbuild.build.expectation import Expectation
    from dynbuild.build.result import BuildResult
    from dynbuild.cli.solving import Ready


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
    shown = planned.plan.model_copy(update={"warnings": warnings})
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
        console.out_json(plan.model_copy(update={"remote": found}).document())
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


@with_builder
def build(
    request: BuildRequest,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Print the command and its definition; touch nothing."),
    ] = False,
    trust: Annotated[bool, typer.Option("--trust", help=HELP)] = False,
    expect_cached: Annotated[
        str | None,
        typer.Option(
            "--expect-cached",
            help="Fail at the first step that is not in the cache, and say why; with =GLOB, of"
            " the steps whose stage, or what they do, fits it.",
            metavar="[=GLOB]",
            show_default=False,
        ),
    ] = None,
    format: Annotated[
        Literal["table", "json"], typer.Option("--format", help="For people, or for programs.")
    ] = "table",
) -> None:
    """Build an image.

    Several are built as `dynbuild matrix` builds them: one that fails costs itself alone.

    [bold]Examples[/bold]

      dynbuild build --framework none --target runtime --context ~/dynamo

      dynbuild build --framework none --target runtime --device cpu --dynamo-wheels index==0.9.0

      dynbuild build --framework none --target runtime --source ucx=../ucx

      dynbuild build --framework none --target runtime --push --repository example.com/ai/dynamo
    """
    from dynbuild.cli import solving, why

    search = None if dry_run else solving.search_engine()
    planned = decide(request)
    texts = dockerfiles(planned)
    if not solving.is_to_build(request, planned, texts, format, dry_run=dry_run, trust=trust):
        return
    expectation = why.expectation(Path(planned.plan.context), expect_cached)
    if _is_several(planned):
        from dynbuild.cli import matrix
        from dynbuild.matrix.run import Options

        options = Options(expectation=expectation)
        matrix.show(matrix.run(request, planned, texts, options, search=search), format)
        return
    own = [test.name for tests in planned.tests.values() for test in tests if not test.promised]
    if own:
        named = ", ".join(dict.fromkeys(own))
        console.warn(f"`dynbuild matrix` runs the tests of the settings ({named}), not this")
    ready = solving.make_ready(request, planned, texts, search)
    show(_built(request, ready, expectation(ready.planned.job, ready.texts)), format)


def _is_several(planned: PlannedJob) -> bool:
    """Whether more than one cell is asked for; the layer that comes with a cell is none."""
    named = [image for image in planned.job.images if image.plan.tags]
    return sum(not image.id.target.endswith(AWS) for image in named) > 1


def _built(request: BuildRequest, ready: Ready, expectation: Expectation | None) -> BuildResult:
    """Build the images of one solve; what is to be known of it is told."""
    from dynbuild.build import drive
    from dynbuild.cli import progress_display, solving
    from dynbuild.report.progress import Progress

    planned, texts, builder = ready.planned, ready.texts, ready.builder
    with solving.running(ready) as cancellation:
        for image in (image for image in planned.plan.images if image.tags):
            console.say(f"building {image.name} as {image.tags[0]} on {builder}")

        def plain() -> Progress:
            return Progress(console.say, console.err_display(), console.verbosity())

        with progress_display.shown(request.progress, plain, planned.job, texts) as shown:
            result = drive.build(
                planned.job,
                texts,
                builder=builder,
                env=os.environ,
                secrets=planned.secrets,
                listen=shown,
                cancellation=cancellation,
                expectation=expectation,
                asked_again=ready.again.retries,
            )
    ready.warn_at_end(result.warnings)
    return result


def show(result: BuildResult, format: str) -> None:
    """The result of a build, for people or for programs.

    Raises:
        BuildFailed: It is a failure.
        Interrupted: It was cancelled.
    """
    from dynbuild.build import failure
    from dynbuild.report import progress

    if format == "json":
        console.out_json(result.document())
    if result.failure is not None:
        raise failure.to_error(result.failure, Path(result.record, "log"))
    if format == "table":
        for line in progress.summary(result, console.out_display()):
            console.out(line)
