"""Named build contexts that people give: each replaces something, and what it replaces is known.

BuildKit ignores a context that no instruction names, so that a name which is mistyped builds
what would have been built without it.  Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from dynbuild import names
from dynbuild.errors import RequestError, quote
from dynbuild.plan.job import ImageJob
from dynbuild.plan.trtllm.intent import CONTEXT
from dynbuild.settings.load import Settings
from dynbuild.settings.problems import Problem

_HUB = re.compile(r"^(?:docker\.io/)?(?:library/)?")
_IMAGE = "docker-image://"
_OF_SOURCE = ("_src", "_fetch", "_tarball")
_OF_TOOL = ("_tool", "_image", "_download", "_download_amd64", "_download_arm64")
_STAGES = (
    "ai_dynamo_runtime_wheel", "ai_dynamo_wheel", "base", "build_tools", "dev", "dev-aws",
    "dynamo_base", "dynamo_requirements", "dynamo_tools", "dynamo_wheels", "epp", "framework",
    "frontend", "gms_wheel", "kvbm_wheel", "local-dev", "local-dev-aws", "manylinux_amd64",
    "manylinux_arm64", "meson_packages", "planner", "planner_builder", "python_tools",
    "pytorch_base", "runtime", "runtime-aws", "rust_tools", "sccache", "test", "trtllm_scripts",
    "trtllm_wheel", "trtllm_wheel_image", "trtllm_wheel_image_empty", "wheel_builder",
)  # fmt: skip
"""The stages that are of no source and no tool, of all frameworks."""


def problems(config: Settings) -> Iterator[Problem]:
    """Names that are neither a stage of anything nor the name of an image; images that are none."""
    known = _every_stage(config)
    for name, where in config.catalog.contexts.items():
        origin = config.origin("contexts", name)
        if where.startswith(_IMAGE) and not _is_reference(where.removeprefix(_IMAGE)):
            yield Problem(
                f"the build context {name} is no image: {quote(where)}",
                str(origin),
                f"such as {_IMAGE}registry.example.com/name:tag",
            )
        if name in known or _is_image(name) or origin.layer == "catalog":
            continue
        near = names.nearest(name, known)
        hint = f"did you mean '{near}'? " if near else ""
        yield Problem(
            f"there is no stage '{name}' that a build context could replace",
            str(origin),
            f"{hint}`dynbuild render` shows the stages (FROM … AS NAME); an image is NAME:TAG",
        )


def warnings(config: Settings, images: Iterable[ImageJob]) -> Iterator[str]:
    """Contexts that change nothing of *images*, and sources in the place of what is compiled."""
    images = tuple(images)
    there = {stage.name for one in images for stage in one.stages}
    built_on = {_short(reference) for one in images for reference in _references(one)}
    for name, where in config.catalog.contexts.items():
        if _is_image(name):
            if _short(name) not in built_on:
                yield f"the build context {name} is not used: no image of that name is built on"
        elif not there & {name, *_outer(name)}:
            yield f"the build context {name} is not used: this build has no such stage"
        elif f"{name}_src" in there and not where.startswith(_IMAGE):
            yield (
                f"the build context {name} takes the place of what is compiled of {name}, and is"
                f" copied as it is; --source {name}={where} compiles that tree"
            )


def _every_stage(config: Settings) -> set[str]:
    """The stages of all images, those inside of a template too."""
    sources = {f"{name}{end}" for name in config.catalog.sources for end in ("", *_OF_SOURCE)}
    tools = {f"{name}{end}" for name in config.catalog.tools for end in _OF_TOOL}
    return {*sources, *tools, *_STAGES, CONTEXT}


def _outer(name: str) -> Iterator[str]:
    """The stage whose template has the stage *name* inside of it."""
    for end in (*_OF_SOURCE, *_OF_TOOL):
        if name.endswith(end):
            yield name.removesuffix(end) + ("_src" if end in _OF_SOURCE else "_tool")
    if name.startswith("manylinux_"):
        yield "build_tools"


def _references(one: ImageJob) -> Iterator[str]:
    """The images that *one* is built on."""
    args: Mapping[str, str] = one.plan.build_args
    for arg, value in args.items():
        if arg == "MANYLINUX_IMAGE":
            yield from (f"{value}_{arch}:{args['MANYLINUX_TAG']}" for arch in ("x86_64", "aarch64"))
        elif arg.endswith("IMAGE") and value:
            yield f"{value}:{args[f'{arg}_TAG']}" if f"{arg}_TAG" in args else value
    for tool in one.recipe.tools.values():
        if tool.kind == "image":
            yield f"{tool.image}:{args.get(tool.version, '')}"


def _is_reference(text: str) -> bool:
    try:
        names.check_image(text)
    except RequestError:
        return False
    return True


def _is_image(name: str) -> bool:
    return bool(re.search(r"[:/@.]", name))


def _short(reference: str) -> str:
    """A reference without what Docker adds to it."""
    return _HUB.sub("", reference)
