"""The report as one HTML page, which needs nothing but itself: no engine, no other file, no net.

The template lays everything out, so that the page can be read and printed without its script;
the script adds tooltips, details, filters and the log, from the data that the page carries.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from importlib import resources
from typing import TypeAlias

from dynbuild import units
from dynbuild.build.events import LogLine
from dynbuild.build.result import CacheFigures, Failure, ImageResult, StageFigures
from dynbuild.errors import shorten
from dynbuild.report.document import Image, Part, Report, Step
from dynbuild.report.pull import Pull

Row: TypeAlias = dict[str, object]

STATUS = {
    "done": "Done",
    "failed": "Failed",
    "interrupted": "Interrupted",
    "unfinished": "Not finished",
}
_TEXT_BUDGET = 600_000
"""Characters of all instructions together; of many steps each has fewer."""
_LEAST_TEXT = 160
_LABEL_PERCENT = 3.0
_PATH_SHARE = 0.005
_LAYERS = 12
_NONE = "-"
_LONG_LINE = 20_000

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])?")
_CONTROLS = re.compile("[\x00-\x08\x0a-\x1f\x7f\u2028\u2029]")
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def render(report: Report, lines: Sequence[LogLine]) -> str:
    """The page of *report*; *lines* are what the steps printed, in order."""
    from jinja2 import Environment, StrictUndefined

    parts = resources.files("dynbuild.report") / "page_parts"
    read = {name: (parts / name).read_text(encoding="utf-8") for name in _PARTS}
    env = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    template = env.from_string(read["page.html.j2"])
    view = _View(report)
    from markupsafe import Markup

    return template.render(
        report=report,
        time=units.format_time,
        css=Markup(read["page.css"]),  # noqa: S704 - our own file
        js=Markup(read["page.js"]),  # noqa: S704 - our own file
        data=Markup(_json(view.data())),  # noqa: S704 - escaped there
        log=Markup(_log(report, lines)),  # noqa: S704 - escaped there
        **view.context(),
    )


_PARTS = ("page.html.j2", "page.css", "page.js")


def _json(value: object) -> str:
    """*value* as JSON that no HTML parser takes for the end of a script."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").encode(errors="replace").decode()


def clean(text: str) -> str:
    """A line of a log without what only a terminal understands."""
    return _CONTROLS.sub("\ufffd", _ESCAPES.sub("", text[:_LONG_LINE]))


def _log(report: Report, lines: Sequence[LogLine]) -> str:
    """The log as the script reads it: ``STEP TENTHS|TEXT`` a line, numbers to the base of 36."""
    index, last = report.index(), 0
    begun = datetime.fromisoformat(report.begun) if report.begun else None
    written = []
    for line in lines:
        if line.time and begun:
            last = max(0, round(10 * (line.time - begun).total_seconds()))
        step = _base36(index.get(line.digest, 0))
        written.append(f"{step} {_base36(last)}|{clean(line.text)}")
    text = "\n".join(written).replace("\r", "")
    return text.replace("<", "\x01").encode(errors="replace").decode()


def _base36(number: int) -> str:
    text = ""
    while True:
        number, digit = divmod(number, 36)
        text = _DIGITS[digit] + text
        if not number:
            return text


