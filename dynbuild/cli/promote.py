"""``dynbuild promote``: other tags for the images of a run, by their digests."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dynbuild.cli import console, tree
from dynbuild.errors import NotReady, RequestError, ToolFailed

if TYPE_CHECKING:
    from dynbuild.matrix.promotion import Promotion
    from dynbuild.matrix.result import MatrixResult


def promote(
    manifest: Annotated[
        str,
        typer.Argument(
            metavar="MANIFEST",
            help="The result.json of a run of a matrix, or the run's id; 'last' is the last one.",
            show_default=False,
        ),
    ],
    to: Annotated[
        str,
        typer.Option("--to", metavar="TAG", help="In place of the version; or a template of tags."),
    ],
    *,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="GLOB", help="These cells alone.", show_default=False),
    ] = None,
    context: Annotated[
        str | None,
        typer.Option(
            "--context", metavar="PATH", help="The tree of a run's id.", show_default=False
        ),
    ] = None,
    retag: Annotated[
        bool, typer.Option("--retag", help="Move a tag that another cell's image has.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be done; touch nothing.")
    ] = False,
    format: Annotated[
        Literal["table", "json"], typer.Option("--format", help="For people, or for programs.")
    ] = "table",
) -> None:
    """Give the images of a run another tag, by their digests: nothing is built or pulled.

    [bold]Examples[/bold]

      dynbuild promote last --to stable

      dynbuild promote result.json --to '{framework}-{target}-{commit}{suffix}'
    """
    from dynbuild.matrix import promotion

    found = promotion.of(_result(manifest, context), to, only or ())
    if not dry_run:
        _move(found, retag=retag)
    if format == "json":
        console.out_json(
            [{"id": one.cell, "reference": one.reference, "tag": one.tag} for one in found]
        )
    else:
        console.out_table(
            ("cell", "tag", "image"), [(one.cell, one.tag, one.reference) for one in found]
        )


def _result(manifest: str, context: str | None) -> MatrixResult:
    """The run that *manifest* names.

    Raises:
        RequestError: There is none, it came with the tree, or the file is none of a run.
    """
    from dynbuild.cli import resumption
    from dynbuild.matrix import record, result

    path = Path(manifest)
    if path.is_dir():
        path /= "result.json"
    if not path.is_file():
        where = tree.context(context)
        one = record.find(where, "" if manifest == "last" else manifest)
        hint = f"where you trust what it says, name its file: {shlex.quote(str(one.result))}"
        resumption.check_own(one, where, lost="it is not promoted by its id", hint=hint)
        return record.result_of(one)
    try:
        return result.parse(path.read_bytes())
    except (OSError, ValueError) as error:
        raise RequestError(
            f"{path} is no result of a matrix: {error}",
            hint="`dynbuild matrix --format json` prints one, and its record has it",
        ) from error


def _move(found: tuple[Promotion, ...], *, retag: bool) -> None:
    """Move the tags, when every image is there.

    Raises:
        RequestError: A tag is another image's already.
        NotReady: The registry does not have one, or takes no tag.
    """
    from dynbuild.build import tag_conflicts
    from dynbuild.cli import solving
    from dynbuild.engine import builder, client
    from dynbuild.matrix import pending

    again = solving.Again()
    driver = builder.find(client.find(os.environ), os.environ)
    if not retag:
        tag_conflicts.check(driver, os.environ, [(one.cell, one.tag) for one in found], again)
    moved: list[str] = []
    try:
        for one in found:
            pending.check(driver, os.environ, one.reference, again)
        for one in found:
            pending.move(driver, os.environ, (one.tag,), one.reference, on_retry=again)
            moved.append(one.tag)
    except ToolFailed as error:
        raise NotReady(
            f"the registry refused: {one.reference} as {one.tag}"
            + (f"; {len(moved)} of {len(found)} tags are moved" if moved else "; no tag is moved"),
            details=error.details,
            hint="the same command again completes it",
        ) from error
