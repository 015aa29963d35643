"""The source tree beside the plan."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet

from dynbuild.build import inputs, tree_check
from dynbuild.errors import RequestError
from tests.support import CATALOG, NONE_CPU, WORKSPACE, make_job

CARGO = "lib/bindings/python/Cargo.toml"


@pytest.fixture
def context(tmp_path):
    return shutil.copytree(WORKSPACE, tmp_path / "tree", dirs_exist_ok=True)


def said(context, **asked):
    """The warnings of a plan of that tree, and what is an error."""
    job = make_job(context=context, **asked)
    try:
        return tree_check.check(job, inputs.read_by_name(job))
    except RequestError as error:
        return (f"error: {error} ({error.hint})", *error.details)


def change(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.parametrize("framework", CATALOG["frameworks"])
@pytest.mark.parametrize("target", ["runtime", "dev"])
def test_the_example_tree_fits(framework, target):
    assert said(WORKSPACE, framework=framework, target=target) == ()


def test_another_toolchain(context):
    change(context / "rust-toolchain.toml", "1.90.0", "1.96.1")
    (text,) = said(context, **NONE_CPU)
    assert text.startswith(
        "rust-toolchain.toml:3 wants Rust 1.96.1, and RUST_VERSION is '1.90.0' ("
    )
    assert "args.RUST_VERSION = '1.96.1'" in text


def test_a_feature_that_the_tree_has_not_is_an_error(context):
    change(context / CARGO, 'kv-indexer-runtime = ["kv-indexer"]\n', "")
    asked = {"MATURIN_FEATURES": "kv-indexer,kv-indexer-runtime"}
    (text,) = said(context, **NONE_CPU, args=asked)
    assert text.startswith(f"error: {CARGO} has no feature 'kv-indexer-runtime', and MATURIN_FEAT")
    assert "there are: kv-indexer, media-ffmpeg" in text
    assert said(context, **NONE_CPU, args={"MATURIN_FEATURES": "kv-indexer"}) == ()


def test_a_media_switch_that_the_tree_has_not_is_an_error(context):
    change(context / CARGO, 'media-ffmpeg = ["dynamo-llm/media-ffmpeg"]\n', "")
    (text,) = said(context, **NONE_CPU, args={"ENABLE_MEDIA_FFMPEG": "true"})
    assert "no feature 'media-ffmpeg', and ENABLE_MEDIA_FFMPEG is 'true'" in text


PINS = """
[project.optional-dependencies]
vllm = ["uvloop", "nixl[cu13]==1.3.2", "vllm[flashinfer,otel]==0.27.1"]
sglang = ["sglang[diffusion]==0.5.8", "nixl[cu12]<=0.9.0"]
trtllm = ["tensorrt-llm==1.3.0rc24"]

[tool.hatch.build]
"""


@pytest.mark.parametrize(
    ("framework", "texts"),
    [
        ("vllm", ["vllm[flashinfer,otel]==0.27.1", "nixl[cu13]==1.3.2"]),
        ("trtllm", ["tensorrt-llm==1.3.0rc24"]),
        ("sglang", []),
        ("none", []),
    ],
)
def test_other_pins_of_the_engine_and_of_nixl(context, framework, texts):
    change(context / "pyproject.toml", "\n[tool.hatch.build]\n", PINS)
    found = said(context, framework=framework, target="runtime")
    assert len(found) == len(texts)
    for text, line in zip(texts, found, strict=True):
        assert f"pyproject.toml asks for {text} in its extra {framework}, and " in line


def test_a_python_that_the_tree_is_not_for(context):
    change(context / "pyproject.toml", ">=3.10", ">=3.10,<3.13")
    (text,) = said(context, **NONE_CPU, args={"PYTHON_VERSION": "3.13"})
    assert text.startswith("pyproject.toml requires Python >=3.10,<3.13, and PYTHON_VERSION is ")
    assert said(context, **NONE_CPU, args={"PYTHON_VERSION": "3.12"}) == ()


_NUMBERS = st.lists(st.sampled_from(["0", "1", "2", "10"]), min_size=1, max_size=4).map(".".join)
_SIGNS = st.sampled_from([">=", "<=", "==", "!=", ">", "<", ">= ", "< "])
_CLAUSES = st.lists(st.tuples(_SIGNS, _NUMBERS).map("".join), min_size=1, max_size=3)


@given(version=_NUMBERS, clauses=_CLAUSES, gap=st.sampled_from([",", ", "]))
def test_plain_bounds_are_compared_as_the_library_compares_them(version, clauses, gap):
    specifier = gap.join(clauses)
    expected = SpecifierSet(specifier).contains(version, prereleases=True)
    assert tree_check._fits(version, specifier) == expected


@pytest.mark.parametrize(
    ("version", "specifier", "fits"),
    [
        ("0.14.1", "~=0.14.0", True),
        ("0.14.1", "==0.14.*", True),
        ("0.15.0", "==0.14.*", False),
        ("1.0rc1", ">=1.0", False),
        ("1.0.post1", ">=1.0", True),
        ("1.0", "@ https://host/x.whl", True),
    ],
)
def test_other_bounds_are_left_to_the_library(version, specifier, fits):
    assert tree_check._fits(version, specifier) is fits


def test_members_of_the_workspace_that_no_step_finds(context):
    change(context / "Cargo.toml", '"lib/llm",', '"lib/llm", "lib/gone", "deploy/picker",')
    gone, other = said(context, **NONE_CPU)
    assert "has the member lib/gone, which is not in the tree" in gone
    assert "has the member deploy/picker, and the wheels' stages copy only lib and launch" in other


@pytest.mark.parametrize(
    ("line", "name"), [("Cargo.lock", "Cargo.lock"), ("li[b]", "lib"), ("**/*.md", "README.md")]
)
def test_what_dockerignore_hides_is_an_error(context, line, name):
    path = context / ".dockerignore"
    path.write_text(f"# first\n{line}\n", encoding="utf-8")
    (text,) = said(context, **NONE_CPU)
    assert text.startswith(f"error: .dockerignore:2 hides {name}, which the build copies")
    path.write_text(f"{line}\n!{name}\n", encoding="utf-8")
    assert said(context, **NONE_CPU) == ()


def test_a_file_is_read_once_for_all_images(context, monkeypatch):
    asked = []
    read = Path.read_text
    monkeypatch.setattr(
        Path, "read_text", lambda self, **more: asked.append(self.name) or read(self, **more)
    )
    jobs = [make_job(framework=one, target="dev", context=context) for one in ("none", "vllm")]
    both = replace(jobs[0], images=(*jobs[0].images, *jobs[1].images))
    asked.clear()
    tree_check.check(both, inputs.read_by_name(both))
    assert asked.count("pyproject.toml") == 1
    assert asked.count("rust-toolchain.toml") == 1


def test_published_wheels_need_no_tree(tmp_path):
    assert said(tmp_path, **NONE_CPU, dynamo_wheels="index") == ()
