"""Rendered Dockerfiles as graphs of steps, each with a key: equal keys are the same work.  Pure.

BuildKit runs a step once for all builds whose definition of it is the same: the instruction, the
variables it sees, and what it is built on or takes files from.  The key of a step here is made of
the same parts.  It needs no engine, and does not change from build to build, as BuildKit's digests
do below a local context, whose definition has the client's session in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from dynbuild.plan.document import LINK, ImagePlan
from dynbuild.render import instructions
from dynbuild.render.instructions import Instruction, Stage
from dynbuild.settings.models import PASSED_THROUGH

FILES = frozenset({"RUN", "COPY", "ADD", "WORKDIR"})
"""Instructions that make files, and so are steps of their own."""

Files = Mapping[tuple[str, str], str]
"""Digests of the files that steps take from build contexts, by stage and instruction."""

Pins = Mapping[tuple[str, str], str]
"""What images and addresses were resolved to, by their name and the platform (or nothing)."""

_NO_FILES: Files = {}
_NO_PINS: Pins = {}
_NAMED = ("docker-image://", "oci-layout://")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step.

    Attributes:
        key: Equal for the same work; hexadecimal.
        stage: Its stage.
        index: Its number in the stage as BuildKit counts: FROM is 1.
        instruction: What is done.
        inputs: Keys of the steps whose result it starts from or takes files of.
        platform: Such as ``linux/amd64``.
        parts: What the key is made of, by name; the values of variables among them.
    """

    key: str
    stage: str
    index: int
    instruction: Instruction
    inputs: tuple[str, ...]
    platform: str
    parts: Mapping[str, str]

    @property
    def is_run(self) -> bool:
        """Whether it runs a command."""
        return self.instruction.keyword == "RUN"

    @property
    def is_linked(self) -> bool:
        """Whether it makes a layer that does not depend on those below it (``--link``)."""
        return any(name == "link" and value != "false" for name, value in self.instruction.flags)


@dataclass(frozen=True, slots=True)
class Graph:
    """The steps of one image.

    Attributes:
        image: Its id.
        steps: By their keys, each after those that it needs.
        key: Of the whole image: its last steps on every platform, and its configuration.
        places: Keys by platform, stage and number in the stage, from 1.
    """

    image: str
    steps: Mapping[str, Step]
    key: str
    places: Mapping[tuple[str, str, int], str] = field(default_factory=dict)

    def below(self, key: str) -> frozenset[str]:
        """The keys of a step and of all that it needs."""
        seen, ahead = {key}, [key]
        while ahead:
            new = set(self.steps[ahead.pop()].inputs) - seen
            seen |= new
            ahead += new
        return frozenset(seen)


def of(
    image: ImagePlan,
    text: str,
    *,
    linked: Mapping[str, Graph] | None = None,
    files: Files = _NO_FILES,
    pins: Pins = _NO_PINS,
    network: str = "",
) -> Graph:
    """The graph of *image*.

    Args:
        image: What is built.
        text: Its Dockerfile.
        linked: Graphs of the images of the same plan that it is built on, by their ids.
        files: What steps take from build contexts; without it, the same instruction on the
            same context takes the same files.
        pins: What images and addresses were resolved to; without it, the same name is the same.
        network: Of RUN steps that name none; nothing where it is the same for all graphs.
    """
    steps: dict[str, Step] = {}
    places: dict[tuple[str, str, int], str] = {}
    ends = []
    for platform in image.platforms:
        reader = _Reader(image, text, platform, linked or {}, _Outside(files, pins, network))
        ends.append(reader.stage(image.stage).digest())
        steps |= reader.steps
        places |= reader.places
    # Labels that tell how a build came about are no content.
    labels = sorted(item for item in image.labels.items() if not item[0].startswith("dynbuild."))
    key = _key({"ends": " ".join(ends), "labels": repr(labels)})
    return Graph(image.name, steps, key, places)


