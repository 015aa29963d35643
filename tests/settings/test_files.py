"""One settings file as a layer, and what is kept of it on the disk."""

from unittest import mock

import pytest

from dynbuild.settings import files
from tests.support import TEMPLATES


@pytest.mark.parametrize(
    "path",
    [TEMPLATES / "catalog.toml", *(TEMPLATES / "lines").glob("*.toml")],
    ids=lambda p: p.name,
)
def test_what_is_kept_of_a_file_is_what_is_in_it(path, tmp_path):
    fresh = files.read(path, "catalog")
    files.read(path, "catalog", tmp_path / "cache")
    files._parsed.cache_clear()
    with mock.patch.object(files, "_rows") as parse:
        assert files.read(path, "catalog", tmp_path / "cache") == fresh
    assert not parse.called


def test_what_is_kept_is_of_the_very_text(tmp_path, overlay):
    for text in ("a = 1", "a = 2", 'a = "two"'):
        path = overlay(text)
        fresh = files.read(path, "overlay")
        assert files.read(path, "overlay", tmp_path / "cache") == fresh


def test_a_damaged_file_is_made_anew(tmp_path, overlay):
    path = overlay("a = 1")
    first = files.read(path, "overlay", tmp_path / "cache")
    (kept,) = (tmp_path / "cache").iterdir()
    whole = kept.read_bytes()
    for damaged in (b"", whole[:-3], whole.replace(b"1", b"2")):
        kept.write_bytes(damaged)
        files._parsed.cache_clear()
        assert files.read(path, "overlay", tmp_path / "cache") == first
        assert kept.read_bytes() == whole


def test_a_date_is_not_kept(tmp_path, overlay):
    path = overlay("a = 2020-01-01")
    first = files.read(path, "overlay", tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*"))
    assert files.read(path, "overlay") == first
