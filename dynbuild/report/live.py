"""A build or a matrix while it runs, as far as its events tell; ``frame`` makes lines of it.  Pure.

Time is seconds of any clock, given with each event and with each question.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from dynbuild import units
from dynbuild.build.events import Event, LogLine, Retried, StepEnded, StepStarted, Transfer
from dynbuild.build.solve import is_cancelled
from dynbuild.build.steps import StepName
from dynbuild.errors import one_line
from dynbuild.matrix.events import CellEnded, MatrixEvent, SolveEnded, SolveEvent, SolveStarted
from dynbuild.report import forecast
from dynbuild.report.forecast import Forecast

COMMON = ""
"""The forecast of the steps that several cells have in common."""

_TAIL = 40
_RATE_SECONDS = 5.0
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_CACHE = re.compile(r"--mount=(\S*type=cache\S*)")
_LAYER = re.compile(r"sha256:[0-9a-f]{12,}|\blayer\b")


def harmless(text: str) -> str:
    """*text* in one line, without what a terminal would obey."""
    plain = _ESCAPE.sub("", text).replace("\t", " ")
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in plain)


@dataclass(slots=True)
class LiveStep:
    """A step as far as it has come.

    Attributes:
        digest: What it is known by in its solve.
        name: Its name.
        began: When it began last.
        key: What a forecast knows it by.
        seconds: How long it was worked on until it ended last.
        running: Whether it is worked on.
        ended: Whether it ended at least once.
        cached: Whether its result was there.
        error: Why it failed.
        tail: The last lines that it printed.
        parts: What it transfers, by id.
        bytes: How many bytes it had transferred when, in the last seconds.
    """

    digest: str
    name: StepName
    began: float
    key: str
    seconds: float = 0.0
    running: bool = True
    ended: bool = False
    cached: bool = False
    error: str = ""
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=_TAIL))
    parts: dict[str, Transfer] = field(default_factory=dict)
    bytes: deque[tuple[float, int]] = field(default_factory=deque)

    def moved(self, part: Transfer, now: float) -> None:
        """Note how far *part* has come."""
        self.parts[part.id] = part
        self.bytes.append((now, sum(one.current for one in self.parts.values())))
        while len(self.bytes) > 2 and self.bytes[1][0] < now - _RATE_SECONDS:
            self.bytes.popleft()

    def transfer(self, now: float) -> str:
        """What it transfers, with bytes and rate; empty where that is nothing."""
        sized = [part for part in self.parts.values() if part.total or part.current]
        open_ = [part for part in self.parts.values() if part.completed is None]
        doing = harmless(open_[-1].action or open_[-1].id) if open_ else ""
        if not sized:
            return doing
        layers = [part for part in sized if _LAYER.search(part.id)]
        done = sum(part.completed is not None for part in layers)
        said = [f"{done} of {len(layers)} layers"] if layers else []
        current, total = (sum(part.current for part in sized), sum(part.total for part in sized))
        whole = f" of {units.format_size(total)}" if total >= current and total else ""
        said.append(f"{units.format_size(current)}{whole}")
        if open_:
            said.append(f"{units.format_size(self._rate(now))}/s")
        verb = open_[-1].action if open_ else ""
        return f"{harmless(verb)} {', '.join(said)}".strip()

    def _rate(self, now: float) -> int:
        """Bytes a second in the last seconds."""
        (first, before), (_, after) = self.bytes[0], self.bytes[-1]
        return int(max(0, after - before) / max(now - first, 1.0))


@dataclass(slots=True)
class LiveSolve:
    """A solve as far as it has come.

    Attributes:
        cells: The cells that it makes; none of the common steps.
        steps: Its steps by digest.
        waiting: Why all of it waits.
        until: When that wait ends.
        over: Whether it ended.
    """

    cells: tuple[str, ...] = ()
    steps: dict[str, LiveStep] = field(default_factory=dict)
    waiting: str = ""
    until: float = 0.0
    over: bool = False

    @property
    def instructions(self) -> Iterator[LiveStep]:
        """The steps that are instructions."""
        return (step for step in self.steps.values() if step.name.is_instruction)

    def remaining(self, known: Forecast, now: float) -> float:
        """Seconds that it still takes by *known*."""
        ran, running, cached = {}, {}, set()
        for step in self.steps.values():
            if step.running:
                running[step.key] = now - step.began
            elif step.cached:
                cached.add(step.key)
            elif step.ended:
                ran[step.key] = step.seconds
        return known.remaining(ran=ran, cached=cached, running=running)


@dataclass(frozen=True, slots=True)
class LiveFailure:
    """What failed: a step of some cells or a cell without a step, and the last lines of it."""

    what: str
    cells: tuple[str, ...]
    message: str
    lines: tuple[str, ...]


@dataclass(slots=True)
class Live:
    """What runs.

    Attributes:
        cells: The state of each image: waiting, running, or how it ended.
        begun: When it began.
        total: How many instructions there are, for all solves together; 0 while unknown.
        forecasts: What earlier builds say, by the image, or ``COMMON``.
        solves: By their names; a single build is the one without a name.
        failures: In the order in which they came.
    """

    cells: dict[str, str]
    begun: float
    total: int = 0
    forecasts: Mapping[str, Forecast] = field(default_factory=dict)
    solves: dict[str, LiveSolve] = field(default_factory=dict)
    failures: dict[str, LiveFailure] = field(default_factory=dict)

    def feed(self, event: Event | MatrixEvent, now: float) -> None:
        """Take in what happened at *now*."""
        match event:
            case SolveStarted(solve=solve, cells=cells):
                self._begin(solve, cells)
            case SolveEvent(solve, inner):
                self._step(solve, inner, now)
            case SolveEnded(solve):
                self.solve(solve).over = True
            case CellEnded(cell):
                self.cells[cell.id] = str(cell.status)
                if (why := cell.failure) and why.kind != "cancelled":
                    self._fail(why.step or cell.id, why.message, why.lines, (cell.id,))
            case _:
                self._step("", event, now)  # type: ignore[arg-type]

    def solve(self, name: str) -> LiveSolve:
        """The solve of that name."""
        if name not in self.solves:
            self._begin(name, () if name else tuple(self.cells))
        return self.solves[name]

    def _begin(self, name: str, cells: Sequence[str]) -> None:
        self.solves[name] = LiveSolve(tuple(cells))
        for cell in cells:
            self.cells[cell] = "running"

    def _step(self, solve_name: str, event: Event, now: float) -> None:
        solve = self.solve(solve_name)
        match event:
            case StepStarted(digest=digest, name=name):
                solve.waiting = ""
                step = solve.steps.get(digest)
                if step is None:
                    solve.steps[digest] = LiveStep(digest, name, now, forecast.key(name))
                else:
                    step.name, step.began, step.running = name, now, True
            case StepEnded(digest=digest) if step := solve.steps.get(digest):
                self._end(solve, step, event)
            case LogLine(digest=digest, text=text) if step := solve.steps.get(digest):
                if shown := harmless(text).rstrip():
                    step.tail.append(shown)
            case Transfer(digest=digest) if step := solve.steps.get(digest):
                step.moved(event, now)
            case Retried(message=message, seconds=seconds):
                solve.steps.clear()
                solve.waiting, solve.until = harmless(message), now + seconds
            case _:
                pass

    def _end(self, solve: LiveSolve, step: LiveStep, event: StepEnded) -> None:
        step.running, step.ended, step.cached = False, True, event.cached
        step.seconds = max(step.seconds, event.seconds)
        step.parts.clear()
        if event.error and not is_cancelled(event.error):
            step.error = event.error
            self._fail(step.name.title, event.error, tuple(step.tail), solve.cells)

    def _fail(self, what: str, message: str, lines: Sequence[str], cells: tuple[str, ...]) -> None:
        what = harmless(one_line(what))
        before = self.failures.get(what)
        whose = (*(before.cells if before else ()), *cells)
        self.failures[what] = LiveFailure(
            what=what,
            cells=tuple(dict.fromkeys(whose)),
            message=harmless(one_line(message)),
            lines=tuple(harmless(line) for line in lines) or (before.lines if before else ()),
        )

    # ---- asking --------------------------------------------------------------------------

    def steps(self) -> tuple[int, int]:
        """How many instructions are done, and how many there are as far as is known."""
        own = [solve for solve in self.solves.values() if solve.cells]
        seen = sum(1 for solve in own for _ in solve.instructions)
        done = sum(step.ended for solve in own for step in solve.instructions)
        return done, max(self.total, seen)

    def remaining(self, now: float) -> float | None:
        """Seconds to the end; ``None`` where earlier builds say nothing of it."""
        ahead, common = [], 0.0
        for cell, state in self.cells.items():
            known = self.forecasts.get(cell)
            if known is None or state not in ("running", "waiting"):
                continue
            own = next((one for one in self.solves.values() if cell in one.cells), LiveSolve())
            ahead.append(own.remaining(known, now))
        for solve in self.solves.values():
            if not solve.cells and not solve.over and (known := self.forecasts.get(COMMON)):
                common = solve.remaining(known, now)
        return common + max(ahead) if ahead else None

    def waits(self, step: LiveStep) -> str:
        """What a running step waits for; empty where nothing says that it does.

        BuildKit tells a step that waits for a cache mount as one that runs.  One that has
        printed nothing, while one that began before it holds the same locked cache, waits.
        """
        locked = locks(step.name.instruction)
        if step.tail or not locked:
            return ""
        for other in (one for every in self.solves.values() for one in every.steps.values()):
            if other is step or not other.running or other.began > step.began:
                continue
            if other.digest == step.digest and other.name == step.name:
                continue
            held = locked & locks(other.name.instruction)
            if held:
                return f"waits for the cache {min(held)}, which {other.name.label} holds"
        return ""


def locks(instruction: str) -> frozenset[str]:
    """The cache mounts that only one step at a time may have."""
    found = set()
    for mount in _CACHE.findall(instruction):
        said = dict(part.partition("=")[::2] for part in mount.split(","))
        if said.get("sharing") == "locked":
            found.add(said.get("id") or said.get("target") or said.get("dst") or "")
    return frozenset(found - {""})
