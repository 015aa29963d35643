"""Splitting a matrix over machines by the work its cells share.  Pure.

Cells with many steps in common belong together: apart, each machine runs those steps.  What counts
is the weight of the *distinct* steps of a shard, not the number of its cells.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace

from dynbuild.errors import RequestError
from dynbuild.matrix import groups
from dynbuild.plan.job import Job
from dynbuild.render import graph

Shard = tuple[str, ...]

_BALANCE = 1.24
"""Times the mean that a shard may weigh before balance counts for more than sharing."""
_PENALTY = 4.0
_LEAST = 0.2
"""Seconds that any step costs, were it only to begin and to end it."""


def parse(text: str, *, origin: str) -> tuple[int, int]:
    """Which shard of how many: ``2/3``.

    Raises:
        RequestError: It has not that form.
    """
    number, slash, count = text.partition("/")
    if slash and _is_number(number) and _is_number(count) and 1 <= int(number) <= int(count):
        return int(number), int(count)
    raise RequestError(
        f"'{text}' is no shard", origin=origin, hint="the second of three is written 2/3"
    )


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 4


def split(
    cells: Mapping[str, frozenset[str]], weights: Mapping[str, float], count: int
) -> tuple[Shard, ...]:
    """*count* shards of *cells*; the same input gives the same shards.

    Args:
        cells: By name, the keys of the steps that each has.
        weights: What each step costs, by its key; a step that is not in it costs 1.
        count: How many; some are empty where there are fewer cells.
    """
    # The heaviest first, each to where it costs least: then single cells change their place,
    # or two of them places, for as long as that makes it better.
    plan = _Plan(cells, weights, count)
    for name in sorted(cells, key=lambda one: (-plan.weight(cells[one]), one)):
        plan.put(name, min(range(count), key=lambda shard: (plan.cost_with(name, shard), shard)))
    while plan.improve():
        pass
    return tuple(tuple(name for name in cells if plan.place[name] == i) for i in range(count))


def of_job(
    job: Job,
    texts: Mapping[str, str],
    seconds: Mapping[tuple[str, int], float],
    number: int,
    count: int,
) -> Job:
    """The shard *number*, from 1, of *count* of a job; linked images stay together.

    Args:
        job: All of the images.
        texts: Their Dockerfiles, by name.
        seconds: What steps took before, by stage and number; the others are taken to be like them.
        number: Which.
        count: Of how many.

    Raises:
        RequestError: There are fewer groups of images than shards, and none is left for this one.
    """
    parts = {str(n): part for n, part in enumerate(groups.split(job))}
    cells: dict[str, frozenset[str]] = {}
    weights: dict[str, float] = {}
    usual = statistics.median(seconds.values()) if seconds else _LEAST
    for name, part in parts.items():
        made = [graph.of(image.plan, texts[image.name]) for image in part.images]
        runs = {key: step for one in made for key, step in one.steps.items() if step.is_run}
        for key, one in runs.items():
            weights[key] = max(seconds.get((one.stage, one.index), usual), _LEAST)
        cells[name] = frozenset(runs)
    chosen = split(cells, weights, count)[number - 1]
    if not chosen:
        raise RequestError(
            f"the shard {number}/{count} has no image: there are {len(parts)} to share",
            origin="flag --shard",
            hint="ask for fewer shards",
        )
    left = groups.of_images(job, [image for name in chosen for image in parts[name].images])
    plan = left.plan.model_copy(update={"before": job.plan.before, "warnings": job.plan.warnings})
    return replace(left, plan=plan, wheels=job.wheels)


class _Plan:
    """Where each cell is, and what that costs."""

    def __init__(
        self, cells: Mapping[str, frozenset[str]], weights: Mapping[str, float], count: int
    ) -> None:
        self._cells, self._weights, self._count = cells, weights, count
        self._total = self.weight(frozenset().union(*cells.values())) or 1.0
        self.place: dict[str, int] = {}

    def weight(self, keys: frozenset[str]) -> float:
        return sum(self._weights.get(key, 1.0) for key in keys)

    def put(self, name: str, shard: int) -> None:
        self.place[name] = shard

    def cost_with(self, name: str, shard: int) -> float:
        return self._cost({**self.place, name: shard})

    def improve(self) -> bool:
        """Make the best single change that there is; whether there was one."""
        best, least = None, self._cost(self.place) - 1e-9
        for change in self._changes():
            cost = self._cost({**self.place, **change})
            if cost < least:
                best, least = change, cost
        if best is None:
            return False
        self.place |= best
        return True

    def _changes(self) -> Sequence[dict[str, int]]:
        names = list(self.place)
        moves = [
            {name: shard}
            for name in names
            for shard in range(self._count)
            if shard != self.place[name]
        ]
        swaps = [
            {one: self.place[other], other: self.place[one]}
            for number, one in enumerate(names)
            for other in names[:number]
            if self.place[one] != self.place[other]
        ]
        return [*moves, *swaps]

    def _cost(self, place: Mapping[str, int]) -> float:
        shards: list[set[str]] = [set() for _ in range(self._count)]
        for name, shard in place.items():
            shards[shard] |= self._cells[name]
        loads = [self.weight(frozenset(keys)) for keys in shards]
        uneven = max(loads) / (sum(loads) / self._count or 1.0)
        # Of two that share alike, the one that ends sooner.
        return sum(loads) / self._total + _PENALTY * max(0.0, uneven - _BALANCE) + uneven / 100
