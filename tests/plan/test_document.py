"""The plan as a document: it says its types, and what is printed can be read again."""

import json
from dataclasses import replace

import pytest
from pydantic import ValidationError

from dynbuild.plan import document
from dynbuild.plan.document import PlanDocument
from tests import cells as matrix
from tests.support import NONE_CPU, make_plan


@pytest.mark.parametrize("line", matrix.LINES)
def test_every_plan_is_read_back_as_it_was(line):
    """Each cell of the line, in every variant."""
    seen = 0
    for cell in matrix.cells():
        if cell.line != line:
            continue
        made = make_plan(**cell.asked)
        printed = json.loads(json.dumps(made.document()))
        read = PlanDocument.parse(json.dumps(printed).encode())
        assert read == made, str(cell)
        assert read.document() == printed, str(cell)
        assert [str(image.id) for image in read.images] == [image.name for image in read.images]
        seen += 1
    assert seen > (60 if line == "1.6" else 100)


def test_a_plan_with_commands_and_remote_places_is_read_back():
    made = make_plan(framework="none", target="frontend", device="cpu", build_epp=True)
    place = document.Place(stage="base", kind="image", address="debian:trixie", covered_by="")
    made = replace(made, remote=(place,))
    assert made.before
    assert PlanDocument.parse(json.dumps(made.document()).encode()) == made


def _without_type(schema, path=()):
    """Where a schema allows anything."""
    if not isinstance(schema, dict):
        return
    for key in ("properties", "$defs"):
        for name, below in schema.get(key, {}).items():
            yield from _without_type(below, (*path, name))
    for key in ("items", "additionalProperties"):
        yield from _without_type(schema.get(key), (*path, key))
    if not {"type", "$ref", "anyOf", "enum", "const"} & set(schema):
        yield path


def test_the_schema_says_every_type():
    assert list(_without_type(document.schema())) == []


def test_origins_are_printed_and_in_parts():
    (image,) = make_plan(**NONE_CPU, args={"BUILD_JOBS": "4"}).document()["images"]
    assert image["origins"]["BUILD_JOBS"] == "flag --build-arg BUILD_JOBS"
    assert image["set_by"]["BUILD_JOBS"] == {
        "layer": "flag", "source": "--build-arg BUILD_JOBS", "line": None, "mirror": "",
    }  # fmt: skip
    by = image["set_by"]["BASE_IMAGE"]
    assert image["origins"]["BASE_IMAGE"] == f"{by['layer']} {by['source']}:{by['line']}"


def test_values_that_are_unkeyed_are_in_the_document_with_their_origins():
    (image,) = make_plan(**NONE_CPU, args={"BUILD_JOBS": "4"}).document()["images"]
    assert image["unkeyed_args"] == ["BUILD_JOBS", "CARGO_BUILD_JOBS"]
    assert image["build_args"]["BUILD_JOBS"] == "4"
    assert image["used_by"]["BUILD_JOBS"] == ["ucx", "nixl"]


def test_without_them_two_plans_are_the_same():
    plans = [make_plan(**NONE_CPU, args={"BUILD_JOBS": jobs}).images[0] for jobs in ("4", "5")]
    assert plans[0] != plans[1]
    assert plans[0].keyed == plans[1].keyed
    assert not {"BUILD_JOBS", "CARGO_BUILD_JOBS"} & set(plans[0].keyed.build_args)
    other = make_plan(**NONE_CPU, args={"NIXL_REF": "9"}).images[0]
    assert other.keyed != plans[0].keyed


def test_a_document_of_before_has_none():
    printed = make_plan(**NONE_CPU).document()
    del printed["images"][0]["unkeyed_args"]
    (image,) = PlanDocument.parse(json.dumps(printed).encode()).images
    assert image.keyed_args == image.build_args
    assert image.handed_args == {}


def test_a_document_that_contradicts_itself_is_refused():
    printed = make_plan(**NONE_CPU).document()
    printed["images"][0]["origins"]["BASE_IMAGE"] = "flag --base-image"
    with pytest.raises(ValidationError, match="origins and set_by"):
        PlanDocument.parse(json.dumps(printed).encode())
