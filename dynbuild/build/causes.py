"""Why the steps of a build ran: first causes apart from what only follows from them.  Pure.

Two builds are compared step by step as graphs of dynbuild's own, in which a step has the same
key in both where it is the same work.  BuildKit's digests would not do: below a local context
they change with every session.  What no difference explains is called unexplained.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from dynbuild.addresses import public
from dynbuild.build import builder_cache, differences, record, snapshot
from dynbuild.build.builder_cache import BuilderCache
from dynbuild.build.differences import Cause, Pair
from dynbuild.build.result import BuildResult
from dynbuild.build.snapshot import Place, Snapshot, State
from dynbuild.render.graph import Graph, Step

_FORGETS_BEFORE = (0, 32)
"""BuildKit before it does not find what was run on top of a step of a build that still goes on."""

_IMPORT = "a cache was not imported: {}"
_PRUNED = "the builder has lost it since {}: pruned, or over its limit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why one step ran, or will.

    Attributes:
        place: Where it is.
        step: What it is.
        state: What became of it; ``None`` of one that has not run.
        causes: First causes, of this very step.
        after: Keys of steps that it follows from: they ran, or are other ones than before.
    """

    place: Place
    step: Step
    state: State | None
    causes: tuple[Cause, ...]
    after: tuple[str, ...]

    @property
    def kind(self) -> Literal["first", "follows", "unexplained"]:
        """Whether it is a first cause's own, follows from others, or is not explained."""
        return "first" if self.causes else "follows" if self.after else "unexplained"


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why the steps of a build ran, or will, as far as an earlier one explains it.

    Attributes:
        before: The earlier build.
        after: The later one; empty for one that has not begun.
        reasons: Of each step that ran, each after those that it needs.
        cached: How many steps were, or will be, found in the cache.
        passed: Of steps that are other ones than before, but were found in the cache.
        unknown: Of each step of which nobody can say beforehand whether it runs.
        untold: What else is not known beforehand, in sentences.
    """

    before: str
    after: str
    reasons: tuple[Reason, ...]
    cached: int
    passed: tuple[Reason, ...] = ()
    unknown: tuple[Reason, ...] = ()
    untold: tuple[str, ...] = ()

    @property
    def causes(self) -> Mapping[Cause, tuple[Reason, ...]]:
        """The first causes of what ran, or will, each with the steps whose own it is."""
        found = self._causes(self.reasons)
        return {cause: steps for cause, steps in found.items() if cause.kind != "unknown"}

    @property
    def doubts(self) -> Mapping[Cause, tuple[Reason, ...]]:
        """What is not known of steps beforehand, each with the steps whose own it is."""
        return self._causes(self.unknown)

    def _causes(self, reasons: Iterable[Reason]) -> dict[Cause, tuple[Reason, ...]]:
        found: dict[Cause, dict[str, Reason]] = {}
        for reason in reasons:
            for first in self.first_of(reason):
                for cause in first.causes:
                    found.setdefault(cause, {})[first.step.key] = first
        return {cause: tuple(steps.values()) for cause, steps in found.items()}

    def of_kind(self, kind: str) -> tuple[Reason, ...]:
        """The reasons of one kind."""
        return tuple(one for one in self.reasons if one.kind == kind)

    def first_of(self, reason: Reason) -> tuple[Reason, ...]:
        """The reasons at the beginning of what *reason* follows from; itself if it is one."""
        by_key = {one.step.key: one for one in (*self.passed, *self.unknown, *self.reasons)}
        seen, ahead, first = {reason.step.key}, [reason], []
        while ahead:
            one = ahead.pop()
            if one.kind != "follows":
                first.append(one)
                continue
            new = [key for key in one.after if key in by_key and key not in seen]
            seen.update(new)
            ahead += [by_key[key] for key in new]
        return tuple(first)


def explain(before: Snapshot, after: Snapshot, beside: Sequence[str] = ()) -> Explanation:
    """Why steps of *after* ran, beside *before*; of one without a solve, what will run.

    Args:
        before: The earlier build.
        after: The later one.
        beside: What is told of the builds that overlapped with the later one.
    """
    return _Comparison(before, after, tuple(beside)).explanation()


@dataclass(slots=True)
class _Comparison:
    """Two builds side by side."""

    before: Snapshot
    after: Snapshot
    beside: tuple[str, ...] = ()
    _old: Mapping[str, Graph] = field(init=False)
    _new: Mapping[str, Graph] = field(init=False)
    _known: Mapping[str, Step] = field(init=False)
    _done: frozenset[str] = field(init=False)
    _general: tuple[Cause, ...] = field(init=False)
    _apart: frozenset[str] = field(init=False)
    _lost: frozenset[str] = field(init=False)
    _pairs: dict[str, Pair] = field(default_factory=dict)

    def __post_init__(self) -> None:
        before, after = self.before, self.after
        both = {
            # What only one of them says is no difference.
            "files": before.files is not None and after.files is not None,
            "network": bool(before.network and after.network),
        }
        self._old = snapshot.graphs(before, {**after.pins, **before.pins}, **both)
        self._new = snapshot.graphs(after, {**before.pins, **after.pins}, **both)
        self._known = {key: step for one in self._old.values() for key, step in one.steps.items()}
        went = snapshot.states(before, self._old)
        self._done = frozenset(
            self._old[place[0]].places[place[1:]]
            for place, state in went.items()
            if state != "failed"
        )
        self._general = tuple(self._elsewhere())
        self._apart = frozenset(self._based_on_others())
        self._lost = self._not_kept()

    def explanation(self) -> Explanation:
        states = snapshot.states(self.after, self._new)
        happened = self.after.solve is not None
        reasons: dict[str, Reason] = {}
        unknown: dict[str, Reason] = {}
        passed: dict[str, Reason] = {}
        both = ChainMap(reasons, unknown)
        # What does not run itself may still hand on what is not known.
        unsure: set[str] = set()
        for image in self.after.plan.images:
            new = self._new[image.name]
            for place, key in new.places.items():
                where = (image.name, *place)
                state = states.get(where)
                reason = self._reason(where, new.steps[key], state, both)
                runs = state in ("run", "failed") if happened else self._will_run(reason, both)
                certain = happened or _is_certain(reason, reasons, unsure)
                if not certain:
                    unsure.add(key)
                if runs and not certain:
                    unknown.setdefault(key, reason)
                elif runs and (key not in reasons or reasons[key].kind == "unexplained"):
                    reasons[key] = reason
                elif not runs and (state == "cached" or not happened):
                    passed.setdefault(key, reason)
        found = [one for key, one in passed.items() if key not in both]
        return Explanation(
            before=self.before.id,
            after=self.after.id,
            reasons=tuple(reasons.values()),
            cached=len(found),
            passed=tuple(one for one in found if one.step.key not in self._known),
            unknown=tuple(one for key, one in unknown.items() if key not in reasons),
            untold=self.after.outlook.untold,
        )

    def _will_run(self, reason: Reason, reasons: Mapping[str, Reason]) -> bool:
        step = reason.step
        origin = step.parts["from"]
        if reason.causes and {cause.kind for cause in reason.causes} == {"platform"}:
            # Files that are only copied or added to nothing are the same for every platform.
            bare = origin == "scratch" or origin in self._new[reason.place[0]].steps
            needs = [key for key in step.inputs if not (step.is_linked and key == origin)]
            return step.is_run or not bare or any(key in reasons for key in needs)
        if step.key in self._apart and not self._forced(reason.place[0]):
            return step.key in self._lost
        if step.key in self._known and self._asked and not self._forced(reason.place[0]):
            return step.key in self._lost
        return bool(reason.causes or reason.after) or step.key not in self._known

    def _reason(
        self,
        place: Place,
        step: Step,
        state: State | None,
        reasons: Mapping[str, Reason],
    ) -> Reason:
        ran = tuple(key for key in step.inputs if key in reasons)
        causes: tuple[Cause, ...] = ()
        after = ran
        if step.key not in self._known:
            causes = self._pair(place[0]).causes(place, step)
            after = tuple(
                dict.fromkeys((*ran, *(key for key in step.inputs if key not in self._known)))
            )
        elif not ran:
            happened = self.after.solve is not None
            causes = self._same(step) if happened else self._foreseen(place[0], step)
        if self._forced(place[0]):
            causes = (Cause("no-cache", "--no-cache: nothing is taken from the cache"),)
        return Reason(place=place, step=step, state=state, causes=causes, after=after)

    def _pair(self, image: str) -> Pair:
        """An image in both builds; matching its steps is only worth it where one differs."""
        if image not in self._pairs:
            old, new = self._old.get(image), self._new[image]
            self._pairs[image] = Pair(old, new, self.before, self.after, image)
        return self._pairs[image]

    def _elsewhere(self) -> Iterator[Cause]:
        """Why a step of the same inputs is not in the cache that was asked."""
        one, other = self.before.builder, self.after.builder
        if not one or not other:
            return
        names = [("builder", one.name, other.name), ("driver", one.driver, other.driver)]
        if one.engine and other.engine:
            names.append(("engine", one.engine, other.engine))
        for what, old, new in names:
            if old != new:
                yield Cause("builder", f"{what}: {old} -> {new}")
                return
        if one.buildkit and other.buildkit and one.buildkit != other.buildkit:
            yield Cause("builder", f"BuildKit of {other.name}: {one.buildkit} -> {other.buildkit}")

    def _forced(self, image: str) -> bool:
        found = self.after.image(image)
        return found is not None and found.no_cache

    @property
    def _asked(self) -> bool:
        """Whether it is known, before a build, what the builder has."""
        return self.after.solve is None and self.after.outlook.kept is not None

    def _based_on_others(self) -> Iterator[str]:
        """Linked steps that are what they were, and only come on top of something else."""
        if self.after.solve is not None:
            return
        for image, made in self._new.items():
            for key, step in made.steps.items():
                changed = step.is_linked and key not in self._known and image in self._old
                if changed and self._pair(image).is_only_based_on_other(step):
                    yield key

    def _not_kept(self) -> frozenset[str]:
        """Steps that are what they were, and yet have to run, as the builder lacks them."""
        if not self._asked:
            return frozenset()
        cache = BuilderCache(self.after.outlook.kept or ())
        names = snapshot.called(self.before, self._old)
        return frozenset().union(
            *(
                builder_cache.lost(one, self._others(one), cache, names)
                for one in self._new.values()
            )
        )

    def _others(self, made: Graph) -> Set[str]:
        return made.steps.keys() - self._known.keys() - self._apart

    def _of_every_step(self, step: Step) -> tuple[Cause, ...]:
        """What holds for all steps, or for all that the earlier build did not come to."""
        if self._general or step.key in self._done:
            return self._general
        return (Cause("unfinished", f"{self.before.id} did not come to its end"),)

    def _foreseen(self, image: str, step: Step) -> tuple[Cause, ...]:
        """Why a step will run whose inputs are what they were."""
        if not self._asked:
            return self._general
        if step.key not in self._lost:
            return ()
        if every := self._of_every_step(step):
            return every
        planned = self.after.image(image)
        imports = planned.cache_from if planned else ()
        absent = self.after.outlook.absent
        if left := [one for one in imports if one not in absent]:
            text = f"the builder lacks it, and nobody says whether {public(left[0])} has it"
            return (Cause("unknown", text),)
        if imports:
            return tuple(Cause("import", _IMPORT.format(absent[one])) for one in imports)
        return (Cause("pruned", _PRUNED.format(self.before.id)),)

    def _same(self, step: Step) -> tuple[Cause, ...]:
        """Why a step ran whose inputs are what they were."""
        if every := self._of_every_step(step):
            return every
        if errors := self.after.import_errors():
            return tuple(Cause("import", _IMPORT.format(one)) for one in errors)
        if self.beside and self._forgets():
            return tuple(Cause("overlap", text) for text in self.beside)
        if self.before.builder and self.after.builder and self._is_resolved(step):
            return (Cause("pruned", _PRUNED.format(self.before.id)),)
        return ()

    def _forgets(self) -> bool:
        builder = self.after.builder
        parts = builder.buildkit.split(".")[:2] if builder else []
        if not all(part.isdecimal() for part in parts) or len(parts) < 2:
            return True
        return tuple(map(int, parts)) < _FORGETS_BEFORE

    def _is_resolved(self, step: Step) -> bool:
        """Whether all is known that a step was made of, so that it is the same work indeed."""
        known = self.before.files is not None and self.after.files is not None
        takes = differences.takes_files(step)
        return known or not takes


def _is_certain(reason: Reason, certain: Container[str], unknown: Container[str]) -> bool:
    """Whether something of why a step will run is known; of one that nothing explains too."""
    if any(cause.kind != "unknown" for cause in reason.causes):
        return True
    if any(key in certain for key in reason.after):
        return True
    return not reason.causes and not any(key in unknown for key in reason.after)


def beside(after: Snapshot, others: Iterable[BuildResult]) -> list[str]:
    """What is told of the builds that ran while *after* did, of how *others* ended."""
    if not after.begun or not after.ended:
        return []
    found = []
    for one in others:
        begun = record.begun(one.id)
        if one.id == after.id or begun is None:
            continue
        if begun < after.ended and after.begun < begun + timedelta(seconds=one.seconds):
            found.append(
                f"{one.id} ran beside it: BuildKit before 0.32 does not find what was run on top"
                " of a step of a build that still goes on"
            )
    return found
