"""The quick decorator means what the library's means: each class is made by both."""

import copy
import dataclasses
import itertools
import pickle
import re
from dataclasses import field
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynbuild.quick import dataclass as quick
from dynbuild.quick import regex


def shapes(dataclass):
    """Classes of all the shapes that are used."""

    @dataclass(frozen=True, slots=True)
    class Point:
        """Two numbers."""

        x: int
        y: int = 2
        names: list[str] = field(default_factory=list, compare=False, repr=False)

        @property
        def sum(self):
            """What they come to."""
            return self.x + self.y

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Named:
        name: str
        size: int = 0
        made: tuple[str, ...] = field(default=(), init=True)

        def __post_init__(self):
            if self.size < 0:
                raise ValueError("too small")

    @dataclass(frozen=True, slots=True)
    class Deep(Point):
        """One more."""

        z: int = 3

        def __str__(self):
            return f"<{self.z}>"

    return Point, Named, Deep


OURS, THEIRS = shapes(quick), shapes(dataclasses.dataclass)
CALLS = st.tuples(
    st.lists(st.integers(-2, 2), max_size=4),
    st.dictionaries(
        st.sampled_from(["x", "y", "z", "name", "size", "names", "odd"]), st.integers(-2, 2)
    ),
)


def outcome(function):
    """What a call gives, or the kind of its error."""
    try:
        return function()
    except (TypeError, ValueError) as error:
        return type(error)


@pytest.mark.parametrize(("ours", "theirs"), list(zip(OURS, THEIRS, strict=True)))
@given(one=CALLS, other=CALLS)
def test_objects_are_made_alike_and_compare_alike(ours, theirs, one, other):
    made = [
        [outcome(lambda: cls(*words, **named)) for words, named in (one, other)]  # noqa: B023
        for cls in (ours, theirs)
    ]
    for mine, their in zip(*made, strict=True):
        assert isinstance(mine, type) == isinstance(their, type)
        if isinstance(mine, type):
            assert mine == their
            continue
        assert dataclasses.asdict(mine) == dataclasses.asdict(their)
        assert (repr(mine), str(mine)) == (repr(their), str(their))
        assert copy.copy(mine) == mine
        assert dataclasses.replace(mine) == mine
    assert (made[0][0] == made[0][1]) == (made[1][0] == made[1][1])
    if not any(isinstance(one, type) for one in made[0]):
        same = hash(made[0][0]) == hash(made[0][1])
        assert same == (hash(made[1][0]) == hash(made[1][1]))


@pytest.mark.parametrize("cls", OURS)
def test_objects_are_frozen_and_have_slots(cls):
    made = cls(name="x") if cls is OURS[1] else cls(1)
    first = dataclasses.fields(made)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(made, first, 3)
    with pytest.raises(dataclasses.FrozenInstanceError):
        delattr(made, first)
    assert not hasattr(made, "__dict__")
    assert made.__match_args__ == THEIRS[OURS.index(cls)].__match_args__


@quick(frozen=True, slots=True)
class Kept:
    """A class that a pickle finds."""

    x: int


@quick(frozen=True, slots=True, order=True)
class Version:
    """A class whose objects have an order."""

    major: int
    minor: int


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2))
def test_an_order_is_that_of_the_fields(numbers):
    made = [Version(*pair) for pair in numbers]
    assert [(one.major, one.minor) for one in sorted(made)] == sorted(numbers)
    for (one, first), (other, second) in itertools.pairwise(zip(made, numbers, strict=True)):
        assert (one < other, one <= other) == (first < second, first <= second)
        assert (one > other, one >= other) == (first > second, first >= second)


def test_objects_without_an_order_have_none():
    with pytest.raises(TypeError):
        Kept(1) < Kept(2)  # noqa: B015
    with pytest.raises(TypeError):
        Version(1, 2) < (1, 3)  # noqa: B015


def test_objects_go_through_a_pickle_and_a_set():
    assert pickle.loads(pickle.dumps(Kept(1))) == Kept(1)
    assert {Kept(1), Kept(1), Kept(2)} == {Kept(2), Kept(1)}
    assert Kept(1) != (1,)
    match Kept(5):
        case Kept(x):
            assert x == 5


def test_a_regex_is_compiled_when_it_is_used():
    with mock.patch.object(re, "compile", wraps=re.compile) as compiling:
        made = regex(r"(\d+) (x)", re.IGNORECASE)
        assert not compiling.called
        assert made.fullmatch("12 X")[1] == "12"
        assert made.sub("-", "1 x, 2 x") == "-, -"
        assert [found.span() for found in made.finditer("1 x")] == [(0, 3)]
        assert made.pattern == r"(\d+) (x)"
    assert compiling.call_count == 1
