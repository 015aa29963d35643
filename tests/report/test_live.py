"""What runs, and the picture of it."""

import re

import pytest
from rich.cells import cell_len

from dynbuild.build.events import LogLine, Retried, StepEnded, StepStarted, Transfer
from dynbuild.build.result import Failure
from dynbuild.build.solve import replay
from dynbuild.build.steps import StepName
from dynbuild.matrix.events import CellEnded, SolveEnded, SolveEvent, SolveStarted
from dynbuild.matrix.result import CellResult
from dynbuild.report import frame
from dynbuild.report.live import Live, harmless, locks
from tests.support import ROOT

RECORDINGS = sorted((ROOT / "tests" / "data" / "events").glob("*.jsonl"))
SIZES = [(80, 24), (200, 50), (40, 10), (20, 5), (8, 2), (1, 1)]


def picture(live, now, width=80, height=24):
    lines = frame.frame(live, width=width, height=height, now=now)
    texts = [frame.text(line) for line in lines]
    assert len(texts) <= height
    assert all(cell_len(text) <= width for text in texts), texts
    assert all(text.isprintable() for text in texts)
    return texts


def one(*events, cells=("none-runtime-cpu",)):
    """A build to which the events happened at their times."""
    live = Live(dict.fromkeys(cells, "waiting"), 0.0)
    for now, event in events:
        live.feed(event, now)
    return live


def started(text, digest="a"):
    return StepStarted(digest=digest, name=StepName.parse(text))


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_every_picture_of_a_recording_fits(path, width, height):
    live = Live({"none-runtime-cpu": "waiting"}, 0.0)
    now = 0.0
    with path.open(encoding="utf-8") as lines:
        for event in replay(lines):
            now += 0.7
            live.feed(event, now)
            picture(live, now + 1.5, width, height)
    assert live.steps()[0] > 0


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_what_runs_changes_with_every_second(path):
    live = Live({"none-runtime-cpu": "waiting"}, 0.0)
    with path.open(encoding="utf-8") as lines:
        for now, event in enumerate(replay(lines)):
            live.feed(event, now)
            assert picture(live, now) != picture(live, now + 1)


def test_a_step_that_runs():
    live = one(
        (0, started("[ucx 2/5] RUN cd /source && { make -j8; }")),
        (1, LogLine(digest="a", text="\x1b[31mCC\x1b[0m one.o\r")),
    )
    head, row, detail = picture(live, 63)
    assert head == "none-runtime-cpu  0 of 1 steps  1:03"
    assert re.fullmatch(r"ucx 2/5 +RUN make -j8 +1:03", row)
    assert detail.strip() == "CC one.o\N{REPLACEMENT CHARACTER}"
    wide = picture(live, 63, 200)
    assert re.fullmatch(r"ucx 2/5 +RUN make -j8 +1:03  CC one.o.", wide[1])


def test_bytes_and_their_rate():
    live = one(
        (0, started("[base 1/2] FROM debian")),
        (1, Transfer(digest="a", id="sha256:" + "1" * 64, action="downloading", total=40_000_000)),
        (
            3,
            Transfer(
                digest="a",
                id="sha256:" + "1" * 64,
                action="downloading",
                current=20_000_000,
                total=40_000_000,
            ),
        ),
    )
    assert "downloading 0 of 1 layers, 20 MB of 40 MB, 10 MB/s" in picture(live, 3)[2]


def test_an_export_says_what_it_does():
    live = one(
        (0, started("exporting to image")),
        (1, Transfer(digest="a", id="exporting layers")),
    )
    _, row, detail = picture(live, 3)
    assert row.startswith("image ")
    assert detail.strip() == "exporting layers"


def test_a_step_waits_for_the_cache_that_another_holds():
    mount = "--mount=type=cache,id=apt,target=/var/lib/apt,sharing=locked"
    live = one(
        (0, started(f"[ucx 2/5] RUN {mount} apt-get update", "a")),
        (1, started(f"[nixl 2/3] RUN {mount} apt-get install x", "b")),
        (2, LogLine(digest="a", text="Get:1")),
    )
    assert "    waits for the cache apt, which ucx holds" in picture(live, 3)
    live.feed(StepEnded(digest="a", seconds=3), 3)
    assert not any("waits" in line for line in picture(live, 4))


@pytest.mark.parametrize(
    ("mount", "names"),
    [
        ("type=cache,target=/c,sharing=locked", {"/c"}),
        ("type=cache,target=/c,id=x,sharing=locked", {"x"}),
        ("target=/c,type=cache,sharing=shared", set()),
        ("type=cache,target=/c", set()),
        ("type=bind,sharing=locked,target=/c", set()),
    ],
)
def test_the_locks_of_an_instruction(mount, names):
    assert locks(f"RUN --mount={mount} make") == names


