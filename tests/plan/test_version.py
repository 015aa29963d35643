import os

import hypothesis
import pytest
from hypothesis import strategies as st

from dynbuild import names
from dynbuild.build.git import read
from dynbuild.plan import version
from dynbuild.plan.version import GitFacts
from tests.support import ENV, commit, git, repository

pytestmark = pytest.mark.processes("git")


@pytest.fixture(autouse=True)
def _only_the_given_environment(monkeypatch):
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_CONFIG_PARAMETERS"):
        monkeypatch.delenv(name, raising=False)
    for name, text in ENV.items():
        monkeypatch.setenv(name, text)


@pytest.fixture
def repo(tmp_path):
    return repository(tmp_path / "repo")


def derive(directory, **env):
    return version.derive(read(directory, os.environ), env)


def release(directory, *branches):
    """Remote branches, as a fetch would leave them."""
    for branch in branches:
        git(directory, "update-ref", f"refs/remotes/{branch}", "HEAD")


def head(directory, *options):
    return git(directory, "rev-parse", *options, "HEAD")


# ---- with a tag at HEAD ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tag", "image", "python"),
    [
        ("v0.9.0", "v0.9.0", "0.9.0"),
        ("0.9.0", "v0.9.0", "0.9.0"),
        ("v0.9.0-test-rc1", "v0.9.0-test-rc1", "0.9.0-test-rc1"),
        ("nightly", "vnightly", "nightly"),
    ],
)
def test_an_exact_tag(repo, tag, image, python):
    git(repo, "tag", tag)
    found = derive(repo)
    assert (found.tag, found.python) == (image, python)
    assert found.commit == head(repo)
    assert found.origin == f"git tag {tag}"
    assert not found.dirty


def test_an_exact_tag_wins_over_release_branches(repo):
    git(repo, "tag", "v0.9.0")
    release(repo, "origin/release/1.2.3")
    assert derive(repo).tag == "v0.9.0"


def test_an_annotated_tag(repo):
    git(repo, "tag", "--annotate", "--message", "release", "v0.9.0")
    assert derive(repo).tag == "v0.9.0"


def test_an_annotated_tag_wins_over_a_light_one(repo):
    git(repo, "tag", "a-mark")
    git(repo, "tag", "--annotate", "--message", "release", "v0.9.0")
    assert derive(repo).tag == "v0.9.0"


def test_several_tags_give_one_of_them_always_the_same(repo):
    for tag in ("v1.9.0", "v1.10.0", "v1.2.0"):
        git(repo, "tag", tag)
    found = derive(repo)
    assert found.tag in ("v1.9.0", "v1.10.0", "v1.2.0")
    assert derive(repo) == found


@pytest.mark.parametrize("tags", [("v1.2.0", "a-mark"), ("v1.9.0", "v1.9.1")], ids=" ".join)
def test_of_several_light_tags_the_highest_version_counts(repo, tags):
    for tag in tags:
        git(repo, "tag", tag)
    assert derive(repo).tag == max(tag for tag in tags if tag.startswith("v"))


ORDERED = (
    *("mark", "nightly", "0.9.0-mark", "1.0.0rc1", "1.0.0", "3.0"),
    *("v1.0.0-test-rc2", "v1.0.0-test-rc10", "v1.0.0.dev3", "v1.0.0-alpha", "v1.0.0-alpha.2"),
    *("v1.0.0-beta.1", "v1.0.0b2", "v1.0.0-rc1", "v1.0.0-rc.2", "v1.0.0-rc9", "v1.0.0-rc10"),
    *("v1.0.0", "v1.0.0+cu12", "v1.0.0.post1", "v1.0.0-2", "v1.0.1", "v1.10.0", "v2!0.1"),
)
"""Tags of one commit, lowest first."""


