"""Events as JSON, and what is written of them."""

import json
import re
from dataclasses import fields
from datetime import UTC, datetime
from typing import get_args

import pytest

from dynbuild.build.events import Event, LogLine, StepStarted
from dynbuild.build.steps import StepName
from dynbuild.checked import plain
from dynbuild.matrix.events import CellEnded, MatrixEvent, SolveEvent
from dynbuild.matrix.result import CellResult
from dynbuild.report import event_json
from tests.support import ROOT

DOCS = (ROOT / "docs" / "build.md").read_text(encoding="utf-8")
KINDS = [kind for kind in (*get_args(Event), *get_args(MatrixEvent)) if kind is not SolveEvent]


def said(event):
    return json.loads(event_json.line(event))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_event_is_documented_with_its_fields(kind):
    word = "-".join(re.findall("[A-Z][a-z]+", kind.__name__)).lower()
    (row,) = re.findall(rf"^\| `{word}` +\|.*$", DOCS, re.MULTILINE)
    assert set(re.findall(r"`([a-z]+)`", row)) >= {one.name for one in fields(kind)}


def test_a_step():
    name = StepName.parse("[ucx 2/5] RUN cd /source && { make -j8; }")
    event = StepStarted(digest="a", name=name, time=datetime(2026, 11, 22, tzinfo=UTC))
    assert said(SolveEvent("s", event)) == {
        "solve": "s",
        "event": "step-started",
        "digest": "a",
        "name": "[ucx 2/5] RUN cd /source && { make -j8; }",
        "stage": "ucx",
        "does": "RUN make -j8",
        "time": "2026-11-22T00:00:00+00:00",
    }


def test_a_line_is_one_line_whatever_it_says():
    line = event_json.line(LogLine(digest="a", text="\x1b[31m\u2028\n", stream=2))
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["text"] == "\x1b[31m\u2028\n"


def test_a_cell_is_as_in_the_result_of_its_matrix():
    cell = CellResult(id="vllm-runtime-cuda13.0", status="done", output="push")
    assert said(CellEnded(cell))["cell"] == plain(cell)
