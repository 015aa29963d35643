"""Run a matrix: every group of images in a solve of its own, side by side, and nothing twice.

A cell that fails costs itself and what is built on it; the others go on.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Literal

from dynbuild import names, proc
from dynbuild.build import drive, failure, job_context
from dynbuild.build.context import Reading
from dynbuild.build.events import Event, Retried
from dynbuild.build.expectation import Expectation
from dynbuild.build.result import BuildResult, Failure, ImageResult, Retry
from dynbuild.engine.builder import Builder
from dynbuild.errors import DynbuildError, ToolFailed
from dynbuild.matrix import common, content, groups, pending, testing
from dynbuild.matrix.common import Common
from dynbuild.matrix.events import (
    CellEnded,
    MatrixEvent,
    SolveEnded,
    SolveEvent,
    SolveStarted,
    TagsMoved,
)
from dynbuild.matrix.record import MatrixRecord
from dynbuild.matrix.result import CellResult, MatrixResult, Status
from dynbuild.matrix.tally import Tally
from dynbuild.plan.document import ImagePlan
from dynbuild.plan.image_tests import ImageTest
from dynbuild.plan.job import Job
from dynbuild.render import graph

JOBS = 24
"""Solves at once: as many clients, of 50 MB each, as a small machine has memory for."""

COMMON = "common steps"
"""Name of the solve of what several cells have in common."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a matrix is run.

    Attributes:
        jobs: Solves at once.
        fail_fast: Whether the first failure ends all.
        timeout: Seconds that a solve may take; 0 is as long as it needs.
        retries: How often a solve is tried again that a server or the network ended.
        tag_when: ``all``: tags move when every cell is there; ``each``: each cell's when it is.
        tests: What has to go well in images before they get their tags, by the images' names.
        expectation: What makes, for each solve and its Dockerfiles, what has to come from the
            cache.
    """

    jobs: int = JOBS
    fail_fast: bool = False
    timeout: float = 0.0
    retries: int = drive.RETRIES
    tag_when: str = "all"
    tests: Mapping[str, tuple[ImageTest, ...]] = field(default_factory=dict)
    expectation: Callable[[Job, Mapping[str, str]], Expectation | None] = lambda _job, _texts: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where a matrix is run.

    Attributes:
        builder: Solves it.
        env: The caller's environment.
        secrets: Values of the secrets that BuildKit reads from variables.
        cancellation: What calls it off.
        listen: Told of what happens; by several threads, but never by two at once.
    """

    builder: Builder
    env: Mapping[str, str]
    secrets: Mapping[str, str]
    cancellation: proc.Cancellation
    listen: Callable[[MatrixEvent], None]


def run(
    job: Job,
    texts: Mapping[str, str],
    *,
    site: Site,
    options: Options,
    record: MatrixRecord,
    name: str = "",
    done: Iterable[CellResult] = (),
    retries: Iterable[Retry] = (),
) -> MatrixResult:
    """Build all images of *job*.

    Args:
        job: What to build.
        texts: Text of the Dockerfile of each image, by image name.
        site: Where.
        options: How.
        record: Where it is written down.
        name: Of the matrix.
        done: Cells that are there already, of an earlier run: of them only tags may move.
        retries: What was tried again before.
    """
    going = _Going(job, texts, site, options, record, name, retries=[*retries])
    going.take_over(done)
    with site.cancellation.observe():
        going.solve_all()
        going.move_tags()
    return going.finish()


