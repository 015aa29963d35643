"""The source tree beside what a plan makes of it: where the two do not fit, before the solve.

A tree of another release than the line that was chosen compiles for minutes before it fails, or
gives an image with another engine than its code is for.  What surely fails is an error, the rest
are warnings; each names both places and the setting to change.
"""

from __future__ import annotations

import fnmatch
import operator
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dynbuild.build.ignore import Ignore, Pattern
from dynbuild.build.inputs import ignore_file
from dynbuild.build.source_tree import SourceTree
from dynbuild.errors import RequestError
from dynbuild.plan.document import ImagePlan
from dynbuild.plan.job import ImageJob, Job
from dynbuild.quick import dataclass

_TOOLCHAIN = "rust-toolchain.toml"
_RUNTIME = "lib/bindings/python/Cargo.toml"
_KVBM = "lib/bindings/kvbm/Cargo.toml"
_COPIED = ("lib", "launch")
"""The folders of the tree that the stages of the Rust wheels copy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """Where a tree and a plan do not fit.

    Attributes:
        text: What is wrong, with both places.
        hint: The setting to change.
        fatal: The build is sure to fail.
    """

    text: str
    hint: str
    fatal: bool = False


def check(job: Job, read: Sequence[str] = ()) -> tuple[str, ...]:
    """Compare the source tree of *job* with its images.

    Args:
        job: A plan whose files are there (``dynbuild.build.inputs.check``).
        read: Paths of the tree that steps copy or mount by name.

    Returns:
        Warnings, each once.

    Raises:
        RequestError: A build is sure to fail; all that makes it fail is told.  Or an ignore
            file cannot be read.
    """
    tree = SourceTree(Path(job.plan.context))
    built = [one for one in job.images if one.recipe.from_source]
    if not built:
        return ()
    found = [*_hidden(tree, read)]
    for one in built:
        found += _of_image(one, tree)
    found = list(dict.fromkeys(found))
    fatal = [one for one in found if one.fatal]
    if fatal:
        raise RequestError(
            fatal[0].text,
            hint=fatal[0].hint,
            details=tuple(f"{one.text} ({one.hint})" for one in fatal[1:]),
        )
    return tuple(f"{one.text} ({one.hint})" for one in found)


def _of_image(one: ImageJob, tree: SourceTree) -> Iterator[Mismatch]:
    image = one.plan
    chain = {stage.name for stage in one.stages}
    project = tree.toml("pyproject.toml").get("project", {})
    if "rust_tools" in chain:
        yield from _toolchain(image, tree)
    if "ai_dynamo_runtime_wheel" in chain:
        yield from _features(image, tree, "MATURIN_FEATURES", _RUNTIME)
        yield from _members(tree)
    if "kvbm_wheel" in chain:
        yield from _features(image, tree, "KVBM_FEATURES", _KVBM)
    yield from _python(image, project)
    if image.device == "cuda" and "runtime" in chain:
        yield from _pins(one, project)


def _said(image: ImagePlan, arg: str) -> str:
    """An argument with its value and its origin."""
    return f"{arg} is '{image.build_args[arg]}' ({image.origins.get(arg, 'catalog')})"


def _toolchain(image: ImagePlan, tree: SourceTree) -> Iterator[Mismatch]:
    """The tree's file rules: rustup fetches its toolchain in the step that compiles."""
    channel = str(tree.toml(_TOOLCHAIN).get("toolchain", {}).get("channel", ""))
    if channel and image.build_args.get("RUST_VERSION", channel) != channel:
        place = tree.place(_TOOLCHAIN, channel)
        yield Mismatch(
            text=f"{place} wants Rust {channel}, and {_said(image, 'RUST_VERSION')}",
            hint=f"args.RUST_VERSION = '{channel}', or cargo's steps fetch another toolchain",
        )


def _features(image: ImagePlan, tree: SourceTree, arg: str, manifest: str) -> Iterator[Mismatch]:
    """Cargo refuses a feature that a crate has not."""
    crate = tree.toml(manifest)
    if not crate:
        return
    there = {*crate.get("features", {}), "default", *_optional(crate)}
    wanted = [(name, arg) for name in image.build_args.get(arg, "").split(",") if name]
    if arg == "MATURIN_FEATURES" and image.build_args.get("ENABLE_MEDIA_FFMPEG") == "true":
        wanted.append(("media-ffmpeg", "ENABLE_MEDIA_FFMPEG"))
    for name, asker in wanted:
        if "/" not in name and name not in there:
            yield Mismatch(
                text=f"{manifest} has no feature '{name}', and {_said(image, asker)}",
                hint=f"change args.{asker}, or take the tree's --release-line;"
                f" there are: {', '.join(sorted(there - {'default'})) or 'none'}",
                fatal=True,
            )
    llm = tree.toml("lib/llm/Cargo.toml")
    media = image.build_args.get("ENABLE_MEDIA_NIXL") == "true" and arg == "MATURIN_FEATURES"
    if media and llm and "media-nixl" not in llm.get("features", {}):
        yield Mismatch(
            text="lib/llm/Cargo.toml has no feature 'media-nixl', and "
            + _said(image, "ENABLE_MEDIA_NIXL"),
            hint="args.ENABLE_MEDIA_NIXL = 'false', or take the tree's --release-line",
            fatal=True,
        )


