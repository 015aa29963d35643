"""The records of a tree as a whole."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dynbuild.build import archive, record
from dynbuild.build.archive import Entry
from dynbuild.build.record import Record
from dynbuild.errors import RequestError
from tests.report import builds

IDS = (
    "20261120T100000-1-none-runtime-cpu",
    "20261121T100000-2-none-dev-cpu",
    "20261122T100000-3-none-runtime-cpu",
)


@pytest.fixture
def tree(tmp_path):
    for name in IDS:
        one = builds.recorded(record.builds(tmp_path), ended=builds.result(), build_id=name)
        one.write_json(one.plan, {"images": [{"name": name.split("-", 2)[2]}]})
    (record.builds(tmp_path) / "latest").symlink_to(IDS[-1])
    return tmp_path


def test_the_newest_is_first(tree):
    assert [one.id for one in archive.records(tree)] == list(reversed(IDS))


@pytest.mark.parametrize(
    ("named", "chosen"),
    [
        (None, 2),
        ("latest", 2),
        ("~0", 2),
        ("~1", 1),
        ("latest~2", 0),
        (IDS[0], 0),
        ("20261121", 1),
        ("none-dev-cpu", 1),
        ("none-runtime-cpu", 2),
    ],
)
def test_which_one_is_meant(tree, named, chosen):
    assert archive.choose(tree, named).id == IDS[chosen]


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ("2026112", "beginning of 3 builds"),
        ("~3", "before the first of 3"),
        ("20261121T100000-2-none-dev-cpx", f"did you mean {IDS[1]}"),
        ("../../etc", "no build is called"),
        ("zzz", "history list"),
    ],
)
def test_none_is_meant(tree, named, words):
    with pytest.raises(RequestError) as caught:
        archive.choose(tree, named)
    assert words in f"{caught.value.message} {caught.value.hint}"


def test_a_tree_without_records(tmp_path):
    assert archive.records(tmp_path) == []
    with pytest.raises(RequestError, match="has a record"):
        archive.choose(tmp_path, None)


def test_what_records_take(tree):
    entries = list(archive.entries(tree))
    assert [one.finished for one in entries] == [True] * 3
    assert all(one.bytes > 4000 for one in entries)
    assert entries[0].begun.day == 22


NOW = datetime(2026, 11, 25, tzinfo=UTC)


def entry(day, *, finished=True, size=100, **more):
    begun = datetime(2026, 11, day, tzinfo=UTC)
    source = Record(Path(f"/builds/202611{day:02}T000000-1-x"))
    return Entry(record=source, begun=begun, finished=finished, bytes=size, **more)


def days(gone):
    return [one.begun.day for one in gone]


KEPT = [entry(24), entry(20), entry(10), entry(1)]


@pytest.mark.parametrize(
    ("asked", "gone"),
    [
        ({"keep": 1}, [20, 10, 1]),
        ({"keep": 9}, []),
        ({"older": timedelta(days=10)}, [10, 1]),
        ({"older": timedelta(days=10), "keep": 3}, [1]),
        ({"most": 250}, [10, 1]),
        ({"most": 400}, []),
        ({"most": 0, "keep": 2}, [10, 1]),
        ({"most": 0, "older": timedelta(days=20)}, [1]),
    ],
)
def test_which_records_may_go(asked, gone):
    assert days(archive.outdated(KEPT, now=NOW, **asked)) == gone


def test_a_build_that_may_still_run_stays():
    kept = [entry(24, finished=False), entry(20, finished=False)]
    now = datetime(2026, 11, 24, 12, tzinfo=UTC)
    assert days(archive.outdated(kept, now=now)) == [20]


def test_what_runs_stays_however_old_it_is():
    kept = [entry(20, finished=False, running=True), entry(10, finished=False)]
    assert days(archive.outdated(kept, now=NOW)) == [10]


def test_so_many_of_each_kind_stay():
    kept = [entry(24), entry(20, kind="matrix"), entry(10, kind="matrix"), entry(1)]
    assert days(archive.outdated(kept, now=NOW, keep=1)) == [10, 1]
    assert days(archive.outdated(kept, now=NOW, keep=1, most=300)) == [1]
    assert days(archive.outdated(kept, now=NOW, most=150)) == [20, 10, 1]


def test_removing_the_last_one_takes_the_link_along(tree):
    entries = list(archive.entries(tree))
    archive.remove(entries[1:])
    assert [one.id for one in archive.records(tree)] == [IDS[2]]
    assert (record.builds(tree) / "latest").exists()
    archive.remove(entries[:1])
    assert list(record.builds(tree).iterdir()) == []


def test_the_last_build_of_images(tree):
    there = archive.records(tree)
    assert archive.last_of(there, ["none-dev-cpu", "other"]).id == IDS[1]
    assert archive.last_of(there, ["none-runtime-cpu"]).id == IDS[2]
    there[0].plan.write_text("[")
    assert archive.last_of(there, ["none-runtime-cpu"]).id == IDS[0]
    assert archive.last_of(there, ["other"]) is None


def test_the_build_before(tree):
    newest = archive.choose(tree, None)
    assert archive.before(tree, newest).id == IDS[0]
    assert archive.before(tree, archive.choose(tree, IDS[1])).id == IDS[0]
    with pytest.raises(RequestError, match="is the first build"):
        archive.before(tree, archive.choose(tree, IDS[0]))
