"""What the compile cache did in a build: figures of each stage, and what is wrong with them.

A step that compiles prints the statistics of its sccache between two marks, or one line when
it had to do without (``templates/sccache.Dockerfile.j2``).  Pure: lines in, figures out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from dynbuild.build.events import Event, LogLine, StepEnded
from dynbuild.sccache.cache import CompileCache, Stats, parse_stats

_BEGIN, _END = "SCCACHE_JSON_BEGIN", "SCCACHE_JSON_END"
_FELL_BACK = re.compile(r"SCCACHE_FELL_BACK (\w+): ?(.*)")
_SECTION = re.compile(r"\bSCCACHE_SECTION=(\w+)")

# Far below: a build that lost a quarter of its hits did not just have a few new files.
_WORSE = 0.25
_FEW = 20


@dataclass
class Figures:
    """The figures of one build, gathered event by event.

    Attributes:
        stages: Statistics by section, which is the stage's name (NIXL has two).
        without: Sections that ran without the cache, and why.
        silent: Sections that ran and told nothing: their log was cut off.
    """

    stages: dict[str, Stats] = field(default_factory=dict)
    without: dict[str, str] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    _open: dict[str, list[str]] = field(default_factory=dict)
    _told: set[str] = field(default_factory=set)

    def feed(self, event: Event) -> None:
        """Take in what a step printed, or that it ended."""
        match event:
            case LogLine(name, text):
                self._line(name, text.strip())
            case StepEnded(name, _, cached, error) if not cached and not error:
                for section in _SECTION.findall(name):
                    if section not in self._told:
                        self.silent.add(section)
            case _:
                pass

    def _line(self, step: str, text: str) -> None:
        if text == _BEGIN:
            self._open[step] = []
        elif text == _END:
            self._close("".join(self._open.pop(step, [])))
        elif step in self._open:
            self._open[step].append(text)
        elif found := _FELL_BACK.match(text):
            self.without[found[1]] = found[2]
            self._told.add(found[1])

    def _close(self, text: str) -> None:
        try:
            document = json.loads(text)
            section, stats = str(document["section"]), parse_stats(json.dumps(document["stats"]))
        except (ValueError, KeyError, TypeError):
            return
        # Two architectures are two steps of one stage.
        self.stages[section] = self.stages.get(section, Stats()) + stats
        self._told.add(section)

    @property
    def total(self) -> Stats:
        """All stages together."""
        return sum(self.stages.values(), Stats())

    def __bool__(self) -> bool:
        return bool(self.stages or self.without or self.silent)


def warnings(
    figures: Figures, cache: CompileCache, previous: Mapping[str, Any] | None
) -> Iterator[str]:
    """What a person has to know: a cache that was not used, or not as it should be.

    Args:
        figures: Of this build.
        cache: The cache that was meant.
        previous: What ``document`` said of the build before; ``None`` if there is none.
    """
    for section, reason in sorted(figures.without.items()):
        yield f"{section}: compiled without the compile cache: {reason or 'sccache did not start'}"
    for section in sorted(figures.silent):
        yield f"{section}: no figures of the compile cache; its log was cut off before its end"
    for section, stats in sorted(figures.stages.items()):
        if not stats.is_in(cache):
            yield f"{section}: sccache kept its objects elsewhere: {', '.join(stats.locations)}"
        if not stats.requests:
            yield f"{section}: no compilation went through the compile cache"
        if stats.errors:
            yield f"{section}: {stats.errors} lookups in the compile cache failed"
        if stats.write_errors and not cache.read_only:
            yield f"{section}: {stats.write_errors} objects could not be written to the cache"
    yield from _worse(figures.total, previous)


def _worse(total: Stats, previous: Mapping[str, Any] | None) -> Iterator[str]:
    before = (previous or {}).get("total", {}).get("hit_rate")
    now = total.hit_rate
    if before is None or now is None or total.hits + total.misses < _FEW:
        return
    if now < before - _WORSE:
        yield (
            f"the compile cache had {now:.0%} hits, the build before {before:.0%}: "
            "another compiler, other flags, or another prefix?"
        )


def document(
    figures: Figures, cache: CompileCache, previous: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The figures for programs and for the record.

    A build without a miss does not know what a compilation takes: what the *previous* one's
    document says is taken, and handed on.
    """
    where = {"bucket": cache.bucket, "prefix": cache.prefix} if cache.kind == "s3" else {}
    before = (previous or {}).get("stages", {})
    return {
        "kind": cache.kind,
        **where,
        "stages": {
            name: _stats(stats, before.get(name, {}))
            for name, stats in sorted(figures.stages.items())
        },
        "without": dict(figures.without),
        "silent": sorted(figures.silent),
        "total": _stats(figures.total, (previous or {}).get("total", {})),
    }


def _stats(stats: Stats, before: Mapping[str, Any]) -> dict[str, Any]:
    mean = stats.seconds_per_compile
    if mean is None:
        mean = before.get("seconds_per_compile")
    saved = stats.seconds_saved(mean)
    return {
        "requests": stats.requests,
        "hits": stats.hits,
        "misses": stats.misses,
        "errors": stats.errors,
        "write_errors": stats.write_errors,
        "hit_rate": None if stats.hit_rate is None else round(stats.hit_rate, 4),
        "bytes": stats.bytes,
        "seconds_per_compile": _rounded(mean),
        "seconds_saved": _rounded(saved),
        "languages": {
            one.name: {"hits": one.hits, "misses": one.misses} for one in stats.languages
        },
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
