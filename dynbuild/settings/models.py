"""What the catalog and its overlays may say: types, not values.

The values are in ``templates/catalog.toml``.  All models are frozen and refuse unknown
keys; types are strict, so that ``NIXL_REF = 0.9`` is an error and not the text ``0.9``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    create_model,
    field_validator,
    model_validator,
)

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


Address = Annotated[str, AfterValidator(_address)]
"""What templates write into an instruction as it is."""

Word = Annotated[str, AfterValidator(_word)]
"""What templates write into a step of the shell as it is."""

Sha256 = Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]
"""A SHA-256 in hexadecimal, or empty where none is known."""


def _listed(value: object) -> object:
    """One text as a list of it, for a setting that mostly has one value."""
    return ([value] if value else []) if isinstance(value, str) else value


class Model(BaseModel):
    """Base of all models: frozen, strict, no unknown keys.

    Only the whole catalog is validated: no part of it has a validator of its own.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", defer_build=True)


class Request(Model):
    """What to build and how: every field has a flag, a variable and a catalog default."""

    release_line: str = Field(description="which versions: the catalog's own, or those of a line")
    framework: str
    target: str
    device: str
    cuda_version: str = Field(description="empty: the framework's default")
    platform: list[str]
    repository: str
    tag: list[str] = Field(description="empty: made by the template")
    tag_template: str = Field(description="version tags: text, with fields in braces")
    tag_latest: bool
    dynamo_wheels: str = Field(description="'source', or 'index==VERSION'")
    make_efa: bool = Field(description="also the image with AWS's EFA user space on it")
    build_epp: bool = Field(description="frontend: the tree builds the endpoint picker first")
    tensorrtllm_pip_wheel_dir: str = Field(description="trtllm: folder with the wheel")
    tensorrtllm_commit: str = Field(description="trtllm: git ref of that wheel")
    tensorrtllm_pip_wheel: str = Field(description="trtllm: requirement that pip takes")
    tensorrtllm_index_url: str = Field(description="trtllm: index of that requirement")
    tensorrtllm_git_url: str = Field(description="trtllm: repository to build the wheel from")
    output: Literal["load", "push", "none"]
    compression: Literal["gzip", "zstd"] = Field(description="of layers that a push makes")
    registry_timeout: str = Field(description="how long a registry may be silent in a push")
    retag: bool = Field(description="push over a tag that another cell's image has")
    require_clean: bool = Field(description="refuse a source tree with uncommitted changes")
    no_cache: bool
    allow_unversioned: bool = Field(description="push without a version of git's")
    cache_from: list[str]
    cache_to: list[str]
    use_sccache: Literal["", "s3", "local"] = Field(description="where compiled objects are kept")
    sccache_read_only: bool = Field(description="the compile cache is read and not written")
    sccache_optional: bool = Field(description="without a usable compile cache, build without it")
    cache: str = Field(description="build cache: registry[=REF], s3, local=DIR, gha; empty: none")
    network: Literal["default", "host"] = Field(description="network of build steps")
    uid: int | None = Field(default=None, ge=0, le=2**32 - 2)
    gid: int | None = Field(default=None, ge=0, le=2**32 - 2)

    _tags = field_validator("tag", mode="before")(_listed)


class Site(Model):
    """How this site reaches the outside: handed to build steps as secrets, never baked in."""

    ca_bundle: str = Field(description="file of PEM certificates; empty: the images' own")
    index_url: str = Field(description="Python package index; empty: the tools' default")
    apt_mirror: str = Field(description="takes the place of every host in apt's sources")
    dnf_mirror: str = Field(description="likewise for dnf")
    crates_index: str = Field(description="cargo's registry, as in its configuration")
    meson_packages: str = Field(description="folder with the archives of Meson's subprojects")
    git_auth_token: list[str] = Field(description="HOST=VARIABLE: who holds the token of a host")
    git_auth_header: list[str] = Field(description="likewise a whole Authorization header")
    netrc: str = Field(description="file of logins for the steps that download")


def _check_url(text: str) -> None:
    """Raise ``ValueError`` for what no step can download."""
    if not re.match(r"(?:https?|ftp)://[^/]|\$\{", text, re.IGNORECASE):
        raise ValueError("kind 'url' needs an address: https://…")


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
    packages: list[Word] = Field(default_factory=list)

    @model_validator(mode="after")
    def _complete(self) -> Source:
        needs: dict[str, tuple[str, ...]] = {
            "git": ("repo", "ref"),
            "url": ("url",),
            "apt": ("package",),
            "context": ("path",),
            "packages": ("packages",),
            "pypi": ("ref",),
            "none": (),
        }
        missing = [key for key in needs[self.kind] if not getattr(self, key)]
        if missing:
            raise ValueError(f"kind '{self.kind}' needs {' and '.join(missing)}")
        if self.kind == "url":
            _check_url(self.url)
        return self

    @property
    def has_tree(self) -> bool:
        """Whether there is a tree to build from."""
        return self.kind not in ("packages", "pypi", "none")


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
    files: list[Word] = Field(default_factory=list)
    url: dict[str, Address] = Field(default_factory=dict)
    sha256: dict[str, Sha256] = Field(default_factory=dict)
    packages: list[Word] = Field(default_factory=list)
    pypi: Word = ""

    @model_validator(mode="after")
    def _complete(self) -> Tool:
        needs: dict[str, tuple[str, ...]] = {
            "image": ("image", "files", "version"),
            "url": ("url", "version"),
            "apt": ("packages",),
            "pypi": ("pypi", "version"),
            "none": (),
        }
        missing = [key for key in needs[self.kind] if not getattr(self, key)]
        if missing:
            raise ValueError(f"kind '{self.kind}' needs {' and '.join(missing)}")
        if self.kind == "url":
            for url in self.url.values():
                _check_url(url)
        return self


