"""What makes an image, as one id: a cell whose tags carry it already is not built again.

The id is of the steps with all that they see (``dynbuild.render.graph``): text, values, files of
the build contexts, and what base images, git refs and addresses stand for; and of the tests that
it has to pass.  It is as good as BuildKit's cache, which runs no step again for a newer package on
an index either.  The commit and the version are in no id where an image only says them, in labels
and in its environment, and no step sees them: a commit that touches nothing of an image is no
change of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import partial

from dynbuild import names
from dynbuild.build import backoff, job_context, resolution, snapshot
from dynbuild.build.backoff import OnRetry
from dynbuild.build.resolution import Name
from dynbuild.engine import registry
from dynbuild.engine.builder import Builder
from dynbuild.engine.registry import Answer
from dynbuild.matrix.result import CellResult
from dynbuild.plan.document import ImagePlan
from dynbuild.plan.image_tests import ImageTest
from dynbuild.plan.job import Job
from dynbuild.render import bake, graph
from dynbuild.render.graph import Graph, Pins

LABEL = "dynbuild.content"
"""The label of an image that has the id."""

_FORM = "2"
_AT_ONCE = 8
_SAID = {"org.opencontainers.image.version", "org.opencontainers.image.revision"}
_COMMIT = "DYNAMO_COMMIT_SHA"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ids:
    """The ids of the cells of a job.

    Attributes:
        known: By the cell's name.
        unknown: Why a cell has none, by its name.
    """

    known: Mapping[str, str]
    unknown: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """Who tells what names stand for.

    Attributes:
        builder: Whose images come first, and whose logins count.
        env: The caller's environment.
        on_retry: Told of what a registry is asked again.
        said: What was said of tags already: they are not asked for again.
    """

    builder: Builder
    env: Mapping[str, str]
    on_retry: OnRetry
    said: Mapping[str, Answer] = field(default_factory=dict)


def ids(
    job: Job,
    texts: Mapping[str, str],
    tests: Mapping[str, tuple[ImageTest, ...]],
    where: Registry,
) -> Ids:
    """The ids of the cells of *job*, as they would be built now.

    Args:
        job: What would be built.
        texts: Text of the Dockerfile of each image.
        tests: What is run in each image.
        where: Who tells what names stand for.

    Raises:
        ValueError: An ignore file is malformed.
    """
    files = job_context.read(job, texts)
    network = bake.network_of(job.plan, where.builder.network)

    def graph_of(image: ImagePlan, made: Mapping[str, Graph], pins: Pins) -> Graph:
        return graph.of(
            snapshot.without_folders(image, files),
            texts[image.name],
            linked=made,
            files=snapshot.files_of(files, image.name),
            pins=pins,
            network=network,
        )

    wanted: dict[str, frozenset[Name]] = {}
    for image in job.plan.images:
        wanted[image.name] = resolution.open_names(partial(graph_of, image, {}))
    every = frozenset().union(*wanted.values())
    pins = resolution.of(where.builder, where.env, every, where.on_retry)
    made: dict[str, Graph] = {}
    known, unknown = {}, {}
    for image in job.plan.images:
        real, bare = (graph_of(one, made, pins) for one in (image, _without_commit(image)))
        # A template of one's own may use the commit in a step.
        made[image.name] = bare if bare.steps.keys() == real.steps.keys() else real
    for image in job.plan.images:
        lacking = sorted(name for name in wanted[image.name] if name not in pins)
        if why := _unknowable(job, image, lacking):
            unknown[image.name] = why
        else:
            ours = tests.get(image.name, ())
            known[image.name] = _id(made[image.name], ours, image.compression)
    return Ids(known=known, unknown=unknown)


def _without_commit(image: ImagePlan) -> ImagePlan:
    """*image*, not saying of which commit and version it is."""
    args = {arg: "" if arg == _COMMIT else value for arg, value in image.build_args.items()}
    labels = {name: value for name, value in image.labels.items() if name not in _SAID}
    return replace(image, build_args=args, labels=labels)


def _unknowable(job: Job, image: ImagePlan, lacking: Sequence[Name]) -> str:
    """Why nobody can say what *image* will be; empty where that is known."""
    if image.no_cache:
        return "it is built without a cache"
    if job.plan.before:
        return f"{job.plan.before[0].what} is made before the solve"
    if any(below not in {one.name for one in job.plan.images} for below in image.depends_on):
        return "it is built on an image of another run"
    return f"what {lacking[0][0]} stands for cannot be told" if lacking else ""


def _id(made: Graph, tests: Sequence[ImageTest], compression: str) -> str:
    said = json.dumps([asdict(test) for test in tests], sort_keys=True)
    parts = [_FORM, made.key, said, *([compression] if compression != "gzip" else [])]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def labelled(job: Job, known: Mapping[str, str]) -> Job:
    """*job* with the ids as labels of what is pushed.

    A label is in an image's configuration alone: no step has another cache key by it.
    """
    images = tuple(
        replace(
            image,
            plan=replace(image.plan, labels={**image.plan.labels, LABEL: known[image.name]}),
        )
        if image.name in known and image.plan.output == "push"
        else image
        for image in job.images
    )
    return job.with_images(images)


def current(image: ImagePlan) -> str:
    """The name that stays on the image to which the tags of a cell moved last.

    Without it, nothing would be known of an image whose tags all have its version in them.
    """
    repository, _ = names.split_reference(image.tags[0])
    return f"{repository}:{names.as_tag(f'current-{image.name}')}"


def unchanged(job: Job, known: Mapping[str, str], where: Registry) -> Iterator[CellResult]:
    """The cells of *job* of which a tag, or ``current``, is on an image that carries their id.

    Tags of theirs that are not on it yet, as those of a new version, are still to be moved.

    Args:
        job: What would be built.
        known: The ids.
        where: Who tells what tags are.
    """
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        asked = [
            (image, [pool.submit(_digest, tag, known[image.name], where) for tag in image.tags])
            for image in job.plan.images
            if image.output == "push" and image.name in known and image.tags
        ]
    for image, answers in asked:
        carrying = [one.result() for one in answers]
        if not any(carrying):
            carrying.append(_digest(current(image), known[image.name], where))
        found = set(carrying) - {""}
        if len(found) == 1:
            digest = found.pop()
            yield CellResult(
                id=image.name,
                status="done",
                output="push",
                tags=image.tags,
                digest=digest,
                platforms=image.platforms,
                line=image.release_line,
                reference=f"{names.split_reference(image.tags[0])[0]}@{digest}",
                moved=all(carrying),
                unchanged=True,
            )


def _digest(tag: str, id: str, where: Registry) -> str:
    """The digest of the image *tag* if that carries the *id* for every platform."""
    answer = where.said.get(tag) or backoff.inspect(
        lambda: registry.inspect(where.builder, where.env, tag), tag, where.on_retry
    )
    carried = set(registry.labels(answer.images, LABEL))
    return answer.digest if carried == {id} else ""
