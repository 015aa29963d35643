"""``dynbuild why``: the first causes of what a build ran."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dynbuild.cli import complete, console, tree
from dynbuild.cli.report import Context
from dynbuild.errors import RequestError, quote

if TYPE_CHECKING:
    from dynbuild.build.causes import Explanation
    from dynbuild.build.record import Record
    from dynbuild.build.snapshot import Snapshot

_LIST = "dynbuild history list shows those there are"


def why(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ID [EARLIER]] [STEP]",
            help="Which build, and beside which: each an id or a beginning of it, an image's id, or"
            " ~1; the last build, and the last earlier one of its image, if they are left out."
            " STEP is a stage, a glob of it, or a part of what a step does.",
            autocompletion=complete.build_ids,
            show_default=False,
        ),
    ] = None,
    format: Annotated[
        Literal["table", "json"], typer.Option("--format", help="For people, or for programs.")
    ] = "table",
    context: Context = None,
) -> None:
    """Show why steps of a build ran and did not come from the cache.

    First causes come first, each with its evidence; steps that only follow from them are
    counted.  It is told from the records of two builds, and asks no engine.

    [bold]Examples[/bold]

      dynbuild why

      dynbuild why nixl

      dynbuild why ~0 ~3

      dynbuild why vllm-runtime-cuda13.0 "RUN *maturin*"
    """
    root = tree.context(context)
    builds, step = _meant(root, words or [])
    from dynbuild.report import why as told

    explained = explain(root, *builds)
    reasons = explained.reasons
    if step is not None:
        reasons = tuple(one for one in reasons if told.fits(one, step))
    if format == "json":
        console.out_json(told.as_json(explained, reasons))
        return
    look = console.out_look()
    if step is None:
        for line in told.lines(explained, look):
            console.out(line)
        return
    if not reasons:
        console.say(f"no step of {explained.after} that fits {quote(step)} ran")
    for line in told.step_lines(explained, reasons, look):
        console.out(line)


def _meant(root: Path, words: list[str]) -> tuple[list[Record], str | None]:
    """The builds that *words* name, the latest if none, and the step.

    Raises:
        RequestError: A word is none that it could be.
    """
    from dynbuild.build import archive

    builds: list[Record] = []
    for number, word in enumerate(words):
        if number < 2 and len(builds) == number:
            try:
                builds.append(archive.choose(root, word))
                continue
            except RequestError:
                if number + 1 < len(words):
                    raise
        if number + 1 < len(words):
            raise RequestError(
                "why takes a build, an earlier one and a step", hint="dynbuild why ID EARLIER STEP"
            )
        return builds or [archive.choose(root, None)], word
    return builds or [archive.choose(root, None)], None


def explain(root: Path, later: Record, earlier: Record | None = None) -> Explanation:
    """Why the steps of the build *later* ran, beside *earlier* or the last one of its image.

    Raises:
        RequestError: There is no earlier one, or a record lacks what is needed.
    """
    from dynbuild.build import causes, record, recording, snapshot

    after = snapshot.of_recording(recording.read(later))
    if after is None:
        raise RequestError(f"the record of {later.id} lacks its plan or its Dockerfile", hint=_LIST)
    if earlier is not None:
        before = snapshot.of_recording(recording.read(earlier))
        if before is None:
            raise RequestError(
                f"the record of {earlier.id} lacks its plan or its Dockerfile", hint=_LIST
            )
    else:
        before = before_of(root, [one.name for one in after.plan.images], later.id)
    return causes.explain(before, after, causes.beside(after, record.finished(root)))


def before_of(root: Path, images: list[str], than: str | None) -> Snapshot:
    """The last build, earlier *than* that one, of the same images; whose record can be read.

    Raises:
        RequestError: There is none.
    """
    from dynbuild.build import archive, recording, snapshot

    for one in archive.records(root):
        if than is None or one.id < than:
            plan = recording.images_of(one)
            if plan and set(images) & set(plan):
                found = snapshot.of_recording(recording.read(one))
                if found is not None and found.solve is not None:
                    return found
    raise RequestError(
        f"there is no earlier build of {' and '.join(images)} to compare with", hint=_LIST
    )
