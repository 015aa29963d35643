"""Which files an ignore file leaves out; tests/images/test_context.py asks BuildKit the same."""

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynbuild.build import ignore
from dynbuild.build.ignore import Ignore
from tests import support  # noqa: F401 - the profile of hypothesis

# What the ignore file says, and for some paths whether they are left out.
TABLE = [
    ("", {"a": False, "a/b": False}),
    ("# a comment\n\n  \n", {"a": False}),
    ("\ufeffa\n", {"a": True}),
    ("  a  \r\n", {"a": True}),
    (" # no comment\n", {"# no comment": True, "a": False}),
    ("a", {"a": True, "a/b": True, "a/b/c": True, "b/a": False, "ab": False}),
    ("/a/", {"a": True, "a/b": True}),
    ("./a//b/../c", {"a/c": True, "a/b": False}),
    ("*", {"a": True, "a/b": True}),
    ("*.o", {"x.o": True, "d/x.o": False, "x.out": False, "d.o/x": True}),
    ("*/*.o", {"x.o": False, "d/x.o": True, "d/e/x.o": False}),
    ("**/*.o", {"x.o": True, "d/x.o": True, "d/e/x.o": True, "d/x.out": False}),
    ("**/target", {"target": True, "a/target/x": True, "a/my-target": False}),
    ("**target", {"target": True, "a/my-target": True, "my-targets": False}),
    ("a/**", {"a": False, "a/b": True, "a/b/c": True, "ab": False}),
    ("a**", {"a": True, "ab": True, "a/b": True, "b": False}),
    ("a/**/z", {"a/z": True, "a/b/z": True, "a/b/c/z": True, "a/bz": False}),
    ("**/a/**", {"a": False, "a/b": True, "x/a/b": True}),
    ("**", {"a": True, "a/b": True}),
    ("**\n!a/b", {"a": True, "a/b": False, "a/b/c": False, "a/c": True, "b": True}),
    ("a\n!a/keep", {"a": True, "a/x": True, "a/keep": False, "a/keep/x": False}),
    ("!a\na", {"a": True}),
    ("a\n!a\na/b", {"a": False, "a/b": True, "a/c": False}),
    ("*\n!*.py\nsecret.py", {"x.py": False, "secret.py": True, "x": True, "d/x.py": True}),
    ("! a/b\na", {"a/b": True}),
    ("a\n! /a/b", {"a/b": False, "a/c": True}),
    ("a?c", {"abc": True, "ac": False, "a/c": False, "a\u263ac": True}),
    ("[a-c]x", {"ax": True, "cx": True, "dx": False}),
    ("[^a-c]x", {"ax": False, "dx": True}),
    ("[!a]x", {"!x": True, "ax": True, "bx": False}),
    ("[[]x", {"[x": True, "x": False}),
    ("[a&&b~]x", {"&x": True, "ax": True, "~x": True, "cx": False}),
    ("a\\*b", {"a*b": True, "axb": False}),
    ("\\#a", {"#a": True}),
    ("a.|)$(}+{b^", {"a.|)$(}+{b^": True, "ax|)$(}+{b^": False}),
    ("x+y.tar", {"x+y.tar": True, "xxy.tar": False}),
]


@pytest.mark.parametrize(("text", "paths"), TABLE, ids=[repr(text) for text, _ in TABLE])
def test_what_is_left_out(text, paths):
    rules = Ignore.parse(text)
    assert {path: rules.excludes(path) for path in paths} == paths


@pytest.mark.parametrize(
    "text", ["!", "! ", "[", "[]", "[^]", "a[", "[]a]", "[-]", "[a-]", "[-a]", "[z-a]", "a\\"]
)
def test_what_is_malformed(text):
    with pytest.raises(ValueError, match=r"."):
        Ignore.parse(f"a\n{text}\n")


NAME = st.text(string.ascii_lowercase, min_size=1, max_size=3)
PATH = st.lists(NAME, min_size=1, max_size=4).map("/".join)
SIGNS = st.text("ab/*?[]^!-\\ #.\n", max_size=12)


@given(PATH, PATH)
def test_a_plain_path_leaves_out_itself_and_what_is_below(pattern, path):
    expected = path == pattern or path.startswith(f"{pattern}/")
    assert Ignore.parse(pattern).excludes(path) == expected
    assert not Ignore.parse(f"{pattern}\n!{pattern}").excludes(path)
    assert Ignore.parse(f"{pattern}\n!{pattern}\n{pattern}").excludes(path) == expected


@given(NAME, PATH)
def test_a_name_at_any_depth(name, path):
    assert Ignore.parse(f"**/{name}").excludes(path) == (name in path.split("/"))


@given(st.lists(PATH, max_size=4), PATH)
def test_the_order_of_patterns_that_only_leave_out_does_not_matter(patterns, path):
    there, back = "\n".join(patterns), "\n".join(reversed(patterns))
    assert Ignore.parse(there).excludes(path) == Ignore.parse(back).excludes(path)


@given(SIGNS, PATH)
def test_any_text_is_read_or_refused(text, path):
    try:
        rules = Ignore.parse(text)
    except ValueError:
        return
    assert rules.excludes(path) in (True, False)
    if not rules.takes_back and rules.excludes(path):
        assert rules.excludes(f"{path}/below"), "what is left out is so with all below"


@given(SIGNS)
def test_an_expression_is_one(text):
    try:
        made = ignore.expression(text)
    except ValueError:
        return
    re.compile(made)
