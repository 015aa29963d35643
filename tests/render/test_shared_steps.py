"""Steps that images for several CUDA versions share: BuildKit runs those with one key once.

A step's key is what BuildKit makes of it: its text, the values that it sees, and the keys of all
that it starts from, copies or mounts.
"""

from __future__ import annotations

import functools
import hashlib
import re

from tests import matrix
from tests.render.test_dockerfile import read, substitute

CELLS = tuple(
    cell
    for cell in matrix.cells()
    if (cell.line, cell.target, cell.device, cell.variant)
    == (matrix.LINES[0], "runtime", "cuda", "default")
)
"""The runtime images for a GPU."""


def key(*parts):
    return hashlib.sha256(repr(parts).encode()).hexdigest()


@functools.cache
def steps(cell):
    """The keys of the RUN steps of a cell, by their stages."""
    image, text = matrix.rendered(cell)
    ends, found = {}, {}
    for stage in read(text)[1]:
        values = {"TARGETARCH": "amd64"}
        base = substitute(stage.base, {**image.plan.build_args, **values})
        now = ends.get(base, key("image", base))
        for keyword, rest in stage.instructions:
            if keyword == "ARG":
                name, _, default = rest.partition("=")
                values[name] = image.plan.build_args.get(name, default)
                if name != "TARGETARCH":
                    now = key(now, "ARG", name, values[name])
                continue
            names = [substitute(name, values) for name in re.findall(r"from=([^ ,]+)", rest)]
            sources = [ends.get(name, key("image", name)) for name in names]
            # The shell replaces what a RUN has; its values are in the key already.
            said = rest if keyword == "RUN" else substitute(rest, values)
            now = key(now, keyword, said, sources)
            if keyword == "RUN":
                found.setdefault(stage.name, []).append(now)
        ends[stage.name] = now
    return found


def test_the_images_for_a_gpu_share_most_of_their_steps():
    assert len(CELLS) == 6
    every = [one for cell in CELLS for keys in steps(cell).values() for one in keys]
    assert len(set(every)) <= 115


def test_a_new_cuda_version_compiles_nothing_that_needs_no_cuda():
    """FFmpeg, the wheels without CUDA, compilers and tools."""
    old, new = (cell for cell in CELLS if cell.framework == "vllm")
    assert old.cuda != new.cuda
    shared = ["build_tools", "python_tools", "rust_tool", "protoc_tool", "ffmpeg", "aws_sdk_cpp"]
    for stage in (*shared, "ai_dynamo_wheel", "gms_wheel"):
        assert steps(old)[stage] == steps(new)[stage], stage
    for stage in ("ucx", "libfabric", "gdrcopy", "nixl", "kvbm_wheel", "framework", "runtime"):
        assert not set(steps(old)[stage]) & set(steps(new)[stage]), stage


def test_tools_that_are_archives_run_no_program():
    for cell in CELLS:
        assert not {"nats_tool", "etcd_tool", "uv_tool"} & steps(cell).keys()
