"""A plan as a person likes to read it: what was changed is marked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from dynbuild.errors import shorten
from dynbuild.plan.document import ImagePlan, Place, PlanDocument
from dynbuild.report.display import Display
from dynbuild.settings.layers import Origin


def lines(plan: PlanDocument, display: Display) -> Iterator[str]:
    """The lines of the table for *plan*."""
    version = plan.version
    yield _field("version", f"{version.tag}  ({version.origin})")
    if version.commit:
        yield _field("commit", version.commit + ("  (dirty)" if version.dirty else ""))
    yield _field("context", plan.context)
    for image in plan.images:
        yield ""
        yield from _image(image, display)


def _image(image: ImagePlan, display: Display) -> Iterator[str]:
    yield display.style(image.name, "bold")
    yield _field("platforms", ", ".join(image.platforms))
    for index, tag in enumerate(image.tags):
        yield _field("tags" if index == 0 else "", tag)
    yield _field("output", image.output + (", without cache" if image.no_cache else ""))
    rows = (
        ("passed on", ", ".join(f"{arg} ({who})" for arg, who in image.passed_by.items())),
        ("secrets", ", ".join(image.secrets)),
        ("ssh", "the agent's keys, for git" if image.ssh else ""),
        ("cache from", ", ".join(image.cache_from)),
        ("cache to", ", ".join(image.cache_to)),
    )
    for title, value in rows:
        if value:
            yield _field(title, value)
    for index, (name, path) in enumerate(image.contexts.items()):
        yield _field("contexts" if index == 0 else "", f"{name} = {path}")
    yield ""
    rows_of_args = [
        (name, value or f"({image.unset[name] or 'empty'})", _short(image.set_by[name]))
        for name, value in image.build_args.items()
    ]
    table = display.table_of(("argument", "value", "from"), rows_of_args)
    shown = (
        tuple(display.style(line, "cyan") for line in row)
        if origin.layer in ("overlay", "environment", "flag")
        else row
        for origin, row in zip(image.set_by.values(), table.rows, strict=True)
    )
    yield from replace(table, rows=tuple(shown)).lines


def remote_lines(places: Iterable[Place], display: Display) -> Iterator[str]:
    """The lines of the table of remote places, an image after the other, by stage."""
    by_image: dict[str, list[Place]] = {}
    for place in places:
        by_image.setdefault(place.image, []).append(place)
    for index, (image, found) in enumerate(by_image.items()):
        if index:
            yield ""
        yield display.style(image or "before the build", "bold")
        yield from _places(found, display)


def _places(places: list[Place], display: Display) -> Iterator[str]:
    """The rows of one image.  Addresses are for copying: none is cut.

    Where the terminal is too narrow for the table, who covers a place is on the next line.
    """
    rows = [
        (f"  {place.kind}", place.address, place.covered_by or "NOT COVERED") for place in places
    ]
    head, rule, *lines = Display().table(("  kind", "address", "covered by"), rows)
    yield from (head, rule) if display.width is None or len(rule) <= display.width else ()
    stage = None
    for place, row, line in zip(places, rows, lines, strict=True):
        if place.stage != stage:
            stage = place.stage
            yield stage or "the request"
        parts = [line]
        if display.width is not None and len(rule) > display.width:
            parts = [f"{row[0]:<12}{row[1]}", f"{'':<12}{shorten(row[2], display.width - 12)}"]
        yield from parts if place.covered_by else (display.style(part, "red") for part in parts)


def _field(title: str, value: str) -> str:
    return f"{title:<11}{value}"


def _short(origin: Origin) -> str:
    """An origin for the table: most are lines of the catalog, which need no more words."""
    if origin.layer != "catalog":
        return str(origin)
    return origin.location.removeprefix("templates/")
