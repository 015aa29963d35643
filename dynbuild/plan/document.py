"""The plan as a document: typed, frozen, and what ``dynbuild plan --format json`` prints."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import field
from typing import Any, ClassVar, Literal

from dynbuild import checked
from dynbuild.checked import Document, adapter, described, plain
from dynbuild.image_id import ImageId
from dynbuild.quick import dataclass
from dynbuild.settings.layers import Origin

LINK = "target:"
"""Before the name of an image of the same plan, in place of a build context's folder."""


@dataclass(frozen=True, kw_only=True)
class PlannedVersion(Document):
    """The derived version (see ``dynbuild.plan.version.Version``)."""

    tag: str
    python: str
    commit: str
    dirty: bool
    origin: str


@dataclass(frozen=True, kw_only=True)
class Place(Document):
    """A remote place that the build of an image contacts (see ``dynbuild.plan.remote``)."""

    image: str = ""
    stage: str
    kind: str = described("image, git, download, apt, dnf, python, crates, meson, …")
    address: str
    covered_by: str = described("who names it; empty: it is the catalog's public one")


@dataclass(frozen=True, kw_only=True)
class ImagePlan(Document):
    """One image, completely decided."""

    name: str = described("id of the image: framework-target-device[cuda][+variant]")
    framework: str
    target: str
    stage: str = described("the stage of the Dockerfile that becomes the image")
    device: str
    cuda_version: str | None = described("null on a device without CUDA")
    variant: str = described("what is not the default: release line, published wheels; else empty")
    release_line: str = described("which versions the image has")
    platforms: tuple[str, ...]
    dockerfile: str = described("file name of the rendered Dockerfile")
    tags: tuple[str, ...]
    build_args: dict[str, str] = described("value of every build argument")
    origins: dict[str, str] = described("where each of build_args came from, to read")
    set_by: dict[str, Origin] = described("the same in parts")
    unset: dict[str, str] = described("what the empty ones of build_args mean")
    used_by: dict[str, tuple[str, ...]] = described(
        "stages that each of build_args is used in: they, and those on them, are "
        "built anew for another value, unless it is one of unkeyed_args"
    )
    unkeyed_args: tuple[str, ...] = described(
        "those of build_args that say how fast a step runs or where its compile cache "
        "is, not what it makes: another value builds nothing anew",
        default=(),
    )
    passed_args: tuple[str, ...] = described(
        "arguments that BuildKit knows by itself, such as proxies; names only"
    )
    passed_by: dict[str, str] = described(
        "where each of passed_args came from, to read", default_factory=dict
    )
    labels: dict[str, str]
    secrets: tuple[str, ...] = described("ids of the BuildKit secrets")
    ssh: bool = described(
        "whether git fetches something with a key of the ssh agent", default=False
    )
    contexts: dict[str, str] = described("named build contexts")
    cache_from: tuple[str, ...]
    cache_to: tuple[str, ...]
    output: Literal["load", "push", "none"]
    compression: Literal["gzip", "zstd", "none"] = described(
        "of the layers that are made; zstd only of those that a push makes", default="gzip"
    )
    retag: bool = described("push over a tag that another cell's image has", default=False)
    no_cache: bool
    depends_on: tuple[str, ...] = described("names of images this one is built on")

    def _problem(self) -> str:
        same = self.origins == {arg: str(origin) for arg, origin in self.set_by.items()}
        return "" if same else "origins and set_by say different things"

    @property
    def id(self) -> ImageId:
        """What the image is called."""
        cuda = self.cuda_version or ""
        return ImageId(self.framework, self.target, self.device, cuda, self.variant)

    @property
    def keyed(self) -> ImagePlan:
        """The plan without the values that decide nothing of what is made."""
        keyed: dict[str, Any] = {
            table: {arg: one for arg, one in getattr(self, table).items() if arg in self.keyed_args}
            for table in ("build_args", "origins", "set_by", "unset")
        }
        return dataclasses.replace(self, **keyed)

    @property
    def keyed_args(self) -> dict[str, str]:
        """Those of ``build_args`` that decide what is made: each is an ARG of the Dockerfile."""
        return {
            arg: value for arg, value in self.build_args.items() if arg not in self.unkeyed_args
        }

    @property
    def handed_args(self) -> dict[str, str]:
        """The other ones that have a value: the steps that use them get it as a secret."""
        values = ((arg, self.build_args.get(arg, "")) for arg in self.unkeyed_args)
        return {arg: value for arg, value in values if value}


@dataclass(frozen=True, kw_only=True)
class Preparation(Document):
    """A command that runs before the solve, because what it makes is an input of it."""

    what: Literal["epp", "trtllm_wheel"]
    argv: tuple[str, ...]
    makes: str = described("image reference or folder")


@dataclass(frozen=True, kw_only=True)
class PlanDocument(Document):
    """Everything that one command will build; what it prints can be read again."""

    __pydantic_config__: ClassVar[Mapping[str, object]] = {
        "extra": "forbid",
        "populate_by_name": True,
    }

    format: Literal[1] = field(default=1, metadata={"alias": "schema"})
    version: PlannedVersion
    context: str = described("folder that COPY reads from")
    network: Literal["default", "host"] = described(
        "network of build steps; the engine may have only the host's", default="default"
    )
    before: tuple[Preparation, ...] = described(
        "commands that run first, in the context folder", default=()
    )
    images: tuple[ImagePlan, ...]
    warnings: tuple[str, ...] = ()
    remote: tuple[Place, ...] | None = described("every remote place, with --offline", default=None)

    def document(self) -> dict[str, Any]:
        """The plan as the JSON object of the interface."""
        whole: dict[str, Any] = plain(self)
        if self.remote is None:
            del whole["remote"]
        return whole

    @classmethod
    def parse(cls, text: bytes) -> PlanDocument:
        """The plan that *text* holds.

        Raises:
            ValueError: It is no JSON, or no plan.
        """
        plan: PlanDocument = adapter(PlanDocument).validate_json(text)
        return plan


def schema() -> dict[str, Any]:
    """JSON Schema of ``PlanDocument.document()``."""
    return checked.schema(PlanDocument)
