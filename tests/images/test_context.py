"""What is taken from a build context, asked of BuildKit itself: the record says the same."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dynbuild import proc
from dynbuild.build import context
from dynbuild.build.context import Source
from dynbuild.build.hashes import Memory
from tests.build.test_ignore import TABLE
from tests.conftest import ROOT

# Every path that the table of ignore files speaks of, as far as they fit into one tree.
PATHS = [
    "top", "a/b/c", "a/keep/x", "a/x.o", "a/z", "b/a/deep/z", "c/target/x", "c/my-target/y",
    "target/z", "x.o", "x.out", "d/x.o", "d/e/x.o", "d.o/x", "x.py", "secret.py", "d/x.py",
    "abc", "axb", "a*b", "[x", "!x", "&x", "ax", "x+y.tar", "#a", "lib/a.rs", "lib/deep/b.rs",
]  # fmt: skip
DATA = ROOT / "tests" / "data"
RULES = sorted({text for text, _ in TABLE})


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    root = tmp_path_factory.mktemp("context") / "tree"
    for name in PATHS:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (root / "lib" / "link").symlink_to("../top")
    (root / "latest").symlink_to("lib/deep")
    (root / "empty").mkdir()
    return root


@pytest.fixture
def copied(engine, tree, tmp_path):
    """What BuildKit copies: paths of files, links and folders."""

    def run(instruction, ignored):
        (tmp_path / "Dockerfile").write_text(f"FROM scratch\n{instruction}\n")
        (tmp_path / "Dockerfile.dockerignore").write_text(ignored)
        out = tmp_path / "out"
        words = ("buildx", "build", "--quiet", "--output", f"type=local,dest={out}")
        file = ("--file", str(tmp_path / "Dockerfile"))
        env = engine.env(os.environ)
        proc.run((engine.docker, *words, *file, str(tree)), env=env, check=True)
        return {str(path.relative_to(out)) for path in out.rglob("*")}

    return run


def taken(tree, tmp_path, instruction, ignored):
    source = Source(
        image="x", dockerfile=f"FROM scratch AS x\n{instruction}\n", stage="x", args={}, folders={}
    )
    made = context.take([source], tree, ignored, Memory(tmp_path / "hashes.json"))
    return set(made.contexts[""].files)


@pytest.mark.parametrize("rules", RULES, ids=repr)
def test_ignore_files(copied, tree, tmp_path, rules):
    everything = copied("COPY . /", rules)
    assert taken(tree, tmp_path, "COPY . /", rules) == everything


@pytest.mark.parametrize(
    ("source", "prefix"),
    [("lib/", "lib/"), ("li[b]/", "lib/"), ("l*b/deep", "lib/deep/"), ("latest/", "lib/deep/")],
)
def test_sources(copied, tree, tmp_path, source, prefix):
    ours = taken(tree, tmp_path, f"COPY {source} /", "")
    below = {path.removeprefix(prefix) for path in ours if path.startswith(prefix)}
    assert below == copied(f"COPY {source} /", "")


def test_the_record_of_a_build_has_what_its_steps_took(build, tmp_path):
    root = tmp_path / "tree"
    root.mkdir()
    report = build("--context", str(root), "--source", f"ucx={DATA / 'ucx_stub'}", "--no-load")
    made = context.parse(Path(report["record"], "context.json").read_bytes())
    stub = made.contexts["ucx_src"].files
    assert {"configure", "contrib", "contrib/configure-release", "wait"} <= set(stub)
    assert [one.stage for one in made.steps if one.context == "ucx_src"] == ["ucx"]
    assert any("dynbuild/debian" in one["uri"] for one in report["materials"])