def shared(graphs: Iterable[Graph]) -> Mapping[str, tuple[str, ...]]:
    """The images that have each step, for the steps that several have; keys in order."""
    owners: dict[str, list[str]] = {}
    for graph in graphs:
        for key in graph.steps:
            owners.setdefault(key, []).append(graph.image)
    return {key: tuple(images) for key, images in owners.items() if len(images) > 1}


def cut(text: str, step: Step) -> str:
    """The Dockerfile *text* with the stage of *step* ending behind the step."""
    lines = text.split("\n")
    end = step.instruction.line
    later = (
        number
        for number, line in enumerate(lines[end:], start=end)
        if line.lstrip().upper().startswith("FROM ")
    )
    return "\n".join((*lines[:end], "", *lines[next(later, len(lines)) :]))


@dataclass(frozen=True, slots=True)
class _State:
    """What a stage has come to: what the next instruction starts from."""

    last: str
    source: str
    variables: Mapping[str, str] = field(default_factory=dict)
    inherited: Mapping[str, str] = field(default_factory=dict)
    other: Mapping[str, str] = field(default_factory=dict)

    def digest(self) -> str:
        return _key(
            {
                "last": self.last or self.source,
                "variables": repr(sorted(self.inherited.items())),
                "other": repr(sorted(self.other.items())),
            }
        )


@dataclass(frozen=True, slots=True)
class _Outside:
    """What is not in the text: files of contexts, what names stand for, the network."""

    files: Files
    pins: Pins
    network: str

    def pinned(self, name: str, platform: str) -> str:
        """*name* of an image, or an address, with what it was resolved to."""
        plain = name
        for prefix in _NAMED:
            plain = plain.removeprefix(prefix)
        digest = self.pins.get((plain, platform)) or self.pins.get((plain, ""))
        return f"{name} {digest}" if digest else name


