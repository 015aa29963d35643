"""A new release line, written from a tree."""

from __future__ import annotations

import pytest

from dynbuild.build import line_file, pins
from dynbuild.errors import RequestError
from dynbuild.settings import files
from dynbuild.settings import load as settings
from tests.support import TEMPLATES, load

OWN = TEMPLATES / "lines" / "1.5.toml"


def composed(*found, requirements=(), frameworks=(), unused=()):
    said = pins.TreePins(
        version="1.7.0",
        pins=tuple(pins.Pin(tuple(path.split("/")), value, place) for path, value, place in found),
        unused=tuple(unused),
        requirements=frozenset(requirements),
        frameworks=frozenset(frameworks),
        members=(),
    )
    config = load(release_line="1.5")
    return line_file.compose("1.7", "1.5", config, files.read(OWN, "catalog"), said)


def loaded(tmp_path, text):
    (tmp_path / "lines").mkdir()
    (tmp_path / "lines" / "1.7.toml").write_text(text, encoding="utf-8")
    return load(env={"DYNBUILD_HOME": str(tmp_path)}, release_line="1.7").catalog


def test_each_value_has_its_source_and_the_file_is_a_line(tmp_path):
    text = composed(
        ("args/NATS_VERSION", "v2.99.0", "container/context.yaml:46"),
        ("frameworks/vllm/devices/cuda/cuda/13.0/RUNTIME_IMAGE_TAG", "v0.30.0", "c.yaml:9"),
        requirements=["requirements.vllm.txt"],
    )
    assert 'NATS_VERSION = "v2.99.0"  # container/context.yaml:46\n' in text
    assert 'ETCD_VERSION = "v3.5.33"  # as in 1.5\n' in text
    catalog = loaded(tmp_path, text)
    assert catalog.request.release_line == "1.7"
    assert catalog.args["NATS_VERSION"] == "v2.99.0"
    assert catalog.args["UV_EXCLUDE_NEWER"] == ""
    vllm = catalog.frameworks["vllm"]
    assert vllm.devices["cuda"].cuda["13.0"]["RUNTIME_IMAGE_TAG"] == "v0.30.0"
    assert (vllm.requirements, vllm.dev_requirements) == (["requirements.vllm.txt"], [])
    assert "the tree has no requirements.test.txt" in text


def test_a_checksum_of_another_version_is_left_out(tmp_path):
    kept = loaded(tmp_path, composed(("args/SCCACHE_VERSION", "v0.14.0", "x:1")))
    assert kept.tools["sccache"].sha256["amd64"]
    text = composed(("args/SCCACHE_VERSION", "v0.15.0", "x:1"))
    assert 'amd64 = ""  # none is known for SCCACHE_VERSION v0.15.0' in text


def test_cuda_versions_and_frameworks_are_those_of_the_tree(tmp_path):
    text = composed(
        ("frameworks/vllm/devices/cuda/cuda/14.0/BASE_IMAGE", "a/b", "x:1"),
        ("frameworks/vllm/devices/cuda/cuda/14.0/BASE_IMAGE_TAG", "c", "x:2"),
        frameworks=["vllm"],
    )
    catalog = loaded(tmp_path, text)
    assert list(catalog.frameworks) == ["vllm"]
    assert catalog.frameworks["vllm"].cuda_default == "14.0"
    row = {"BASE_IMAGE": "a/b", "BASE_IMAGE_TAG": "c", "CUDA_VERSION": "14.0"}
    assert catalog.frameworks["vllm"].devices["cuda"].cuda == {"14.0": row}


@pytest.mark.parametrize("value", ["a b\n[site]\nindex_url = 'x'", '"', "x\x7f", "a'; rm -rf /"])
def test_a_tree_writes_no_line_of_its_own(tmp_path, value):
    """What it says is a value of its kind, or a comment."""
    text = composed(
        ("args/NATS_VERSION", value, f"x{value}:1"),
        ("args/RUST_VERSION", "1.99.0", f"x{value}:1"),
        unused=[pins.Pin(("?", value), value, value)],
    )
    catalog = loaded(tmp_path, text)
    assert catalog.site.index_url == ""
    assert catalog.args["NATS_VERSION"] == "v2.12.14"


def test_what_an_image_brings_is_a_comment():
    text = composed(("args/VLLM_REF", "v0.30.0", "pyproject.toml:64"))
    assert "\nVLLM_REF" not in text
    assert "#   pyproject.toml:64: VLLM_REF = v0.30.0, which an image brings" in text


@pytest.mark.parametrize(
    ("version", "line"),
    [("1.5.0", "1.5"), ("1.7.2", "1.5"), ("1.2", "1.0"), ("0.1", "0.9.0"), ("", "0.9.0")],
)
def test_the_nearest_line_is_the_newest_that_is_not_newer(version, line):
    known = settings.Lines(templates=TEMPLATES, overlays=(), env={}, flags={})
    assert line_file.nearest(version, known) == line


@pytest.mark.parametrize("name", ["", "A", "../x", "a b", "x" * 40, ".x"])
def test_a_name_that_is_none(name):
    with pytest.raises(RequestError, match="is no name of a release line"):
        line_file.check_name(name)
