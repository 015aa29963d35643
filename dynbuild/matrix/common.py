"""The steps that several groups of images have in common, as a job of their own.  Pure.

They are solved first where not all groups are solved at once.  BuildKit before 0.32 loses results
while builds overlap: as long as a build that *ran* a step goes on, builds that begin later do not
find what was run on top of that step (https://github.com/moby/buildkit/pull/6955).  Builds that
all begin together hold each step from their beginning on, whoever runs it.  For those that have to
wait for a slot the common steps are through before anything else begins: a step that was loaded
from the cache has no such fault.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from dynbuild.image_id import ImageId
from dynbuild.matrix import groups
from dynbuild.plan.job import ImageJob, Job
from dynbuild.render import graph
from dynbuild.render.graph import Graph, Step

VARIANT = "common"
"""Mark of the variant in the ids of what stands for common steps."""

_WORTH = frozenset({"RUN", "ADD"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """The steps that come first.

    Attributes:
        job: Builds them: an image for each step that no other common one needs.
        texts: The Dockerfiles of these images, by name.
        owners: The images that have each of them, by name.
        steps: How many steps are common.
    """

    job: Job
    texts: Mapping[str, str]
    owners: Mapping[str, tuple[str, ...]]
    steps: int


def of(job: Job, texts: Mapping[str, str], graphs: Mapping[str, Graph]) -> Common | None:
    """The common steps of the groups of *job*; ``None`` where there are none worth a solve.

    Args:
        job: All of the images.
        texts: Their Dockerfiles, by name.
        graphs: Their graphs, by name.
    """
    # What is built on another image of the job has steps of its own only.
    alone = [image for image in job.images if not image.plan.depends_on]
    owners = graph.shared(graphs[image.name] for image in alone)
    tops = _tops(owners, {image.name: graphs[image.name] for image in alone})
    if not tops:
        return None
    by_name = {image.name: image for image in alone}
    images, cut, owned = [], {}, {}
    for number, step in enumerate(tops, start=1):
        first = by_name[owners[step.key][0]]
        image = _image(first, step, number)
        images.append(image)
        cut[image.name] = graph.cut(texts[first.name], step)
        owned[image.name] = owners[step.key]
    return Common(job=groups.of_images(job, images), texts=cut, owners=owned, steps=len(owners))


def without(common: Common, failed: Sequence[str]) -> Common | None:
    """What is left of *common* without the images of the names *failed*."""
    left = [image for image in common.job.images if image.name not in failed]
    return replace(common, job=groups.of_images(common.job, left)) if left else None


def _tops(owners: Mapping[str, tuple[str, ...]], graphs: Mapping[str, Graph]) -> list[Step]:
    """The common steps that no common step needs, as far as anything is run for them."""
    steps = {key: graphs[images[0]].steps[key] for key, images in owners.items()}
    needed = {key for step in steps.values() for key in step.inputs}
    tops = [step for key, step in steps.items() if key not in needed]
    return [
        step
        for step in tops
        if any(
            steps[key].instruction.keyword in _WORTH
            for key in graphs[owners[step.key][0]].below(step.key)
        )
    ]


def _image(image: ImageJob, step: Step, number: int) -> ImageJob:
    own = image.id
    name = ImageId(own.framework, own.target, own.device, own.cuda, f"{VARIANT}-{number}")
    plan = replace(
        image.plan,
        name=str(name),
        variant=name.variant,
        stage=step.stage,
        platforms=(step.platform,),
        dockerfile=f"{name}.Dockerfile",
        tags=(),
        cache_to=(),
        output="none",
    )
    return replace(image, plan=plan)
