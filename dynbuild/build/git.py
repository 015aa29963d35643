"""What git says of the repository that a build context is in.

git's own commands are asked, five at most: what they print is stable, they know worktrees,
packed references and shallow clones, and together they take less time than the import of a
library that would start the same commands.

A repository is somebody's tree.  What it configures is not run, nothing is written in it, and
nobody is asked over the network; and the facts are the same whoever asks (``_environment``,
``_CONFIGURED``, ``_ask_status``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

from dynbuild import proc
from dynbuild.build import git_faults
from dynbuild.errors import NotReady
from dynbuild.plan.version import NO_COMMIT, NO_REPOSITORY, GitFacts

_REMOTE_SECONDS = 60.0
_MAINS = ("refs/remotes/origin/main", "refs/heads/main")
_RELEASES = "refs/remotes/origin/release/"

_CONFIGURED = (
    # What git would start.
    *("core.fsmonitor=false", "core.hooksPath=/dev/null", "core.pager=cat"),
    *("status.submoduleSummary=false", "maintenance.auto=false", "gc.auto=0"),
    # What would change its answers.
    *("core.excludesFile=/dev/null", "core.attributesFile=/dev/null", "core.abbrev=auto"),
    *("core.checkStat=default", "core.trustctime=true"),
)
"""Settings that stand whatever files of configuration say."""


def read(directory: Path, env: Mapping[str, str]) -> GitFacts:
    """The facts of the repository that *directory* is in (a worktree is one too).

    Changes inside of submodules are not looked for: git would go by their configuration.
    Where git cannot say anything, the facts say why, and what helps.
    """
    if not directory.is_dir():
        return GitFacts(state=NO_REPOSITORY)
    try:
        return _read(_Repository(directory, _environment(env)), env)
    except _Refused as refused:
        return git_faults.facts(directory, refused.said)
    except NotReady as error:
        return git_faults.not_started(error)


def merge_base(directory: Path, env: Mapping[str, str], facts: GitFacts) -> str:
    """The last commit that *directory*'s HEAD has in common with main; empty where there is none.

    It is asked apart: only a build cache in a registry wants it.  *facts* are those of
    ``read``: of a repository that has none, nothing is asked.
    """
    if not facts.commit:
        return ""
    repository = _Repository(directory, _environment(env))
    for main in _MAINS:
        with suppress(_Refused, NotReady):
            return _with_leave(repository, env, partial(_common, main)).strip()
    return ""


def remote_ref(address: str, env: Mapping[str, str]) -> str:
    """What git says of the ref of ``REPOSITORY#REF``, for comparison; empty if it says nothing.

    Raises:
        NotReady: There is no git, or no answer in time.
    """
    return " ".join(_remote(address, env, _REMOTE_SECONDS).stdout.split())


def remote_commits(address: str, env: Mapping[str, str], seconds: float) -> tuple[str, ...]:
    """The objects that the ref of ``REPOSITORY#REF`` is now.

    Of a tag with a message they are the commit and the tag: which of them BuildKit notes down
    depends on its version.  A branch comes before a tag of its name, as there
    (``source/git/source.go``).

    Args:
        address: The repository and the ref; HEAD without one.
        env: The caller's environment.
        seconds: How long it may take.

    Raises:
        NotReady: There is no git, no answer in time, or none that has the ref.
    """
    said = _remote(address, env, seconds)
    if said.returncode:
        lines = said.stderr.strip().splitlines() or [f"exit status {said.returncode}"]
        raise NotReady(f"git does not say it: {lines[-1]}")
    there = {name: commit for commit, _, name in (
        line.partition("\t") for line in said.stdout.splitlines()
    )}  # fmt: skip
    ref = _ref(address)
    for forms in ((f"refs/heads/{ref}",), (f"refs/tags/{ref}^{{}}", f"refs/tags/{ref}"),
                  (ref, f"refs/{ref}")):  # fmt: skip
        if found := tuple(there[name] for name in forms if name in there):
            return found
    raise NotReady(f"there is no ref {ref} any more")


def _ref(address: str) -> str:
    return address.rpartition("#")[2].partition(":")[0] or "HEAD"


def _remote(address: str, env: Mapping[str, str], seconds: float) -> proc.Completed:
    ref = _ref(address)
    # Of a tag with a message, the commit has a line of its own.
    argv = ("git", "ls-remote", "--", address.rpartition("#")[0], ref, f"{ref}^{{}}")
    # Nobody is asked for a password, a passphrase or whether a host is known.
    own = {"GIT_SSH_COMMAND": "ssh -o BatchMode=yes"} if "GIT_SSH" not in env else {}
    own |= {**env, "GIT_TERMINAL_PROMPT": "0"}
    return proc.run(argv, env=own, check=False, timeout=seconds)


def _common(main: str, repository: _Repository) -> str:
    return repository.ask("merge-base", "HEAD", main)


def _with_leave(
    repository: _Repository, env: Mapping[str, str], ask: Callable[[_Repository], str]
) -> str:
    """What *ask* is told of a repository, which may be another user's.

    It is asked as a whole again once the caller's configuration lets git read there: before
    that git shows nothing of the repository's own configuration.

    Raises:
        _Refused: git refuses for another reason, or nothing lets it read there.
    """
    try:
        return ask(repository)
    except _Refused as refused:
        if git_faults.OWNER not in refused.said:
            raise
    _grant(repository, env)
    return ask(repository)


def _read(repository: _Repository, env: Mapping[str, str]) -> GitFacts:
    ask = repository.ask
    status = _status(_with_leave(repository, env, _ask_status))
    refs = _references(
        ask(
            *("for-each-ref", "--format=%(objectname) %(*objectname) %(refname)"),
            *("refs/tags/", _RELEASES),
        )
    )
    releases = tuple(
        ref.name.removeprefix("refs/remotes/") for ref in refs if ref.name.startswith(_RELEASES)
    )
    tags = [ref for ref in refs if ref.name.startswith("refs/tags/")]
    names = tuple(ref.tag for ref in tags)
    if not status.commit:
        return GitFacts(state=NO_COMMIT, release_branches=releases, tags=names, dirty=status.dirty)
    parsed = ask("rev-parse", "--absolute-git-dir", "--is-shallow-repository", "--short", "HEAD")
    folder, shallow, short = parsed.splitlines()
    if skipped := git_faults.skipped(repository.directory, Path(folder)):
        raise _Refused(skipped)
    # The working tree was compared a moment ago; --dirty would do it again.
    described = ask("describe", "--tags", "--always").strip()
    return GitFacts(
        short=short,
        commit=status.commit,
        tags_here=tuple(ref.tag for ref in tags if status.commit in ref.objects),
        release_branches=releases,
        tags=names,
        dirty=status.dirty,
        shallow=shallow == "true",
        described=described + ("-dirty" if status.changed else ""),
        branch=status.branch,
    )


def _environment(env: Mapping[str, str]) -> dict[str, str]:
    """*env* without what leads git elsewhere, with what keeps it from acting."""
    kept = {name: value for name, value in env.items() if not name.startswith("GIT_")}
    return kept | {
        # Messages and names are read: they are not to depend on the caller's language.
        "LC_ALL": "C",
        "LANGUAGE": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_SYSTEM": "/dev/null",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        # The index is not written anew, which status does otherwise.
        "GIT_OPTIONAL_LOCKS": "0",
        # Objects that a partial clone lacks are not fetched, by no program at all.
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_ALLOW_PROTOCOL": "",
        "GIT_TERMINAL_PROMPT": "0",
    }


class _Refused(Exception):
    """git has nothing to say of a repository; *said* is why, in its words."""

    def __init__(self, said: str) -> None:
        super().__init__(said)
        self.said = said


class _Repository:
    """A folder that git is asked about, with what is laid over its configuration."""

    def __init__(self, directory: Path, env: Mapping[str, str]) -> None:
        self.directory = directory
        self.configured = [word for pair in _CONFIGURED for word in ("-c", pair)]
        self._env = env

    def configure(self, *pairs: str) -> None:
        """Lay ``KEY=VALUE`` over the repository's configuration."""
        self.configured += [word for pair in pairs for word in ("-c", pair)]

    def ask(self, *words: str) -> str:
        """What a command of git prints.

        Raises:
            _Refused: It fails.
            NotReady: There is no git.
        """
        argv = ("git", *self.configured, "--no-pager", "-C", str(self.directory), *words)
        answer = proc.run(argv, env=self._env, check=False, needs="install git")
        if answer.returncode != 0:
            raise _Refused(answer.stderr.strip())
        return answer.stdout


