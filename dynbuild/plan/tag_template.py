"""The template of version tags: ``{version}-{framework}-{target}{suffix}``.  Pure."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator, Mapping

from dynbuild import names
from dynbuild.errors import RequestError

FIELDS = (
    "version", "framework", "target", "device", "cuda", "line", "suffix", "commit", "date",
)  # fmt: skip
"""What may stand in braces."""

_DIRTY = "-dirty"


def filled(template: str, values: Mapping[str, str], *, dirty: bool, end: str, origin: str) -> str:
    """The tag that *template* makes; a version that is too long for it is cut.

    Args:
        template: Text with fields in braces.
        values: What each field stands for.
        dirty: Mark that the source tree is not that of its commit: the version and the commit
            get the mark; without either, the tag.
        end: What comes after it.
        origin: Of the template, for messages.

    Raises:
        RequestError: The template has a field that there is not, or makes no tag.
    """
    parts = tuple(_parts(template, origin))
    used = {field for _, field in parts}
    if "commit" in used and not values["commit"]:
        raise RequestError("the tag is to have the commit, but there is none", origin=origin)
    mark = _DIRTY if dirty else ""
    marked = used & {"version", "commit"}
    whole = {name: f"{value}{mark}" if name in marked else value for name, value in values.items()}
    end = end if marked else f"{mark}{end}"
    rest = len(_joined(parts, {**whole, "version": ""})) + len(end)
    room = names.LONGEST_TAG - rest
    if room < 1 or not any(text or (field and values[field]) for text, field in parts):
        raise RequestError(
            f"the template '{template}' makes no tag",
            origin=origin,
            hint=f"a tag has 1 to {names.LONGEST_TAG} characters",
        )
    # The mark stays where the version is cut.
    version = f"{values['version'][: room - len(mark)]}{mark}"
    return names.as_tag(_joined(parts, {**whole, "version": version}), end)


def _joined(parts: tuple[tuple[str, str], ...], values: Mapping[str, str]) -> str:
    return "".join(f"{text}{values[field] if field else ''}" for text, field in parts)


def _parts(template: str, origin: str) -> Iterator[tuple[str, str]]:
    """Text and the field after it, in their order; each field once.

    Raises:
        RequestError: It is no template.
    """
    known = f"there are: {', '.join(FIELDS)}"
    try:
        parsed = list(string.Formatter().parse(template))
    except ValueError as error:
        raise RequestError(
            f"'{template}' is no template of tags: {error}",
            origin=origin,
            hint=f"a field stands in braces; {known}",
        ) from error
    seen = set()
    for text, field, spec, conversion in parsed:
        if re.search(r"[^A-Za-z0-9_.-]", text):
            raise RequestError(
                f"'{template}' has a character that no tag has",
                origin=origin,
                hint="a tag has letters, digits, '_', '.' and '-'",
            )
        if field is not None and (field not in FIELDS or spec or conversion):
            raise RequestError(
                f"a template of tags has no field '{{{field}}}'"
                if field not in FIELDS
                else f"the field '{{{field}}}' of a template of tags has a format",
                origin=origin,
                hint=names.did_you_mean(field, FIELDS),
            )
        if field in seen:
            raise RequestError(f"'{template}' has the field '{{{field}}}' twice", origin=origin)
        seen.add(field)
        yield text, field or ""