@dataclass(slots=True)
class _Going:
    """A matrix while it runs."""

    job: Job
    texts: Mapping[str, str]
    site: Site
    options: Options
    record: MatrixRecord
    name: str
    cells: dict[str, CellResult] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    retries: list[Retry] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    common_build: str = ""
    begun: float = field(default_factory=time.monotonic)
    reading: Reading | None = None
    lock: threading.RLock = field(default_factory=threading.RLock)

    # ---- solving ---------------------------------------------------------------------------

    def take_over(self, done: Iterable[CellResult]) -> None:
        """Keep what an earlier run made."""
        for cell in done:
            self.cells[cell.id] = cell

    def solve_all(self) -> None:
        """Solve every group; before that the common steps, where not all can go at once."""
        held = pending.held_back(self.job, self.options.tests)
        left = [group for group in groups.split(held) if not self._has(group)]
        if not left:
            return
        images = [image for group in left for image in group.images]
        waves = len(left) > max(1, self.options.jobs)
        shared = self._common(groups.of_images(held, images)) if waves else None
        texts = {image.name: self.texts[image.name] for image in images}
        if shared:
            images += shared.job.images
            texts |= shared.texts
        self.reading = job_context.start_reading(groups.of_images(held, images), texts)
        if shared:
            self._solve_common(shared)
        waiting = [group for group in left if not self._has(group)]
        with (
            self.site.cancellation.part() as work,
            ThreadPoolExecutor(max_workers=max(1, self.options.jobs)) as pool,
        ):
            solves = [pool.submit(self._solve_group, group, work) for group in waiting]
            for solve in solves:
                solve.result()

    def _has(self, group: Job) -> bool:
        return all(image.name in self.cells for image in group.images if image.plan.tags)

    def _common(self, rest: Job) -> Common | None:
        graphs = {image.name: graph.of(image.plan, self.texts[image.name]) for image in rest.images}
        return common.of(rest, self.texts, graphs)

    def _solve_common(self, shared: Common) -> None:
        left: Common | None = shared
        while left is not None and not self.site.cancellation.cancelled:
            result = self._solve(COMMON, left.job, left.texts, self.site.cancellation)
            self.common_build = result.id
            self.retries += result.retries
            failed = self._failed(left, result)
            if not failed:
                return
            left = common.without(left, failed)

    def _failed(self, part: Common, result: BuildResult) -> tuple[str, ...]:
        """What of the common steps failed; the cells that have them are failed with it."""
        why = result.failure
        if why is None or why.kind == "cancelled" or not result.failed:
            return ()
        names = tuple(image.name for image in part.job.images if image.name in result.failed)
        step = why.step
        for image in part.job.images:
            # What stands for common steps is of no interest to anybody.
            step = step.replace(f"[{image.id.bake_target} ", "[", 1)
        why = replace(why, step=step)
        for owner in dict.fromkeys(owner for name in names for owner in part.owners[name]):
            self._end(_cell(self._plan(owner), result.id, "failed", why, result.seconds))
        return names

    def _solve_group(self, group: Job, work: proc.Cancellation) -> None:
        cells = [image.plan for image in group.images if image.plan.tags]
        name = "+".join(plan.name for plan in cells)
        if work.cancelled:
            for plan in cells:
                self._end(_cell(plan, "", "skipped"))
            return
        try:
            with work.part(self.options.timeout) as part:
                result = self._solve(name, group, self.texts, part)
        except DynbuildError as error:
            why = failure.of_error(error)
            ended = [_cell(plan, "", "failed", why) for plan in cells]
        else:
            made = self._ended(cells, result, timed_out=part.late)
            ended = [self._tested(cell, work) for cell in made]
        for cell in ended:
            self._end(cell)
        if self.options.fail_fast and any(cell.status == "failed" for cell in ended):
            work.cancel()

    def _ended(
        self, cells: Sequence[ImagePlan], result: BuildResult, *, timed_out: bool
    ) -> list[CellResult]:
        made = {image.id: image for image in result.images}
        ended = []
        for plan in cells:
            cell = _of(plan, made[plan.name], result)
            if timed_out and cell.status != "done":
                text = f"it took longer than {self.options.timeout:g} s, which --timeout allows"
                slow = Failure(kind="user", message=text)
                cell = replace(cell, status="failed", failure=slow)
            ended.append(cell)
        return ended

    def _tested(self, cell: CellResult, work: proc.Cancellation) -> CellResult:
        """*cell*, after the tests of its image."""
        tests, plan = self.options.tests.get(cell.id, ()), self._plan(cell.id)
        if cell.status != "done" or not tests or plan.output == "none":
            return cell
        image = pending.pending(plan)
        if plan.output == "push":
            image = _by_digest(image, cell)
        found = testing.run(
            tests,
            image,
            platforms=plan.platforms,
            builder=self.site.builder,
            env=self.site.env,
            cancellation=work,
        )
        cell = replace(cell, tests=found)
        failed = [one for one in found if one.status == "failed"]
        if not failed:
            off = work.cancelled and any(one.status == "skipped" for one in found)
            return replace(cell, status="cancelled") if off else cell
        why = Failure(
            kind="user",
            step=f"test {', '.join(one.name for one in failed)}",
            message=failed[0].message,
            lines=failed[0].lines,
            hint=f"the image has no other name than {image}",
        )
        return replace(cell, status="failed", failure=why)

    def _solve(
        self, name: str, job: Job, texts: Mapping[str, str], cancellation: proc.Cancellation
    ) -> BuildResult:
        def heard(event: Event) -> None:
            with self.lock:
                self.tally.feed(name, event)
                self._say(SolveEvent(name, event))

        cells = tuple(image.name for image in job.images if image.plan.tags)
        self._say(SolveStarted(solve=name, cells=cells))
        own = {image.name: texts[image.name] for image in job.images}
        try:
            result = drive.build(
                job,
                own,
                builder=self.site.builder,
                env=self.site.env,
                secrets=self.site.secrets,
                listen=heard,
                cancellation=cancellation,
                name="" if cells else common.VARIANT,
                taken=self.reading.part(own) if self.reading else None,
                retries=self.options.retries,
                expectation=self.options.expectation(job, own),
            )
        finally:
            self._say(SolveEnded(name))
        with self.lock:
            self.warnings += result.warnings
        return result

    # ---- what became of it -----------------------------------------------------------------

    def _say(self, event: MatrixEvent) -> None:
        with self.lock:
            self.site.listen(event)

    def _end(self, cell: CellResult) -> None:
        """Write down and tell what became of a cell."""
        with self.lock:
            if cell.id in self.cells:
                return
            tags = self._plan(cell.id).tags if cell.status == "done" else ()
            held = pending.is_held(self._plan(cell.id), self.options.tests)
            cell = replace(cell, tags=tags, moved=bool(tags) and not held and cell.output == "load")
            if cell.output == "push" and cell.status == "done":
                cell = replace(cell, reference=_by_digest(tags[0], cell))
            self.cells[cell.id] = cell
            self._write("interrupted")
            self._say(CellEnded(self.cells[cell.id]))
        # What an engine has is nobody else's: no cell of it waits for the others.
        if self.options.tag_when == "each" or cell.output == "load":
            self._move(cell.id)

    def _plan(self, name: str) -> ImagePlan:
        return next(image for image in self.job.plan.images if image.name == name)

    def move_tags(self) -> None:
        """Move the tags of all cells, if every one of them is there."""
        every = self._every()
        whole = self.options.tag_when == "each" or all(cell.status == "done" for cell in every)
        for cell in every:
            if whole or cell.output == "load":
                self._move(cell.id)

    def _move(self, name: str) -> None:
        cell = self.cells.get(name)
        if cell is None or cell.status != "done" or cell.moved or cell.output == "none":
            return
        if self.site.cancellation.cancelled:
            return
        builder, env, plan = self.site.builder, self.site.env, self._plan(name)
        again = partial(self._again, name)
        try:
            if cell.output == "load":
                pending.rename(builder, env, cell.tags, pending.pending(plan))
            else:
                labelled = content.LABEL in plan.labels
                pending.move(
                    builder,
                    env,
                    (*cell.tags, *([content.current(plan)] if labelled else [])),
                    cell.reference,
                    on_retry=again,
                    sleep=self.site.cancellation.sleep,
                )
        except DynbuildError as error:
            why = _of_registry(error)
            with self.lock:
                self.cells[name] = replace(self.cells[name], status="failed", failure=why)
                self._say(CellEnded(self.cells[name]))
            return
        with self.lock:
            self.cells[name] = replace(self.cells[name], moved=True)
            self._write("interrupted")
            self._say(TagsMoved(name, cell.tags))

    def _again(self, name: str, one: Retry) -> None:
        """Note that the tags of a cell are tried again to be moved."""
        with self.lock:
            cell = self.cells[name]
            self.cells[name] = replace(cell, retries=(*cell.retries, one))
            event = Retried(message=one.message, seconds=one.waited, tried=1)
            self._say(SolveEvent(name, event))

    def _every(self) -> list[CellResult]:
        """All cells, in the order of the plan; those that nothing was done for are skipped."""
        plans = [image for image in self.job.plan.images if image.tags]
        return [self.cells.get(plan.name) or _cell(plan, "", "skipped") for plan in plans]

    def _result(self, status: Literal["done", "failed", "interrupted"]) -> MatrixResult:
        version = self.job.plan.version
        return MatrixResult(
            id=self.record.id,
            name=self.name,
            record=str(self.record.path),
            status=status,
            version=version.tag,
            commit=version.commit,
            seconds=round(time.monotonic() - self.begun, 3),
            steps=self.tally.steps(),
            common=self.common_build,
            cells=tuple(self._every()),
            retries=tuple(self.retries),
            warnings=tuple(dict.fromkeys(self.warnings)),
        )

    def _write(self, status: Literal["done", "failed", "interrupted"]) -> None:
        # A full disk ends no build; the end says that the record is not whole.
        with suppress(OSError):
            self.record.write(self._result(status))

    def finish(self) -> MatrixResult:
        """How it ended; the record is closed with it."""
        done = all(cell.status == "done" for cell in self._every())
        cancelled = self.site.cancellation.cancelled
        ended = self._result("interrupted" if cancelled else "done" if done else "failed")
        try:
            self.record.write(ended)
        except OSError as error:
            said = f"the record {self.record.path} is not whole: {error.strerror}"
            ended = replace(ended, warnings=(*ended.warnings, said))
        return ended


