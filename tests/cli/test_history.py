"""``dynbuild history``."""

import json
import re

import pytest

from dynbuild import units
from dynbuild.build import record
from dynbuild.matrix import record as matrix_record
from dynbuild.matrix.result import CellResult, MatrixResult
from tests.report import builds
from tests.support import call

SECONDS = (20.0, 20.0, 20.0, 21.0, 40.0)


@pytest.fixture
def tree(tmp_path):
    for day, seconds in enumerate(SECONDS, 1):
        build_id = f"202611{day:02}T013012-{day}-none-runtime-cpu"
        ended = builds.result(seconds=seconds)
        builds.recorded(record.builds(tmp_path), ended=ended, build_id=build_id)
    return tmp_path


def history(tree, *words, **more):
    return call("history", words[0], "--context", tree, *words[1:], **more)


def test_a_list_marks_what_is_worse(tree):
    lines = history(tree, "list").out.splitlines()
    assert len(lines) == 2 + len(SECONDS) + 1
    assert lines[2].split() == [
        *("2026-11-05", "01:30", "none-runtime-cpu", "done", "40.0", "s", "2+1", "239", "MB"),
        *("abababababab", "time"),
    ]
    assert lines[3].split()[-1] == "abababababab"
    assert lines[-1] == (
        "20261105T013012-5-none-runtime-cpu: time 40.0 s instead of 20.0 s (+100 %)"
    )


@pytest.mark.parametrize("columns", [40, 60, 80])
def test_a_list_fits_a_terminal(tree, columns):
    for line in history(tree, "list", columns=columns).out.splitlines():
        assert len(line) <= columns


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--fail-on-regression",), 1),
        (("--fail-on-regression", "--tolerance", "150"), 0),
        (("--fail-on-regression", "--image", "vllm-*"), 0),
        ((), 0),
    ],
)
def test_a_job_may_fail(tree, words, code):
    done = history(tree, "list", *words)
    assert done.code == code
    assert ("worse than those before" in done.err) == (code == 1)


def test_an_older_regression_fails_no_job(tree):
    build_id = "20261106T013012-6-none-runtime-cpu"
    builds.recorded(record.builds(tree), ended=builds.result(seconds=20.0), build_id=build_id)
    assert history(tree, "list", "--fail-on-regression").code == 0


def test_lists_for_programs(tree):
    read = json.loads(history(tree, "list", "--format", "json", "--limit", "2").out)
    first, second = read["builds"]
    assert first["regressions"] == [{"figure": "time", "image": "", "value": 40.0, "median": 20.0}]
    assert (second["regressions"], second["result"]["seconds"]) == ([], 21.0)


def test_no_builds(tmp_path):
    done = history(tmp_path, "list")
    assert (done.code, done.out) == (0, "")
    assert "no build has a record" in done.err


def test_one_build(tree):
    out = history(tree, "show").out
    assert "worse   time 40.0 s instead of 20.0 s (+100 %)" in out
    assert "digest  sha256:abab" in out
    assert "worse" not in history(tree, "show", "~1").out
    assert json.loads(history(tree, "show", "--format", "json").out)["result"]["status"] == "done"


def test_a_build_without_a_result(tree):
    (record.builds(tree) / "20261105T013012-5-none-runtime-cpu" / "result.json").unlink()
    done = history(tree, "show")
    assert done.code == 2
    assert "dynbuild report" in done.hint


def test_two_builds(tree):
    done = history(tree, "compare")
    assert done.out.splitlines()[2].split() == ["build", "21.0", "s", "40.0", "s", "time"]
    assert "20261104T013012" in done.err
    same = history(tree, "compare", "~3", "~4")
    assert (same.out, "nothing differs" in same.err) == ("", True)
    read = json.loads(history(tree, "compare", "~0", "~4", "--format", "json").out)
    assert read["before"].startswith("20261101")
    assert history(tree, "compare", "~4").code == 2


def ids(tree):
    return sorted(path.name[:8] for path in record.builds(tree).iterdir())


