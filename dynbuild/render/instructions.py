"""What a Dockerfile takes from build contexts: its stages, read as far as that needs.  Pure."""

from __future__ import annotations

import json
import posixpath
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dynbuild import names

MAIN = ""
"""The name of the context that has no name: the tree itself."""

_HEREDOC = re.compile(r"<<-?\s*(['\"]?)(\w+)\1")
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::?[-+][^}]*)?\}|(\w+))")


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction.

    Attributes:
        keyword: Such as ``COPY``, in upper case.
        flags: Its ``--name=value``, without the dashes.
        text: What comes after the flags, continued lines joined.
        body: The texts inside of it, here-documents.
        line: The last line of it, counted from 1.
    """

    keyword: str
    flags: tuple[tuple[str, str], ...]
    text: str
    body: str = ""
    line: int = 0

    def flag(self, name: str) -> str:
        """The value of a flag; empty without it."""
        return next((value for key, value in self.flags if key == name), "")

    def __str__(self) -> str:
        flags = (f"--{name}={value}" if value else f"--{name}" for name, value in self.flags)
        return " ".join((self.keyword, *flags, self.text))


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage: its name, what it goes on from, and its instructions."""

    name: str
    base: str
    instructions: tuple[Instruction, ...]


@dataclass(frozen=True, slots=True)
class Selection:
    """Files of a build context that one step takes.

    Attributes:
        stage: The stage of the step.
        step: Its instruction.
        context: Name of the context; ``MAIN`` for the tree.
        sources: Paths or patterns in it; an empty one is all of it.
    """

    stage: str
    step: str
    context: str
    sources: tuple[str, ...]


def read(text: str) -> tuple[Mapping[str, str], tuple[Stage, ...]]:
    """The arguments before the first stage with their defaults, and the stages."""
    defaults: dict[str, str] = {}
    stages: list[Stage] = []
    body: list[Instruction] = []
    for instruction in _instructions(text):
        if instruction.keyword == "FROM":
            body = []
            words = instruction.text.split()
            name = words[2] if len(words) > 2 and words[1].lower() == "as" else str(len(stages))
            stages.append(Stage(name, words[0] if words else "", ()))
        elif not stages:
            if instruction.keyword == "ARG":
                name, _, value = instruction.text.partition("=")
                defaults[name.strip()] = value.strip().strip("\"'")
        else:
            body.append(instruction)
            last = stages.pop()
            stages.append(Stage(last.name, last.base, tuple(body)))
    return defaults, tuple(stages)


def selections(
    text: str, target: str, args: Mapping[str, str], contexts: Mapping[str, str]
) -> Iterator[Selection]:
    """What the stages that *target* needs take from contexts.

    Args:
        text: The Dockerfile.
        target: Its stage that is built.
        args: Values of build arguments.
        contexts: Named contexts, with where they are.
    """
    defaults, stages = read(text)
    values = {**defaults, **args}
    by_name = {stage.name.lower(): stage for stage in stages}
    ahead, seen = [target.lower()], {target.lower()}
    while ahead:
        stage = by_name.get(ahead.pop())
        if stage is None:
            continue
        own = values | _defaults(stage, values)
        base = expand(stage.base, values)
        if base in contexts:
            yield Selection(stage.name, f"FROM {base}", base, ("",))
        uses = [base]
        for instruction in stage.instructions:
            for context, sources in _taken(instruction, own):
                uses.append(context)
                if context == MAIN or context in contexts:
                    yield Selection(stage.name, str(instruction), context, sources)
        # A named context takes the place of the stage of its name.
        new = {use.lower() for use in uses if use not in contexts} - seen
        seen |= new
        ahead += sorted(new)


