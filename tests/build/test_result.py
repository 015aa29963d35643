"""How a build ended: written, read back, and read whatever the file holds."""

import json

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynbuild.build import result
from dynbuild.build.result import (
    BuildResult,
    CacheFigures,
    Failure,
    ImageResult,
    Material,
    StageFigures,
    Steps,
)
from tests.support import ROOT

FAILURE = Failure(
    kind="transient", step="[ucx 2/2] RUN x", message="exit code: 1", lines=("a", "b"), hint="c"
)
DONE = ImageResult(
    id="none-runtime-cpu",
    status="done",
    output="load",
    tags=("a:b",),
    digest="sha256:1",
    size=2**40,
    seconds=1.5,
    steps=Steps(run=1, cached=2, run_instructions=1),
    attempts=2,
)
FAILED = ImageResult(id="x", status="failed", output="push", failure=FAILURE)
FULL = BuildResult(
    id="1-2-x",
    record="/tree/.dynbuild/builds/1-2-x",
    status="failed",
    seconds=3.25,
    steps=Steps(run=3),
    warnings=("w",),
    images=(DONE, FAILED),
    materials=(Material(uri="pkg:docker/debian@trixie", digest="sha256:2"),),
    compile_cache=CacheFigures(kind="s3", bucket="b", total=StageFigures(hits=1, hit_rate=1.0)),
    failure=FAILURE,
)
OLD = {
    "schema": 1,
    "id": "x",
    "status": "done",
    "seconds": 1.2,
    "steps": {"run": 1, "cached": 2, "run_instructions": 1},
    "compile_cache": {"kind": "s3", "stages": {}, "total": {"hit_rate": 0.5, "hits": 1}},
    "warnings": ["w"],
    "images": [
        {"name": "a", "tags": ["a:1"], "digest": "sha256:1", "size": 5},
        {"name": "b", "tags": ["b:1"], "digest": "sha256:2", "size": None},
        {"name": "c", "tags": [], "digest": "", "size": None},
    ],
}


def test_what_is_written_is_read_back():
    assert result.parse(json.dumps(FULL.document())) == FULL


def test_the_document_fits_the_committed_schema():
    schema = json.loads((ROOT / "docs" / "result.schema.json").read_text())
    validator = jsonschema.Draft202012Validator(schema)
    validator.validate(FULL.document())
    validator.validate(BuildResult(id="x", status="done").document())
    assert [*validator.iter_errors({"schema": 2, "id": 3, "status": "good"})] != []


def test_the_schema_says_every_type():
    def untyped(node, path="$"):
        if isinstance(node, dict):
            if path.endswith(".properties"):
                for name, value in node.items():
                    if not {"type", "anyOf", "$ref", "enum", "const", "allOf"} & value.keys():
                        yield f"{path}.{name}"
            for key, value in node.items():
                yield from untyped(value, f"{path}.{key}")

    assert list(untyped(result.schema())) == []


def test_a_result_of_an_older_dynbuild_is_read():
    read = result.parse(json.dumps(OLD))
    assert (read.format, read.status, read.seconds, read.steps.run) == (2, "done", 1.2, 1)
    assert [(one.id, one.output, one.size) for one in read.images] == [
        ("a", "load", 5), ("b", "push", None), ("c", "none", None),
    ]  # fmt: skip
    assert {one.status for one in read.images} == {"done"}
    assert read.compile_cache.total.hit_rate == 0.5
    assert result.parse(json.dumps({**OLD, "status": "interrupted"})).status == "interrupted"


def test_fields_of_a_newer_dynbuild_are_passed_over():
    assert result.parse(json.dumps(FULL.document() | {"colour": "red"})) == FULL


TEXT = json.dumps(FULL.document()).encode()


@pytest.mark.parametrize("cut", range(len(TEXT)))
def test_a_result_that_is_cut_off_is_refused(cut):
    with pytest.raises(ValueError, match="EOF"):
        result.parse(TEXT[:cut])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda below: (
        st.lists(below, max_size=3)
        | st.dictionaries(st.sampled_from([*FULL.document(), "name", "x"]), below, max_size=4)
    ),
    max_leaves=8,
)
NEARLY = st.fixed_dictionaries(
    {},
    optional={
        name: JSON | st.just(value)
        for name, value in (*FULL.document().items(), ("schema", 1), ("images", OLD["images"]))
    },
)


@given(JSON | NEARLY)
def test_no_json_breaks_the_reader(value):
    try:
        read = result.parse(json.dumps(value))
    except ValueError:
        return
    assert result.parse(json.dumps(read.document())) == read


@given(st.binary(max_size=40))
def test_no_bytes_break_the_reader(data):
    with pytest.raises(ValueError, match=r"."):
        result.parse(data)
