"""A record read back."""

import os
from datetime import UTC, datetime

import pytest

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


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_what_is_no_file_is_not_waited_for(tmp_path, kind):
    source = builds.recorded(tmp_path)
    for path in (source.result, source.plan, source.context, source.events):
        path.unlink(missing_ok=True)
        match kind:
            case "pipe":
                os.mkfifo(path)
            case "device":
                path.symlink_to("/dev/zero")
            case _:
                path.mkdir()
    read = recording.read(source)
    assert (read.result, read.plan, read.context, read.lines) == (None, None, None, ())
    assert len(read.missing) == 4
    assert recording.images_of(source) == ()


def test_an_empty_folder(tmp_path):
    source = builds.recorded(tmp_path)
    source.events.unlink()
    read = recording.read(source)
    assert (read.lines, read.solve.steps) == ((), {})
    assert len(read.missing) == 4


def test_the_name_says_when_it_began():
    assert record.begun(builds.ID) == datetime(2026, 11, 22, 1, 30, 12, tzinfo=UTC)
    assert record.begun("something-else") is None
