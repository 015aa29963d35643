"""Kinds of faults, from what was really said: tests/data/failures.toml."""

import base64
import json
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynbuild.build import failure
from dynbuild.build.failure import RECOGNISERS
from dynbuild.build.solve import Solve
from dynbuild.errors import BuildFailed, Interrupted, NotReady
from tests.support import ROOT

SAMPLES = tomllib.loads((ROOT / "tests" / "data" / "failures.toml").read_text())["sample"]
EXIT = 'process "/bin/sh -c make" did not complete successfully: exit code: 1'
TIMES = {"started": "2026-01-02T03:04:05Z", "completed": "2026-01-02T03:04:07Z"}


def failed(error, printed="", name="[ucx 2/2] RUN make"):
    """What is made of a step that failed."""
    step = {"digest": "sha256:1", "name": name}
    data = base64.b64encode(printed.encode()).decode()
    solve = Solve()
    for line in (
        {"vertexes": [step | {"started": TIMES["started"]}]},
        {"logs": [{"vertex": "sha256:1", "stream": 1, "data": data}]},
        {"vertexes": [step | TIMES | {"error": error}]},
    ):
        list(solve.feed(json.dumps(line)))
    return failure.of_solve(solve, 1)


def of_sample(sample):
    if sample["said"] == "step":
        return failed(EXIT, sample["text"])
    if sample["text"].startswith("ERROR: "):
        solve = Solve()
        list(solve.feed(sample["text"]))
        return failure.of_solve(solve, 1)
    return failed(sample["text"])


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda one: f"{one['kind']}: {one['text'][:50]!r}")
def test_what_was_really_said_is_recognised(sample):
    why = of_sample(sample)
    assert why.kind == sample["kind"]
    assert why.message.strip()


def test_every_recogniser_has_a_sample_of_its_own():
    hit = {
        failure.recognise(sample["text"], printed=sample["said"] == "step") for sample in SAMPLES
    }
    assert hit >= set(RECOGNISERS)


def test_every_kind_has_a_sample():
    kinds = {sample["kind"] for sample in SAMPLES}
    assert kinds == {"transient", "auth", "missing", "platform", "disk", "user", "cancelled"}


def test_a_step_is_named_with_its_last_lines_and_reason():
    why = failed(EXIT, "one\ntwo\n")
    assert why.step == "[ucx 2/2] RUN make"
    assert why.message == "the command did not complete successfully: exit code: 1"
    assert why.lines == ("one", "two")


def test_an_image_that_cannot_be_pulled_has_a_way_round():
    name = "[internal] load metadata for registry.example.com/x:y"
    for text in ("no such host", "401 Unauthorized", "i/o timeout"):
        assert "--base-image" in failed(text, name=name).hint


def test_the_hint_of_a_transient_fault_says_to_build_again():
    assert "build again" in failed("unexpected status: 503 Service Unavailable").hint
    assert failed(EXIT, "error: expected ';'").hint == ""


@pytest.mark.parametrize(
    "said",
    [
        "Temporary failure resolving 'mirror.example'",
        "curl: (6) Could not resolve host: mirror.example",
        "wget: bad address 'mirror.example'",
        "socket.gaierror: [Errno -2] Name or service not known",
        "connect to 192.0.2.1 port 443: Network is unreachable",
    ],
)
def test_a_step_that_looks_like_lost_network_says_so(said):
    why = failed(EXIT, said)
    assert why.kind == "transient"
    assert "`dynbuild doctor`" in why.hint
    assert "`dynbuild engine up`" in why.hint


def test_a_solve_that_said_nothing():
    why = failure.of_solve(Solve(), 125)
    assert (why.kind, why.message, why.step) == ("user", "status 125", "")


def test_errors_of_our_own():
    why = failure.of_error(NotReady("no docker", hint="install it"))
    assert (why.kind, why.message, why.hint) == ("missing", "no docker", "install it")
    assert failure.of_error(KeyboardInterrupt()).kind == "cancelled"
    assert failure.of_error(ZeroDivisionError("x")).message == "ZeroDivisionError: x"


def test_what_a_person_is_told():
    log = Path("/tree/log")
    error = failure.to_error(failed(EXIT, "one\n"), log)
    assert isinstance(error, BuildFailed)
    assert error.message == "the step failed: [ucx 2/2] RUN make"
    assert error.details == ("one", "the command did not complete successfully: exit code: 1")
    assert error.hint == "the whole log: /tree/log"
    error = failure.to_error(failure.of_solve(Solve(), 1), log)
    assert (error.message, error.details) == ("the build could not be carried out", ("status 1",))
    assert isinstance(failure.to_error(failure.cancelled(), log), Interrupted)


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_words_have_a_kind(error, printed):
    assert failed(error or "x", printed).kind


def test_what_a_program_got_over_by_itself_is_no_reason():
    over = "WARNING: Retrying (Retry(total=4)) after connection broken by 'Connection reset'\n"
    assert failed(EXIT, f"{over}the rest of it failed").kind == "user"
    assert failed(EXIT, over.replace("total=4", "total=0")).kind == "transient"


def test_a_compiler_s_error_is_certain_whatever_the_network_did():
    assert failed(EXIT, "curl: (56) Connection reset\nsrc/a.c:3:1: error: expected ';'").kind == (
        "user"
    )
