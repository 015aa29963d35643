"""``dynbuild why``: the first causes of what a build ran."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import typer

from dynbuild import proc
from dynbuild.cli import complete, console, tree
from dynbuild.cli.report import Context
from dynbuild.errors import NotReady, RequestError, quote

if TYPE_CHECKING:
    from dynbuild.build.causes import Explanation
    from dynbuild.build.context import ContextRecord
    from dynbuild.build.expectation import Expectation
    from dynbuild.build.record import Record
    from dynbuild.build.snapshot import Snapshot
    from dynbuild.build.steps import StepName
    from dynbuild.plan.job import Job

Expected: TypeAlias = "Callable[[Job, Mapping[str, str]], Expectation | None]"
"""What makes, for a solve and its Dockerfiles, what has to come from the cache."""

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
    display = console.out_display()
    if step is None:
        for line in told.lines(explained, display):
            console.out(line)
        return
    if not reasons:
        console.say(f"no step of {explained.after} that fits {quote(step)} ran")
    for line in told.step_lines(explained, reasons, display):
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
    from dynbuild.build import archive, causes, record

    after = _read(later)
    if earlier is None:
        images = [image.name for image in after.plan.images]
        earlier = _last_of(archive.earlier(root, later), images)
    before = _read(earlier)
    return causes.explain(before, after, causes.beside(after, record.finished(root)))


def predict(
    job: Job,
    texts: Mapping[str, str],
    earlier: Record,
    *,
    offline: bool = False,
    files: Callable[[], ContextRecord] | None = None,
) -> Explanation:
    """Which steps of *job* will run, and why, beside the build *earlier*.

    Args:
        job: What would be built.
        texts: Text of the Dockerfile of each image.
        earlier: The build to compare with.
        offline: Whether no registry, no git remote and no address is asked.
        files: Tells what is taken from build contexts; without it, they are read now.

    Raises:
        RequestError: The record lacks what is needed, or an ignore file is malformed.
    """
    from dynbuild.build import prediction
    from dynbuild.build.background import Background
    from dynbuild.build.resolution import Asking
    from dynbuild.engine import builder, client

    try:
        found = builder.find(client.find(os.environ), os.environ)
    except NotReady:
        found = None
    asking = Asking(builder=found, env=os.environ, offline=offline)
    # A builder that has much takes a while to say what.
    kept = Background(partial(prediction.kept_by, asking))
    before = _read(earlier)
    try:
        taken = files or partial(_files, job, texts)
        return prediction.of(job, texts, before, asking, taken=taken, kept=kept.result)
    except ValueError as error:
        raise RequestError(f"what the build takes cannot be told: {error}") from error


def _files(job: Job, texts: Mapping[str, str]) -> ContextRecord:
    from dynbuild.build import job_context

    return job_context.read(job, texts)


def _read(one: Record) -> Snapshot:
    from dynbuild.build import recording, snapshot

    found = snapshot.of_recording(recording.read(one))
    if found is None:
        raise RequestError(f"the record of {one.id} lacks its plan or its Dockerfile", hint=_LIST)
    return found


def _last_of(there: Iterable[Record], images: Sequence[str]) -> Record:
    """The last of the builds *there* that is of one of the *images*.

    Raises:
        RequestError: There is none.
    """
    from dynbuild.build import archive

    found = archive.last_of(there, images)
    if found is None:
        raise RequestError(
            f"there is no earlier build of {' and '.join(images)} to compare with", hint=_LIST
        )
    return found


def show_prediction(
    job: Job, texts: Mapping[str, str], earlier: str | None, format: str, *, offline: bool
) -> None:
    """Which steps of *job* will run, and why: for people, or for programs.

    Args:
        job: What would be built.
        texts: Text of the Dockerfile of each image.
        earlier: The build to compare with; the last one of its images if it is ``None``.
        format: ``table`` or ``json``.
        offline: Whether nothing is asked over the network.

    Raises:
        RequestError: There is no build that *earlier* names, or none of its images without it.
    """
    # The files of a large tree take longer to look at than all the rest.
    reading = proc.Aside(partial(_files, job, texts))
    from dynbuild.build import archive
    from dynbuild.report import why as told

    root = Path(job.plan.context)
    if earlier is None:
        before = _last_of(archive.records(root), [image.name for image in job.plan.images])
    else:
        before = archive.choose(root, earlier)
    explained = predict(job, texts, before, offline=offline, files=reading.result)
    if format == "json":
        console.out_json(told.as_json(explained, explained.reasons))
        return
    for line in told.lines(explained, console.out_display(), predicted=True):
        console.out(line)


def expectation(root: Path, pattern: str | None) -> Expected:
    """What makes, for a solve, what has to come from the cache; nothing without a *pattern*.

    A miss is explained beside the builds of the tree *root* that there are now: what this
    command writes down itself has no difference to what it builds.
    """
    if pattern is None:
        return lambda _job, _texts: None
    from dynbuild.build import archive
    from dynbuild.build.expectation import Expectation
    from dynbuild.report import why as told

    there = archive.records(root)

    def expected(job: Job, texts: Mapping[str, str]) -> Expectation:
        def reason(name: StepName) -> str:
            try:
                before = _last_of(there, [image.name for image in job.plan.images])
                return told.why(predict(job, texts, before), name)
            except RequestError as error:
                return str(error)

        return Expectation(pattern, reason)

    return expected
