"""What the templates may decide on: the facts of one image that change its *text*.

Everything that only changes a *value* is a build argument; the text stays the same, and
so does the cache of every stage that does not use it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from dynbuild.errors import RequestError
from dynbuild.plan import matrix, mirrors
from dynbuild.plan.decision import Values
from dynbuild.plan.matrix import Cell
from dynbuild.plan.mirrors import Reach
from dynbuild.quick import dataclass
from dynbuild.settings.cell import engine_of
from dynbuild.settings.load import Settings
from dynbuild.settings.models import Source, Tool


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The facts that shape a Dockerfile.

    Attributes:
        framework: vllm, trtllm, sglang, none.
        target: The image that is wanted, which is also the last stage.
        device: cuda, xpu or cpu.
        builder: ``manylinux`` or ``base``: what is compiled in.
        cuda: CUDA version as in the catalog, empty without it.
        dynamo_wheels: ``source`` (built from the context) or ``index`` (published).
        kvbm: The KV cache block manager is built and installed.
        gms: The GPU memory service is built and installed.
        media_ffmpeg: FFmpeg is built, shipped and used by the runtime wheel.
        media_nixl: The runtime wheel decodes media into NIXL memory.
        sources: Where each component's source comes from.
        tools: Where each tool comes from.
        engine: Where the inference engine comes from (``dynbuild.settings.models.Framework``).
        requirements: Files of Python requirements of the runtime, below ``container/deps``.
        dev_requirements: Those that developers add.
        target_requirements: Those of a target that takes other ones than the rest.
        dev_workspace: ``copied`` or ``mounted``: how the tree gets into dev images.
        compile_cache: ``s3`` or ``local``: where sccache keeps compiled objects; else empty.
        jit: A CUDA compiler comes with the engine's wheels, for kernels compiled as it serves.
        local_wheel: The engine's wheel comes from a folder (trtllm).
        linked: A stage that another image of the same build brings; empty if none does.
        site: Steps that go to the network run the site's script first (``mirrors.script``).
        meson_packages: Meson's subprojects come from a build context of that name.
        per_build: Arguments whose values are a build's and stand in no rendered file.
        unkeyed: Arguments that are no part of a step's cache key: they reach it as secrets.
    """

    framework: str
    target: str
    device: str
    builder: str
    cuda: str
    dynamo_wheels: str
    kvbm: bool
    gms: bool
    media_ffmpeg: bool
    media_nixl: bool
    sources: Mapping[str, Source]
    tools: Mapping[str, Tool]
    engine: str = "none"
    requirements: tuple[str, ...] = ()
    dev_requirements: tuple[str, ...] = ()
    target_requirements: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    dev_workspace: str = "copied"
    compile_cache: str = ""
    jit: bool = False
    local_wheel: bool = False
    linked: str = ""
    site: bool = False
    meson_packages: bool = False
    per_build: frozenset[str] = frozenset()
    unkeyed: frozenset[str] = frozenset()

    @property
    def builder_distro(self) -> str:
        """Package manager of the build stages: ``dnf`` in manylinux, else the base's ``apt``."""
        return "dnf" if self.builder == "manylinux" else "apt"

    @property
    def builder_image(self) -> tuple[str, str]:
        """The arguments that name the image in which things are compiled."""
        manylinux = ("MANYLINUX_IMAGE", "MANYLINUX_TAG")
        return manylinux if self.builder == "manylinux" else ("BASE_IMAGE", "BASE_IMAGE_TAG")

    @property
    def image_below(self) -> tuple[str, str]:
        """The arguments that name the image that the runtime image stands on."""
        own = ("BASE_IMAGE", "BASE_IMAGE_TAG")
        return own if self.engine == "none" else ("RUNTIME_IMAGE", "RUNTIME_IMAGE_TAG")

    @property
    def brings_cuda(self) -> bool:
        """Whether the CUDA toolkit is copied from the base image to where it compiles."""
        return self.device == "cuda" and self.builder == "manylinux"

    @property
    def compiles_for_xpu(self) -> bool:
        """Whether the base image lacks what UCX needs for Intel's GPUs: a vendor's has it."""
        return self.device == "xpu" and self.engine == "stage"

    @property
    def components(self) -> tuple[str, ...]:
        """The native components of this image, in an order that builds.

        A GPU brings gdrcopy and libfabric; vllm on a GPU also the AWS SDK, for NIXL's
        object-store plug-in. A source without a tree takes its component out.
        """
        cuda = self.device == "cuda"
        wanted = {
            "gdrcopy": cuda,
            "ffmpeg": self.media_ffmpeg,
            "ucx": True,
            "libfabric": cuda,
            "aws_sdk_cpp": cuda and self.framework == "vllm",
            "nixl": True,
        }
        return tuple(
            name for name, wants in wanted.items() if wants and self.sources[name].has_tree
        )

    def requirements_of(self, target: str) -> tuple[str, ...]:
        """The files of requirements that *target* installs, where it takes any from the tree."""
        return self.target_requirements.get(target, self.requirements)

    def requirements_apart(self, target: str) -> bool:
        """Whether *target* has what Dynamo's wheels ask for in a layer of its own, before them.

        Files of the tree that are installed first have most of it, and an engine's complete
        image has all of it.
        """
        general = () if (self.engine, target) == ("none", "runtime") else self.requirements
        files = self.target_requirements.get(target, general)
        return self.engine == "wheel" or not (
            self.engine == "complete" or (self.from_source and files)
        )

    @property
    def has_overrides(self) -> bool:
        """Whether the engine's stage leaves a file of what takes the place of requirements."""
        return self.engine == "wheel" or (self.engine == "stage" and self.device == "xpu")

    def has(self, component: str) -> bool:
        """Whether *component* is part of this image."""
        return component in self.components

    @property
    def nixl_wheel(self) -> str:
        """The argument with the version of NIXL's published wheels; empty where none are taken.

        There are some for CUDA alone.
        """
        source = self.sources["nixl"]
        return source.ref if source.kind == "pypi" and self.cuda else ""

    @property
    def ucx_in_wheel(self) -> bool:
        """Whether an engine that loads NVSHMEM has its UCX in NIXL's wheel, under names of its own.

        NVSHMEM asks for UCX by its plain names: SGLang's processes would load two.
        """
        wheel = bool(self.nixl_wheel) or self.engine == "complete"
        return self.framework == "sglang" and bool(self.cuda) and wheel

    @property
    def jit_home(self) -> str:
        """The folder of the CUDA compiler that comes with an engine from wheels; empty without."""
        if not (self.jit and self.engine == "wheel" and self.cuda):
            return ""
        site = "/opt/dynamo/venv/lib/python${PYTHON_VERSION}/site-packages"
        return f"{site}/nvidia/cu{self.cuda_major}"

    @property
    def from_source(self) -> bool:
        """Whether the Dynamo wheels are built from the build context."""
        return self.dynamo_wheels == "source"

    @property
    def dynamo_wheel_stages(self) -> tuple[str, ...]:
        """The stages of the wheels without which there is no Dynamo."""
        if not self.from_source:
            return ("dynamo_wheels",)
        return ("ai_dynamo_wheel", "ai_dynamo_runtime_wheel")

    @property
    def wheels(self) -> tuple[str, ...]:
        """The wheel stages of this image, without those of NIXL."""
        if not self.from_source:
            return self.dynamo_wheel_stages
        optional = (("kvbm_wheel", self.kvbm), ("gms_wheel", self.gms))
        return (
            *self.dynamo_wheel_stages,
            *(name for name, wanted in optional if wanted),
        )

    @property
    def toolchain(self) -> str:
        """The richest stage of compilers that this image needs, if it needs any."""
        if self.from_source:
            return "rust_tools"
        if self.has("nixl"):
            return "python_tools"
        return "build_tools" if self.components else "base"

    @property
    def compile_cache_args(self) -> tuple[str, ...]:
        """The arguments that a stage which compiles needs for the compile cache."""
        where = self.compile_cache_place if self.compile_cache == "s3" else ()
        return ("USE_SCCACHE", *where) if self.compile_cache else ()

    @property
    def compile_cache_place(self) -> tuple[str, ...]:
        """The arguments that say where in S3 it is; the text has them for a local one too."""
        if not self.compile_cache:
            return ()
        bucket = ("SCCACHE_BUCKET", "SCCACHE_REGION", "SCCACHE_PREFIX", "SCCACHE_S3_RW_MODE")
        return (*bucket, "SCCACHE_ENDPOINT", "SCCACHE_S3_USE_SSL")

    @property
    def cuda_major(self) -> str:
        """``12`` or ``13``; empty without CUDA."""
        return self.cuda.partition(".")[0]

    def distribution(self, *components: str) -> tuple[str, ...]:
        """The distribution's binary packages of those *components* that come as packages."""
        return tuple(
            package
            for name in components
            if self.sources[name].kind == "packages"
            for package in self.sources[name].packages
        )

    def packaged(self, tool: str) -> bool:
        """Whether *tool* is a package of the distribution, installed in place."""
        return self.tools[tool].kind == "apt"

    def staged(self, tool: str) -> bool:
        """Whether *tool* has a stage of its own, from which its files are copied."""
        return self.tools[tool].kind in ("image", "url", "pypi")

    def packages(self, *tools: str) -> tuple[str, ...]:
        """The distribution packages of those *tools* that come as packages."""
        return tuple(
            package
            for tool in tools
            if self.packaged(tool)
            for package in self.tools[tool].packages
        )


