"""What a person sees of a build: plain lines while it runs, a summary at its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from dynbuild import units
from dynbuild.build.events import (
    Event,
    LogLine,
    Message,
    RecordBegun,
    Retried,
    StepEnded,
    StepStarted,
    Warned,
)
from dynbuild.build.result import BuildResult, CacheFigures, StageFigures
from dynbuild.build.solve import is_cancelled
from dynbuild.build.steps import StepName
from dynbuild.report.display import COLUMNS, Display
from dynbuild.report.heartbeat import SILENCE_SECONDS, Heartbeat

_LONG_SECONDS = 1.0


class Progress(Heartbeat[Event]):
    """Listener that writes one line a finished step, and a sign of life for a long one."""

    def __init__(self, say: Callable[[str], None], display: Display, verbosity: int) -> None:
        """Start the clock.

        Args:
            say: Takes a line that is to be seen.
            display: How it is to look there.
            verbosity: 1 shows the output of steps as well, 2 every step.
        """
        super().__init__(say, display, verbosity)
        self._names: dict[str, StepName] = {}
        self._running: dict[str, float] = {}
        self._cached = 0

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        self._say_cached()

    def _show(self, event: Event) -> None:
        match event:
            case RecordBegun(path=path):
                self._say(f"recorded in {path}")
            case StepStarted(digest=digest, name=name):
                self._names[digest] = name
                self._running[digest] = time.monotonic()
            case StepEnded(digest=digest, seconds=seconds):
                self._running.pop(digest, None)
                if not event.is_news or not self._worth_showing(self._name(digest), seconds):
                    pass
                elif event.cached and not event.error and self._verbosity < 1:
                    self._cached += 1
                else:
                    if event.error or seconds > _LONG_SECONDS:
                        self._say_cached()
                    self._line(digest, *_end(event))
            case LogLine(digest=digest, text=text) if self._verbosity >= 1:
                self._say(f"        {self._name(digest).label} | {text}")
            case Retried(message=message, seconds=seconds):
                self._running.clear()
                self._say(f"{message}: tried again in {units.format_time(seconds)}")
            case Message(text) if self._verbosity >= 1:
                self._say(text)
            case Warned(text=text) if self._verbosity >= 1:
                self._say(self._display.warning(text))
            case _:
                pass

    def _beat(self, now: float) -> None:
        for digest, since in self._running.items():
            name = self._name(digest)
            if now - since > SILENCE_SECONDS and self._worth_showing(name, now - since):
                self._running[digest] = now
                self._line(digest, "running")

    def _name(self, digest: str) -> StepName:
        return self._names.get(digest) or StepName(instruction=digest)

    def _line(self, digest: str, end: str, style: str = "") -> None:
        clock = self._clock()
        text = self._name(digest).title
        # In a file or a pipe nothing is cut, and the ends stand below each other where they can.
        room = (self._display.width or COLUMNS) - len(clock) - len(end) - 4
        if self._display.width is not None and len(text) > room:
            text = f"{text[: room - 1]}…"
        end = self._display.style(end, style) if style else end
        self._say(f"{clock}  {text.ljust(room)}  {end}")

    def _say_cached(self) -> None:
        """What came from the cache is one line, not one for each."""
        if self._cached:
            count = f"{self._cached} step{'s' if self._cached > 1 else ''}"
            self._say(f"{self._clock()}  {count} from the cache")
            self._cached = 0

    def _worth_showing(self, name: StepName, seconds: float) -> bool:
        return not name.is_internal or seconds > _LONG_SECONDS or self._verbosity >= 2


def _end(ended: StepEnded) -> tuple[str, str]:
    """What is said of a step that ended, and in which style."""
    if ended.error:
        return "cancelled" if is_cancelled(ended.error) else "FAILED", "red"
    return ("cached", "dim") if ended.cached else (f"{ended.seconds:.1f}s", "")


def summary(result: BuildResult, display: Display) -> Iterator[str]:
    """The lines that say what was built."""
    for image in result.images:
        yield f"{'image':<8}{image.id}"
        for index, tag in enumerate(image.tags):
            yield f"{'tags' if index == 0 else '':<8}{tag}"
        if image.digest:
            yield f"{'digest':<8}{image.digest}"
        if image.size is not None:
            yield f"{'size':<8}{units.format_size(image.size)}"
    yield f"{'time':<8}{units.format_time(result.seconds)}"
    yield f"{'steps':<8}{result.steps.run} run, {result.steps.cached} cached"
    if result.compile_cache:
        yield from _compile_cache(result.compile_cache, display)
    yield f"{'record':<8}{result.record}"


def _compile_cache(figures: CacheFigures, display: Display) -> Iterator[str]:
    """The compile cache stage by stage, and in total."""
    yield ""
    rows = [
        (name, *_figures(stats))
        for name, stats in (*figures.stages.items(), ("total", figures.total))
    ]
    head = ("compile cache", "requests", "hits", "misses", "errors", "hit rate", "saved")
    yield from display.table(head, rows)
    yield ""


def _figures(stats: StageFigures) -> tuple[str, ...]:
    rate, saved = stats.hit_rate, stats.seconds_saved
    return (
        *(str(count) for count in (stats.requests, stats.hits, stats.misses)),
        str(stats.errors + stats.write_errors),
        "-" if rate is None else f"{100 * rate:.1f} %",
        "-" if saved is None else units.format_time(saved),
    )
