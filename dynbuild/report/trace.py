"""The report as a trace: Chrome's format, which Perfetto opens, and OpenTelemetry's.  Pure.

Chrome: https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
OTLP/HTTP with JSON: https://opentelemetry.io/docs/specs/otlp/#otlphttp
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from dynbuild.report.document import Report, Step
from dynbuild.report.timeline import Span

Json: TypeAlias = dict[str, object]

_MICROSECONDS = 1_000_000
_NANOSECONDS = 1_000_000_000
_INTERNAL, _OK, _ERROR = 1, 1, 2
_PARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")


def chrome(report: Report) -> Json:
    """The trace of *report*: a row for each lane of a stage, one for the critical path."""
    return {
        "displayTimeUnit": "ms",
        "otherData": {"build": report.id, "status": report.status},
        "traceEvents": list(_chrome_events(report)),
    }


def _chrome_events(report: Report) -> Iterator[Json]:
    name = ", ".join(image.name for image in report.images) or report.id
    yield _named("process_name", name, 0)
    yield _named("thread_name", "critical path", 1)
    rows: dict[tuple[int, int], int] = {}
    for number, group in enumerate(report.groups):
        for lane in range(group.lanes):
            row = rows[number, lane] = len(rows) + 2
            yield _named("thread_name", group.name if not lane else f"{group.name} {lane + 1}", row)
            yield _event("M", "thread_sort_index", row, args={"sort_index": row})
    for part in report.path:
        title = report.steps[part.step].title if part.step >= 0 else "outside of all steps"
        text = f"wait: {title}" if part.wait else title
        yield _span("path", text, 1, (part.start, part.start + part.seconds), {})
    for step in report.steps:
        row = rows[step.group, step.lane]
        args = {"step": step.text, "digest": step.digest, "kind": step.kind, "wait": step.wait}
        for span in step.spans:
            yield _span(step.kind, step.title, row, span, args)
    for time, level in report.parallelism:
        yield _event("C", "steps at once", 0, ts=round(time * _MICROSECONDS), args={"steps": level})


def _named(kind: str, name: str, row: int) -> Json:
    return _event("M", kind, row, args={"name": name})


def _span(kind: str, name: str, row: int, span: Span, args: Json) -> Json:
    start, end = span
    ts, dur = round(start * _MICROSECONDS), round((end - start) * _MICROSECONDS)
    return _event("X", name, row, cat=kind, ts=ts, dur=dur, args=args)


def _event(phase: str, name: str, row: int, **more: object) -> Json:
    return {"ph": phase, "name": name, "pid": 1, "tid": row, **more}


# ---- OpenTelemetry -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """Who tells of a build.

    Attributes:
        attributes: What describes it, ``service.name`` among it.
        version: The version of dynbuild.
        parent: The W3C ``traceparent`` of what started the build; empty where nothing said.
    """

    attributes: Mapping[str, str]
    version: str
    parent: str = ""


def otlp(report: Report, resource: Resource) -> Json:
    """The spans of *report*: one of the build, and below it one for each run of a step."""
    scope = {"name": "dynbuild", "version": resource.version}
    spans = list(_spans(report, resource))
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": _attributes(resource.attributes)},
                "scopeSpans": [{"scope": scope, "spans": spans}],
            }
        ]
    }


def _spans(report: Report, resource: Resource) -> Iterator[Json]:
    begun = datetime.fromisoformat(report.begun).timestamp() if report.begun else 0.0
    given = _PARENT.fullmatch(resource.parent.strip())
    trace = given[1] if given else _id(report.id, 32)
    root = _id(f"{report.id} build", 16)
    failure = report.result.failure if report.result else None
    above = {"parentSpanId": given[2]} if given else {}
    yield above | _otlp_span(
        (trace, root, f"build {', '.join(image.name for image in report.images)}".strip()),
        (begun, begun + report.seconds),
        {
            "dynbuild.build": report.id,
            "dynbuild.status": report.status,
            "dynbuild.steps.run": sum(group.run for group in report.groups),
            "dynbuild.steps.cached": sum(group.cached for group in report.groups),
        },
        failure.message if failure else "",
    )
    critical = {part.step for part in report.path if not part.wait}
    for number, step in enumerate(report.steps):
        for run, (start, end) in enumerate(step.spans):
            yield {"parentSpanId": root} | _otlp_span(
                (trace, _id(f"{report.id} {step.digest} {run}", 16), step.title),
                (begun + start, begun + end),
                _facts(report, step) | {"dynbuild.step.critical": number in critical},
                step.error,
            )


def _facts(report: Report, step: Step) -> dict[str, str | int | float | bool]:
    return {
        "dynbuild.stage": report.groups[step.group].name,
        "dynbuild.step": step.text,
        "dynbuild.step.digest": step.digest,
        "dynbuild.step.kind": step.kind,
        "dynbuild.step.cached": step.kind == "cached",
        "dynbuild.step.wait": step.wait,
    }


def _otlp_span(
    who: tuple[str, str, str],
    when: tuple[float, float],
    attributes: Mapping[str, str | int | float | bool],
    error: str,
) -> Json:
    (trace, span, name), (start, end) = who, when
    return {
        "traceId": trace,
        "spanId": span,
        "name": name,
        "kind": _INTERNAL,
        # 64-bit numbers are text in JSON.
        "startTimeUnixNano": str(round(start * _NANOSECONDS)),
        "endTimeUnixNano": str(round(end * _NANOSECONDS)),
        "attributes": _attributes(attributes),
        "status": {"code": _ERROR, "message": error} if error else {"code": _OK},
    }


def _attributes(values: Mapping[str, str | int | float | bool]) -> list[Json]:
    return [{"key": key, "value": _value(value)} for key, value in values.items()]


def _value(value: str | int | float | bool) -> Json:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"doubleValue": value} if isinstance(value, float) else {"stringValue": value}


def _id(text: str, digits: int) -> str:
    """An id that is the same each time, so that a report sent twice is one trace."""
    return hashlib.sha256(text.encode()).hexdigest()[:digits]