class _Reader:
    """Reads the stages that an image needs, once each."""

    def __init__(
        self,
        image: ImagePlan,
        text: str,
        platform: str,
        linked: Mapping[str, Graph],
        outside: _Outside,
    ) -> None:
        defaults, stages = instructions.read(text)
        architecture = platform.split("/")[1] if "/" in platform else platform
        self._automatic = {"TARGETPLATFORM": platform, "TARGETARCH": architecture}
        self._given = {**defaults, **image.keyed_args}
        self._stages = {stage.name.lower(): stage for stage in stages}
        self._contexts = {name.lower(): where for name, where in image.contexts.items()}
        self._platform, self._linked, self._outside = platform, linked, outside
        self._epoch = image.build_args.get("SOURCE_DATE_EPOCH", "")
        self._states: dict[str, _State] = {}
        self.steps: dict[str, Step] = {}
        self.places: dict[tuple[str, str, int], str] = {}

    def stage(self, name: str) -> _State:
        """What the stage *name*, or the image or context of that name, comes to."""
        low = name.lower()
        if low not in self._states:
            self._states[low] = self._read(name)
        return self._states[low]

    def _read(self, name: str) -> _State:
        where = self._contexts.get(name.lower())
        if where is not None:
            link = self._linked.get(where.removeprefix(LINK)) if where.startswith(LINK) else None
            if link:
                return _State("", f"image {link.key}")
            return _State("", f"context {self._outside.pinned(where, self._platform)}")
        stage = self._stages.get(name.lower())
        if stage is None:
            return _State("", self._outside.pinned(name, self._platform))
        start = instructions.expand(stage.base, {**self._given, **self._automatic})
        base = self.stage(start)
        if taken := self._outside.files.get((stage.name, f"FROM {start}")):
            base = replace(base, source=f"{base.source} {taken}")
        state = replace(base, variables=dict(base.inherited))
        number = 0
        for instruction in stage.instructions:
            number += instruction.keyword in FILES
            state = self._next(state, stage, instruction, number)
        return state

    def _next(self, state: _State, stage: Stage, instruction: Instruction, at: int) -> _State:
        keyword = instruction.keyword
        if keyword in ("ARG", "ENV"):
            return self._with_variables(state, instruction)
        if keyword not in FILES:
            text = instructions.expand(instruction.text, state.variables)
            return replace(state, other={**state.other, keyword: text})
        step = self._step(state, stage, instruction)
        self.steps.setdefault(step.key, step)
        self.places[self._platform, stage.name, at] = step.key
        after = replace(state, last=step.key)
        if keyword == "WORKDIR":
            where = instructions.expand(instruction.text, state.variables)
            return replace(after, other={**state.other, keyword: where})
        return after

    def _with_variables(self, state: _State, instruction: Instruction) -> _State:
        if instruction.keyword == "ENV":
            set_by = instructions.assignments(instruction, state.variables)
            return replace(
                state,
                variables={**state.variables, **set_by},
                inherited={**state.inherited, **set_by},
            )
        name, separator, default = instruction.text.partition("=")
        value = self._automatic.get(name, self._given.get(name))
        if value is None and separator:
            value = instructions.expand(default.strip("\"'"), state.variables)
        # What ENV set stays, and what has no value is not in the environment.
        if value is None or name in state.inherited:
            return state
        return replace(state, variables={**state.variables, name: value})

    def _step(self, state: _State, stage: Stage, instruction: Instruction) -> Step:
        takes = tuple(self._takes(instruction, state.variables))
        parts = {
            "instruction": f"{instruction.keyword} {instruction.text}",
            "flags": repr(instruction.flags),
            "body": instruction.body,
            "from": state.last or state.source,
            "takes": "\n".join(one.last or one.source for one in takes),
            "platform": self._platform,
            "files": self._outside.files.get((stage.name, str(instruction)), ""),
        }
        if instruction.keyword == "RUN":
            used = {
                key: state.other[key] for key in ("USER", "SHELL", "WORKDIR") if key in state.other
            }
            parts |= {f"variable {key}": value for key, value in self._seen(state).items()} | used
            if self._outside.network and not instruction.flag("network"):
                parts["network"] = self._outside.network
        else:
            parts |= self._written(instruction, state)
        inputs = dict.fromkeys(one.last for one in (state, *takes) if one.last)
        made = [one for one in stage.instructions if one.keyword in FILES]
        return Step(
            key=_key(parts),
            stage=stage.name,
            index=2 + next(number for number, one in enumerate(made) if one is instruction),
            instruction=instruction,
            inputs=tuple(inputs),
            platform=self._platform,
            parts=parts,
        )

    def _written(self, instruction: Instruction, state: _State) -> Mapping[str, str]:
        """What a step that runs nothing has its variables for."""
        text = instructions.expand(str(instruction), {**self._automatic, **state.variables})
        parts = {"expanded": text}
        if instruction.keyword == "ADD":
            resolved = (self._outside.pinned(word, "") for word in text.split())
            parts["resolved"] = " ".join(one for one in resolved if " " in one)
        # Folders and files that are made, not copied, have the time that is set.
        if self._epoch and (instruction.keyword == "WORKDIR" or instruction.body):
            parts["SOURCE_DATE_EPOCH"] = self._epoch
        return parts

    @staticmethod
    def _seen(state: _State) -> Mapping[str, str]:
        return {key: value for key, value in state.variables.items() if key not in PASSED_THROUGH}

    def _takes(self, instruction: Instruction, values: Mapping[str, str]) -> Iterator[_State]:
        """The states of what an instruction takes files from, apart from the tree itself."""
        for name in instructions.origins(instruction, {**values, **self._automatic}):
            yield self.stage(name)


def _key(parts: Mapping[str, str]) -> str:
    text = "\0".join(f"{name}\0{value}" for name, value in sorted(parts.items()))
    return hashlib.sha256(text.encode("utf-8", errors="surrogateescape")).hexdigest()
