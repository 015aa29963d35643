import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynbuild import errors
from dynbuild.errors import DynbuildError, ToolFailed

CLASSES = [
    member
    for _, member in inspect.getmembers(errors, inspect.isclass)
    if issubclass(member, DynbuildError)
]

# What each status means, as the help of the command line says it.
MEANINGS = {
    1: {"DynbuildError", "BuildFailed", "ToolFailed"},
    2: {"RequestError", "TemplateError"},
    3: {"NotReady"},
    130: {"Interrupted"},
}


def test_every_class_has_the_status_of_its_meaning():
    found = {}
    for cls in CLASSES:
        found.setdefault(cls.exit_code, set()).add(cls.__name__)
    assert found == MEANINGS


def test_no_status_means_two_things():
    names = [name for meaning in MEANINGS.values() for name in meaning]
    assert len(names) == len(set(names)) == len(CLASSES)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_an_error_is_a_help_text(cls):
    more = {"returncode": 1} if cls is ToolFailed else {}
    error = cls("it broke", hint="mend it", details=("one", "two"), **more)
    assert (error.message, error.hint, error.details) == ("it broke", "mend it", ("one", "two"))
    assert str(error) == "it broke"
    assert cls.__doc__


def test_a_failed_tool_keeps_what_it_said():
    error = ToolFailed("no", returncode=-9, stderr="killed")
    assert (error.returncode, error.stderr, error.hint, error.details) == (-9, "killed", None, ())


@given(st.text())
def test_a_quoted_value_is_one_short_line(text):
    shown = errors.quote(text)
    assert shown.isprintable()
    assert len(shown) <= 62
    assert errors.quote(shown[1:-1]) == shown


def test_a_quoted_value_shows_both_ends_and_what_cannot_be_printed():
    assert errors.quote("a\x00b\n") == r"'a\x00b\n'"
    assert errors.quote("first" + "9" * 5000 + "last").startswith("'first9")
    assert errors.quote("first" + "9" * 5000 + "last").endswith("9last'")
