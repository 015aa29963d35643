"""States of a git repository: half made, damaged, hostile."""

from __future__ import annotations

import os
import shutil

from tests.fuzz import hostile
from tests.fuzz.argv import IMAGE
from tests.support import git, repository

COMMANDS = (
    ("plan", *IMAGE, "--format", "json"),
    ("env",),
    ("build", *IMAGE, "--dry-run", "--output", "push"),
    ("doctor",),
)
FILES = (
    *("HEAD", "config", "index", "packed-refs", "refs/heads/main", "refs/tags/v1.0.0"),
    *("refs/tags/odd", "shallow", "commondir", "info/grafts", "objects/info/alternates"),
    *("refs/replace/x", "worktrees/x/gitdir", "MERGE_HEAD", "logs/HEAD", "gitdir", "modules"),
)
TEXTS = (
    *("", "\n", "x", "ref: refs/heads/none\n", "ref: HEAD\n", "ref: ../../etc/passwd\n"),
    *("f" * 40 + "\n", "f" * 64 + "\n", "/dev/null/x\n", "../..\n", "\x00\x01"),
    "[core]\n\trepositoryformatversion = 9\n",
    "[core]\n\trepositoryformatversion = 1\n[extensions]\n\tobjectformat = sha256\n",
    "[core]\n\tbare = true\n",
    "[core]\n\tworktree = /dev/null/x\n",
    "[core]\n\tfsmonitor = /dev/null/x\n\thooksPath = /dev/null\n",
    "[include]\n\tpath = config\n",
    "[core\n",
    '[remote "origin"]\n\turl = https://ada:hunter2hunter2@example.com/x\n',
    "[safe]\n\tdirectory = \n[status]\n\tshowUntrackedFiles = no\n",
    "[i18n]\n\tlogOutputEncoding = x\n",
)
LINKS = ("", "gitdir: ", "gitdir: /dev/null/x", "gitdir: .git", "x")
TAGS = ("v1.0.0-rc1", "v1", "vv1.0.0", "v99999999999999999999.0.0", "é", "v1.0.0+x", "v1.0.0.post1")


def whole(folder):
    """A repository with two commits and two tags."""
    repository(folder, "v1.0.0", "odd")
    return folder


def change(chance, tree):
    """Change something in the repository."""
    dot = tree / ".git"
    action = chance.random()
    file = dot / chance.choice(FILES)
    if action < 0.6:
        file.parent.mkdir(parents=True, exist_ok=True)
        data = chance.choice(TEXTS).encode()
        if file.is_file() and chance.random() < 0.4:
            data = hostile.damaged(chance, file.read_bytes())
        file.write_bytes(data)
    elif action < 0.7:
        shutil.rmtree(dot / chance.choice(("objects", "refs", "refs/heads", "info")))
    elif action < 0.75:
        file.unlink(missing_ok=True)
    elif action < 0.85:
        shutil.rmtree(dot)
        kind = chance.randrange(3)
        if kind == 0:
            dot.write_text(chance.choice(LINKS))
        elif kind == 1:
            dot.symlink_to(".git")
        else:
            dot.mkdir()
    elif action < 0.95:
        git(tree, "tag", chance.choice(TAGS))
    else:
        (tree / os.fsdecode(b"\xff\x1b[31m")).write_text("x")


def attempt(chance, folder, call):
    """Try one state; the words and what came of them."""
    tree = folder / "trees" / "repository"
    shutil.rmtree(tree, ignore_errors=True)
    shutil.copytree(folder / "trees" / "git", tree, symlinks=True)
    shutil.copytree(folder / "trees" / "source", tree, symlinks=True, dirs_exist_ok=True)
    change(chance, tree)
    words = list(chance.choices(COMMANDS, (4, 2, 2, 1))[0])
    env = {"DYNBUILD_ALLOW_UNVERSIONED": chance.choice(("", "1"))}
    return words, call(*words, "--context", str(tree), cwd=folder, env=env)
