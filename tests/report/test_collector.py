"""Which collector the standard variables name."""

import pytest

from dynbuild.report import collector

ENDPOINT, OWN = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"


@pytest.mark.parametrize(
    ("env", "url"),
    [
        ({ENDPOINT: "http://c:4318"}, "http://c:4318/v1/traces"),
        ({ENDPOINT: "http://c:4318/base/"}, "http://c:4318/base/v1/traces"),
        ({ENDPOINT: "http://c", OWN: "http://t/own"}, "http://t/own"),
    ],
)
def test_the_address(env, url):
    assert collector.of(env).url == url


@pytest.mark.parametrize(
    "more",
    [{ENDPOINT: " "}, {"OTEL_SDK_DISABLED": "TRUE"}, {"OTEL_TRACES_EXPORTER": "none"}],
)
def test_none_is_meant(more):
    assert collector.of({ENDPOINT: "http://c", **more}) is None
    assert collector.of({}) is None


def test_what_is_of_traces_alone_wins():
    env = {ENDPOINT: "http://c"}
    for name, every, own in (("HEADERS", "a=1", "b=%3D2,c"), ("TIMEOUT", "1000", "2500")):
        env |= {f"OTEL_EXPORTER_OTLP_{name}": every, f"OTEL_EXPORTER_OTLP_TRACES_{name}": own}
    found = collector.of(env)
    assert (found.headers, found.seconds) == ({"b": "=2"}, 2.5)


@pytest.mark.parametrize("text", ["", "-1", "soon", "0", "²"])
def test_a_timeout_that_is_none(text):
    assert collector.of({ENDPOINT: "http://c", "OTEL_EXPORTER_OTLP_TIMEOUT": text}).seconds == 10


@pytest.mark.parametrize(
    "env", [{ENDPOINT: "unix:///x"}, {ENDPOINT: "http://c", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}]
)
def test_what_cannot_be_used_is_said(env):
    assert collector.of(env).problem
