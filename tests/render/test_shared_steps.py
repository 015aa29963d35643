"""Steps that images for several CUDA versions share: BuildKit runs those with one key once."""

from __future__ import annotations

import functools
import re
from dataclasses import replace

from dynbuild.render import graph
from tests import cells

CELLS = tuple(
    cell
    for cell in cells.cells()
    if (cell.line, cell.target, cell.device, cell.variant)
    == (cells.LINES[0], "runtime", "cuda", "default")
)
"""The runtime images for a GPU."""


@functools.cache
def steps(cell):
    """The RUN steps of a cell for one architecture, in order."""
    image, text = cells.rendered(cell)
    plan = replace(image.plan, platforms=("linux/amd64",))
    return tuple(step for step in graph.of(plan, text).steps.values() if step.is_run)


def keys(cell, stage):
    return {step.key for step in steps(cell) if step.stage == stage}


def test_the_images_for_a_gpu_share_most_of_their_steps():
    assert len(CELLS) == 6
    assert len({step.key for cell in CELLS for step in steps(cell)}) <= 115


def test_a_new_cuda_version_compiles_nothing_that_needs_no_cuda():
    """FFmpeg, the wheels without CUDA, compilers and tools."""
    old, new = (cell for cell in CELLS if cell.framework == "vllm")
    assert old.cuda != new.cuda
    shared = ["build_tools", "python_tools", "rust_tool", "protoc_tool", "ffmpeg", "aws_sdk_cpp"]
    for stage in (*shared, "ai_dynamo_wheel", "gms_wheel"):
        assert keys(old, stage)
        assert keys(old, stage) == keys(new, stage), stage
    for stage in ("ucx", "libfabric", "gdrcopy", "nixl", "kvbm_wheel", "framework", "runtime"):
        assert keys(old, stage)
        assert not keys(old, stage) & keys(new, stage), stage


def test_tools_that_are_archives_run_no_program():
    for cell in CELLS:
        assert not {"nats_tool", "etcd_tool", "uv_tool"} & {step.stage for step in steps(cell)}


def test_no_two_builds_have_cargo_s_folders_at_once():
    for cell in CELLS:
        found = {}
        for step in steps(cell):
            said = str(step.instruction) + repr(step.instruction.flags)
            for mount in re.findall(r"type=cache,\S*target=/usr/local/cargo[^\s'\"]*", said):
                assert mount.endswith(",sharing=locked")
                found.setdefault(re.search(r"id=([^,]+)", mount)[1], set()).add(step.stage)
        assert len(found) >= 2
        assert all(len(stages) == 1 for stages in found.values())


def test_no_installation_of_packages_waits_for_another():
    """Neither apt nor dnf shares its folders: a step takes those that no other step has."""
    found = set()
    for cell in CELLS:
        for step in steps(cell):
            said = str(step.instruction) + repr(step.instruction.flags)
            for mount in re.findall(r"type=cache,[^\s'\"]*target=/var/[^\s'\"]*", said):
                assert mount.endswith(",sharing=private"), mount
                found.add(re.search(r"target=([^,]+)", mount)[1])
    assert found == {"/var/cache/apt", "/var/lib/apt", "/var/cache/dnf"}
