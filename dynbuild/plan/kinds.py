"""What the value of an argument may be, by its kind.  Pure.

The catalog declares each argument (``[args]``, ``dynbuild.settings.models.Argument``); here is
the grammar of each kind, and what to do about a value that is none.
"""

from __future__ import annotations

import datetime
import fnmatch
import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import NamedTuple

from dynbuild import names
from dynbuild.errors import RequestError, quote
from dynbuild.quick import regex
from dynbuild.settings.layers import Setting
from dynbuild.settings.models import Argument
from dynbuild.settings.problems import Problem

NOUNS = {
    "ref": "git ref",
    "version": "version",
    "image": "name of an image",
    "tag": "tag of an image",
    "reference": "reference of an image",
    "int": "whole number",
    "switch": "switch",
    "choice": "one of its words",
    "url": "address",
    "names": "list of names",
    "path": "path in an image",
    "date": "date",
    "text": "text",
}
"""What messages call a value of each kind."""

_VERSION = regex(r"v?([0-9]+(?:\.[0-9]+)*)(?:[-+._]?[0-9A-Za-z]+)*")
_NUMBER = regex("0|[1-9][0-9]{0,11}")
_TIME = regex(r"[0-2]\d:[0-5]\d:[0-5]\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)")
_NAME = r"[A-Za-z0-9_][A-Za-z0-9_./+-]*"
_NAMES = regex(rf"{_NAME}(?:,{_NAME})*")
_TAG = regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}(?:@sha256:[0-9a-f]{64})?")
_URL = regex(r"https?://([^\s/?#\"'<>\\^`{|}]+)[^\s\"'<>\\^`{|}]*", re.IGNORECASE)
_HOST = regex(r"(?:[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
# With a digit and a letter: what has only one of them may be a date or a word.
_SHORT_COMMIT = regex(r"(?=.*[0-9])(?=.*[a-f])[0-9a-f]{7,39}")
# https://git-scm.com/docs/git-check-ref-format, with a dash in front for an option of git.
_NO_REF = regex(r"[\s~^:?*\[\\\x00-\x20\x7f]|\.\.|@\{|//|^[-/]|[/.]$|\.lock(?:/|$)|(?:^|/)\.|^@$")


def problem(arg: str, declared: Argument, setting: Setting, like: str = "") -> Problem | None:
    """What is wrong with a value; ``None`` if nothing is.  An empty one is left to ``missing``.

    Args:
        arg: Name of the argument.
        declared: What the catalog says of it.
        setting: The value, and who set it.
        like: The catalog's own value, as an example.
    """
    value, origin = str(setting.value), str(setting.origin)
    if said := _unreadable(arg, value):
        return Problem(said[0], origin, said[1])
    if not value or any(fnmatch.fnmatchcase(value, word) for word in declared.words):
        return None
    refusal = _REFUSALS[declared.kind](value, arg, declared)
    if refusal is None:
        return None
    example = f", such as {like}" if like and refusal.example else ""
    return Problem(refusal.message, origin, f"{refusal.hint}{example}")


def shortened(arg: str, setting: Setting) -> Problem | None:
    """The problem that a ref is the beginning of a commit; ``None`` if it looks like none.

    BuildKit's git source looks for it among branches and tags, and fails in the solve.
    """
    value = str(setting.value)
    if not _SHORT_COMMIT.fullmatch(value):
        return None
    return Problem(
        f"{arg} is {quote(value)}, which looks like a commit that is cut short",
        str(setting.origin),
        f"all 40 characters are needed: git rev-parse {value}; for a branch or a tag of that"
        f" name: refs/heads/{value} or refs/tags/{value}",
    )


def missing(arg: str, declared: Argument, setting: Setting, like: str = "") -> Problem | None:
    """The problem that a value is empty and has to be none; ``None`` if it is not."""
    if setting.value or declared.empty or declared.kind == "switch":
        return None
    noun = declared.noun or NOUNS[declared.kind]
    hint = f"it is a {noun}" if not like else f"leave it out for the catalog's own, {like}"
    return Problem(f"{arg} is empty", str(setting.origin), hint)


def _unreadable(arg: str, value: str) -> tuple[str, str | None] | None:
    """A value that no Dockerfile and no bake definition carries as it is."""
    if value.isascii() and value.isprintable():
        return None
    # Control characters, line and paragraph separators, lone surrogates.
    if any(unicodedata.category(char) in ("Cc", "Zl", "Zp", "Cs") for char in value):
        return f"the value of {arg} has a line break or a control character", None
    if value != unicodedata.normalize("NFC", value).removeprefix("\ufeff"):
        return (
            f"the value of {arg} has characters that docker buildx bake would change",
            "write it in Unicode's composed form (NFC), without a byte order mark",
        )
    return None


class Refusal(NamedTuple):
    """Why a value is none of its kind.

    Attributes:
        message: What is wrong.
        hint: What is taken.
        example: Whether the catalog's own value shows it.
    """

    message: str
    hint: str
    example: bool = False


def _no(arg: str, value: str, declared: Argument, hint: str) -> Refusal:
    noun = declared.noun or NOUNS[declared.kind]
    from dynbuild.masking import scrub  # few values are wrong, and its patterns are many

    message = f"{arg} is {quote(scrub(value))}, which is no {noun}"
    return Refusal(message, hint, declared.kind not in ("int", "choice"))


def _ref(value: str, arg: str, declared: Argument) -> Refusal | None:
    if not _NO_REF.search(value):
        return None
    return _no(arg, value, declared, "it is a branch, a tag or a commit, without blanks")


def _version(value: str, arg: str, declared: Argument) -> Refusal | None:
    found = _VERSION.fullmatch(value)
    least, most = declared.parts or (1, 99)
    exact = found is not None and (not declared.parts or value == found[1])
    if found and exact and least <= found[1].count(".") + 1 <= most:
        return None
    if not declared.parts:
        words = f", or {', '.join(declared.words)}" if declared.words else ""
        return _no(arg, value, declared, f"it begins with a number, or v and a number{words}")
    numbers = f"{least}" if least == most else f"{least} to {most}"
    return _no(arg, value, declared, f"it has {numbers} numbers with dots between them")


_PLAIN_NAME = (
    "lower-case letters, digits, '.', '_', '-' between slashes, with or without a registry"
)


def _image(value: str, arg: str, declared: Argument) -> Refusal | None:
    name, at, digest = value.partition("@")
    repository, tag = names.split_reference(name)
    beside = "MANYLINUX_TAG" if arg == "MANYLINUX_IMAGE" else f"{arg}_TAG"
    if at and _is_repository(repository):
        behind = f"{tag or 'TAG'}@{digest}"
        return Refusal(
            f"{arg} is {quote(value)}, which has a digest",
            f"a digest stands behind the tag: {arg}={repository} and {beside}={behind}",
        )
    if tag and _is_repository(repository):
        return Refusal(
            f"{arg} is {quote(value)}, which has a tag",
            f"the tag is an argument of its own: {arg}={repository} and {beside}={tag}",
        )
    if _is_repository(value):
        return None
    return _no(arg, value, declared, _PLAIN_NAME)


def _is_repository(text: str) -> bool:
    try:
        names.check_repository(text)
    except RequestError:
        return False
    # Docker takes a first part with capitals for the name of a registry; nobody means that.
    return _lower(text) or names.is_qualified(text)


def _lower(text: str) -> bool:
    return text == text.lower()


def _tag(value: str, arg: str, declared: Argument) -> Refusal | None:
    if _TAG.fullmatch(value):
        return None
    return _no(
        arg,
        value,
        declared,
        "up to 128 letters, digits, '_', '.', '-', and @sha256:… behind them for a digest",
    )


def _reference(value: str, arg: str, declared: Argument) -> Refusal | None:
    try:
        names.check_image(value)
    except RequestError as error:
        return _no(arg, value, declared, error.hint or "NAME:TAG, or NAME@sha256:DIGEST")
    repository, _ = names.split_reference(value.partition("@")[0])
    if _is_repository(repository):
        return None
    return _no(arg, value, declared, "the name is in lower case: NAME:TAG")


def _int(value: str, arg: str, declared: Argument) -> Refusal | None:
    least, most = declared.bounds or (0, 10**11)
    if _NUMBER.fullmatch(value) and least <= int(value) <= most:
        return None
    empty = f", or empty: {declared.empty}" if declared.empty else ""
    return _no(arg, value, declared, f"a number from {least} to {most}{empty}")


def _switch(value: str, arg: str, declared: Argument) -> Refusal | None:
    del declared
    if value.lower() in ("true", "false"):
        return None
    return Refusal(f"{arg} is {quote(value)}", "it is 'true' or 'false'")


def _choice(value: str, arg: str, declared: Argument) -> Refusal | None:
    empty = f", or empty: {declared.empty}" if declared.empty else ""
    return Refusal(f"{arg} is {quote(value)}", f"it is one of: {', '.join(declared.words)}{empty}")


def _url(value: str, arg: str, declared: Argument) -> Refusal | None:
    found = _URL.fullmatch(value)
    if found and "@" in found[1]:
        # The address is not repeated here.
        return Refusal(
            f"{arg} has a user name or password in its address",
            "it would be seen by all who get the image's Dockerfile or its record",
        )
    if found and _HOST.fullmatch(found[1]):
        return None
    return _no(arg, value, declared, "it begins with https:// or http:// and has no blanks")


def _names(value: str, arg: str, declared: Argument) -> Refusal | None:
    if _NAMES.fullmatch(value):
        return None
    return _no(arg, value, declared, "names with commas between them, without blanks")


def _path(value: str, arg: str, declared: Argument) -> Refusal | None:
    parts = value.split("/")
    if value.startswith("/") and ".." not in parts and not re.search(r"[:\s\"'$\\]", value):
        return None
    return _no(arg, value, declared, "an absolute path, without blanks and colons")


def _date(value: str, arg: str, declared: Argument) -> Refusal | None:
    day, _, time = value.partition("T")
    try:
        datetime.date.fromisoformat(day)
        if len(day) == 10 and (not time or _TIME.fullmatch(time)):
            return None
    except ValueError:
        pass
    return _no(arg, value, declared, "a day, or a time of one")


def _text(value: str, arg: str, declared: Argument) -> Refusal | None:
    del value, arg, declared
    return None


_REFUSALS: Mapping[str, Callable[[str, str, Argument], Refusal | None]] = {
    "ref": _ref,
    "version": _version,
    "image": _image,
    "tag": _tag,
    "reference": _reference,
    "int": _int,
    "switch": _switch,
    "choice": _choice,
    "url": _url,
    "names": _names,
    "path": _path,
    "date": _date,
    "text": _text,
}
