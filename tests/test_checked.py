"""Dataclasses that pydantic checks: what it refuses, and what it makes of the rest."""

import json
from dataclasses import field
from typing import Annotated, ClassVar

import pytest
from pydantic import ValidationError

from dynbuild.checked import Check, Document, Least, adapter, described, plain
from dynbuild.quick import dataclass


def upper(text):
    if not text.isupper():
        raise ValueError("it must be in capitals")
    return text


Upper = Annotated[str, Check(upper)]
Texts = Annotated[list[str], Check(lambda it: [it] if isinstance(it, str) else it, "before")]


@dataclass(frozen=True, kw_only=True)
class Inner(Document):
    name: Upper
    size: int = described("in bytes", default=0, ge=0)
    words: Texts = field(default_factory=list)

    def _problem(self):
        return "too many words" if len(self.words) > self.size > 0 else ""


@dataclass(frozen=True, kw_only=True)
class Strict(Document):
    __pydantic_config__: ClassVar = {"strict": True, "extra": "forbid"}

    one: Inner
    more: dict[str, Inner] = field(default_factory=dict)
    two: tuple[str, ...] = ()


def read(values, model=Strict):
    return adapter(model).validate_python(values)


def problems(values, model=Strict):
    with pytest.raises(ValidationError) as info:
        read(values, model)
    return {
        ".".join(map(str, one["loc"])): one["msg"].removeprefix("Value error, ")
        for one in info.value.errors()
    }


def test_tables_stand_for_objects():
    made = read({"one": {"name": "A"}, "more": {"x": {"name": "B", "size": 3, "words": "w"}}})
    assert made == Strict(one=Inner(name="A"), more={"x": Inner(name="B", size=3, words=["w"])})


def test_an_unknown_key_is_refused():
    unknown = "Unexpected keyword argument"
    assert problems({"one": {"name": "A", "a": 1}, "b": 2}) == {"one.a": unknown, "b": unknown}


def test_a_field_is_checked():
    found = problems({"one": {"name": "a", "size": -1}})
    assert found["one.name"] == "it must be in capitals"
    assert "greater than or equal to 0" in found["one.size"]


def test_values_that_do_not_fit_each_other_are_told_of_the_whole():
    assert problems({"one": {"name": "A", "size": 1, "words": ["x", "y"]}}) == {
        "one": "too many words"
    }


def test_types_are_strict_where_a_class_says_so():
    assert problems({"one": {"name": "A"}, "two": "x"})
    assert list(problems({"one": {"name": "A"}, "two": ["x"]})) == ["two"]
    assert read({"name": "A", "size": "1"}, Inner).size == 1


def test_what_is_made_here_is_not_checked():
    assert Inner(name="a", size=-1).name == "a"


def test_a_field_says_what_it_means():
    schema = adapter(Inner).json_schema()
    assert schema["properties"]["size"]["description"] == "in bytes"
    assert schema["required"] == ["name"]
    assert schema["additionalProperties"] is False


def test_as_json_has_it():
    made = Strict(one=Inner(name="A", words=["w"]), more={"x": Inner(name="B")}, two=("p", "q"))
    document = plain(made)
    assert json.loads(json.dumps(document)) == document
    assert document["two"] == ["p", "q"]
    assert read({**document, "two": tuple(document["two"])}) == made


@dataclass(frozen=True, kw_only=True)
class Renamed(Document):
    __pydantic_config__: ClassVar = {"extra": "ignore", "populate_by_name": True}

    format: int = field(default=2, metadata={"alias": "schema"})
    size: Annotated[int, Least(0)] = 0

    @classmethod
    def _current(cls, data):
        return {**data, "size": data["bytes"]} if "bytes" in data else data


def test_what_was_written_before_is_read():
    assert read({"schema": 1, "bytes": 3, "more": 1}, Renamed) == Renamed(format=1, size=3)


def test_a_field_of_another_name_in_the_document():
    assert plain(Renamed()) == {"schema": 2, "size": 0}
    assert read({"format": 3}, Renamed).format == 3


def test_the_least_of_a_number():
    assert "greater than or equal to 0" in problems({"size": -1}, Renamed)["size"]
    assert adapter(Renamed).json_schema()["properties"]["size"]["minimum"] == 0
