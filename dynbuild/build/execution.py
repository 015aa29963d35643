"""A build while it runs: its progress followed, tried again where that helps, its record closed.

The first solve runs already when this module is imported: what is imported here takes a while.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from dynbuild import proc
from dynbuild.build import compile_figures, context, failure, images, job_context, record, retry
from dynbuild.build.background import Background
from dynbuild.build.command import Started
from dynbuild.build.compile_figures import Figures
from dynbuild.build.context import Taken
from dynbuild.build.events import Event, RecordBegun, Retried, StepEnded, Warned
from dynbuild.build.expectation import Expectation
from dynbuild.build.log import Log
from dynbuild.build.metadata import Metadata, redact
from dynbuild.build.record import Journal, Record
from dynbuild.build.registry_timeout import RegistryTimeout
from dynbuild.build.result import (
    BuilderResult,
    BuildResult,
    CacheFigures,
    Failure,
    Retry,
    Steps,
)
from dynbuild.build.solve import Solve, is_import
from dynbuild.engine.builder import Builder
from dynbuild.errors import NotReady, one_line
from dynbuild.plan.job import Job


@dataclass(slots=True, kw_only=True)
class Execution:
    """A build while it goes: what it is carried out with, and what is gathered of it.

    Attributes:
        job: What is built.
        dockerfiles: Text of the Dockerfile of each image, by image name.
        record: Its record.
        builder: Where.
        started: Its first solve.
        env: The caller's environment.
        listen: Told of every event.
        log: What people read of it.
        cancellation: What calls it off.
        taken: What tells the files of the build contexts.
        expectation: What has to come from the cache.
        asked_again: What was asked of a registry again before.
        figures: What its steps told of the compile cache.
        warnings: What a person has to know at its end.
        lost: Why the record is not whole; ``None`` while it is.
        retries: Tries that failed.
        events: Where progress is written; ``None`` for its place in the record.
        first: That first solve, until it is followed.
        solve: Its steps.
    """

    job: Job
    dockerfiles: Mapping[str, str]
    record: Record
    builder: Builder
    started: Started
    env: Mapping[str, str]
    listen: Callable[[Event], None]
    log: Journal
    cancellation: proc.Cancellation
    taken: Taken | None
    expectation: Expectation | None
    asked_again: tuple[Retry, ...]
    figures: Figures = field(default_factory=Figures)
    warnings: list[str] = field(default_factory=list)
    lost: OSError | None = None
    retries: list[Retry] = field(default_factory=list)
    events: Path | None = None
    first: proc.Process | NotReady | None = field(init=False)
    solve: Solve = field(init=False)

    def __post_init__(self) -> None:
        self.first = self.started.process
        self.solve = self._no_steps(self.started.begun)

    def _no_steps(self, begun: datetime) -> Solve:
        """A solve that began at that time."""
        return Solve(begun, [image.id.bake_target for image in self.job.plan.images])

    def carry_out(self, retries: int) -> BuildResult:
        """Solve and close the record, whatever happens."""
        if any(image.output != "none" for image in self.job.plan.images):
            # The end of the build looks at it, and what reads it takes long to import.
            Background(partial(next, record.finished(Path(self.job.plan.context)), None))
        try:
            self.listen(RecordBegun(self.record.id, str(self.record.path)))
            why = self._solve_until(retries)
        except BaseException as error:
            # Whatever it is, the record says that this build is over.
            self._finish(failure.of_error(error))
            raise
        return self._finish(why)

    def _solve_until(self, retries: int) -> Failure | None:
        """Solve, and again where that is worth it; why it failed in the end, if it did.

        A cache that is not read in the end fails no build, and costs steps none of their tries.
        """
        tries = {"solve": 0, "import": 0}
        while why := self._attempt(imports=tries["import"] < retries):
            what = "import" if is_import(why.step) else "solve"
            if tries[what] >= retries or not retry.is_worth(why):
                return why
            tries[what] += 1
            self._note(why, tries[what])
            with suppress(OSError):
                number = len(self.retries)
                self.record.events.replace(self.record.path / f"events-{number}.jsonl")
            self.solve = self._no_steps(datetime.now(UTC))
            self.cancellation.sleep(self.retries[-1].waited)
        self._write_caches(retries)
        return None

    def _attempt(self, *, imports: bool) -> Failure | None:
        """Solve once; why that failed, if it did.

        Args:
            imports: Whether it ends where a server or the network kept a build cache from being
                read: BuildKit would go on without it, and run what it has.
        """
        with self._process() as process:
            self.taken = self.taken or job_context.start_reading(self.job, self.dockerfiles)
            with RegistryTimeout(self.job.registry_seconds, process.cancel) as timeout:

                def both(event: Event) -> None:
                    timeout(event)
                    self.listen(event)
                    missed = self.expectation and self.expectation.feed(event)
                    if missed or (imports and self._lost_import(event)):
                        process.cancel()

                self._follow(process, both)
                ended = process.wait()
        unexpected = self.expectation.failure() if self.expectation else None
        why = _failure(self.solve, self.record, ended, self.cancellation)
        if why and imports and not self.cancellation.cancelled:
            why = failure.of_import(self.solve) or why
        return unexpected or timeout.failure() or why

    def _lost_import(self, event: Event) -> bool:
        """Whether *event* tells of a cache that was not read, and may be the next time."""
        ended = isinstance(event, StepEnded) and bool(event.error)
        return ended and failure.of_import(self.solve) is not None

    def _process(self) -> proc.Process:
        """The next solve, which has begun.

        Raises:
            NotReady: It cannot begin.
        """
        first, self.first = self.first, None
        if isinstance(first, NotReady):
            raise first
        return first or self.started.command.start(self.cancellation)

    def _follow(self, process: proc.Process, listen: Callable[[Event], None]) -> None:
        """Read the progress of *process* to its end, and write it down."""
        told = Log()
        with Journal(self.events or self.record.events) as events:
            for line in process.lines():
                if line.startswith("{"):
                    events.write(f"{line}\n")
                for event in self.solve.feed(line):
                    self._log(told, event)
                    self.figures.feed(event)
                    if isinstance(event, Warned):
                        self.warnings.append(event.text)
                    listen(event)
        self.lost = self.log.error or events.error

    def _log(self, told: Log, event: Event) -> None:
        self.log.write("".join(f"{text}\n" for text in told.lines(event)))

    def _note(self, why: Failure, tried: int) -> None:
        """Note that a try failed."""
        waited = round(retry.delay(tried, why, random.Random()), 1)  # noqa: S311 - no secret
        self.retries.append(Retry(step=why.step, message=why.message, waited=waited))
        event = Retried(message=why.message, seconds=waited, tried=tried)
        self._log(Log(), event)
        if self.expectation:
            self.expectation.feed(event)
        self.listen(event)

    def _write_caches(self, retries: int) -> None:
        """Try again to write the build caches that were not; the images are there already.

        What another solve of the same says counts for the caches alone.
        """
        made, lost = self.solve, failure.of_cache(self.solve)
        for tried in range(1, retries + 1):
            if lost is None or not retry.is_worth_for_cache(lost):
                break
            self._note(lost, tried)
            self.cancellation.sleep(self.retries[-1].waited)
            if self.cancellation.cancelled:
                break
            self.solve = self._no_steps(datetime.now(UTC))
            self.events = self.record.path / f"events-cache-{tried}.jsonl"
            lost = self._attempt(imports=False) or failure.of_cache(self.solve)
        names = ", ".join(image.name for image in self.job.plan.images if image.cache_to)
        self.solve, self.events = made, None
        if lost is not None:
            self.warnings.append(
                f"{names}: the build cache was not written, so the next build has none of this"
                f" one: {lost.message}"
            )

    def _finish(self, why: Failure | None) -> BuildResult:
        """Put the result together and close the record with it."""
        plan, now = self.job.plan, self.record
        seconds = round(time.monotonic() - self.started.clock, 3)
        metadata = Metadata.read(now.metadata)
        try:
            redact(now)
        except OSError as error:
            self.lost = self.lost or error
        done, warnings = images.results(
            plan,
            self.solve,
            metadata,
            why,
            builder=self.builder,
            env=self.env,
            seconds=seconds,
            earlier=record.finished(Path(plan.context)),
        )
        done = tuple(replace(image, attempts=len(self.retries) + 1) for image in done)
        cached = self._compile_cache()
        self._write_context(wait=why is None)
        ended = BuildResult(
            id=now.id,
            record=str(now.path),
            status="done" if why is None else "interrupted" if _by_signal(why) else "failed",
            builder=BuilderResult.of(self.builder),
            seconds=seconds,
            steps=Steps(**self.solve.counts()),
            warnings=tuple(dict.fromkeys((*self.warnings, *_unread(self.solve), *warnings))),
            images=done,
            materials=metadata.materials(),
            compile_cache=cached,
            retries=(*self.asked_again, *self.retries),
            failure=why,
            failed=images.failed(plan, self.solve, why),
        )
        try:
            now.finish(ended)
        except OSError as error:
            self.lost = self.lost or error
        if self.lost is None:
            return ended
        said = f"the build record {now.path} is not whole: {self.lost.strerror}"
        return replace(ended, warnings=(*ended.warnings, said))

    def _write_context(self, *, wait: bool) -> None:
        """Write down what was taken from build contexts; a build that failed waits for nothing."""
        taken = self.taken.result(wait=wait) if self.taken else None
        if self.taken and self.taken.trouble:
            why = self.taken.trouble
            self.warnings.append(f"the files of the build contexts are not noted: {why}")
        if taken is not None:
            try:
                self.record.write(self.record.context, context.to_text(taken))
            except OSError as error:
                self.lost = self.lost or error

    def _compile_cache(self) -> CacheFigures | None:
        cache = self.job.compile_cache
        if not cache:
            return None
        before = _figures_before(Path(self.job.plan.context), self.job.images[0].name)
        self.warnings += compile_figures.warnings(self.figures, cache, before)
        return compile_figures.document(self.figures, cache, before)


def _unread(solve: Solve) -> Iterator[str]:
    """Warn of caches that were not read; that there is none yet is no reason to."""
    for name, error in solve.unread_caches():
        known = failure.recognise(error)
        if known and known.kind in ("transient", "auth"):
            yield (
                f"the build cache {name} was not read, so steps that it has may have run again:"
                f" {one_line(error)}"
            )


def _failure(
    solve: Solve, now: Record, ended: int, cancellation: proc.Cancellation
) -> Failure | None:
    """Why the build failed; ``None`` if it did not."""
    if cancellation.cancelled:
        return failure.cancelled()
    if ended == 0 or _lost_metadata(solve, now):
        return None
    return failure.of_solve(solve, ended)


def _lost_metadata(solve: Solve, now: Record) -> bool:
    """Whether bake failed at nothing but writing down what it had built."""
    said = [line for line in solve.messages if line.startswith("ERROR: ")]
    draft = f"{now.metadata.parent}/.tmp-{now.metadata.name}"
    return solve.failed() is None and any(draft in line for line in said)


def _by_signal(why: Failure) -> bool:
    return why.kind == "cancelled" and not why.step


def _figures_before(tree: Path, image: str) -> CacheFigures | None:
    """What the compile cache did in the last build of *image* that compiled anything."""
    for before in record.finished(tree):
        cached = before.compile_cache
        if cached and cached.total.hit_rate is not None and before.made(image):
            return cached
    return None
