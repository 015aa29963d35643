"""The plan as a document: typed, frozen, and what ``dynbuild plan --format json`` prints."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from dynbuild.image_id import ImageId
from dynbuild.settings.layers import Origin

LINK = "target:"
"""Before the name of an image of the same plan, in place of a build context's folder."""


class _Model(BaseModel):
    # A plan's own values are put in as they are (model_construct): a type checker has seen them.
    # So a model is compiled only where a document is read or written.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class PlannedVersion(_Model):
    """The derived version (see ``dynbuild.plan.version.Version``)."""

    tag: str
    python: str
    commit: str
    dirty: bool
    origin: str


class Place(_Model):
    """A remote place that the build of an image contacts (see ``dynbuild.plan.remote``)."""

    image: str = ""
    stage: str
    kind: str = Field(description="image, git, download, apt, dnf, python, crates, meson, …")
    address: str
    covered_by: str = Field(description="who names it; empty: it is the catalog's public one")


class ImagePlan(_Model):
    """One image, completely decided."""

    name: str = Field(description="id of the image: framework-target-device[cuda][+variant]")
    framework: str
    target: str
    stage: str = Field(description="the stage of the Dockerfile that becomes the image")
    device: str
    cuda_version: str | None = Field(description="null on a device without CUDA")
    variant: str = Field(
        description="what is not the default: release line, published wheels; else empty"
    )
    release_line: str = Field(description="which versions the image has")
    platforms: tuple[str, ...]
    dockerfile: str = Field(description="file name of the rendered Dockerfile")
    tags: tuple[str, ...]
    build_args: dict[str, str] = Field(description="value of every build argument")
    origins: dict[str, str] = Field(description="where each of build_args came from, to read")
    set_by: dict[str, Origin] = Field(description="the same in parts")
    unset: dict[str, str] = Field(description="what the empty ones of build_args mean")
    used_by: dict[str, tuple[str, ...]] = Field(
        description="stages that each of build_args is used in: they, and those on them, are "
        "built anew for another value, unless it is one of unkeyed_args"
    )
    unkeyed_args: tuple[str, ...] = Field(
        default=(),
        description="those of build_args that say how fast a step runs or where its compile cache "
        "is, not what it makes: another value builds nothing anew",
    )
    passed_args: tuple[str, ...] = Field(
        description="arguments that BuildKit knows by itself, such as proxies; names only"
    )
    passed_by: dict[str, str] = Field(
        default_factory=dict, description="where each of passed_args came from, to read"
    )
    labels: dict[str, str]
    secrets: tuple[str, ...] = Field(description="ids of the BuildKit secrets")
    ssh: bool = Field(
        default=False, description="whether git fetches something with a key of the ssh agent"
    )
    contexts: dict[str, str] = Field(description="named build contexts")
    cache_from: tuple[str, ...]
    cache_to: tuple[str, ...]
    output: Literal["load", "push", "none"]
    compression: Literal["gzip", "zstd"] = Field(
        default="gzip", description="of the layers that a push makes"
    )
    retag: bool = Field(default=False, description="push over a tag that another cell's image has")
    no_cache: bool
    depends_on: tuple[str, ...] = Field(description="names of images this one is built on")

    @model_validator(mode="after")
    def _one_origin_each(self) -> ImagePlan:
        if self.origins != {arg: str(origin) for arg, origin in self.set_by.items()}:
            raise ValueError("origins and set_by say different things")
        return self

    @property
    def id(self) -> ImageId:
        """What the image is called."""
        cuda = self.cuda_version or ""
        return ImageId(self.framework, self.target, self.device, cuda, self.variant)

    @property
    def keyed(self) -> ImagePlan:
        """The plan without the values that decide nothing of what is made."""
        changes = {
            field: {arg: one for arg, one in getattr(self, field).items() if arg in self.keyed_args}
            for field in ("build_args", "origins", "set_by", "unset")
        }
        return self.model_copy(update=changes)

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


class Preparation(_Model):
    """A command that runs before the solve, because what it makes is an input of it."""

    what: Literal["epp", "trtllm_wheel"]
    argv: tuple[str, ...]
    makes: str = Field(description="image reference or folder")


class PlanDocument(_Model):
    """Everything that one command will build; what it prints can be read again."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    format: Literal[1] = Field(default=1, alias="schema")
    version: PlannedVersion
    context: str = Field(description="folder that COPY reads from")
    network: Literal["default", "host"] = Field(
        default="default", description="network of build steps; the engine may have only the host's"
    )
    before: tuple[Preparation, ...] = Field(
        default=(), description="commands that run first, in the context folder"
    )
    images: tuple[ImagePlan, ...]
    warnings: tuple[str, ...] = ()
    remote: tuple[Place, ...] | None = Field(
        default=None, description="every remote place, with --offline"
    )

    def document(self) -> dict[str, Any]:
        """The plan as the JSON object of the interface."""
        left = {"remote"} if self.remote is None else None
        return self.model_dump(mode="json", by_alias=True, exclude=left)


def schema() -> dict[str, Any]:
    """JSON Schema of ``PlanDocument.document()``."""
    document = PlanDocument.model_json_schema(mode="serialization", by_alias=True)
    document["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return document
