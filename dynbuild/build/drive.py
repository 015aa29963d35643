"""Run a plan: one BuildKit solve through ``docker buildx bake``, recorded as it goes.

The solve is started by as little as that needs; all else is ``execution``'s.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dynbuild import proc
from dynbuild.build import command, record
from dynbuild.build.record import Journal, Record
from dynbuild.engine.builder import Builder
from dynbuild.plan.job import Job
from dynbuild.render import bake

if TYPE_CHECKING:
    from dynbuild.build.context import Taken
    from dynbuild.build.events import Event
    from dynbuild.build.expectation import Expectation
    from dynbuild.build.result import BuildResult, Retry

RETRIES = 2
"""How often a build is tried again that a server or the network ended."""


def build(
    job: Job,
    dockerfiles: Mapping[str, str],
    *,
    builder: Builder,
    env: Mapping[str, str],
    secrets: Mapping[str, str],
    listen: Callable[[Event], None],
    cancellation: proc.Cancellation,
    name: str = "",
    taken: Taken | None = None,
    retries: int = RETRIES,
    expectation: Expectation | None = None,
    asked_again: Sequence[Retry] = (),
) -> BuildResult:
    """Build *job*; how it ended is the result, whatever happens in the solve.

    Args:
        job: What to build.
        dockerfiles: Text of the Dockerfile of each image, by image name.
        builder: Where to build.
        env: The caller's environment.
        secrets: Values of the secrets that BuildKit reads from variables.
        listen: Told of every event as it happens.
        cancellation: What calls the build off; its record is closed then, too.
        name: What the record is called after; without one, the first image.
        taken: What tells the files that are taken from build contexts; without it, they are
            read beside the solve.
        retries: How often it is tried again where a server or the network failed.
        expectation: What has to come from the cache; without it, nothing.
        asked_again: What was asked of a registry again before.

    Raises:
        NotReady: The record cannot be begun, or there is no docker client.
    """
    network = bake.network_of(job.plan, builder.network)
    now = _begun(job, dockerfiles, network, name or job.plan.images[0].name)
    solving = command.started(command.of(job, now, builder, env, secrets), cancellation)
    with cancellation.observe(), Journal(now.log) as log, solving as started:
        # BuildKit works from here on: what reads its answer is imported beside that.
        from dynbuild.build.execution import Execution

        going = Execution(
            job=job,
            dockerfiles=dockerfiles,
            record=now,
            builder=builder,
            started=started,
            env=env,
            listen=listen,
            log=log,
            cancellation=cancellation,
            taken=taken,
            expectation=expectation,
            asked_again=tuple(asked_again),
        )
        return going.carry_out(retries)


def _begun(job: Job, dockerfiles: Mapping[str, str], network: str, name: str) -> Record:
    """A new record called after *name*, with what is built.

    Raises:
        NotReady: It cannot be written.
    """
    now = record.create(Path(job.plan.context), record.new_id(name))
    try:
        _write_inputs(now, job, dockerfiles, network)
    except OSError as error:
        # Nothing was built: a folder that says so is of no use to anybody.
        shutil.rmtree(now.path, ignore_errors=True)
        raise record.unwritable(now.path, error) from error
    return now


def _write_inputs(now: Record, job: Job, dockerfiles: Mapping[str, str], network: str) -> None:
    only = len(job.images) == 1
    paths = {name: now.dockerfile(name, only=only) for name in dockerfiles}
    ignore = record.ignore_rules(Path(job.plan.context))
    for name, path in paths.items():
        now.write(path, dockerfiles[name])
        now.write(path.with_name(f"{path.name}.dockerignore"), ignore)
    now.write_json(now.plan, job.plan.document())
    texts = {name: str(path) for name, path in paths.items()}
    now.write_json(now.bake, bake.definition(job, texts, network=network))
    now.announce()
