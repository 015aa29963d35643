"""Tables and styles."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynbuild.errors import shorten
from dynbuild.report.display import Display

ROWS = [("NAME", "v" * 100, "catalog.toml:12"), ("LONGER_NAME", "x", "y")]
HEAD = ("argument", "value", "from")


@pytest.mark.parametrize(
    ("text", "width", "short"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdefg", 6, "abc…fg"),
        ("abcdefgh", 5, "ab…gh"),
        ("abc", 2, "a…"),
    ],
)
def test_a_long_text_loses_its_middle(text, width, short):
    assert shorten(text, width) == short


def test_a_table_fits_its_width():
    lines = Display(width=60).table(HEAD, ROWS)
    assert max(map(len, lines)) <= 60
    assert lines[1].strip("- ") == ""
    assert [line.split()[0] for line in lines[2:]] == ["NAME", "LONGER_NAME"]


def test_a_table_without_a_width_is_whole():
    lines = Display().table(HEAD, ROWS)
    assert [line.split() for line in lines[2:]] == [list(row) for row in ROWS]
    assert len({line.index(cell) for line, cell in zip(lines[2:], ("v", "x"), strict=True)}) == 1


@given(
    st.lists(st.tuples(*[st.text("ab", max_size=50)] * 3), max_size=5),
    st.integers(30, 200) | st.none(),
)
def test_every_row_of_a_table_is_a_line_that_fits(rows, width):
    lines = Display(width=width).table(HEAD, rows)
    assert len(lines) == len(rows) + 2
    if width is not None:
        assert max(map(len, lines)) <= width


def test_styles_where_there_are_colours():
    assert Display().style("x", "red") == "x"
    assert Display(colour=True).style("x", "red") == "\x1b[31mx\x1b[0m"
    assert Display().warning("x") == "warning: x"


@pytest.mark.parametrize("colour", [True, False])
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b]0;title\x07b", r"a\x1b]0;title\x07b"),
        ("a\x1b[2Jb", r"a\x1b[2Jb"),
        ("a\rb\x08c\x7f", r"a\rb\x08c\x7f"),
        ("a\x9b31mb", r"a\x9b31mb"),
        ("a\u202eb\u2066c\u2028d", r"a\u202eb\u2066c\u2028d"),
        ("two\nlines\tand a tab, ä ✓", "two\nlines\tand a tab, ä ✓"),
    ],
)
def test_what_a_terminal_would_obey_is_seen(colour, text, shown):
    assert Display(colour=colour).visible(text) == shown


def test_our_own_colours_are_no_commands():
    display = Display(colour=True)
    assert display.visible(display.warning("x")) == display.warning("x")
    assert Display().visible(display.warning("x")) == r"\x1b[33mwarning:\x1b[0m x"
