"""A plan with all that is needed to carry it out and that is not for printing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field, replace

from dynbuild.image_id import ImageId
from dynbuild.plan.document import ImagePlan, PlanDocument
from dynbuild.plan.mirrors import Reach
from dynbuild.plan.recipe import Recipe
from dynbuild.plan.stages import Stage
from dynbuild.plan.trtllm.intent import Intent
from dynbuild.quick import dataclass
from dynbuild.sccache.cache import CompileCache


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """A BuildKit secret: its id, and the file or variable that holds it."""

    id: str
    src: str = ""
    env: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """An engine's wheel that is built before the solve, and the Python that it is for."""

    intent: Intent
    python_version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageJob:
    """One image with what it takes to make it.

    Attributes:
        plan: What is printed of it.
        recipe: The facts that shape its Dockerfile.
        stages: The stages of that, each after those it needs.
        reach: What the settings say of the outside.
        secrets: The BuildKit secrets of its steps.
        passed: Values of ``plan.passed_args``; a proxy's address may hold a password.
        compile_cache: Where its compilers' objects are kept; ``None`` if nowhere.
    """

    plan: ImagePlan
    recipe: Recipe
    stages: tuple[Stage, ...]
    reach: Reach
    secrets: tuple[Secret, ...]
    passed: Mapping[str, str]
    compile_cache: CompileCache | None = None

    @property
    def id(self) -> ImageId:
        """What the image is called."""
        return self.plan.id

    @property
    def name(self) -> str:
        """The id as it is written."""
        return self.plan.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Everything that one command will build.

    Attributes:
        plan: What is printed of it.
        images: The images, in the order of ``plan.images``.
        registry_seconds: How long a registry may be silent while something is pushed to it.
        wheels: How each wheel that is built before the solve is built, by what it makes.
    """

    plan: PlanDocument
    images: tuple[ImageJob, ...]
    registry_seconds: float
    wheels: Mapping[str, Wheel] = field(default_factory=dict)

    def with_images(self, images: Iterable[ImageJob]) -> Job:
        """The job with those *images*, which its plan has too."""
        every = tuple(images)
        plan = replace(self.plan, images=tuple(image.plan for image in every))
        return replace(self, plan=plan, images=every)

    @property
    def compile_cache(self) -> CompileCache | None:
        """The compile cache of the first image that has one; it is one for all of a request."""
        return next((image.compile_cache for image in self.images if image.compile_cache), None)
