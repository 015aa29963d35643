"""The text of --help, and commands whose parsing costs no more than what is given.

Typer's own help is drawn by rich, whose import takes longer than everything else that a
command does before its work. This one is plain text: sections of options, in 80 columns,
examples on lines that can be copied.
"""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from typer._click.shell_completion import CompletionItem
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption, _TyperParameter

from dynbuild.cli import complete, console
from dynbuild.errors import RequestError
from dynbuild.report.display import COLUMNS

if TYPE_CHECKING:
    from typer._click import Context, HelpFormatter, Parameter
    from typer._click.parser import _OptionParser

_NARROWEST, _WIDEST = 60, 110
"""Columns of help on a terminal: below, words are not cut for it; above, lines are hard to read."""

_LEFT_OUT = {"--expect-cached": "*", "--diff": ""}
"""Options whose value may be left out, with what it is then; the library knows none such."""

_FIRST = 32
"""The widest column of names; a longer name has its help on the line below."""


class _Light(_TyperParameter):
    """A parameter that is not there is not validated: building a validator for each takes long."""

    def process_value(self, ctx: Context, value: Any) -> Any:
        """The value as the command gets it; what is right as it is needs no validator."""
        if value is None and (self.multiple or self.nargs != 1):
            value = ()
        missing = self.required and self.value_is_missing(value)
        if missing or not _is_right(value, self.type_descriptor.annotation):
            return super().process_value(ctx, value)
        try:
            return value if self.callback is None else self.callback(ctx, self, value)
        except OSError as error:  # --help prints in its callback
            raise console.OutputLost from error


class Option(_Light, TyperOption):
    """A parameter with a name."""

    def shell_complete(self, ctx: Context, incomplete: str) -> list[CompletionItem]:
        """The words that a shell offers as its value."""
        declared = getattr(ctx.command.callback, "options", ())
        option = next((one for one in declared if self.opts[0] in one.spellings), None)
        if option is None or option.choices:
            return super().shell_complete(ctx, incomplete)
        return [CompletionItem(word) for word in complete.words(option, ctx.params, incomplete)]


class Argument(_Light, TyperArgument):
    """A parameter without one."""


_LIGHT: Mapping[type, type] = {TyperOption: Option, TyperArgument: Argument}
"""Typer's classes of parameters, and ours in their place."""


def _is_right(value: object, annotation: object) -> bool:
    """Whether *value* is of the type that an option has, so that nothing makes another of it."""
    if get_origin(annotation) is Literal:
        return value in get_args(annotation)
    if get_origin(annotation) is list:
        items = value if isinstance(value, (list, tuple)) else (None,)
        return all(_is_right(item, *get_args(annotation)) for item in items)
    return value is None or (annotation in (str, bool, int) and type(value) is annotation)


def _light(params: list[Parameter]) -> list[Parameter]:
    """Typer makes the parameters, and takes no class for them."""
    for param in params:
        param.__class__ = _LIGHT.get(type(param), type(param))
    return params


def _show_help(ctx: Context, param: Parameter, value: bool) -> None:
    """Print the help as every result is: that it cannot be written is told."""
    del param
    if value and not ctx.resilient_parsing:
        console.out(ctx.get_help().rstrip("\n"))
        ctx.exit()


def _with_help(option: TyperOption | None) -> TyperOption | None:
    if option is not None:
        option.callback = _show_help
    return option


