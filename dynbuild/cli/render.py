"""``dynbuild render``: the Dockerfile, printed or kept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dynbuild.cli import console
from dynbuild.cli.planning import decide, dockerfiles, notes_of
from dynbuild.cli.request import BuildRequest, with_request
from dynbuild.errors import NotReady, RequestError


@with_request
def render(
    request: BuildRequest,
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", help="File, or folder/, to write.", show_default=False, metavar="PATH"
        ),
    ] = None,
) -> None:
    """Print the Dockerfile, or write it.

    [bold]Examples[/bold]

      dynbuild render --framework none --target runtime --device cpu

      dynbuild render --framework none --target runtime --output dockerfiles/
    """
    planned = decide(request)
    texts = dockerfiles(planned)
    for note in notes_of(planned):
        console.warn(note)
    if (
        output is not None
        and len(texts) > 1
        and not (output.endswith("/") or Path(output).is_dir())
    ):
        raise RequestError(
            f"{len(texts)} Dockerfiles are for one file, {output}",
            origin="flag --output",
            hint=f"a folder takes them all: --output {output}/",
        )
    for image in planned.plan.images:
        if output is None:
            console.out_data(texts[image.name])
            continue
        path = Path(output)
        try:
            if output.endswith("/"):
                path.mkdir(parents=True, exist_ok=True)
            if path.is_dir():
                path /= image.dockerfile
            path.write_text(texts[image.name], encoding="utf-8")
        except OSError as error:
            raise NotReady(f"{path} cannot be written: {error.strerror}") from error
        console.say(f"wrote {path}")
