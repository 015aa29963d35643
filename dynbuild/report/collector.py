"""Sending spans to a collector that OpenTelemetry's standard variables name.

https://opentelemetry.io/docs/specs/otel/protocol/exporter
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from dynbuild import __version__
from dynbuild.addresses import public
from dynbuild.report import trace
from dynbuild.report.document import Report
from dynbuild.report.trace import Resource

_PREFIX = "OTEL_EXPORTER_OTLP_"
_PATH = "/v1/traces"
_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Collector:
    """Where spans go.

    Attributes:
        url: The address that takes them.
        headers: What is sent along, credentials perhaps.
        seconds: How long it is waited for.
        resource: Who tells.
        problem: Why it cannot be used; empty if it can.
    """

    url: str
    headers: Mapping[str, str]
    seconds: float
    resource: Resource
    problem: str = ""


def of(env: Mapping[str, str]) -> Collector | None:
    """The collector that *env* names; ``None`` where it names none, or wants no traces."""
    own, base = _said(env, "ENDPOINT")
    off = env.get("OTEL_SDK_DISABLED", "").lower() == "true"
    exporters = env.get("OTEL_TRACES_EXPORTER", "otlp")
    if off or "otlp" not in exporters.split(",") or not (own or base):
        return None
    url = own or f"{base.rstrip('/')}{_PATH}"
    problem = (
        "gRPC is not spoken; the protocol is http/json" if _one(env, "PROTOCOL") == "grpc" else ""
    )
    if urlsplit(url).scheme not in ("http", "https"):
        problem = "the address is none of http or https"
    attributes = {
        "service.name": "dynbuild",
        **dict(_pairs(env.get("OTEL_RESOURCE_ATTRIBUTES", ""))),
    }
    if name := env.get("OTEL_SERVICE_NAME"):
        attributes["service.name"] = name
    return Collector(
        url=url,
        headers=dict(_pairs(_one(env, "HEADERS"))),
        seconds=_timeout(_one(env, "TIMEOUT")),
        resource=Resource(
            attributes=attributes, version=__version__, parent=env.get("TRACEPARENT", "")
        ),
        problem=problem,
    )


def send(report: Report, collector: Collector) -> str:
    """Send the spans of *report*; why that failed, empty if it did not."""
    where = public(collector.url)
    if collector.problem:
        return f"spans are not sent to {where}: {collector.problem}"
    body = json.dumps(trace.otlp(report, collector.resource)).encode()
    headers = {"Content-Type": "application/json", **collector.headers}
    request = urllib.request.Request(collector.url, body, headers)  # noqa: S310 - http(s) only
    try:
        with urllib.request.urlopen(request, timeout=collector.seconds):  # noqa: S310
            return ""
    except urllib.error.HTTPError as error:
        with error:
            return f"the collector {where} refuses the spans: {error.code} {error.reason}"
    except (OSError, ValueError) as error:
        why = getattr(error, "reason", None) or error
        return f"the collector {where} does not take the spans: {why}"


def _said(env: Mapping[str, str], name: str) -> tuple[str, str]:
    """The variable that is of traces alone, and the one that is of everything."""
    return env.get(f"{_PREFIX}TRACES_{name}", "").strip(), env.get(f"{_PREFIX}{name}", "").strip()


def _one(env: Mapping[str, str], name: str) -> str:
    own, every = _said(env, name)
    return own or every


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    """``KEY=VALUE,KEY=VALUE`` of the W3C baggage format: values are percent-encoded."""
    for item in text.split(","):
        key, equals, value = item.partition("=")
        if equals and key.strip():
            yield key.strip(), unquote(value.strip())


def _timeout(text: str) -> float:
    """Seconds of a number of milliseconds."""
    return int(text) / 1000 if text.isascii() and text.isdecimal() and int(text) else _SECONDS
