import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dynbuild.build import record, result
from dynbuild.build.record import Journal, Record
from dynbuild.build.result import BuildResult
from dynbuild.errors import NotReady

ID = "20260102T030405-7-none-runtime-cpu"


def ended(status="done"):
    return BuildResult(id="any", status=status)


@pytest.fixture
def dead_pid():
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_the_files_of_a_record(tmp_path):
    made = Record(tmp_path / ID)
    assert made.id == ID
    names = {made.log, made.events, made.metadata, made.bake, made.result}
    assert {path.name for path in names} == {
        "log",
        "events.jsonl",
        "metadata.json",
        "bake.json",
        "result.json",
    }
    assert made.dockerfile("none-runtime-cpu", only=True).name == "Dockerfile"
    assert made.dockerfile("none-runtime-cpu", only=False).name == "none-runtime-cpu.Dockerfile"


def test_an_id_sorts_by_time_and_says_whose_it_is():
    made = record.new_id("none-runtime-cpu")
    time, pid, name = made.split("-", 2)
    assert record.RecordId.parse(made).of == "none-runtime-cpu"
    assert (len(time), time[8]) == (15, "T")
    assert (int(pid), name) == (os.getpid(), "none-runtime-cpu")
    assert made < record.new_id("x").replace(time, "99991231T235959")


def test_two_builds_of_a_second_have_two_records(tmp_path):
    made = [record.create(tmp_path, ID).id for _ in range(3)]
    assert made == sorted(set(made))
    assert made[0] == ID
    names = [record.RecordId.parse(one) for one in made]
    assert names == [names[0]] * 3, "of the same image, and of the same process"


def test_a_record_does_not_show_up_in_its_tree(tmp_path):
    made = record.create(tmp_path, ID)
    assert made.path == tmp_path / ".dynbuild" / "builds" / ID
    assert made.path.is_dir()
    assert (tmp_path / ".dynbuild" / ".gitignore").read_text() == "*\n"


@pytest.mark.parametrize("link", [".dynbuild", ".dynbuild/builds", ".dynbuild/hashes.json"])
@pytest.mark.parametrize("there", [True, False])
def test_a_link_of_the_tree_is_not_followed_out_of_it(tmp_path, link, *, there):
    tree, outside = tmp_path / "tree", tmp_path / "outside"
    (tree / link).parent.mkdir(parents=True)
    (tree / link).symlink_to(outside)
    if there:
        (outside / "20200101T000000-1-x").mkdir(parents=True)
    with pytest.raises(NotReady, match="where a link leads"):
        record.hashes(tree) if link.endswith(".json") else record.create(tree, "a-1-x")
    if there:
        assert [path.name for path in outside.iterdir()] == ["20200101T000000-1-x"]
    else:
        assert not outside.exists()


def test_links_below_the_records_are_not_followed(tmp_path):
    outside = tmp_path / "outside"
    tree = tmp_path / "tree"
    (tree / ".dynbuild").mkdir(parents=True)
    (tree / ".dynbuild/.gitignore").symlink_to(outside)
    made = record.create(tree, "a-1-x")
    (made.path / ".report.html.part").symlink_to(outside)
    with pytest.raises(OSError, match="symbolic links"):
        made.write(made.page, "page")
    made.page.symlink_to(outside)
    made.write(made.page, "page")
    assert made.page.read_text() == "page"
    assert not outside.exists()


def test_a_file_is_whole(tmp_path):
    made = record.create(tmp_path, ID)
    made.write(made.log, "text \u2713\n")
    made.write_json(made.bake, {"a": "\u00e4"})
    assert made.log.read_text(encoding="utf-8") == "text \u2713\n"
    assert json.loads(made.bake.read_text(encoding="utf-8")) == {"a": "\u00e4"}
    assert sorted(path.name for path in made.path.iterdir()) == ["bake.json", "log"]


def test_the_latest_record_is_the_one_begun_last(tmp_path):
    first, made = (record.create(tmp_path, f"{number}-{os.getpid()}-x") for number in ("1", "2"))
    for one in (first, made):
        one.announce()
    first.finish(ended())
    latest = record.builds(tmp_path) / "latest"
    assert latest.is_symlink()
    assert latest.resolve() == made.path
    assert not list(record.builds(tmp_path).glob(".*"))


def test_finished_records_come_newest_first(tmp_path):
    for number, status in (("1", "done"), ("3", "failed"), ("2", "done")):
        record.create(tmp_path, f"{number}-{os.getpid()}-x").finish(ended(status))
    record.create(tmp_path, f"4-{os.getpid()}-x")
    found = [(result.id[0], result.status) for result in record.finished(tmp_path)]
    assert found == [("3", "failed"), ("2", "done"), ("1", "done")]


def test_a_result_knows_its_record(tmp_path):
    made = record.create(tmp_path, ID)
    made.finish(ended())
    (result,) = record.finished(tmp_path)
    assert (result.id, result.record) == (ID, str(made.path))
    assert record.read(made) == result


