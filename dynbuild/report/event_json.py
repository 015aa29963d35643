"""Events as JSON objects, one a line: what ``--progress json`` writes.  Pure.

``event`` says which it is, in the words of ``dynbuild.build.events`` and of the matrix:
``step-started`` is a ``StepStarted``. The other fields are its attributes, without those that are
empty; ``solve`` is there in a matrix.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any

from dynbuild.build.events import Event
from dynbuild.build.steps import StepName
from dynbuild.checked import plain
from dynbuild.matrix.events import MatrixEvent, SolveEvent
from dynbuild.matrix.result import CellResult

_WORD = re.compile(r"(?<!^)(?=[A-Z])")


def line(event: Event | MatrixEvent) -> str:
    """*event* as one line."""
    return json.dumps(_document(event))


def message(text: str) -> str:
    """A line for people, as one of the same form."""
    return json.dumps({"event": "message", "text": text})


def _document(event: Event | MatrixEvent) -> Mapping[str, Any]:
    if isinstance(event, SolveEvent):
        return {"solve": event.solve, **_document(event.event)}
    said: dict[str, Any] = {"event": _WORD.sub("-", type(event).__name__).lower()}
    for one in fields(event):
        value = getattr(event, one.name)
        if isinstance(value, StepName):
            said |= {"name": str(value), "stage": value.stage, "does": value.telling}
        elif isinstance(value, datetime):
            said[one.name] = value.isoformat()
        elif isinstance(value, CellResult):
            said[one.name] = plain(value)
        elif value not in ("", (), None, False):
            said[one.name] = value
    return said
