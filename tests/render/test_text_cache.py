import shutil
from dataclasses import replace
from unittest import mock

import pytest

from dynbuild import disk_cache
from dynbuild.errors import TemplateError
from dynbuild.render import dockerfile, text_cache
from dynbuild.render.text_cache import rendered
from tests.support import NONE_CPU, NONE_RUNTIME, TEMPLATES, make_image_job, spawn_python


def looked_up(image, templates, cache):
    """The text, and whether it was rendered for it."""
    text_cache._texts.cache_clear()
    disk_cache.code.cache_clear()
    with mock.patch.object(dockerfile, "render", wraps=dockerfile.render) as rendering:
        text = rendered(image, templates, cache)
    assert text == dockerfile.render(image, templates)
    return rendering.called


@pytest.fixture
def templates(tmp_path):
    return shutil.copytree(TEMPLATES, tmp_path / "templates")


def test_the_same_image_is_rendered_once(tmp_path):
    image = make_image_job(**NONE_CPU)
    cache = tmp_path / "cache"
    assert looked_up(image, TEMPLATES, cache)
    assert not looked_up(make_image_job(**NONE_CPU), TEMPLATES, cache)
    assert (cache / image.plan.dockerfile).stat().st_mode & 0o777 == 0o600
    assert looked_up(make_image_job(**NONE_RUNTIME), TEMPLATES, cache)
    assert not looked_up(image, TEMPLATES, cache)


def test_without_a_folder_nothing_is_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert looked_up(make_image_job(**NONE_CPU), TEMPLATES, None)
    assert list(tmp_path.iterdir()) == []


CHANGES = {
    "value": {"args": {"NIXL_REF": "0.9.1"}},
    "unkeyed": {"args": {"BUILD_JOBS": "7"}},
    "compile cache": {"use_sccache": "local"},
    "wheels": {"dynamo_wheels": "index"},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_another_image_of_the_same_name_is_rendered_anew(tmp_path, change):
    cache = tmp_path / "cache"
    image = make_image_job(**NONE_CPU)
    other = make_image_job(**NONE_CPU, **change)
    other = replace(other, plan=replace(other.plan, dockerfile=image.plan.dockerfile))
    assert looked_up(image, TEMPLATES, cache)
    assert looked_up(other, TEMPLATES, cache)
    assert not looked_up(other, TEMPLATES, cache)


@pytest.mark.parametrize("name", ["ucx.Dockerfile.j2", "_macros.j2"])
def test_another_template_or_macro_renders_anew(templates, tmp_path, name):
    cache = tmp_path / "cache"
    image = make_image_job(**NONE_CPU)
    assert looked_up(image, templates, cache)
    file = templates / name
    file.write_text(file.read_text() + "\n{# seen #}\n")
    assert looked_up(image, templates, cache)


def test_other_code_of_a_checkout_renders_anew(tmp_path, monkeypatch):
    code = tmp_path / "plan"
    code.mkdir()
    (code / "stages.py").write_text("one")
    monkeypatch.setattr(text_cache, "_CODE", (code,))
    image = make_image_job(**NONE_CPU)
    assert looked_up(image, TEMPLATES, tmp_path / "cache")
    assert not looked_up(image, TEMPLATES, tmp_path / "cache")
    (code / "stages.py").write_text("other")
    assert looked_up(image, TEMPLATES, tmp_path / "cache")


def test_a_damaged_text_does_not_count(tmp_path):
    cache = tmp_path / "cache"
    image = make_image_job(**NONE_CPU)
    looked_up(image, TEMPLATES, cache)
    file = cache / image.plan.dockerfile
    file.write_bytes(file.read_bytes()[:-1])
    assert looked_up(image, TEMPLATES, cache)


def test_an_error_of_a_template_is_told_each_time(templates, tmp_path):
    (templates / "ucx.Dockerfile.j2").write_text("{{ nothing }}")
    for _ in range(2):
        with pytest.raises(TemplateError, match="nothing"):
            rendered(make_image_job(**NONE_CPU), templates, tmp_path / "cache")


PROGRAM = """
from pathlib import Path
from dynbuild.render import text_cache
from tests.support import NONE_CPU, TEMPLATES, make_image_job
print(text_cache._made_of(make_image_job(**NONE_CPU), TEMPLATES))
"""


@pytest.mark.processes("python")
def test_the_key_is_the_same_in_another_process():
    keys = {spawn_python(PROGRAM, env={"PYTHONHASHSEED": seed}).out for seed in "12"}
    assert len(keys) == 1
    assert len(keys.pop().strip()) == 64
