"""``dynbuild why``: the first causes of what a build ran."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dynbuild.cli import complete, console, tree
from dynbuild.cli.report import Context
from dynbuild.errors import NotReady, RequestError, quote

if TYPE_CHECKING:
    from dynbuild.build.causes import Explanation
    from dynbuild.build.expectation import Expectation
    from dynbuild.build.record import Record
    from dynbuild.build.snapshot import Snapshot
    from dynbuild.build.steps import StepName
    from dynbuild.plan.job import Job

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
    from dynbuild.build import causes, record

    after = _read(later)
    if earlier is not None:
        before = _read(earlier)
    else:
        before = _before(root, [one.name for one in after.plan.images], later.id)
    return causes.explain(before, after, causes.beside(after, record.finished(root)))


def predict(job: Job, texts: Mapping[str, str], earlier: str | None = None) -> Explanation:
    """Which steps of *job* will run, and why, beside the build *earlier* or the last one.

    What lies outside of the tree, the settings and the engine's images is taken as it was then:
    images of registries, git refs, and what the builder keeps.

    Args:
        job: What would be built.
        texts: Text of the Dockerfile of each image.
        earlier: What names the earlier build.

    Raises:
        RequestError: There is no earlier one, or an ignore file is malformed.
    """
    from dynbuild.build import archive, causes, drive, snapshot

    root = Path(job.plan.context)
    if earlier is not None:
        before = _read(archive.choose(root, earlier))
    else:
        before = _before(root, [image.name for image in job.plan.images])
    try:
        files = drive.taken_now(job, texts)
    except ValueError as error:
        raise RequestError(f"what the build takes cannot be told: {error}") from error
    after = snapshot.Snapshot(id="", plan=job.plan, texts=texts, files=files)
    return causes.explain(before, _on_this_machine(after, before))


def _on_this_machine(after: Snapshot, before: Snapshot) -> Snapshot:
    """*after* with what an engine here says of it; where none answers, as it was *before*."""
    from dynbuild.build import bases, drive
    from dynbuild.engine import builder, client
    from dynbuild.render import bake

    try:
        found = builder.find(client.find(os.environ), os.environ)
    except NotReady:
        engine = before.network if before.plan.network == "default" else "bridge"
        return replace(after, network=bake.network_of(after.plan, engine))
    return replace(
        after,
        network=bake.network_of(after.plan, found.network),
        builder=drive.described(found),
        pins=bases.moved(found, os.environ, before.pins),
    )


def _read(one: Record) -> Snapshot:
    from dynbuild.build import recording, snapshot

    found = snapshot.of_recording(recording.read(one))
    if found is None:
        raise RequestError(f"the record of {one.id} lacks its plan or its Dockerfile", hint=_LIST)
    return found


def _before(root: Path, images: list[str], than: str | None = None) -> Snapshot:
    """The last build, earlier *than* that one, of one of the *images*.

    Raises:
        RequestError: There is none.
    """
    from dynbuild.build import archive, recording

    for one in archive.records(root):
        if than is not None and one.id >= than:
            continue
        # A plan that cannot be read names no image.
        if set(images) & set(recording.images_of(one)):
            return _read(one)
    raise RequestError(
        f"there is no earlier build of {' and '.join(images)} to compare with", hint=_LIST
    )


def show_prediction(job: Job, texts: Mapping[str, str], earlier: str | None, format: str) -> None:
    """Which steps of *job* will run, and why: for people, or for programs."""
    from dynbuild.report import why as told

    explained = predict(job, texts, earlier)
    if format == "json":
        console.out_json(told.as_json(explained, explained.reasons))
        return
    for line in told.lines(explained, console.out_look(), predicted=True):
        console.out(line)


def expectation(
    job: Job, texts: Mapping[str, str], pattern: str | None
) -> Callable[[], Expectation | None]:
    """What makes, for a solve, what has to come from the cache; nothing without a *pattern*."""

    def reason(name: StepName) -> str:
        from dynbuild.report import why as told

        try:
            return told.why(predict(job, texts), name)
        except RequestError as error:
            return str(error)

    def expected() -> Expectation | None:
        if pattern is None:
            return None
        from dynbuild.build.expectation import Expectation

        return Expectation(pattern, reason)

    return expected
