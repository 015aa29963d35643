"""From the declarations of options to the parameters of a command, and to its layer of settings."""

from __future__ import annotations

import inspect
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, TypeAlias

import typer

from dynbuild import paths
from dynbuild.errors import RequestError, quote
from dynbuild.quick import dataclass
from dynbuild.settings.environment import SWITCHED
from dynbuild.settings.layers import KeyPath, Layer, Origin, Setting
from dynbuild.settings.option import Option

Value: TypeAlias = str | int | bool | list[str]

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NUMBER = re.compile(r"[0-9]{1,30}")


@dataclass(frozen=True, slots=True)
class Invocation:
    """What a command line says.

    Attributes:
        values: By the name of each option that is given, its value and how it is written.
        layer: The layer of settings that they make.
    """

    values: Mapping[str, tuple[Value, str]]
    layer: Layer

    def text(self, name: str) -> str | None:
        """The value of an option; ``None`` where it is not given."""
        found = self.values.get(name)
        return None if found is None else str(found[0])

    def items(self, name: str) -> tuple[str, ...]:
        """The values of an option that may be repeated."""
        found = self.values.get(name, ([], ""))[0]
        return tuple(found) if isinstance(found, list) else ()

    def switch(self, name: str) -> bool:
        """Whether a switch is given, and on."""
        return self.values.get(name, (False, ""))[0] is True


Command: TypeAlias = Callable[..., None]


def command(options: Sequence[Option], function: Command, **fixed: object) -> Command:
    """*function* as a command that has *options*.

    Its first argument, ``invocation``, is what the command line says; its other parameters stay
    parameters of the command, *fixed* apart.
    """
    own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
    keyword = inspect.Parameter.KEYWORD_ONLY
    shared = [parameter for option in options for parameter in parameters(option)]
    kept = [one.replace(kind=keyword) for one in own if one.name not in fixed]

    def called(**values: Any) -> None:
        arguments = {parameter.name: values.pop(parameter.name) for parameter in shared}
        function(invocation(options, arguments), **values, **fixed)

    called.__name__, called.__doc__ = function.__name__, function.__doc__
    called.options = tuple(options)  # type: ignore[attr-defined]  # for completion of their values
    signature = inspect.Signature([*shared, *kept])
    called.__signature__ = signature  # type: ignore[attr-defined]
    called.__annotations__ = {one.name: one.annotation for one in signature.parameters.values()}
    return called


def with_options(options: Sequence[Option]) -> Callable[[Command], Command]:
    """A decorator: see ``command``."""
    return lambda function: command(options, function)


def parameters(option: Option) -> Iterator[inspect.Parameter]:
    """The parameters of a command that *option* needs.

    A value and each switch are one; a pair of switches that the help shows both is one.
    """
    if option.flags:
        yield _parameter(option, option.name, _annotation(option), option.flags, option.help)
    switches = [spelling for spelling, _ in option.switches]
    if option.shown == "all" and len(switches) == 2:
        both = "/".join(switches)
        yield _parameter(option, option.name, bool | None, (both,), option.help)
        return
    note = f"{option.help} (also --no-…)" if switches[1:] and _is_plain(switches[0]) else None
    for number, spelling in enumerate(switches):
        hidden = option.shown == "first" and number > 0
        yield _parameter(
            option, _name(spelling), bool, (spelling,), note or option.help, hidden=hidden
        )


def _is_plain(spelling: str) -> bool:
    return not spelling.startswith("--no-")


def _name(spelling: str) -> str:
    return spelling.lstrip("-").replace("-", "_")


def _annotation(option: Option) -> Any:
    if option.choices:
        return Literal.__getitem__(option.choices)
    repeated = option.several or option.kind in ("list", "pairs")
    return list[str] | None if repeated else str | None


def _parameter(
    option: Option,
    name: str,
    annotation: Any,
    spellings: Sequence[str],
    help: str,
    *,
    hidden: bool = False,
) -> inspect.Parameter:
    declared = typer.Option(
        *spellings,
        help=help,
        rich_help_panel=option.panel or None,
        metavar=None if option.choices else option.metavar or None,
        show_default=bool(option.choices),
        hidden=hidden,
        envvar=option.env or None,
        callback=_no_flag if _takes_no_dashes(option, annotation) else None,
    )
    default = option.default if option.choices else False if annotation is bool else None
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=Annotated[annotation, declared],
    )


