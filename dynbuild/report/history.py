"""Builds beside each other: what each took, and where one is worse than those before it.  Pure.

A build is compared with the median of the last ones of the same images that were done.  Times
are compared between builds that ran as many steps: one from the cache says nothing of another
that is not.
"""

from __future__ import annotations

import fnmatch
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from dynbuild import units
from dynbuild.build.record import begun
from dynbuild.build.result import BuildResult, ImageResult

LAST = 10
TOLERANCE = 0.1
_FEW = 3
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
    return [
        Past(
            result=one,
            begun=begun(one.id),
            regressions=tuple(_worse(one, chosen[at + 1 :], last, tolerance)),
        )
        for at, one in enumerate(chosen)
    ]


def _worse(
    one: BuildResult, earlier: Sequence[BuildResult], last: int, tolerance: float
) -> Iterable[Regression]:
    if one.status != "done":
        return
    ids = [image.id for image in one.images]
    alike = [other for other in earlier if _ids(other) == ids and other.status == "done"]
    seconds = [other.seconds for other in alike if other.steps.run == one.steps.run][:last]
    if above(one.seconds, seconds, tolerance):
        yield Regression(figure="time", value=one.seconds, median=statistics.median(seconds))
    for image in one.images:
        sizes = list(_sizes(image, earlier))[:last]
        if image.size is not None and above(image.size, sizes, tolerance):
            middle = statistics.median(sizes)
            yield Regression(figure="size", image=image.id, value=image.size, median=middle)
    rates = [rate for other in alike if (rate := _hit_rate(other)) is not None][:last]
    rate = _hit_rate(one)
    # A share of misses is what grows when it gets worse.
    if rate is not None and above(1 - rate, [1 - other for other in rates], tolerance, share=True):
        yield Regression(figure="hit rate", value=rate, median=statistics.median(rates))


def above(value: float, earlier: Sequence[float], tolerance: float, *, share: bool = False) -> bool:
    """Whether *value* is more than earlier ones by the tolerance, and by more than they differ.

    Args:
        value: What is looked at.
        earlier: What it was; of too few nothing is concluded.
        tolerance: A share of their median, or what is added to it where they are shares.
        share: Whether they are.
    """
    if len(earlier) < _FEW:
        return False
    middle = statistics.median(earlier)
    spread = 1.4826 * statistics.median(abs(one - middle) for one in earlier)
    allowed = tolerance if share else tolerance * middle
    return value - middle > max(allowed, _DEVIATIONS * spread)


def _ids(result: BuildResult) -> list[str]:
    return [image.id for image in result.images]


def _sizes(image: ImageResult, earlier: Iterable[BuildResult]) -> Iterable[float]:
    for other in earlier:
        for each in other.images:
            same = each.id == image.id and each.output == image.output
            if same and each.size is not None and each.status == "done":
                yield each.size


def _hit_rate(result: BuildResult) -> float | None:
    return result.compile_cache.total.hit_rate if result.compile_cache else None


def _size(count: float) -> str:
    return units.format_size(round(count))
