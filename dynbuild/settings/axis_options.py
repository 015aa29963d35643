"""The options that say which cells are meant: those of the axes, and globs of ids."""

from __future__ import annotations

from dynbuild.settings.option import Option

IMAGE = "What to build"

FRAMEWORK = Option(
    name="framework",
    several=True,
    flags=("--framework",),
    path=("request", "framework"),
    help="vllm, trtllm, sglang or none.",
    panel=IMAGE,
    metavar="NAME",
    source="framework",
    doc="vllm (default), trtllm, sglang, none",
)
TARGET = Option(
    name="target",
    several=True,
    flags=("--target",),
    path=("request", "target"),
    help="Stage that becomes the image: runtime, dev, …",
    panel=IMAGE,
    metavar="STAGE",
    source="target",
    doc="the stage that becomes the image; default dev",
)
DEVICE = Option(
    name="device",
    several=True,
    flags=("--device",),
    path=("request", "device"),
    help="cuda, xpu or cpu.",
    panel=IMAGE,
    metavar="NAME",
    source="device",
    doc="cuda (default), xpu or cpu",
)
RELEASE_LINE = Option(
    name="release_line",
    several=True,
    flags=("--release-line",),
    path=("request", "release_line"),
    help="Versions of Dynamo's line: 0.9.0, 1.0, 1.5, 1.6.",
    panel=IMAGE,
    metavar="NAME",
    source="line",
    doc="0.9.0 (default), 1.0, 1.5, 1.6: the versions of a line",
)
CUDA_VERSION = Option(
    name="cuda_version",
    several=True,
    flags=("--cuda-version",),
    path=("request", "cuda_version"),
    help="CUDA version, such as 13.0.",
    panel=IMAGE,
    metavar="VERSION",
    source="cuda",
    default="by framework",
    doc="a row of the table above",
)
AXES = (FRAMEWORK, TARGET, DEVICE, RELEASE_LINE, CUDA_VERSION)
"""The options that say which cells are meant; each takes several values."""

MATRIX = Option(
    name="matrix",
    flags=("--matrix",),
    help="The cells of [matrix.NAME] of the settings.",
    panel=IMAGE,
    metavar="NAME",
    source="matrix",
)
ONLY = Option(
    name="only",
    kind="list",
    flags=("--only",),
    help="Cells whose id the glob means; repeatable.",
    panel=IMAGE,
    metavar="GLOB",
    source="cell",
)
SKIP = Option(
    name="skip",
    kind="list",
    flags=("--skip",),
    help="Cells left out; repeatable.",
    panel=IMAGE,
    metavar="GLOB",
    source="cell",
)
