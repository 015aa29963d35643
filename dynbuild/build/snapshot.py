"""What decides which steps of a build run, and which ran: two of them can be compared.  Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal

from dynbuild.build.context import ContextRecord
from dynbuild.build.metadata import pins
from dynbuild.build.recording import Recording
from dynbuild.build.result import BuilderResult
from dynbuild.build.solve import Solve
from dynbuild.build.vertex import Step
from dynbuild.plan.document import ImagePlan, PlanDocument
from dynbuild.render import graph
from dynbuild.render.graph import Files, Graph, Pins

Place = tuple[str, str, str, int]
"""Image, platform, stage, and the number of a step in the stage, from 1."""

State = Literal["run", "cached", "failed"]

FOLDER = "folder"
"""What stands for a build context that is a folder: what is in it counts, not where it is."""

UNKNOWN = "unknown:"
"""What stands for the digest of a name of which nobody says what it stands for now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What was told, before a build, of what lies outside of it.

    Attributes:
        kept: What made each entry of the builder's cache, in BuildKit's words; ``None`` where
            nobody said it.
        absent: What was said of caches that would be imported and are not there.
        names: Why nobody says what a name stands for now, by the name.
        untold: What else is not known, in sentences.
    """

    kept: tuple[str, ...] | None = None
    absent: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    untold: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A build as far as it decides which steps run.

    Attributes:
        id: Its name; empty of one that has not begun.
        begun: When it began, if that is known.
        seconds: How long it took.
        plan: What was decided.
        texts: Text of the Dockerfile of each image.
        network: Of RUN steps; empty where nothing says it.
        files: What steps take from build contexts; ``None`` where nothing says it.
        pins: What names of images and addresses were resolved to.
        builder: Where it was solved, if that is known.
        solve: What became of its steps; ``None`` of one that has not begun.
        outlook: What is told of what lies outside, of one that has not begun.
    """

    id: str
    begun: datetime | None = None
    seconds: float = 0.0
    plan: PlanDocument
    texts: Mapping[str, str]
    network: str = ""
    files: ContextRecord | None = None
    pins: Pins = field(default_factory=dict)
    builder: BuilderResult | None = None
    solve: Solve | None = None
    outlook: Outlook = field(default_factory=Outlook)

    @property
    def ended(self) -> datetime | None:
        """When it ended, if that is known."""
        return self.begun + timedelta(seconds=self.seconds) if self.begun else None

    def image(self, name: str) -> ImagePlan | None:
        """The image of that name."""
        return next((one for one in self.plan.images if one.name == name), None)

    def import_errors(self) -> tuple[str, ...]:
        """Why build caches could not be imported."""
        unread = self.solve.unread_caches() if self.solve else ()
        return tuple(f"{name}: {error}" for name, error in unread)


def of_recording(read: Recording) -> Snapshot | None:
    """The build of a record; ``None`` where the record lacks the plan or a Dockerfile."""
    if read.plan is None or not read.dockerfiles:
        return None
    result = read.result
    return Snapshot(
        id=read.id,
        begun=read.begun,
        seconds=result.seconds if result else 0.0,
        plan=read.plan,
        texts=read.dockerfiles,
        network=read.network,
        files=read.context,
        pins=pins(result.materials) if result else {},
        builder=result.builder if result else None,
        solve=read.solve,
    )


def graphs(of: Snapshot, known: Pins, *, files: bool, network: bool) -> dict[str, Graph]:
    """The graph of each image of a build.

    Args:
        of: The build.
        known: What names were resolved to.
        files: Whether the files of build contexts count.
        network: Whether the network of steps counts.
    """
    made: dict[str, Graph] = {}
    every = every_name(known)
    for image in of.plan.images:
        made[image.name] = graph.of(
            without_folders(image, of.files),
            of.texts[image.name],
            linked=made,
            files=files_of(of.files, image.name) if files else {},
            pins=every,
            network=of.network if network else "",
        )
    return made


def every_name(known: Pins) -> dict[tuple[str, str], str]:
    """*known* with each image under the names that a Dockerfile may have for it."""
    more: dict[tuple[str, str], str] = {}
    for (name, platform), digest in known.items():
        tagless = name.removesuffix(":latest")
        for one in (name, tagless):
            for prefix in ("", "docker.io/", "docker.io/library/", "library/"):
                more[f"{prefix}{one}", platform] = digest
    return more


def without_folders(image: ImagePlan, files: ContextRecord | None) -> ImagePlan:
    """*image* with contexts that are folders wherever they are: what is in them counts."""
    if files is None:
        return image
    where = {
        name: FOLDER if name in files.contexts else place for name, place in image.contexts.items()
    }
    return replace(image, contexts=where)


def files_of(taken: ContextRecord | None, image: str) -> Files:
    """Digests of what the steps of *image* take, by stage and instruction."""
    found: dict[tuple[str, str], str] = {}
    for step in taken.steps if taken else ():
        if step.image == image:
            before = found.get((step.stage, step.step), "")
            found[step.stage, step.step] = f"{before} {step.digest}".strip()
    return found


def states(of: Snapshot, made: Mapping[str, Graph]) -> dict[Place, State]:
    """What became of each step that was come to."""
    return {place: state for place, (state, _) in _happened(of, made).items()}


def called(of: Snapshot, made: Mapping[str, Graph]) -> dict[str, set[str]]:
    """What BuildKit called the steps that were come to, by their keys, without their numbers."""
    found: dict[str, set[str]] = {}
    for (image, platform, stage, number), (_, instruction) in _happened(of, made).items():
        key = made[image].places[platform, stage, number]
        found.setdefault(key, set()).add(instruction)
    return found


def _rank(step: Step) -> tuple[bool, bool]:
    """Which of several steps of BuildKit's that have one instruction says what became of that.

    What ADD downloads is a step of the same name before its own; that one has inputs.  After a
    linked copy there is a step that puts its files on those below, in no time, named LINK.
    """
    puts = any(name.instruction.startswith("LINK ") for name in step.names.values())
    return bool(step.inputs), not puts


def _happened(of: Snapshot, made: Mapping[str, Graph]) -> dict[Place, tuple[State, str]]:
    """The state of each step that was come to, and its instruction as BuildKit shows it."""
    if of.solve is None:
        return {}
    told: dict[tuple[str, str, str], dict[int, tuple[State, str]]] = {}
    totals: dict[tuple[str, str, str], int] = {}
    for step in sorted(of.solve.steps.values(), key=_rank):
        if not step.ended and not step.running:
            continue
        state: State = "failed" if step.error or not step.ended else "run"
        for name in step.names.values():
            where = (name.target, name.platform.rpartition(">")[2], name.stage.lower())
            totals[where] = name.total
            became: State = "cached" if step.cached else state
            told.setdefault(where, {})[name.index] = became, name.instruction
    found: dict[Place, tuple[State, str]] = {}
    for image in of.plan.images:
        places = made[image.name].places
        counts = Counter(place[:2] for place in places)
        for platform, stage, number in places:
            count = counts[platform, stage]
            for where in (
                (target, shown, stage.lower())
                for target in ("", image.id.bake_target)
                for shown in ("", platform)
            ):
                # FROM is counted where it is no other stage.
                at = number + totals.get(where, 0) - count
                if at in told.get(where, {}):
                    found[image.name, platform, stage, number] = told[where][at]
    return found
