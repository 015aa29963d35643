"""Which images of a job are solved together.  Pure."""

from __future__ import annotations

from dataclasses import replace

from dynbuild.plan.job import ImageJob, Job


def split(job: Job) -> tuple[Job, ...]:
    """One job for each group of images that are built on each other.

    One solve of all images would end all of them with the first failure; BuildKit does equal
    work of solves side by side once, so nothing is lost by one solve for each group.  What runs
    before a solve stays with *job*.
    """
    group: dict[str, str] = {image.name: image.name for image in job.images}

    def first(name: str) -> str:
        while group[name] != name:
            name = group[name]
        return name

    for image in job.images:
        for below in image.plan.depends_on:
            one, other = first(image.name), first(below)
            group[max(one, other)] = min(one, other)
    members: dict[str, list[ImageJob]] = {}
    for image in job.images:
        members.setdefault(first(image.name), []).append(image)
    return tuple(of_images(job, images) for images in members.values())


def of_images(job: Job, images: list[ImageJob]) -> Job:
    """*job* with those *images* alone, and nothing to do before them."""
    alone = job.with_images(images)
    return replace(alone, plan=replace(alone.plan, before=(), warnings=()), wheels={})
