"""The page as it is without its script: what a reader, a printer and an HTML parser see."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from dynbuild.build import recording
from dynbuild.build.result import Failure, Layer
from dynbuild.report import document, page
from tests.report import builds
from tests.support import NONE_CPU, make_plan


class Page(HTMLParser):
    """A page taken apart: its tags are balanced, and each text stands below its tags."""

    EMPTY = ("meta", "input", "br")

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.texts, self.scripts = [], [], [], {}
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.EMPTY:
            self.open.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        opened = self.open.pop()
        # An item of a path of SVG closes itself.
        assert opened[0] == tag

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        tag, attrs = self.open[-1] if self.open else ("", {})
        if tag == "script":
            self.scripts[attrs.get("id", "js")] = data
        elif tag != "style":
            self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())

    def of_class(self, name):
        return [attrs for _, attrs in self.tags if name in (attrs.get("class") or "").split()]


def made(tmp_path, lines=builds.LINES, ended=None, plan=True):
    source = builds.recorded(tmp_path, lines=lines, ended=ended)
    if plan:
        source.write_json(source.plan, make_plan(**NONE_CPU).document())
    read = recording.read(source)
    return page.render(document.of(read), read.lines)


def test_it_needs_nothing_but_itself(tmp_path):
    text = made(tmp_path, ended=builds.result())
    whole = Page(text)
    for tag, attrs in whole.tags:
        assert tag not in ("link", "img", "iframe", "base")
        assert not {"src", "srcset", "background"} & set(attrs)
        assert (attrs.get("href") or "#").startswith("#")
    style = text.partition("<style>")[2].partition("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style
    for word in ("fetch(", "XMLHttpRequest", "import(", "WebSocket", "sendBeacon"):
        assert word not in whole.scripts["js"]
    policy = next(attrs["content"] for _, attrs in whole.tags if "http-equiv" in attrs)
    assert policy.startswith("default-src 'none'")


def test_bars_lie_where_their_steps_were(tmp_path):
    whole = Page(made(tmp_path, ended=builds.result()))
    bars = {attrs["data-step"]: attrs for attrs in whole.of_class("b") if "data-step" in attrs}
    assert len(bars) == 7
    assert "left:5.0%;width:50.0%" in bars["3"]["style"]
    assert bars["3"]["class"].split() == ["b", "run", "p"]
    assert bars["4"]["class"] == "b cached p"
    waits = [attrs for attrs in whole.of_class("seg") if "wait" in attrs["class"].split()]
    assert any("left:55.0%;width:10.0%" in attrs.get("style", "") for attrs in waits)


def test_it_can_be_read_without_a_script(tmp_path):
    text = Page(made(tmp_path, ended=builds.result())).text
    for word in ("none-runtime-cpu", "Done", "20.0 s", "ucx", "make -j2", "BASE_IMAGE", "239 MB"):
        assert word in text
    assert "catalog" in text


def test_layers_are_listed_by_their_size(tmp_path):
    (image,) = builds.result().images
    layers = (Layer(made_by="", size=90), Layer(made_by="RUN make", size=4_000_000))
    ended = builds.result(images=(replace(image, layers=layers),))
    text = Page(made(tmp_path, ended=ended)).text
    assert text.index("RUN make 4 MB") < text.index("the base image 90 B")


def test_a_failure_comes_first(tmp_path):
    why = Failure(
        kind="user", step="[ucx 2/3] RUN make", message="exit code: 2", lines=("<b>x.c:1: error",)
    )
    whole = Page(made(tmp_path, ended=builds.result(status="failed", failure=why)))
    assert "<b>x.c:1: error" in whole.text
    assert whole.text.index("exit code: 2") < whole.text.index("Timeline", 200)


def test_what_steps_print_and_do_is_no_markup(tmp_path):
    odd = '</script><script>alert(1)</script><!-- <b onclick="x">&amp; \u2028'
    lines = (
        builds.vertex("a", f"[ucx 1/1] RUN echo '{odd}'", 0, 1, error=odd),
        builds.printed("a", f"{odd}\n", 0.5),
    )
    whole = Page(made(tmp_path, lines=lines))
    assert not [tag for tag, attrs in whole.tags if "onclick" in attrs]
    assert len([tag for tag, _ in whole.tags if tag == "script"]) == 3
    data = json.loads(whole.scripts["data"])
    assert odd in data["steps"][0]["text"]
    printed = whole.scripts["log-text"].replace("\x01", "<").partition("|")[2]
    assert printed == odd.replace("\u2028", "\ufffd")


def test_the_log_is_told_by_step_and_time(tmp_path):
    whole = Page(made(tmp_path, ended=builds.result()))
    first, second = whole.scripts["log-text"].replace("\x01", "<").splitlines()[:2]
    assert first == "3 1e|CC <ucx>.o"
    assert second == "3 1e|warning: </script><!-- odd"


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]8;;http://x\x07link\x1b]8;;\x07", "link"),
        ("a\x00b\x07", "a\ufffdb\ufffd"),
        ("tab\tstays", "tab\tstays"),
        ("x" * 30_000, "x" * 20_000),
    ],
)
def test_a_line_without_what_only_terminals_understand(raw, shown):
    assert page.clean(raw) == shown


@pytest.mark.parametrize("lines", [(), ("{\n",)])
def test_a_build_of_which_little_is_known_has_a_page(tmp_path, lines):
    text = Page(made(tmp_path, lines=lines, plan=False)).text
    assert "Not finished" in text
    assert "Not in the record: plan.json" in text


def test_two_thousand_steps_are_two_megabytes_at_most(tmp_path):
    """Besides the log; commands may be long."""
    lines = [line.replace("make -j", f"make {'x' * 3000} -j") for line in builds.large(2000, 2000)]
    text = made(tmp_path, lines=lines, ended=builds.result())
    log = Page(text).scripts["log-text"]
    assert len(text.encode()) - len(log.encode()) <= 2_000_000
    assert len(re.findall(r'class="b ', text)) >= 2000
