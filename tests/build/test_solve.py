import base64
import itertools
import json
from datetime import datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dynbuild.build.events import LogLine, Message, StepEnded, StepStarted, Warned
from dynbuild.build.solve import Solve
from dynbuild.build.steps import StepName
from tests import support  # noqa: F401 - the profile of hypothesis

NAME = "[ucx 3/3] RUN make"
START, END = "2026-01-02T03:04:05.123456789Z", "2026-01-02T03:04:07.623456789Z"
STARTED, ENDED = (datetime.fromisoformat(text) for text in (START, END))


def vertex(digest="sha256:1", name=NAME, **more):
    return {"vertexes": [{"digest": digest, "name": name, **more}]}


def log(data, digest="sha256:1"):
    raw = data if isinstance(data, bytes) else data.encode()
    return {"logs": [{"vertex": digest, "data": base64.b64encode(raw).decode()}]}


def step_started(name=NAME, digest="sha256:1", time=STARTED, **more):
    return StepStarted(digest=digest, name=StepName.parse(name), time=time, **more)


def step_ended(seconds=2.5, digest="sha256:1", time=ENDED, **more):
    return StepEnded(digest=digest, seconds=seconds, time=time, **more)


def line(text, digest="sha256:1"):
    return LogLine(digest=digest, text=text)


def feed(*documents, solve=None):
    solve = solve or Solve()
    return [event for document in documents for event in solve.feed(json.dumps(document) + "\n")]


def printed(events):
    return [event.text for event in events if isinstance(event, LogLine)]


# ---- steps -------------------------------------------------------------------------------


def test_the_life_of_a_step():
    assert feed(
        vertex(),
        vertex(started=START),
        log("one\ntwo\n"),
        vertex(started=START, completed=END),
    ) == [
        step_started(),
        line("one"),
        line("two"),
        step_ended(),
    ]


def test_a_cached_step():
    events = feed(vertex(started=START, completed=START, cached=True))
    assert events == [step_started(), step_ended(0.0, time=STARTED, cached=True)]


def test_a_step_that_fails():
    solve = Solve()
    end = vertex(started=START, completed=END, error="exit code: 2")
    events = feed(vertex(started=START), log("cc: no\n"), end, solve=solve)
    assert events[-1] == step_ended(error="exit code: 2")
    failed = solve.failed()
    assert (str(failed.name), failed.error, list(failed.tail)) == (NAME, "exit code: 2", ["cc: no"])


def test_the_failure_is_that_of_the_step_that_failed_first():
    solve = Solve()
    feed(
        vertex("a", "[a 1/1] RUN a", started=START, completed=END, error="context canceled"),
        vertex("b", "[b 1/1] RUN b", started=START, completed=END, error="exit code: 1"),
        vertex("c", "[c 1/1] RUN c", started=START, completed=END, error="CANCELED: no"),
        solve=solve,
    )
    assert str(solve.failed().name) == "[b 1/1] RUN b"


def test_a_build_that_was_only_cancelled():
    solve = Solve()
    feed(vertex(started=START, completed=END, error="context canceled"), solve=solve)
    assert str(solve.failed().name) == NAME


def test_nothing_failed():
    solve = Solve()
    feed(vertex(started=START, completed=END), solve=solve)
    assert solve.failed() is None


def test_a_step_is_told_once_whatever_is_repeated():
    end = vertex(started=START, completed=END)
    assert feed(vertex(started=START), vertex(started=START), end, end) == [
        step_started(),
        step_ended(),
    ]


def test_a_name_that_comes_late():
    events = feed(vertex(name=""), vertex(started=START))
    assert events == [step_started()]


def test_the_last_lines_are_kept_for_the_report():
    solve = Solve()
    feed(vertex(started=START), log("".join(f"{n}\n" for n in range(100))), solve=solve)
    feed(log("no end"), vertex(started=START, completed=END, error="x"), solve=solve)
    tail = list(solve.failed().tail)
    assert tail[-2:] == ["99", "no end"]
    assert len(tail) == 20


@pytest.mark.parametrize(
    ("name", "instruction", "run"),
    [
        ("[ucx 3/3] RUN make", True, True),
        ("[linux/amd64 ucx 3/3] RUN make", True, True),
        ("[base 1/1] FROM docker.io/library/debian", False, False),
        ("[internal] load build definition", False, False),
        ("[none-runtime-cpu internal] load build definition", False, False),
        ("[none-runtime-aws-cpu runtime-aws 1/1] RUN ./install", True, True),
        ("[runtime 2/9] COPY --from=wheel_builder / /", True, False),
        ("exporting to image", False, False),
    ],
)
def test_kinds_of_steps(name, instruction, run):
    solve = Solve()
    feed(vertex(name=name, started=START, completed=END), solve=solve)
    (step,) = solve.steps.values()
    assert (step.name.is_instruction, step.name.is_run) == (instruction, run)
    expected = {"run": int(instruction), "cached": 0, "run_instructions": int(run)}
    assert solve.counts() == expected


