"""What an option is: its names, what it takes, and how its layers combine.  Pure.

An option is declared once.  From the declaration derive the parameter of each command that
has it (``dynbuild.cli.parameters``), the field of the settings (``dynbuild.settings.models``),
the variable (``dynbuild.settings.environment``), the fold of its layers, and the tables of the
documentation.  The declarations are in ``request_options`` and ``run_options``.

Nothing slow is imported here: completion of words on the command line reads them too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from dynbuild.quick import dataclass
from dynbuild.settings.layers import KeyPath

Kind = Literal["text", "integer", "switch", "list", "pairs"]
"""The shape of a value: text, a whole number, true or false, a list of texts, or a list of
``NAME=VALUE`` that sets a key each."""

Merge = Literal["replace", "append", "by-key"]
"""How a value combines with those of lower layers: it takes their place; its items come after
theirs; or each item takes the place of the one with the same ``KEY=``."""

Form = Literal[
    "", "path", "size", "number", "gpus", "port", "mount", "long-mount", "limit", "image", "user",
    "group", "variable", "name", "word", "folder", "file", "label", "device", "host", "restart",
    "docker-argument", "nodes", "network", "ipc", "capability", "security",
]  # fmt: skip
"""The grammar of a text, or of each item of a list; empty for any text."""

Source = Literal[
    "", "folder", "file", "framework", "target", "device", "line", "cuda", "platform",
    "argument", "source", "context", "profile", "image", "variable", "cell", "matrix",
]  # fmt: skip
"""What the words are that a shell may offer: names of the catalog, of the disk, and so on."""

ENV_PREFIX = "DYNBUILD_"
ARG_PREFIX = "DYNBUILD_ARG_"
RUN_PREFIX = "DYNBUILD_RUN_"

COMMAS = r",|\n"
LINES = r"\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """The declaration of one option.

    Attributes:
        name: Its name among the options of a command.
        help: What ``--help`` says.
        kind: The shape of its value.
        several: Whether a text may be several, with commas between them or the flag repeated.
        flags: Spellings that take a value.
        switches: Spellings that take none, each with the value that it sets.
        shown: Which of *switches* the help has room for: the first, or all.
        bare: The value of a flag that is written without one.
        panel: The group it stands in.
        metavar: What stands for its value.
        path: The setting it sets; empty for what is of one call only.
        env: The variable of an option that sets no setting.
        merge: How its layers combine; files among themselves always replace.
        form: The grammar of its text.
        choices: The words it takes, where it takes no others.
        words: Words that it may be completed with.
        source: Where more of them come from.
        separator: What separates the items of a list in a variable, as a regular expression.
        default: What it is when nothing is said, in words; empty takes the catalog's value.
        doc: What the documentation says it sets or becomes; empty for *help*.
        docker: The option of ``docker run`` that its value becomes as it is; empty for an
            option that ``dynbuild.run.launch`` has words of its own for.
        compose: The key of a Compose service that takes the value of such an option.
        pod: The key of a Pod's ``spec`` that does.
    """

    name: str
    help: str
    kind: Kind = "text"
    several: bool = False
    flags: tuple[str, ...] = ()
    switches: tuple[tuple[str, str | bool], ...] = ()
    shown: Literal["first", "all"] = "first"
    bare: str = ""
    panel: str = ""
    metavar: str = ""
    path: KeyPath = ()
    env: str = ""
    merge: Merge = "replace"
    form: Form = ""
    choices: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    source: Source = ""
    separator: str = COMMAS
    default: str = ""
    doc: str = ""
    docker: str = ""
    compose: str = ""
    pod: str = ""

    @property
    def spellings(self) -> tuple[str, ...]:
        """Everything that can be written for it on a command line."""
        return (*self.flags, *(spelling for spelling, _ in self.switches))

    @property
    def flag(self) -> str:
        """The spelling that messages name: the first long one."""
        return next((flag for flag in self.spellings if flag.startswith("--")), self.spellings[0])

    def spelling_of(self, value: bool) -> str:
        """How a switch is written for *value*."""
        said = [spelling for spelling, to in self.switches if to == value]
        return next((one for one in said if one.startswith("--")), "leave it out")

    @property
    def variable(self) -> str:
        """The variable that sets it; empty where there is none."""
        match self.path:
            case ("run", key):
                return f"{RUN_PREFIX}{key.upper()}"
            case ("request" | "site", key):
                return f"{ENV_PREFIX}{key.upper()}"
            case ("args", name):
                return f"{ARG_PREFIX}{name}"
        return self.env


def long(name: str) -> str:
    """The long flag of an option: ``--shm-size`` of ``shm_size``."""
    return f"--{name.replace('_', '-')}"


def on(
    name: str, yes: str | bool = True, no: str | bool = False
) -> tuple[tuple[str, str | bool], ...]:
    """The switches of what is off by default: ``--name``, and ``--no-name`` against settings."""
    return (long(name), yes), (f"--no-{name.replace('_', '-')}", no)


def off(
    name: str, yes: str | bool = True, no: str | bool = False
) -> tuple[tuple[str, str | bool], ...]:
    """The switches of what is on by default."""
    first, second = on(name, yes, no)
    return second, first


def by_name(options: Iterable[Option]) -> dict[str, Option]:
    """*options* by their names."""
    return {option.name: option for option in options}