def test_a_result_is_parsed_once_while_it_stays_as_it_is(tmp_path, monkeypatch):
    asked = []
    parse = result.parse
    monkeypatch.setattr(result, "parse", lambda text: asked.append(text) or parse(text))
    made = record.create(tmp_path, ID)
    made.finish(ended())
    assert [one.status for _ in range(3) for one in record.finished(tmp_path)] == ["done"] * 3
    assert len(asked) == 1
    made.finish(ended("failed"))
    assert record.read(made).status == "failed"


ODD = [
    b"", b"\xff{", b"{", b"null", b"3", b"[]", b'"x"', b"{}", b"[" * 3000, b'{"a":' * 3000,
    b'{"schema": 1, "id": "x", "status": 3}', b'{"schema": 9, "id": "x", "status": "done"}',
    b'{"schema": 2, "id": "x", "status": "done", "images": {"a": 1}}',
    b'{"schema": 2, "id": "x", "status": "done", "seconds": ' + b"9" * 5000 + b".5e999}",
    b'{"schema": 2, "id": "x", "status": "done", "steps": {"run": ' + b"9" * 5000 + b"}}",
    b'{"schema": 2, "id": "x", "status": "done", "seconds": NaN}',
    '{"schema": 2, "id": "x", "status": "done"}'.encode("utf-16"),
]  # fmt: skip


@pytest.mark.parametrize("text", ODD, ids=range(len(ODD)))
def test_a_damaged_result_is_passed_over_and_told_of_where_it_is_asked_for(tmp_path, text):
    made = record.create(tmp_path, f"1-{os.getpid()}-x")
    made.result.write_bytes(text)
    assert list(record.finished(tmp_path)) == []
    with pytest.raises(ValueError, match=r"."):
        record.read(made)


def test_a_result_that_is_no_file_is_passed_over(tmp_path):
    for number, make in enumerate((Path.mkdir, os.mkfifo)):
        make(record.create(tmp_path, f"{number}-{os.getpid()}-x").result)
    (record.builds(tmp_path) / "notes").touch()
    assert list(record.finished(tmp_path)) == []
    with pytest.raises(OSError, match="No such file"):
        record.read(record.create(tmp_path, ID))


def test_a_journal_grows_and_a_failure_ends_it_alone(tmp_path):
    path = tmp_path / "log"
    with Journal(path) as journal:
        journal.write("one \u2713\n")
        journal.write("")
        assert path.read_text() == "one \u2713\n", "what is told is on the disk"
        journal.write("two\n")
    assert journal.error is None
    assert path.read_text() == "one \u2713\ntwo\n"
    with Journal(tmp_path / "no" / "log") as journal:
        journal.write("lost")
    assert isinstance(journal.error, FileNotFoundError)
    with Journal(Path("/dev/full")) as journal:
        journal.write("lost")
        journal.write("lost too")
    assert journal.error.strerror == "No space left on device"


def test_no_records(tmp_path):
    assert list(record.finished(tmp_path)) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.processes("python")
def test_what_a_killed_build_left_is_removed(tmp_path, dead_pid):
    left = record.create(tmp_path, f"20260101T000000-{dead_pid}-x").path
    (left / "log").touch()
    record.create(tmp_path, ID)
    assert left.exists(), "it may be another machine's, on a shared folder"
    long_ago = time.time() - 2 * 24 * 3600
    os.utime(left, (long_ago, long_ago))
    record.create(tmp_path, ID + "-2")
    assert not left.exists()


@pytest.mark.processes("python")
def test_what_is_somebodys_is_kept(tmp_path, dead_pid):
    done = record.create(tmp_path, f"20260101T000000-{dead_pid}-x")
    done.finish(ended("failed"))
    running = record.create(tmp_path, f"2-{os.getpid()}-x").path
    other = record.builds(tmp_path) / "notes"
    other.mkdir()
    record.create(tmp_path, ID)
    assert done.path.is_dir()
    assert running.is_dir()
    assert other.is_dir()


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / ".dynbuild").touch()
    with pytest.raises(NotReady, match="the build record cannot be written below") as caught:
        record.create(tmp_path, ID)
    assert str(tmp_path) in caught.value.message
    assert "--context" in caught.value.hint


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o777])
def test_a_record_is_its_owners_alone_whatever_the_umask(tmp_path, umask):
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / ".dynbuild").mkdir()
    before = os.umask(umask)
    try:
        made = record.create(tree, ID)
        made.write(made.bake, "{}")
        with Journal(made.log) as log:
            log.write("line")
        made.finish(ended())
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (made.path, *made.path.iterdir())}
    assert modes == {ID: 0o700, "bake.json": 0o600, "log": 0o600, "result.json": 0o600}
    assert made.path.parent.stat().st_mode & 0o777 == 0o700
