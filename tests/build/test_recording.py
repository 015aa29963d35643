"""A record read back."""

from datetime import UTC, datetime

from dynbuild.build import record, recording
from tests.report import builds


def test_a_whole_record(tmp_path):
    read = recording.read(builds.recorded(tmp_path, ended=builds.result()))
    assert read.result.seconds == 20
    assert next(line.text for line in read.lines) == "CC <ucx>.o"
    assert len(read.solve.steps) == 7
    assert [one.partition(":")[0] for one in read.missing] == ["plan.json", "context.json"]


def test_what_is_damaged_is_said_and_the_rest_is_read(tmp_path):
    source = builds.recorded(tmp_path)
    source.result.write_text("{")
    source.plan.write_text('{"schema": 99}')
    source.context.write_text("[" * 100_000)
    read = recording.read(source)
    assert (read.result, read.plan, read.context) == (None, None, None)
    assert len(read.missing) == 3
    assert read.solve.steps


def test_an_empty_folder(tmp_path):
    source = builds.recorded(tmp_path)
    source.events.unlink()
    read = recording.read(source)
    assert (read.lines, read.solve.steps) == ((), {})
    assert len(read.missing) == 4


def test_the_name_says_when_it_began():
    assert record.begun(builds.ID) == datetime(2026, 11, 22, 1, 30, 12, tzinfo=UTC)
    assert record.begun("something-else") is None
