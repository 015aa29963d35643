"""Which version is being built, derived from the facts of git.

The rules are those of the replaced script: exact tag, release branches, tags, fallback.  Of
several tags the highest counts, in the order of PEP 440: a release comes after its candidates,
and ``rc10`` after ``rc9``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import NamedTuple

from dynbuild.quick import dataclass
from dynbuild.settings.layers import Origin

FALLBACK = "0.0.1"
"""The last resort where neither a release branch nor a tag says anything."""

_RELEASE_BRANCH = re.compile(r"origin/release/(\d{1,9})\.(\d{1,9})\.(\d{1,9})", re.ASCII)


_HEAD = Origin("git", "HEAD")


NO_REPOSITORY, NO_COMMIT = "not a repository", "no commit yet"


class Fault(NamedTuple):
    """Why git says nothing of a tree that has a repository, and what helps."""

    message: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GitFacts:
    """What the repository says; all empty where there is none.

    Attributes:
        state: ``""`` normally, else in some words why facts are missing.
        fault: What is wrong, where they should not be missing.
        short: Abbreviated HEAD.
        commit: Full HEAD.
        tags_here: The tags pointing at HEAD, as they are written.
        release_branches: Remote branch names such as ``origin/release/0.9.0``.
        tags: All tags.
        dirty: Whether tracked or untracked files differ from HEAD.
        shallow: Whether history is cut off, so that tags may be missing.
        described: What ``git describe --tags --dirty --always`` says.
        branch: The branch that is checked out; empty for a detached HEAD.
    """

    state: str = ""
    fault: Fault | None = None
    short: str = ""
    commit: str = ""
    tags_here: tuple[str, ...] = ()
    release_branches: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    dirty: bool = False
    shallow: bool = False
    described: str = ""
    branch: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """The derived version.

    Attributes:
        tag: For image tags, ``v0.9.0`` or ``v0.9.0.dev.1a2b3c4``; may hold characters an
            image tag cannot (they are replaced where the tag is made).
        python: The same as a Python version, ``0.9.0`` or ``0.9.0.dev+1a2b3c4``.
        commit: Full commit, empty where there is none.
        dirty: Whether the tree had changes.
        origin: Which rule gave it.
        commit_origin: Where *commit* came from.
        described: What ``git describe`` says; empty where there is no commit.
        branch: The branch that is built; a CI system's variable where HEAD is detached.
        base: The last commit in common with main, where somebody asked git for it.
        guess: Whether there is a word in place of the commit: what such a version names
            cannot be told from what another tree without git is named.
        warning: Why it is one, where git should have known, and what helps.
    """

    tag: str
    python: str
    commit: str
    dirty: bool
    origin: str
    commit_origin: Origin = _HEAD
    described: str = ""
    branch: str = ""
    base: str = ""
    guess: bool = False
    warning: str = ""


def derive(git: GitFacts, env: Mapping[str, str]) -> Version:
    """The version for *git*'s facts.

    The variables ``commit_id``, ``current_tag``, ``latest_tag`` and ``DYNAMO_COMMIT_SHA``
    replace what git says of the short commit, the exact tag, the latest release and the
    full commit.
    """
    # CI systems check out a commit and not a branch, and tell the branch in a variable.
    proposed, merged = env.get("GITHUB_HEAD_REF"), env.get("GITHUB_REF_NAME", "")
    if proposed == "main":
        # Of a fork, whose main is not this one's: nobody's proposal writes main's build cache.
        proposed = merged
    branch = git.branch or proposed or env.get("CI_COMMIT_REF_NAME") or merged
    given = env.get("DYNAMO_COMMIT_SHA")
    commit = given or git.commit
    commit_origin = Origin("environment", "DYNAMO_COMMIT_SHA") if given else _HEAD
    exact = env.get("current_tag") or _highest(git.tags_here)
    if exact:
        number = exact.removeprefix("v")
        origin = "variable current_tag" if env.get("current_tag") else f"git tag {exact}"
        return Version(
            tag=f"v{number}",
            python=number,
            commit=commit,
            dirty=git.dirty,
            origin=origin,
            commit_origin=commit_origin,
            described=git.described,
            branch=branch,
        )
    known = env.get("commit_id") or git.short
    short = known or ("nocommit" if git.state == NO_COMMIT else "nogit")
    latest, origin = _latest(git, env)
    if git.state:
        origin = f"{origin}; {git.state}"
    if git.shallow:
        origin = f"{origin}; shallow clone, tags may be missing"
    return Version(
        tag=f"v{latest}.dev.{short}",
        python=f"{latest}.dev+{short}",
        commit=commit,
        dirty=git.dirty,
        origin=origin,
        commit_origin=commit_origin,
        described=git.described,
        branch=branch,
        guess=not known,
        warning=_warning(git, short) if not known else "",
    )


def _warning(git: GitFacts, short: str) -> str:
    if git.fault is None:
        return ""
    message, remedy = git.fault
    return (
        f"the version has '{short}' in place of a commit: {message} ({remedy}; "
        "or set the variables current_tag and DYNAMO_COMMIT_SHA)"
    )


def _highest(tags: Iterable[str]) -> str:
    """Of *tags* the highest that looks like a version, else any, but always the same; or empty.

    What begins with ``v`` and a digit comes before all else.
    """
    several = sorted(tags)
    if len(several) < 2:
        return several[0] if several else ""
    several = [tag for tag in several if re.match(r"v\d", tag)] or several
    from packaging.version import InvalidVersion, Version  # most trees have one tag or none

    versions = []
    for tag in several:
        with suppress(InvalidVersion):
            versions.append((Version(tag.removeprefix("v")), tag))
    return max(versions)[1] if versions else max(several, key=_natural)


def _natural(tag: str) -> list[tuple[bool, str]]:
    return [(part.isdecimal(), part.zfill(20)) for part in re.split(r"(\d+)", tag)]


def _latest(git: GitFacts, env: Mapping[str, str]) -> tuple[str, str]:
    if env.get("latest_tag"):
        return env["latest_tag"].removeprefix("v"), "variable latest_tag"
    releases = [
        tuple(int(part) for part in found.groups())
        for branch in git.release_branches
        if (found := _RELEASE_BRANCH.fullmatch(branch))
    ]
    if releases:
        number = ".".join(map(str, max(releases)))
        return number, f"git branch origin/release/{number}"
    tag = _highest(tag for tag in git.tags if tag.startswith("v") and "test-rc" not in tag)
    if tag:
        return tag.removeprefix("v"), f"git tag {tag}, not at HEAD"
    return FALLBACK, "fallback, no release branch or tag"
