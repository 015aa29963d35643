"""``dynbuild line``: release lines."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dynbuild import paths
from dynbuild.cli import console
from dynbuild.errors import NotReady, RequestError

if TYPE_CHECKING:
    from dynbuild.settings.load import Lines

app = typer.Typer(
    add_completion=False,
    help="Release lines: which there are, what differs from a tree, a new one.\n\n"
    "Lines of your own are in $DYNBUILD_HOME/lines, and beside those of dynbuild everywhere.",
    no_args_is_help=True,
)

Format = Annotated[
    Literal["table", "json"], typer.Option("--format", help="For people, or for programs.")
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The release line.", show_default=False)]


def _lines() -> tuple[Lines, Path]:
    """All lines as they are without anybody's settings, and the folder of the templates."""
    from dynbuild.settings import load

    templates = load.templates_dir(os.environ.get("DYNBUILD_TEMPLATES"))
    kept = {name: os.environ[name] for name in paths.HOME_VARIABLES if name in os.environ}
    return load.Lines(templates=templates, overlays=(), env=kept, flags={}), templates


def _tree(text: str, flag: str) -> Path:
    tree = paths.expanded(text, origin=f"flag {flag}")
    if not (tree / "pyproject.toml").is_file():
        raise RequestError(
            f"{tree} is no source tree of Dynamo: it has no pyproject.toml",
            origin=f"flag {flag}",
        )
    return tree


@app.command("list")
def list_(format: Format = "table") -> None:
    """List the release lines there are.

    [bold]Examples[/bold]

      dynbuild line list
    """
    from dynbuild.settings import lines as release_lines

    lines, templates = _lines()
    rows = []
    for line in lines:
        request = lines[line].catalog.request
        own = line == lines[line].default_line
        file = release_lines.file_of(line, templates, os.environ)
        rows.append(
            {
                "line": line,
                "dynamo": str(lines[line].catalog.args["DYNAMO_VERSION"]),
                "wheels": request.dynamo_wheels,
                "frameworks": list(lines[line].catalog.frameworks),
                "file": str(templates / "catalog.toml" if own else file),
            }
        )
    if format == "json":
        console.out_json(rows)
        return
    table = [
        (str(row["line"]), str(row["dynamo"]), str(row["wheels"]), str(row["file"])) for row in rows
    ]
    console.out_table(("line", "Dynamo", "wheels", "file"), table)


@app.command()
def check(
    name: Name,
    tree: Annotated[
        str, typer.Option("--tree", metavar="DIR", help="The source tree.", show_default=False)
    ],
    format: Format = "table",
) -> None:
    """List what a line and a source tree say differently; exit 1 if they do.

    What the line does otherwise on purpose is shown with its reason and does not count: there the
    comment on its value begins with "ours:".

    [bold]Examples[/bold]

      dynbuild line check 1.5 --tree ~/dynamo
    """
    from dynbuild.build import line_check, pins
    from dynbuild.settings import lines as release_lines

    lines, templates = _lines()
    release_lines.check(name, tuple(lines))
    said = pins.read(_tree(tree, "--tree"))
    found = list(line_check.differences(lines[name], said, templates))
    if format == "json":
        console.out_json([one.document() for one in found])
    elif found:
        rows = [
            (one.pin, f"{one.line} ({one.origin})" if one.line else "", f"{one.tree} ({one.place})",
             one.reason)
            for one in found
        ]  # fmt: skip
        console.out_table(("pin", name, "the tree", "why"), rows)
    if any(not one.reason for one in found):
        raise typer.Exit(1)


@app.command()
def new(
    name: Name,
    tree: Annotated[
        str, typer.Option("--from", metavar="TREE", help="The source tree.", show_default=False)
    ],
    like: Annotated[
        str | None,
        typer.Option(
            "--like",
            metavar="LINE",
            help="The line that says what the tree does not; the nearest one by default.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Where it is written; - is standard output, the default your own lines.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write a new release line from what a source tree says of itself.

    Each value has where it is from as a comment: a place in the tree, or another line. Nothing of
    the tree is run.

    [bold]Examples[/bold]

      dynbuild line new 1.7 --from ~/dynamo

      dynbuild line new 1.7 --from ~/dynamo --like 1.5 --output -
    """
    from dynbuild.build import line_file, pins
    from dynbuild.settings import files
    from dynbuild.settings import lines as release_lines

    lines, templates = _lines()
    line_file.check_name(name)
    said = pins.read(_tree(tree, "--from"))
    like = like or line_file.nearest(said.version, lines)
    release_lines.check(like, tuple(lines))
    if like == lines[like].default_line:
        read = files.read(templates / "catalog.toml", "catalog")
        own = {path: value for path, value in read.items() if path[0] == "frameworks"}
    else:
        own = dict(files.read(release_lines.file_of(like, templates, os.environ), "catalog"))
    text = line_file.compose(name, like, lines[like], own, said)
    if output == "-":
        console.out_data(text)
        return
    file = paths.expanded(output, origin="flag --output") if output else _own(name, lines)
    _write(file, text)
    console.say(f"wrote {file}")


def _own(name: str, lines: Lines) -> Path:
    """The file of a line of the caller's own.

    Raises:
        RequestError: There is a line of that name.
    """
    from dynbuild.settings import lines as release_lines

    if name in tuple(lines):
        raise RequestError(
            f"there is a release line {name} already",
            hint="give another name, or write elsewhere: --output FILE",
        )
    folder = release_lines.own_folder(os.environ)
    if folder is None:
        raise NotReady("there is no home for lines", hint="DYNBUILD_HOME names one")
    return folder / f"{name}.toml"


def _write(file: Path, text: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8") as out:
            out.write(text)
    except FileExistsError:
        raise RequestError(
            f"{file} is there already", hint="remove it, or write elsewhere: --output FILE"
        ) from None
    except OSError as error:
        raise NotReady(f"{file} cannot be written: {error.strerror}") from error
