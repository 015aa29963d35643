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


@pytest.mark.parametrize(
    "before", ["", "type=bind,source=/data,target=/data,token=", "x" * 90 + "="]
)
def test_a_quoted_value_has_no_half_of_a_secret(before):
    quoted = errors.quote(f"{before}ghp_{'0123456789abcdef' * 3}")
    assert "abcdef" not in quoted
    assert "masked" in quoted or "characters>" in quoted


@pytest.mark.parametrize(
    "text",
    [
        "'ghp_0123456789abcdef0123456789' is neither true nor false",
        "'ada:ghp_secret@registry.example.com/cache' is not an image repository",
        "https://ada:ghp_secret@host/x cannot be read",
        "there is no setting NAME_TOKEN=ghp_secret",
        "site.netrc cannot be read: /tree/ada:ghp_secret@git.example.com:8443",
        "the template folder ada:ghp_secret@host does not exist",
        "unexpected word (ada:ghp_secret@host)",
        "there is no setting MY_TOKEN='ghp_secret', nor MY_KEY=ghp_secret: leave it out",
    ],
)
def test_no_error_repeats_a_secret(text):
    error = DynbuildError(text, hint=text, origin=text, details=(text, text))
    assert "ghp_" not in " ".join(
        (str(error), error.message, error.hint, error.origin, *error.details)
    )
    assert "<masked" in error.message
    assert DynbuildError(error.message).message == error.message


@pytest.mark.parametrize(
    "text",
    [
        "the step failed: [ucx 2/2] RUN make -j8 CFLAGS=-O2",
        "sha256:" + "0123456789abcdef" * 4 + " is gone",
        "commit 9d960762398a88fcec32a44a040930dbd6dcde13 is not there",
        "token: none; only gated models need one (variable HF_TOKEN)",
        "/home/ada/.dynbuild/builds/20261122T013032-19414-none-runtime-cpu/log",
        "git@github.com:ai-dynamo/nixl.git cannot be read",
        "libucx-1.13.1-x7Gh29aKq01ZtYvB.so is missing",
        "PATH is /usr/bin:/opt/python@3.11/bin:/opt/openssl@3/bin",
    ],
)
def test_an_error_keeps_what_is_no_secret(text):
    assert DynbuildError(text).message == text