def of(config: Settings, cell: Cell, values: Values, reach: Reach) -> Recipe:
    """The recipe of the image of *cell*.

    Raises:
        RequestError: Something is asked for that there is not as a published wheel.
    """
    catalog = config.catalog
    framework = catalog.frameworks[cell.id.framework]
    row = framework.devices[cell.id.device]
    engine = engine_of(config, cell.id.framework, cell.id.device)
    wheels = matrix.dynamo_wheels(config).way

    def on(arg: str) -> bool:
        return bool(values[arg].value == "true")

    if wheels == "index" and on("ENABLE_GPU_MEMORY_SERVICE"):
        raise RequestError(
            "the GPU memory service has no published wheel",
            origin=str(values["ENABLE_GPU_MEMORY_SERVICE"].origin),
            hint="use --dynamo-wheels source, or --no-enable-gpu-memory-service",
        )
    _check_published(config, cell, engine)
    return Recipe(
        framework=cell.id.framework,
        target=cell.id.target,
        device=cell.id.device,
        builder=row.builder,
        cuda=cell.id.cuda,
        dynamo_wheels=wheels,
        kvbm=on("ENABLE_KVBM"),
        gms=on("ENABLE_GPU_MEMORY_SERVICE"),
        media_ffmpeg=on("ENABLE_MEDIA_FFMPEG"),
        media_nixl=on("ENABLE_MEDIA_NIXL"),
        sources=reach.sources,
        tools=reach.tools,
        engine=engine,
        requirements=tuple(framework.requirements),
        dev_requirements=tuple(framework.dev_requirements),
        target_requirements={
            target: tuple(files) for target, files in framework.target_requirements.items()
        },
        dev_workspace=framework.dev_workspace,
        compile_cache=catalog.request.use_sccache,
        jit=bool(values["ENGINE_COMPILER"].value),
        local_wheel=values["HAS_TRTLLM_CONTEXT"].value == "1",
        linked=cell.link.stage if cell.link else "",
        site=mirrors.needs_script(catalog),
        meson_packages=bool(catalog.site.meson_packages),
        per_build=frozenset(arg for arg, one in catalog.arguments.items() if one.per_build),
        unkeyed=frozenset(arg for arg, one in catalog.arguments.items() if one.unkeyed),
    )


def _check_published(config: Settings, cell: Cell, engine: str) -> None:
    """Refuse sources and engines that are said to come from wheels and have none."""
    for name, source in config.catalog.sources.items():
        if source.kind == "pypi" and name != "nixl":
            raise RequestError(
                f"{name} is on no package index",
                origin=str(config.origin("sources", name, "kind")),
                hint="of the sources, nixl alone has published wheels",
            )
    if engine == "wheel" and cell.id.framework not in ("vllm", "sglang"):
        raise RequestError(
            f"{cell.id.framework} has no published wheels of an engine",
            origin=str(config.origin("frameworks", cell.id.framework, "engine")),
            hint="vllm and sglang have",
        )
