"""What steps took in earlier builds of a tree."""

from dynbuild.build import record, step_times
from tests.support import ROOT

RECORDED = ROOT / "tests" / "data" / "events" / "linked.jsonl"


def test_the_median_of_the_builds_that_ran_a_step(tmp_path):
    assert step_times.of(tmp_path) == {}
    one = record.create(tmp_path, record.new_id("a"))
    one.write(one.events, RECORDED.read_text())
    first = step_times.of(tmp_path)
    assert first["common", 2] > 1.0
    two = record.create(tmp_path, record.new_id("b"))
    two.write(two.events, "no event\n{\n")
    assert step_times.of(tmp_path) == first