def _optional(crate: Mapping[str, Any]) -> Iterator[str]:
    """Optional dependencies are features of their own names."""
    for name, said in crate.get("dependencies", {}).items():
        if isinstance(said, dict) and said.get("optional"):
            yield name


def _members(tree: SourceTree) -> Iterator[Mismatch]:
    """A workspace that the bindings belong to loads all of its members."""
    members = tree.toml("Cargo.toml").get("workspace", {}).get("members", [])
    own = _RUNTIME.rpartition("/")[0]
    if not any(fnmatch.fnmatch(own, pattern) for pattern in members):
        return
    for member in members:
        place = tree.place("Cargo.toml", f'"{member}"')
        if member.partition("/")[0] not in _COPIED:
            yield Mismatch(
                text=f"{place} has the member {member}, and the wheels' stages copy only"
                f" {' and '.join(_COPIED)} of the tree",
                hint="exclude it from the workspace, or leave the bindings out of it",
            )
        elif not any(tree.root.glob(f"{member}/Cargo.toml")):
            yield Mismatch(
                text=f"{place} has the member {member}, which is not in the tree",
                hint="take it out of the workspace's members",
            )


def _python(image: ImagePlan, project: Mapping[str, Any]) -> Iterator[Mismatch]:
    wanted, python = str(project.get("requires-python", "")), image.build_args.get("PYTHON_VERSION")
    if wanted and python and not _fits(f"{python}.99", wanted):
        yield Mismatch(
            text=f"pyproject.toml requires Python {wanted}, and {_said(image, 'PYTHON_VERSION')}",
            hint="args.PYTHON_VERSION, and a base image that has it",
        )


_PACKAGES = {"vllm": "vllm", "sglang": "sglang", "trtllm": "tensorrt-llm"}
_ENGINES = {"vllm": "VLLM_REF", "sglang": "SGLANG_REF", "trtllm": "TENSORRTLLM_PIP_WHEEL"}


def _pins(one: ImageJob, project: Mapping[str, Any]) -> Iterator[Mismatch]:
    """The engine and NIXL of the image are those that the tree's extra of it asks for."""
    image, framework = one.plan, one.recipe.framework
    asked = project.get("optional-dependencies", {}).get(framework, ())
    vendor = one.recipe.engine in ("vendor", "complete")
    engine = "RUNTIME_IMAGE_TAG" if vendor else _ENGINES.get(framework, "")
    for package, arg in ((_PACKAGES.get(framework, ""), engine), ("nixl", "NIXL_REF")):
        value = image.build_args.get(arg, "")
        version = re.search(r"\d+(\.\d+)+((rc|a|b)\d+)?(\.post\d+)?", value)
        for text in asked if version else ():
            name, pin = re.fullmatch(r"([\w.-]*)(?:\[[^\]]*\])?\s*([^;]*).*", text).groups()  # type: ignore[union-attr]
            if version and name == package and pin and not _fits(version[0], pin.strip()):
                yield Mismatch(
                    text=f"pyproject.toml asks for {text} in its extra {framework},"
                    f" and {_said(image, arg)}",
                    hint=f"change {arg}, or take the tree's --release-line",
                )


_BOUND = r"(>=|<=|==|!=|>|<) *(\d+(?:\.\d+)*)"
_BOUNDS = {
    ">=": operator.ge, "<=": operator.le, "==": operator.eq,
    "!=": operator.ne, ">": operator.gt, "<": operator.lt,
}  # fmt: skip


def _fits(version: str, specifier: str) -> bool:
    """Whether *version* is one of *specifier*.

    Bounds of plain releases, all that most trees have, are compared here: to import the library
    for them takes longer than a whole image takes to be planned.
    """
    bounds = [re.fullmatch(_BOUND, part.strip()) for part in specifier.split(",")]
    if re.fullmatch(r"\d+(\.\d+)*", version) and all(bounds):
        return all(_BOUNDS[one[1]](_release(version), _release(one[2])) for one in bounds if one)
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        return SpecifierSet(specifier).contains(version, prereleases=True)
    except InvalidSpecifier:
        return True  # a URL, or nothing to compare


def _release(version: str) -> tuple[int, ...]:
    """The numbers of a release, without the zeros at its end, which mean nothing."""
    return tuple(map(int, re.sub(r"(\.0+)+$", "", version).split(".")))


def _hidden(tree: SourceTree, read: Sequence[str]) -> Iterator[Mismatch]:
    """What .dockerignore leaves out is not there for BuildKit."""
    try:
        ignore = Ignore.parse(ignore_file(tree.root))
    except ValueError:
        return
    for name in read:
        if not ignore.excludes(name) or ((tree.root / name).is_dir() and ignore.takes_back):
            continue
        by = next((p.text for p in ignore.patterns if not p.takes_back and _covers(p, name)), "")
        yield Mismatch(
            text=f"{tree.place('.dockerignore', by)} hides {name}, which the build copies",
            hint=f"add a line !{name} to .dockerignore",
            fatal=True,
        )


def _covers(pattern: Pattern, name: str) -> bool:
    parts = name.split("/")
    return any(pattern.matches("/".join(parts[: n + 1])) for n in range(len(parts)))
