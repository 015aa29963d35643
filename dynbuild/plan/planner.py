"""From settings to a job: which images, from which stages, with which values, and why.

Pure: nothing is read, started or written here.  A request is decided cell by cell; all that is
wrong with it is told at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from dynbuild import units
from dynbuild.errors import RequestError
from dynbuild.image_id import ImageId
from dynbuild.plan import (
    build_cache,
    compile_cache,
    contexts,
    credentials,
    downloads,
    epp,
    image,
    matrix,
    mirrors,
    selection,
    settled,
    tags,
    user,
    values,
    wheel,
)
from dynbuild.plan.decision import Decision, Values, fold
from dynbuild.plan.document import PlanDocument, PlannedVersion, Preparation
from dynbuild.plan.image import CellDecision
from dynbuild.plan.job import ImageJob, Job, Wheel
from dynbuild.plan.machine import Machine
from dynbuild.plan.matrix import Cell
from dynbuild.plan.selection import Selected
from dynbuild.plan.settled import Settled
from dynbuild.plan.trtllm.intent import Intent
from dynbuild.plan.version import Version
from dynbuild.quick import dataclass
from dynbuild.sccache.cache import CompileCache
from dynbuild.settings.load import Settings
from dynbuild.settings.problems import Collector


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What holds for every cell of a request.

    Attributes:
        config: The settings.
        version: What git says.
        context: The source tree.
        machine: The caller.
    """

    config: Settings
    version: Version
    context: Path
    machine: Machine


@dataclass(frozen=True, slots=True, kw_only=True)
class CellJob:
    """What one cell comes to.

    Attributes:
        id: Of the cell.
        images: The image of the cell, those that it is built on, and those that come with it.
        before: Commands that run before the solve.
        wheels: How each wheel among what those make is built.
        warnings: What may surprise.
    """

    id: ImageId
    images: tuple[ImageJob, ...]
    before: tuple[Preparation, ...] = ()
    wheels: tuple[Wheel, ...] = ()
    warnings: tuple[str, ...] = ()


def make_plan(config: Settings, *, version: Version, context: Path, machine: Machine) -> Job:
    """Decide on the requested images, and on those that they are built on or that come with them.

    Raises:
        RequestError: A combination does not exist, or a value cannot be used.  All that is
            wrong is told at once.
    """
    shared = Shared(config=config, version=version, context=context, machine=machine)
    return merge(decide_all(selection.of_request([config]), shared), shared)


def decide_all(selected: Iterable[Selected], shared: Shared) -> tuple[CellJob, ...]:
    """What each of several cells comes to.

    Args:
        selected: The cells, each with its settings.
        shared: What holds for every cell, but for its settings.

    Raises:
        RequestError: Something is wrong with one of them; all that is wrong with any is told.
    """
    made: list[CellJob] = []
    once: dict[int, Settled] = {}
    wrong: dict[ImageId, Collector] = {}
    # What is wrong with settings is theirs, and of no cell.
    general = Collector()
    for one in selected:
        own = replace(shared, config=one.config)
        if id(one.config) not in once:
            once[id(one.config)] = settled.of(one.config, shared.version, shared.machine.date)
            general.extend(once[id(one.config)].problems)
        problems = Collector()
        problems.extend(one.problems)
        with problems.collected():
            made.append(_decide(one.cell, own, once[id(one.config)], problems))
        if problems.problems:
            wrong[one.id] = problems
    general.include(Collector.of_all(wrong, len(made) + len(wrong)))
    general.check()
    return tuple(made)