class _View:
    """What the template asks for."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._wall = report.seconds or 1.0
        self._critical = {part.step for part in report.path if not part.wait}
        self._index = report.index()

    def context(self) -> Row:
        """The names of the template."""
        report = self._report
        cache = report.result.compile_cache if report.result else None
        failed = next((n for n, step in enumerate(report.steps) if step.kind == "failed"), None)
        return {
            "heading": ", ".join(image.name for image in report.images) or report.id,
            "status_word": STATUS[report.status],
            "when": _when(report.begun),
            "sections": tuple(self._sections()),
            "failure": _failure(report, failed),
            "failed_step": failed,
            "tiles": tuple(self._tiles()),
            "ticks": tuple(self._ticks()),
            "peak": max((level for _, level in report.parallelism), default=1),
            "parallelism": self._parallelism(),
            "path": tuple(self._segment(part) for part in report.path),
            "path_rows": tuple(self._path_rows()),
            "groups": tuple(self._groups()),
            "changes": tuple(self._changes()),
            "cache": tuple(_cache_rows(cache)) if cache else (),
            "images": tuple(_image(image, report.pulls) for image in report.images),
        }

    def data(self) -> Row:
        """What the script works with."""
        report = self._report
        targets = sorted({target for step in report.steps for target in step.targets})
        number = {target: n for n, target in enumerate(targets)}
        room = max(_LEAST_TEXT, _TEXT_BUDGET // max(1, len(report.steps)))
        changes = {self._index[one.digest]: one for one in report.what_if.changes}
        steps = []
        for n, step in enumerate(report.steps):
            one: Row = {
                "title": shorten(step.title, min(room, 160)),
                "text": shorten(step.text, room),
                "group": step.group,
                "kind": step.kind,
                "start": round(step.start, 3),
                "end": round(step.spans[-1][1], 3),
                "seconds": round(step.seconds, 3),
                "inputs": step.inputs,
            }
            more = {
                "wait": round(step.wait, 3),
                "bytes": step.bytes,
                "lines": step.lines,
                "error": shorten(step.error, room),
                "critical": n in self._critical,
                "targets": [number[t] for t in step.targets] if len(targets) > 1 else [],
            }
            one |= {key: value for key, value in more.items() if value}
            if n in changes:
                one |= {
                    "cached": round(changes[n].cached, 3),
                    "faster": round(changes[n].faster, 3),
                }
            steps.append(one)
        parts = [
            {"step": part.step, "seconds": round(part.seconds, 3), "wait": part.wait}
            for part in report.path
        ]
        return {
            "seconds": self._wall,
            "groups": [group.name for group in report.groups],
            "steps": steps,
            "parts": parts,
            "names": targets,
            "targets": len(targets),
        }

    def _percent(self, seconds: float) -> float:
        return round(100 * seconds / self._wall, 3)

    def _sections(self) -> Iterator[tuple[str, str]]:
        report = self._report
        yield "timeline", "Timeline"
        yield "path", "Path"
        if report.status == "done":
            yield "whatif", "What if"
        if report.result and report.result.compile_cache:
            yield "cache", "Cache"
        if report.images:
            yield "images", "Images" if report.images[1:] else "Image"
        if report.warnings or report.missing:
            yield "warnings", "Warnings"
        yield "logs", "Log"

    def _tiles(self) -> Iterator[Row]:
        report = self._report
        yield {
            "label": "Time",
            "value": units.format_time(report.seconds),
            "note": _beside(report.seconds, report.earlier) if report.status == "done" else "",
            "meter": (),
        }
        share = 100 * report.work / self._wall
        yield {
            "label": "On the critical path",
            "value": units.format_time(report.work),
            "note": f"{share:.0f} % of the time, the rest are waits",
            "meter": (("path", round(share, 1)),),
        }
        run = sum(group.run for group in report.groups)
        cached = sum(group.cached for group in report.groups)
        every = max(1, run + cached)
        yield {
            "label": "Steps",
            "value": f"{run + cached}",
            "note": f"{run} run, {cached} from the cache",
            "meter": (("run", 100 * run / every), ("cached", 100 * cached / every)),
        }
        yield {
            "label": "Parallelism",
            "value": f"{report.average:.1f}",
            "note": "steps at once on average",
            "meter": (),
        }
        yield from self._more_tiles()

    def _more_tiles(self) -> Iterator[Row]:
        result = self._report.result
        total = result.compile_cache.total if result and result.compile_cache else None
        if total and total.hit_rate is not None:
            saved = total.seconds_saved
            yield {
                "label": "Compile cache",
                "value": _rate(total),
                "note": f"saved {units.format_time(saved)}" if saved else f"{total.hits} hits",
                "meter": (("good", round(100 * total.hit_rate, 1)),),
            }
        sizes = [one.size for one in (result.images if result else ()) if one.size]
        if sizes:
            yield {
                "label": "Image" if len(sizes) == 1 else f"{len(sizes)} images",
                "value": units.format_size(sum(sizes)),
                "note": "as the engine counts it",
                "meter": (),
            }

    def _ticks(self) -> Iterator[tuple[float, str]]:
        grains = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)
        every = next((one for one in grains if self._wall / one <= 9), 14400)
        for n in range(int(0.97 * self._wall / every) + 1):
            yield self._percent(n * every), units.format_time(n * every) if n else "0"

    def _parallelism(self) -> str:
        """The steps at once as the outline of an area, 1000 wide."""
        points = self._report.parallelism
        top = max((level for _, level in points), default=1)
        drawn = [f"M0 {top}"]
        level = 0
        for time, now in points:
            x = round(1000 * time / self._wall, 1)
            drawn.append(f"L{x} {top - level}L{x} {top - now}")
            level = now
        return f"{''.join(drawn)}Z"

    def _label(self, step: int) -> str:
        one = self._report.steps[step]
        return f"{self._report.groups[one.group].name}: {one.title}"

    def _segment(self, part: Part) -> Row:
        took = units.format_time(part.seconds)
        if part.wait:
            where = f"before {self._label(part.step)}" if part.step >= 0 else "after the last step"
            label, short = f"wait {where}, {took}", ""
        else:
            label = f"{self._label(part.step)}, {took}"
            short = self._report.groups[self._report.steps[part.step].group].name
        return {
            "step": part.step,
            "wait": part.wait,
            "left": self._percent(part.start),
            "width": self._percent(part.seconds),
            "label": shorten(label, 200),
            "short": short,
        }

    def _path_rows(self) -> Iterator[Row]:
        """The longer parts of the path, in their order; the shorter ones as a sum."""
        short = {True: [0, 0.0], False: [0, 0.0]}
        for part in self._report.path:
            if part.seconds < _PATH_SHARE * self._wall:
                short[part.wait][0] += 1
                short[part.wait][1] += part.seconds
                continue
            where = "before " + self._label(part.step) if part.step >= 0 else "outside of all steps"
            yield self._path_row(part.seconds, f"Wait {where}", part)
        for wait, name in ((False, "shorter steps"), (True, "shorter waits")):
            count, seconds = short[wait]
            if seconds:
                yield self._path_row(
                    seconds, f"{count} {name}", Part(step=-1, start=0, seconds=seconds, wait=wait)
                )

    def _path_row(self, seconds: float, label: str, part: Part) -> Row:
        step = self._report.steps[part.step] if part.step >= 0 else None
        share = self._percent(seconds)
        return {
            "step": part.step,
            "wait": part.wait,
            "seconds": seconds,
            "width": share,
            "percent": f"{share:.1f} %",
            "label": shorten(label, 140),
            "group": self._report.groups[step.group].name if step else "",
            "short": shorten(step.title, 110) if step else "",
        }

    def _groups(self) -> Iterator[Row]:
        for n, group in enumerate(self._report.groups):
            if group.lanes:
                counts = [f"{group.run} run"] if group.run else []
                counts += [f"{group.cached} cached"] if group.cached else []
                cache = group.cache
                if cache and cache.hit_rate is not None:
                    counts.append(f"{_rate(cache)} hits")
                bars = [(k, one) for k, one in enumerate(self._report.steps) if one.group == n]
                yield {
                    "index": n,
                    "name": group.name,
                    "lanes": group.lanes,
                    "note": ", ".join((units.format_time(group.seconds), *counts)),
                    "bars": [self._bar(k, one) for k, one in bars],
                }

    def _bar(self, number: int, step: Step) -> Row:
        width = self._percent(step.spans[-1][1] - step.start)
        return {
            "index": number,
            "kind": step.kind,
            "critical": number in self._critical,
            "lane": step.lane,
            "left": self._percent(step.start),
            "width": width,
            "label": shorten(step.title, int(3 * width) + 8) if width > _LABEL_PERCENT else "",
            "name": shorten(step.title, 60),
        }

    def _changes(self) -> Iterator[Row]:
        report = self._report
        for one in report.what_if.changes:
            step = report.steps[self._index[one.digest]]
            row: Row = {
                "step": self._index[one.digest],
                "group": report.groups[step.group].name,
                "short": shorten(step.title, 90),
            }
            for name, seconds in (("cached", one.cached), ("faster", one.faster)):
                saved = report.seconds - seconds
                told = saved > report.what_if.spread
                row[name] = units.format_time(seconds) if told else _NONE
                row[f"{name}_saved"] = f"{units.format_time(saved)} less" if told else ""
            yield row


def _when(begun: str) -> str:
    return f"{datetime.fromisoformat(begun):%Y-%m-%d %H:%M:%S %Z}" if begun else ""


def _failure(report: Report, failed: int | None) -> Failure | None:
    """Why the build failed; of one whose record has no end, the step that did."""
    if report.result or failed is None:
        return report.result.failure if report.result else None
    step = report.steps[failed]
    return Failure(kind="user", step=step.text, message=step.error, lines=step.tail)


def _beside(seconds: float, earlier: Sequence[float]) -> str:
    """How *seconds* are beside those of earlier builds of the same work."""
    if not earlier:
        return "the first build of this kind"
    ordered = sorted(earlier)
    middle = ordered[len(ordered) // 2]
    change = 100 * (seconds / middle - 1) if middle else 0.0
    builds = "1 earlier build" if len(earlier) == 1 else f"{len(earlier)} earlier builds"
    return f"{change:+.0f} % beside {builds}"


def _rate(figures: StageFigures) -> str:
    return _NONE if figures.hit_rate is None else f"{100 * figures.hit_rate:.1f} %"


def _cache_rows(cache: CacheFigures) -> Iterator[Row]:
    every: Iterable[tuple[str, StageFigures]] = (*cache.stages.items(), ("all", cache.total))
    for name, one in every:
        yield {
            "name": name,
            "total": one is cache.total,
            "requests": one.requests,
            "hits": one.hits,
            "misses": one.misses,
            "errors": one.errors + one.write_errors,
            "rate": _rate(one),
            "width": round(100 * (one.hit_rate or 0), 1),
            "saved": units.format_time(one.seconds_saved) if one.seconds_saved else _NONE,
        }


def _image(image: Image, pulls: Iterable[Pull]) -> Row:
    facts: list[tuple[str, tuple[str, ...]]] = []
    plan, result = image.plan, image.result
    if plan:
        facts.append(("platforms", plan.platforms))
    tags = (result.tags if result else ()) or (plan.tags if plan else ())
    facts.append(("tags", tags))
    if result:
        facts.append(("status", (f"{result.status}, {result.output}",)))
        facts.append(("digest", (result.digest,) if result.digest else ()))
        facts.append(("size", (units.format_size(result.size),) if result.size else ()))
    return {
        "name": image.name,
        "facts": [(name, values) for name, values in facts if values],
        "arguments": image.arguments,
        "layers": _layers(result),
        "pulls": [one for one in pulls if one.image == image.name],
    }


def _layers(result: ImageResult | None) -> list[Row]:
    """The largest layers of an image."""
    largest = sorted(result.layers if result else (), key=lambda layer: -layer.size)[:_LAYERS]
    return [
        {
            "made_by": layer.made_by or "the base image",
            "platform": layer.platform,
            "size": units.format_size(layer.size),
            "width": round(100 * layer.size / largest[0].size, 1),
        }
        for layer in largest
    ]
