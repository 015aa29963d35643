"""Builds beside each other: what each took, and where one is worse than those before it.  Pure.

A build is compared with the median of the last ones of the same images that were done.  Times
are compared between builds that ran as many steps: one from the cache says nothing of another
that is not.
"""

from __future__ import annotations

import fnmatch
import statistics
from collections import defaultdict, deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from dynbuild import units
from dynbuild.build.record import begun
from dynbuild.build.result import BuildResult

LAST = 10
TOLERANCE = 0.1
FEW = 3
"""Of fewer builds nothing is concluded."""

_DEVIATIONS = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Regression:
    """A figure of a build that is worse than it was.

    Attributes:
        figure: Which.
        image: Of which image; empty for the build as a whole.
        value: What it is: seconds, bytes, or a share.
        median: What it was.
    """

    figure: Literal["time", "size", "hit rate"]
    image: str = ""
    value: float
    median: float

    def __str__(self) -> str:
        """It in words, with how much worse it is."""
        what = f"{self.figure} of {self.image}" if self.image else self.figure
        if self.figure == "hit rate":
            return f"{what} {100 * self.value:.0f} % instead of {100 * self.median:.0f} %"
        show = units.format_time if self.figure == "time" else _size
        more = f" ({100 * (self.value / self.median - 1):+.0f} %)" if self.median else ""
        return f"{what} {show(self.value)} instead of {show(self.median)}{more}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """A build that was.

    Attributes:
        result: How it ended.
        begun: When it began, where its name says so.
        regressions: What of it is worse than before.
    """

    result: BuildResult
    begun: datetime | None
    regressions: tuple[Regression, ...] = ()

    @property
    def images(self) -> str:
        """The ids of its images."""
        return ", ".join(image.id for image in self.result.images) or "-"

    @property
    def size(self) -> int | None:
        """Bytes of all its images; ``None`` where none is known."""
        known = [image.size for image in self.result.images if image.size is not None]
        return sum(known) if known else None

    @property
    def digest(self) -> str:
        """The digest of its only image; empty where there are several, or it is not known."""
        digests = [image.digest for image in self.result.images]
        return digests[0] if len(digests) == 1 else ""


def of(
    results: Sequence[BuildResult],
    *,
    image: str = "*",
    last: int = LAST,
    tolerance: float = TOLERANCE,
) -> list[Past]:
    """The builds that have an image which fits, the newest first as *results* are.

    Args:
        results: How builds ended.
        image: A pattern of image ids.
        last: With how many earlier builds each is compared.
        tolerance: By which share a figure may be worse than their median.
    """
    chosen = [
        one
        for one in results
        if image == "*" or any(fnmatch.fnmatchcase(each.id, image) for each in one.images)
    ]
    earlier = _Earlier(last)
    pasts = []
    for one in reversed(chosen):
        worse = tuple(earlier.worse(one, tolerance))
        pasts.append(Past(result=one, begun=begun(one.id), regressions=worse))
        earlier.add(one)
    return pasts[::-1]


def same_work(result: BuildResult) -> tuple[object, ...]:
    """What is equal for builds that did the same work: their images, and how many steps ran."""
    return *_ids(result), result.steps.run


class _Earlier:
    """The figures of the builds before one, the last few of each kind."""

    def __init__(self, last: int) -> None:
        def figures() -> deque[float]:
            return deque(maxlen=last)

        self._seconds: dict[object, deque[float]] = defaultdict(figures)
        self._sizes: dict[object, deque[float]] = defaultdict(figures)
        self._rates: dict[object, deque[float]] = defaultdict(figures)

    def add(self, one: BuildResult) -> None:
        """Take in a build; those that come later are compared with it."""
        for image in one.images:
            if image.size is not None and image.status == "done":
                self._sizes[image.id, image.output].append(image.size)
        if one.status == "done":
            self._seconds[same_work(one)].append(one.seconds)
            if (rate := _hit_rate(one)) is not None:
                self._rates[_ids(one)].append(rate)

    def worse(self, one: BuildResult, tolerance: float) -> Iterator[Regression]:
        """What of a build is worse than of those before it."""
        if one.status != "done":
            return
        seconds = self._seconds[same_work(one)]
        if above(one.seconds, seconds, tolerance):
            yield Regression(figure="time", value=one.seconds, median=statistics.median(seconds))
        for image in one.images:
            sizes = self._sizes[image.id, image.output]
            if image.size is not None and above(image.size, sizes, tolerance):
                middle = statistics.median(sizes)
                yield Regression(figure="size", image=image.id, value=image.size, median=middle)
        rate, rates = _hit_rate(one), self._rates[_ids(one)]
        misses = [1 - other for other in rates]
        # A share of misses is what grows when it gets worse.
        if rate is not None and above(1 - rate, misses, tolerance, share=True):
            yield Regression(figure="hit rate", value=rate, median=statistics.median(rates))


def above(
    value: float, earlier: Collection[float], tolerance: float, *, share: bool = False
) -> bool:
    """Whether *value* is more than earlier ones by the tolerance, and by more than they differ.

    Args:
        value: What is looked at.
        earlier: What it was; of too few nothing is concluded.
        tolerance: A share of their median, or what is added to it where they are shares.
        share: Whether they are.
    """
    if len(earlier) < FEW:
        return False
    middle = statistics.median(earlier)
    allowed = tolerance if share else tolerance * middle
    return value - middle > max(allowed, _DEVIATIONS * deviation(earlier))


def deviation(values: Collection[float]) -> float:
    """By how much *values*, of which there is one at least, differ from their median.

    Of a normal distribution this is its standard deviation, and one odd value moves it little.
    """
    middle = statistics.median(values)
    return 1.4826 * statistics.median(abs(one - middle) for one in values)


def _ids(result: BuildResult) -> tuple[str, ...]:
    return tuple(image.id for image in result.images)


def _hit_rate(result: BuildResult) -> float | None:
    return result.compile_cache.total.hit_rate if result.compile_cache else None


def _size(count: float) -> str:
    return units.format_size(round(count))