def _by_digest(tag: str, cell: CellResult) -> str:
    """The image of *cell* in the repository of *tag*, whatever it is called there."""
    repository, _ = names.split_reference(tag)
    return f"{repository}@{cell.digest}"


def _of(plan: ImagePlan, made: ImageResult, build: BuildResult) -> CellResult:
    every = {one.name: getattr(made, one.name) for one in fields(made)}
    return CellResult(
        **every,
        build=build.id,
        platforms=plan.platforms,
        line=plan.release_line,
        retries=build.retries,
    )


def _cell(
    plan: ImagePlan, build: str, status: Status, why: Failure | None = None, seconds: float = 0.0
) -> CellResult:
    """The result of a cell that was not made."""
    return CellResult(
        id=plan.name,
        status=status,
        output=plan.output,
        seconds=seconds,
        failure=why,
        build=build,
        platforms=plan.platforms,
        line=plan.release_line,
    )


def _of_registry(error: DynbuildError) -> Failure:
    """Why a registry took no tag."""
    said = error.stderr if isinstance(error, ToolFailed) else ""
    known = failure.recognise(said) if said else None
    return Failure(
        kind=known.kind if known else "user",
        step="moving the tags",
        message=said.strip().splitlines()[-1] if said.strip() else error.message,
        lines=error.details,
        hint=known.hint if known else error.hint or "",
    )
