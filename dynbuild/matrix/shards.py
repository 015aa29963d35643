"""Splitting a matrix over machines by the work its cells share.  Pure.

Cells with many steps in common belong together: apart, each machine runs those steps.  What counts
is the weight of the *distinct* steps of a shard, not the number of its cells.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations

from dynbuild.errors import RequestError
from dynbuild.matrix import groups
from dynbuild.plan.job import Job
from dynbuild.render import graph

Shard = tuple[str, ...]

_BALANCE = 1.24
"""Times the mean that a shard may weigh before balance counts for more than sharing."""
_PENALTY = 4.0
_BETTER = 1e-9
_PER_SECOND = 10**6
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
    names = sorted(cells)
    plan = _Plan([cells[name] for name in names], weights, count)
    plan.settle()
    where = dict(zip(names, plan.place, strict=True))
    return tuple(tuple(name for name in cells if where[name] == i) for i in range(count))


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
    plan = replace(left.plan, before=job.plan.before, warnings=job.plan.warnings)
    return replace(left, plan=plan, wheels=job.wheels)


class _Plan:
    """Where each cell is, and what that costs.

    Cells are numbers, and so are blocks: all steps that the very same cells have.  Times are whole
    microseconds, whose sum is the same in whatever order they are added.

    Attributes:
        place: The shard of each cell.
    """

    def __init__(
        self, cells: Sequence[frozenset[str]], weights: Mapping[str, float], count: int
    ) -> None:
        owners: dict[str, list[int]] = {}
        for cell, keys in enumerate(cells):
            for key in keys:
                owners.setdefault(key, []).append(cell)
        blocks: dict[tuple[int, ...], int] = {}
        for key, having in owners.items():
            own = round(weights.get(key, 1.0) * _PER_SECOND)
            blocks[tuple(having)] = blocks.get(tuple(having), 0) + own
        ordered = sorted(blocks)
        self._weights = [blocks[those] for those in ordered]
        self._blocks: list[set[int]] = [set() for _ in cells]
        for block, those in enumerate(ordered):
            for cell in those:
                self._blocks[cell].add(block)
        self._total = sum(self._weights) or 1
        self._loads = [0] * count
        # Of each block, how many cells of a shard have it.
        self._counts = [[0] * len(ordered) for _ in range(count)]
        self.place = [-1] * len(cells)

    def settle(self) -> None:
        """Place the cells.

        The heaviest first, each to where it costs least: then single cells change their place, and
        where none does any more two of them places, for as long as that makes it better.
        """
        heaviest = sorted(
            range(len(self.place)), key=lambda cell: (-self._weight(self._blocks[cell]), cell)
        )
        for cell in heaviest:
            self._put(cell, self._best(cell))
        while self._move() or self._swap():
            pass

    def _move(self) -> bool:
        """Bring each cell to where it costs least; whether any changed its place."""
        moved = False
        for cell, before in enumerate(self.place):
            cost = self._cost({})
            self._take(cell)
            best = self._best(cell)
            better = self._cost({best: self._added(cell, best)}) < cost - _BETTER
            self._put(cell, best if better else before)
            moved = moved or better
        return moved

    def _swap(self) -> bool:
        """Let two cells change places wherever that is better; whether any did."""
        swapped = False
        alone = [self._alone(cell) for cell in range(len(self.place))]
        for one, other in combinations(range(len(self.place)), 2):
            here, there = self.place[one], self.place[other]
            if here == there:
                continue
            # What both have stays in a shard where only the one had it.
            left = self._weight(alone[one] - self._blocks[other])
            right = self._weight(alone[other] - self._blocks[one])
            change = {
                here: self._added(other, here) - left,
                there: self._added(one, there) - right,
            }
            if self._cost(change) < self._cost({}) - _BETTER:
                for cell, shard in ((one, there), (other, here)):
                    self._take(cell)
                    self._put(cell, shard)
                swapped, alone = True, [self._alone(cell) for cell in range(len(self.place))]
        return swapped

    def _best(self, cell: int) -> int:
        """The shard where a cell that is nowhere costs least."""
        return min(
            range(len(self._loads)),
            key=lambda shard: (self._cost({shard: self._added(cell, shard)}), shard),
        )

    def _weight(self, blocks: Iterable[int]) -> int:
        return sum(self._weights[block] for block in blocks)

    def _added(self, cell: int, shard: int) -> int:
        """What a shard weighs more with a cell than without it."""
        counts, weights = self._counts[shard], self._weights
        return sum(weights[block] for block in self._blocks[cell] if not counts[block])

    def _alone(self, cell: int) -> set[int]:
        """The blocks that no other cell of its shard has."""
        counts = self._counts[self.place[cell]]
        return {block for block in self._blocks[cell] if counts[block] == 1}

    def _put(self, cell: int, shard: int) -> None:
        self._loads[shard] += self._added(cell, shard)
        self.place[cell] = shard
        for block in self._blocks[cell]:
            self._counts[shard][block] += 1

    def _take(self, cell: int) -> None:
        shard = self.place[cell]
        for block in self._blocks[cell]:
            self._counts[shard][block] -= 1
        self._loads[shard] -= self._added(cell, shard)

    def _cost(self, change: Mapping[int, int]) -> float:
        """What the shards cost, were the loads of some of them changed by so much."""
        loads = [load + change.get(shard, 0) for shard, load in enumerate(self._loads)]
        total = sum(loads)
        uneven = max(loads) * len(loads) / (total or 1)
        # Of two that share alike, the one that ends sooner.
        return total / self._total + _PENALTY * max(0.0, uneven - _BALANCE) + uneven / 100