def _decide(cell: Cell, shared: Shared, of_config: Settled, problems: Collector) -> CellJob:
    """What *cell* comes to.

    Args:
        cell: One that the catalog has.
        shared: What holds for every cell.
        of_config: What the settings come to.
        problems: What is wrong with the cell so far.

    Raises:
        RequestError: Something is wrong; all of it is told.
    """
    config, laid = shared.config, _Values(cell, shared, problems)
    laid.decide(lambda: values.of_wheels(matrix.dynamo_wheels(config)))
    laid.decide(
        lambda: values.of_date(config, matrix.dynamo_wheels(config), shared.machine, laid.values)
    )
    laid.decide(lambda: values.of_commit(shared.version))
    laid.decide(lambda: user.given(config))
    laid.decide(lambda: user.caller(shared.machine))
    laid.decide(lambda: user.not_root(laid.values))
    laid.decide(lambda: values.of_base(laid.values))
    laid.decide(lambda: values.of_switches(config, laid.values))
    laid.decide(lambda: values.of_published(matrix.dynamo_wheels(config), laid.values))
    problems.extend(credentials.of_values(laid.values))
    built = laid.endpoint_picker()
    intent = laid.wheel()
    cache = laid.compile_cache()
    made = {step.makes for step in built}
    reach = of_config.reach
    laid.decide(lambda: mirrors.of_args(config, reach.table, laid.values, made=made))
    decision = CellDecision(
        config=config,
        version=shared.version,
        machine=shared.machine,
        values=laid.values,
        wheel=intent,
        cache=cache,
        reach=reach,
    )
    images = _images(cell, decision, problems)
    used = {arg for one in images for arg in one.plan.build_args}
    problems.extend(values.problems(config, cell, laid.values, used, of_config.arguments))
    problems.check()
    step = wheel.preparation(intent) if intent else None
    python = str(laid.values["PYTHON_VERSION"].value)
    return CellJob(
        id=cell.id,
        images=images,
        before=(*built, *([step] if step else ())),
        wheels=(Wheel(intent=intent, python_version=python),) if intent and step else (),
        warnings=(
            *_warnings(images, decision),
            *tags.ambiguous(cell.id, of_config.tagged),
        ),
    )


class _Values:
    """The values of a cell while it is decided on: each decision makes new ones."""

    def __init__(self, cell: Cell, shared: Shared, problems: Collector) -> None:
        self.values: Values = values.of(shared.config, cell)
        self._cell, self._shared, self._problems = cell, shared, problems

    def decide(self, decision: Callable[[], Decision]) -> None:
        """Lay a decision on the values; they stay as they are where it cannot be made."""
        with self._problems.collected():
            self.values = fold(self.values, decision())

    def endpoint_picker(self) -> tuple[Preparation, ...]:
        shared, step = self._shared, None
        with self._problems.collected():
            step = epp.preparation(
                shared.config,
                self._cell,
                self.values,
                version=shared.version,
                context=shared.context,
                machine=shared.machine,
            )
        if step is None:
            return ()
        self.decide(lambda: epp.of_preparation(shared.config, step))
        return (step,)

    def wheel(self) -> Intent | None:
        intent = None
        with self._problems.collected():
            intent = wheel.of(self._shared.config, self._cell, self._shared.context, self.values)
        if intent:
            self.decide(lambda: wheel.of_intent(intent))
        return intent

    def compile_cache(self) -> CompileCache | None:
        config, cache = self._shared.config, None
        with self._problems.collected():
            cache = compile_cache.of(config, self.values)
        if cache:
            self.decide(lambda: compile_cache.of_cache(config, self.values, cache))
        return cache


def _images(cell: Cell, decision: CellDecision, problems: Collector) -> tuple[ImageJob, ...]:
    cells: tuple[Cell, ...] = (cell,)
    with problems.collected():
        cells = matrix.with_efa(decision.config, cell)
    images = []
    for each in cells:
        made = image.of(each, decision, problems)
        if made:
            images.append(made)
            problems.extend(downloads.problems(decision.config, made, decision.values))
    return tuple(images)


def _warnings(images: Iterable[ImageJob], decision: CellDecision) -> tuple[str, ...]:
    used = {arg for one in images for arg in one.plan.build_args}
    warnings = [decision.version.warning] if decision.version.warning else []
    warnings += decision.wheel.warnings if decision.wheel else ()
    warnings += contexts.warnings(decision.config, images)
    for one in images:
        warnings += downloads.unchecked(one)
        warnings += _without_requirements(one)
    warnings += compile_cache.unheeded_read_only(decision.cache, decision.values)
    warnings += values.left_out(decision.values, used)
    warnings += values.unused(decision.values, used)
    warnings += values.dated(decision.values)
    warnings += user.kept(decision.values, used)
    if decision.version.dirty:
        warnings.append("the source tree has uncommitted changes; the image is labelled dirty")
    return tuple(dict.fromkeys(warnings))


