"""Shards of a matrix: by the work that cells share."""

import functools
import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynbuild.errors import RequestError
from dynbuild.matrix import shards
from dynbuild.render import graph
from dynbuild.render.dockerfile import render
from tests.cells import cells
from tests.support import TEMPLATES, make_job

CELLS = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=3),
    st.frozensets(st.sampled_from("0123456789"), max_size=6),
    min_size=1,
    max_size=8,
)


@given(CELLS, st.integers(1, 5), st.dictionaries(st.sampled_from("0123456789"), st.floats(0, 9)))
def test_every_cell_is_in_one_shard_and_the_same_input_gives_the_same(many, count, weights):
    made = shards.split(many, weights, count)
    assert sorted(name for shard in made for name in shard) == sorted(many)
    assert len(made) == count
    assert shards.split(dict(sorted(many.items())), weights, count) == tuple(
        tuple(sorted(shard)) for shard in made
    ), "the order in which cells are given is of no effect"


@given(
    st.lists(st.frozensets(st.integers(0, 40), max_size=20), min_size=2, max_size=12),
    st.integers(2, 5),
    st.integers(0, 2**32),
)
def test_neither_the_order_of_cells_nor_that_of_steps_is_of_any_effect(many, count, seed):
    chance = random.Random(seed)
    names = [f"c{number}" for number in range(len(many))]
    made = set()
    for _ in range(3):
        # Where a step comes in a set, and so in a sum, is decided by its name.
        keys = [f"{chance.random()}" for _ in range(41)]
        cells = {
            name: frozenset(keys[key] for key in own) for name, own in zip(names, many, strict=True)
        }
        weights = {key: number / 10 for number, key in enumerate(keys)}
        order = chance.sample(names, len(names))
        split = shards.split({name: cells[name] for name in order}, weights, count)
        made.add(tuple(map(frozenset, split)))
    assert len(made) == 1


@pytest.mark.parametrize("count", [4, 12])
def test_a_large_matrix_is_split_in_less_than_a_second(count):
    chance = random.Random(7)
    many = {
        f"c{number}": frozenset(
            f"{layer}-{number % width}-{step}"
            for layer, width in enumerate((1, 3, 7, 40, 166))
            for step in range(chance.randrange(1, 8))
        )
        for number in range(166)
    }
    begun = time.process_time()
    made = shards.split(many, {}, count)
    assert time.process_time() - begun < 1
    loads = [len(frozenset().union(*(many[name] for name in shard))) for shard in made]
    assert max(loads) <= 1.25 * sum(loads) / count


def test_cells_that_share_their_work_go_together():
    left, right = frozenset(map(str, range(20))), frozenset("abcdefghijklmnopqrst")
    many = {"a1": left, "b1": right, "a2": left | {"x"}, "b2": right | {"y"}}
    assert set(shards.split(many, {}, 2)) == {("a1", "a2"), ("b1", "b2")}


def test_what_a_step_costs_counts_and_not_how_many_there_are():
    many = {"long": frozenset({"l"}), **{f"s{i}": frozenset({f"s{i}"}) for i in range(6)}}
    made = shards.split(many, {"l": 6.0}, 2)
    assert ("long",) in made


@pytest.mark.parametrize(
    "text", ["", "1", "0/2", "3/2", "1/0", "a/b", "-1/2", "1/2/3", "1 /2", "²/2", "1/99999"]
)
def test_what_is_no_shard(text):
    with pytest.raises(RequestError, match="no shard") as caught:
        shards.parse(text, origin="flag --shard")
    assert caught.value.origin == "flag --shard"


def test_a_shard_is_read():
    assert shards.parse("2/3", origin="") == (2, 3)


@functools.cache
def runtimes():
    """The RUN steps of each runtime image of the catalog's own line."""
    chosen = [
        cell
        for cell in cells()
        if (cell.line, cell.target, cell.variant) == ("0.9.0", "runtime", "default")
    ]
    steps = {}
    for cell in chosen:
        (image,) = make_job(**cell.asked).images
        made = graph.of(image.plan, render(image, TEMPLATES))
        steps[image.name] = frozenset(key for key, step in made.steps.items() if step.is_run)
    return steps


def loads(made):
    return [len(frozenset().union(*(runtimes()[name] for name in shard))) for shard in made]


@pytest.mark.parametrize("count", [2, 3, 4])
def test_the_runtime_images_are_split_with_little_done_twice(count):
    distinct = len(frozenset().union(*runtimes().values()))
    made = loads(shards.split(runtimes(), {}, count))
    assert sum(made) <= 1.15 * distinct
    assert max(made) <= 1.25 * sum(made) / count


@pytest.mark.parametrize("count", [2, 3, 4, 5, 6])
def test_no_split_by_count_is_better(count):
    made = loads(shards.split(runtimes(), {}, count))
    names = list(runtimes())
    flat = loads([names[start::count] for start in range(count)])
    assert sum(made) <= sum(flat)
    assert max(made) <= max(flat)
