"""Two builds beside each other: figures, stages, steps and arguments that differ.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dynbuild import units
from dynbuild.report.document import Report, Step

_LEAST_SECONDS, _LEAST_SHARE = 0.1, 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Something that is not the same in two builds.

    Attributes:
        kind: ``build``, ``image``, ``stage``, ``step`` or ``argument``.
        name: Of what.
        before: What it was in the earlier build.
        after: What it is in the later one.
    """

    kind: str
    name: str
    before: str
    after: str


def of(before: Report, after: Report) -> list[Difference]:
    """What differs between an earlier build and a later one."""
    return [
        one
        for one in (
            *_build(before, after),
            *_images(before, after),
            *_arguments(before, after),
            *_stages(before, after),
            *_steps(before, after),
        )
        if one.before != one.after
    ]


def _build(before: Report, after: Report) -> Iterator[Difference]:
    yield _of("build", "status", before.status, after.status)
    yield _of("build", "time", units.format_time(before.seconds), units.format_time(after.seconds))
    yield _of("build", "steps", _counts(before), _counts(after))


def _counts(report: Report) -> str:
    run = sum(group.run for group in report.groups)
    return f"{run} run, {sum(group.cached for group in report.groups)} cached"


def _images(before: Report, after: Report) -> Iterator[Difference]:
    old = {image.name: image.result for image in before.images}
    new = {image.name: image.result for image in after.images}
    for name in dict.fromkeys((*old, *new)):
        if name not in old or name not in new:
            yield _of("image", name, "built" if name in old else "", "built" if name in new else "")
            continue
        one, other = old[name], new[name]
        if one and other and one.digest and other.digest:
            yield _of("image", f"digest of {name}", one.digest, other.digest)
        if one and other and one.size is not None and other.size is not None:
            sizes = (units.format_size(each) for each in (one.size, other.size))
            yield _of("image", f"size of {name}", *sizes)


def _arguments(before: Report, after: Report) -> Iterator[Difference]:
    old, new = _values(before), _values(after)
    for name in sorted({*old, *new}):
        yield _of("argument", name, old.get(name, "(none)"), new.get(name, "(none)"))


def _values(report: Report) -> dict[str, str]:
    several = len(report.images) > 1
    return {
        f"{one.name} of {image.name}" if several else one.name: one.value
        for image in report.images
        for one in image.arguments
    }


def _stages(before: Report, after: Report) -> Iterator[Difference]:
    old = {group.name: group.seconds for group in before.groups if group.lanes}
    new = {group.name: group.seconds for group in after.groups if group.lanes}
    for name in dict.fromkeys((*new, *old)):
        yield from _timed("stage", name, old.get(name), new.get(name))


def _steps(before: Report, after: Report) -> Iterator[Difference]:
    """Steps by what they do: a digest changes with the session that a context came in."""
    old, new = _named(before), _named(after)
    for name in dict.fromkeys((*new, *old)):
        one, other = old.get(name), new.get(name)
        states = (one.kind if one else "absent", other.kind if other else "absent")
        if states[0] != states[1]:
            yield _of("step", name, *(_state(each) for each in (one, other)))
        elif one and other:
            yield from _timed("step", name, one.seconds, other.seconds)


def _named(report: Report) -> Mapping[str, Step]:
    return {
        f"{report.groups[step.group].name}: {step.title}": step
        for step in report.steps
        if step.kind not in ("internal", "export")
    }


def _state(step: Step | None) -> str:
    if step is None:
        return "absent"
    return f"run, {units.format_time(step.seconds)}" if step.kind == "run" else step.kind


def _timed(kind: str, name: str, old: float | None, new: float | None) -> Iterator[Difference]:
    """A time that differs by more than chance makes it."""
    if old is not None and new is not None:
        chance = max(_LEAST_SECONDS, _LEAST_SHARE * max(old, new))
        if abs(new - old) <= chance:
            return
    yield _of(kind, name, _time(old), _time(new))


def _time(seconds: float | None) -> str:
    return "absent" if seconds is None else units.format_time(seconds)


def _of(kind: str, name: str, before: str, after: str) -> Difference:
    return Difference(kind=kind, name=name, before=before, after=after)
