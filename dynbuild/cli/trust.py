"""Whether the settings file of a tree may do what it asks for: told, asked, remembered."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from dynbuild import paths
from dynbuild.cli import console, prompt
from dynbuild.errors import RequestError
from dynbuild.settings.option import Option

if TYPE_CHECKING:
    from dynbuild.settings.load import Settings
    from dynbuild.settings.trust import Widening

HELP = "Consent to what the tree's dynbuild.toml asks for."

TRUST = Option(
    name="trust",
    kind="switch",
    switches=(("--trust", True),),
    help=HELP,
    doc="consent to what the tree's `dynbuild.toml` asks for, once",
)


def check(settings: Settings, asked: Sequence[Widening], *, trust: bool) -> None:
    """Go on only with consent to what the tree's own file *asked* for.

    Args:
        settings: The settings that it is part of.
        asked: What it asks for in this command.
        trust: Whether the caller consents to all that the file asks for.

    Raises:
        RequestError: There is no consent, and nobody to ask for it.
    """
    file = settings.tree_file
    if file is None or not (asked or trust):
        return
    from dynbuild.settings import consent
    from dynbuild.settings.trust import of_file

    if trust:
        asked = list({one.identity: one for one in (*of_file(settings), *asked)}.values())
    store = folder()
    new = consent.missing(store, file, asked)
    if not new:
        return
    lines = tuple(map(str, new))
    if trust:
        console.say(f"trusted from now on, until {file} changes:")
    elif _somebody_is_there():
        console.say(f"{file} was taken because it is in the tree, and asks for more than a build:")
    else:
        raise RequestError(
            f"{file} was taken because it is in the tree, and asks for more than a tree may do",
            details=lines,
            hint="--trust consents to it, once for this content; --config names a file of yours",
        )
    for line in lines:
        console.say(f"  {_plain(line)}")
    if not trust and not typer.confirm("Trust it with that?", default=False, err=True):
        raise RequestError("what the tree asks for was not consented to")
    consent.grant(store, file, new)


def notes(settings: Settings, asked: Sequence[Widening], command: str) -> tuple[str, ...]:
    """What *command* will ask consent for, as warnings of a command that only looks."""
    if settings.tree_file is None or not asked:
        return ()
    from dynbuild.settings import consent

    missing = consent.missing(folder(), settings.tree_file, asked)
    return tuple(_plain(f"{one} ({command} asks for --trust)") for one in missing)


def _plain(text: str) -> str:
    """*text* without secrets, and with nothing in it that moves a terminal's cursor."""
    from dynbuild import masking

    scrubbed = masking.scrub_message(text)
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in scrubbed)


def folder() -> Path:
    """Where consents are kept, outside of every tree."""
    return paths.home(os.environ) / "trust"


def _somebody_is_there() -> bool:
    return prompt.is_interactive() and not os.environ.get("CI")
