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


WIDTHS = st.integers(40, 200)
WORDS = st.lists(
    st.text("abc/:…", min_size=1, max_size=30) | st.just(f"sha256:{1:064}"), min_size=1
)
BEGUN = st.sampled_from(
    ["", "  ", "error: ", "hint: ", "\x1b[33mwarning:\x1b[0m ", "tags    ", "  -> ", "        "]
)


@given(BEGUN, WORDS, WIDTHS)
def test_a_line_breaks_at_blanks_alone(begun, words, width):
    display = Display(colour=True, width=width)
    text = begun + " ".join(words)
    lines = display.wrapped(text)
    assert " ".join(lines).split() == text.split()
    left = len(begun) - len(begun.lstrip())
    for line in lines:
        plain = line.replace("\x1b[33m", "").replace("\x1b[0m", "")
        assert len(plain) <= width or len(plain.removeprefix(begun).split()) <= 2
        assert line.startswith(" " * left)
    assert lines == [text] or all(len(line.strip()) for line in lines)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("hint: " + "a " * 20 + "b", ["hint: " + "a " * 16 + "a", "      a a a b"]),
        ("  " + "a " * 20, ["  " + "a " * 18 + "a", "  a"]),
        ("tags    " + "a" * 40, ["tags    " + "a" * 40]),
        ("tags    x " + "a" * 40, ["tags    x", "        " + "a" * 40]),
        ("two\nlines", ["two", "lines"]),
        ("", [""]),
    ],
)
def test_what_goes_on_stands_below_what_began(text, lines):
    assert Display(width=40).wrapped(text) == lines
    assert Display().wrapped(text) == text.split("\n")


@given(st.integers(1, 9), st.data(), WIDTHS)
def test_any_table_fits_any_terminal(count, data, width):
    cell = st.text("ab", max_size=50)
    header = data.draw(st.lists(st.text("h", min_size=1, max_size=14), min_size=count,
                                max_size=count))  # fmt: skip
    rows = data.draw(st.lists(st.tuples(*[cell] * count), max_size=4))
    lines = Display(width=width).table(header, rows)
    assert max(map(len, lines), default=0) <= width
    whole = Display().table(header, rows)
    assert [line.split() for line in whole[2:]] == [[c for c in row if c] for row in rows]


def test_a_table_of_too_many_columns_is_a_block_for_each_row():
    lines = Display(width=40).table(["name", *"abcdef"], [["n" * 40, *["v" * 9] * 6], ["m"] * 7])
    assert lines[0] == f"name  {shorten('n' * 40, 34)}"
    assert lines[1:8] == [*(f"{name:<4}  {'v' * 9}" for name in "abcdef"), ""]
    assert lines[8] == "name  m"