def test_pruning(tree):
    assert history(tree, "prune").code == 2
    dry = history(tree, "prune", "--keep", "2", "--dry-run")
    assert len(dry.out.splitlines()) == 3
    assert len(ids(tree)) == 5
    refused = history(tree, "prune", "--keep", "2")
    assert (refused.code, "--yes" in refused.hint) == (2, True)
    assert history(tree, "prune", "--keep", "2", "--yes").code == 0
    assert ids(tree) == ["20261104", "20261105"]
    assert history(tree, "prune", "--max-size", "1", "--yes").code == 0
    assert ids(tree) == []
    assert history(tree, "prune", "--older-than", "1d").code == 0


# ---- runs of a matrix ---------------------------------------------------------------------

CELLS = tuple(
    CellResult(id=f"none-{target}-cpu", status=status, output="load")
    for target, status in (("runtime", "done"), ("dev", "done"), ("frontend", "failed"))
)


@pytest.fixture
def matrices(tree):
    """A tree with a run that ended, one before it that did, and the one of this very process."""
    of_now = record.new_id("nightly")
    for name, status in (
        ("20261101T000000-1-matrix", "done"),
        ("20261107T000000-2-release", "failed"),
        (of_now, "interrupted"),
    ):
        path = matrix_record.folder(tree) / name
        path.mkdir(parents=True)
        cells = CELLS if status == "failed" else CELLS[:2]
        named = name.rpartition("-")[2].replace("matrix", "")
        ended = MatrixResult(id=name, name=named, status=status, cells=cells, seconds=90.0)
        matrix_record.MatrixRecord(path).write(ended)
    return tree


def runs(tree):
    return sorted(path.name.rpartition("-")[2] for path in matrix_record.folder(tree).iterdir())


def test_runs_of_a_matrix_are_listed_with_their_cells(matrices):
    lines = history(matrices, "list", "--matrices").out.splitlines()
    assert lines[0].split() == [
        *("when", "matrix", "status", "time", "cells", "done", "failed", "id"),
    ]
    rows = [re.split(r" {2,}", line)[1:] for line in lines[2:]]
    time = units.format_time(90)
    assert rows[1] == ["release", "failed", time, "3", "2", "1", "20261107T000000-2-release"]
    assert rows[2] == ["-", "done", time, "2", "2", "0", "20261101T000000-1-matrix"]
    assert rows[0][:2] == ["nightly", "running"]


def test_runs_of_a_matrix_by_their_images(matrices):
    done = history(matrices, "list", "--matrices", "--image", "*-frontend-*", "--format", "json")
    assert [one["id"] for one in json.loads(done.out)["matrices"]] == ["20261107T000000-2-release"]
    assert history(matrices, "list", "--matrices", "--image", "vllm-*").out == ""
    assert history(matrices, "list", "--matrices", "--fail-on-regression").code == 2


def test_one_run_of_a_matrix(matrices):
    said = history(matrices, "show", "20261107T000000").out
    assert "none-frontend-cpu  failed" in said
    assert "2 done, 1 failed" in said
    read = json.loads(history(matrices, "show", "20261107T000000", "--format", "json").out)
    assert read["result"]["name"] == "release"
    assert "none-runtime-cpu" in history(matrices, "show", "~0").out


def test_runs_of_a_matrix_are_pruned_with_the_builds_but_not_the_one_that_runs(matrices):
    dry = history(matrices, "prune", "--keep", "2", "--dry-run")
    assert "20261101T000000-1-matrix" in dry.out
    assert "20261107T000000-2-release" not in dry.out
    assert history(matrices, "prune", "--keep", "0", "--yes").code == 0
    assert ids(matrices) == []
    assert runs(matrices) == ["nightly"]


@pytest.mark.parametrize("words", [("--older-than", "soon"), ("--max-size", "much")])
def test_what_is_no_time_and_no_size(tree, words):
    done = history(tree, "prune", *words)
    assert (done.code, f"flag {words[0]}" in done.err) == (2, True)
