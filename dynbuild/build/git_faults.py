"""Why git says nothing of a tree, and what helps: facts that say so in place of an error.

A plan does not need git: it goes on with a guess, says so, and does not push it.
"""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

from dynbuild.errors import NotReady, one_line
from dynbuild.plan.version import NO_REPOSITORY, Fault, GitFacts

OWNER = "dubious ownership"
"""In git's words of a repository that belongs to another user."""

_ADD = re.compile(r"git config --global --add safe\.directory .+")
_GITFILE = re.compile(r"gitdir: (.+)")
_SHOWN = 160


def facts(directory: Path, said: str) -> GitFacts:
    """What is to be said of *directory*, of which git *said* why it says nothing."""
    top = _marked(directory)
    if OWNER in said:
        add = _ADD.search(said)
        remedy = add[0] if add else "git config --global --add safe.directory FOLDER"
        return _without(f"the repository of {directory} belongs to another user", remedy)
    if top is None:
        return GitFacts(state=NO_REPOSITORY)
    if lost := _lost(top / ".git"):
        return _without(
            f"{top} is a worktree, and its repository is not there any more: {lost}",
            f"where it was moved: git -C REPOSITORY worktree repair {shlex.quote(str(top))}; "
            "in a container: mount it at the same path as outside",
        )
    words = one_line(said.removeprefix("fatal: "))
    return _without(
        f"git cannot read the repository of {directory}: {words[:_SHOWN]}",
        "a new clone has what this one lacks",
    )


def not_started(error: NotReady) -> GitFacts:
    """What is to be said where there is no git."""
    return _without(error.message, error.hint or "install git")


def skipped(directory: Path, repository: Path) -> str:
    """What is wrong with the ``.git`` of *directory*, if git took another *repository* instead.

    git passes over a folder ``.git`` that is no repository, and goes on upwards.
    """
    top = _marked(directory)
    if top is None or not (top / ".git").is_dir():
        return ""
    own = (top / ".git").resolve()
    return "" if own == repository.resolve() else f"{own} is no repository"


def _without(message: str, remedy: str) -> GitFacts:
    return GitFacts(state="git says nothing", fault=Fault(message, remedy))


def _marked(directory: Path) -> Path | None:
    """The nearest folder upwards with a ``.git``, on the same disk, as git looks for it."""
    here = directory.resolve()
    device = here.stat().st_dev
    for folder in (here, *here.parents):
        try:
            if folder.stat().st_dev != device:
                return None
        except OSError:
            return None
        if os.path.lexists(folder / ".git"):
            return folder
    return None


def _lost(marker: Path) -> str:
    """The repository that a worktree's *marker* names, if it is gone."""
    try:
        found = _GITFILE.match(marker.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return ""
    if found is None:
        return ""
    named = marker.parent / found[1].rstrip("\n")
    return "" if named.exists() else str(named)
