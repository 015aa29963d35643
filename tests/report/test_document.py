"""The report of a build as data."""

import json

import pytest

from dynbuild.build import recording
from dynbuild.build.result import CacheFigures, Failure, StageFigures
from dynbuild.report import document
from tests.report import builds
from tests.support import NONE_CPU, make_plan


def report(tmp_path, earlier=(), lines=builds.LINES, ended=None):
    source = builds.recorded(tmp_path, lines=lines, ended=ended)
    return document.of(recording.read(source), earlier)


def test_steps_are_grouped_by_their_stage(tmp_path):
    made = report(tmp_path, ended=builds.result())
    assert [(group.name, group.run, group.cached) for group in made.groups] == [
        ("preparation", 0, 0),
        ("ucx", 1, 1),
        ("nixl", 1, 0),
        ("stage-2", 1, 0),
        ("export", 0, 0),
    ]
    assert [step.title for step in made.steps][3] == "RUN make -j2"
    assert made.steps[3].lines == 2


def test_steps_of_a_stage_that_overlap_have_lanes(tmp_path):
    lines = (
        builds.vertex("a", "[linux/amd64 x 1/1] RUN a", 0, 3),
        builds.vertex("b", "[linux/arm64 x 1/1] RUN a", 0, 3),
        builds.vertex("c", "[linux/arm64 x 1/1] RUN b", 1, 2),
    )
    made = report(tmp_path, lines=lines)
    assert [group.name for group in made.groups][1:3] == ["x linux/amd64", "x linux/arm64"]
    assert {step.digest: step.lane for step in made.steps} == {"a": 0, "b": 0, "c": 1}
    assert [group.lanes for group in made.groups] == [0, 1, 2, 0]


def test_the_path_is_the_time_of_the_build(tmp_path):
    made = report(tmp_path, ended=builds.result())
    assert sum(part.seconds for part in made.path) == pytest.approx(made.seconds) == 20
    assert (made.work, made.waited) == (17, 3)


def test_earlier_builds_count_if_they_did_the_same_work(tmp_path):
    same, other = builds.result(seconds=22), builds.result(seconds=1, status="failed")
    made = report(tmp_path, (same, other, same), ended=builds.result())
    assert made.earlier == (22, 22)


def test_the_plan_gives_arguments_with_their_origins(tmp_path):
    source = builds.recorded(tmp_path, ended=builds.result())
    source.write_json(source.plan, make_plan(**NONE_CPU).document())
    (image,) = document.of(recording.read(source)).images
    by_name = {one.name: one for one in image.arguments}
    assert by_name["BASE_IMAGE"].origin.startswith("catalog")
    assert image.result.size == 239_000_000


def test_a_compile_cache_belongs_to_its_stage(tmp_path):
    figures = CacheFigures(kind="local", stages={"ucx": StageFigures(requests=4, hit_rate=0.5)})
    made = report(tmp_path, ended=builds.result(compile_cache=figures))
    assert [group.cache.requests for group in made.groups if group.cache] == [4]


def test_a_build_that_failed_keeps_the_last_lines(tmp_path):
    lines = (
        builds.printed("x", "", 0),
        builds.vertex("x", "[ucx 1/1] RUN false", 0, None),
        builds.printed("x", "one\ntwo\n", 1),
        builds.vertex("x", "[ucx 1/1] RUN false", 0, 2, error="exit code: 1"),
    )
    why = Failure(kind="user", message="exit code: 1")
    made = report(tmp_path, lines=lines, ended=builds.result(status="failed", failure=why))
    assert made.steps[0].tail == ("one", "two")
    assert made.status == "failed"


@pytest.mark.parametrize("lines", [(), builds.LINES, ("{\n", "[]\n", "null\n")])
def test_what_never_ended_is_a_report_too(tmp_path, lines):
    made = report(tmp_path, lines=lines)
    assert made.status == "unfinished"
    assert made.missing


def test_json_is_json(tmp_path):
    figures = CacheFigures(kind="local", stages={"ucx": StageFigures(requests=4)})
    source = builds.recorded(tmp_path, ended=builds.result(compile_cache=figures))
    source.write_json(source.plan, make_plan(**NONE_CPU).document())
    read = json.loads(json.dumps(document.as_json(document.of(recording.read(source)))))
    assert read["schema"] == 1
    assert read["result"]["compile_cache"]["stages"]["ucx"]["requests"] == 4
    assert read["images"][0]["plan"]["framework"] == "none"
    assert len(read["steps"]) == 7
