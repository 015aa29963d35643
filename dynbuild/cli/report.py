"""``dynbuild report``: a build that was, as a page and in other formats."""

from __future__ import annotations

import os
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dynbuild import paths
from dynbuild.cli import complete, console, tree
from dynbuild.errors import NotReady, RequestError

if TYPE_CHECKING:
    from dynbuild.build.record import Record
    from dynbuild.build.recording import Recording
    from dynbuild.report.document import Report

Context = Annotated[
    str | None,
    typer.Option(
        "--context", help="Folder of Dynamo's source.", metavar="PATH", show_default=False
    ),
]
Build = Annotated[
    str | None,
    typer.Argument(
        metavar="[ID]",
        help="Which build: its id or a beginning of it, an image's id, or ~1 for the one before"
        " the last; the last one if it is left out.",
        autocompletion=complete.build_ids,
        show_default=False,
    ),
]


def report(
    build: Build = None,
    format: Annotated[
        Literal["html", "md", "json", "chrome-trace"],
        typer.Option(
            "--format",
            help="A page; Markdown; data; or a trace that Perfetto and Chrome open.",
        ),
    ] = "html",
    output: Annotated[
        str | None,
        typer.Option(
            *("--output", "-o"),
            help="File to write, - for standard output. A page goes to the record without it, the"
            " other formats to standard output.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    open: Annotated[
        bool, typer.Option("--open", help="Show the page in the browser.", show_default=False)
    ] = False,
    context: Context = None,
) -> None:
    """Show a build that was: its timeline, what its time went to, its log.

    It is made from the record alone, and asks no engine.  The page is one file that
    needs no other, nor the network.  Spans of the build are sent where
    OTEL_EXPORTER_OTLP_ENDPOINT names an OpenTelemetry collector.

    [bold]Examples[/bold]

      dynbuild report --open

      dynbuild report ~1 --output before.html

      dynbuild report --format md >> "$GITHUB_STEP_SUMMARY"

      dynbuild report none-runtime-cpu --format chrome-trace -o trace.json
    """
    if open and (format != "html" or output == "-"):
        raise RequestError("--open shows the page, so it goes with --format html and with a file")
    from dynbuild.build import archive, record, recording
    from dynbuild.report import document

    root = tree.context(context)
    chosen = archive.choose(root, build)
    read = recording.read(chosen)
    earlier = [one for one in record.finished(root) if one.id < chosen.id]
    made = document.of(read, earlier)
    text = _text(made, read, format)
    if output == "-" or (output is None and format != "html"):
        console.out_data(text)
    else:
        path = paths.expanded(output, origin="flag --output") if output else chosen.page
        _write(path, text, chosen if output is None else None)
        if open and not webbrowser.open(path.resolve().as_uri()):
            console.warn("no browser can be started here; open the file by hand")
    _send(made)


def _text(made: Report, read: Recording, format: str) -> str:
    if format == "html":
        from dynbuild.report import page

        text = page.render(made, read.lines)
    elif format == "md":
        from dynbuild.report import markdown

        text = markdown.render(made)
    elif format == "json":
        from dynbuild.report import document

        text = console.json_text(document.as_json(made))
    else:
        from dynbuild.report import trace

        text = console.json_text(trace.chrome(made), indent=None)
    return text.encode(errors="replace").decode().rstrip("\n") + "\n"


def _write(path: Path, text: str, record: Record | None) -> None:
    """Write the file *path*; one of a *record* is its owner's alone, as all of that is."""
    try:
        if record is not None:
            record.write(path, text)
        else:
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise NotReady(
            f"{path} cannot be written: {error.strerror}", hint="name another file with --output"
        ) from error
    console.out_data(f"{path}\n")


def _send(made: Report) -> None:
    """Send the spans where the standard variables say; a page is worth more than a collector."""
    from dynbuild.report import collector

    found = collector.of(os.environ)
    if found is None:
        return
    if trouble := collector.send(made, found):
        console.warn(trouble)
    else:
        console.say(f"sent the spans of {made.id}")
