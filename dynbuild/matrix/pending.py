"""Pushing without moving a tag: images go up first, their tags follow when all is well.

The builder inside of an engine pushes nothing by digest alone, so an image goes up under a tag of
its own, ``pending-ID``, which the next push of the same image takes over.  Its real tags are then
put on its digest by ``docker buildx imagetools``, which copies what is missing and changes nothing
of the image.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from dynbuild import names, proc
from dynbuild.build import backoff
from dynbuild.build.backoff import OnRetry
from dynbuild.engine.builder import Builder
from dynbuild.plan.document import ImagePlan
from dynbuild.plan.job import Job

PREFIX = "pending-"


def held_back(job: Job, tested: Collection[str] = ()) -> Job:
    """*job* with a pending tag in place of the tags of what is pushed or tested.

    Args:
        job: All of the images.
        tested: Names of those that are tested before they get their tags.
    """
    tags = {image.name for image in job.images if image.plan.tags and is_held(image.plan, tested)}
    images = tuple(
        replace(image, plan=replace(image.plan, tags=(pending(image.plan),)))
        if image.name in tags
        else image
        for image in job.images
    )
    return job.with_images(images)


def is_held(image: ImagePlan, tested: Collection[str]) -> bool:
    """Whether *image* gets its tags after it was built."""
    return image.output == "push" or (image.output == "load" and image.name in tested)


def pending(image: ImagePlan) -> str:
    """The name under which *image* goes up."""
    repository, _ = names.split_reference(image.tags[0])
    return f"{repository}:{names.as_tag(f'{PREFIX}{image.name}')}"


def move(
    builder: Builder,
    env: Mapping[str, str],
    tags: tuple[str, ...],
    reference: str,
    *,
    on_retry: OnRetry,
    sleep: Callable[[float], None] | None = None,
) -> None:
    """Put *tags* on the image *reference*, ``REPOSITORY@DIGEST``, in its registry.

    Args:
        builder: Whose logins count.
        env: The caller's environment.
        tags: Whole names.
        reference: The image.
        on_retry: Told of what is tried again.
        sleep: Waits so many seconds.

    Raises:
        ToolFailed: The registry did not take them.
        NotReady: There is no docker client.
    """
    argv = [*builder.engine.buildx_argv, "imagetools", "create", "--prefer-index=false"]
    for tag in tags:
        argv += ["--tag", tag]
    backoff.run(
        lambda: proc.run((*argv, reference), env=builder.buildx_env(env)),
        what=f"moving {', '.join(tags)}",
        on_retry=on_retry,
        sleep=sleep,
    )


def rename(builder: Builder, env: Mapping[str, str], tags: tuple[str, ...], pending: str) -> None:
    """Put *tags* on the image that an engine has as *pending*, which is no name of it then.

    Raises:
        ToolFailed: The engine does not have it.
        NotReady: There is no docker client.
    """
    docker, own = builder.engine.docker, builder.engine.env(env)
    for tag in tags:
        proc.run((docker, "image", "tag", pending, tag), env=own)
    proc.run((docker, "image", "rm", pending), env=own, check=False)


def check(builder: Builder, env: Mapping[str, str], reference: str, on_retry: OnRetry) -> None:
    """Ask the registry for the image *reference*; *on_retry* is told of what is asked again.

    Raises:
        ToolFailed: It does not have it.
        NotReady: There is no docker client.
    """
    argv = (*builder.engine.buildx_argv, "imagetools", "inspect", "--raw", reference)
    backoff.run(
        lambda: proc.run(argv, env=builder.buildx_env(env)),
        what=f"looking at {reference}",
        on_retry=on_retry,
    )
