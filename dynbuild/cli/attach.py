"""``dynbuild attach``: a build that runs in another terminal, or elsewhere on the same disk."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from dynbuild import paths
from dynbuild.cli import complete, console, tree
from dynbuild.cli.parameters import Invocation, with_options
from dynbuild.cli.report import Context
from dynbuild.errors import BuildFailed, RequestError
from dynbuild.settings.progress_option import PROGRESS

if TYPE_CHECKING:
    from dynbuild.build.events import Event
    from dynbuild.build.follow import Follower
    from dynbuild.cli.progress_display import Shown
    from dynbuild.matrix.events import MatrixEvent
    from dynbuild.matrix.follow import MatrixFollower
    from dynbuild.plan.document import PlanDocument

_Followed: TypeAlias = "Follower | MatrixFollower"

_Build = Annotated[
    str | None,
    typer.Argument(
        metavar="[ID]",
        help="Which one: the id of a build or a matrix, or an image's id for its last build;"
        " what runs if it is left out.",
        autocompletion=complete.build_ids,
        show_default=False,
    ),
]

_SECONDS = 0.25
_SILENCE_SECONDS = 60.0
"""After which a build whose process cannot be seen is taken for killed."""


@with_options((PROGRESS,))
def attach(invocation: Invocation, build: _Build = None, context: Context = None) -> None:
    """Show a build or a matrix that runs in another terminal.

    It is read from its record, and asks no engine.  Ctrl-C ends the view alone; the build
    goes on.  At its end its result is shown, and is the exit status of this command too.

    [bold]Examples[/bold]

      dynbuild attach

      dynbuild attach none-runtime-cpu --progress plain
    """
    mode = console.progress(invocation.text("progress") or "auto")
    root = tree.context(context)
    followed = _chosen(root, build)
    try:
        with _shown(mode, followed, root) as listen:
            if mode == "live":
                _follow(followed, lambda now, event: listen(event, now))
            else:
                _follow(followed, lambda _, event: listen(event))
    except KeyboardInterrupt:
        console.say("the build goes on; this was its view alone")
        return
    _end(followed)


def _chosen(root: Path, named: str | None) -> _Followed:
    """What *named* means; without it, what runs.

    Raises:
        RequestError: There is no such build, or none runs.
    """
    from dynbuild.build import archive
    from dynbuild.build.follow import Follower, is_written
    from dynbuild.matrix import record
    from dynbuild.matrix.follow import MatrixFollower

    for matrix in record.begun(root):
        if matrix.id == named or (named is None and is_written(matrix.id)):
            return MatrixFollower(matrix, root)
    if named is not None:
        return Follower(archive.choose(root, named))
    for one in archive.records(root):
        if not one.result.is_file() and is_written(one.id):
            return Follower(one)
    raise RequestError(
        f"no build of {root} runs on this machine",
        hint="an id names one that runs elsewhere; dynbuild report shows the last one",
    )


def _shown(mode: str, followed: _Followed, root: Path) -> Shown:
    from dynbuild.cli import progress_display
    from dynbuild.matrix.follow import MatrixFollower
    from dynbuild.report import matrix, progress

    plan = _plan(followed)
    names = [image.name for image in plan.images if image.tags] if plan else []

    def plain() -> Shown:
        say, display, verbosity = console.say, console.err_display(), console.verbosity()
        if isinstance(followed, MatrixFollower):
            return matrix.Progress(say, display, verbosity, len(names))
        return progress.Progress(say, display, verbosity)

    if mode != "live":
        return progress_display.without_screen(mode, plain)
    from dynbuild.cli.screen import Screen
    from dynbuild.report.live import Live

    live = Live(dict.fromkeys(names or [followed.record.id], "waiting"), followed.begun)

    def learn() -> None:
        progress_display.load_forecasts(live, root)

    return Screen(live, console.err_display(), learn, time.time)


def _plan(followed: _Followed) -> PlanDocument | None:
    from dynbuild.plan.document import PlanDocument

    with suppress(OSError, ValueError):
        return PlanDocument.parse(paths.regular(followed.record.plan).read_bytes())
    return None


def _follow(followed: _Followed, tell: Callable[[float, Event | MatrixEvent], None]) -> None:
    """Tell of what happens until it is over.

    Raises:
        BuildFailed: It was killed.
    """
    from dynbuild.build.follow import is_written

    last = time.monotonic()
    while True:
        # What is written before the end is there when the end is.
        over = followed.ended
        written = is_written(followed.record.id)
        for now, event in followed.events():
            tell(now, event)
            last = time.monotonic()
        if over or (_has_result(followed) and not written):
            return
        if not written and time.monotonic() - last > _SILENCE_SECONDS:
            raise BuildFailed(
                f"nothing is heard of {followed.record.id}: its process is not on this machine",
                hint="it was killed, or runs on another machine and says nothing now;"
                " dynbuild report shows how far it came",
            )
        time.sleep(_SECONDS)


def _has_result(followed: _Followed) -> bool:
    return followed.record.result.is_file()


def _end(followed: _Followed) -> None:
    """Show the result.

    Raises:
        BuildFailed: It is a failure.
        Interrupted: It was called off.
    """
    from dynbuild.build import record
    from dynbuild.cli import build, matrix
    from dynbuild.matrix import record as matrix_record
    from dynbuild.matrix.follow import MatrixFollower

    if isinstance(followed, MatrixFollower):
        matrix.show(matrix_record.result_of(followed.record), "table")
        return
    try:
        ended = record.read(followed.record)
    except (OSError, ValueError) as error:
        raise RequestError(f"the result of {followed.record.id} cannot be read") from error
    build.show(ended, "table")
