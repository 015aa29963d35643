"""git's facts, read from real repositories; tests/plan/test_version.py has the rules on them."""

import os
import re
import shlex
import shutil
import subprocess

import pytest

from dynbuild import proc
from dynbuild.build import git
from dynbuild.build.background import Background
from dynbuild.errors import NotReady
from dynbuild.plan.version import GitFacts
from tests.support import ENV, commit, repository
from tests.support import git as run_git

pytestmark = pytest.mark.processes("git")


@pytest.fixture
def repo(tmp_path):
    return repository(tmp_path / "repo")


def test_few_processes_are_started(repo, monkeypatch):
    run_git(repo, "tag", "v1.0.0")
    begun = []
    own = proc.run

    def counted(argv, **more):
        begun.append(argv[argv.index("-C") + 2])
        return own(argv, **more)

    monkeypatch.setattr(proc, "run", counted)
    git.read(repo, ENV)
    assert begun == ["config", "status", "for-each-ref", "rev-parse", "describe"]


@pytest.mark.parametrize("change", ["none", "tracked", "untracked"])
def test_what_is_described_is_what_git_describes(repo, change):
    run_git(repo, "tag", "v1.0.0")
    commit(repo)
    if change == "tracked":
        (repo / "file").write_text("other\n")
    if change == "untracked":
        (repo / "new").touch()
    facts = git.read(repo, ENV)
    assert facts.described == run_git(repo, "describe", "--tags", "--dirty", "--always")
    assert facts.dirty == (change != "none")
    assert facts.short == run_git(repo, "rev-parse", "--short", "HEAD")


def test_the_branch(repo):
    assert git.read(repo, ENV).branch == "main"
    run_git(repo, "checkout", "--quiet", "--detach")
    assert git.read(repo, ENV).branch == ""


@pytest.mark.parametrize("language", ["de_DE.UTF-8", "C"])
def test_the_language_of_the_caller_does_not_matter(tmp_path, language):
    facts = git.read(tmp_path, {**ENV, "LC_ALL": language, "LANGUAGE": language[:2]})
    assert facts.state == "not a repository"


def test_names_in_any_encoding(repo):
    name = "br\xe4nch".encode("latin-1")
    for words in (("checkout", "--quiet", "-b", name), ("tag", b"v1.0.0-" + name)):
        subprocess.run(["git", *words], cwd=repo, env=ENV, check=True)
    commit(repo)
    message = "m\xe9ssage".encode("latin-1")
    subprocess.run(
        ["git", "-c", "i18n.commitEncoding=latin-1", "commit", "-qam", message, "--allow-empty"],
        cwd=repo, env=ENV, check=True,
    )  # fmt: skip
    facts = git.read(repo, os.environ)
    assert facts.branch == "br\N{REPLACEMENT CHARACTER}nch"
    assert facts.tags == ("v1.0.0-br\N{REPLACEMENT CHARACTER}nch",)


def test_what_is_read_beside_other_work_is_the_same(repo, tmp_path):
    def read(where, env):
        return Background(lambda: git.read(where, env)).result()

    assert read(repo, ENV) == git.read(repo, ENV)
    assert read(tmp_path / "none", ENV).state == "not a repository"
    assert "cannot be started" in read(repo, {**ENV, "PATH": "/nowhere"}).fault.message


# ---- what a tree or its user configures --------------------------------------------------


@pytest.fixture
def touched(tmp_path):
    """A program that leaves a mark, and what it leaves."""
    mark = tmp_path / "mark"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {mark}\ncat\n")
    program.chmod(0o755)
    return program, mark


def configure(repo, *pairs):
    for key, value in zip(pairs[::2], pairs[1::2], strict=True):
        run_git(repo, "config", key, str(value))


def aged(repo):
    """Time stamps that git has to look behind."""
    os.utime(repo / "file", (1, 1))
    return repo


