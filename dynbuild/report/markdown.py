"""The report as Markdown, for the summary of a CI job or a comment on a change.  Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from dynbuild import units
from dynbuild.errors import one_line, shorten
from dynbuild.report.document import Part, Report

_SHARE = 0.01
_CHANGES = 6
_TITLE = 90


def render(report: Report) -> str:
    """The lines of *report*, the failure first."""
    return (
        "\n".join(
            (*_head(report), *_path(report), *_what_if(report), *_pulls(report), *_end(report))
        )
        + "\n"
    )


def _head(report: Report) -> Iterator[str]:
    names = ", ".join(code(image.name) for image in report.images) or code(report.id)
    yield f"## {names}: {report.status} in {units.format_time(report.seconds)}"
    yield ""
    failure = report.result.failure if report.result else None
    if failure:
        yield f"**{plain(failure.message)}**"
        yield ""
        if failure.step:
            yield code(failure.step)
            yield ""
        if failure.lines:
            yield from fenced(failure.lines)
        if failure.hint:
            yield f"What to do: {plain(failure.hint)}"
            yield ""
    run = sum(group.run for group in report.groups)
    cached = sum(group.cached for group in report.groups)
    rows = [
        ("Steps", f"{run} run, {cached} cached"),
        ("Critical path", f"{_time(report.work)} of work, {_time(report.waited)} of waits"),
        ("Parallelism", f"{report.average:.1f} steps at once on average"),
    ]
    for image in report.result.images if report.result else ():
        rows += [(f"Digest of {image.id}", code(image.digest))] if image.digest else []
        rows += [(f"Size of {image.id}", units.format_size(image.size))] if image.size else []
    total = (
        report.result.compile_cache.total if report.result and report.result.compile_cache else None
    )
    if total and total.hit_rate is not None:
        rows.append(("Compile cache", f"{100 * total.hit_rate:.1f} % hits"))
    rows.append(("Record", code(report.id)))
    yield from table(("Build", ""), rows)


def _path(report: Report) -> Iterator[str]:
    yield "### Critical path"
    yield ""
    least = _SHARE * report.seconds
    parts = [part for part in report.path if part.seconds >= least]
    rows = [
        (_name(report, part), _time(part.seconds), f"{100 * part.seconds / report.seconds:.0f} %")
        for part in parts
    ]
    rest = report.seconds - sum(part.seconds for part in parts)
    if rest > 0:
        rows.append(("everything shorter", _time(rest), f"{100 * rest / report.seconds:.0f} %"))
    yield from table(("Step", "Time", "Share"), rows)


def _name(report: Report, part: Part) -> str:
    if part.step < 0:
        return "wait outside of all steps"
    step = report.steps[part.step]
    name = f"{report.groups[step.group].name}: {code(shorten(step.title, _TITLE))}"
    return f"wait before {name}" if part.wait else name


def _what_if(report: Report) -> Iterator[str]:
    if not report.what_if.changes:
        return
    yield "### What if"
    yield ""
    index = report.index()
    rows = []
    for one in report.what_if.changes[:_CHANGES]:
        step = report.steps[index[one.digest]]
        name = f"{report.groups[step.group].name}: {code(shorten(step.title, _TITLE))}"
        rows.append((name, _time(one.cached), _time(one.faster)))
    yield from table(("Step", "Cached", "Twice as fast"), rows)


def _pulls(report: Report) -> Iterator[str]:
    if not report.pulls:
        return
    yield "### To pull"
    yield ""
    rows = [
        (
            f"{code(one.image)} {one.platform}".rstrip(),
            f"the one of {code(one.has)}" if one.has else "none",
            str(one.layers),
            one.size,
        )
        for one in report.pulls
    ]
    yield from table(("Image", "A node that has", "Layers", "Size"), rows)


def _end(report: Report) -> Iterator[str]:
    warnings = (*report.warnings, *(f"not in the record: {one}" for one in report.missing))
    if warnings:
        yield "### Warnings"
        yield ""
        yield from (f"- {plain(one)}" for one in warnings)


def _time(seconds: float) -> str:
    return units.format_time(seconds)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """The lines of a table."""
    yield f"| {' | '.join(header)} |"
    yield f"|{'|'.join('---' for _ in header)}|"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
    yield ""


def code(text: str) -> str:
    """*text* as code in a line, whatever is in it."""
    folded = one_line(text)
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", folded)), default=0))
    edge = " " if folded.startswith("`") or folded.endswith("`") else ""
    return f"{fence}{edge}{folded}{edge}{fence}"


def plain(text: str) -> str:
    """*text* in a line, with nothing in it that Markdown or HTML would take for its own."""
    return re.sub(r"([\\`*_\[\]<>#|])", r"\\\1", one_line(text))


def fenced(lines: Sequence[str]) -> Iterator[str]:
    """*lines* as a block of code, whatever is in them."""
    longest = max((len(run) for line in lines for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    yield f"{fence}text"
    yield from lines
    yield fence
    yield ""
