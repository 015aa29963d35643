"""Results on standard output: for people nothing moves a cursor, for programs nothing changes."""

import io
import json
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynbuild.cli import console
from dynbuild.report.display import Display
from tests.support import WORKSPACE, Terminal, call

ODD = "a\x7fb\x85c\u2028d\u202e\x1b[2J"


def written(monkeypatch, text, **stream):
    """What is written to a pipe as the result *text*."""
    into = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(into, **stream))
    console.out_data(text)
    return into.getvalue()


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_data_goes_out_as_it_is(monkeypatch, encoding):
    text = f"{ODD}\xe9\udce9\nno end"
    out = written(monkeypatch, text, encoding=encoding)
    assert out == text.encode(errors="surrogateescape")


def test_data_moves_no_cursor_of_a_terminal(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    console.out_data(f"{ODD}\n")
    assert terminal.getvalue() == f"{Display().visible(ODD)}\n"


@given(st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_json_is_valid_where_it_is_shown_too(value):
    text = console.json_text(value)
    assert json.loads(text) == value
    assert Display().visible(text) == text
    assert json.loads(text.encode()) == value


def test_json_has_names_that_are_no_text(monkeypatch):
    text = console.json_text(["\udce9", ODD])
    assert json.loads(written(monkeypatch, text)) == ["\udce9", ODD]


def test_a_command_and_a_file_are_the_very_words():
    words = ("run", "--gpus", "none", "-e", f"A={ODD}", "--dry-run")
    assert f"A={ODD}" in shlex.split(call(*words).out)
    assert f"A={ODD}" in json.loads(call(*words, "--format", "json").out)["argv"]
    unit = call("run", "--gpus", "none", "-e", "A=a\x85b", "--export", "compose").out
    assert "\\x85" not in unit


COMMANDS = (
    ("list", "--release-line", "0.9.0,1.0"),
    ("plan", "--framework", "vllm", "--target", "runtime", "--context", WORKSPACE),
    ("plan", "--framework", "vlm", "--platform", "s390x", "--context", WORKSPACE),
    ("plan", "--framwork", "vllm"),
    ("run", "--image", "x", "ls"),
    ("line", "list"),
)


@pytest.mark.processes("git")
@pytest.mark.parametrize("argv", COMMANDS, ids=lambda argv: " ".join(map(str, argv[:3])))
def test_what_people_read_fits_their_terminal_and_no_word_breaks(argv):
    piped = call(*argv)
    words = set(f"{piped.out} {piped.err}".split())
    for width in (40, 60, 80, 97):
        shown = call(*argv, columns=width)
        for line in f"{shown.out}\n{shown.err}".splitlines():
            said = line.split()
            # A word that is wider than all of the terminal stands alone, behind its label at most.
            assert len(line) <= width or len(said) <= 2, line
            cut = [word for word in said if word not in words and "…" not in word]
            assert not any(word.strip("-") for word in cut), line
