"""The records of matrices."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynbuild.build import archive
from dynbuild.build import record as build_record
from dynbuild.build.result import Failure
from dynbuild.errors import RequestError
from dynbuild.matrix import record, result
from dynbuild.matrix.result import CellResult, MatrixResult
from tests.report import builds
from tests.report.builds import ID
from tests.support import NONE_CPU, ROOT, make_job

CELL = CellResult(id="none-runtime-cpu", status="done", output="load", build="b", digest="sha256:1")


@pytest.fixture
def plan(tmp_path):
    return make_job(**NONE_CPU, context=tmp_path).plan


def ended(**more):
    return MatrixResult(**{"id": "x", "status": "done", "cells": (CELL,), **more})


def test_what_is_written_is_read(plan, tmp_path):
    one = record.create(plan, "release")
    one.write(ended())
    assert record.find(tmp_path, "") == record.find(tmp_path, one.id) == one
    said, back = record.plan_of(one), record.result_of(one)
    assert said == plan
    assert back == replace(ended(), id=one.id, record=str(one.path))
    assert "release" in one.id
    assert one.path.parent == record.folder(tmp_path)
    assert (one.path.stat().st_mode & 0o777, one.result.stat().st_mode & 0o777) == (0o700, 0o600)
    assert (tmp_path / ".dynbuild" / ".gitignore").read_text() == "*\n"


def test_the_last_one_is_the_newest_with_a_result(plan, tmp_path, monkeypatch):
    ids = iter(("20260101T000000-1-a", "20260102T000000-1-a", "20260103T000000-1-a"))
    monkeypatch.setattr("dynbuild.build.record.new_id", lambda _: next(ids))
    first, second, _ = (record.create(plan, "") for _ in range(3))
    first.write(ended())
    second.write(ended())
    assert record.find(tmp_path, "") == second
    assert [one.id for one in record.every(tmp_path)] == [second.id, first.id]


def test_a_result_is_parsed_once_while_it_stays_as_it_is(plan, monkeypatch):
    asked = []
    parse = result.parse
    monkeypatch.setattr(result, "parse", lambda text: asked.append(text) or parse(text))
    one = record.create(plan, "")
    one.write(ended(status="interrupted"))
    assert {record.result_of(one).status for _ in range(3)} == {"interrupted"}
    assert len(asked) == 1
    one.write(ended())
    assert record.result_of(one).status == "done"


def test_a_run_is_named_by_its_id_or_the_beginning_of_it(plan, tmp_path, monkeypatch):
    ids = iter(("20260101T000000-1-a", "20260101T000000-1-ab"))
    monkeypatch.setattr("dynbuild.build.record.new_id", lambda _: next(ids))
    first, second = (record.create(plan, "") for _ in range(2))
    assert record.named(tmp_path, first.id) == first
    assert record.named(tmp_path, second.id) == second
    assert record.named(tmp_path, "20260101") is None
    assert record.named(tmp_path, "x") is None
    assert first.builds == tmp_path / ".dynbuild" / "builds"


def test_all_records_of_a_tree_and_which_may_go(plan, tmp_path):
    running, over = record.create(plan, "running"), record.create(plan, "over")
    running.write(ended(status="interrupted"))
    over.write(ended())
    builds.recorded(build_record.builds(tmp_path), ended=builds.result(), build_id=ID)
    found = record.entries(tmp_path)
    assert [one.record.id for one in found] == sorted((running.id, over.id, ID), reverse=True), (
        "the newest first, whatever it is of"
    )
    kinds = {one.record.id: (one.kind, one.finished, one.running) for one in found}
    assert kinds == {
        running.id: ("matrix", False, True),
        over.id: ("matrix", True, False),
        ID: ("build", True, False),
    }
    later = datetime.now(UTC) + timedelta(days=30)
    gone = archive.outdated(found, now=later)
    assert {one.record.id for one in gone} == {over.id, ID}, "its process runs"
    assert archive.outdated(found, now=later, keep=2) == []


def test_no_record_is_an_error_that_says_where(tmp_path):
    with pytest.raises(RequestError, match="no matrix was run") as caught:
        record.find(tmp_path, "")
    assert str(tmp_path) in caught.value.origin
    with pytest.raises(RequestError, match="no run 'x'"):
        record.find(tmp_path, "x")


@pytest.mark.parametrize("damage", ["", "{", "[]", "{}", '{"schema": 9}'])
@pytest.mark.parametrize("which", ["plan", "result"])
def test_a_damaged_record_is_told(plan, which, damage):
    one = record.create(plan, "")
    one.write(ended())
    getattr(one, which).write_text(damage)
    with pytest.raises(RequestError, match="cannot be read") as caught:
        (record.plan_of if which == "plan" else record.result_of)(one)
    assert "\n" not in caught.value.message


def test_a_cell_has_all_that_an_image_of_a_build_has():
    why = Failure(kind="user", step="s", message="m", lines=("a",))
    one = replace(CELL, failure=why, status="failed", attempts=3)
    text = json.dumps(ended(cells=(one,)).document())
    (cell,) = result.parse(text).cells
    assert cell == one


@given(st.binary(max_size=60))
def test_what_is_no_result_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        result.parse(text)


def test_the_schema_is_of_what_is_printed():
    schema = result.schema()
    assert set(schema["properties"]) == set(ended().document())
    assert schema == json.loads((ROOT / "docs" / "matrix.schema.json").read_text())
