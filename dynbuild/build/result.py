"""How a build ended, as data: ``result.json``, and what ``build --format json`` prints.

The one place that reads and writes it.  Pure: text in, models out.  What a newer or an older
dynbuild wrote is read as far as it is known; anything else is refused as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeVar

from dynbuild import checked
from dynbuild.addresses import public
from dynbuild.checked import Document, Least, adapter, described
from dynbuild.quick import dataclass

if TYPE_CHECKING:
    from dynbuild.engine.builder import Builder

Kind = Literal["transient", "auth", "missing", "platform", "disk", "user", "cancelled"]


Count = Annotated[int, Least(0)]
Seconds = Annotated[float, Least(0)]


class Result(Document):
    """Base of results: what a newer dynbuild wrote is read as far as it is known."""

    __slots__ = ()
    __pydantic_config__: ClassVar[Mapping[str, object]] = {
        "extra": "ignore", "populate_by_name": True, "allow_inf_nan": False,
    }  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Steps(Result):
    """How many instructions of the Dockerfile were carried out."""

    run: Count = 0
    cached: Count = described("found in the build cache", default=0)
    run_instructions: Count = described("RUN ones among those run", default=0)


@dataclass(frozen=True, kw_only=True)
class Failure(Result):
    """Why a build, or an image of it, was not made."""

    kind: Kind = described(
        "transient: may go well the next time; auth: a login is needed; missing: "
        "something that is named is not there; platform: of another architecture; disk: no "
        "room; user: what is built, or its Dockerfile; cancelled: by a signal"
    )
    step: str = described("the step that failed; empty where none had begun", default="")
    message: str = described("what is wrong, as the builder or the program said it")
    lines: tuple[str, ...] = described("the last lines of the step's output", default=())
    hint: str = described("what can be done about it", default="")


@dataclass(frozen=True, kw_only=True)
class Retry(Result):
    """A try that failed and was made again."""

    step: str = described("the step that failed; empty where none had begun", default="")
    message: str = described("what was wrong")
    waited: Seconds = described("seconds until the next try")


@dataclass(frozen=True, kw_only=True)
class Material(Result):
    """Something from elsewhere that the build was made of, as it was resolved."""

    uri: str = described("a package URL of an image, or the address of a repository")
    digest: str = described("sha256:… of an image or a file, sha1:… is a git commit")


@dataclass(frozen=True, kw_only=True)
class BuilderResult(Result):
    """Where the build was solved."""

    name: str
    driver: str = described("docker: inside of the engine; else a builder of its own")
    buildkit: str = described("version; empty where it is not known", default="")
    engine: str = described("system or private, and its address where that is known", default="")

    @classmethod
    def of(cls, builder: Builder) -> BuilderResult:
        """*builder* as a result names it."""
        version = ".".join(map(str, builder.version or ()))
        engine = f"{builder.engine.kind} {public(builder.engine.host or '')}".rstrip()
        return cls(name=builder.name, driver=builder.driver, buildkit=version, engine=engine)


@dataclass(frozen=True, kw_only=True)
class LanguageFigures(Result):
    """What the compile cache did for the compilers of one language."""

    hits: Count = 0
    misses: Count = 0


@dataclass(frozen=True, kw_only=True)
class StageFigures(Result):
    """What the compile cache did in a stage, or in all of them."""

    requests: Count = 0
    hits: Count = 0
    misses: Count = 0
    errors: Count = 0
    write_errors: Count = 0
    hit_rate: float | None = None
    bytes: Count | None = None
    seconds_per_compile: float | None = None
    seconds_saved: float | None = None
    languages: dict[str, LanguageFigures] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class CacheFigures(Result):
    """What the compile cache did in the build."""

    kind: str
    bucket: str = ""
    prefix: str = ""
    stages: dict[str, StageFigures] = field(default_factory=dict)
    without: dict[str, str] = described("stages that did without it, and why", default_factory=dict)
    silent: tuple[str, ...] = described("stages that told nothing", default=())
    total: StageFigures = StageFigures()


@dataclass(frozen=True, kw_only=True)
class Layer(Result):
    """A layer of an image."""

    made_by: str = described("the instruction that made it")
    size: Count = described("bytes: as it is pulled, of an image that was pushed, else unpacked")
    digest: str = described(
        "of those bytes; empty where the engine does not tell which it is", default=""
    )
    platform: str = described("of an image that was pushed: which it is of", default="")


@dataclass(frozen=True, kw_only=True)
class ImageResult(Result):
    """What became of one image."""

    id: str = described("key of the image in the plan")
    status: Literal["done", "failed", "cancelled", "skipped"] = "done"
    output: Literal["load", "push", "none"] = described("where it went")
    tags: tuple[str, ...] = ()
    digest: str = ""
    size: Count | None = described(
        "bytes as docker image inspect has them, of an image that was loaded: of its "
        "blobs where the engine's store is containerd's, else of its unpacked layers",
        default=None,
    )
    layers: tuple[Layer, ...] = described(
        "those that add files, of an image that was loaded, and all of one that was "
        "pushed; the first is the base's",
        default=(),
    )
    seconds: Seconds = 0.0
    steps: Steps = Steps()
    attempts: Count = 1
    failure: Failure | None = None

    @classmethod
    def _current(cls, data: Any) -> Any:
        """An image as it was written before images had an id, an output and a status."""
        if not isinstance(data, dict) or "id" in data or "name" not in data:
            return data
        loaded, tags = data.get("size") is not None, data.get("tags")
        output = "load" if loaded else "push" if tags else "none"
        return {"id": data["name"], "output": output, **data}


@dataclass(frozen=True, kw_only=True)
class BuildResult(Result):
    """How one build ended."""

    format: Literal[2] = field(default=2, metadata={"alias": "schema"})
    id: str = described("name of the build, and of its record's folder", default="")
    record: str = described("folder of its record", default="")
    status: Literal["done", "failed", "interrupted"]
    builder: BuilderResult | None = None
    seconds: Seconds = 0.0
    steps: Steps = Steps()
    warnings: tuple[str, ...] = ()
    images: tuple[ImageResult, ...] = ()
    materials: tuple[Material, ...] = described(
        "base images and sources, resolved; none where not known", default=()
    )
    compile_cache: CacheFigures | None = None
    retries: tuple[Retry, ...] = described(
        "tries before the last one, which a server or the network ended", default=()
    )
    failure: Failure | None = None
    failed: tuple[str, ...] = described(
        "ids of the images that the failure is of, without a tag too", default=()
    )

    @classmethod
    def _current(cls, data: Any) -> Any:
        """The result as it was written before the schema had a 2."""
        return {**data, "schema": 2} if isinstance(data, dict) and data.get("schema") == 1 else data

    def made(self, image: str) -> bool:
        """Whether the build had the image of that id."""
        return any(one.id == image for one in self.images)


_Document = TypeVar("_Document", bound=Result)


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
    from pydantic import ValidationError

    try:
        found: _Document = adapter(model).validate_json(text)
        return found
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ValueError(f"{where}: {first['msg']}" if where else first["msg"]) from None


def schema() -> dict[str, Any]:
    """JSON Schema of ``BuildResult.document()``."""
    return checked.schema(BuildResult)
