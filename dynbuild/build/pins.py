"""What a source tree says of itself that a release line pins, each with its place in the tree.

Read are ``container/context.yaml`` where there is one, ``container/build.sh`` and the arguments of
the Dockerfiles where there is none, the Rust toolchain, the extras of ``pyproject.toml``, and the
cargo features that the tree's own wheels are built with.  A tree is not trusted: what it says is
text, looked at line by line and never run, and names of files in it do not lead out of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from dynbuild.build.source_tree import SourceTree
from dynbuild.quick import dataclass
from dynbuild.settings.layers import KeyPath

CONTEXT_YAML = "container/context.yaml"
_BUILD_SH = "container/build.sh"
_WHEELS = "container/templates/wheel_builder.Dockerfile"
_DEPS = "container/deps"
_PROJECT = "pyproject.toml"
_TOOLCHAIN = "rust-toolchain.toml"

_FRAMEWORKS = {"dynamo": "none", "vllm": "vllm", "trtllm": "trtllm", "sglang": "sglang"}
"""The frameworks of context.yaml, and what they are called here."""

_IMAGES = {"base_image", "base_image_tag", "runtime_image", "runtime_image_tag"}
_SHARED = {
    **dict.fromkeys(("python_version", "uv_version", "nats_version", "etcd_version")),
    **dict.fromkeys(("nixl_ref", "nixl_ucx_ref", "nixl_gdrcopy_ref", "nixl_libfabric_ref")),
    **dict.fromkeys(("ffmpeg_version", "sccache_version", "efa_version", "epp_image")),
    **dict.fromkeys(("vllm_ref", "vllm_omni_ref", "lmcache_ref", "max_jobs", "sglang_ref")),
    **dict.fromkeys(
        ("sglang_kernel_ref", "aws_sdk_cpp_version", "deepgemm_ref", "planner_build_image")
    ),
    "planner_build_image_tag": None,
    "planner_runtime_image": "PLANNER_IMAGE",
    "planner_runtime_image_tag": "PLANNER_IMAGE_TAG",
    "frontend_image": "FRONTEND_BASE_IMAGE",
    "flashinf_ref": None,
    "pip_wheel": "TENSORRTLLM_PIP_WHEEL",
    "index_url": "TENSORRTLLM_INDEX_URL",
    "torch_version": "TORCH_VER",
    "torch_tensorrt_version": "TORCH_TENSORRT_VER",
    "torchvision_version": "TORCHVISION_VER",
    "jinja2_version": "JINJA2_VER",
    "sympy_version": "SYMPY_VER",
    "flash_attn_version": "FLASH_ATTN_VER",
    **dict.fromkeys(("torchao_ver", "torchdata_ver", "torchtitan_ver", "pytorch_triton_ver")),
    "flashinfer_python_ver": None,
}
"""Keys of context.yaml that mean the same wherever they stand, and the argument if its name is not
the key in capitals."""

_OF_FRAMEWORK = {"nixl_ref"}
_SWITCHES = {"enable_kvbm", "enable_media_ffmpeg", "enable_gpu_memory_service"}
_DEVICE = re.compile(r"(cuda)(\d+\.\d+)|(cpu|xpu)")


class Pin(NamedTuple):
    """Something that a tree says.

    Attributes:
        path: The setting that says the same in a release line.
        value: As it is written there.
        place: The file of the tree and the line in it.
    """

    path: KeyPath
    value: str
    place: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TreePins:
    """All that a tree says.

    Attributes:
        version: The version in its ``pyproject.toml``; empty where there is none.
        pins: What a line can say as well.
        unused: What no setting stands for: key, value and place.
        requirements: The files of requirements that there are, below ``container/deps``.
        frameworks: Those that it names; empty where it does not say.
        members: The members of its cargo workspace.
    """

    version: str
    pins: tuple[Pin, ...]
    unused: tuple[Pin, ...]
    requirements: frozenset[str]
    frameworks: frozenset[str]
    members: tuple[str, ...]


def read(root: Path) -> TreePins:
    """What the source tree in *root* says of itself."""
    tree = SourceTree(root)
    project = tree.toml(_PROJECT).get("project", {})
    found = list(_of_context(tree))
    unused = [pin for pin in found if not pin.path or pin.path[0] == "?"]
    pins = [pin for pin in found if pin not in unused]
    named = {pin.path[1] for pin in pins if pin.path[0] == "frameworks"}
    if not found:
        pins += _of_build_sh(tree)
    pins += [*_toolchain(tree), *_features(tree), *_engines(tree)]
    deps = root / _DEPS
    files = {path.name for path in deps.glob("*.txt")} if tree.holds(_DEPS) else set()
    members = tree.toml("Cargo.toml").get("workspace", {}).get("members", ())
    return TreePins(
        version=str(project.get("version", "")),
        pins=tuple(dict.fromkeys(pins)),
        unused=tuple(unused),
        requirements=frozenset(files),
        frameworks=frozenset(named),
        members=tuple(map(str, members)),
    )


def _leaves(text: str) -> Iterator[tuple[KeyPath, str, int]]:
    """The values of a YAML file that is nothing but tables of words, each with its line."""
    above: list[tuple[int, str]] = []
    for number, line in enumerate(text.splitlines(), 1):
        found = re.fullmatch(r"( *)([\w.-]+):(?: +(.*?))? *", re.sub(r"(^|\s)#.*$", "", line))
        if found is None:
            continue
        indent, key, value = len(found[1]), found[2], found[3] or ""
        while above and above[-1][0] >= indent:
            above.pop()
        if value:
            if value[0] == value[-1] and value[0] in "\"'" and len(value) > 1:
                value = value[1:-1]
            yield (*(name for _, name in above), key), value, number
        else:
            above.append((indent, key))


def _of_context(tree: SourceTree) -> Iterator[Pin]:
    for path, value, number in _leaves(tree.text(CONTEXT_YAML)):
        place = f"{CONTEXT_YAML}:{number}"
        scope, key = _scope(path), path[-1]
        known = key in _SHARED or key in _IMAGES or key in _SWITCHES
        if scope is None or not known or "$" in value:
            yield Pin(("?", *path), value, place)
            continue
        arg = _SHARED.get(key) or key.upper()
        if key == "frontend_image":
            image, _, tag = value.rpartition(":")
            yield Pin((*scope, f"{arg}_TAG"), tag, place)
            yield Pin((*scope, arg), image, place)
        else:
            yield Pin((*scope, arg), value, place)


def _scope(path: KeyPath) -> KeyPath | None:
    """Where a line says what context.yaml says at *path*; ``None`` where it does not."""
    if path[0] not in _FRAMEWORKS or not 2 <= len(path) <= 3:
        return None
    own = ("frameworks", _FRAMEWORKS[path[0]])
    if len(path) == 3:
        device = _DEVICE.fullmatch(path[1])
        if device is None:
            return None
        if device[1]:
            return (*own, "devices", "cuda", "cuda", device[2])
        return (*own, "devices", device[3], "args")
    if path[1] in _SWITCHES or (path[0] != "dynamo" and path[1] in _OF_FRAMEWORK):
        return (*own, "args")
    return ("args",)


_ARGUMENTS = {name or key.upper() for key, name in _SHARED.items()} - {"EPP_IMAGE"}
_DEFAULT = "DEFAULT_"
_ASSIGNED = re.compile(r"(?:ARG )?([A-Z][A-Z0-9_]*)=\"?([^\s\"$`]+)\"?(?: *#.*)?")


def _of_build_sh(tree: SourceTree) -> Iterator[Pin]:
    """What the older trees say: build.sh, and after it the arguments of the Dockerfiles."""
    said: dict[str, tuple[str, str]] = {}
    dockerfiles = sorted(path.name for path in (tree.root / "container").glob("Dockerfile*"))
    for name in (_BUILD_SH, *(f"container/{file}" for file in dockerfiles)):
        for number, line in enumerate(tree.text(name).splitlines(), 1):
            found = _ASSIGNED.fullmatch(line)
            if found:
                said.setdefault(found[1].removeprefix(_DEFAULT), (found[2], f"{name}:{number}"))
    for arg in sorted(_ARGUMENTS & said.keys()):
        yield Pin(("args", arg), *said[arg])
    for framework in _FRAMEWORKS.values():
        for suffix in ("", "_CU13"):
            yield from _images(framework, suffix, said)


def _images(framework: str, suffix: str, said: dict[str, tuple[str, str]]) -> Iterator[Pin]:
    """The images of a framework for one CUDA version, which the tag of the base names."""
    own = framework.upper()
    tag, _ = said.get(f"{own}_BASE_IMAGE_TAG{suffix}", ("", ""))
    cuda = re.search(r"cuda(\d+\.\d+)", tag)
    if cuda is None:
        return
    for arg in ("BASE_IMAGE", "RUNTIME_IMAGE"):
        for name, variable in ((arg, f"{own}_{arg}"), (f"{arg}_TAG", f"{own}_{arg}_TAG{suffix}")):
            if variable in said:
                path = ("frameworks", framework, "devices", "cuda", "cuda", cuda[1], name)
                yield Pin(path, *said[variable])


def _toolchain(tree: SourceTree) -> Iterator[Pin]:
    channel = tree.toml(_TOOLCHAIN).get("toolchain", {}).get("channel")
    if isinstance(channel, str):
        yield Pin(("args", "RUST_VERSION"), channel, tree.place(_TOOLCHAIN, "channel"))


def _features(tree: SourceTree) -> Iterator[Pin]:
    """The cargo features that the tree's own build asks for, media's switch aside."""
    text = tree.text(_WHEELS)
    for found in re.finditer(r'maturin build [^\n]*--features "([\w,/-]*)"', text):
        if "media-ffmpeg" not in found[1]:
            number = text.count("\n", 0, found.start()) + 1
            yield Pin(("args", "MATURIN_FEATURES"), found[1], f"{_WHEELS}:{number}")
            break
    kvbm = re.search(r'KVBM_FEATURES="--features ([\w,/-]+)"', text)
    if kvbm:
        number = text.count("\n", 0, kvbm.start()) + 1
        for framework in ("vllm", "trtllm", "none"):
            path = ("frameworks", framework, "devices", "cuda", "args", "KVBM_FEATURES")
            yield Pin(path, kvbm[1], f"{_WHEELS}:{number}")


_EXTRAS = {"vllm": "vllm", "sglang": "sglang", "trtllm": "tensorrt-llm"}


def _engines(tree: SourceTree) -> Iterator[Pin]:
    """The versions of the engines that the extras of the package ask for."""
    extras = tree.toml(_PROJECT).get("project", {}).get("optional-dependencies", {})
    for framework, package in _EXTRAS.items():
        for requirement in extras.get(framework, ()):
            found = re.fullmatch(rf"{package}(?:\[([\w,-]*)\])?==([\w.+]+)", str(requirement))
            if found is None:
                continue
            place = tree.place(_PROJECT, str(requirement))
            if framework == "trtllm":
                yield Pin(("args", "TENSORRTLLM_PIP_WHEEL"), str(requirement), place)
                continue
            yield Pin(("args", f"{framework.upper()}_REF"), f"v{found[2]}", place)
            if framework == "vllm" and found[1]:
                yield Pin(("args", "VLLM_EXTRAS"), found[1], place)
