"""Dataclasses that pydantic checks where they are read from a text, and only there.

To import pydantic and to build a validator takes longer than a plan is made in. So the classes are
dataclasses as any other, and say in words of the standard library what pydantic looks at: what is
made by dynbuild itself has been seen by a type checker, and what was read and checked once is kept.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar, cast

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_Document = TypeVar("_Document")


class Document:
    """Base of what is read: it refuses unknown keys, and tables stand for objects."""

    __slots__ = ()
    __pydantic_config__: ClassVar[Mapping[str, object]] = {"extra": "forbid"}

    def document(self) -> dict[str, Any]:
        """The JSON object of it."""
        whole: dict[str, Any] = plain(self)
        return whole

    def _problem(self) -> str:
        """What is wrong with values that each are right; empty: nothing."""
        return ""

    @classmethod
    def _current(cls, data: Any) -> Any:
        """*data* of an earlier dynbuild as it would be written now."""
        return data

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        schema = handler(source)
        # Else a strict class would take objects alone.
        handler.resolve_ref_schema(schema)["strict"] = False
        if cls._problem is not Document._problem:
            schema = core_schema.no_info_after_validator_function(_right, schema)
        if cls._current.__func__ is not Document._current.__func__:  # type: ignore[attr-defined]
            schema = core_schema.no_info_before_validator_function(cls._current, schema)
        return schema


def _right(value: Document) -> Document:
    if said := value._problem():
        raise ValueError(said)
    return value


@dataclasses.dataclass(frozen=True, slots=True)
class Check:
    """In ``Annotated``: a function that takes the value and returns it, or raises ``ValueError``.

    Attributes:
        call: The function.
        when: Whether it gets the value before its type is looked at, or after.
    """

    call: Callable[[Any], Any]
    when: Literal["before", "after"] = "after"

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        schema = handler(source)
        if self.when == "before":
            return core_schema.no_info_before_validator_function(self.call, schema)
        return core_schema.no_info_after_validator_function(self.call, schema)


@dataclasses.dataclass(frozen=True, slots=True)
class Least:
    """In ``Annotated``: the least that a number may be.

    Attributes:
        bound: That number.
    """

    bound: int

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        return {**handler(source), "ge": self.bound}


def described(text: str, **more: Any) -> Any:
    """A field of a dataclass that says what it means, for schemas.

    Args:
        text: What it means.
        more: ``default`` and ``default_factory``, as of ``dataclasses.field``; all else is what
            pydantic takes of a field, such as ``alias`` and ``ge``.
    """
    defaults = {key: more.pop(key) for key in ("default", "default_factory") if key in more}
    return dataclasses.field(**defaults, metadata={"description": text, **more})


def plain(value: Any) -> Any:
    """*value* as JSON has it: objects as tables of their fields, and every sequence a list."""
    if dataclasses.is_dataclass(value):
        return {
            one.metadata.get("alias", one.name): plain(getattr(value, one.name))
            for one in dataclasses.fields(value)
        }
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, (tuple, list)) else value


def adapter(model: type[_Document]) -> TypeAdapter[_Document]:
    """What reads, checks and describes documents of a *model*."""
    made: TypeAdapter[_Document] = _adapter(cast("Any", model))
    return made


def schema(model: type[Document]) -> dict[str, Any]:
    """JSON Schema of the documents of a *model*."""
    document = adapter(model).json_schema(mode="serialization", by_alias=True)
    document["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return document


@functools.cache
def _adapter(model: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(model)
