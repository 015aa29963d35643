"""The list of build arguments in the documentation, made from their declarations.  Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence

from dynbuild.settings.models import Argument, Catalog

_WIDTH = 124


def lines(catalog: Catalog, used: Mapping[str, Sequence[str]]) -> list[str]:
    """One entry an argument: value, kind, what it is, where it is used.

    Args:
        catalog: The catalog.
        used: For each argument the stages that it is used in, over all images.
    """
    found: list[str] = []
    for arg, declared in catalog.arguments.items():
        text = ". ".join(_sentences(arg, declared, catalog.args[arg], used.get(arg, ())))
        found += textwrap.wrap(
            f"- {text}.",
            _WIDTH,
            subsequent_indent="  ",
            break_on_hyphens=False,
            break_long_words=False,
        )
    return found


def _sentences(arg: str, declared: Argument, value: str, stages: Sequence[str]) -> Iterator[str]:
    own = f"`{value}`" if value else declared.empty or "by image"
    yield f"**{arg}** ({_kind(declared)}; {own}): {declared.help}"
    if stages:
        yield f"Used in {', '.join(f'`{stage}`' for stage in stages)}"
    if declared.unkeyed:
        yield "Another value builds nothing anew"


def _kind(declared: Argument) -> str:
    if declared.kind == "choice":
        return " or ".join(f"`{word}`" for word in declared.words)
    words = "".join(f" or `{word}`" for word in declared.words)
    bounds = f", {declared.bounds[0]} to {declared.bounds[1]}" if declared.bounds else ""
    return f"{declared.kind}{bounds}{words}"
