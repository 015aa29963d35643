"""What git says of the repository that a build context is in.

git's own commands are asked, four at most: what they print is stable, they know worktrees,
packed references and shallow clones, and together they take less time than the import of a
library that would start the same commands.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from dynbuild import proc
from dynbuild.errors import NotReady
from dynbuild.plan.version import GitFacts

_RELEASES = "refs/remotes/origin/release/"


def read(directory: Path, env: Mapping[str, str]) -> GitFacts:
    """The facts of the repository that *directory* is in (a worktree is one too).

    Raises:
        NotReady: git is not installed, or refuses the repository.
    """
    if not directory.is_dir():
        return GitFacts(state="not a repository")
    # Messages and names are read: they are not to depend on the caller's language.
    env = {**env, "LC_ALL": "C", "LANGUAGE": "C"}

    def ask(*words: str) -> proc.Completed:
        argv = ("git", "-C", str(directory), *words)
        return proc.run(argv, env=env, check=False, needs="install git")

    asked = ask(
        *("status", "--porcelain=v2", "--branch", "--no-ahead-behind", "--untracked-files=normal")
    )
    if asked.returncode != 0:
        if "not a git repository" in asked.stderr:
            return GitFacts(state="not a repository")
        raise _refused(directory, asked)
    status = _status(asked.stdout)
    listed = ask(
        *("for-each-ref", "--sort=-version:refname"),
        *("--format=%(objectname) %(*objectname) %(refname)", "refs/tags/", _RELEASES),
    )
    if listed.returncode != 0:
        raise _refused(directory, listed)
    refs = _references(listed.stdout)
    releases = tuple(
        ref.name.removeprefix("refs/remotes/") for ref in refs if ref.name.startswith(_RELEASES)
    )
    tags = [ref for ref in refs if ref.name.startswith("refs/tags/")]
    versions = tuple(ref.tag for ref in tags if fnmatchcase(ref.tag, "v*"))
    if not status.commit:
        return GitFacts(
            state="no commit yet", release_branches=releases, tags=versions, dirty=status.dirty
        )
    parsed = ask("rev-parse", "--is-shallow-repository", "--short", "HEAD")
    # The working tree was compared a moment ago; --dirty would do it again.
    described = ask("describe", "--tags", "--always")
    for answer in (parsed, described):
        if answer.returncode != 0:
            raise _refused(directory, answer)
    shallow, short = parsed.stdout.split()
    here = [ref.tag for ref in tags if status.commit in ref.objects]
    return GitFacts(
        short=short,
        commit=status.commit,
        exact_tag=next((tag for tag in here if re.match(r"v\d", tag)), next(iter(here), "")),
        release_branches=releases,
        tags=versions,
        dirty=status.dirty,
        shallow=shallow == "true",
        described=described.stdout.strip() + ("-dirty" if status.changed else ""),
        branch=status.branch,
    )


class Reading:
    """The facts of a repository, read while something else is done."""

    def __init__(self, directory: Path, env: Mapping[str, str]) -> None:
        self._given = directory, dict(env)
        self._read: GitFacts | BaseException = GitFacts()
        self._thread = threading.Thread(target=self._run, name="git", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._read = read(*self._given)
        except BaseException as error:
            self._read = error

    def facts(self) -> GitFacts:
        """The facts, when they are there.

        Raises:
            NotReady: As ``read`` does.
        """
        self._thread.join()
        if isinstance(self._read, BaseException):
            raise self._read
        return self._read


class _Status(NamedTuple):
    """The state of the working tree; *changed* counts tracked files only."""

    commit: str
    branch: str
    dirty: bool
    changed: bool


def _status(text: str) -> _Status:
    """What ``git status --porcelain=v2 --branch`` prints."""
    head: dict[str, str] = {}
    marks = set()
    for line in text.splitlines():
        mark, _, rest = line.partition(" ")
        if mark == "#":
            key, _, value = rest.partition(" ")
            head[key] = value
        elif mark:
            marks.add(mark)
    commit, branch = head.get("branch.oid", ""), head.get("branch.head", "")
    return _Status(
        commit="" if commit == "(initial)" else commit,
        branch="" if branch == "(detached)" else branch,
        dirty=bool(marks),
        changed=bool(marks - {"?"}),
    )


class _Reference(NamedTuple):
    """A reference: what it points at, for a tag with a message also what that points at."""

    objects: tuple[str, ...]
    name: str

    @property
    def tag(self) -> str:
        return self.name.removeprefix("refs/tags/")


def _references(text: str) -> list[_Reference]:
    rows = (line.split(" ", 2) for line in text.splitlines() if line)
    return [_Reference((own, peeled), name) for own, peeled, name in rows]


def _refused(directory: Path, answer: proc.Completed) -> NotReady:
    return NotReady(
        f"git refuses the repository of {directory}",
        hint="'git config --global --add safe.directory …' if it belongs to another user; "
        "or set commit_id, current_tag and DYNAMO_COMMIT_SHA and leave git out",
        details=tuple(answer.stderr.strip().splitlines()[:4]),
    )