@hypothesis.given(st.lists(st.sampled_from(ORDERED), min_size=1, unique=True))
def test_the_highest_tag_counts_by_pep_440(tags):
    highest = max(tags, key=ORDERED.index)
    assert (
        version.derive(GitFacts(tags_here=tuple(tags)), {}).tag == f"v{highest.removeprefix('v')}"
    )
    elsewhere = [tag for tag in tags if tag.startswith("v") and "test-rc" not in tag]
    number = max(elsewhere, key=ORDERED.index).removeprefix("v") if elsewhere else "0.0.1"
    assert version.derive(GitFacts(short="abc", tags=tuple(tags)), {}).tag == f"v{number}.dev.abc"


@hypothesis.given(st.lists(st.text(max_size=8), max_size=6), st.randoms())
def test_any_tags_have_an_order(tags, random):
    mixed = random.sample(tags, len(tags))
    found = [version.derive(GitFacts(tags_here=tuple(some)), {}) for some in (tags, mixed)]
    assert found[0] == found[1]


def test_a_release_and_its_candidate_at_one_commit(repo):
    for tag in ("v1.0.0", "v1.0.0-rc2"):
        git(repo, "tag", tag)
    assert derive(repo).tag == "v1.0.0"
    commit(repo)
    assert derive(repo).tag == dev("1.0.0", repo)[0]


@pytest.mark.parametrize("tag", ["release/1.0", "v1.0+cu12", "v1/2+3_4"])
def test_a_tag_with_characters_that_an_image_tag_cannot_have(repo, tag):
    git(repo, "tag", tag)
    found = derive(repo)
    assert found.tag == f"v{tag.removeprefix('v')}"
    names.check_reference(f"dynamo:{names.as_tag(found.tag)}-none-runtime")


# ---- without one -------------------------------------------------------------------------


def dev(number, repo):
    return f"v{number}.dev.{head(repo, '--short')}", f"{number}.dev+{head(repo, '--short')}"


@pytest.mark.parametrize(
    ("branches", "number"),
    [
        (["origin/release/0.9.0"], "0.9.0"),
        (["origin/release/1.9.0", "origin/release/1.10.0"], "1.10.0"),
        (["origin/release/0.9.10", "origin/release/0.9.9", "origin/release/0.10.0"], "0.10.0"),
        (["origin/release/0.9.0", "origin/release/9.9"], "0.9.0"),
        (["origin/release/0.9.0", "origin/release/1.0.0-rc1", "origin/release/1.0.0.1"], "0.9.0"),
        (["origin/release/0.9.0", "origin/release/v1.0.0"], "0.9.0"),
        (["origin/release/0.9.0", "upstream/release/2.0.0", "origin/next/3.0.0"], "0.9.0"),
    ],
)
def test_the_highest_release_branch(repo, branches, number):
    release(repo, *branches)
    found = derive(repo)
    assert (found.tag, found.python) == dev(number, repo)
    assert found.origin == f"git branch origin/release/{number}"


def test_a_release_branch_wins_over_a_higher_tag_elsewhere(repo):
    git(repo, "tag", "v5.0.0")
    release(repo, "origin/release/0.9.0")
    commit(repo)
    assert derive(repo).tag == dev("0.9.0", repo)[0]


def test_a_local_branch_is_no_release_branch(repo):
    git(repo, "branch", "release/0.9.0")
    assert derive(repo).tag == dev("0.0.1", repo)[0]


def test_a_local_branch_of_the_same_name_hides_no_release_branch(repo):
    release(repo, "origin/release/0.9.0")
    git(repo, "branch", "origin/release/0.9.0")
    assert derive(repo).tag == dev("0.9.0", repo)[0]