Engine = Literal["stage", "wheel", "vendor", "complete", "none"]


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
    cuda: dict[str, Args] = Field(default_factory=dict)
    args: Args = Field(default_factory=dict)


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
    target_requirements: dict[str, list[Word]] = Field(
        default_factory=dict, description="of a target that takes other files than the rest"
    )
    dev_workspace: Literal["copied", "mounted"] = Field(
        description="whether dev images hold the source tree or wait for it to be mounted"
    )
    args: Args = Field(default_factory=dict)
    devices: dict[str, Device]


_KINDS = {"text": str, "integer": int, "switch": bool, "list": list[str]}
_FIELDS: dict[str, Any] = {
    option.name: (_KINDS[option.kind] | None, None) for option in run_options.SETTINGS
}

if TYPE_CHECKING:

    class RunProfile(Model):
        """Options of ``dynbuild run``; what is left out is as in ``[run]``."""

else:
    # The fields are the options that ``run_options`` declares.
    RunProfile = create_model("RunProfile", __base__=Model, __module__=__name__, **_FIELDS)


class Run(RunProfile):
    """Defaults of ``dynbuild run``, and named sets of changes to them."""

    profile: str | None = Field(default=None, description="the set that is taken without a flag")
    profiles: dict[str, RunProfile] = Field(default_factory=dict)


class TensorrtLlm(Model):
    """How TensorRT-LLM's wheel is found.

    The published wheels of the *abi_incompatible* versions do not fit NVIDIA's PyTorch;
    theirs is in the *release_image* of that tag.
    """

    release_image: str
    abi_incompatible: list[str]


class Matrix(Model):
    """A set of cells, by axes and by globs of their ids (``dynbuild.plan.selection``).

    An axis that is left out has all its values; of the release lines, that of the request.
    *cells* has settings for the cells that a glob means, as a settings file has them.
    """

    extends: list[str] = Field(default_factory=list, description="matrices that this one changes")
    frameworks: list[str] | None = None
    targets: list[str] | None = None
    devices: list[str] | None = None
    cuda: list[str] | None = None
    lines: list[str] | None = None
    include: list[str] = Field(default_factory=list, description="globs of cells besides")
    exclude: list[str] = Field(default_factory=list, description="globs of cells left out")
    cells: dict[str, dict[str, Any]] = Field(default_factory=dict)

    _listed = field_validator("extends", mode="before")(_listed)


class Test(Model):
    """A command that has to go well in an image before its tags move."""

    name: str
    command: str | list[str] = Field(description="a line for sh, or words")
    cells: list[str] = Field(default_factory=lambda: ["*"], description="globs of ids")
    user: str = Field(default="", description="empty: the image's own")
    timeout: str = "5m"


class Argument(Model):
    """What a build argument is.  The catalog says it beside the value, and only there."""

    kind: ArgumentKind
    help: str = Field(description="what it is the version, address or number of")
    empty: str = Field(default="", description="what an empty value means; else it has one")
    words: list[str] = Field(default_factory=list, description="taken besides; * is anything")
    bounds: tuple[int, int] | None = Field(default=None, description="of a whole number")
    parts: tuple[int, int] | None = Field(
        default=None, description="how many numbers, of a version"
    )
    noun: str = Field(default="", description="what messages call a value")
    per_build: bool = Field(default=False, description="no value of the rendered file")
    unkeyed: bool = Field(
        default=False, description="no part of the cache key of the steps that use it"
    )

    @field_validator("bounds", "parts", mode="before")
    @classmethod
    def _pair(cls, value: object) -> object:
        return tuple(value) if isinstance(value, list) else value


class Catalog(Model):
    """The whole of the settings after all layers are combined."""

    format: Literal[1]
    request: Request
    site: Site
    mirrors: dict[str, str] = Field(default_factory=dict)
    contexts: dict[str, str] = Field(default_factory=dict)
    args: Args
    arguments: dict[str, Argument] = Field(description="what each of *args* is")
    tools: dict[str, Tool]
    sources: dict[str, Source]
    frameworks: dict[str, Framework]
    tensorrt_llm: TensorrtLlm
    run: Run
    matrix: dict[str, Matrix] = Field(default_factory=dict)
    test: list[Test] = Field(default_factory=list, description="run in images by `matrix`")


CLOSED_TABLES = ("args", "tools", "sources", "frameworks")
"""Tables whose keys the catalog fixes: an overlay changes an entry, but adds none, because
no template would use it."""


def keys_at(path: tuple[str, ...]) -> tuple[str, ...] | None:
    """The keys that the table at *path* may have; ``None`` where any key is allowed."""
    annotation: Any = Catalog
    for key in path:
        fields = getattr(annotation, "model_fields", None)
        if fields is not None:
            if key not in fields:
                return ()
            annotation = fields[key].annotation
        elif getattr(annotation, "__origin__", None) is dict:
            annotation = annotation.__args__[1]
        else:
            return ()
        annotation = getattr(annotation, "__value__", annotation)
    fields = getattr(annotation, "model_fields", None)
    if fields is None:
        return None
    # What arguments are is said in the catalog's own ``[args]``, and nowhere else.
    return tuple(key for key in fields if path or key != "arguments")
