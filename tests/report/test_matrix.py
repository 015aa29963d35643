"""What a person sees of a matrix."""

import re
from dataclasses import replace

import pytest

from dynbuild.build.events import LogLine, Retried, StepEnded, StepStarted, Warned
from dynbuild.build.result import Failure, Steps
from dynbuild.build.steps import StepName
from dynbuild.matrix.events import CellEnded, SolveEnded, SolveEvent, SolveStarted, TagsMoved
from dynbuild.matrix.result import CellResult, MatrixResult
from dynbuild.report import matrix
from dynbuild.report.display import Display

WHY = Failure(
    kind="user",
    step="[framework 3/7] RUN make -j " + "x" * 90,
    message="exit code: 2",
    lines=("cc: error", "make: *** stop"),
)
DONE = CellResult(
    id="vllm-runtime-cuda12.9",
    status="done",
    output="load",
    build="b1",
    size=123_000_000,
    seconds=61.2,
    digest="sha256:" + "a1" * 32,
    steps=Steps(run=3, cached=40),
)
FAILED = CellResult(
    id="vllm-runtime-cuda13.0", status="failed", output="load", build="b2", failure=WHY
)
SKIPPED = CellResult(id="none-dev-cpu", status="skipped", output="load")


def ended(*cells):
    return MatrixResult(id="m", status="failed", record="/r/m", seconds=70.0, cells=cells)


def shown(*events, verbosity=0):
    said = []
    with matrix.Progress(said.append, Display(), verbosity, cells=3) as progress:
        for event in events:
            progress(event)
    return [re.sub(r"^ *[\d.]+s  ", "", line) for line in said]


def step(event):
    return SolveEvent("a", event)


NAME = StepName(stage="ucx", index=2, total=2, instruction="RUN make")
BEGUN = step(StepStarted(digest="d", name=NAME))


def test_a_line_for_each_cell_that_ends():
    lines = shown(
        SolveStarted(solve="a", cells=("a",)), BEGUN, CellEnded(DONE), CellEnded(FAILED),
        SolveEnded("a"), TagsMoved(DONE.id, ("r/x:1", "r/x:2")),
    )  # fmt: skip
    assert lines == [
        "1/3  vllm-runtime-cuda12.9  done  1 min 1 s  3 run, 40 cached  123 MB",
        f"2/3  vllm-runtime-cuda13.0  failed  0.0 s  0 run, 0 cached  {WHY.step}",
        "vllm-runtime-cuda12.9 is r/x:1, r/x:2",
    ]


def test_a_step_that_fails_is_told_at_once():
    broken = step(StepEnded(digest="d", error="exit code: 2"))
    off = step(StepEnded(digest="d", error="context canceled"))
    assert shown(BEGUN, broken) == [f"a: {NAME.title}  FAILED"]
    assert shown(BEGUN, off) == []


def test_another_try_is_told():
    assert shown(step(Retried(message="reset", seconds=2.0, tried=1))) == [
        "a: reset: tried again in 2.0 s"
    ]


def test_more_is_shown_where_it_is_wanted():
    more = (
        SolveStarted(solve="a", cells=()), BEGUN, step(LogLine(digest="d", text="cc")),
        step(Warned(text="old")),
    )  # fmt: skip
    assert shown(*more) == []
    assert shown(*more, verbosity=1) == [
        "a begins", f"        {NAME.title} | cc", "warning: old",
    ]  # fmt: skip


def test_the_table_is_whole_in_a_pipe():
    lines = matrix.table(ended(DONE, FAILED, SKIPPED), Display())
    assert lines[0].split() == [
        "cell", "result", "time", "run", "cached", "size", "digest", "first", "error",
    ]  # fmt: skip
    assert DONE.digest in lines[2]
    assert WHY.step in lines[3]
    assert lines[4] == "none-dev-cpu           skipped"


def test_the_table_fits_a_terminal():
    for width in (40, 60, 80, 100, 132):
        lines = matrix.table(ended(DONE, FAILED, SKIPPED), Display(width=width))
        assert max(map(len, lines)) <= width
        assert [line.split()[0] for line in lines if not line.startswith(("cell", "-", "  "))] == [
            DONE.id, FAILED.id, SKIPPED.id,
        ]  # fmt: skip
        assert "  [framework 3/7] RU" in "\n".join(lines)


@pytest.mark.parametrize("width", range(4, 40))
def test_a_terminal_that_is_too_narrow_for_the_table(width):
    lines = matrix.table(ended(DONE, FAILED, SKIPPED), Display(width=width))
    assert len(lines) >= 3
    # What is wrong is told however little room there is.
    (told,) = (line for line in lines if line.startswith("  "))
    assert "".join(lines).index(told) > "".join(lines).index("failed")


def test_an_id_stays_whole_as_long_as_a_terminal_has_room():
    long = "trtllm-local-dev-aws-cuda13.0+next+index"
    lines = matrix.table(ended(replace(DONE, id=long)), Display(width=80))
    assert lines[2].startswith(f"{long}  done    1 min 1 s  ")
    assert max(map(len, lines)) <= 80


def test_columns_that_say_nothing_are_left_out():
    assert matrix.table(ended(SKIPPED), Display())[0].split() == ["cell", "result"]


def test_the_summary_names_the_first_failure_with_its_lines():
    lines = list(matrix.summary(ended(DONE, FAILED, SKIPPED)))
    assert lines[0] == "cells   1 done, 1 failed, 1 skipped"
    assert lines[-4:] == [
        f"{FAILED.id}: {WHY.step}", "  | cc: error", "  | make: *** stop", "  exit code: 2",
    ]  # fmt: skip
    assert "  /r/m" in lines[3] or lines[3] == "record  /r/m"
    assert len(list(matrix.summary(ended(DONE)))) == 4
