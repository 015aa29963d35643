"""What the steps of a job take from build contexts: the tree, and folders that replace sources."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dynbuild.build import context, record
from dynbuild.build.context import ContextRecord, Reading, Source
from dynbuild.build.hashes import Memory
from dynbuild.plan.job import Job


def start_reading(job: Job, dockerfiles: Mapping[str, str]) -> Reading:
    """Begin to read what the steps take from build contexts."""
    tree = Path(job.plan.context)
    return Reading(
        _sources(job, dockerfiles), tree, record.ignore_rules(tree), Memory(record.hashes(tree))
    )


def read(job: Job, dockerfiles: Mapping[str, str]) -> ContextRecord:
    """What the steps of a build would take from build contexts, were it to begin now.

    Raises:
        ValueError: An ignore file is malformed.
    """
    tree = Path(job.plan.context)
    memory = Memory(record.hashes(tree))
    made = context.take(_sources(job, dockerfiles), tree, record.ignore_rules(tree), memory)
    memory.keep()
    return made


def _sources(job: Job, dockerfiles: Mapping[str, str]) -> list[Source]:
    return [
        Source(
            image=image.name,
            dockerfile=dockerfiles[image.name],
            stage=image.stage,
            args=image.build_args,
            folders={name: where for name, where in image.contexts.items() if Path(where).is_dir()},
        )
        for image in job.plan.images
    ]
