"""``dynbuild matrix``: many images in one command."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from dynbuild import units
from dynbuild.cli import ci, console
from dynbuild.cli.parameters import Invocation, with_options
from dynbuild.cli.planning import PlannedJob, decide, dockerfiles
from dynbuild.cli.request import BuildRequest, Cells, build_request_of
from dynbuild.cli.trust import HELP
from dynbuild.errors import BuildFailed, Interrupted, RequestError
from dynbuild.image_id import AWS
from dynbuild.settings.axis_options import ONLY, SKIP
from dynbuild.settings.matrix_options import MATRIX_RUN
from dynbuild.settings.progress_option import PROGRESS
from dynbuild.settings.request_options import REQUEST

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dynbuild.cli.resumption import Resumption
    from dynbuild.cli.solving import Ready, Search
    from dynbuild.matrix.result import CellResult, MatrixResult

_MOST = 10_000
"""Of jobs and of retries: more is a slip."""


@with_options((*REQUEST, ONLY, SKIP, *MATRIX_RUN, PROGRESS))
def matrix(
    invocation: Invocation,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            help="The cells of [matrix.NAME] of the settings; without one all of the line.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the command and one definition of all.")
    ] = False,
    format: Annotated[
        Literal["table", "json"], typer.Option("--format", help="For people, or for programs.")
    ] = "table",
    trust: Annotated[bool, typer.Option("--trust", help=HELP)] = False,
) -> None:
    """Build many images: a cell that fails costs itself alone, and no step runs twice.

    [bold]Examples[/bold]

      dynbuild matrix --framework none --device cpu

      dynbuild matrix release --only 'vllm-*' --push --repository example.com/ai/dynamo

      dynbuild matrix --resume last
    """
    options = _options(invocation)
    cells = Cells(
        matrix=name,
        only=invocation.items("only"),
        skip=invocation.items("skip"),
        shard=invocation.text("shard") or "",
        if_changed=invocation.switch("if_changed"),
    )
    request = replace(build_request_of(invocation), cells=cells)
    resume, files = invocation.text("resume"), ci.Files() if dry_run else ci.files(invocation)
    if resume is None:
        _run(request, options, files, format, dry_run=dry_run, trust=trust)
        return
    if request.flags or request.overlays or cells != Cells():
        raise RequestError(
            "--resume goes on with what the run was asked for, and takes no other options of it",
            hint="leave them out, or run the matrix anew: what is done comes from the cache",
        )
    from dynbuild.cli import resumption

    before = resumption.read(request.context, "" if resume == "last" else resume, trusted=trust)
    again = replace(
        before.request, builder=request.builder, progress=request.progress, tests=request.tests
    )
    _run(again, options, files, format, dry_run=dry_run, trust=trust, before=before)


def _options(invocation: Invocation) -> dict[str, Any]:
    """How the command line wants a matrix to run: fields of ``dynbuild.matrix.run.Options``.

    Raises:
        RequestError: A value is none of its option.
    """
    said: dict[str, Any] = {"fail_fast": invocation.switch("fail_fast")}
    for name, low in (("jobs", 1), ("retries", 0)):
        text, flag = invocation.text(name), f"flag --{name}"
        if text is not None:
            said[name] = units.parse_integer(text, low=low, high=_MOST, origin=flag)
    if timeout := invocation.text("timeout"):
        said["timeout"] = units.parse_time(timeout, origin="flag --timeout").total_seconds()
    if tag_when := invocation.text("tag_when"):
        said["tag_when"] = tag_when
    return said


def _run(
    request: BuildRequest,
    options: Mapping[str, Any],
    files: ci.Files,
    format: str,
    *,
    dry_run: bool,
    trust: bool,
    before: Resumption | None = None,
) -> None:
    from dynbuild.cli import solving

    search = None if dry_run else solving.Search()
    planned = decide(request)
    texts = dockerfiles(planned)
    if request.cells and request.cells.shard:
        planned = _shard(planned, texts, request.cells.shard)
        # Other records would make other shards: a resumption has these very cells.
        ids = tuple(str(one.id) for one in planned.job.images if not one.id.target.endswith(AWS))
        request = replace(request, cells=replace(request.cells, only=ids, shard=""))
    if not solving.is_to_build(request, planned, texts, format, dry_run=dry_run, trust=trust):
        return
    result = run(request, planned, texts, options, before=before, search=search)
    try:
        files.write(result)
    finally:
        # What was built is told in any case.
        show(result, format)


def _shard(planned: PlannedJob, texts: dict[str, str], shard: str) -> PlannedJob:
    """The part of what is *planned* that *shard* means.

    Raises:
        RequestError: It means none.
    """
    from dynbuild.build import step_times
    from dynbuild.matrix import shards

    number, count = shards.parse(shard, origin="flag --shard")
    seconds = step_times.of(Path(planned.plan.context))
    job = shards.of_job(planned.job, texts, seconds, number, count)
    console.say(f"shard {shard}: {', '.join(image.name for image in job.images) or 'no image'}")
    return replace(planned, job=job)


def run(
    request: BuildRequest,
    planned: PlannedJob,
    texts: dict[str, str],
    options: Mapping[str, Any],
    *,
    before: Resumption | None = None,
    search: Search | None = None,
) -> MatrixResult:
    """Build all that is *planned*, as a matrix.

    Args:
        request: What the command line says.
        planned: What to build.
        texts: Text of the Dockerfile of each image, by its name.
        options: How: fields of ``dynbuild.matrix.run.Options``.
        before: The run that this one goes on with.
        search: The search for the engine; without one, it begins here.

    Raises:
        RequestError: Cells are to be left out that nothing tells of.
        NotReady: The machine cannot.
        BuildFailed: What the tree makes before the solves failed.
    """
    from dynbuild.build.background import Background
    from dynbuild.cli import solving

    skips = _skips_unchanged(request, planned)
    # Registries take their time, in which all else is imported.
    importing = Background(_import_all)
    ready = solving.make_ready(request, planned, texts, search)
    ready, there = _unchanged(ready) if skips else (ready, ())
    importing.result()
    return _carried_out(request, ready, options, _kept(ready.planned, there, before))


def _carried_out(
    request: BuildRequest,
    ready: Ready,
    options: Mapping[str, Any],
    kept: tuple[CellResult, ...],
) -> MatrixResult:
    """Build what is *ready*, all but the cells that are *kept*."""
    from dynbuild.cli import progress_display, resumption, solving
    from dynbuild.matrix import record
    from dynbuild.matrix import run as matrix_run
    from dynbuild.report.matrix import Progress

    planned, texts, builder = ready.planned, ready.texts, ready.builder
    name = (request.cells and request.cells.matrix) or ""
    now = record.create(planned.plan, name)
    resumption.write(now, request)
    cells = sum(1 for image in planned.plan.images if image.tags)
    left, more = cells - len(kept), ci.marks(now.builds)
    how = matrix_run.Options(**options, tests=planned.tests)
    with solving.running(ready) as cancellation:
        console.say(f"building {left} of {cells} images on {builder}: {now.path}")
        plain = partial(
            Progress, console.say, console.err_display(), console.verbosity(), left, more
        )
        ids = frozenset(cell.id for cell in kept)
        with progress_display.shown(request.progress, plain, planned.job, texts, done=ids) as shown:
            site = matrix_run.Site(
                builder=builder,
                env=os.environ,
                secrets=planned.secrets,
                cancellation=cancellation,
                listen=shown,
            )
            result = matrix_run.run(
                planned.job, texts, site=site, options=how, record=now, name=name, done=kept,
                retries=ready.again.retries,
            )  # fmt: skip
    ready.warn_at_end(result.warnings)
    return result


def _import_all() -> None:
    from dynbuild.cli import progress_display, resumption
    from dynbuild.matrix import content, record, run
    from dynbuild.report import matrix

    del progress_display, resumption, content, record, run, matrix


def _kept(
    planned: PlannedJob, there: Iterable[CellResult], before: Resumption | None
) -> tuple[CellResult, ...]:
    """The cells that are not built, each once: *there* already, or done by the run *before*."""
    done = before.unchanged(planned.plan) if before else ()
    return tuple({cell.id: cell for cell in (*there, *done)}.values())


def _skips_unchanged(request: BuildRequest, planned: PlannedJob) -> bool:
    """Whether cells are left out whose tags have their content already.

    Raises:
        RequestError: They are to be, and nothing is pushed.
    """
    if request.cells is None or not request.cells.if_changed:
        return False
    if not any(image.output == "push" for image in planned.plan.images):
        raise RequestError(
            "what is not pushed has no tags in a registry to look at",
            origin="flag --if-changed",
            hint="--push --repository sends the images to one",
        )
    return True


def _unchanged(ready: Ready) -> tuple[Ready, tuple[CellResult, ...]]:
    """What is *ready*, with labels that tell its content; the cells that need no solve.

    Raises:
        RequestError: An ignore file is malformed.
    """
    from dynbuild.matrix import content

    planned = ready.planned
    registry = content.Registry(
        builder=ready.builder, env=os.environ, on_retry=ready.again, said=ready.said
    )
    try:
        ids = content.ids(planned.job, ready.texts, planned.tests, registry)
    except ValueError as error:
        raise RequestError(f"what the build takes cannot be told: {error}") from error
    for name, why in ids.unknown.items():
        console.warn(f"{name} counts as changed: {why}")
    job = content.labelled(planned.job, ids.known)
    found = tuple(content.unchanged(job, ids.known, registry))
    for cell in found:
        console.say(f"{cell.id} is unchanged: {cell.reference}")
    return replace(ready, planned=replace(planned, job=job)), found


def show(result: MatrixResult, format: str) -> None:
    """The result, for people or for programs.

    Raises:
        BuildFailed: A cell failed.
        Interrupted: It was called off.
    """
    from dynbuild.build.record import Record
    from dynbuild.matrix.record import MatrixRecord
    from dynbuild.report import matrix as report

    if format == "json":
        console.out_json(result.document())
    else:
        for line in (*report.table(result, console.out_display()), "", *report.summary(result)):
            console.out(line)
    if result.status == "interrupted":
        raise Interrupted(
            "interrupted; what is not done is cancelled", hint="dynbuild matrix --resume last"
        )
    if result.status == "failed":
        failed = [cell for cell in result.cells if cell.status != "done"]
        builds = MatrixRecord(Path(result.record)).builds
        logs = [Record(builds / cell.build).log for cell in failed if cell.build][:1]
        raise BuildFailed(
            f"{len(failed)} of {len(result.cells)} cells are not done: "
            + ", ".join(cell.id for cell in failed[:3])
            + (", …" if failed[3:] else ""),
            hint="after the mend, `dynbuild matrix --resume last` builds these alone"
            + (f"; the log of the first: {logs[0]}" if logs else ""),
        )
