"""The statistics of sccache: what it counts, read and added up.  Pure.

Its JSON was looked up in, and tried with, the versions 0.8.2 and 0.14.0.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dynbuild.sccache.cache import CompileCache


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """The figures of one language, by sccache's name: ``C/C++``, ``CUDA`` or ``Rust``."""

    name: str
    hits: int = 0
    misses: int = 0
    failures: int = 0

    @property
    def hit_rate(self) -> float | None:
        """Hits of lookups, 0 to 1; ``None`` where nothing was looked up."""
        return _rate(self.hits, self.misses)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """What one sccache server counted, or several together.

    Attributes:
        requests: How often the compiler was called through sccache.
        hits: Compilations that were spared.
        misses: Compilations that were done and offered to the cache.
        errors: Lookups that failed: read errors and time-outs of the cache.
        writes: Objects written.
        write_errors: Objects that could not be written; with a key that may only read, every
            miss is one.
        not_cacheable: Calls that cannot be cached, links for instance.
        compile_failures: Compilations that failed, in the preprocessor too (sccache calls
            those cache errors); configure scripts make many.
        compile_seconds: Time that the misses took to compile.
        read_seconds: Time that the hits took to read.
        write_seconds: Time that the writes took.
        bytes: Size of the cache, known for a ``local`` one only.
        locations: Where the servers kept their objects, in their own words.
        versions: Of sccache.
        languages: Per language, sorted by name.
    """

    requests: int = 0
    hits: int = 0
    misses: int = 0
    errors: int = 0
    writes: int = 0
    write_errors: int = 0
    not_cacheable: int = 0
    compile_failures: int = 0
    compile_seconds: float = 0.0
    read_seconds: float = 0.0
    write_seconds: float = 0.0
    bytes: int | None = None
    locations: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()
    languages: tuple[Language, ...] = ()

    @property
    def hit_rate(self) -> float | None:
        """Hits of lookups, 0 to 1; ``None`` where nothing was looked up."""
        return _rate(self.hits, self.misses)

    @property
    def seconds_per_compile(self) -> float | None:
        """Mean time of a compilation; ``None`` where none was done."""
        return self.compile_seconds / self.misses if self.misses else None

    def seconds_saved(self, per_compile: float | None = None) -> float | None:
        """About how much compiling the hits spared, in seconds of a processor.

        Args:
            per_compile: Mean time of a compilation, of an earlier build for instance; without
                it the mean of these misses is taken.

        Returns:
            The estimate, ``None`` where no mean is known.
        """
        mean = self.seconds_per_compile if per_compile is None else per_compile
        if mean is None:
            return None
        return max(0.0, self.hits * mean - self.read_seconds)

    def is_in(self, cache: CompileCache) -> bool:
        """Whether every server used *cache*, and none fell back to another one."""
        start = "Local disk" if cache.kind == "local" else f"s3, name: {cache.bucket},"
        return all(location.startswith(start) for location in self.locations)

    def __add__(self, other: Stats) -> Stats:
        """Both together."""
        names = sorted({one.name for one in (*self.languages, *other.languages)})
        sizes = [size for size in (self.bytes, other.bytes) if size is not None]
        return Stats(
            **{name: getattr(self, name) + getattr(other, name) for name in _SUMS},
            # Two servers on one cache see the same bytes.
            bytes=max(sizes, default=None),
            locations=tuple(sorted({*self.locations, *other.locations})),
            versions=tuple(sorted({*self.versions, *other.versions})),
            languages=tuple(
                Language(
                    name=name,
                    **{
                        figure: sum(
                            getattr(one, figure)
                            for one in (*self.languages, *other.languages)
                            if one.name == name
                        )
                        for figure in ("hits", "misses", "failures")
                    },
                )
                for name in names
            ),
        )


_SUMS = (
    *("requests", "hits", "misses", "errors", "writes", "write_errors", "not_cacheable"),
    *("compile_failures", "compile_seconds", "read_seconds", "write_seconds"),
)


def _rate(hits: int, misses: int) -> float | None:
    return hits / (hits + misses) if hits + misses else None


def parse(text: str) -> Stats:
    """The statistics of ``sccache --show-stats --stats-format json``.

    Figures that this version of sccache does not give are 0.

    Raises:
        ValueError: *text* is something else.
    """
    found = json.loads(text)
    stats = found.get("stats") if isinstance(found, dict) else None
    if not isinstance(stats, dict) or "compile_requests" not in stats:
        raise ValueError("these are no statistics of sccache")
    hits, misses, failures = (
        _counts(stats, f"cache_{name}") for name in ("hits", "misses", "errors")
    )
    return Stats(
        requests=_number(stats, "compile_requests"),
        hits=sum(hits.values()),
        misses=sum(misses.values()),
        errors=_number(stats, "cache_read_errors") + _number(stats, "cache_timeouts"),
        writes=_number(stats, "cache_writes"),
        write_errors=_number(stats, "cache_write_errors"),
        not_cacheable=_number(stats, "requests_not_cacheable")
        + _number(stats, "requests_not_compile")
        + _number(stats, "requests_unsupported_compiler")
        + _number(stats, "non_cacheable_compilations"),
        compile_failures=_number(stats, "compile_fails") + sum(failures.values()),
        compile_seconds=_seconds(stats, "compiler_write_duration"),
        read_seconds=_seconds(stats, "cache_read_hit_duration"),
        write_seconds=_seconds(stats, "cache_write_duration"),
        bytes=found["cache_size"] if isinstance(found.get("cache_size"), int) else None,
        locations=_words(found.get("cache_location")),
        versions=_words(found.get("version")),
        languages=tuple(
            Language(
                name=name,
                hits=hits.get(name, 0),
                misses=misses.get(name, 0),
                failures=failures.get(name, 0),
            )
            for name in sorted({*hits, *misses, *failures})
        ),
    )


def _words(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) and value else ()


def _number(stats: Mapping[str, Any], name: str) -> int:
    value = stats.get(name, 0)
    if not isinstance(value, int):
        raise ValueError(f"'{name}' of sccache's statistics is no number")
    return value


def _seconds(stats: Mapping[str, Any], name: str) -> float:
    value = stats.get(name, {})
    if not isinstance(value, dict):
        raise ValueError(f"'{name}' of sccache's statistics is no duration")
    return _number(value, "secs") + _number(value, "nanos") / 1e9


def _counts(stats: Mapping[str, Any], name: str) -> dict[str, int]:
    value = stats.get(name, {})
    counts = value.get("counts", {}) if isinstance(value, dict) else None
    if not isinstance(counts, dict):
        raise ValueError(f"'{name}' of sccache's statistics has no counts")
    return {language: _number(counts, language) for language in counts}
