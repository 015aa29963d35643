"""What differs between a step and the one of an earlier build that it takes the place of.  Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from dynbuild import addresses, masking
from dynbuild.build.context import ContextRecord, StepFiles
from dynbuild.build.ignore import expression
from dynbuild.build.snapshot import UNKNOWN, Place, Snapshot
from dynbuild.errors import one_line
from dynbuild.render import instructions
from dynbuild.render.graph import Graph, Step

Kind = Literal[
    "argument", "template", "files", "base", "git", "download", "checksum", "context", "platform",
    "network", "epoch", "image", "builder", "no-cache", "import", "overlap", "pruned", "unfinished",
    "unknown",
]  # fmt: skip
"""What a cause is of; ``unknown`` is of what nobody can say before it runs."""

_REFERENCE = re.compile(r"\$\{?(\w+)")
_LONGEST = 90
_SHOWN_FILES = 3
_EPOCH = "SOURCE_DATE_EPOCH"


@dataclass(frozen=True, slots=True)
class Cause:
    """A first cause: its kind, and the evidence in one line, without secrets."""

    kind: Kind
    evidence: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.evidence}"


def takes_files(step: Step) -> bool:
    """Whether a step takes files of a build context, as far as its text says."""
    own = step.instruction
    if own.keyword in ("COPY", "ADD"):
        return not own.flag("from") and not own.body
    return any(
        name == "mount" and "from=" not in value and ("type=bind" in value or "type=" not in value)
        for name, value in own.flags
    )


@dataclass(slots=True)
class Pair:
    """An image in two builds, its steps matched.

    Attributes:
        old: Its graph in the earlier build; ``None`` where that had no such image.
        new: Its graph in the later one.
        before: The earlier build.
        after: The later one.
        image: Its name.
    """

    old: Graph | None
    new: Graph
    before: Snapshot
    after: Snapshot
    image: str
    _match: dict[str, Step] = field(init=False)
    _matched: frozenset[str] = field(init=False)
    _changed: Mapping[str, Cause] = field(init=False)
    _texts: dict[str, set[str]] = field(init=False)
    _bases: tuple[Mapping[str, str], Mapping[str, str]] = field(init=False)

    def __post_init__(self) -> None:
        self._match = _match(self.old, self.new) if self.old else {}
        self._matched = frozenset(step.key for step in self._match.values())
        self._changed = _changed(self.before, self.after, self.image)
        texts = self.before.texts.get(self.image, ""), self.after.texts[self.image]
        self._bases = _bases(texts[0]), _bases(texts[1])
        self._texts = _assignments(texts[0])
        for name, own in _assignments(texts[1]).items():
            self._texts.setdefault(name, set()).update(own)

    def causes(self, place: Place, step: Step) -> tuple[Cause, ...]:
        """What of *step* itself differs: not that a step which it needs does."""
        if self.old is None:
            return (Cause("image", f"{self.image}: not in {self.before.id}"),)
        if not any(platform == place[1] for platform, _, _ in self.old.places):
            return (Cause("platform", f"{place[1]}: not in {self.before.id}"),)
        other = self._match.get(step.key)
        if other is None:
            return (self._of_text(place, step, None),)
        return tuple(dict.fromkeys(self._parts(place, other, step)))

    def is_only_based_on_other(self, step: Step) -> bool:
        """Whether a step is what it was but for what it comes on top of."""
        other = self._match.get(step.key)
        names = {*step.parts, *(other.parts if other else ())} - {"from"}
        return other is not None and all(
            step.parts.get(name) == other.parts.get(name) for name in names
        )

    # ---- the parts of a key ---------------------------------------------------------------

    def _parts(self, place: Place, old: Step, new: Step) -> Iterator[Cause]:
        differing = {
            name
            for name in {**old.parts, **new.parts}
            if old.parts.get(name) != new.parts.get(name)
        }
        if differing & {"instruction", "flags", "body"}:
            yield self._of_text(place, new, old)
        for name in sorted(differing):
            before, after = old.parts.get(name, ""), new.parts.get(name, "")
            if name.startswith("variable ") or name in ("USER", "SHELL", "WORKDIR"):
                yield from self._of_variable(name.removeprefix("variable "), old, new)
            elif name == "expanded" and "instruction" not in differing:
                yield from self._of_references(str(new.instruction))
            elif name == "files":
                yield from self._of_files(new)
            elif name == "network":
                yield Cause("network", f"of RUN steps: {before or 'default'} -> {after}")
            elif name == _EPOCH:
                yield self._changed.get(name) or Cause("epoch", f"{name}: {before} -> {after}")
            elif name == "resolved" and "expanded" not in differing:
                yield from self._of_addresses(before, after)
            elif name == "from":
                yield from self._of_origin(before, after, new)
            elif name == "takes" and len(before.split("\n")) == len(after.split("\n")):
                for one, other in zip(before.split("\n"), after.split("\n"), strict=True):
                    yield from self._of_origin(one, other, new)

    def _of_text(self, place: Place, new: Step, old: Step | None) -> Cause:
        where = f"stage {place[2]}, line {new.instruction.line} of the Dockerfile"
        if old is None:
            return Cause("template", f"{where}: new: {_public(str(new.instruction))}")
        flags = {*old.instruction.flags} ^ {*new.instruction.flags}
        texts = (_whole(old), _whole(new))
        if flags and {name for name, _ in flags} == {"checksum"}:
            one, other = (step.instruction.flag("checksum") or "(none)" for step in (old, new))
            return Cause("checksum", f"{where}: {one} -> {other}")
        one, other = _window(*texts)
        return Cause("template", f"{where}: {_public(one)} -> {_public(other)}")

    def _of_variable(self, name: str, old: Step, new: Step) -> Iterator[Cause]:
        roots = self._roots(name)
        if roots:
            yield from (self._changed[root] for root in roots)
            return
        key = name if name in ("USER", "SHELL", "WORKDIR") else f"variable {name}"
        before, after = old.parts.get(key), new.parts.get(key)
        if causes := tuple(self._by_value(before or "", after or "")):
            yield from causes
            return
        if self._bases[0].get(new.stage) != self._bases[1].get(new.stage):
            return  # It starts from something else, and that is told.
        shown = (
            masking.mask(name, one) if one is not None else "(none)" for one in (before, after)
        )
        yield Cause("template", f"stage {new.stage}: {name}: {' -> '.join(map(_short, shown))}")

    def _of_references(self, text: str) -> Iterator[Cause]:
        for name in dict.fromkeys(_REFERENCE.findall(text)):
            yield from (self._changed[root] for root in self._roots(name))

    def _roots(self, name: str) -> list[str]:
        """The arguments with another value that a variable has its value from."""
        seen, ahead, found = {name}, [name], []
        while ahead:
            one = ahead.pop()
            if one in self._changed:
                found.append(one)
                continue
            for text in sorted(self._texts.get(one, ())):
                ahead += [other for other in _REFERENCE.findall(text) if other not in seen]
                seen.update(_REFERENCE.findall(text))
        return sorted(found)

    def _by_value(self, before: str, after: str) -> Iterator[Cause]:
        """Arguments whose values are in what differs, the old one and the new one."""
        one, other = self.before.image(self.image), self.after.image(self.image)
        for name, cause in self._changed.items():
            old = one.build_args.get(name, "") if one else ""
            new = other.build_args.get(name, "") if other else ""
            if old in before and new in after and (old or new):
                yield cause

    def _of_origin(self, before: str, after: str, new: Step) -> Iterator[Cause]:
        """Of what a step starts from or takes files of: a step, or something from outside."""
        if before == after or before.startswith("image ") or after.startswith("image "):
            return
        old_step = self.old.steps.get(before) if self.old else None
        new_step = self.new.steps.get(after)
        if new_step is not None:
            paired = self._match.get(after)
            if paired is None or paired.key == before:
                return
        if old_step is not None and before not in self._matched:
            gone = _public(str(old_step.instruction))
            yield Cause("template", f"stage {old_step.stage}: left out: {gone}")
            return
        if old_step is not None or new_step is not None:
            named = (_named(step, text) for step, text in ((old_step, before), (new_step, after)))
            yield Cause("template", f"stage {new.stage}: starts from {' -> '.join(named)}")
            return
        yield self._of_outside(before, after)

    def _of_outside(self, before: str, after: str) -> Cause:
        (one, _, old), (other, _, new) = _split(before), _split(after)
        if one == other:
            if new == UNKNOWN:
                return self._unknown(one)
            git = new.startswith("sha1:")
            kind: Kind = "git" if git else "base"
            if before.startswith("context folder"):
                return Cause("files", "a folder that takes the place of a stage has other files")
            return Cause(kind, f"{addresses.public(one)}: {_digests(old, new)}")
        if causes := tuple(self._by_value(one, other)):
            return causes[0]
        kind = "context" if "context" in (one.split(" ")[0], other.split(" ")[0]) else "base"
        return Cause(kind, f"{addresses.public(one)} -> {addresses.public(other)}")

    def _unknown(self, name: str) -> Cause:
        plain = name.rpartition(" ")[2].rpartition("://")[2]
        why = self.after.outlook.names.get(name) or self.after.outlook.names.get(plain, "")
        return Cause("unknown", f"what {addresses.public(name)} stands for now: {_public(why)}")

    def _of_addresses(self, before: str, after: str) -> Iterator[Cause]:
        one, other = (dict(zip(words[::2], words[1::2], strict=False))
                      for words in (before.split(), after.split()))  # fmt: skip
        for address in other:
            if other[address] == UNKNOWN:
                yield self._unknown(address)
            elif one.get(address) != other[address]:
                kind: Kind = "git" if other[address].startswith("sha1:") else "download"
                digests = _digests(one.get(address, "?"), other[address])
                yield Cause(kind, f"{addresses.public(address)}: {digests}")

    def _of_files(self, new: Step) -> Iterator[Cause]:
        before, after = self.before.files, self.after.files
        if before is None or after is None:
            return
        for one in _steps(after, self.image, new):
            every = list(_files(before, after, one.context))
            # A source that is a link leads to files elsewhere.
            changes = [
                text for text in every if _is_below(text.partition(": ")[0], one.sources)
            ] or every
            if not changes:
                continue
            shown = ", ".join(changes[:_SHOWN_FILES])
            more = len(changes) - _SHOWN_FILES
            where = f" of the context {one.context}" if one.context else ""
            yield Cause("files", f"{shown}{f' and {more} more' if more > 0 else ''}{where}")


# ---- matching steps -----------------------------------------------------------------------


def _match(old: Graph, new: Graph) -> dict[str, Step]:
    """The step of *old* for each of *new* that has one, by the key of the latter."""
    stages = dict.fromkeys(place[:2] for place in new.places)
    pairs: dict[str, Step] = {key: old.steps[key] for key in new.steps if key in old.steps}
    for stage in stages:
        ours, theirs = _of_stage(new, stage), _of_stage(old, stage)
        words = [[_whole(step) for step in steps] for steps in (theirs, ours)]
        matcher = difflib.SequenceMatcher(None, words[0], words[1], autojunk=False)
        for tag, a, b, c, d in matcher.get_opcodes():
            if tag == "equal" or (tag == "replace" and b - a == d - c):
                for one, other in zip(theirs[a:b], ours[c:d], strict=True):
                    same = one.instruction.keyword == other.instruction.keyword
                    if same:
                        pairs.setdefault(other.key, one)
    return pairs


def _of_stage(one: Graph, stage: tuple[str, ...]) -> list[Step]:
    places = sorted(place for place in one.places if place[:2] == stage)
    return [one.steps[one.places[place]] for place in places]


def _whole(step: Step) -> str:
    return "\n".join(part for part in (str(step.instruction), step.instruction.body) if part)


def _bases(text: str) -> Mapping[str, str]:
    """What each stage of a Dockerfile starts from."""
    return {stage.name: stage.base for stage in instructions.read(text)[1]}


def _assignments(text: str) -> dict[str, set[str]]:
    """The texts that each variable of a Dockerfile gets its value from."""
    found: dict[str, set[str]] = {}
    for stage in instructions.read(text)[1]:
        for instruction in stage.instructions:
            if instruction.keyword in ("ARG", "ENV"):
                for name, value in instructions.assignments(instruction, {}).items():
                    found.setdefault(name, set()).add(value)
    return found


def _changed(before: Snapshot, after: Snapshot, image: str) -> dict[str, Cause]:
    """The arguments of an image with another value."""
    old, new = before.image(image), after.image(image)
    if old is None or new is None:
        return {}
    found = {}
    for name in sorted({*old.keyed_args, *new.keyed_args}):
        if old.build_args.get(name) == new.build_args.get(name):
            continue
        said = []
        for one in (old, new):
            value = one.build_args.get(name)
            origin = one.origins.get(name, "")
            shown = _short(masking.mask(name, value)) if value is not None else "(none)"
            said.append(f"{shown or '(empty)'}{f' ({origin})' if origin else ''}")
        kind: Kind = "epoch" if name == _EPOCH else "argument"
        found[name] = Cause(kind, f"{name}: {said[0]} -> {said[1]}")
    return found


# ---- files --------------------------------------------------------------------------------


def _steps(taken: ContextRecord, image: str, step: Step) -> Iterator[StepFiles]:
    for one in taken.steps:
        if (one.image, one.stage, one.step) == (image, step.stage, str(step.instruction)):
            yield one


def _files(before: ContextRecord, after: ContextRecord, context: str) -> Iterator[str]:
    """What differs in a context, a line for each path; folders after what is in them."""
    old = before.contexts[context].files if context in before.contexts else {}
    new = after.contexts[context].files if context in after.contexts else {}
    paths = {path for path in {**old, **new} if old.get(path) != new.get(path)}
    for path in sorted(paths, key=lambda one: ((new.get(one) or old[one]).startswith("dir"), one)):
        yield f"{masking.printable(path)}: {_file(old.get(path), new.get(path))}"


def _file(old: str | None, new: str | None) -> str:
    if old is None or new is None:
        return "added" if old is None else "removed"
    one, other = old.split(" "), new.split(" ")
    if one[0] != other[0]:
        return f"{one[0]} -> {other[0]}"
    if one[0] == "link":
        return "link to another target"
    if len(one) > 1 and one[1] != other[1] and one[2:] == other[2:]:
        return f"mode {one[1]} -> {other[1]}"
    return "content"


def _is_below(path: str, sources: tuple[str, ...]) -> bool:
    """Whether a source means *path* or a folder that it is in."""
    parts = path.split("/")
    for source in sources:
        names = source.split("/") if source else []
        patterns = (re.compile(expression(name.replace("**", "*"))) for name in names)
        if len(names) <= len(parts) and all(
            name == part or pattern.match(part)
            for name, pattern, part in zip(names, patterns, parts, strict=False)
        ):
            return True
    return False


# ---- texts --------------------------------------------------------------------------------


def _split(text: str) -> tuple[str, str, str]:
    """A source: its name, and the digest that it was resolved to."""
    name, space, digest = text.rpartition(" ")
    known = digest == UNKNOWN or re.match(r"sha\d+:", digest)
    return (name, space, digest) if known else (text, "", "")


def _digests(*values: str) -> str:
    return " -> ".join(value[: value.find(":") + 13] for value in values)


def _named(step: Step | None, text: str) -> str:
    return f"stage {step.stage}" if step else addresses.public(text)


def _window(old: str, new: str) -> tuple[str, str]:
    """The differing middle of two texts, with a word of what is around it."""
    one, other = old.split(), new.split()
    start = 0
    while start < min(len(one), len(other)) and one[start] == other[start]:
        start += 1
    end = 0
    while end < min(len(one), len(other)) - start and one[-1 - end] == other[-1 - end]:
        end += 1
    first = max(0, start - 1)
    return (
        " ".join(one[first : len(one) - end + 1]) or "(nothing)",
        " ".join(other[first : len(other) - end + 1]) or "(nothing)",
    )


def _public(text: str) -> str:
    return _short(masking.scrub_message(addresses.public(text)))


def _short(text: str) -> str:
    line = one_line(text)
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
