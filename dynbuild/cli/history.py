"""``dynbuild history``: the builds that were, beside each other."""

from __future__ import annotations

import dataclasses
import fnmatch
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dynbuild import units
from dynbuild.cli import complete, console, tree
from dynbuild.cli.prompt import DryRun, Yes, age, confirm
from dynbuild.cli.report import Build, Context
from dynbuild.errors import BuildFailed, RequestError

if TYPE_CHECKING:
    from pathlib import Path

    from dynbuild.report.document import Report
    from dynbuild.report.history import Past

app = typer.Typer(
    add_completion=False,
    help="The builds that were: what each took, where it is worse, and removing their records.",
    no_args_is_help=True,
)

_Format = Annotated[
    Literal["table", "json"], typer.Option("--format", help="For people, or for programs.")
]
_Fail = Annotated[
    bool,
    typer.Option(
        "--fail-on-regression",
        help="Exit with 1 if the newest build is worse than those before it.",
        show_default=False,
    ),
]
_Last = Annotated[
    int, typer.Option("--last", min=3, help="With how many earlier builds each is compared.")
]
_Tolerance = Annotated[
    float,
    typer.Option("--tolerance", min=0, help="By how many percent a figure may be worse than then."),
]
_DIGEST = 12


@app.command("list")
def list_(
    image: Annotated[
        str,
        typer.Option(
            "--image",
            help="Only builds of an image whose id fits the pattern.",
            metavar="GLOB",
            show_default=False,
        ),
    ] = "*",
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many to show.")] = 20,
    last: _Last = 10,
    tolerance: _Tolerance = 10,
    *,
    fail: _Fail = False,
    matrices: Annotated[
        bool,
        typer.Option(
            "--matrices",
            help="List the runs of `dynbuild matrix`, whose solves are builds of their own.",
            show_default=False,
        ),
    ] = False,
    format: _Format = "table",
    context: Context = None,
) -> None:
    """List the builds, the newest first, and mark what is worse than before.

    A build is compared with the median of the last ones of the same images that were done:
    its time with those that ran as many steps, the size of its images, and the hit rate of its
    compile cache.  It is worse by more than the tolerance, and by more than they differ.

    Examples: dynbuild history list; dynbuild history list --fail-on-regression --image "vllm-*"
    """
    if matrices:
        _list_matrices(tree.context(context), image=image, limit=limit, fail=fail, format=format)
        return
    pasts = _pasts(tree.context(context), image=image, last=last, tolerance=tolerance)
    if format == "json":
        console.out_json({"schema": 1, "builds": [_json(past) for past in pasts[:limit]]})
    elif not pasts:
        console.say("no build has a record here")
    else:
        header = ("when", "image", "status", "time", "steps", "size", "digest", "worse")
        console.out_table(header, [_row(past) for past in pasts[:limit]])
        for past in pasts[:limit]:
            if past.regressions:
                console.out(f"{past.result.id}: {_said(past)}")
    _fail_on(pasts, fail=fail)


def _list_matrices(root: Path, *, image: str, limit: int, fail: bool, format: str) -> None:
    """List the runs of matrices, the newest first.

    Raises:
        RequestError: They are to be compared.
    """
    if fail:
        raise RequestError(
            "runs of a matrix are not compared with each other",
            hint="--fail-on-regression without --matrices compares their builds",
        )
    from dynbuild.build.follow import is_written
    from dynbuild.build.record import begun
    from dynbuild.matrix import record

    results = []
    for run in record.begun(root):
        with suppress(RequestError):
            results.append(record.result_of(run))
    found = [
        one for one in results if any(fnmatch.fnmatchcase(cell.id, image) for cell in one.cells)
    ][:limit]
    if format == "json":
        documents = [{"id": one.id, "result": one.document()} for one in found]
        console.out_json({"schema": 1, "matrices": documents})
        return
    if not found:
        console.say("no matrix has a record here")
        return
    rows = []
    for one in found:
        running = one.status == "interrupted" and is_written(one.id)
        counts = Counter(cell.status for cell in one.cells)
        rows.append(
            (
                _when(begun(one.id)),
                one.name or "-",
                "running" if running else one.status,
                units.format_time(one.seconds),
                *(str(count) for count in (len(one.cells), counts["done"], counts["failed"])),
                one.id,
            )
        )
    header = ("when", "matrix", "status", "time", "cells", "done", "failed", "id")
    console.out_table(header, rows)


def _when(time: datetime | None) -> str:
    return f"{time:%Y-%m-%d %H:%M}" if time else "-"


def _pasts(root: Path, *, image: str, last: int, tolerance: float) -> list[Past]:
    from dynbuild.build import record
    from dynbuild.report import history

    results = list(record.finished(root))
    return history.of(results, image=image, last=last, tolerance=tolerance / 100)


def _fail_on(pasts: list[Past], *, fail: bool) -> None:
    """Fail if the newest build is worse, and that was asked for.

    Raises:
        BuildFailed: It is.
    """
    if fail and pasts and pasts[0].regressions:
        raise BuildFailed(
            f"the last build is worse than those before it: {_said(pasts[0])}",
            hint="dynbuild history compare shows what changed; --tolerance allows more",
        )


def _row(past: Past) -> tuple[str, ...]:
    result = past.result
    return (
        _when(past.begun),
        past.images,
        result.status,
        units.format_time(result.seconds),
        f"{result.steps.run}+{result.steps.cached}",
        units.format_size(past.size) if past.size is not None else "-",
        past.digest.removeprefix("sha256:")[:_DIGEST] or "-",
        ", ".join(dict.fromkeys(one.figure for one in past.regressions)),
    )


