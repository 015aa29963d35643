import os
from pathlib import Path
from unittest import mock

import jinja2
import pytest

from dynbuild import disk_cache
from dynbuild.render.compiled import Compiled


@pytest.fixture
def templates(tmp_path):
    folder = tmp_path / "templates"
    folder.mkdir()
    (folder / "x").write_text("one {{ name }}")
    return folder


def shown(templates, cache, name="a"):
    """The text of the template, and how often something was compiled for it."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates), bytecode_cache=Compiled(cache)
    )
    with mock.patch.object(environment, "compile", wraps=environment.compile) as compiling:
        text = environment.get_template("x").render(name=name)
    return text, compiling.call_count


def test_a_template_is_compiled_once(templates, tmp_path):
    cache = tmp_path / "deep" / "cache"
    assert shown(templates, cache) == ("one a", 1)
    assert shown(templates, cache, "b") == ("one b", 0)
    assert cache.stat().st_mode & 0o777 == 0o700
    assert [path.stat().st_mode & 0o777 for path in cache.iterdir()] == [0o600]


def test_another_text_is_compiled_anew(templates, tmp_path):
    shown(templates, tmp_path / "cache")
    (templates / "x").write_text("two {{ name }}")
    assert shown(templates, tmp_path / "cache") == ("two a", 1)
    assert shown(templates, tmp_path / "cache") == ("two a", 0)


def test_the_code_of_another_version_does_not_count(templates, tmp_path, monkeypatch):
    shown(templates, tmp_path / "cache")
    monkeypatch.setattr(disk_cache, "_MADE_BY", "dynbuild 99")
    assert shown(templates, tmp_path / "cache") == ("one a", 1)


@pytest.mark.parametrize("at", [0, 10, 150, 250, -1])
@pytest.mark.parametrize("how", ["cut", "changed"])
def test_a_damaged_file_does_not_count(templates, tmp_path, at, how):
    cache = tmp_path / "cache"
    shown(templates, cache)
    (path,) = cache.iterdir()
    whole = path.read_bytes()
    path.write_bytes(
        whole[:at] + (b"" if how == "cut" else bytes([whole[at] ^ 1]) + whole[at:][1:])
    )
    assert shown(templates, cache)[0] == "one a"
    assert path.read_bytes() == whole


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_a_folder_that_others_write_is_not_read(templates, tmp_path, mode):
    cache = tmp_path / "cache"
    shown(templates, cache)
    cache.chmod(mode)
    assert shown(templates, cache) == ("one a", 1)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_somebody_else_is_not_read(templates, tmp_path):
    cache = tmp_path / "cache"
    shown(templates, cache)
    os.chown(cache, 12345, 12345)
    assert shown(templates, cache) == ("one a", 1)


@pytest.mark.parametrize("cache", ["/proc/none/cache", "/dev/null", "/dev/null/x"])
def test_without_a_folder_templates_are_compiled_all_the_same(templates, cache):
    assert shown(templates, Path(cache)) == ("one a", 1)
    assert shown(templates, Path(cache)) == ("one a", 1)


def test_a_link_is_no_folder_of_ours(templates, tmp_path):
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "cache").symlink_to(tmp_path / "real")
    assert shown(templates, tmp_path / "cache") == ("one a", 1)
    assert list((tmp_path / "real").iterdir()) == []