@pytest.mark.parametrize(
    ("tags", "number"),
    [
        (["v0.8.0"], "0.8.0"),
        (["v1.9.0", "v1.10.0"], "1.10.0"),
        (["v0.8.0", "v0.9.0-test-rc1"], "0.8.0"),
        (["v0.8.0", "0.9.0", "release-1"], "0.8.0"),
        (["v0.9.0-test-rc1"], "0.0.1"),
        ([], "0.0.1"),
    ],
    ids=lambda value: " ".join(value) or "none" if isinstance(value, list) else value,
)
def test_the_highest_tag_that_is_not_at_head(repo, tags, number):
    for tag in tags:
        git(repo, "tag", tag)
    commit(repo)
    found = derive(repo)
    assert (found.tag, found.python) == dev(number, repo)
    expected = f"git tag v{number}, not at HEAD"
    assert found.origin == ("fallback, no release branch or tag" if number == "0.0.1" else expected)


# ---- kinds of repositories ---------------------------------------------------------------


def test_a_detached_head(repo):
    git(repo, "tag", "v0.8.0")
    commit(repo)
    git(repo, "checkout", "--quiet", "--detach")
    assert derive(repo).tag == dev("0.8.0", repo)[0]
    git(repo, "checkout", "--quiet", "v0.8.0")
    assert derive(repo).tag == "v0.8.0"


def test_a_shallow_clone(repo, tmp_path):
    git(repo, "tag", "v0.8.0")
    commit(repo)
    git(tmp_path, "clone", "--quiet", "--depth", "1", repo.as_uri(), "clone")
    facts = read(tmp_path / "clone", os.environ)
    assert facts.shallow
    found = version.derive(facts, {})
    assert found.tag == dev("0.0.1", repo)[0]
    assert "shallow clone, tags may be missing" in found.origin


def test_a_clone_has_the_release_branches_of_its_origin(repo, tmp_path):
    git(repo, "branch", "release/0.9.0")
    git(tmp_path, "clone", "--quiet", repo.as_uri(), "clone")
    assert derive(tmp_path / "clone").tag == dev("0.9.0", repo)[0]


def test_packed_refs(repo):
    release(repo, "origin/release/0.9.0")
    git(repo, "tag", "v0.8.0")
    git(repo, "pack-refs", "--all")
    facts = read(repo, os.environ)
    assert (facts.tags_here, facts.release_branches) == (("v0.8.0",), ("origin/release/0.9.0",))


def test_a_worktree(repo, tmp_path):
    git(repo, "tag", "v0.8.0")
    git(repo, "worktree", "add", "--quiet", "-b", "side", str(tmp_path / "side"))
    commit(tmp_path / "side")
    assert derive(tmp_path / "side").tag == dev("0.8.0", tmp_path / "side")[0]
    assert derive(repo).tag == "v0.8.0"


def test_a_folder_inside_the_repository(repo):
    (repo / "lib" / "deep").mkdir(parents=True)
    assert derive(repo / "lib" / "deep").commit == head(repo)


def test_no_commit_yet(tmp_path):
    git(tmp_path, "init", "--quiet")
    found = derive(tmp_path)
    assert (found.tag, found.python) == ("v0.0.1.dev.nocommit", "0.0.1.dev+nocommit")
    assert found.commit == ""
    assert found.origin.endswith("; no commit yet")


@pytest.mark.parametrize("name", ["here", "there/is/nothing"])
def test_not_a_repository(tmp_path, name):
    (tmp_path / "here").mkdir()
    found = derive(tmp_path / name)
    assert (found.tag, found.python) == ("v0.0.1.dev.nogit", "0.0.1.dev+nogit")
    assert (found.commit, found.dirty) == ("", False)
    assert found.origin.endswith("; not a repository")


def test_a_clean_tree(repo):
    (repo / ".git/info/exclude").write_text("*.log\n")
    (repo / "ignored.log").touch()
    assert not derive(repo).dirty


@pytest.mark.parametrize(
    "change",
    [
        lambda repo: (repo / "file").write_text("changed"),
        lambda repo: (repo / "file").unlink(),
        lambda repo: (repo / "new").touch(),
        lambda repo: git(repo, "rm", "--quiet", "--cached", "file"),
    ],
    ids=["modified", "deleted", "untracked", "staged"],
)
def test_a_dirty_tree(repo, change):
    change(repo)
    assert derive(repo).dirty


