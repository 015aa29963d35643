"""``dynbuild list``: the cells there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dynbuild.cli import complete, console
from dynbuild.cli.parameters import Invocation, with_options
from dynbuild.cli.request import configs_of, context_of, lines_of
from dynbuild.errors import RequestError
from dynbuild.settings.axis_options import ONLY
from dynbuild.settings.request_options import LIST

if TYPE_CHECKING:
    from dynbuild.report.cell_list import Row


def _ids(context: typer.Context, incomplete: str) -> list[str]:
    """The ids that a shell offers."""
    return complete.words(ONLY, context.params, incomplete)


@with_options(LIST)
def cells(
    invocation: Invocation,
    patterns: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PATTERN]...",
            help="Globs of ids, as for --only.",
            show_default=False,
            autocompletion=_ids,
        ),
    ] = None,
    format: Annotated[
        Literal["table", "json", "names", "github", "gitlab", "bake"],
        typer.Option("--format", help="For people, or for what programs."),
    ] = "table",
    levels: Annotated[
        bool,
        typer.Option(
            "--levels", help="With --format github: a list of matrices, one after the other."
        ),
    ] = False,
) -> None:
    """List the cells there are: the images that can be built.

    Those of every release line, or those of a matrix of the settings.

    [bold]Examples[/bold]

      dynbuild list

      dynbuild list 'vllm-*' --format names

      dynbuild list --matrix release --device cuda --format github
    """
    if levels and format != "github":
        raise RequestError(
            "--levels is for --format github",
            hint="add --format github, whose matrices have no order of their own",
        )
    from dynbuild.plan import selection
    from dynbuild.plan.named_matrix import every_line, named
    from dynbuild.report import cell_list

    lines = lines_of(
        flags=invocation.layer,
        context=context_of(invocation),
        overlays=configs_of(invocation),
        templates=invocation.text("templates"),
    )
    name = invocation.text("matrix")
    own = lines[lines.chosen[0]]
    globs = selection.Globs(
        only=(*(patterns or ()), *invocation.items("only")), skip=invocation.items("skip")
    )
    matrix = every_line(lines) if name is None else named(own, name)
    found = selection.of_matrix(lines, lines.chosen, matrix, globs)
    _show([cell_list.Row.of(one) for one in found], format, levels=levels)


def _show(rows: Sequence[Row], format: str, *, levels: bool) -> None:
    """Print the cells in one of the formats."""
    from dynbuild.report import cell_list

    if levels:
        console.out(cell_list.levels(rows))
    elif format == "json":
        console.out_json([row.document() for row in rows])
    elif format == "table":
        for line in cell_list.table(rows, console.out_display()):
            console.out(line)
    else:
        console.out_data(cell_list.FORMATS[format](rows).rstrip("\n") + "\n")
