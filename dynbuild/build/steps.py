"""The name of a build step, taken apart: the one place that knows how BuildKit writes it.

An instruction is ``[TARGET PLATFORM STAGE INDEX/TOTAL] INSTRUCTION``. Bake puts the target first
where it builds several, BuildKit the platform where it builds for several (``linux/arm64``, or
``linux/amd64->arm64`` in a stage that runs on one for the other), and the stage is left out where
the only one has no name. Work of its own is ``[TARGET PLATFORM SCOPE] TEXT``, with a scope such
as ``internal``, ``auth`` or ``context NAME``, or a bare text such as ``exporting to image``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

_BRACKETS = re.compile(r"\[([^\]]+)\] (.*)", re.DOTALL)
_COUNTED = re.compile(r"(?:(\S+(?: \S+)*) )? *([0-9]{1,9})/([0-9]{1,9})")
_SCOPES = ("internal", "auth", "context")
_OPTIONS = re.compile(r"--(?:mount|network|chown|chmod|checksum|from)=\S+\s*")
# What every installation begins with says nothing of which one it is.
_INSTALL = re.compile(
    r"rm -f \S*docker-clean && apt-get (?:-\S+ )*update && DEBIAN\S+ "
    r"|again\(\) \{ .*?; return 1; \} && again (?=dnf )"
)
# Nor do options that every download has.
_PATIENCE = re.compile(
    r" (?:--no-install-recommends|-oAcquire::Retries=\d+|--retries \d+|--setopt=\w+=\d+)(?= |$)"
)

_HEAD = re.compile(r"^\[[^\]]+\] ")
# Commands that say nothing of what a step is for.
_DULL = re.compile(
    r"(?:cd|export|set|mkdir|echo|printf|true|umask|test|trap|unset|shopt|if|then|else|fi|for|do"
    r"|done|while|case|esac|find|return|exit|local)(?: |$)|[A-Za-z_]\w*\(\)|\[ |!"
    r"|[A-Za-z_]\w*=(?:\S*|\"[^\"]*\"|'[^']*')$"
)
_PIECES = re.compile(r"\\.|&&|\|\||\$\(|[;{}()'\"]|[^\\&|$;{}()'\"]+|.", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepName:
    """The name of a step.

    Attributes:
        target: The bake target that told of it; empty where only one is built.
        platform: For which it runs; empty where only one is built for.
        stage: The stage of the Dockerfile; empty for work that belongs to none.
        scope: What stands in the place of a stage: ``internal``, ``auth``, ``context NAME``.
        index: Its number in the stage, from 1; 0 for work that belongs to no stage.
        total: How many the stage has.
        instruction: The instruction of the Dockerfile, or what else is done.
    """

    target: str = ""
    platform: str = ""
    stage: str = ""
    scope: str = ""
    index: int = 0
    total: int = 0
    instruction: str = ""

    @classmethod
    def parse(cls, text: str, targets: Collection[str] = ()) -> StepName:
        """Take *text* apart; one of an unknown form is an instruction as a whole.

        Args:
            text: As BuildKit and bake write it.
            targets: Targets that names may begin with. A lone word is a target if it is
                among them, and a stage or a scope otherwise.
        """
        if not (brackets := _BRACKETS.fullmatch(text)):
            return cls(instruction=text)
        head, instruction = brackets.groups()
        if counted := _COUNTED.fullmatch(head):
            words = (counted[1] or "").split()
            name = cls._of_stage(words, int(counted[2]), int(counted[3]), instruction, targets)
        else:
            name = cls._of_scope(head.split(" "), instruction, targets)
        # Nothing of a name is lost: one that would be written otherwise is of another form.
        return name if name and str(name) == text else cls(instruction=text)

    @classmethod
    def _of_stage(
        cls,
        words: list[str],
        index: int,
        total: int,
        instruction: str,
        targets: Collection[str],
    ) -> StepName | None:
        before, platform, after = _around_platform(words)
        if not platform:
            prefixed = len(before) == 2 or (len(before) == 1 and before[0] in targets)
            before, after = (before[:1], before[1:]) if prefixed else ([], before)
        if len(before) > 1 or len(after) > 1:
            return None
        return cls(
            target="".join(before),
            platform=platform,
            stage="".join(after),
            index=index,
            total=total,
            instruction=instruction,
        )

    @classmethod
    def _of_scope(cls, words: list[str], instruction: str, targets: Collection[str]) -> StepName:
        target, platform, rest = "", "", words
        if rest[0] in targets or (rest[0] not in _SCOPES and "/" not in rest[0]):
            target, *rest = rest
        if rest and "/" in rest[0]:
            platform, *rest = rest
        if rest and rest[0] not in _SCOPES:
            return cls(scope=" ".join(words), instruction=instruction)
        scope = " ".join(rest)
        return cls(target=target, platform=platform, scope=scope, instruction=instruction)

    def __str__(self) -> str:
        """As BuildKit writes it: the index is as wide as the total."""
        count = f"{self.index:{len(str(self.total))}}/{self.total}" if self.total else ""
        head = (self.target, self.platform, self.stage or self.scope, count)
        written = " ".join(part for part in head if part)
        return f"[{written}] {self.instruction}" if written else self.instruction

    @property
    def is_internal(self) -> bool:
        """Whether it is BuildKit's or bake's own work, no instruction of a Dockerfile."""
        return not self.total

    @property
    def is_instruction(self) -> bool:
        """Whether it is an instruction that makes a layer.

        FROM is none: looking at an image is never cached.
        """
        return not self.is_internal and not self._bare.startswith("FROM ")

    @property
    def is_run(self) -> bool:
        """Whether it is a RUN instruction, the kind that costs time."""
        return not self.is_internal and re.match(r"RUN\b", self._bare) is not None

    @property
    def _bare(self) -> str:
        return self.instruction.removeprefix("ONBUILD ")

    @property
    def label(self) -> str:
        """What a line that the step printed is shown with: target, platform and stage."""
        parts = (self.target, self.platform, self.stage or self.scope)
        count = f"{self.index}/{self.total}" if self.total else self.instruction
        return " ".join(part for part in parts if part) or count

    @property
    def telling(self) -> str:
        """What the step really does, without its place: of a shell line the commands that count.

        What only changes the folder, sets a variable or asks a question is left out.
        """
        words = _HEAD.sub("", self.title)
        return f"RUN {_telling(words[4:])}" if self.is_run and words.startswith("RUN ") else words

    def fits(self, pattern: str) -> bool:
        """Whether *pattern* means the step: its stage, a part of what it does, or a glob."""
        text = _HEAD.sub("", self.telling)
        names = (self.stage, text, f"{self.stage}: {text}")
        return any(fnmatchcase(name, pattern) for name in names) or pattern in text

    @property
    def title(self) -> str:
        """The name in one line: white space folded, mounts and other options left out."""
        folded = re.sub(r"\s+", " ", _OPTIONS.sub("", str(self)))
        return _PATIENCE.sub("", _INSTALL.sub("", folded))


def _telling(command: str) -> str:
    """The commands of a shell line that do something, joined; all of it where none does."""
    kept = [part for part in _commands(command) if not _DULL.match(part)]
    return " && ".join(kept) or command


def _commands(line: str) -> Iterator[str]:
    """The simple commands of a shell line, as far as quotes and parentheses tell them apart."""
    part, quote, depth = "", "", 0
    for piece in _PIECES.findall(line):
        if quote:
            quote = "" if piece == quote else quote
        elif piece in ("'", '"'):
            quote = piece
        elif piece in ("(", "$("):
            depth += 1
        elif piece == ")":
            depth = max(0, depth - 1)
        elif piece in ("&&", "||", ";", "{", "}") and not depth:
            if part.strip():
                yield part.strip()
            part = ""
            continue
        part += piece
    if part.strip():
        yield part.strip()


def _around_platform(words: list[str]) -> tuple[list[str], str, list[str]]:
    """The words before the platform, the platform, and those after it."""
    for position, word in enumerate(words):
        if "/" in word:
            return words[:position], word, words[position + 1 :]
    return words, "", []
