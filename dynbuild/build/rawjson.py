"""Reading BuildKit's rawjson progress, whose shape is no promise of its makers."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

_UNKNOWN_TIME = "0001-01-01T00:00:00Z"


class Fields:
    """A JSON object of which nothing is certain.

    Each way to read a field gives a value of one type, and raises TypeError or ValueError where
    the field has something else.
    """

    def __init__(self, value: object) -> None:
        if not isinstance(value, dict):
            raise TypeError("no object")
        self.get: Callable[[str], object] = value.get

    def text(self, key: str) -> str:
        """A text; empty where there is none."""
        value = self.get(key) or ""
        if not isinstance(value, str):
            raise TypeError(f"{key} is no text")
        # Half of a pair of surrogates cannot be written to any file.
        return value if value.isascii() else value.encode(errors="replace").decode()

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts."""
        value = self.get(key) or ()
        if not isinstance(value, (list, tuple)) or not all(isinstance(v, str) for v in value):
            raise TypeError(f"{key} is no list of texts")
        return tuple(value)

    def number(self, key: str) -> int:
        """A whole number; 0 where there is none."""
        value = self.get(key) or 0
        if not isinstance(value, (int, float)) or not math.isfinite(value):
            raise TypeError(f"{key} is no number")
        return int(value)

    def bytes(self, key: str) -> bytes:
        """Bytes, which JSON holds as base64."""
        return base64.b64decode(self.text(key))

    def time(self, key: str) -> datetime | None:
        """A moment; ``None`` where there is none."""
        value = self.text(key)
        if not value or value == _UNKNOWN_TIME:
            return None
        time = datetime.fromisoformat(value)
        return time if time.tzinfo else time.replace(tzinfo=UTC)

    def fields(self, key: str) -> Fields:
        """The object in a field; one without fields where there is none."""
        return Fields(self.get(key) or {})

    def each(self, key: str) -> Iterator[Fields]:
        """The objects in a list."""
        value = self.get(key) or ()
        if not isinstance(value, (list, tuple)):
            raise TypeError(f"{key} is no list")
        return (Fields(entry) for entry in value)
