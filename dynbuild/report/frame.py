"""The picture of what runs: lines for a width and a height.  Pure.

Failures stay on top; then each step that is worked on, then what waits, then what is done,
folded to a count for each stage.  What has no room is said to be there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from rich.cells import cell_len, set_cell_size

from dynbuild import units
from dynbuild.report.live import Live, LiveStep, harmless

_WIDE = 130
_GAP = "  "
_LABEL, _CLOCK = 26, 8
_SHORT_SECONDS = 1.0
_FAILED_SHARE = 3
_FAILED_LINES = 6


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a line in one style: bold, dim, red, green, yellow, cyan, or none."""

    text: str
    style: str = ""


Line = tuple[Part, ...]


def text(line: Line) -> str:
    """What *line* says."""
    return "".join(part.text for part in line)


def fit(value: str, width: int) -> str:
    """*value* in at most *width* columns."""
    if cell_len(value) <= width:
        return value
    return f"{set_cell_size(value, width - 1).rstrip()}…" if width > 0 else ""


def clock(seconds: float) -> str:
    """Time in whole seconds: ``0:07``, ``12:03``, ``1:02:03``."""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def frame(live: Live, *, width: int, height: int, now: float) -> list[Line]:
    """What runs at *now*, in at most *height* lines of at most *width* columns."""
    room = max(1, height)
    lines = [_header(live, now, width)]
    failed = list(_failed(live, width, max(2, room // _FAILED_SHARE)))
    lines += failed[: max(0, room - len(lines) - 2)]
    done = list(_done(live, width))
    waiting = list(_waiting(live, now, width))
    # Of what is done one line stays at least, if there is one.
    kept = min(1, len(done)) + min(1, len(waiting))
    lines += _running(live, now, width, max(0, room - len(lines) - kept))
    lines += waiting[: max(0, room - len(lines) - min(1, len(done)))]
    left = max(0, room - len(lines))
    if len(done) > left > 0:
        done = [*done[: left - 1], _cut(done, left - 1, width)]
    return (lines + done[:left])[:room]


def _cut(done: Sequence[Line], kept: int, width: int) -> Line:
    return (Part(fit(f"{text(done[kept])} …", width), "dim"),)


def _header(live: Live, now: float, width: int) -> Line:
    parts = []
    states = Counter(live.cells.values())
    if len(live.cells) > 1:
        said = ("done", "running", "waiting", "failed", "cancelled", "skipped")
        cells = ", ".join(f"{states[one]} {one}" for one in said if states[one])
        parts.append(f"{len(live.cells)} cells: {cells}")
    else:
        parts += [harmless(cell) for cell in live.cells]
    done, total = live.steps()
    if total:
        parts.append(f"{done} of {total} steps")
    parts.append(clock(now - live.begun))
    left = live.remaining(now)
    if left is not None:
        parts.append(_left(left))
    # The clock and what is left are what one looks for; the rest gives way.
    tail = _GAP.join(parts[1:])
    head = fit(parts[0], max(0, width - cell_len(tail) - len(_GAP)))
    return (Part(fit(f"{head}{_GAP}{tail}" if head else tail, width), "bold"),)


def _left(seconds: float) -> str:
    if seconds < 1:
        return "longer than before"
    if seconds < 50:
        return f"about {max(5, 5 * round(seconds / 5))} s left"
    return f"about {units.format_minutes(seconds)} left"


def _failed(live: Live, width: int, room: int) -> Iterator[Line]:
    """The failures with their last lines, in at most *room* lines."""
    failures = list(live.failures.values())
    shown = failures[: max(1, room // 2)]
    lines = max(0, min(_FAILED_LINES, room // max(1, len(shown)) - 1))
    for failure in shown:
        whose = f"{len(failure.cells)} cells: " if len(failure.cells) > 1 else ""
        yield (Part(fit(f"FAILED {whose}{failure.what}", width), "red"),)
        said = (*failure.lines[-max(0, lines - 1) :], failure.message) if lines else ()
        for line in said[-lines:] if lines else ():
            yield (Part(fit(f"  {line}", width)),)
    if len(failures) > len(shown):
        yield (Part(fit(f"and {len(failures) - len(shown)} failures more", width), "red"),)


@dataclass(slots=True)
class _Row:
    """Steps of several cells that are the same to a person."""

    step: LiveStep
    cells: list[str] = field(default_factory=list)


def _rows(live: Live, now: float) -> list[_Row]:
    rows: dict[tuple[str, ...], _Row] = {}
    for solve in live.solves.values():
        if solve.over:
            continue
        for step in solve.steps.values():
            if not step.running:
                continue
            brief = step.name.is_internal or step.ended
            if brief and now - step.began < _SHORT_SECONDS:
                continue
            name = step.name
            same = (name.platform, name.stage, name.scope, f"{name.index}", name.telling)
            row = rows.setdefault(same, _Row(step))
            row.cells += solve.cells
            if len(step.tail) > len(row.step.tail):
                row.step = step
    return sorted(rows.values(), key=lambda row: row.step.began)


def _running(live: Live, now: float, width: int, room: int) -> list[Line]:
    rows = _rows(live, now)
    double = width < _WIDE and 2 * len(rows) <= room
    shown = rows if len(rows) * (1 + double) <= room else rows[: max(0, room - 1)]
    lines: list[Line] = []
    several = len(live.cells) > 1
    for row in shown:
        lines += _row(live, row, now, width, double=double, several=several)
    if len(shown) < len(rows) and room:
        lines.append((Part(fit(f"and {len(rows) - len(shown)} more", width), "dim"),))
    return lines


def _row(
    live: Live, row: _Row, now: float, width: int, *, double: bool, several: bool
) -> Iterator[Line]:
    step, name = row.step, row.step.name
    place = " ".join(part for part in (name.platform, name.stage or name.scope) if part)
    place = place or name.target or "image"
    count = f" {name.index}/{name.total}" if name.total else ""
    label = f"{place}{count}"
    if several and row.cells:
        cells = row.cells[0] if len(row.cells) == 1 else f"{len(row.cells)} cells"
        label = f"{label} {cells}"
    time = clock(now - step.began).rjust(_CLOCK)
    waits = live.waits(step)
    detail = waits or step.transfer(now) or (step.tail[-1] if step.tail else "")
    style = "yellow" if waits else "dim"
    wide = min(_LABEL if width < _WIDE else 2 * _LABEL, max(8, width // 3))
    label = set_cell_size(fit(harmless(label), wide), wide)
    room = width - cell_len(label) - len(_GAP) - len(time)
    what = harmless(name.telling)
    if double or not detail or room < _LABEL:
        line = set_cell_size(fit(what, max(0, room)), max(0, room))
        yield _cropped((Part(label, "cyan"), Part(_GAP), Part(line), Part(time)), width)
        if double and detail:
            yield (Part(fit(f"    {detail}", width), style),)
        return
    first = (room - len(_GAP)) // 2
    what = set_cell_size(fit(what, first), first)
    rest = fit(detail, room - first - len(_GAP))
    parts = (Part(label, "cyan"), Part(_GAP), Part(what), Part(time), Part(_GAP))
    yield _cropped((*parts, Part(rest, style)), width)


def _cropped(line: Line, width: int) -> Line:
    """*line* in at most *width* columns."""
    kept, left = [], width
    for part in line:
        said = fit(part.text, left) if left else ""
        left -= cell_len(said)
        kept.append(Part(said, part.style))
    return tuple(kept)


def _waiting(live: Live, now: float, width: int) -> Iterator[Line]:
    for name, solve in live.solves.items():
        if solve.waiting and not solve.over:
            again = clock(solve.until - now)
            said = f"{f'{name}: ' if name else ''}{solve.waiting}: tried again in {again}"
            yield (Part(fit(harmless(said), width), "yellow"),)
    queue = [cell for cell, state in live.cells.items() if state == "waiting"]
    if queue and live.solves:
        common = any(not solve.cells and not solve.over for solve in live.solves.values())
        why = "the steps they have in common" if common else "a slot (--jobs)"
        names = ", ".join(islice(queue, 4))
        more = f" and {len(queue) - 4} more" if len(queue) > 4 else ""
        yield (Part(fit(harmless(f"wait for {why}: {names}{more}"), width), "yellow"),)


def _done(live: Live, width: int) -> Iterator[Line]:
    """What is done, as counts for each stage, in as many lines as that takes."""
    ran: Counter[str] = Counter()
    cached: Counter[str] = Counter()
    steps: dict[str, LiveStep] = {}
    for step in (one for solve in live.solves.values() for one in solve.instructions):
        # Each solve tells of a step that several have; it ran once.
        if step.ended and not step.running and not step.error:
            known = steps.get(step.digest, step)
            steps[step.digest] = step if known.cached else known
    for step in steps.values():
        counted = cached if step.cached else ran
        counted[step.name.stage or "image"] += 1
    stages = list(dict.fromkeys((*ran, *cached)))
    if not stages:
        return
    total = f"done: {sum(ran.values())} run, {sum(cached.values())} from the cache;"
    line = total
    for stage in stages:
        said = " ".join(
            [
                harmless(stage),
                *([f"{ran[stage]} run"] if ran[stage] else []),
                *([f"{cached[stage]} cached"] if cached[stage] else []),
            ]
        )
        said += "," if stage != stages[-1] else ""
        if cell_len(line) + 1 + cell_len(said) > width and line:
            yield (Part(fit(line, width), "dim"),)
            line = " "
        line = f"{line} {said}"
    yield (Part(fit(line, width), "dim"),)
