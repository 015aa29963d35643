"""How a build or a matrix is shown while it runs: what ``--progress`` chooses."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from dynbuild.cli import console
from dynbuild.errors import DynbuildError

if TYPE_CHECKING:
    from dynbuild.plan.job import Job
    from dynbuild.report.live import Live
    from dynbuild.report.timeline import Timeline

Shown: TypeAlias = AbstractContextManager[Callable[..., None]]
"""Listens to events, those of a build or those of a matrix."""

_BUILDS = 3
"""Of how many earlier builds it is learned what steps take."""
_LOOKED_AT = 60


def shown(
    mode: str,
    plain: Callable[[], Shown],
    job: Job,
    texts: Mapping[str, str],
    *,
    done: frozenset[str] = frozenset(),
) -> Shown:
    """What shows a build of *job*.

    Args:
        mode: What ``console.progress`` makes of ``--progress``.
        plain: Makes what shows it in lines.
        job: What is built.
        texts: Text of the Dockerfile of each image, by its name.
        done: Images that are there already.
    """
    if mode != "live":
        return without_screen(mode, plain)
    from dynbuild.cli.screen import Screen
    from dynbuild.report.live import Live

    names = [image.name for image in job.plan.images if image.tags and image.name not in done]
    live = Live(dict.fromkeys(names, "waiting"), time.monotonic())

    def learn() -> None:
        load_forecasts(live, Path(job.plan.context))
        with suppress(DynbuildError, OSError, ValueError):
            live.total = _total(job, texts, done)

    return Screen(live, console.err_display(), learn)


def without_screen(mode: str, plain: Callable[[], Shown]) -> Shown:
    """What shows a build in the *mode* plain, json or quiet."""
    if mode == "plain":
        return plain()
    if mode == "json":
        from dynbuild.report import event_json

        return nullcontext(lambda event: console.event(event_json.line(event)))
    return nullcontext(lambda _: None)


def load_forecasts(live: Live, context: Path) -> None:
    """Look up how long the steps of *live* took in earlier builds of the tree *context*."""
    from dynbuild.report import forecast
    from dynbuild.report.live import COMMON

    earlier = _timelines(context, (*live.cells, COMMON))
    found = {name: forecast.of(those) for name, those in earlier.items()}
    live.forecasts = {name: known for name, known in found.items() if known}


def _timelines(context: Path, names: Iterable[str]) -> dict[str, list[Timeline]]:
    """The timelines of the last builds that ran steps for each of *names*, the newest first."""
    from dynbuild.build import record, recording
    from dynbuild.build.record import Record
    from dynbuild.matrix.common import VARIANT
    from dynbuild.report import timeline
    from dynbuild.report.live import COMMON

    found: dict[str, list[Timeline]] = {name: [] for name in names}
    for result in islice(record.finished(context), _LOOKED_AT):
        source = Record(Path(result.record))
        made = {image.id for image in result.images} | ({COMMON} if source.of == VARIANT else set())
        lacking = [name for name in made & found.keys() if len(found[name]) < _BUILDS]
        if lacking and result.status == "done" and result.steps.run_instructions:
            with suppress(OSError, ValueError, RecursionError):
                one = timeline.of(recording.steps_of(source), seconds=result.seconds)
                for name in lacking:
                    found[name].append(one)
        if all(len(those) == _BUILDS for those in found.values()):
            break
    return found


def _total(job: Job, texts: Mapping[str, str], done: frozenset[str]) -> int:
    """How many instructions the solves of *job* have together."""
    from dynbuild.matrix import groups
    from dynbuild.render import graph

    count = 0
    for group in groups.split(job):
        names = {image.name for image in group.images if image.plan.tags}
        if names and names <= done:
            continue
        graphs = (graph.of(image.plan, texts[image.name]) for image in group.images)
        count += len({key for one in graphs for key in one.steps})
    return count
