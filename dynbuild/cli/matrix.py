"""``dynbuild matrix``: many images in one command."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dynbuild.cli import build as one_build
from dynbuild.cli import console
from dynbuild.cli.request import Asked, Cells, with_request
from dynbuild.errors import BuildFailed, Interrupted, RequestError

if TYPE_CHECKING:
    from dynbuild.cli.build import Decided
    from dynbuild.cli.resumption import Resumption
    from dynbuild.matrix.result import MatrixResult
    from dynbuild.matrix.run import Options

JOBS = 24
"""Solves at once: as many clients, of 50 MB each, as a small machine has memory for."""


@with_request
def matrix(
    asked: Asked,
    *,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            help="The cells of [matrix.NAME] of the settings; without one all of the line.",
            show_default=False,
        ),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="GLOB", help="Cells whose id the glob means; repeatable."),
    ] = None,
    skip: Annotated[
        list[str] | None,
        typer.Option("--skip", metavar="GLOB", help="Cells left out; repeatable."),
    ] = None,
    jobs: Annotated[
        int, typer.Option("--jobs", "-j", min=1, metavar="NUMBER", help="Solves at once.")
    ] = JOBS,
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", help="End with the first cell that fails.")
    ] = False,
    timeout: Annotated[
        float | None,
        typer.Option("--timeout", min=0.1, metavar="SECONDS", help="For each cell."),
    ] = None,
    retries: Annotated[
        int,
        typer.Option(
            "--retries", min=0, metavar="NUMBER", help="Tries more where the network failed."
        ),
    ] = 2,
    tag_when: Annotated[
        Literal["all", "each"],
        typer.Option(
            "--tag-when", help="With --push: tags move when all cells are there, or each."
        ),
    ] = "all",
    resume: Annotated[
        str | None,
        typer.Option(
            "--resume", metavar="ID", help="Go on with a run; 'last' is the last one.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the commands and one definition.")
    ] = False,
    format: Annotated[
        Literal["table", "json"], typer.Option("--format", help="For people, or for programs.")
    ] = "table",
) -> None:  # fmt: skip
    """Build many images: a cell that fails costs itself alone, and no step runs twice.

    [bold]Examples[/bold]

      dynbuild matrix --framework none --device cpu

      dynbuild matrix release --only 'vllm-*' --push --repository example.com/ai/dynamo

      dynbuild matrix --resume last
    """
    from dynbuild.matrix.run import Options

    options = Options(
        jobs=jobs,
        fail_fast=fail_fast,
        timeout=timeout or 0.0,
        retries=retries,
        tag_when=tag_when,
    )
    cells = Cells(matrix=name, only=tuple(only or ()), skip=tuple(skip or ()))
    asked = replace(asked, cells=cells)
    if resume is None:
        _run(asked, options, format, dry_run=dry_run)
        return
    if asked.flags or name or only or skip:
        raise RequestError(
            "--resume goes on with what the run was asked for, and takes no other options of it",
            hint="leave them out, or run the matrix anew: what is done comes from the cache",
        )
    from dynbuild.cli import resumption

    before = resumption.read(asked.context, "" if resume == "last" else resume)
    _run(before.asked, options, format, dry_run=dry_run, before=before)


def _run(
    asked: Asked,
    options: Options,
    format: str,
    *,
    dry_run: bool,
    before: Resumption | None = None,
) -> None:
    decided = one_build.decide(asked)
    texts = one_build.dockerfiles(decided)
    if dry_run:
        one_build.dry_run_of(decided, texts, format)
        return
    result = run(asked, decided, texts, options, before=before)
    show(result, format)


def run(
    asked: Asked,
    decided: Decided,
    texts: dict[str, str],
    options: Options,
    *,
    before: Resumption | None = None,
) -> MatrixResult:
    """Build all that is *decided*, as a matrix.

    Args:
        asked: What the command line says.
        decided: What to build.
        texts: Text of the Dockerfile of each image, by its name.
        options: How.
        before: The run that this one goes on with.

    Raises:
        NotReady: The machine cannot.
        BuildFailed: What the tree makes before the solves failed.
    """
    from dynbuild import proc
    from dynbuild.build import prepare
    from dynbuild.cli import resumption, signals
    from dynbuild.matrix import record
    from dynbuild.matrix import run as matrix_run
    from dynbuild.report import matrix as report

    engine = one_build.engine_here()
    builder = one_build.builder_of(engine, decided.plan, texts)
    decided, texts, lost = one_build.with_compile_cache(asked, decided, texts)
    for warning in (*decided.plan.warnings, *lost):
        console.warn(warning)
    kept = before.unchanged(decided.plan) if before else ()
    name = (asked.cells and asked.cells.matrix) or ""
    now = record.create(decided.plan, name)
    resumption.write(now, asked)
    cancellation = proc.Cancellation()
    cells = sum(1 for image in decided.plan.images if image.tags)
    with signals.cancelling(cancellation):
        prepare.run(
            decided.job,
            engine=engine,
            env=os.environ,
            say=console.say,
            listen=console.detail,
            cancellation=cancellation,
        )
        console.say(f"building {cells - len(kept)} of {cells} images on {builder}: {now.path}")
        with report.Progress(
            console.say, console.err_look(), console.verbosity(), cells - len(kept)
        ) as shown:
            site = matrix_run.Site(
                builder=builder,
                env=os.environ,
                secrets=decided.secrets,
                cancellation=cancellation,
                listen=shown,
            )
            result = matrix_run.run(
                decided.job, texts, site=site, options=options, record=now, name=name, done=kept
            )
    for warning in (*result.warnings, *lost):
        console.warn(warning)
    return result


def show(result: MatrixResult, format: str) -> None:
    """The result, for people or for programs.

    Raises:
        BuildFailed: A cell failed.
        Interrupted: It was called off.
    """
    from dynbuild.report import matrix as report

    if format == "json":
        console.out_json(result.document())
    else:
        for line in (*report.table(result, console.out_look()), "", *report.summary(result)):
            console.out(line)
    if result.status == "interrupted":
        raise Interrupted(
            "interrupted; what is not done is cancelled", hint="dynbuild matrix --resume last"
        )
    if result.status == "failed":
        failed = [cell for cell in result.cells if cell.status != "done"]
        logs = [Path(result.record).parent.parent / "builds" / cell.build / "log"
                for cell in failed if cell.build][:1]  # fmt: skip
        raise BuildFailed(
            f"{len(failed)} of {len(result.cells)} cells are not done: "
            + ", ".join(cell.id for cell in failed[:3])
            + (", …" if failed[3:] else ""),
            hint="after the mend, `dynbuild matrix --resume last` builds these alone"
            + (f"; the log of the first: {logs[0]}" if logs else ""),
        )