def _without_requirements(one: ImageJob) -> list[str]:
    """The note that an image lacks what it is for, as only a source tree lists it."""
    files = one.recipe.target_requirements.get(one.plan.target, ())
    if one.recipe.from_source or one.plan.target not in ("planner", "test") or not files:
        return []
    what = f"published wheels bring nothing of the tree's {', '.join(files)}"
    return [f"{what}, which {one.name} is made for: --dynamo-wheels source installs them"]


def merge(cells: Iterable[CellJob], shared: Shared) -> Job:
    """One job of several cells; an image that two of them need is in it once.

    Raises:
        RequestError: Two different images have one id, or one tag.
    """
    cells = tuple(cells)
    images: dict[ImageId, ImageJob] = {}
    for one in (one for cell in cells for one in cell.images):
        there = images.get(one.id)
        images[one.id] = _same(there, one) if there else one
    _check_tags(images.values())
    _check_caches(images.values())
    version = shared.version
    plan = PlanDocument(
        version=PlannedVersion(
            tag=version.tag,
            python=version.python,
            commit=version.commit,
            dirty=version.dirty,
            origin=version.origin,
        ),
        context=str(shared.context),
        network=shared.config.catalog.request.network,
        before=tuple(dict.fromkeys(step for cell in cells for step in cell.before)),
        images=tuple(one.plan for one in images.values()),
        warnings=tuple(dict.fromkeys(text for cell in cells for text in cell.warnings)),
    )
    wheels = {one.intent.output: one for cell in cells for one in cell.wheels}
    timeout = units.parse_time(
        shared.config.catalog.request.registry_timeout,
        origin=str(shared.config.origin("request", "registry_timeout")),
    )
    return Job(
        plan=plan,
        images=tuple(images.values()),
        registry_seconds=timeout.total_seconds(),
        wheels=wheels,
    )


def _same(one: ImageJob, other: ImageJob) -> ImageJob:
    """Of two images with one id, which are the same, the one that is asked for.

    Raises:
        RequestError: They are not the same.
    """
    if _content(one) != _content(other):
        raise RequestError(
            f"two different images are called {one.id}",
            hint="what differs in more than framework, target, device, CUDA version, release "
            "line and the kind of wheels is two builds",
            details=tuple(_differences(one, other)),
        )
    return one if one.plan.tags or one.plan.output != "none" else other


def _content(one: ImageJob) -> ImageJob:
    """An image without what only the one that is asked for has."""
    return replace(one, plan=replace(one.plan, tags=(), cache_to=(), output="none"))


def _differences(one: ImageJob, other: ImageJob) -> Iterable[str]:
    mine, theirs = one.plan, other.plan
    for arg in dict.fromkeys((*mine.build_args, *theirs.build_args)):
        values = (mine.build_args.get(arg), theirs.build_args.get(arg))
        if values[0] != values[1]:
            origins = (mine.origins.get(arg, "unused"), theirs.origins.get(arg, "unused"))
            yield f"{arg}: '{values[0]}' ({origins[0]}), '{values[1]}' ({origins[1]})"
    for field in ("platforms", "contexts", "labels", "cache_from", "secrets", "no_cache"):
        if getattr(mine, field) != getattr(theirs, field):
            yield f"{field}: {getattr(mine, field)}, {getattr(theirs, field)}"


def _check_tags(images: Iterable[ImageJob]) -> None:
    """No two images may have one tag.

    Raises:
        RequestError: Two have; all such are told.
    """
    owners: dict[str, ImageId] = {}
    problems = Collector()
    for one in images:
        for tag in one.plan.tags:
            if owners.setdefault(tag, one.id) != one.id:
                problems.add(
                    f"{owners[tag]} and {one.id} would both be tagged {tag}",
                    hint="--tag is for one cell; a tag_template with {suffix} tells cells apart",
                )
    problems.check()


def _check_caches(images: Iterable[ImageJob]) -> None:
    """No two images may write one build cache: the second would replace the first one's.

    Raises:
        RequestError: Two do; all such are told.
    """
    owners: dict[tuple[str, ...], str] = {}
    problems = Collector()
    for one in images:
        for entry in one.plan.cache_to:
            place = build_cache.place(entry)
            if place and owners.setdefault(place, one.name) != one.name:
                problems.add(
                    f"{owners[place]} and {one.name} would both write the build cache {entry}",
                    hint="--cache KIND gives each image one of its own",
                )
    problems.check()
