"""What the compile cache did in a build: figures of each stage, and what is wrong with them.

A step that compiles prints the statistics of its sccache between two marks, or one line when
it had to do without (``templates/sccache.Dockerfile.j2``).  Pure: lines in, figures out.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from dynbuild.build.events import Event, LogLine, StepEnded, StepStarted
from dynbuild.build.result import CacheFigures, LanguageFigures, StageFigures
from dynbuild.build.steps import StepName
from dynbuild.sccache import stats as sccache_stats
from dynbuild.sccache.cache import CompileCache
from dynbuild.sccache.stats import Stats

_BEGIN, _END = "SCCACHE_JSON_BEGIN", "SCCACHE_JSON_END"
_FELL_BACK = re.compile(r"SCCACHE_FELL_BACK (\w+): ?(.*)")
_SECTION = re.compile(r"\bSCCACHE_SECTION=(\w+)")

# Far below: a build that lost a quarter of its hits did not just have a few new files.
_WORSE = 0.25
_FEW = 20


@dataclass(slots=True)
class StepFigures:
    """What one step told of its sections.

    Attributes:
        name: The name of the step.
        stats: Statistics by section.
        without: Sections that ran without the cache, and why.
    """

    name: StepName
    stats: dict[str, Stats] = field(default_factory=dict)
    without: dict[str, str] = field(default_factory=dict)
    _ended: bool = False
    _open: dict[int, list[str]] = field(default_factory=dict)

    def line(self, text: str, stream: int) -> None:
        """Take in a line that the step printed.

        What compilers wrote to the other stream before the statistics may be told of among them.
        """
        if text == _BEGIN:
            self._open[stream] = []
        elif text == _END:
            self._close("".join(self._open.pop(stream, ())))
        elif stream in self._open:
            self._open[stream].append(text)
        elif fell_back := _FELL_BACK.match(text):
            self.without[fell_back[1]] = fell_back[2]

    def _close(self, text: str) -> None:
        try:
            document = json.loads(text)
            section, stats = (
                str(document["section"]),
                sccache_stats.parse(json.dumps(document["stats"])),
            )
        except (ValueError, KeyError, TypeError):
            return
        self.stats[section] = stats

    def end(self) -> None:
        """Take in that the step was carried out; its last lines may be told of later."""
        self._ended = True

    @property
    def silent(self) -> set[str]:
        """Sections that were carried out and told nothing: their log was cut off."""
        sections = set(_SECTION.findall(self.name.instruction)) if self._ended else set()
        return sections - self.stats.keys() - self.without.keys()

    @property
    def sections(self) -> set[str]:
        """The sections that anything is known of."""
        return self.stats.keys() | self.without.keys() | self.silent


@dataclass(slots=True)
class Figures:
    """The figures of one build by the digests of its steps, gathered event by event.

    Two images may have a stage of one name, which are two steps; one step that two images share
    is told of once.
    """

    steps: dict[str, StepFigures] = field(default_factory=dict)

    def feed(self, event: Event) -> None:
        """Take in that a step began, what it printed, or that it ended."""
        match event:
            case StepStarted(digest=digest, name=name) if name.is_run:
                self.steps.setdefault(digest, StepFigures(name))
            case LogLine(digest=digest, text=text, stream=stream) if digest in self.steps:
                self.steps[digest].line(text.strip(), stream)
            case StepEnded(digest=digest, cached=False, error="") if digest in self.steps:
                self.steps[digest].end()
            case _:
                pass

    @property
    def stages(self) -> dict[str, Stats]:
        """Statistics by section, which is the stage's name (NIXL has two).

        Two architectures are two steps of one stage.
        """
        found: dict[str, Stats] = {}
        for step in self.steps.values():
            for section, stats in step.stats.items():
                found[section] = found.get(section, Stats()) + stats
        return found

    @property
    def without(self) -> dict[str, str]:
        """Sections that ran without the cache, and why."""
        return {
            section: why for step in self.steps.values() for section, why in step.without.items()
        }

    @property
    def silent(self) -> set[str]:
        """Sections that ran and told nothing."""
        return {section for step in self.steps.values() for section in step.silent}

    @property
    def total(self) -> Stats:
        """All stages together."""
        return sum(self.stages.values(), Stats())

    def labelled(self) -> Iterator[tuple[str, str, StepFigures]]:
        """Each step's sections, sorted, with what a person calls them.

        That is the section, and the target and platform where several steps have it.
        """
        pairs = [(one, step) for step in self.steps.values() for one in step.sections]
        often = Counter(section for section, _ in pairs)
        for section, step in sorted(pairs, key=lambda pair: pair[0]):
            words = (step.name.target, step.name.platform, section)
            several = " ".join(word for word in words if word)
            yield several if often[section] > 1 else section, section, step

    def __bool__(self) -> bool:
        return any(step.sections for step in self.steps.values())


def warnings(figures: Figures, cache: CompileCache, previous: CacheFigures | None) -> Iterator[str]:
    """What a person has to know: a cache that was not used, or not as it should be.

    Args:
        figures: Of this build.
        cache: The cache that was meant.
        previous: What ``document`` said of the build before; ``None`` if there is none.
    """
    labelled = list(figures.labelled())
    for label, section, step in labelled:
        if section in step.without:
            reason = step.without[section] or "sccache did not start"
            yield f"{label}: compiled without the compile cache: {reason}"
    for label, section, step in labelled:
        if section in step.silent:
            yield f"{label}: no figures of the compile cache; its log was cut off before its end"
    for label, section, step in labelled:
        if section in step.stats:
            yield from _flaws(label, step.stats[section], cache)
    yield from _worse(figures.total, previous)


def _flaws(label: str, stats: Stats, cache: CompileCache) -> Iterator[str]:
    if not stats.is_in(cache):
        yield f"{label}: sccache kept its objects elsewhere: {', '.join(stats.locations)}"
    if not stats.requests:
        yield f"{label}: no compilation went through the compile cache"
    if stats.errors:
        yield f"{label}: {stats.errors} lookups in the compile cache failed"
    if stats.write_errors and not cache.read_only:
        yield f"{label}: {stats.write_errors} objects could not be written to the cache"


def _worse(total: Stats, previous: CacheFigures | None) -> Iterator[str]:
    before = previous.total.hit_rate if previous else None
    now = total.hit_rate
    if before is None or now is None or total.hits + total.misses < _FEW:
        return
    if now < before - _WORSE:
        yield (
            f"the compile cache had {now:.0%} hits, the build before {before:.0%}: "
            "another compiler, other flags, or another prefix?"
        )


def document(
    figures: Figures, cache: CompileCache, previous: CacheFigures | None = None
) -> CacheFigures:
    """The figures for programs and for the record.

    A build without a miss does not know what a compilation takes: what the *previous* one's
    document says is taken, and handed on.
    """
    in_s3 = cache.kind == "s3"
    before = previous or CacheFigures(kind=cache.kind)
    return CacheFigures(
        kind=cache.kind,
        bucket=cache.bucket if in_s3 else "",
        prefix=cache.prefix if in_s3 else "",
        stages={
            name: _stats(stats, before.stages.get(name))
            for name, stats in sorted(figures.stages.items())
        },
        without=figures.without,
        silent=tuple(sorted(figures.silent)),
        total=_stats(figures.total, before.total),
    )


def _stats(stats: Stats, before: StageFigures | None) -> StageFigures:
    mean = stats.seconds_per_compile
    if mean is None and before is not None:
        mean = before.seconds_per_compile
    saved = stats.seconds_saved(mean)
    return StageFigures(
        requests=stats.requests,
        hits=stats.hits,
        misses=stats.misses,
        errors=stats.errors,
        write_errors=stats.write_errors,
        hit_rate=None if stats.hit_rate is None else round(stats.hit_rate, 4),
        bytes=stats.bytes,
        seconds_per_compile=_rounded(mean),
        seconds_saved=_rounded(saved),
        languages={
            one.name: LanguageFigures(hits=one.hits, misses=one.misses) for one in stats.languages
        },
    )


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
