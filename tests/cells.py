"""Every image there is, with its Dockerfile: the cells of the matrix on each release line.

A cell is planned in several variants, because settings other than the cell also shape the
text: features, where the wheels come from, the compile cache.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from dynbuild.plan.job import ImageJob
from dynbuild.plan.matrix import EFA_TARGETS
from dynbuild.render.dockerfile import render
from dynbuild.settings import lines
from tests.support import CATALOG, SWITCHES, TEMPLATES, load, make_job

LINES = (CATALOG["request"]["release_line"], *lines.known(TEMPLATES, {}))
AWS = "-aws"

_ON = dict.fromkeys(SWITCHES, "true")
_S3 = {"SCCACHE_BUCKET": "objects", "SCCACHE_REGION": "eu-1"}
VARIANTS = {
    "default": {},
    "everything": {"use_sccache": "s3", "args": {**_ON, **_S3}},
    "local cache": {"use_sccache": "local"},
    # The one feature without a published wheel is off.
    "published": {
        "dynamo_wheels": "index",
        "args": {**_ON, "ENABLE_GPU_MEMORY_SERVICE": "false"},
    },
}


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One image of one release line in one variant; the target may end with ``-aws``."""

    line: str
    framework: str
    target: str
    device: str
    cuda: str
    variant: str = "default"

    def __str__(self):
        names = (self.line, self.framework, self.target, f"{self.device}{self.cuda}", self.variant)
        return " ".join(names)

    @property
    def asked(self):
        """What ``make_plan`` takes for it; published wheels have no GPU memory service."""
        own = VARIANTS[self.variant]
        args = dict(own.get("args", {}))
        if self.framework == "trtllm" and self.variant == "everything":
            args["HAS_TRTLLM_CONTEXT"] = "1"
        if _default_wheels(self.line) == "index":
            args["ENABLE_GPU_MEMORY_SERVICE"] = "false"
        return {
            **own,
            "args": args,
            "release_line": self.line,
            "framework": self.framework,
            "target": self.target.removesuffix(AWS),
            "device": self.device,
            "cuda_version": self.cuda,
            "make_efa": self.target.endswith(AWS),
        }


@functools.cache
def _default_wheels(line):
    return load(release_line=line).catalog.request.dynamo_wheels


@functools.cache
def cells():
    """Every cell in every variant."""
    return tuple(
        Cell(
            line=line,
            framework=framework,
            target=target,
            device=device,
            cuda=cuda,
            variant=variant,
        )
        for line in LINES
        for framework, entry in load(release_line=line).catalog.frameworks.items()
        for device, row in entry.devices.items()
        for cuda in row.cuda or ("",)
        for target in (
            *entry.targets,
            *(f"{name}{AWS}" for name in EFA_TARGETS if name in entry.targets and device != "xpu"),
        )
        for variant in VARIANTS
    )


@functools.cache
def rendered(cell: Cell) -> tuple[ImageJob, str]:
    """The image of *cell*, and its Dockerfile."""
    (image,) = (
        image for image in make_job(**cell.asked).images if image.plan.target == cell.target
    )
    return image, render(image, TEMPLATES)


@functools.cache
def dockerfiles() -> dict[str, tuple[ImageJob, str]]:
    """Each distinct Dockerfile once, by the name of the first cell that has it."""
    found = {}
    for cell in cells():
        image, text = rendered(cell)
        found.setdefault(text, (str(cell), image))
    return {name: (image, text) for text, (name, image) in found.items()}
