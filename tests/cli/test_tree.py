import json
import os
import sys

import pytest

from dynbuild.build.inputs import SOURCE_TREE
from dynbuild.cli import tree
from dynbuild.errors import RequestError
from tests.support import call, repository, source_tree, spawn

pytestmark = pytest.mark.processes("git", "python")

SETTINGS = '[args]\nNIXL_REF = "9.9"\n'


def made(folder, marker):
    """A tree with *marker*, and the folder deep in it that somebody stands in."""
    if marker == "sources":
        source_tree(folder)
    elif marker == "settings":
        folder.mkdir()
        (folder / "dynbuild.toml").write_text(SETTINGS)
    elif marker == "records":
        (folder / ".dynbuild/builds").mkdir(parents=True)
    deep = folder / "lib/deep/er"
    deep.mkdir(parents=True)
    return deep


@pytest.mark.parametrize("marker", ["sources", "settings", "records"])
def test_a_tree_is_found_from_any_folder_in_it(tmp_path, monkeypatch, capsys, marker):
    deep = made(tmp_path / "tree", marker)
    monkeypatch.chdir(deep)
    assert tree.context(None) == tmp_path / "tree"
    assert str(tmp_path / "tree") in capsys.readouterr().err
    monkeypatch.chdir(tmp_path / "tree")
    assert tree.context(None) == tmp_path / "tree"
    assert capsys.readouterr().err == ""


def test_what_marks_a_tree_is_part_of_what_a_build_needs():
    assert set(tree._SOURCES) <= set(SOURCE_TREE)


def test_the_nearest_tree_counts(tmp_path, monkeypatch):
    deep = made(tmp_path / "tree", "sources")
    (deep / "dynbuild.toml").write_text(SETTINGS)
    monkeypatch.chdir(deep)
    assert tree.context(None) == deep


def test_no_tree_is_looked_for_outside_the_repository(tmp_path, monkeypatch, capsys):
    deep = made(tmp_path / "tree", "settings")
    repository(deep.parent)
    monkeypatch.chdir(deep)
    assert tree.context(None) == deep
    assert capsys.readouterr().err == ""


def test_a_context_that_is_given_is_taken_as_it_is(tmp_path, monkeypatch, capsys):
    deep = made(tmp_path / "tree", "settings")
    monkeypatch.chdir(deep)
    assert tree.context(".") == deep
    assert tree.context("..") == deep.parent
    assert capsys.readouterr().err == ""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
def test_settings_that_somebody_else_left_in_a_folder_for_everybody(tmp_path, monkeypatch):
    deep = made(tmp_path / "tree", "settings")
    os.chown(tmp_path / "tree/dynbuild.toml", 12345, 12345)
    monkeypatch.chdir(deep)
    assert tree.context(None) == deep
    # Whose folder it is that somebody works in may say.
    os.chown(deep, 12345, 12345)
    assert tree.context(None) == tmp_path / "tree"


def test_a_folder_that_is_gone(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    for given in (None, ".", "x"):
        with pytest.raises(RequestError, match="does not exist any more"):
            tree.context(given)


def test_a_command_in_a_subfolder(tmp_path):
    deep = made(tmp_path / "tree", "settings")
    words = ("plan", "--framework", "none", "--target", "runtime", "--format", "json")
    result = call(*words, "--dynamo-wheels", "index", cwd=deep)
    assert result.code == 0, result.err
    plan = json.loads(result.out)
    assert plan["context"] == str(tmp_path / "tree")
    assert plan["images"][0]["build_args"]["NIXL_REF"] == "9.9"
    assert f"the source tree is {tmp_path / 'tree'}" in result.err
    assert call("-q", *words, "--dynamo-wheels", "index", cwd=deep).err == ""


@pytest.mark.parametrize("command", ["plan", "doctor", "env"])
def test_a_command_in_a_folder_that_is_gone(tmp_path, command):
    (tmp_path / "gone").mkdir()
    script = (
        "import os, sys; os.chdir(sys.argv[1]); os.rmdir(sys.argv[1]); "
        "sys.argv = ['dynbuild', sys.argv[2]]; from dynbuild.cli import main; main()"
    )
    result = spawn(str(tmp_path / "gone"), command, program=(sys.executable, "-c", script))
    assert result.code == 2
    assert result.err.startswith("error: the current folder does not exist any more\n")
    assert "Traceback" not in result.err
