"""What real builds told, recorded by ``tests/data/events/record.py``."""

import json
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from dynbuild.build.events import LogLine, Message, StepEnded, StepStarted, Transfer, Warned
from dynbuild.build.log import Log
from dynbuild.build.solve import Solve, is_cancelled, replay

FOLDER = Path(__file__).parent.parent / "data" / "events"
NAMES = ("single", "cached", "platforms", "linked", "failed", "cancelled", "beside")


def lines(name):
    return (FOLDER / f"{name}.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)


def solved(name, **more):
    solve = Solve(**more)
    return solve, list(replay(lines(name), solve))


def step(solve, text):
    """The one step of that name."""
    (found,) = [one for one in solve.steps.values() if str(one.name).startswith(text)]
    return found


def names(steps):
    return sorted(f"{one.name.label} {one.name.index}" for one in steps)


def of(kind, events):
    return [event for event in events if isinstance(event, kind)]


def test_every_recording_is_looked_at():
    assert {path.stem for path in FOLDER.glob("*.jsonl")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_recording_tells_nothing_of_its_machine(name):
    path = FOLDER / f"{name}.jsonl"
    text = path.read_text(encoding="utf-8")
    assert path.stat().st_size < 200_000
    for word in ("/tmp", "/root", "/home", "session", "http://"):
        assert word not in text
    assert text.count("https://") == text.count("https://docs.docker.com/")


@pytest.mark.parametrize("name", NAMES)
def test_a_recording_replays_into_the_same_events(name):
    """The record has lines of progress only; what the client says besides is a message."""
    solve = Solve()
    live = [event for line in (*lines(name), "ERROR: failed\n") for event in solve.feed(line)]
    assert solved(name)[1] == live[:-1]
    assert live[-1] == Message("ERROR: failed")
    # A builder writes its progress to a file, and reads it back long after.
    again = [json.dumps(json.loads(line)) for line in lines(name)]
    assert list(replay(again)) == live[:-1]


@pytest.mark.parametrize("name", NAMES)
def test_what_began_ends_and_is_told_in_order(name):
    solve, events = solved(name)
    assert not of(Message, events)
    running, ended = set(), set()
    for event in events:
        match event:
            case StepStarted(digest=digest):
                assert event.again == (digest in ended)
                assert digest not in running
                running.add(digest)
            case StepEnded(digest=digest):
                assert digest in running
                assert event.again == (digest in ended)
                running.remove(digest)
                ended.add(digest)
            case LogLine(digest=digest):
                assert digest in running
            case _:
                pass
    assert not running
    assert ended == {digest for digest, one in solve.steps.items() if one.runs}


@pytest.mark.parametrize("name", NAMES)
def test_the_graph_is_the_same_from_both_ends(name):
    solve, _ = solved(name)
    up = {(p.digest, one.digest) for one in solve.steps.values() for p in solve.parents(one.digest)}
    down = {
        (one.digest, c.digest) for one in solve.steps.values() for c in solve.children(one.digest)
    }
    assert up == down
    assert up


@pytest.mark.parametrize("name", NAMES)
def test_a_step_begins_after_what_it_takes(name):
    """Also across targets, whose clocks bake sets apart."""
    solve, _ = solved(name)
    for one in solve.steps.values():
        for parent in solve.parents(one.digest):
            if one.runs and not one.cached:
                assert one.started >= parent.runs[-1].completed - timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("name", "run", "cached", "run_instructions"),
    [
        ("single", 4, 1, 2),
        ("cached", 0, 5, 0),
        ("platforms", 4, 0, 2),
        ("linked", 6, 0, 4),
        ("failed", 2, 0, 2),
        ("cancelled", 1, 0, 1),
        ("beside", 1, 1, 0),
    ],
)
def test_counts(name, run, cached, run_instructions):
    solve, _ = solved(name)
    assert solve.counts() == {"run": run, "cached": cached, "run_instructions": run_instructions}


def test_one_image():
    solve, events = solved("single", targets=["single"])
    assert [(event.stream, event.text) for event in of(LogLine, events)] == [
        (2, "[one] two"),
        (1, "100%"),
        (1, "no line break"),
    ]
    (warned,) = of(Warned, events)
    assert (warned.file, warned.line) == ("single.Dockerfile", 13)
    assert warned.url.endswith("/legacy-key-value-format/")
    assert warned.text.startswith("LegacyKeyValueFormat: ")
    assert warned.detail == (
        "Legacy key/value format with whitespace separator should not be used",
    )
    assert names(solve.children(step(solve, "[fetch 2/2]").digest)) == ["stage-2 1", "ucx 1"]
    assert {target for one in solve.steps for target in solve.images(one)} == {"single"}
    assert all(solve.images(one) == {"single"} for one in solve.steps)
    assert solve.failed() is None


def test_transfers_are_kept_with_their_bytes():
    solve, events = solved("single")
    definition = step(solve, "[internal] load build definition")
    (transfer,) = definition.transfers.values()
    assert (transfer.id, transfer.action) == ("transferring dockerfile:", "transferring")
    assert transfer.current > 300
    assert transfer.completed > transfer.started
    assert [part for part in of(Transfer, events) if part.digest == definition.digest][-1] == (
        transfer
    )
    exported = step(solve, "exporting to image")
    assert "exporting layers" in exported.transfers
    assert all(part.completed for part in exported.transfers.values())


def test_two_platforms():
    solve, events = solved("platforms")
    seen = {
        (one.name.stage, one.name.index): one.name.platform
        for one in solve.steps.values()
        if one.name.platform != "linux/amd64" and one.name.stage
    }
    assert seen == {
        ("ucx", 2): "linux/amd64->arm64",
        ("out", 1): "linux/arm64",
        ("out", 2): "linux/arm64",
    }
    # The stage that runs here for either platform has one base.
    base = step(solve, "[linux/amd64 ucx 1/2] FROM")
    assert names(solve.children(base.digest)) == ["linux/amd64 ucx 2", "linux/amd64->arm64 ucx 2"]
    log = Log()
    told = [line for event in events for line in log.lines(event)]
    assert "linux/amd64->arm64 ucx | ucx for arm64" in told
    assert "linux/amd64 ucx | ucx for amd64" in told


def test_targets_that_are_linked():
    solve, events = solved("linked")
    assert set(solve.targets) == {"low", "high", "side"}
    images = {
        f"{one.name.stage} {one.name.index}": sorted(solve.images(one.digest))
        for one in solve.steps.values()
        if one.name.is_instruction and "another" not in one.name.instruction
    }
    assert images == {
        "common 2": ["high", "low", "side"],
        "low 1": ["high", "low"],
        "low 2": ["high", "low"],
        "ucx 1": ["high"],
        "stage-2 1": ["high"],
    }
    # Two stages of one name are two steps, and each is told of once though three targets do.
    commons = [
        event
        for event in of(StepStarted, events)
        if event.name.stage == "common" and event.name.is_run
    ]
    assert len(commons) == 2
    assert len({event.digest for event in commons}) == 2
    assert {(target,) for target in solve.targets} == {
        tuple(solve.images(one.digest))
        for one in solve.steps.values()
        if one.name.instruction == "exporting to image"
    }


def test_a_shared_step_has_a_name_of_each_target():
    solve, _ = solved("linked")
    (common,) = [one for one in solve.steps.values() if len(one.names) == 3 and one.name.is_run]
    assert {name.target for name in common.names.values()} == {"low", "high", "side"}
    assert {(name.stage, name.index, name.total) for name in common.names.values()} == {
        ("common", 2, 2)
    }


def test_a_build_that_fails():
    solve, events = solved("failed")
    failed = solve.failed()
    assert (failed.name.stage, failed.name.index) == ("ucx", 2)
    assert failed.error.endswith("exit code: 3")
    assert list(failed.tail) == ["CC ucx.o", "ucx.c:3: error: no"]
    ends = {solve.steps[event.digest].name.stage: event for event in of(StepEnded, events)}
    assert is_cancelled(ends["nixl"].error)
    assert "stage-2" not in ends
    assert not step(solve, "[stage-2 2/2]").runs


def test_a_build_that_is_cancelled():
    solve, _ = solved("cancelled")
    assert is_cancelled(solve.failed().error)
    assert list(solve.failed().tail) == ["begun"]


@pytest.mark.parametrize("known", [True, False])
def test_a_step_of_a_build_beside_this_one(known):
    """The caller's clock says when the build began, else bake's own first step does."""
    first = json.loads(lines("beside")[0])["vertexes"][0]
    assert first["name"] == "[internal] load local bake definitions"
    begun = solved("beside")[0].begun if known else None
    solve, events = solved("beside", begun=begun)
    shared = step(solve, "[ucx 2/2] RUN")
    assert shared.started < solve.begun
    assert shared.cached
    (end,) = [event for event in of(StepEnded, events) if event.digest == shared.digest]
    assert end.cached
    assert end.seconds > 5


@pytest.mark.parametrize("name", NAMES)
def test_the_log_says_what_began_and_ended(name):
    solve, events = solved(name)
    log = Log()
    told = [line for event in events for line in log.lines(event)]
    begun = Counter(line.removeprefix("==> ") for line in told if line.startswith("==> "))
    assert begun == Counter(str(one.name) for one in solve.steps.values() if one.runs)
    assert sum(line.startswith("<== ") for line in told) >= sum(begun.values())