def _ask_status(repository: _Repository) -> str:
    """The state of the tree; files are compared as they are, through no filter.

    ``git status`` runs the filters that a repository configures over files whose time stamps
    differ (gitattributes(5)).

    Raises:
        _Refused: git refuses, or a filter has a name by which it cannot be turned off.
    """
    keys = repository.ask("config", "--list", "--name-only", "-z").split("\0")
    own = (key.removeprefix("filter.") for key in keys if key.startswith("filter."))
    for name in sorted({key.rpartition(".")[0] for key in own}):
        if "=" in name:
            raise _Refused(f"the filter '{name}' has a name by which it cannot be turned off")
        off = ("clean=", "smudge=", "process=", "required=false")
        repository.configure(*(f"filter.{name}.{pair}" for pair in off))
    return repository.ask(
        *("status", "--porcelain=v2", "--branch", "--no-ahead-behind", "--no-renames"),
        *("--untracked-files=normal", "--ignore-submodules=dirty"),
    )


def _grant(repository: _Repository, env: Mapping[str, str]) -> None:
    """Let git read a repository of another user where the caller's configuration says so."""
    for scope in ("--system", "--global"):
        argv = ("git", "config", scope, "--get-all", "safe.directory")
        granted = proc.run(argv, env=env, check=False).stdout.splitlines()
        repository.configure(*(f"safe.directory={one}" for one in granted))


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
