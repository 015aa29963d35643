"""What happens during a build, as frozen values; those who build and those who report meet here.

A step is known by its digest. Its text is no key: two images may have stages of one name, and one
step of two images has a name for each.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from dynbuild.build.steps import StepName

_LONG_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class RecordBegun:
    """The record of the build is there, and grows from now on.

    Attributes:
        id: The name of the build.
        path: Its folder.
    """

    id: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStarted:
    """A step began.

    Attributes:
        digest: Which step.
        name: Its name, of the target that told of it first.
        inputs: Digests of the steps whose results it takes.
        time: When, by the engine's clock.
        again: Whether it had begun before: BuildKit comes back to a step to fetch what it
            only looked at, or to read its result from the cache.
    """

    digest: str
    name: StepName
    inputs: tuple[str, ...] = ()
    time: datetime | None = None
    again: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StepEnded:
    """A step ended; a ``StepStarted`` came before.

    Attributes:
        digest: Which step.
        time: When, by the engine's clock.
        seconds: How long it took since it started last.
        cached: Whether its result came from the cache, or from a build beside this one.
        error: Why it failed; empty when it went well.
        again: Whether it had ended before.
    """

    digest: str
    time: datetime | None = None
    seconds: float = 0.0
    cached: bool = False
    error: str = ""
    again: bool = False

    @property
    def is_news(self) -> bool:
        """Whether a person wants to read of it: the first time, and if it took its time.

        BuildKit comes back to many steps for a moment, to look at them or to read their result.
        """
        return not self.again or bool(self.error) or self.seconds > _LONG_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """A step printed a line; *stream* is 1 for standard output, 2 for errors."""

    digest: str
    text: str
    stream: int = 1
    time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """A part of a step came further: a download, an upload, a layer that is exported.

    Attributes:
        digest: Of the step.
        id: Which part, such as ``transferring context:`` or the digest of a layer.
        action: What is done with it, such as ``downloading``; often empty.
        current: Bytes so far.
        total: Bytes in all; 0 where that is not known.
        time: When that was so.
        started: When the part began.
        completed: When it was through.
    """

    digest: str
    id: str
    action: str = ""
    current: int = 0
    total: int = 0
    time: datetime | None = None
    started: datetime | None = None
    completed: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned:
    """BuildKit warned of something, mostly in the Dockerfile.

    Attributes:
        text: In one line.
        digest: The step that it is about; empty where there is none.
        url: Where more is said.
        file: The Dockerfile.
        line: The line of it; 0 where that is not known.
        detail: More lines.
    """

    text: str
    digest: str = ""
    url: str = ""
    file: str = ""
    line: int = 0
    detail: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Message:
    """A line that belongs to no step, such as the client's own errors."""

    text: str


@dataclass(frozen=True, slots=True)
class Retried:
    """A server or the network failed, and all that is not done is begun anew.

    Attributes:
        message: What was wrong.
        seconds: How long is waited before.
        tried: How many tries there were.
    """

    message: str
    seconds: float
    tried: int


Event = RecordBegun | StepStarted | StepEnded | LogLine | Transfer | Warned | Message | Retried
