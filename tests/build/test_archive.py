"""The records of a tree as a whole."""

import pytest

from dynbuild.build import archive, record
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
        builds.recorded(record.builds(tmp_path), ended=builds.result(), build_id=name)
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