def test_what_is_done_is_a_count_for_each_stage():
    events = []
    for number, cached in enumerate((True, True, False)):
        name = f"[{'ucx' if number < 2 else 'nixl'} {number + 1}/3] RUN {number}"
        events += [
            (number, started(name, str(number))),
            (number, StepEnded(digest=str(number), cached=cached, seconds=0.5)),
        ]
    lines = picture(one(*events), 9)
    assert lines[1:] == ["done: 1 run, 2 from the cache; nixl 1 run, ucx 2 cached"]


def test_a_failure_stays_on_top_with_its_last_lines():
    events = [(0, started("[ucx 2/5] RUN make"))]
    events += [(1, LogLine(digest="a", text=f"line {number}")) for number in range(99)]
    events += [(2, StepEnded(digest="a", error="exit code: 2"))]
    events += [(3, started(f"[x 1/1] RUN {number}", f"d{number}")) for number in range(40)]
    lines = picture(one(*events), 4)
    assert lines[1] == "FAILED [ucx 2/5] RUN make"
    assert lines[2:8] == [*(f"  line {number}" for number in range(94, 99)), "  exit code: 2"]
    assert any(line.startswith("and ") and line.endswith(" more") for line in lines)


def test_a_cancelled_step_is_no_failure():
    live = one((0, started("[ucx 2/5] RUN make")), (1, StepEnded(digest="a", error="canceled")))
    assert not live.failures


def test_a_try_that_is_made_again():
    live = one(
        (0, started("[ucx 2/5] RUN make")),
        (1, Retried(message="the registry answers 503", seconds=20, tried=1)),
    )
    assert "the registry answers 503: tried again in 0:15" in picture(live, 6)


def matrix(count=12):
    """A matrix of cells, one of which failed, while the others do the same step."""
    cells = [f"vllm-runtime-cuda{number}" for number in range(count)]
    live = Live(dict.fromkeys((*cells, "none-dev-cpu"), "waiting"), 0.0)
    for now, cell in enumerate(cells):
        live.feed(SolveStarted(solve=cell, cells=(cell,)), now)
        live.feed(SolveEvent(cell, started("[ucx 2/5] RUN make", f"d{now}")), now)
    live.feed(SolveEvent(cells[0], StepEnded(digest="d0", error="exit code: 2")), count)
    why = Failure(kind="user", step="[ucx 2/5] RUN make", message="exit code: 2")
    failed = CellResult(id=cells[0], status="failed", output="load", failure=why)
    live.feed(SolveEnded(cells[0]), count)
    live.feed(CellEnded(failed), count)
    return live


def test_twelve_cells():
    head, failed, message, row, *rest = picture(matrix(), 20)
    assert head == "13 cells: 11 running, 1 waiting, 1 failed  1 of 12 steps  0:20"
    assert (failed, message) == ("FAILED [ucx 2/5] RUN make", "  exit code: 2")
    assert re.fullmatch(r"ucx 2/5 11 cells +RUN make +0:19", row)
    assert rest == ["wait for a slot (--jobs): none-dev-cpu"]


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_a_matrix_fits(width, height):
    live = matrix()
    for number in range(60):
        name = f"[stage-{number} 1/2] RUN 漢字 \u202e{'x' * number}"
        live.feed(SolveEvent("vllm-runtime-cuda1", started(name, f"e{number}")), 20 + number)
    assert picture(live, 90, width, height)


def test_cells_wait_for_what_they_have_in_common():
    live = Live(dict.fromkeys(("a", "b"), "waiting"), 0.0)
    live.feed(SolveStarted(solve="common steps", cells=()), 0)
    assert "wait for the steps they have in common: a, b" in picture(live, 1)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07a\x1b]8;;x\x1b\\b", "ab"),
        ("a\tb", "a b"),
        ("\x1b", "\N{REPLACEMENT CHARACTER}"),
        ("\u202eabc", "\N{REPLACEMENT CHARACTER}abc"),
    ],
)
def test_what_a_terminal_would_obey_is_taken_out(text, shown):
    assert harmless(text) == shown


@pytest.mark.parametrize(
    ("seconds", "text"), [(-1, "0:00"), (7.9, "0:07"), (723, "12:03"), (3723, "1:02:03")]
)
def test_the_clock(seconds, text):
    assert frame.clock(seconds) == text
