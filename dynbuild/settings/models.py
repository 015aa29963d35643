"""What the catalog and its overlays may say: types, not values.

The values are in ``templates/catalog.toml``.  All models are frozen and refuse unknown
keys; types are strict, so that ``NIXL_REF = 0.9`` is an error and not the text ``0.9``.
They are checked by ``dynbuild.settings.validation``; annotations are types and no texts here,
since ``keys_at`` walks them.
"""

import dataclasses
import re
from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from dynbuild.checked import Check, Document, described
from dynbuild.quick import dataclass
from dynbuild.settings import run_options

Args = dict[str, str]
"""Build arguments by name; the values are text, as in a Dockerfile."""

ArgumentKind = Literal[
    "ref", "version", "image", "tag", "reference", "int", "switch", "choice", "url", "names",
    "path", "date", "text",
]  # fmt: skip
"""What the value of an argument is (``dynbuild.plan.kinds``)."""

PASSED_THROUGH = frozenset(
    name
    for base in ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
    for name in (base, base.lower())
) | {"SOURCE_DATE_EPOCH", "BUILDKIT_MULTI_PLATFORM", "BUILDKIT_INLINE_CACHE"}
"""Arguments that BuildKit knows without a declaration."""


def _address(text: str) -> str:
    if not re.fullmatch(r"(?:[^\s\"'\\$\x00-\x1f\x7f]|\$\{\w+\})*", text):
        raise ValueError("it has a blank, a quote or another sign that ends a word of a Dockerfile")
    return text


def _word(text: str) -> str:
    if re.search(r"[`;&|<>()]", _address(text)):
        raise ValueError("it has a sign that a shell would take for its own")
    return text


def _sha256(text: str) -> str:
    if not re.fullmatch(r"(?:[0-9a-f]{64})?", text):
        raise ValueError("it must be 64 hexadecimal digits, or empty")
    return text


Address = Annotated[str, Check(_address)]
"""What templates write into an instruction as it is."""

Word = Annotated[str, Check(_word)]
"""What templates write into a step of the shell as it is."""

Sha256 = Annotated[str, Check(_sha256)]
"""A SHA-256 in hexadecimal, or empty where none is known."""


def _listed(value: object) -> object:
    """One text as a list of it, for a setting that mostly has one value."""
    return ([value] if value else []) if isinstance(value, str) else value