class Command(TyperCommand):
    """A command with this help, and with options that cost nothing where they are left out."""

    def get_params(self, ctx: Context) -> list[Parameter]:
        """All parameters, that of --help among them."""
        return _light(super().get_params(ctx))

    def get_help_option(self, ctx: Context) -> TyperOption | None:
        """The option --help."""
        return _with_help(super().get_help_option(ctx))

    def make_parser(self, ctx: Context) -> _OptionParser:
        """The parser, which refuses to let the last of several values win."""
        parser = super().make_parser(ctx)
        parse = parser.parse_args

        def parse_once(args: list[str]) -> tuple[dict[str, Any], list[str], list[Parameter]]:
            found = parse(args)
            if not ctx.resilient_parsing:
                _check_once(found[2])
            return found

        parser.parse_args = parse_once  # type: ignore[method-assign]
        return parser

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        """Read the words of the command line; of some options the value may be left out."""
        end = args.index("--") if "--" in args else len(args)
        own = {name for param in self.params for name in param.opts} & _LEFT_OUT.keys()
        words = [
            f"{word}={_LEFT_OUT[word]}" if word in own and after.startswith("-") else word
            for word, after in zip(args[:end], [*args[1:end], "--"], strict=False)
        ]
        return super().parse_args(ctx, [*words, *args[end:]])

    def format_help(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Write the help to *formatter*."""
        formatter.write(text(self, ctx))


def _check_once(given: Sequence[Parameter]) -> None:
    """Refuse an option with one value that is given more than once.

    Raises:
        RequestError: One is.
    """
    seen = set()
    for param in given:
        if not isinstance(param, TyperOption) or param.multiple or param.is_flag or param.count:
            continue
        if param.name in seen:
            raise RequestError(
                f"{param.opts[-1]} is given more than once, and has one value",
                hint="drop all but one",
            )
        seen.add(param.name)


class Group(TyperGroup):
    """A group of commands with this help."""

    def get_params(self, ctx: Context) -> list[Parameter]:
        """All parameters, that of --help among them."""
        return _light(super().get_params(ctx))

    def get_help_option(self, ctx: Context) -> TyperOption | None:
        """The option --help."""
        return _with_help(super().get_help_option(ctx))

    def format_help(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Write the help to *formatter*."""
        formatter.write(text(self, ctx, self.rows(ctx)))

    def rows(self, ctx: Context) -> tuple[tuple[str, str], ...]:
        """The name and the first sentence of each command."""
        commands = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        return tuple(
            (name, " ".join((command.help or "").split("\n\n")[0].split()))
            for name, command in commands
            if command is not None
        )


def text(
    command: TyperCommand | TyperGroup,
    ctx: Context,
    commands: Sequence[tuple[str, str]] = (),
) -> str:
    """The help of *command*, with a line for each of its *commands*."""
    lines = [f"Usage: {' '.join([ctx.command_path, *command.collect_usage_pieces(ctx)])}"]
    lines += _prose(command.help or "")
    sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
    for param in command.get_params(ctx):
        record = param.get_help_record(ctx)
        if record is not None:
            panel = getattr(param, "rich_help_panel", None)
            usual = "Arguments" if param.param_type_name == "argument" else "Options"
            # That an argument may be given several times is said by its dots.
            name = record[0].replace(" <list[str]>", "")
            sections.setdefault(panel or usual, []).append((name, record[1]))
    sections["Commands"] = list(commands)
    lines += _sections({title: rows for title, rows in sections.items() if rows})
    if command.epilog:
        lines += ["", *_wrap(command.epilog, _columns())]
    # The library writes help in UTF-8 where the stream knows ASCII only.
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return ("\n".join(lines) + "\n").encode(encoding, errors="dynbuild").decode(encoding)


def _sections(sections: Mapping[str, Sequence[tuple[str, str]]]) -> Iterator[str]:
    for title, rows in sections.items():
        yield ""
        yield console.out_display().style(f"{title}:", "bold")
        first = max((len(name) for name, _ in rows if len(name) <= _FIRST), default=_FIRST)
        for name, about in rows:
            described = _wrap(about, _columns() - first - 4) or [""]
            if len(name) > first:
                yield f"  {name}"
            else:
                yield f"  {name:<{first}}  {described.pop(0)}".rstrip()
            yield from (f"  {'':<{first}}  {line}" for line in described)


def _columns() -> int:
    """Of the terminal, as far as lines of prose are read; of a page, where there is none."""
    width = console.out_display().width
    return COLUMNS if width is None else max(min(width, _WIDEST), _NARROWEST)


def _wrap(text: str, width: int) -> list[str]:
    """Lines of *text*; what has no blank, such as a path, stays whole."""
    return textwrap.wrap(text, width, break_on_hyphens=False, break_long_words=False)


def _prose(docstring: str) -> Iterator[str]:
    """Paragraphs, filled; what is indented is a command line and keeps its words together."""
    for paragraph in docstring.strip().split("\n\n"):
        heading = re.fullmatch(r"\[bold\](.*)\[/bold\]", paragraph)
        if heading:
            yield from ("", console.out_display().style(f"{heading[1]}:", "bold"))
        elif paragraph.startswith("  "):
            yield from _command_line(paragraph.strip())
        else:
            yield from ("", *_wrap(paragraph, _columns()))


def _command_line(line: str) -> Iterator[str]:
    """A command that is too long goes on where the shell lets it."""
    first, *more = _wrap(line, _columns() - 8)
    for row, part in enumerate((first, *more)):
        yield ("      " if row else "  ") + part + (" \\" if row < len(more) else "")
