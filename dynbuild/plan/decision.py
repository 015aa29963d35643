"""Decisions on arguments, and the one rule by which they are put together.  Pure.

A decision never writes into the values that there are: it says which it would set and how they
meet those.  ``fold`` makes the new values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Literal

from dynbuild.errors import RequestError
from dynbuild.quick import dataclass
from dynbuild.settings import layers
from dynbuild.settings.layers import Setting

Values = Mapping[str, Setting]
"""A value for each argument, with where it came from."""

Rule = Literal["fill", "request", "follow", "fix"]
"""How a decision meets the value that is there.

fill     takes the place of an empty one.
request  takes the place of one that the same layer or a lower one set by name; of two flags
         that say different things, one is too many.
follow   likewise, but takes the place of the catalog's always, and of an equal layer's.
fix      takes the place of any.
"""


@dataclass(frozen=True, slots=True)
class Decision:
    """What one decision says of arguments: a layer, and the rule by which it is laid."""

    rule: Rule
    values: Values = field(default_factory=dict)


def fold(values: Values, decision: Decision) -> Values:
    """*values* with a decision laid on them.

    Raises:
        RequestError: Two flags contradict each other.
    """
    laid = {
        arg: setting
        for arg, setting in decision.values.items()
        if _prevails(arg, setting, values[arg], decision.rule)
    }
    return {**values, **laid}


def _prevails(arg: str, new: Setting, own: Setting, rule: Rule) -> bool:
    if rule == "fix":
        return True
    if rule == "fill":
        return not own.value
    if rule == "follow":
        return own.origin.layer == "catalog" or layers.rank(new.origin) >= layers.rank(own.origin)
    both = own.origin.layer == new.origin.layer == "flag"
    if both and own.value != new.value:
        raise RequestError(
            f"{arg} is given twice: '{own.value}' and '{new.value}'",
            origin=f"{own.origin}, {new.origin}",
            hint="drop one of them",
        )
    return layers.rank(new.origin) >= layers.rank(own.origin)
