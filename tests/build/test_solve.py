import base64
import itertools
import json
from datetime import datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dynbuild.build.events import LogLine, Message, StepEnded, StepStarted, Transfer, Warned
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


def test_a_step_that_ended_and_is_then_told_as_cached_is_that():
    solve = Solve()
    of = {"inputs": ["sha256:0"], "started": START, "completed": END}
    feed(vertex(**of), vertex(**of, cached=True), solve=solve)
    assert (solve.counts()["run"], solve.counts()["cached"]) == (0, 1)


def test_what_a_carriage_return_overwrote_is_left_out():
    events = feed(vertex(started=START), log("1 %\r2 %\r\nbox X\nY\rX\n"))
    assert printed(events) == ["2 %", "box X", "X"]


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


@pytest.mark.parametrize(
    "name", ["exporting cache to registry", "importing cache manifest from example.com/x:c"]
)
def test_what_fails_no_build_is_not_its_failure(name):
    solve = Solve()
    feed(
        vertex("a", name, started=START, completed=END, error="502 Bad Gateway"),
        vertex("b", "[b 1/1] RUN b", started=START, completed=END, error="exit code: 1"),
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


# ---- a step that is told of more than once --------------------------------------------------

AGAIN, AGAIN_END = "2026-01-02T03:04:08Z", "2026-01-02T03:04:18Z"


def test_a_step_that_starts_again():
    """As FROM does: it is looked at first, and fetched later."""
    solve = Solve()
    events = feed(
        vertex(started=START, completed=END),
        vertex(started=AGAIN),
        vertex(started=START, completed=END),
        vertex(started=AGAIN, completed=AGAIN_END),
        vertex(started=AGAIN, completed=AGAIN_END),
        solve=solve,
    )
    assert events == [
        step_started(),
        step_ended(),
        step_started(time=datetime.fromisoformat(AGAIN), again=True),
        step_ended(10.0, time=datetime.fromisoformat(AGAIN_END), again=True),
    ]
    assert [event.is_news for event in events if isinstance(event, StepEnded)] == [True, True]
    (step,) = solve.steps.values()
    assert (step.started, step.seconds) == (STARTED, 12.5)


def test_a_retry_that_goes_well_is_no_failure():
    solve = Solve()
    feed(
        vertex(started=START, completed=END, error="connection reset"),
        vertex(started=AGAIN, completed=AGAIN_END),
        vertex(started=START, completed=END, error="connection reset"),
        solve=solve,
    )
    assert solve.failed() is None


def test_an_end_without_a_start_has_one():
    assert feed(vertex(completed=END)) == [step_started(time=ENDED), step_ended(0.0)]


def test_a_start_that_is_corrected_is_no_other_start():
    events = feed(
        vertex(started=START), vertex(started=AGAIN), vertex(started=AGAIN, completed=END)
    )
    assert events == [step_started(), step_ended(0.0, time=STARTED)]


def test_a_clock_that_is_set_back_gives_no_negative_time():
    (_, end) = feed(vertex(started=END, completed=START))
    assert end.seconds == 0


def test_a_name_that_comes_after_the_start():
    events = feed(vertex(name="", started=START), vertex(), vertex(started=START))
    assert events == [step_started(""), step_started(again=True)]


def shifted(text, seconds):
    return (datetime.fromisoformat(text) + timedelta(seconds=seconds)).isoformat()


def test_a_step_of_two_targets_is_told_once():
    """Each has a name and a clock of its own for it."""
    one, other = "[low ucx 3/3] RUN make", "[high ucx 3/3] RUN make"
    early, end = shifted(START, -5), shifted(END, -5)
    solve = Solve()
    events = feed(
        vertex("x", "[low internal] load .dockerignore"),
        vertex("y", "[high internal] load .dockerignore"),
        vertex(name=one, started=START),
        vertex(name=other, started=early),
        vertex(name=other, started=early, completed=end),
        vertex(name=one, started=START, completed=END),
        solve=solve,
    )
    assert events == [step_started(one), step_ended()]
    assert solve.images("sha256:1") == {"low", "high"}
    assert solve.counts() == {"run": 1, "cached": 0, "run_instructions": 1}


def test_the_clocks_of_targets_are_brought_to_one():
    solve = Solve()
    for name, by in (("[low a 1/1] RUN a", 0), ("[high a 1/1] RUN a", -5)):
        feed(vertex("a", name, started=shifted(START, by), completed=shifted(END, by)), solve=solve)
    (start, end) = feed(
        vertex(
            "b", "[high b 1/1] RUN b", started=shifted(AGAIN, -5), completed=shifted(AGAIN_END, -5)
        ),
        solve=solve,
    )
    assert (start.time, end.time) == tuple(map(datetime.fromisoformat, (AGAIN, AGAIN_END)))


def test_a_step_that_another_target_only_reads_was_run():
    name, other = "[low a 2/2] RUN a", "[high a 2/2] RUN a"
    solve = Solve()
    feed(
        vertex(name=name, inputs=["base"], started=START, completed=END),
        vertex(name=other, inputs=["base"], started=AGAIN, completed=AGAIN, cached=True),
        solve=solve,
    )
    assert solve.counts() == {"run": 1, "cached": 0, "run_instructions": 1}


def test_a_failure_is_not_hidden_by_the_cancelling_of_another_target():
    solve = Solve()
    end = {"started": START, "completed": END}
    feed(
        vertex(name="[low a 1/1] RUN a", **end, error="exit code: 1"),
        vertex(name="[high a 1/1] RUN a", **end, error="context canceled"),
        solve=solve,
    )
    assert solve.failed().error == "exit code: 1"


# ---- the graph -------------------------------------------------------------------------------


def test_the_graph():
    solve = Solve(targets=["low", "high"])
    feed(
        vertex("top", "[high a 2/2] RUN a", inputs=["mid", "other"]),
        vertex("mid", "[low b 1/1] RUN b", inputs=["base"]),
        vertex("base", "FROM x"),
        solve=solve,
    )
    assert [step.digest for step in solve.parents("top")] == ["mid"], "other is not known yet"
    assert [step.digest for step in solve.children("base")] == ["mid"]
    assert solve.images("base") == {"low", "high"}
    assert solve.images("mid") == {"low", "high"}
    assert solve.images("top") == {"high"}
    assert solve.images("never heard of") == solve.images("other") - {"high"} == set()
    assert (solve.parents("never heard of"), solve.children("never heard of")) == ((), ())


def test_inputs_come_with_the_event():
    (start,) = feed(vertex(inputs=["a", "b"], started=START))
    assert start.inputs == ("a", "b")


def test_all_steps_are_of_the_only_target():
    solve = Solve(targets=["demo"])
    feed(vertex(name="[demo 1/2] RUN a"), vertex("b", "exporting to image"), solve=solve)
    assert solve.images("sha256:1") == solve.images("b") == {"demo"}
    assert solve.steps["sha256:1"].name.stage == "demo", "a stage may have the target's name"


def test_a_circle_of_inputs_is_no_endless_walk():
    solve = Solve(targets=["low", "high"])
    feed(
        vertex("a", "[low a 1/1] RUN a", inputs=["b"]),
        vertex("b", "[high b 1/1] RUN b", inputs=["a"]),
        solve=solve,
    )
    assert solve.images("a") == solve.images("b") == {"low", "high"}


# ---- transfers -------------------------------------------------------------------------------


def status(current, total=10, id="layer", **more):
    return {
        "statuses": [{"vertex": "sha256:1", "id": id, "current": current, "total": total, **more}]
    }


def test_a_transfer_grows():
    events = feed(
        vertex(started=START),
        status(0, started=START, name="downloading"),
        status(4, started=START),
        status(4, started=START),
        status(3, started=START),
        status(10, started=START, completed=END),
        status(10, started=START, completed=END),
    )
    assert events[1] == Transfer(
        digest="sha256:1", id="layer", action="downloading", total=10, started=STARTED
    )
    assert [(part.current, part.completed) for part in events[1:]] == [
        (0, None),
        (4, None),
        (10, ENDED),
    ]


def test_a_time_that_is_not_known_is_none():
    (_, part) = feed(vertex(started=START), status(0, timestamp="0001-01-01T00:00:00Z"))
    assert part.time is None


def test_the_transfer_of_an_unknown_step_is_nobodys():
    assert feed(status(1)) == []


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


def test_streams_do_not_mix():
    def on(stream, data):
        (entry,) = log(data)["logs"]
        return {"logs": [{**entry, "stream": stream, "timestamp": END}]}

    events = feed(vertex(started=START), on(1, "fir"), on(2, "second\n"), on(1, "st\n"))
    assert events[1:] == [
        LogLine(digest="sha256:1", text="second", stream=2, time=ENDED),
        LogLine(digest="sha256:1", text="first", stream=1, time=ENDED),
    ]


def test_a_warning_with_all_it_has():
    text = base64.b64encode(b"short").decode()
    warning = {
        "vertex": "x",
        "short": text,
        "detail": [text, text],
        "url": "https://docs.example.com/rule",
        "sourceInfo": {"filename": "Dockerfile", "data": "", "definition": {}},
        "range": [{"start": {"line": 3}, "end": {"line": 4}}],
    }
    solve = Solve()
    assert feed({"warnings": [warning, warning]}, solve=solve) == [
        Warned(
            text="short",
            digest="x",
            url="https://docs.example.com/rule",
            file="Dockerfile",
            line=3,
            detail=("short", "short"),
        )
    ]
    assert list(solve.warnings) == feed({"warnings": [warning]})


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
            st.sampled_from(
                ["vertexes", "statuses", "logs", "warnings", "digest", "vertex", "name", "x"]
            ),
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


def test_what_is_odd_takes_nothing_with_it():
    document = vertex(started=START) | log("one\n")
    document["vertexes"].insert(0, {"digest": 3})
    document["statuses"] = [None]
    document["logs"].insert(0, {"vertex": "sha256:1", "data": "%"})
    text = json.dumps(document)
    assert list(Solve().feed(text)) == [step_started(), line("one"), Message(text)]


@pytest.mark.parametrize(
    "text",
    [
        '{"vertexes": ' + "[" * 100_000,
        '{"statuses": [{"current": ' + "1" * 5000 + "}]}",
        '{"statuses": [{"vertex": "sha256:1", "id": "x", "current": 1e999}]}',
        '{"statuses": [{"vertex": "sha256:1", "id": "x", "current": NaN}]}',
    ],
    ids=["deep", "long", "infinite", "no number"],
)
def test_what_json_allows_and_nobody_means(text):
    solve = Solve()
    feed(vertex(started=START), solve=solve)
    assert list(solve.feed(text)) == [Message(text)]


def test_half_a_character_can_be_written():
    text = json.dumps(vertex(name="RUN \ud800", started=START))
    assert text.isascii()
    (start,) = Solve().feed(text)
    assert str(start.name).encode() == b"RUN ?"


@pytest.mark.parametrize("document", ODD, ids=json.dumps)
def test_an_odd_status_breaks_nothing(document):
    feed(document)


@given(st.lists(JSON, max_size=4))
@example([{"vertexes": [{}]}])
def test_no_json_breaks_the_reader(documents):
    feed(*documents)
