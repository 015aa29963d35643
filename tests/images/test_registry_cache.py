"""The build cache in a registry: an engine that never built anything takes it from there."""

from __future__ import annotations

import os
import shutil

import pytest

from dynbuild import proc
from dynbuild.engine import client
from tests.conftest import ROOT
from tests.images import recorded
from tests.images.lab import SMALL, Lab, Set, status

TRIES = int(os.environ.get("TRIES", "3"))
"""How often an engine is emptied and filled from the registry; `make tries` does it 20 times."""

STUB = ROOT / "tests" / "data" / "ucx_stub"


def _ran(report):
    """The RUN steps of the build that were carried out, and not taken from a cache."""
    return [name for name in recorded.ran(report) if name.is_run]


@pytest.fixture
def base(docker, base_image, registry):
    """The base image, where both engines can get it."""
    name = f"{registry}/base/debian"
    docker("image", "tag", base_image, f"{name}:trixie")
    docker("push", "--quiet", f"{name}:trixie")
    docker("image", "rm", f"{name}:trixie")
    return name


def test_a_second_engine_compiles_and_installs_nothing(
    build, base, registry, second_engine, tmp_path
):
    """The source of UCX is a stub: what counts is that its step is not run."""
    source = tmp_path / "ucx"
    shutil.copytree(STUB, source)
    (source / "new").write_text(str(tmp_path))
    words = (
        "--dynamo-wheels", "index==0.9.0", "--source", f"ucx={source}",
        "--base-image", base, "--base-image-tag", "trixie", "--no-load", "--network", "host",
        "--cache", f"registry={registry}/cache/dynamo",
    )  # fmt: skip
    first = build(*words)
    assert any(name.stage == "ucx" for name in _ran(first))
    second = build(*words, env=second_engine)
    assert _ran(second) == []
    assert second["steps"]["run_instructions"] == 0
    assert second["steps"]["cached"] > 10


def test_an_empty_engine_takes_a_whole_matrix_from_the_registry(
    engine, base, registry, second_engine, tmp_path
):
    lab = Lab(engine, dict(os.environ), f"{base}:trixie")
    try:
        cells = [cell for cell in SMALL if cell.framework == "none"]
        many = Set(lab, tmp_path, cells, caches=f"{registry}/cache/lab")
        assert set(status(many.run()).values()) == {"done"}
        ran = len(lab.ran)
        assert ran == len(many.distinct()) > 10
        empty = client.find(second_engine)
        for _ in range(TRIES):
            result = many.run(engine=empty, env=second_engine)
            assert set(status(result).values()) == {"done"}
            assert lab.ran[ran:] == []
            words = (empty.docker, "buildx", "prune", "--all", "--force")
            proc.run(words, env=empty.env(second_engine))
    finally:
        lab.close()
