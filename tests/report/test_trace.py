"""The report as a trace."""

from dynbuild.build import recording
from dynbuild.report import document, trace
from tests.report import builds


def report(tmp_path):
    return document.of(recording.read(builds.recorded(tmp_path, ended=builds.result())))


def test_every_row_of_a_chrome_trace_has_a_name(tmp_path):
    events = trace.chrome(report(tmp_path))["traceEvents"]
    named = {event["tid"] for event in events if event["name"] == "thread_name"}
    assert {event["tid"] for event in events if event["ph"] == "X"} == named
    counted = [event["args"]["steps"] for event in events if event["ph"] == "C"]
    assert (max(counted), counted[-1]) == (2, 0)


def test_spans_last_as_long_as_their_steps(tmp_path):
    resource = trace.Resource(attributes={"service.name": "dynbuild"}, version="1")
    sent = trace.otlp(report(tmp_path), resource)
    spans = sent["resourceSpans"][0]["scopeSpans"][0]["spans"]
    took = {s["name"]: int(s["endTimeUnixNano"]) - int(s["startTimeUnixNano"]) for s in spans}
    assert took["RUN make -j2"] == 10_000_000_000
    assert took["build none-runtime-cpu"] == 20_000_000_000
    assert "parentSpanId" not in spans[0]
    assert sent == trace.otlp(report(tmp_path / "again"), resource)


def test_a_failed_step_is_an_error(tmp_path):
    line = builds.vertex("x", "[ucx 1/1] RUN false", 0, 2, error="exit code: 1")
    source = builds.recorded(tmp_path, lines=[line])
    resource = trace.Resource(attributes={}, version="1", parent="nonsense")
    made = trace.otlp(document.of(recording.read(source)), resource)
    status = [span["status"] for span in made["resourceSpans"][0]["scopeSpans"][0]["spans"]]
    assert status == [{"code": 1}, {"code": 2, "message": "exit code: 1"}]