def _said(past: Past) -> str:
    return "; ".join(map(str, past.regressions))


def _json(past: Past) -> dict[str, object]:
    return {
        "id": past.result.id,
        "begun": past.begun.isoformat() if past.begun else None,
        "regressions": [dataclasses.asdict(one) for one in past.regressions],
        "result": past.result.document(),
    }


@app.command()
def show(build: Build = None, format: _Format = "table", context: Context = None) -> None:
    """Show how one build ended, or one run of a matrix.

    Example: dynbuild history show ~1
    """
    from dynbuild.build import archive, record
    from dynbuild.report import history, progress

    root = tree.context(context)
    if build and _show_matrix(root, build, format):
        return
    chosen = archive.choose(root, build)
    results = [one for one in record.finished(root) if one.id <= chosen.id]
    if not results or results[0].id != chosen.id:
        raise RequestError(
            f"{chosen.id} has no result: it runs, or was killed",
            hint=f"dynbuild report {chosen.id} shows how far it came",
        )
    past = history.of(results, last=history.LAST)[0]
    if format == "json":
        console.out_json(_json(past))
        return
    console.out(f"{'build':<8}{past.result.id}")
    console.out(f"{'status':<8}{past.result.status}")
    for line in progress.summary(past.result, console.out_display()):
        console.out(line)
    if past.result.failure:
        console.out(f"{'failed':<8}{past.result.failure.message}")
    for one in past.regressions:
        console.out(f"{'worse':<8}{one}")


def _show_matrix(root: Path, id: str, format: str) -> bool:
    """Show the run of a matrix that *id*, or a beginning of it, means; whether there is one.

    Raises:
        RequestError: Its record is damaged, or has no result yet.
    """
    from dynbuild.build import archive
    from dynbuild.matrix import record
    from dynbuild.report import matrix

    chosen = record.named(root, id)
    if chosen is None or any(one.id.startswith(id) for one in archive.records(root)):
        return False
    result = record.result_of(chosen)
    if format == "json":
        console.out_json({"id": result.id, "result": result.document()})
        return True
    for line in (*matrix.table(result, console.out_display()), "", *matrix.summary(result)):
        console.out(line)
    return True


@app.command()
def compare(
    build: Build = None,
    earlier: Annotated[
        str | None,
        typer.Argument(
            metavar="[EARLIER]",
            help="With which; the build before it if it is left out.",
            autocompletion=complete.build_ids,
            show_default=False,
        ),
    ] = None,
    format: _Format = "table",
    context: Context = None,
) -> None:
    """Show what differs between two builds: figures, arguments, stages and steps.

    Times are shown where they differ by more than a tenth.

    Examples: dynbuild history compare; dynbuild history compare ~0 ~5
    """
    from dynbuild.build import archive, recording
    from dynbuild.report import comparison, document

    root = tree.context(context)
    after = archive.choose(root, build)
    before = archive.before(root, after) if earlier is None else archive.choose(root, earlier)
    reports: list[Report] = [document.of(recording.read(one)) for one in (before, after)]
    found = comparison.of(*reports)
    if format == "json":
        console.out_json(
            {
                "schema": 1,
                "before": before.id,
                "after": after.id,
                "differences": [dataclasses.asdict(one) for one in found],
            }
        )
        return
    console.say(f"{before.id} and {after.id}")
    if not found:
        console.say("nothing differs")
        return
    rows = [(one.kind, one.before, one.after, one.name) for one in found]
    console.out_table(("what", "before", "after", "name"), rows)


@app.command()
def prune(
    older_than: Annotated[
        str | None,
        typer.Option(
            "--older-than", help="Of builds longer ago: 30d.", metavar="TIME", show_default=False
        ),
    ] = None,
    keep: Annotated[
        int | None,
        typer.Option("--keep", min=0, help="So many of the newest stay.", show_default=False),
    ] = None,
    max_size: Annotated[
        str | None,
        typer.Option(
            "--max-size",
            help="The oldest, until all take no more: 500M.",
            metavar="SIZE",
            show_default=False,
        ),
    ] = None,
    *,
    dry_run: DryRun = False,
    yes: Yes = False,
    context: Context = None,
) -> None:
    """Remove records of builds that were, and of runs of matrices; images and caches stay.

    Of each of the two kinds so many stay as --keep says.  What runs stays, and so does what was
    killed less than a day ago.

    Examples: dynbuild history prune --older-than 30d --keep 5; dynbuild history prune --max-size 1G
    """
    if older_than is None and keep is None and max_size is None:
        raise RequestError(
            "nothing says which records go", hint="give --older-than, --keep or --max-size"
        )
    from dynbuild.build import archive
    from dynbuild.matrix import record

    entries = record.entries(tree.context(context))
    gone = archive.outdated(
        entries,
        now=datetime.now(UTC),
        older=age(older_than),
        keep=keep or 0,
        most=units.parse_size(max_size, origin="flag --max-size") if max_size else None,
    )
    for one in gone:
        console.out(f"{one.record.id}  {units.format_size(one.bytes)}")
    size = units.format_size(sum(one.bytes for one in gone))
    if dry_run or not gone:
        console.say(f"{len(gone)} of {len(entries)} records would go, {size}")
        return
    confirm(f"Remove these {len(gone)} records, {size}?", yes=yes)
    archive.remove(gone)
    console.say(f"{len(gone)} of {len(entries)} records removed, {size}")
