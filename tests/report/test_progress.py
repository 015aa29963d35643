import re

import pytest

from dynbuild.build.events import LogLine, Message, RecordBegun, StepEnded, StepStarted, Warned
from dynbuild.build.solve import replay
from dynbuild.build.steps import StepName
from dynbuild.report.display import COLUMNS, Display
from dynbuild.report.progress import Progress
from tests.support import ROOT

RECORDINGS = ROOT / "tests" / "data" / "events"


def shown(*events, verbosity=0, width=None):
    """What people see of events, without the clock at the head of a line."""
    lines = []
    progress = Progress(lines.append, Display(width=width), verbosity)
    for event in events:
        progress(event)
    return [re.sub(r"^ *[\d.]+s  ", "", line) for line in lines]


def recorded(name):
    with (RECORDINGS / f"{name}.jsonl").open(encoding="utf-8") as lines:
        return list(replay(lines))


def started(text, digest="a"):
    return StepStarted(digest=digest, name=StepName.parse(text))


def columns(lines):
    """The lines without their padding."""
    return [re.sub(r" {2,}", "  ", line) for line in lines]


@pytest.mark.parametrize(
    ("end", "text"),
    [
        (StepEnded(digest="a", seconds=2.54), "2.5s"),
        (StepEnded(digest="a", error="exit code: 1"), "FAILED"),
        (StepEnded(digest="a", error="context canceled"), "cancelled"),
    ],
)
def test_how_a_step_ended(end, text):
    lines = shown(started("[ucx 2/2] RUN  make"), end)
    assert columns(lines) == [f"[ucx 2/2] RUN make  {text}"]
    assert len(lines[0]) == COLUMNS - len("   0.0s  ")


def test_a_long_name_is_cut_on_a_terminal_only():
    events = (started("[ucx 2/2] RUN " + "x" * 200), StepEnded(digest="a", seconds=1))
    for width in (COLUMNS, 150):
        (line,) = shown(*events, width=width)
        assert len(line) == width - len("   0.0s  ")
        assert line.endswith("x…  1.0s")
    # In a pipe or a file nothing is.
    (line,) = shown(*events)
    assert "…" not in line
    assert len(line) > 160


def test_what_a_step_prints_is_shown_with_its_stage_and_platform():
    lines = shown(
        started("[linux/arm64 ucx 2/2] RUN make"),
        started("[vllm ucx 2/2] RUN make", "b"),
        LogLine(digest="a", text="CC one.o"),
        LogLine(digest="b", text="CC two.o"),
        Warned(text="old"),
        Message("no step"),
        verbosity=1,
    )
    assert [line.strip() for line in lines] == [
        "linux/arm64 ucx | CC one.o",
        "vllm ucx | CC two.o",
        "warning: old",
        "no step",
    ]


def test_work_of_buildkit_is_shown_only_if_it_takes_long():
    events = [
        started("[vllm internal] load .dockerignore"), StepEnded(digest="a"),
        started("[vllm] exporting to image", "b"), StepEnded(digest="b", seconds=9),
    ]  # fmt: skip
    assert columns(shown(*events)) == ["[vllm] exporting to image  9.0s"]
    assert len(shown(*events, verbosity=2)) == 2


def test_a_build_for_two_platforms():
    lines = columns(shown(*recorded("platforms")))
    assert sorted(line.rsplit("  ", 1)[0][:34] for line in lines) == [
        "[linux/amd64 out 1/2] FROM docker.",
        "[linux/amd64 out 2/2] COPY /ucx /u",
        "[linux/amd64 ucx 1/2] FROM docker.",
        '[linux/amd64 ucx 2/2] RUN echo "uc',
        "[linux/amd64->arm64 ucx 2/2] RUN e",
        "[linux/arm64 out 1/2] FROM docker.",
        "[linux/arm64 out 2/2] COPY /ucx /u",
    ]


def test_a_step_that_three_targets_share_has_one_line():
    lines = columns(shown(*recorded("linked")))
    assert sum("RUN echo common" in line for line in lines) == 1
    assert sum("RUN echo another common" in line for line in lines) == 1


def test_colour_takes_no_room():
    lines = []
    progress = Progress(lines.append, Display(colour=True, width=60), 0)
    for event in (started("[ucx 2/2] RUN make"), StepEnded(digest="a", error="exit code: 1")):
        progress(event)
    assert "\x1b[31mFAILED\x1b[0m" in lines[0]
    assert len(re.sub(r"\x1b\[\d+m", "", lines[0])) == 60


def test_what_comes_from_the_cache_is_one_line():
    events = [RecordBegun("b1", "/builds/b1")]
    for number in range(27):
        name = f"[ucx {number + 1:2}/28] RUN {number}"
        events += [started(name, str(number)), StepEnded(digest=str(number), cached=True)]
    events += [started("[ucx 28/28] RUN make", "x"), StepEnded(digest="x", seconds=9)]
    lines = columns(shown(*events))
    assert lines == [
        "recorded in /builds/b1",
        "27 steps from the cache",
        "[ucx 28/28] RUN make  9.0s",
    ]
    assert len(shown(*events, verbosity=1)) == 29
