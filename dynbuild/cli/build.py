"""``dynbuild build``."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dynbuild.cli import console
from dynbuild.cli.planning import decide, dockerfiles
from dynbuild.cli.request import BuildRequest, with_builder
from dynbuild.cli.trust import HELP
from dynbuild.image_id import AWS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dynbuild.build.events import Event
    from dynbuild.build.expectation import Expectation
    from dynbuild.build.result import BuildResult
    from dynbuild.cli.planning import PlannedJob
    from dynbuild.cli.progress_display import Shown
    from dynbuild.cli.solving import Ready


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

    Several, and what the settings have tests for, are built as `dynbuild matrix` builds them: one
    that fails costs itself alone.

    [bold]Examples[/bold]

      dynbuild build --framework none --target runtime --context ~/dynamo

      dynbuild build --framework none --target runtime --device cpu --dynamo-wheels index==0.9.0

      dynbuild build --framework none --target runtime --source ucx=../ucx

      dynbuild build --framework none --target runtime --push --repository example.com/ai/dynamo
    """
    from dynbuild.cli import solving, why

    search = None if dry_run else solving.Search()
    planned = decide(request)
    texts = dockerfiles(planned)
    if not solving.is_to_build(request, planned, texts, format, dry_run=dry_run, trust=trust):
        return
    expectation = why.expectation(Path(planned.plan.context), expect_cached)
    if _is_several(planned) or _is_tested(planned):
        from dynbuild.cli import matrix

        options = {"expectation": expectation}
        matrix.show(matrix.run(request, planned, texts, options, search=search), format)
        return
    ready = solving.make_ready(request, planned, texts, search)
    show(_built(request, ready, expectation(ready.planned.job, ready.texts)), format)


def _is_several(planned: PlannedJob) -> bool:
    """Whether more than one cell is asked for; the layer that comes with a cell is none."""
    named = [image for image in planned.job.images if image.plan.tags]
    return sum(not image.id.target.endswith(AWS) for image in named) > 1


def _is_tested(planned: PlannedJob) -> bool:
    """Whether the settings have a test for what is built; without one, none is run."""
    return any(not test.promised for tests in planned.tests.values() for test in tests)


def _built(request: BuildRequest, ready: Ready, expectation: Expectation | None) -> BuildResult:
    """Build the images of one solve; what is to be known of it is told."""
    from dynbuild.build import drive
    from dynbuild.cli import solving

    planned, builder = ready.planned, ready.builder
    for image in (image for image in planned.plan.images if image.tags):
        console.say(f"building {image.name} as {image.tags[0]} on {builder}")
    with solving.running(ready) as cancellation, _shown(request, ready) as shown:
        result = drive.build(
            planned.job,
            ready.texts,
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


@contextmanager
def _shown(request: BuildRequest, ready: Ready) -> Iterator[Callable[[Event], None]]:
    """What shows the build; it is made for the first event, when BuildKit works already."""
    with ExitStack() as stack:
        listeners: list[Callable[[Event], None]] = []

        def listen(event: Event) -> None:
            if not listeners:
                listeners.append(stack.enter_context(_display(request, ready)))
            listeners[0](event)

        yield listen


def _display(request: BuildRequest, ready: Ready) -> Shown:
    from dynbuild.cli import progress_display

    def plain() -> Shown:
        from dynbuild.report.progress import Progress

        return Progress(console.say, console.err_display(), console.verbosity())

    return progress_display.shown(request.progress, plain, ready.planned.job, ready.texts)


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