PROGRAMS = {
    "fsmonitor": ("core.fsmonitor", "{}"),
    "filter": ("filter.mine.clean", "{}"),
    "process": ("filter.mine.process", "{}"),
    "required": ("filter.mine.clean", "{}", "filter.mine.required", "true"),
    "odd filter": ('filter.a.b "c".clean', "{}"),
    "pager": ("core.pager", "{}", "pager.status", "{}", "pager.describe", "{}"),
    "alias": ("alias.status", "!{}", "alias.describe", "!{}", "alias.config", "!{}"),
    "signature": ("log.showSignature", "true", "gpg.program", "{}"),
    "textconv": ("diff.mine.textconv", "{}", "diff.external", "{}"),
}


@pytest.mark.parametrize("kind", PROGRAMS)
def test_what_a_tree_configures_is_not_run(repo, touched, kind):
    program, mark = touched
    before = git.read(repo, ENV)
    configure(repo, *(word.format(program) for word in PROGRAMS[kind]))
    (repo / ".git/info/attributes").write_text("file filter=mine diff=mine\n")
    git_said = git.read(aged(repo), ENV)
    assert not mark.exists()
    assert git_said == before


def test_the_program_would_have_been_run(repo, touched):
    program, mark = touched
    configure(repo, "core.fsmonitor", program)
    run_git(repo, "status")
    assert mark.exists()
    mark.unlink()
    configure(repo, "core.fsmonitor", "false", "filter.mine.clean", program)
    (repo / ".gitattributes").write_text("* filter=mine\n")
    run_git(aged(repo), "status")
    assert mark.exists()


def test_an_included_configuration_is_not_run(repo, touched):
    program, mark = touched
    (repo / "more").write_text(
        f'[filter "mine"]\n clean = {program}\n[core]\n fsmonitor = {program}\n'
    )
    (repo / ".gitattributes").write_text("* filter=mine\n")
    configure(repo, "includeIf.gitdir:**.path", repo / "more")
    git.read(aged(repo), ENV)
    assert not mark.exists()
    run_git(repo, "status")
    assert mark.exists()


def test_hooks_are_not_run_and_nothing_is_written(repo, touched):
    program, mark = touched
    hook = repo / ".git/hooks/post-index-change"
    hook.parent.mkdir(exist_ok=True)
    hook.symlink_to(program)
    before = {path: path.stat().st_mtime_ns for path in (repo / ".git").rglob("*")}
    git.read(aged(repo), ENV)
    assert not mark.exists()
    assert {path: path.stat().st_mtime_ns for path in (repo / ".git").rglob("*")} == before
    run_git(repo, "status")
    assert mark.exists()


def test_programs_of_a_submodule_are_not_run(repo, touched, tmp_path):
    program, mark = touched
    other = repository(tmp_path / "other")
    run_git(
        repo, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other), "sub"
    )
    run_git(repo, "commit", "--quiet", "--message", "sub")
    configure(repo / "sub", "core.fsmonitor", program)
    (repo / "sub/file").write_text("changed")
    assert not git.read(repo, ENV).dirty
    assert not mark.exists()
    run_git(repo, "status")
    assert mark.exists()


def test_a_filter_that_cannot_be_turned_off_is_a_fault(repo, touched):
    program, mark = touched
    configure(repo, "filter.a=b.clean", program)
    (repo / ".git/info/attributes").write_text("file filter=a=b\n")
    assert "cannot be turned off" in git.read(aged(repo), ENV).fault.message
    assert not mark.exists()


def test_a_partial_clone_is_not_completed(repo, tmp_path, touched):
    program, mark = touched
    configure(repo, "uploadpack.allowFilter", "true")
    run_git(
        tmp_path, "clone", "--quiet", "--filter=blob:none", "--no-checkout", repo.as_uri(), "part"
    )
    part = tmp_path / "part"
    configure(part, "remote.origin.uploadpack", program, "core.sshCommand", program)
    run_git(part, "read-tree", "HEAD")
    git.read(part, ENV)
    assert not mark.exists()


SETTINGS = {
    "core.abbrev": "20",
    "versionsort.suffix": "-",
    "status.showUntrackedFiles": "no",
    "core.excludesFile": "{0}/ignored",
    "core.checkStat": "minimal",
    "tag.sort": "refname",
    "color.ui": "always",
    "column.ui": "always",
    "core.quotePath": "false",
    "diff.ignoreSubmodules": "all",
    "status.branch": "false",
    "log.showSignature": "true",
}