def test_the_record_of_a_build_makes_no_tree_dirty(repo):
    from dynbuild.build import record

    record.create(repo, record.new_id("x"))
    assert not derive(repo).dirty


def test_a_tree_of_which_git_says_nothing(repo):
    (repo / ".git/config").write_text("[core\n")
    found = derive(repo)
    assert found.guess
    assert found.tag == "v0.0.1.dev.nogit"
    assert found.warning.startswith("the version has 'nogit' in place of a commit: git cannot read")
    assert found.warning.endswith("or set the variables current_tag and DYNAMO_COMMIT_SHA)")


@pytest.mark.parametrize("given", [{"current_tag": "v1.0.0"}, {"commit_id": "abc"}], ids=str)
def test_the_variables_of_the_warning_do_away_with_it(repo, monkeypatch, given):
    monkeypatch.setenv("PATH", "/nowhere")
    found = derive(repo, DYNAMO_COMMIT_SHA="f" * 40, **given)
    assert (found.warning, found.guess, found.commit) == ("", False, "f" * 40)
    assert "nogit" not in found.tag


def test_no_warning_where_nobody_expects_git(tmp_path):
    assert derive(tmp_path).warning == ""
    assert derive(tmp_path).guess
    git(tmp_path, "init", "--quiet")
    assert derive(tmp_path).warning == ""
    assert derive(tmp_path).guess


# ---- variables ---------------------------------------------------------------------------


def test_variables_replace_what_git_says(repo):
    git(repo, "tag", "v0.8.0")
    release(repo, "origin/release/0.7.0")
    commit(repo)
    assert derive(repo, commit_id="abc").tag == "v0.7.0.dev.abc"
    assert derive(repo, latest_tag="v2.0.0").tag == dev("2.0.0", repo)[0]
    assert derive(repo, latest_tag="2.0.0").origin == "variable latest_tag"
    assert derive(repo, current_tag="v3.0.0").tag == "v3.0.0"
    assert derive(repo, current_tag="3.0.0").origin == "variable current_tag"
    assert derive(repo, DYNAMO_COMMIT_SHA="f" * 40).commit == "f" * 40
    assert derive(repo, DYNAMO_COMMIT_SHA="f" * 40).tag == dev("0.7.0", repo)[0]


def test_variables_stand_in_for_git(tmp_path):
    env = {"commit_id": "abc", "latest_tag": "v1.0.0", "DYNAMO_COMMIT_SHA": "abc123"}
    found = derive(tmp_path, **env)
    assert (found.tag, found.python, found.commit) == (
        "v1.0.0.dev.abc",
        "1.0.0.dev+abc",
        "abc123",
    )


def test_an_empty_variable_says_nothing(repo):
    empty = dict.fromkeys(("commit_id", "current_tag", "latest_tag", "DYNAMO_COMMIT_SHA"), "")
    assert derive(repo, **empty) == derive(repo)


def test_the_rules_need_no_repository():
    facts = GitFacts(short="abc", commit="abcdef", tags=("v2.0.0-test-rc1", "v1.0.0"))
    found = version.derive(facts, {})
    assert (found.tag, found.python) == ("v1.0.0.dev.abc", "1.0.0.dev+abc")


@pytest.mark.parametrize(
    ("env", "branch"),
    [
        ({"GITHUB_HEAD_REF": "a/b", "GITHUB_REF_NAME": "12/merge"}, "a/b"),
        ({"GITHUB_HEAD_REF": "main", "GITHUB_REF_NAME": "12/merge"}, "12/merge"),
        ({"GITHUB_HEAD_REF": "", "GITHUB_REF_NAME": "main"}, "main"),
        ({"CI_COMMIT_REF_NAME": "c"}, "c"),
        ({}, ""),
    ],
)
def test_the_branch_of_a_ci_system_is_never_another_repositorys_main(env, branch):
    assert version.derive(GitFacts(), env).branch == branch
    assert version.derive(GitFacts(branch="x"), env).branch == "x"
