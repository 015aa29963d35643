"""What is asked for of the TensorRT-LLM wheel, and what is done for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Literal, TypeAlias

from dynbuild.quick import dataclass
from dynbuild.settings.layers import Origin, Setting

CONTEXT = "trtllm_wheel"
"""Name of the build context that holds a given or built wheel."""

SCRIPT = "container/build_trtllm_wheel.sh"
"""The script that builds a wheel, below the build context."""

STAMP = "commit.txt"
"""What the script leaves beside the wheel: ``<arch>_<ref>``."""

ARGS = (
    "HAS_TRTLLM_CONTEXT",
    "TENSORRTLLM_PIP_WHEEL",
    "TENSORRTLLM_INDEX_URL",
    "TRTLLM_WHEEL_IMAGE",
    "GITHUB_TRTLLM_COMMIT",
)
"""The build arguments that ``decide`` may set."""

FLAGS = {
    "wheel_dir": "--tensorrtllm-pip-wheel-dir",
    "commit": "--tensorrtllm-commit",
    "pip_wheel": "--tensorrtllm-pip-wheel",
    "index_url": "--tensorrtllm-index-url",
    "git_url": "--tensorrtllm-git-url",
}
"""How each field of ``WheelRequest`` is written on the command line."""

Kind: TypeAlias = Literal["download", "install", "build"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelRequest:
    """What was asked for; an empty text was not given.

    Attributes:
        wheel_dir: Folder with the wheel; with *git_url* the folder to build in.
        commit: Commit, tag or branch of TensorRT-LLM.
        pip_wheel: Requirement that pip takes, such as ``tensorrt-llm==1.3.0``.
        index_url: Package index for it.
        git_url: Repository to build from.
        origins: Where each of these came from, by its name here.
    """

    wheel_dir: str = ""
    commit: str = ""
    pip_wheel: str = ""
    index_url: str = ""
    git_url: str = ""
    origins: Mapping[str, Origin] = field(default_factory=dict)

    def origin(self, name: str) -> Origin:
        """Where the field *name* came from; its flag, where nothing else is known."""
        return self.origins.get(name, Origin("flag", FLAGS[name]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What is done for the wheel.

    Attributes:
        kind: ``download``, ``install`` (a given wheel) or ``build`` (from source).
        arch: The architecture of a given or built wheel, amd64 or arm64; empty for download.
        ref: Git ref of TensorRT-LLM, normalised.
        args: Build arguments to set, a subset of ``ARGS``; no other of them is touched.
        context: Folder for the build context ``CONTEXT``; empty where there is none.
        command: The words that build the wheel; empty unless *kind* is ``build``.
        output: The folder that *command* writes to, which is also *context*.
        stamp: What ``STAMP`` says in *output* once the wheel is built.
        warnings: What was given and has no effect, and what may surprise.
    """

    kind: Kind
    arch: str = ""
    ref: str
    args: Mapping[str, Setting]
    context: str = ""
    command: tuple[str, ...] = ()
    output: str = ""
    stamp: str = ""
    warnings: tuple[str, ...] = ()