@pytest.mark.parametrize("key", SETTINGS)
@pytest.mark.parametrize("whose", ["tree", "user"])
def test_no_configuration_changes_the_facts(repo, tmp_path, key, whose):
    (tmp_path / "ignored").write_text("*\n")
    (repo / "new").touch()
    for tag in ("v1.0.0", "v1.0.0-rc1"):
        run_git(repo, "tag", tag)
    before = git.read(repo, ENV)
    assert before.dirty
    value = SETTINGS[key].format(tmp_path)
    if whose == "tree":
        configure(repo, key, value)
    home = tmp_path / "home"
    home.mkdir()
    env = {name: text for name, text in ENV.items() if not name.startswith("GIT_CONFIG")}
    env |= {"HOME": str(home)}
    if whose == "user":
        run_git(repo, "config", "--file", str(home / ".gitconfig"), key, value)
        (home / ".config/git").mkdir(parents=True)
        (home / ".config/git/ignore").write_text("*\n")
    assert git.read(repo, env) == before


VARIABLES = {
    "GIT_DIR": "/nowhere",
    "GIT_WORK_TREE": "/nowhere",
    "GIT_INDEX_FILE": "/nowhere",
    "GIT_CEILING_DIRECTORIES": "{0}",
    "GIT_OBJECT_DIRECTORY": "/nowhere",
    "GIT_NAMESPACE": "other",
    "GIT_EXTERNAL_DIFF": "/nowhere",
    "GIT_PAGER": "/nowhere",
    "GIT_EXEC_PATH": "/nowhere",
    "GIT_TRACE": "{0}/trace",
    "GIT_CONFIG_PARAMETERS": "'core.abbrev=20'",
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_DEFAULT_HASH": "sha256",
    "LC_ALL": "de_DE.UTF-8",
}


@pytest.mark.parametrize("name", VARIABLES)
def test_no_variable_changes_the_facts(repo, tmp_path, name):
    before = git.read(repo, ENV)
    assert before.commit
    assert git.read(repo, {**ENV, name: VARIABLES[name].format(tmp_path)}) == before
    assert not (tmp_path / "trace").exists()


# ---- trees of which git says nothing -----------------------------------------------------


def broken(repo, how):
    {
        "no head": (repo / ".git/HEAD").unlink,
        "head of garbage": lambda: (repo / ".git/HEAD").write_text("garbage"),
        "no objects": lambda: shutil.rmtree(repo / ".git/objects"),
        "lost commits": lambda: [path.unlink() for path in (repo / ".git/objects").rglob("*/*")],
        "configuration": lambda: (repo / ".git/config").write_text("[core\n"),
        "index": lambda: (repo / ".git/index").write_text("garbage"),
        "extension": lambda: configure(
            repo, "core.repositoryFormatVersion", "1", "extensions.unknown", "true"
        ),
        "empty folder": lambda: (shutil.rmtree(repo / ".git"), (repo / ".git").mkdir()),
        "empty file": lambda: (shutil.rmtree(repo / ".git"), (repo / ".git").touch()),
        "dangling link": lambda: (shutil.rmtree(repo / ".git"), (repo / ".git").symlink_to("gone")),
    }[how]()


HOW = (
    *("no head", "head of garbage", "no objects", "lost commits", "configuration", "index"),
    *("extension", "empty folder", "empty file", "dangling link"),
)


@pytest.mark.parametrize("how", HOW)
def test_a_broken_repository_is_told_from_none(repo, how):
    broken(repo, how)
    facts = git.read(repo, ENV)
    assert facts.fault.message.startswith(f"git cannot read the repository of {repo}: ")
    assert facts.commit == ""
    assert git.read(repo.parent, ENV).fault is None


def test_a_broken_repository_in_another_is_not_the_other(repo):
    inner = repository(repo / "inner")
    broken(inner, "no head")
    assert git.read(inner, ENV).fault is not None
    (inner / ".git/HEAD").write_text("ref: refs/heads/main\n")
    assert git.read(inner, ENV).commit == run_git(inner, "rev-parse", "HEAD")


