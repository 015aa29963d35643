"""``dataclass``, with the same meaning as the standard library's and made in a tenth of the time.

The library writes the methods of each class as text and compiles that: six compilations a
class, which was a tenth of a short command.  Here all classes share their methods, which look
up the fields.  Making an *object* takes longer for that, some microseconds, so what is made by
the thousand stays with the library.

A type checker sees the library's own decorator.

``regex`` is a regular expression that is compiled when it is first used: a module has many for
what seldom comes, and each takes a tenth of a millisecond.
"""

from __future__ import annotations

import dataclasses
import operator
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

__all__ = ("dataclass", "regex")

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(
        *, frozen: bool, slots: bool = True, kw_only: bool = False, order: bool = False
    ) -> Callable[[type], type]:
        """A decorator: a class of frozen objects with slots, as ``dataclasses.dataclass``."""
        assert frozen
        assert slots

        def made(cls: type) -> type:
            # Without a docstring the library would make one of the signature.
            cls.__doc__ = cls.__doc__ or cls.__name__
            whole = dataclasses.dataclass(
                init=False, repr=False, eq=False, slots=True, kw_only=kw_only
            )(cls)
            for name, method in (_METHODS | (_ORDER if order else {})).items():
                if name not in cls.__dict__:
                    setattr(whole, name, method)
            whole.__init__ = _init(whole)
            return whole

        return made


class _Pattern:
    """What ``re.compile`` returns, later."""

    def __init__(self, text: str, flags: int) -> None:
        self._of = (text, flags)

    def __getattr__(self, name: str) -> Any:
        made = re.compile(*self._of)
        # From now on they are looked up as fast as anything else.
        self.__dict__.update((one, getattr(made, one)) for one in _OF_PATTERNS)
        return getattr(made, name)


_OF_PATTERNS = ("match", "fullmatch", "search", "finditer", "findall", "sub", "split", "pattern")


def regex(text: str, flags: int = 0) -> re.Pattern[str]:
    """The regular expression *text*, compiled when it is first used."""
    return cast("re.Pattern[str]", _Pattern(text, flags))


def _init(cls: type) -> Callable[..., None]:
    fields = [field for field in dataclasses.fields(cls) if field.init]
    places = [field.name for field in fields if not field.kw_only]
    parts = [(field.name, field.default, field.default_factory) for field in fields]
    known = {field.name for field in fields}
    missing = dataclasses.MISSING
    finish = getattr(cls, "__post_init__", None)
    put = object.__setattr__

    def init(self: Any, *given: Any, **named: Any) -> None:
        if given:
            if len(given) > len(places):
                raise TypeError(f"{cls.__name__}() takes {len(places)} values, not {len(given)}")
            for name, value in zip(places, given, strict=False):
                if name in named:
                    raise TypeError(f"{cls.__name__}() got two values for '{name}'")
                named[name] = value
        for name, default, factory in parts:
            if name in named:
                put(self, name, named[name])
            elif default is not missing:
                put(self, name, default)
            elif factory is not missing:
                put(self, name, factory())
            else:
                raise TypeError(f"{cls.__name__}() needs a value for '{name}'")
        if not known.issuperset(named):
            raise TypeError(f"{cls.__name__}() has no field {sorted(set(named) - known)}")
        if finish is not None:
            finish(self)

    return init


def _compared(self: Any) -> tuple[Any, ...]:
    return tuple(getattr(self, field.name) for field in dataclasses.fields(self) if field.compare)


def _eq(self: Any, other: object) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    return _compared(self) == _compared(other)


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, object], Any]:
    def method(self: Any, other: object) -> Any:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return compare(_compared(self), _compared(other))

    return method


def _hash(self: Any) -> int:
    return hash(_compared(self))


def _repr(self: Any) -> str:
    shown = (field.name for field in dataclasses.fields(self) if field.repr)
    values = ", ".join(f"{name}={getattr(self, name)!r}" for name in shown)
    return f"{self.__class__.__qualname__}({values})"


def _setattr(self: Any, name: str, value: object) -> None:
    del self, value
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _delattr(self: Any, name: str) -> None:
    del self
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


def _getstate(self: Any) -> list[Any]:
    return [getattr(self, field.name) for field in dataclasses.fields(self)]


def _setstate(self: Any, state: list[Any]) -> None:
    for field, value in zip(dataclasses.fields(self), state, strict=True):
        object.__setattr__(self, field.name, value)


_METHODS = {
    "__eq__": _eq,
    "__hash__": _hash,
    "__repr__": _repr,
    "__setattr__": _setattr,
    "__delattr__": _delattr,
    "__getstate__": _getstate,
    "__setstate__": _setstate,
}
_ORDER = {
    "__lt__": _ordered(operator.lt),
    "__le__": _ordered(operator.le),
    "__gt__": _ordered(operator.gt),
    "__ge__": _ordered(operator.ge),
}
