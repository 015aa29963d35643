"""Which version is being built, derived from the facts of git.

The rules are those of the replaced script: exact tag, release branches, tags, fallback.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from dynbuild.quick import dataclass
from dynbuild.settings.layers import Origin

FALLBACK = "0.0.1"
"""The last resort where neither a release branch nor a tag says anything."""

_RELEASE_BRANCH = re.compile(r"origin/release/(\d{1,9})\.(\d{1,9})\.(\d{1,9})", re.ASCII)


_HEAD = Origin("git", "HEAD")


@dataclass(frozen=True, slots=True, kw_only=True)
class GitFacts:
    """What the repository says; all empty where there is none.

    Attributes:
        state: ``""`` normally, else why facts are missing: ``not a repository`` or
            ``no commit yet``.
        short: Abbreviated HEAD.
        commit: Full HEAD.
        exact_tag: The tag pointing at HEAD, as it is written, or empty. Of several, one
            that looks like a version, and of those the highest.
        release_branches: Remote branch names such as ``origin/release/0.9.0``.
        tags: Tags that match ``v*``, highest version first.
        dirty: Whether tracked or untracked files differ from HEAD.
        shallow: Whether history is cut off, so that tags may be missing.
        described: What ``git describe --tags --dirty --always`` says.
        branch: The branch that is checked out; empty for a detached HEAD.
    """

    state: str = ""
    short: str = ""
    commit: str = ""
    exact_tag: str = ""
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
    """

    tag: str
    python: str
    commit: str
    dirty: bool
    origin: str
    commit_origin: Origin = _HEAD
    described: str = ""
    branch: str = ""


def derive(git: GitFacts, env: Mapping[str, str]) -> Version:
    """The version for *git*'s facts.

    The variables ``commit_id``, ``current_tag``, ``latest_tag`` and ``DYNAMO_COMMIT_SHA``
    replace what git says of the short commit, the exact tag, the latest release and the
    full commit.
    """
    # CI systems check out a commit and not a branch, and tell the branch in a variable.
    branch = git.branch or env.get("GITHUB_HEAD_REF") or env.get("CI_COMMIT_REF_NAME") or ""
    branch = branch or env.get("GITHUB_REF_NAME", "")
    given = env.get("DYNAMO_COMMIT_SHA")
    commit = given or git.commit
    commit_origin = Origin("environment", "DYNAMO_COMMIT_SHA") if given else _HEAD
    exact = env.get("current_tag") or git.exact_tag
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
    short = env.get("commit_id") or git.short or _PLACE_HOLDERS[git.state]
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
    )


_PLACE_HOLDERS = {"not a repository": "nogit", "no commit yet": "nocommit"}


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
    for tag in git.tags:
        if "test-rc" not in tag:
            return tag.removeprefix("v"), f"git tag {tag}, not at HEAD"
    return FALLBACK, "fallback, no release branch or tag"