def _takes_no_dashes(option: Option, annotation: object) -> bool:
    """Whether no value of a parameter begins with dashes; words for docker do."""
    return annotation == str | None or (
        annotation == list[str] | None and option.path[:1] == ("request",)
    )


def _no_flag(value: str | list[str] | None, param: typer.CallbackParam) -> str | list[str] | None:
    """Refuse a flag that was taken for the value of the one before it."""
    for text in [value] if isinstance(value, str) else value or ():
        # With an equals sign it is meant.
        if text.startswith("--") and not any(
            word == f"{flag}={text}" for flag in param.opts for word in sys.argv[1:]
        ):
            raise RequestError(
                f"{param.opts[0]} has no value: {quote(text)} comes after it",
                hint=f"a value that starts with dashes is written {param.opts[0]}={text}"
                if not text.removeprefix("--").replace("-", "").isalpha()
                else None,
            )
    return value


def switch_hint(options: Iterable[Option], spelling: str, word: str) -> str | None:
    """What is written for the switch *spelling* with *word*, which says on or off; else nothing."""
    for option in options:
        if spelling in option.spellings and option.kind == "switch" and word.lower() in SWITCHED:
            return f"{option.flag} is a switch: {option.spelling_of(SWITCHED[word.lower()])}"
    return None


# ---- from parameters to settings -----------------------------------------------------------


def invocation(options: Iterable[Option], arguments: Mapping[str, Any]) -> Invocation:
    """What the parameters *arguments* mean, by option and as a layer of settings.

    Raises:
        RequestError: A value is none of its option.
    """
    values: dict[str, tuple[Value, str]] = {}
    layer: dict[KeyPath, Setting] = {}
    for option in options:
        given = list(_values(option, arguments))
        if len({str(value) for value, _ in given}) > 1 and not option.flags:
            spelled = " and ".join(spelling for _, spelling in given)
            raise RequestError(f"{spelled} exclude each other", hint="drop one of them")
        for value, spelling in given:
            values[option.name] = value, spelling
            layer.update(_settings(option, value, spelling))
    return Invocation(values, layer)


def _values(option: Option, arguments: Mapping[str, Any]) -> Iterator[tuple[Value, str]]:
    """The values of *option*, each with its spelling."""
    value = arguments[option.name] if option.flags else None
    if value is not None and value != []:
        yield ",".join(value) if option.several else value, option.flag
    if option.shown == "all" and len(option.switches) == 2:
        on = arguments[option.name]
        if on is not None:
            spelling, to = option.switches[0 if on else 1]
            yield to, spelling
        return
    for spelling, to in option.switches:
        if arguments[_name(spelling)]:
            yield to, spelling


def _settings(option: Option, value: Value, spelling: str) -> Iterator[tuple[KeyPath, Setting]]:
    if not option.path:
        return
    origin = Origin("flag", spelling)
    if option.kind == "pairs":
        for item in value if isinstance(value, list) else ():
            yield from _pair(option, item, spelling)
    elif option.kind == "integer":
        yield option.path, Setting(_number(str(value), spelling), origin)
    elif option.form == "path":
        path = paths.local_or_address(str(value), origin=str(origin))
        yield option.path, Setting(path, origin)
    else:
        yield option.path, Setting(value, origin)


def _pair(option: Option, item: str, spelling: str) -> Iterator[tuple[KeyPath, Setting]]:
    name, equals, text = item.partition("=")
    origin = Origin("flag", f"{spelling} {name}" if option.path == ("args",) else spelling)
    if not equals and option.path == ("args",) and _VARIABLE.fullmatch(name):
        # As docker has it: the value is the caller's variable, and without one nothing is set.
        value = os.environ.get(name)
        if value is not None:
            yield (
                (*option.path, name),
                Setting(value, Origin("flag", f"{spelling} {name}, from the environment")),
            )
        return
    if not equals or not name:
        raise RequestError(f"{spelling} takes NAME=VALUE, not {quote(item)}")
    if option.form == "path":
        text = paths.local_or_address(text, origin=str(origin))
    if option.path == ("sources",):
        yield ("sources", name, "kind"), Setting("context", origin)
        yield ("sources", name, "path"), Setting(text, origin)
    else:
        yield (*option.path, name), Setting(text, origin)


def _number(text: str, flag: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise RequestError(f"{flag} takes a number, not {quote(text)}")
    return int(text)