def _defaults(stage: Stage, values: Mapping[str, str]) -> dict[str, str]:
    """What ARG and ENV of a stage set; arguments that have a value keep it."""
    own: dict[str, str] = {}
    for instruction in stage.instructions:
        if instruction.keyword in ("ARG", "ENV"):
            for name, value in assignments(instruction, {**values, **own}).items():
                if instruction.keyword == "ENV" or name not in values:
                    own[name] = value
    return own


def assignments(instruction: Instruction, values: Mapping[str, str]) -> dict[str, str]:
    """The variables that an ENV, or an ARG with defaults, sets where *values* are known."""
    pairs = re.findall(r"(\w+)=(\"[^\"]*\"|'[^']*'|\S*)", instruction.text)
    return {name: expand(value.strip("\"'"), values) for name, value in pairs}


def origins(instruction: Instruction, values: Mapping[str, str]) -> Iterator[str]:
    """The stages, images or named contexts that an instruction takes files from."""
    if origin := expand(instruction.flag("from"), values):
        yield origin
    for name, value in instruction.flags:
        if instruction.keyword == "RUN" and name == "mount":
            mount = dict(part.partition("=")[::2] for part in value.split(","))
            if origin := expand(mount.get("from", ""), values):
                yield origin


def _taken(
    instruction: Instruction, values: Mapping[str, str]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The contexts, stages or images that an instruction takes files from, and which."""
    if instruction.keyword in ("COPY", "ADD"):
        *sources, _ = _words(instruction.text) or [""]
        local = (one for one in sources if not one.startswith("<<") and not names.is_address(one))
        if paths := tuple(_path(one, values) for one in local):
            yield expand(instruction.flag("from"), values), paths
    for name, value in instruction.flags:
        if instruction.keyword == "RUN" and name == "mount":
            mount = dict(part.partition("=")[::2] for part in value.split(","))
            source = mount.get("source") or mount.get("src") or ""
            origin = expand(mount.get("from", ""), values)
            if mount.get("type", "bind") == "bind" or origin:
                yield origin, (_path(source, values),)


def _path(text: str, values: Mapping[str, str]) -> str:
    """A source as a path in its context; of one with an unknown variable, what is before it."""
    known = expand(text, values)
    if "$" in known:
        known = known.partition("$")[0].rpartition("/")[0]
    path = posixpath.normpath(f"/{known}").lstrip("/")
    return "" if path == "." else path


def expand(text: str, values: Mapping[str, str]) -> str:
    """*text* with the variables of *values*; those that are not known stay as they are."""
    return _VARIABLE.sub(lambda name: values.get(name[1] or name[2], name[0]), text)


def _words(text: str) -> list[str]:
    if text.startswith("["):
        try:
            return [str(word) for word in json.loads(text)]
        except ValueError:
            pass
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def _instructions(text: str) -> Iterator[Instruction]:
    """The instructions, without comments."""
    lines = enumerate(text.split("\n"), start=1)
    for number, line in lines:
        joined = line.strip()
        if not joined or joined.startswith("#"):
            continue
        while joined.endswith("\\"):
            number, more = next(lines, (number, None))  # noqa: PLW2901 - it goes on there
            if more is None:
                break
            if not more.strip().startswith("#"):
                joined = f"{joined[:-1].rstrip()} {more.strip()}"
        keyword, _, rest = joined.partition(" ")
        flags, rest = _flags(rest.strip())
        body = []
        if keyword.upper() in ("COPY", "ADD", "RUN"):
            for _, word in _HEREDOC.findall(rest):
                for number, inside in lines:  # noqa: B007, PLW2901 - it ends there
                    if inside.strip() == word:
                        break
                    body.append(inside)
        yield Instruction(keyword.upper(), flags, rest, "\n".join(body), number)


def _flags(text: str) -> tuple[tuple[tuple[str, str], ...], str]:
    flags = []
    while words := re.match(r"--([\w-]+)(?:=(\S*))?(?:\s+|$)", text):
        flags.append((words[1], words[2] or ""))
        text = text[words.end() :]
    return tuple(flags), text
