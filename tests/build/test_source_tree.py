"""What of a source tree is read: nothing that leads out of it, nothing without an end."""

import os

import pytest

from dynbuild.build.source_tree import SourceTree


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "tree").mkdir()
    return SourceTree(tmp_path / "tree")


def test_a_file_and_the_line_of_a_word(tree):
    (tree.root / "a.toml").write_text('[one]\nkey = "word"\n')
    assert tree.toml("a.toml") == {"one": {"key": "word"}}
    assert tree.place("a.toml", "word") == "a.toml:2"
    assert tree.place("a.toml", "another") == "a.toml"


def test_what_is_none_is_empty(tree, tmp_path):
    (tmp_path / "secret.toml").write_text("key = 1\n")
    (tree.root / "out.toml").symlink_to("../secret.toml")
    (tree.root / "large.toml").write_text(f"key = 1\n{'#' * (1 << 20)}\n")
    (tree.root / "bytes.toml").write_bytes(b"key = '\xff'\n")
    (tree.root / "damaged.toml").write_text("key = \n")
    os.mkfifo(tree.root / "pipe.toml")
    for name in (
        "pipe.toml",
        "out.toml",
        "large.toml",
        "bytes.toml",
        "damaged.toml",
        "missing.toml",
    ):
        assert tree.toml(name) == {}, name
    assert not tree.holds("out.toml")
    assert tree.holds("missing.toml")


def test_a_file_is_read_once(tree):
    (tree.root / "a").write_text("before")
    assert tree.text("a") == "before"
    (tree.root / "a").write_text("after")
    assert tree.text("a") == "before"