def _pair(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


Words = Annotated[list[str], Check(_listed, "before")]
"""Texts, or one of them."""

Pair = Annotated[tuple[int, int], Check(_pair, "before")]
"""Two whole numbers, in a list."""


class Model(Document):
    """Base of all models: strict, no unknown keys."""

    __slots__ = ()
    __pydantic_config__: ClassVar[Mapping[str, object]] = {"strict": True, "extra": "forbid"}


_AN_ID = {"ge": 0, "le": 2**32 - 2}


@dataclass(frozen=True, kw_only=True)
class Request(Model):
    """What to build and how: every field has a flag, a variable and a catalog default."""

    release_line: str = described("which versions: the catalog's own, or those of a line")
    framework: str
    target: str
    device: str
    cuda_version: str = described("empty: the framework's default")
    platform: list[str]
    repository: str
    tag: Words = described("empty: made by the template")
    tag_template: str = described("version tags: text, with fields in braces")
    tag_latest: bool
    dynamo_wheels: str = described("'source', or 'index==VERSION'")
    make_efa: bool = described("also the image with AWS's EFA user space on it")
    build_epp: bool = described("frontend: the tree builds the endpoint picker first")
    tensorrtllm_pip_wheel_dir: str = described("trtllm: folder with the wheel")
    tensorrtllm_commit: str = described("trtllm: git ref of that wheel")
    tensorrtllm_pip_wheel: str = described("trtllm: requirement that pip takes")
    tensorrtllm_index_url: str = described("trtllm: index of that requirement")
    tensorrtllm_git_url: str = described("trtllm: repository to build the wheel from")
    output: Literal["load", "push", "none"]
    compression: Literal["gzip", "zstd", "none"] = described(
        "of layers that are made; zstd only of those that a push makes"
    )
    registry_timeout: str = described("how long a registry may be silent in a push")
    retag: bool = described("push over a tag that another cell's image has")
    require_clean: bool = described("refuse a source tree with uncommitted changes")
    no_cache: bool
    allow_unversioned: bool = described("push without a version of git's")
    cache_from: list[str]
    cache_to: list[str]
    use_sccache: Literal["", "s3", "local"] = described("where compiled objects are kept")
    sccache_read_only: bool = described("the compile cache is read and not written")
    sccache_optional: bool = described("without a usable compile cache, build without it")
    cache: str = described("build cache: registry[=REF], s3, local=DIR, gha; empty: none")
    network: Literal["default", "host"] = described("network of build steps")
    uid: int | None = field(default=None, metadata=_AN_ID)
    gid: int | None = field(default=None, metadata=_AN_ID)


@dataclass(frozen=True, kw_only=True)
class Site(Model):
    """How this site reaches the outside: handed to build steps as secrets, never baked in."""

    ca_bundle: str = described("file of PEM certificates; empty: the images' own")
    index_url: str = described("Python package index; empty: the tools' default")
    apt_mirror: str = described("takes the place of every host in apt's sources")
    dnf_mirror: str = described("likewise for dnf")
    crates_index: str = described("cargo's registry, as in its configuration")
    meson_packages: str = described("folder with the archives of Meson's subprojects")
    git_auth_token: list[str] = described("HOST=VARIABLE: who holds the token of a host")
    git_auth_header: list[str] = described("likewise a whole Authorization header")
    netrc: str = described("file of logins for the steps that download")


def _incomplete(entry: Any, needs: Mapping[str, tuple[str, ...]], urls: Iterable[str]) -> str:
    """What a source or a tool of its kind lacks, with *urls* to download from; empty: nothing."""
    missing = [key for key in needs[entry.kind] if not getattr(entry, key)]
    if missing:
        return f"kind '{entry.kind}' needs {' and '.join(missing)}"
    right = all(re.match(r"(?:https?|ftp)://[^/]|\$\{", url, re.IGNORECASE) for url in urls)
    return "" if right or entry.kind != "url" else "kind 'url' needs an address: https://…"


@dataclass(frozen=True, kw_only=True)
class Source(Model):
    """Where the source tree of a component comes from.

    ``git``: *repo* at the ref in the argument *ref*; ``url``: the tarball *url* (its one
    top folder stripped); ``apt``: the distribution's source *package* of *suite*;
    ``context``: the local *path*; ``packages``: nothing is compiled, the distribution's
    binary *packages* are installed; ``pypi``: likewise the published wheels of the version
    in the argument *ref*; ``none``: the component is left out.
    """

    kind: Literal["git", "url", "apt", "context", "packages", "pypi", "none"]
    repo: Address = ""
    ref: Word = ""
    url: Address = ""
    sha256: Sha256 = ""
    package: Word = ""
    suite: Word = ""
    path: str = ""
    packages: list[Word] = field(default_factory=list)

    def _problem(self) -> str:
        needs: dict[str, tuple[str, ...]] = {
            "git": ("repo", "ref"),
            "url": ("url",),
            "apt": ("package",),
            "context": ("path",),
            "packages": ("packages",),
            "pypi": ("ref",),
            "none": (),
        }
        return _incomplete(self, needs, [self.url])

    @property
    def has_tree(self) -> bool:
        """Whether there is a tree to build from."""
        return self.kind not in ("packages", "pypi", "none")


@dataclass(frozen=True, kw_only=True)
class Tool(Model):
    """Where a tool comes from.

    ``image``: the *files* of a container *image*; ``url``: the download *url* for each
    architecture with its checksum; ``apt``: *packages* of the distribution; ``pypi``: the
    package *pypi* of the Python package index; ``none``: the tool is left out.
    *version* names the argument that holds the version; ``apt`` takes the distribution's.
    """

    kind: Literal["image", "url", "apt", "pypi", "none"]
    version: Word = ""
    image: Address = ""
    files: list[Word] = field(default_factory=list)
    url: dict[str, Address] = field(default_factory=dict)
    sha256: dict[str, Sha256] = field(default_factory=dict)
    packages: list[Word] = field(default_factory=list)
    pypi: Word = ""

    def _problem(self) -> str:
        needs: dict[str, tuple[str, ...]] = {
            "image": ("image", "files", "version"),
            "url": ("url", "version"),
            "apt": ("packages",),
            "pypi": ("pypi", "version"),
            "none": (),
        }
        return _incomplete(self, needs, self.url.values())


Engine = Literal["stage", "wheel", "vendor", "complete", "none"]


@dataclass(frozen=True, kw_only=True)
class Device(Model):
    """What a framework has on one device: its CUDA versions (none without it) and arguments.

    *builder* says what is compiled in: ``manylinux``, PyPA's image, whose old C library lets
    what is compiled run on any distribution; ``base``, the base image, with the distribution's
    compilers. *engine* is where this device's inference engine comes from, if not from where
    the framework's does.
    """

    platforms: list[str]
    builder: Literal["manylinux", "base"] = "base"
    engine: Engine | None = None
    cuda: dict[str, Args] = field(default_factory=dict)
    args: Args = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Framework(Model):
    """One row of the matrix: what can be built for an inference framework.

    *engine* says where the inference engine comes from: ``stage``, it is installed in a
    stage ``framework``; ``wheel``, likewise, but from its published wheels alone;
    ``vendor``, the runtime image is the vendor's own and has it;
    ``complete``, likewise, and it has all that Dynamo's wheels ask for; ``none``, there is none.
    The requirements are file names below ``container/deps`` of the source tree: what the
    runtime needs, and what developers add.
    """

    targets: list[str]
    cuda_default: str
    engine: Engine
    requirements: list[Word]
    dev_requirements: list[Word]
    target_requirements: dict[str, list[Word]] = described(
        "of a target that takes other files than the rest", default_factory=dict
    )
    dev_workspace: Literal["copied", "mounted"] = described(
        "whether dev images hold the source tree or wait for it to be mounted"
    )
    args: Args = field(default_factory=dict)
    devices: dict[str, Device]


_KINDS = {"text": str, "integer": int, "switch": bool, "list": list[str]}

if TYPE_CHECKING:

    class RunProfile(Model):
        """Options of ``dynbuild run``; what is left out is as in ``[run]``."""

else:
    # The fields are the options that ``run_options`` declares.
    _FIELDS = {option.name: _KINDS[option.kind] | None for option in run_options.SETTINGS}
    RunProfile = dataclass(frozen=True, kw_only=True)(
        type(
            "RunProfile",
            (Model,),
            {"__module__": __name__, "__annotations__": _FIELDS} | dict.fromkeys(_FIELDS),
        )
    )


@dataclass(frozen=True, kw_only=True)
class Run(RunProfile):
    """Defaults of ``dynbuild run``, and named sets of changes to them."""

    profile: str | None = described("the set that is taken without a flag", default=None)
    profiles: dict[str, RunProfile] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class TensorrtLlm(Model):
    """How TensorRT-LLM's wheel is found.

    The published wheels of the *abi_incompatible* versions do not fit NVIDIA's PyTorch;
    theirs is in the *release_image* of that tag.
    """

    release_image: str
    abi_incompatible: list[str]


@dataclass(frozen=True, kw_only=True)
class Matrix(Model):
    """A set of cells, by axes and by globs of their ids (``dynbuild.plan.selection``).

    An axis that is left out has all its values; of the release lines, that of the request.
    *cells* has settings for the cells that a glob means, as a settings file has them.
    """

    extends: Words = described("matrices that this one changes", default_factory=list)
    frameworks: list[str] | None = None
    targets: list[str] | None = None
    devices: list[str] | None = None
    cuda: list[str] | None = None
    lines: list[str] | None = None
    include: list[str] = described("globs of cells besides", default_factory=list)
    exclude: list[str] = described("globs of cells left out", default_factory=list)
    cells: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Test(Model):
    """A command that has to go well in an image before its tags move."""

    name: str
    command: str | list[str] = described("a line for sh, or words")
    cells: list[str] = described("globs of ids", default_factory=lambda: ["*"])
    user: str = described("empty: the image's own", default="")
    timeout: str = "5m"


@dataclass(frozen=True, kw_only=True)
class Argument(Model):
    """What a build argument is.  The catalog says it beside the value, and only there."""

    kind: ArgumentKind
    help: str = described("what it is the version, address or number of")
    empty: str = described("what an empty value means; else it has one", default="")
    words: list[str] = described("taken besides; * is anything", default_factory=list)
    bounds: Pair | None = described("of a whole number", default=None)
    parts: Pair | None = described("how many numbers, of a version", default=None)
    noun: str = described("what messages call a value", default="")
    per_build: bool = described("no value of the rendered file", default=False)
    unkeyed: bool = described("no part of the cache key of the steps that use it", default=False)


@dataclass(frozen=True, kw_only=True)
class Catalog(Model):
    """The whole of the settings after all layers are combined."""

    format: Literal[1]
    request: Request
    site: Site
    mirrors: dict[str, str] = field(default_factory=dict)
    contexts: dict[str, str] = field(default_factory=dict)
    args: Args
    arguments: dict[str, Argument] = described("what each of *args* is")
    tools: dict[str, Tool]
    sources: dict[str, Source]
    frameworks: dict[str, Framework]
    tensorrt_llm: TensorrtLlm
    run: Run
    matrix: dict[str, Matrix] = field(default_factory=dict)
    test: list[Test] = described("run in images by `matrix`", default_factory=list)


CLOSED_TABLES = ("args", "tools", "sources", "frameworks")
"""Tables whose keys the catalog fixes: an overlay changes an entry, but adds none, because
no template would use it."""


def keys_at(path: tuple[str, ...]) -> tuple[str, ...] | None:
    """The keys that the table at *path* may have; ``None`` where any key is allowed."""
    annotation: Any = Catalog
    for key in path:
        if dataclasses.is_dataclass(annotation):
            fields = {one.name: one.type for one in dataclasses.fields(annotation)}
            if key not in fields:
                return ()
            annotation = fields[key]
        elif getattr(annotation, "__origin__", None) is dict:
            annotation = annotation.__args__[1]
        else:
            return ()
    if not dataclasses.is_dataclass(annotation):
        return None
    # What arguments are is said in the catalog's own ``[args]``, and nowhere else.
    names = (one.name for one in dataclasses.fields(annotation))
    return tuple(name for name in names if path or name != "arguments")