def test_a_worktree_without_its_repository(repo, tmp_path):
    tree = tmp_path / "the tree"
    run_git(repo, "worktree", "add", "--quiet", "-b", "side", str(tree))
    before = git.read(tree, ENV)
    moved = repo.rename(tmp_path / "moved")
    fault = git.read(tree, ENV).fault
    assert f"{repo}/.git/worktrees" in fault.message
    command = re.search("git -C .*?(?=;)", fault.remedy)[0].replace("REPOSITORY", str(moved))
    subprocess.run(shlex.split(command), env=ENV, check=True, capture_output=True)
    assert git.read(tree, ENV) == before


def test_the_repository_of_another_user(repo, tmp_path):
    own = shutil.which("git")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/git").write_text(
        f'#!/bin/sh\nGIT_TEST_ASSUME_DIFFERENT_OWNER=1 exec {own} "$@"\n'
    )
    (tmp_path / "bin/git").chmod(0o755)
    env = {name: text for name, text in ENV.items() if not name.startswith("GIT_CONFIG")}
    env |= {"HOME": str(tmp_path), "PATH": f"{tmp_path}/bin:{ENV['PATH']}"}
    fault = git.read(repo, env).fault
    assert fault.message == f"the repository of {repo} belongs to another user"
    subprocess.run(shlex.split(fault.remedy), env=env, check=True)
    assert git.read(repo, env) == git.read(repo, ENV)
    assert merge_base(repo, env) == run_git(repo, "rev-parse", "HEAD")
    assert git.merge_base(repo, env, GitFacts()) == "", "facts and this are of one repository"


def test_a_repository_of_sha256(tmp_path):
    tree = tmp_path / "long"
    tree.mkdir()
    run_git(tree, "init", "--quiet", "--object-format=sha256")
    commit(tree)
    run_git(tree, "tag", "v1.0.0")
    facts = git.read(tree, ENV)
    assert len(facts.commit) == 64
    assert facts.tags_here == ("v1.0.0",)


def merge_base(directory, env=ENV):
    return git.merge_base(directory, env, git.read(directory, env))


def test_the_commit_where_a_branch_left_main(repo, tmp_path):
    base = run_git(repo, "rev-parse", "HEAD")
    assert merge_base(repo) == base
    run_git(repo, "checkout", "--quiet", "-b", "a/b")
    commit(repo)
    assert merge_base(repo) == base
    run_git(repo, "update-ref", "refs/remotes/origin/main", "HEAD")
    assert merge_base(repo) == run_git(repo, "rev-parse", "HEAD"), "what is fetched counts"
    run_git(repo, "checkout", "--quiet", "--orphan", "other")
    commit(repo)
    assert merge_base(repo) == ""
    assert merge_base(tmp_path) == ""


# ---- over the network ---------------------------------------------------------------------

REMOTE = """\
1111111111111111111111111111111111111111\trefs/heads/v1
2222222222222222222222222222222222222222\trefs/heads/x/v2
3333333333333333333333333333333333333333\trefs/tags/v1
4444444444444444444444444444444444444444\trefs/tags/v2
5555555555555555555555555555555555555555\trefs/tags/v2^{}
6666666666666666666666666666666666666666\trefs/pull/7/head
"""
"""As git ls-remote says it."""


@pytest.mark.parametrize(
    ("ref", "commits"),
    [("v1", "1"), ("v2", "54"), ("v2:folder", "54"), ("refs/heads/v1", "1"), ("pull/7/head", "6")],
)
def test_what_a_ref_of_a_repository_elsewhere_is(monkeypatch, ref, commits):
    def run(argv, **_):
        assert argv[:4] == ("git", "ls-remote", "--", "https://example.com/r.git")
        return proc.Completed(argv=argv, returncode=0, stdout=REMOTE, stderr="")

    monkeypatch.setattr(proc, "run", run)
    found = git.remote_commits(f"https://example.com/r.git#{ref}", {}, 1)
    assert found == tuple(digit * 40 for digit in commits)


def test_a_repository_that_does_not_answer(monkeypatch):
    said = "remote: x\nfatal: could not read Username"
    failed = proc.Completed(argv=(), returncode=128, stdout="", stderr=said)
    monkeypatch.setattr(proc, "run", lambda *_, **__: failed)
    with pytest.raises(NotReady, match="could not read Username"):
        git.remote_commits("https://example.com/r.git#v1", {}, 1)
