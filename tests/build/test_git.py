"""git's facts, read from real repositories; tests/plan/test_version.py has the rules on them."""

import os
import subprocess

import pytest

from dynbuild import proc
from dynbuild.build import git
from dynbuild.errors import NotReady
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
        begun.append(argv[3])
        return own(argv, **more)

    monkeypatch.setattr(proc, "run", counted)
    git.read(repo, ENV)
    assert begun == ["status", "for-each-ref", "rev-parse", "describe"]


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
    assert git.Reading(repo, ENV).facts() == git.read(repo, ENV)
    assert git.Reading(tmp_path / "none", ENV).facts().state == "not a repository"
    with pytest.raises(NotReady, match="cannot be started"):
        git.Reading(repo, {**ENV, "PATH": "/nowhere"}).facts()
