"""A record that is read while it is written."""

import os

from dynbuild.build import record
from dynbuild.build.events import LogLine, RecordBegun, Retried, StepEnded, StepStarted
from dynbuild.build.follow import Follower, is_written
from dynbuild.build.record import Record
from tests.report.builds import ID, printed, vertex


def kinds(follower):
    return [type(event) for _, event in follower.events()]


def test_each_line_is_told_once_and_when_it_is_whole(tmp_path):
    one = Record(tmp_path / ID)
    one.path.mkdir()
    follower = Follower(one)
    assert kinds(follower) == [RecordBegun]
    line = vertex("a", "[ucx 1/1] RUN make", 5, None)
    one.events.write_text(line[:20])
    assert kinds(follower) == []
    one.events.write_text(line + printed("a", "CC\n", 6))
    assert kinds(follower) == [StepStarted, LogLine]
    with one.events.open("a") as file:
        file.write(vertex("a", "[ucx 1/1] RUN make", 5, 9))
    ((now, event),) = follower.events()
    assert isinstance(event, StepEnded)
    assert now == follower.begun + 4
    assert kinds(follower) == []


def test_a_try_that_is_made_again_has_a_new_file(tmp_path):
    one = Record(tmp_path / ID)
    one.path.mkdir()
    one.events.write_text(vertex("a", "[ucx 1/1] RUN make", 5, None))
    follower = Follower(one)
    assert kinds(follower) == [RecordBegun, StepStarted]
    one.events.rename(one.path / "events-1.jsonl")
    one.events.write_text(vertex("a", "[ucx 1/1] RUN make", 20, None))
    assert kinds(follower) == [Retried, StepStarted]


def test_the_process_that_writes():
    assert is_written(record.new_id("none-runtime-cpu"))
    # The number was given to another process since.
    assert not is_written(f"20201122T013012-{os.getpid()}-none-runtime-cpu")
    assert not is_written("20261122T013012-999999999-none-runtime-cpu")
    assert not is_written("something-else")
