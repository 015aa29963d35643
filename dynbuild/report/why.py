"""Why the steps of a build ran, in lines and as data: first causes, then what follows.  Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import replace

from dynbuild import masking
from dynbuild.build.causes import Explanation, Reason
from dynbuild.build.differences import Cause
from dynbuild.build.steps import StepName
from dynbuild.errors import shorten
from dynbuild.report.display import Display

_SHOWN = 10


def title(reason: Reason) -> str:
    """A step in one line: its stage and what it really does."""
    return f"{reason.place[2]}: {masking.scrub_message(_name(reason).telling)}".replace("\n", " ")


def fits(reason: Reason, pattern: str) -> bool:
    """Whether *pattern* means a step; see ``StepName.fits``."""
    return _name(reason).fits(pattern)


def why(explained: Explanation, name: StepName) -> str:
    """Why the step that BuildKit calls so ran, or will, in a few words."""
    every = (*explained.reasons, *explained.unknown)
    own = [one for one in every if one.place[2].lower() == name.stage.lower()]
    same = [
        one for one in own if _name(one).telling == replace(name, platform="", target="").telling
    ]
    for reason in (*same, *own):
        first = explained.first_of(reason)
        if causes := dict.fromkeys(cause for one in first for cause in one.causes):
            return "; ".join(map(str, causes))
    return f"nothing that it is made of differs from {explained.before}"


def _name(reason: Reason) -> StepName:
    return StepName(stage=reason.place[2], instruction=str(reason.step.instruction))


def lines(explained: Explanation, display: Display, *, predicted: bool = False) -> Iterator[str]:
    """The causes, in lines for people."""
    runs = "will run" if predicted else "ran"
    count = len(explained.reasons)
    told = f"{count} {_steps(count)} {runs}, {explained.cached} from the cache"
    if explained.unknown:
        told += f", {len(explained.unknown)} not known"
    yield from _wrapped(f"{told}; beside {explained.before}", display)
    for cause, reasons in explained.causes.items():
        yield from _wrapped(f"  {cause}", display)
        yield _first(reasons, display)
    if follows := len(explained.of_kind("follows")):
        verb = "will run" if predicted else "ran"
        yield f"  {follows} {_steps(follows)} more {verb} because of these"
    if left := explained.of_kind("unexplained"):
        yield f"  unexplained: {len(left)} {_steps(len(left))}, whose inputs are what they were"
        for reason in left[:_SHOWN]:
            yield _cut(f"    {title(reason)}", display)
        if len(left) > _SHOWN:
            yield f"    and {len(left) - _SHOWN} more"
    for doubt, reasons in explained.doubts.items():
        yield from _wrapped(f"  not known: {doubt.evidence}", display)
        yield _first(reasons, display)
    if more := sum(one.kind == "follows" for one in explained.unknown):
        yield f"  {more} {_steps(more)} more not known because of these"
    for text in explained.untold:
        yield from _wrapped(f"  not known: {text}", display)


def _first(reasons: tuple[Reason, ...], display: Display) -> str:
    """The first of the steps that a cause is of, and how many more there are."""
    more = f" and {len(reasons) - 1} more" if len(reasons) > 1 else ""
    return _cut(f"    {title(reasons[0])}", display, len(more)) + more


def step_lines(
    explained: Explanation, reasons: tuple[Reason, ...], display: Display
) -> Iterator[str]:
    """Why each of some steps ran."""
    for reason in reasons:
        yield _cut(title(reason), display)
        for first in explained.first_of(reason):
            where = "" if first is reason else f" (of {title(first)})"
            for cause in first.causes:
                yield from _wrapped(f"  {cause}{where}", display)
            if first.kind == "unexplained":
                yield from _wrapped(f"  unexplained{where}", display)


def as_json(explained: Explanation, reasons: tuple[Reason, ...]) -> dict[str, object]:
    """The explanation as data."""
    return {
        "schema": 1,
        "before": explained.before,
        "after": explained.after or None,
        "run": len(explained.reasons),
        "cached": explained.cached,
        "causes": _causes(explained.causes),
        "follows": len(explained.of_kind("follows")),
        "unexplained": len(explained.of_kind("unexplained")),
        "not_known": {
            "steps": len(explained.unknown),
            "causes": _causes(explained.doubts),
            "more": list(explained.untold),
        },
        "steps": [_step(explained, reason) for reason in reasons],
    }


def _causes(found: Mapping[Cause, tuple[Reason, ...]]) -> list[dict[str, object]]:
    return [
        {"kind": cause.kind, "evidence": cause.evidence, "steps": len(steps)}
        for cause, steps in found.items()
    ]


def _step(explained: Explanation, reason: Reason) -> dict[str, object]:
    image, platform, stage, number = reason.place
    causes = dict.fromkeys(cause for one in explained.first_of(reason) for cause in one.causes)
    return {
        "image": image,
        "platform": platform,
        "stage": stage,
        "number": number,
        "title": title(reason),
        "kind": reason.kind,
        "causes": [{"kind": cause.kind, "evidence": cause.evidence} for cause in causes],
    }


def _steps(count: int) -> str:
    return "step" if count == 1 else "steps"


def _wrapped(text: str, display: Display) -> list[str]:
    """*text* in as many lines as it needs: evidence is never cut."""
    if display.width is None:
        return [text]
    left = text[: len(text) - len(text.lstrip())]
    return textwrap.wrap(
        text.strip(), display.width, initial_indent=left, subsequent_indent=f"{left}    ",
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def _cut(text: str, display: Display, keep: int = 0) -> str:
    return text if display.width is None else shorten(text, display.width - keep)
