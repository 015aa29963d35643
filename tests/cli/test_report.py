"""``dynbuild report``."""

import http.server
import json
import threading
import webbrowser

import pytest

from dynbuild.build import record
from tests.report import builds
from tests.support import call, spawn


@pytest.fixture
def tree(tmp_path):
    for build_id, seconds in (("20261121T013012-1-none-runtime-cpu", 25.0), (builds.ID, 20.0)):
        folder = record.builds(tmp_path)
        builds.recorded(folder, ended=builds.result(seconds=seconds), build_id=build_id)
    return tmp_path


def report(tree, *words, **more):
    return call("report", "--context", tree, *words, **more)


def test_the_page_goes_to_the_record(tree):
    done = report(tree)
    page = record.builds(tree) / builds.ID / "report.html"
    assert (done.code, done.out.strip()) == (0, str(page))
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert page.stat().st_mode & 0o077 == 0


def test_a_page_that_is_a_link_is_replaced_and_not_followed(tree, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "file"
    page = record.builds(tree) / builds.ID / "report.html"
    page.symlink_to(outside)
    assert report(tree).code == 0
    assert not page.is_symlink()
    assert not outside.exists()


def test_another_build_to_another_file(tree):
    file = tree / "before.html"
    assert report(tree, "~1", "-o", file).code == 0
    assert "25.0 s" in file.read_text(encoding="utf-8")


@pytest.mark.parametrize("words", [("--format", "md"), ("--format", "json"), ("-o", "-")])
def test_formats_go_to_standard_output(tree, words):
    assert builds.ID in report(tree, *words).out


@pytest.mark.processes("python")
@pytest.mark.parametrize("format", ["html", "md", "json", "chrome-trace"])
def test_standard_output_is_the_very_file(tree, format):
    events = record.builds(tree) / builds.ID / "events.jsonl"
    text = events.read_text(encoding="utf-8")
    assert "make -j2" in text
    events.write_text(text.replace("make -j2", "make \x7f\x85 -j2"), encoding="utf-8")
    done = spawn("report", "--context", tree, "--format", format, "-o", tree / "file")
    assert done.code == 0, done.err
    text = (tree / "file").read_bytes().decode()
    assert text.endswith("\n")
    assert spawn("report", "--context", tree, "--format", format, "-o", "-").out == text


def test_markdown_has_the_path(tree):
    out = report(tree, "--format", "md").out
    assert out.startswith("## `none-runtime-cpu`: done in 20.0 s\n")
    assert "| ucx: `RUN make -j2` | 10.0 s | 50 % |" in out
    assert "| wait before stage-2: `COPY /ucx /ucx` | 2.0 s | 10 % |" in out


def test_a_trace_is_of_chromes_format(tree):
    events = json.loads(report(tree, "--format", "chrome-trace").out)["traceEvents"]
    compiled = [event for event in events if event["name"] == "RUN make -j2"]
    assert [(event["ph"], event["ts"], event["dur"]) for event in compiled] == [
        ("X", 1_000_000, 10_000_000)
    ] * 2


def test_open_shows_the_page(tree, monkeypatch):
    shown = []
    monkeypatch.setattr(webbrowser, "open", lambda address: shown.append(address) or True)
    assert report(tree, "--open").code == 0
    assert shown[0].startswith("file:///")
    monkeypatch.setattr(webbrowser, "open", lambda _: False)
    assert "by hand" in report(tree, "--open").err
    assert report(tree, "--open", "--format", "md").code == 2


def test_what_cannot_be_written(tree):
    done = report(tree, "--output", tree / "absent" / "x.html")
    assert done.code == 3
    assert "--output" in done.hint


def test_no_build(tmp_path):
    done = report(tmp_path)
    assert done.code == 2
    assert "has a record" in done.err


def test_a_build_that_never_ended(tree):
    (record.builds(tree) / builds.ID / "result.json").unlink()
    done = report(tree, "--format", "md")
    assert (done.code, "unfinished" in done.out) == (0, True)


def test_ids_are_completed(tree):
    words = {"COMP_WORDS": f"dynbuild report --context {tree} 2026112", "COMP_CWORD": "4"}
    done = call(env={"_DYNBUILD_COMPLETE": "complete_bash", **words})
    assert done.out.split() == [builds.ID, "20261121T013012-1-none-runtime-cpu"]


class Collector(http.server.BaseHTTPRequestHandler):
    took = None

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        Collector.took.append((self.path, dict(self.headers), json.loads(body)))
        self.send_response(200 if self.headers["X-Key"] else 401)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def collector():
    Collector.took = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.network
def test_spans_go_to_the_collector(tree, collector):
    env = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"{collector}/otlp/",
        "OTEL_EXPORTER_OTLP_HEADERS": "x-key=a%20b",
        "OTEL_SERVICE_NAME": "images",
        "TRACEPARENT": f"00-{'1' * 32}-{'2' * 16}-01",
    }
    done = report(tree, env=env)
    assert "sent the spans" in done.err
    ((path, headers, body),) = Collector.took
    assert (path, headers["X-Key"]) == ("/otlp/v1/traces", "a b")
    (resource,) = body["resourceSpans"]
    assert {"key": "service.name", "value": {"stringValue": "images"}} in (
        resource["resource"]["attributes"]
    )
    spans = resource["scopeSpans"][0]["spans"]
    assert len(spans) == 8
    assert {span["traceId"] for span in spans} == {"1" * 32}
    assert [span["parentSpanId"] for span in spans] == ["2" * 16, *[spans[0]["spanId"]] * 7]
    assert len({span["spanId"] for span in spans}) == 8


@pytest.mark.network
def test_a_collector_that_refuses_is_a_warning(tree, collector):
    done = report(tree, env={"OTEL_EXPORTER_OTLP_ENDPOINT": collector})
    assert (done.code, "refuses the spans: 401" in done.err) == (0, True)


@pytest.mark.processes("python")
def test_it_imports_no_engine(tree):
    done = spawn("report", "--context", tree, options=("-X", "importtime"))
    assert done.code == 0
    assert not {"boto3", "python_on_whales", "rich"} & set(done.err.replace(".", " ").split())