def test_counts():
    solve = Solve()
    feed(
        vertex("a", "[a 1/3] RUN a", started=START, completed=END),
        vertex("b", "[a 2/3] COPY x y", started=START, completed=END),
        vertex("c", "[a 3/3] RUN c", started=START, completed=START, cached=True),
        vertex("d", "[b 1/1] RUN d", started=START),
        vertex("e", "[internal] load metadata", started=START, completed=END),
        solve=solve,
    )
    assert solve.counts() == {"run": 2, "cached": 1, "run_instructions": 1}


# ---- what is printed ---------------------------------------------------------------------


def test_a_carriage_return_overwrites():
    events = feed(vertex(started=START), log("1%\r50%\r100%\n"), log("dos\r\n"))
    assert printed(events) == ["100%", "dos"]


def test_the_log_of_an_unknown_step_is_nobodys():
    assert feed(log("x\n", "sha256:none")) == []


def test_steps_do_not_mix():
    one, other = vertex("a", "[a 1/1] RUN a", started=START), vertex("b", "[b 1/1] RUN b")
    events = feed(one, other, log("fir", "a"), log("second\n", "b"), log("st\n", "a"))
    assert [event for event in events if isinstance(event, LogLine)] == [
        line("second", "b"),
        line("first", "a"),
    ]


def test_warnings():
    short = base64.b64encode(b"FromAsCasing: 'as' and 'FROM' keywords' casing").decode()
    assert feed({"warnings": [{"vertex": "x", "level": 1, "short": short}]}) == [
        Warned(text="FromAsCasing: 'as' and 'FROM' keywords' casing", digest="x")
    ]
    assert feed({"warnings": [{"vertex": "x"}]}) == []


@pytest.mark.parametrize("line", ["ERROR: no such builder", "[1, 2]", '{"half": ', "null", "3"])
def test_a_line_that_is_no_progress_is_a_message(line):
    solve = Solve()
    assert list(solve.feed(f"{line}\n")) == [Message(line)]
    assert solve.messages == [line]


@pytest.mark.parametrize("line", ["", "\n", "   \n", "{}", '{"vertexes": null, "logs": null}'])
def test_a_line_that_says_nothing(line):
    assert list(Solve().feed(line)) == []


def pieces(data, cuts):
    bounds = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(bounds)]


LINES = st.lists(st.text(st.characters(codec="ascii", exclude_characters="\r\n")), max_size=6)
CUTS = st.lists(st.integers(0, 200), max_size=8)


@given(LINES, CUTS)
def test_lines_are_the_same_however_they_are_cut(lines, cuts):
    data = "".join(f"{line}\n" for line in lines).encode()
    events = feed(vertex(started=START), *(log(piece) for piece in pieces(data, cuts)))
    assert printed(events) == lines


@given(st.text(st.characters(exclude_categories=("Cs", "Cc"))), CUTS)
@example("\u2713 done", [1])
def test_characters_are_the_same_however_they_are_cut(line, cuts):
    data = f"{line}\n".encode()
    events = feed(vertex(started=START), *(log(piece) for piece in pieces(data, cuts)))
    assert printed(events) == [line]


def test_the_last_line_needs_no_line_break():
    events = feed(vertex(started=START), log("done"), vertex(started=START, completed=END))
    assert printed(events) == ["done"]


# ---- whatever comes ----------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda below: (
        st.lists(below, max_size=3)
        | st.dictionaries(
            st.sampled_from(["vertexes", "logs", "warnings", "digest", "name", "x"]),
            below,
            max_size=3,
        )
    ),
    max_leaves=6,
)


NO_STATUS = (st.integers() | st.text(max_size=8) | st.lists(JSON, max_size=2)).map(json.dumps)


@given(st.lists(st.text(max_size=20) | NO_STATUS, max_size=4))
def test_no_text_breaks_the_reader(lines):
    solve = Solve()
    for text in lines:
        list(solve.feed(text))
    assert solve.failed() is None
    assert solve.counts() == {"run": 0, "cached": 0, "run_instructions": 0}


ODD = [
    {"vertexes": 3},
    {"vertexes": [None]},
    {"vertexes": [{}]},
    {"vertexes": [{"digest": "a", "name": "n", "started": "yesterday"}]},
    {"vertexes": [{"digest": "a", "name": "n", "started": 3}]},
    {"vertexes": [{"digest": ["a"]}]},
    {"logs": "x"},
    {"logs": [{}]},
    {"warnings": [{"short": "not base64!"}]},
]


@pytest.mark.parametrize("document", ODD, ids=json.dumps)
def test_an_odd_status_breaks_nothing(document):
    feed(document)


@given(st.lists(JSON, max_size=4))
@example([{"vertexes": [{}]}])
def test_no_json_breaks_the_reader(documents):
    feed(*documents)
