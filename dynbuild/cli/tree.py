"""The source tree that a command is about: the folder named, else the one that is stood in."""

from __future__ import annotations

import os
from pathlib import Path

from dynbuild import paths
from dynbuild.cli import console
from dynbuild.errors import RequestError

SETTINGS = "dynbuild.toml"
_RECORDS = ".dynbuild"
_SOURCES = ("components", "lib", "pyproject.toml", "Cargo.toml")
"""What a folder has, all of it, that is Dynamo's source."""


def context(given: str | None) -> Path:
    """The folder *given* by ``--context``, as it is; else the tree of the current folder.

    The tree is looked for upwards, as git and cargo look for theirs, and no further than the
    repository; which one it is is said where it is not the current folder.

    Raises:
        RequestError: There is no current folder any more, or *given* is no path.
    """
    root = root_of(given)
    if given is None and root != Path.cwd():
        console.say(f"the source tree is {root}; --context names another")
    return root


def root_of(given: str | None) -> Path:
    """``context``, and nothing is said of it."""
    if given is not None:
        return _resolved(paths.expanded(given, origin="flag --context"))
    here = _resolved(Path())
    for folder in (here, *here.parents):
        if _is_tree(folder, here):
            return folder
        if (folder / ".git").exists():
            break
    return here


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except FileNotFoundError as error:
        raise RequestError(
            "the current folder does not exist any more", hint="change to one that does"
        ) from error


def _is_tree(folder: Path, here: Path) -> bool:
    """Whether *folder* is the root of a tree, and of one who may say what is built from *here*.

    In a folder for everybody, as /tmp is, anyone could leave settings for who works below it.
    """
    marker = next(
        (folder / name for name in (SETTINGS, _RECORDS) if (folder / name).exists()), None
    )
    if marker is None and all((folder / name).exists() for name in _SOURCES):
        marker = folder / _SOURCES[0]
    if marker is None:
        return False
    return folder == here or marker.stat().st_uid in (0, os.getuid(), here.stat().st_uid)
