"""The command that solves a build, and its first process."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime

from dynbuild import proc
from dynbuild.build.record import Record
from dynbuild.engine.builder import Builder
from dynbuild.errors import NotReady
from dynbuild.plan.job import Job
from dynbuild.quick import dataclass
from dynbuild.render import bake


@dataclass(frozen=True, slots=True)
class Command:
    """What solves a build: a program with its arguments, and its whole environment."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]

    def start(self, cancellation: proc.Cancellation) -> proc.Process:
        """Start it; *cancellation* ends it.

        Raises:
            NotReady: There is no such program.
        """
        return proc.start(self.argv, env=self.environment, cancellation=cancellation)


@dataclass(frozen=True, slots=True)
class Started:
    """The first solve of a build.

    Attributes:
        command: What solves.
        begun: When it was started.
        clock: The same on the clock of ``time.monotonic``.
        process: What runs; or why nothing does.
    """

    command: Command
    begun: datetime
    clock: float
    process: proc.Process | NotReady


def of(
    job: Job,
    now: Record,
    builder: Builder,
    env: Mapping[str, str],
    secrets: Mapping[str, str],
) -> Command:
    """What solves *job*, whose record is *now*.

    Args:
        job: What to build.
        now: Its record.
        builder: Where to build.
        env: The caller's environment.
        secrets: Values of the secrets that BuildKit reads from variables.
    """
    network = bake.network_of(job.plan, builder.network)
    _, _, *words = bake.argv(
        job.plan, bake_file=str(now.bake), metadata_file=str(now.metadata), network=network
    )
    own = builder.buildx_env({**bake.caller(env), **secrets, **bake.handed(job.plan)})
    return Command((*builder.engine.buildx_argv, *words), own | bake.ENVIRONMENT)


@contextmanager
def started(command: Command, cancellation: proc.Cancellation) -> Iterator[Started]:
    """Start *command*; that this fails is for whoever closes the record."""
    begun, clock = datetime.now(UTC), time.monotonic()
    try:
        process = command.start(cancellation)
    except NotReady as error:
        yield Started(command, begun, clock, error)
    else:
        with process:
            yield Started(command, begun, clock, process)
