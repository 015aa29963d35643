"""The pipelines of examples/ci: every command of dynbuild in them is run.

The docker client is a script, so nothing is built; requests, matrices, files and tags are real.
"""

import json
import os
import re
import subprocess
import sys

import pytest
import yaml

from dynbuild.image_id import ImageId
from tests import fake_docker
from tests.support import ENV, ROOT, call, git, source_tree

pytestmark = pytest.mark.processes("sh", "git", "docker")

CI = ROOT / "examples" / "ci"
FILES = sorted(path for path in CI.rglob("*.yml"))


def jobs(path):
    """The commands of dynbuild of each job, in their order."""
    document = yaml.safe_load(path.read_text())
    if path.parent.name == "github":
        lines = {
            name: [step.get("run", "") for step in job["steps"] if "if" not in step]
            for name, job in document["jobs"].items()
        }
    else:
        lines = {
            name: job["script"]
            for name, job in document.items()
            if isinstance(job, dict) and "script" in job
        }
    return {
        name: [line for line in given if line.startswith("dynbuild ")]
        for name, given in lines.items()
    }


def pipelines():
    """What runs one after the other on the same files: (name, commands)."""
    for path in FILES:
        found = jobs(path)
        if "stable" in found:
            last = found.pop("stable")
            found["release" if "release" in found else "images"] += last
        yield from (
            pytest.param(lines, id=f"{path.parent.name}-{path.stem.lstrip('.')}-{name}")
            for name, lines in found.items()
        )


@pytest.mark.parametrize("lines", list(pipelines()))
def test_the_commands_of_a_pipeline_run(lines, tmp_path):
    tree = source_tree(tmp_path / "tree")
    (tree / "dynbuild.toml").write_bytes((CI / "dynbuild.toml").read_bytes())
    (tree / ".gitignore").write_text("/junit.xml\n/result.json\n")
    git(tree, "init", "--quiet", "--initial-branch", "main")
    git(tree, "add", "--all")
    git(tree, "commit", "--quiet", "--message", "x")
    git(tree, "tag", "v1.0.0")
    docker = fake_docker.make(tmp_path / "bin")
    docker.says(metadata=_metadata())
    python = tmp_path / "bin" / "dynbuild"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -m dynbuild "$@"\n')
    python.chmod(0o755)
    env = {
        **ENV, "FRAMEWORK": "none", "REPOSITORY": "r.example/ai/dynamo", "CACHE": "r.example/cache",
        "PATH": f"{docker.path}{os.pathsep}{ENV['PATH']}", "HOME": str(tmp_path),
        "PYTHONPATH": str(ROOT), "SHARD": "2", "CI_NODE_INDEX": "4", "CI_NODE_TOTAL": "4",
        # What --if-changed asks of the world outside has no answer here.
        "GIT_ALLOW_PROTOCOL": "none", "https_proxy": "http://127.0.0.1:9",
    }  # fmt: skip
    assert lines
    for line in lines:
        done = subprocess.run(
            ["sh", "-ec", line], cwd=tree, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    if any("result.json" in line for line in lines):
        result = json.loads((tree / "result.json").read_text())
        assert result["cells"]
        assert all(cell["moved"] for cell in result["cells"])
    if any("--junit" in line for line in lines):
        assert "frontend starts" in (tree / "junit.xml").read_text()


def _metadata():
    """What bake writes down of any image there is."""
    names = call("list", "--format", "names").out.split()
    said = {"containerimage.digest": f"sha256:{1:064}"}
    return json.dumps({ImageId.parse(name).bake_target: said for name in names})


def test_every_pipeline_says_what_it_is_for():
    assert {path.name for path in FILES} == {
        "pull-request.yml", "nightly.yml", "release.yml", ".gitlab-ci.yml",
    }  # fmt: skip
    for path in FILES:
        text = path.read_text()
        assert "dynbuild " in text
        assert not re.search(r"secrets\.(?!GITHUB_TOKEN)", text)
        assert text.startswith("# ")
