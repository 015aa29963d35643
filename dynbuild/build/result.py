"""How a build ended, as data: ``result.json``, and what ``build --format json`` prints.

The one place that reads and writes it.  Pure: text in, models out.  What a newer or an older
dynbuild wrote is read as far as it is known; anything else is refused as a whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    ValidationError,
    model_validator,
)

from dynbuild.addresses import public

if TYPE_CHECKING:
    from dynbuild.engine.builder import Builder

_Document = TypeVar("_Document", bound=BaseModel)

Kind = Literal["transient", "auth", "missing", "platform", "disk", "user", "cancelled"]


class _Model(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="ignore", populate_by_name=True, allow_inf_nan=False
    )


class Steps(_Model):
    """How many instructions of the Dockerfile were carried out."""

    run: NonNegativeInt = 0
    cached: NonNegativeInt = Field(default=0, description="found in the build cache")
    run_instructions: NonNegativeInt = Field(default=0, description="RUN ones among those run")


class Failure(_Model):
    """Why a build, or an image of it, was not made."""

    kind: Kind = Field(
        description="transient: may go well the next time; auth: a login is needed; missing: "
        "something that is named is not there; platform: of another architecture; disk: no "
        "room; user: what is built, or its Dockerfile; cancelled: by a signal"
    )
    step: str = Field(default="", description="the step that failed; empty where none had begun")
    message: str = Field(description="what is wrong, as the builder or the program said it")
    lines: tuple[str, ...] = Field(default=(), description="the last lines of the step's output")
    hint: str = Field(default="", description="what can be done about it")


class Retry(_Model):
    """A try that failed and was made again."""

    step: str = Field(default="", description="the step that failed; empty where none had begun")
    message: str = Field(description="what was wrong")
    waited: NonNegativeFloat = Field(description="seconds until the next try")


class Material(_Model):
    """Something from elsewhere that the build was made of, as it was resolved."""

    uri: str = Field(description="a package URL of an image, or the address of a repository")
    digest: str = Field(description="sha256:… of an image or a file, sha1:… is a git commit")


class BuilderResult(_Model):
    """Where the build was solved."""

    name: str
    driver: str = Field(description="docker: inside of the engine; else a builder of its own")
    buildkit: str = Field(default="", description="version; empty where it is not known")
    engine: str = Field(
        default="", description="system or private, and its address where that is known"
    )

    @classmethod
    def of(cls, builder: Builder) -> BuilderResult:
        """*builder* as a result names it."""
        version = ".".join(map(str, builder.version or ()))
        engine = f"{builder.engine.kind} {public(builder.engine.host or '')}".rstrip()
        return cls(name=builder.name, driver=builder.driver, buildkit=version, engine=engine)


class LanguageFigures(_Model):
    """What the compile cache did for the compilers of one language."""

    hits: NonNegativeInt = 0
    misses: NonNegativeInt = 0


class StageFigures(_Model):
    """What the compile cache did in a stage, or in all of them."""

    requests: NonNegativeInt = 0
    hits: NonNegativeInt = 0
    misses: NonNegativeInt = 0
    errors: NonNegativeInt = 0
    write_errors: NonNegativeInt = 0
    hit_rate: float | None = None
    bytes: NonNegativeInt | None = None
    seconds_per_compile: float | None = None
    seconds_saved: float | None = None
    languages: dict[str, LanguageFigures] = {}


class CacheFigures(_Model):
    """What the compile cache did in the build."""

    kind: str
    bucket: str = ""
    prefix: str = ""
    stages: dict[str, StageFigures] = {}
    without: dict[str, str] = Field(default={}, description="stages that did without it, and why")
    silent: tuple[str, ...] = Field(default=(), description="stages that told nothing")
    total: StageFigures = StageFigures()


class Layer(_Model):
    """A layer of an image."""

    made_by: str = Field(description="the instruction that made it")
    size: NonNegativeInt = Field(
        description="bytes: as it is pulled, of an image that was pushed, else unpacked"
    )
    digest: str = Field(
        default="", description="of those bytes; empty where the engine does not tell which it is"
    )
    platform: str = Field(default="", description="of an image that was pushed: which it is of")


class ImageResult(_Model):
    """What became of one image."""

    id: str = Field(description="key of the image in the plan")
    status: Literal["done", "failed", "cancelled", "skipped"] = "done"
    output: Literal["load", "push", "none"] = Field(description="where it went")
    tags: tuple[str, ...] = ()
    digest: str = ""
    size: NonNegativeInt | None = Field(
        default=None,
        description="bytes as docker image inspect has them, of an image that was loaded: of its "
        "blobs where the engine's store is containerd's, else of its unpacked layers",
    )
    layers: tuple[Layer, ...] = Field(
        default=(),
        description="those that add files, of an image that was loaded, and all of one that was "
        "pushed; the first is the base's",
    )
    seconds: NonNegativeFloat = 0.0
    steps: Steps = Steps()
    attempts: NonNegativeInt = 1
    failure: Failure | None = None

    @model_validator(mode="before")
    @classmethod
    def _schema_1(cls, data: Any) -> Any:
        """An image as it was written before images had an id, an output and a status."""
        if not isinstance(data, dict) or "id" in data or "name" not in data:
            return data
        loaded, tags = data.get("size") is not None, data.get("tags")
        output = "load" if loaded else "push" if tags else "none"
        return {"id": data["name"], "output": output, **data}


class BuildResult(_Model):
    """How one build ended."""

    format: Literal[2] = Field(default=2, alias="schema")
    id: str = Field(default="", description="name of the build, and of its record's folder")
    record: str = Field(default="", description="folder of its record")
    status: Literal["done", "failed", "interrupted"]
    builder: BuilderResult | None = None
    seconds: NonNegativeFloat = 0.0
    steps: Steps = Steps()
    warnings: tuple[str, ...] = ()
    images: tuple[ImageResult, ...] = ()
    materials: tuple[Material, ...] = Field(
        default=(), description="base images and sources, resolved; none where not known"
    )
    compile_cache: CacheFigures | None = None
    retries: tuple[Retry, ...] = Field(
        default=(), description="tries before the last one, which a server or the network ended"
    )
    failure: Failure | None = None
    failed: tuple[str, ...] = Field(
        default=(), description="ids of the images that the failure is of, without a tag too"
    )

    @model_validator(mode="before")
    @classmethod
    def _schema_1(cls, data: Any) -> Any:
        return {**data, "schema": 2} if isinstance(data, dict) and data.get("schema") == 1 else data

    def made(self, image: str) -> bool:
        """Whether the build had the image of that id."""
        return any(one.id == image for one in self.images)

    def document(self) -> dict[str, Any]:
        """The result as the JSON object of the interface."""
        return self.model_dump(mode="json", by_alias=True)


def parse(text: bytes | str) -> BuildResult:
    """The result that *text* holds.

    Raises:
        ValueError: It is no JSON, or no result of a build.
    """
    return parse_as(BuildResult, text)


def parse_as(model: type[_Document], text: bytes | str) -> _Document:
    """What *text* holds, which is to be of that *model*.

    Raises:
        ValueError: It is not; the first thing that is wrong is told.
    """
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ValueError(f"{where}: {first['msg']}" if where else first["msg"]) from None


def schema() -> dict[str, Any]:
    """JSON Schema of ``BuildResult.document()``."""
    return schema_of(BuildResult)


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """JSON Schema of the documents of a *model*."""
    document = model.model_json_schema(mode="serialization", by_alias=True)
    document["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return document
