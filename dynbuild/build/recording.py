"""A record read back: what one build was, from its folder alone.

Only what can be read counts: a record of a build that was killed, or one of another version,
gives what there is of it, and says what there is not.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from dynbuild import paths
from dynbuild.build import context, record
from dynbuild.build.context import ContextRecord
from dynbuild.build.events import LogLine
from dynbuild.build.record import Record
from dynbuild.build.result import BuildResult
from dynbuild.build.solve import Solve, replay
from dynbuild.plan.document import PlanDocument

_Read = TypeVar("_Read")
_REPLAYED = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """What a record says.

    Attributes:
        id: The name of the build.
        begun: When it began, by its name; ``None`` where that does not say it.
        result: How it ended; ``None`` of one that runs, or was killed.
        plan: What was decided.
        context: What was taken from build contexts.
        dockerfiles: Text of the Dockerfile of each image, by its name.
        network: Of build steps, as BuildKit was told it; empty where nothing says it.
        solve: Its steps.
        lines: What they printed, in order.
        missing: The files that are not there, or cannot be read, each with the reason.
    """

    id: str
    begun: datetime | None
    result: BuildResult | None
    plan: PlanDocument | None
    context: ContextRecord | None
    solve: Solve
    lines: tuple[LogLine, ...]
    dockerfiles: Mapping[str, str] = field(default_factory=dict)
    network: str = ""
    missing: tuple[str, ...] = ()


def read(source: Record) -> Recording:
    """What *source* holds."""
    missing: list[str] = []

    def part(name: str, parse: Callable[[], _Read]) -> _Read | None:
        try:
            return parse()
        except (OSError, ValueError, RecursionError) as error:
            why = error.strerror if isinstance(error, OSError) else "damaged, or of another version"
            missing.append(f"{name}: {why}")
            return None

    solve = Solve()
    lines: list[LogLine] = []

    def events() -> None:
        with paths.regular(source.events).open(encoding="utf-8", errors="replace") as file:
            lines.extend(event for event in replay(file, solve) if isinstance(event, LogLine))

    result = part("result.json", lambda: record.read(source))
    plan = part("plan.json", lambda: PlanDocument.parse(paths.regular(source.plan).read_bytes()))
    taken = part("context.json", lambda: context.parse(paths.regular(source.context).read_bytes()))
    part("events.jsonl", events)
    texts = part("Dockerfile", lambda: _dockerfiles(source, plan)) if plan else None
    return Recording(
        id=source.id,
        begun=record.begun(source.id),
        result=result,
        plan=plan,
        context=taken,
        solve=solve,
        lines=tuple(lines),
        dockerfiles=texts or {},
        network=_network(source),
        missing=tuple(missing),
    )


def steps_of(source: Record) -> Solve:
    """The steps of a build, as far as its progress is written down.

    Raises:
        OSError: There is no progress, or it cannot be read.
    """
    return _replayed(source, paths.stamp(source.events))


@functools.lru_cache(_REPLAYED)
def _replayed(source: Record, _: tuple[int, int, int]) -> Solve:
    """The steps of a build whose progress has that stamp: several ask for them in a command."""
    solve = Solve()
    with paths.regular(source.events).open(encoding="utf-8", errors="replace") as lines:
        for _event in replay(lines, solve):
            pass
    return solve


def _dockerfiles(source: Record, plan: PlanDocument) -> dict[str, str]:
    only = len(plan.images) == 1
    return {
        image.name: paths.regular(source.dockerfile(image.name, only=only)).read_text(
            encoding="utf-8", errors="surrogateescape"
        )
        for image in plan.images
    }


def _network(source: Record) -> str:
    """The network of build steps as the definition has it; empty where that says nothing."""
    with suppress(OSError, ValueError, RecursionError, AttributeError, KeyError, TypeError):
        targets = json.loads(paths.regular(source.bake).read_bytes())["target"].values()
        return next((str(one["network"]) for one in targets if "network" in one), "bridge")
    return ""


def images_of(source: Record) -> tuple[str, ...]:
    """The names of the images of a build; none where its plan cannot be read."""
    with suppress(OSError, ValueError, RecursionError, KeyError, TypeError):
        return tuple(
            one["name"] for one in json.loads(paths.regular(source.plan).read_bytes())["images"]
        )
    return ()
