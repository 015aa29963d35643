"""The frontend of the example tree, with an endpoint picker that the tree builds or that is given.

The tree's picker is a script that says how it was started.
"""

from __future__ import annotations

import os
import uuid

import pytest

from tests import session, support
from tests.conftest import DEMO
from tests.session import NAME as RUN

REPOSITORY = f"{RUN}/frontend"
IMAGE = f"{REPOSITORY}:latest-none-frontend-cpu"
FLAGS = ("--dynamo-wheels", "source", "--repository", REPOSITORY, "--target", "frontend")
PICKER = "dynamo/dynamo-epp:v0.9.0"
EPP = "deploy/inference-gateway/epp"
VERSION = f"v0.0.{uuid.uuid4().int % 10**9}"


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return support.workspace(tmp_path_factory.mktemp("tree") / "workspace", "v0.9.0")


@pytest.fixture(scope="module")
def frontend(build, tree, engine):
    """Built with the tree's own picker; make finds docker where dynbuild does."""
    session.note_new(engine, os.environ, PICKER)
    env = {"ECR_HOSTNAME": "registry.example.com"}
    return build("--context", str(tree), *FLAGS, "--build-epp", env=env)


@pytest.fixture(scope="module")
def inside(frontend, container):
    assert frontend["images"]
    return container(IMAGE)


def test_picker_is_built_under_the_name_of_the_commit_and_with_the_proxy(frontend, docker):
    assert frontend["images"][0]["tags"] == [f"{REPOSITORY}:v0.9.0-none-frontend-cpu", IMAGE]
    proxy = docker("image", "inspect", PICKER,
                   "--format", '{{index .Config.Labels "epp.proxy"}}')  # fmt: skip
    assert proxy == "registry.example.com/dockerhub/"


def test_picker_is_the_entrypoint_and_gets_no_stray_argument(frontend, docker):
    """The old image handed it /bin/bash."""
    assert frontend["images"]
    run = ("run", "--rm", "--network", "none", IMAGE)
    assert docker(*run) == "endpoint picker with 0 arguments"
    assert docker(*run, "--port", "9002").splitlines() == [
        "endpoint picker with 2 arguments", "argument: --port", "argument: 9002",
    ]  # fmt: skip


def test_picker_that_is_given(build, tree, docker, tmp_path, frontend):
    assert frontend["images"]
    (tmp_path / "epp").write_text("#!/bin/sh\necho the given one\n")
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY --chmod=755 epp /epp\n")
    picker = f"{RUN}/epp:given"
    docker("build", "--quiet", "--tag", picker, str(tmp_path))
    image = f"{REPOSITORY}:given"
    report = build(
        "--context", str(tree), *FLAGS, "--epp-image", picker, "--tag", image, "--no-tag-latest"
    )
    assert docker("run", "--rm", "--network", "none", image) == "the given one"
    # Another picker is one file more and installs nothing again.
    assert report["steps"]["run_instructions"] == 0


def test_python_side_works(inside):
    assert '"ai-dynamo-runtime": "0.9.0"' in inside("python -m dynamo.hello 'some words'")
    assert inside("command -v hello-bench") == "/opt/dynamo/venv/bin/hello-bench"


def test_requirements_are_there_without_linters_and_test_tools(inside):
    installed = inside("uv pip list --format freeze").lower()
    assert "msgpack==1.1.2" in installed
    for name in ("mypy", "types-pyyaml", "pytest"):
        assert name not in installed


def test_user_and_place(frontend, docker):
    assert frontend["images"]
    line = "id -u; id -gn; whoami; pwd; echo $HOME"
    said = docker("run", "--rm", "--network", "none", "--entrypoint", "bash", IMAGE, "-c", line)
    assert said.split() == ["1000", "root", "dynamo", "/", "/home/dynamo"]


def test_environment(inside, tree):
    found = dict(line.split("=", 1) for line in inside("env").splitlines() if "=" in line)
    assert found["DYNAMO_HOME"] == "/opt/dynamo"
    assert found["VIRTUAL_ENV"] == "/opt/dynamo/venv"
    assert found["PATH"].startswith("/opt/uv/bin:/opt/dynamo/venv/bin:")
    assert found["DYNAMO_COMMIT_SHA"] == support.git(tree, "rev-parse", "HEAD")


def test_banner_without_its_licence_lines(inside, tree):
    text = (tree / "container" / "launch_message" / "frontend.txt").read_text()
    first, rest = text.split("\n", 1)
    assert first.startswith("# ")
    said = inside("echo $VIRTUAL_ENV_PROMPT", "--interactive", shell=("bash", "-ic"))
    assert said.startswith(rest.strip())
    assert first not in said
    # Nothing is in the way of a script.
    assert inside("echo only this") == "only this"


@pytest.mark.parametrize(
    "path",
    ["/workspace", "/workspace/tests", "/workspace/recipes", "/opt/dynamo/venv", "/home/dynamo",
     "/home/dynamo/.cache"],
)  # fmt: skip
def test_group_may_write(inside, path):
    inside(f"touch {path}/probe && rm {path}/probe", "--user", "4711:0")


def test_parts_of_the_tree(inside):
    folders = {"benchmarks", "components", "deploy", "examples", "recipes", "tests"}
    assert set(inside("ls /workspace").split()) == {"ATTRIBUTIONS.md", "LICENSE"} | folders


def test_no_cuda_no_engine_no_compiler_and_no_message_services(inside):
    assert inside("find / -xdev -iname '*libcuda*' 2>/dev/null | head -3") == ""
    assert inside("ls -d /usr/local/cuda* /usr/local/ucx /opt/nvidia 2>/dev/null || true") == ""
    line = "for tool in gcc cargo nvcc nats-server etcd; do command -v $tool; done; echo none"
    assert inside(line) == "none"


# ---- a picker that cannot be built ------------------------------------------------------


@pytest.fixture
def broken(tmp_path):
    """A tree of its own, of a version that nobody has built, and the folder of its picker."""
    tree = support.workspace(tmp_path / "workspace", VERSION)
    return tree, tree / EPP


def _build(dynbuild, tree):
    config = ("--config", str(DEMO / "dynbuild.toml"))
    return dynbuild("build", *config, "--context", str(tree), *FLAGS, "--build-epp")


def test_tree_without_a_makefile(broken, dynbuild):
    tree, folder = broken
    (folder / "Makefile").unlink()
    done = _build(dynbuild, tree)
    assert done.returncode == 2
    assert f"the build context {tree} has no {EPP}/Makefile, which builds" in done.stderr
    assert "hint: --context names Dynamo's source tree" in done.stderr


def test_make_that_fails(broken, dynbuild):
    tree, folder = broken
    (folder / "Makefile").write_text("all:\n\t@echo no Go here; exit 3\n")
    done = _build(dynbuild, tree)
    assert done.returncode == 1
    assert "error: epp: 'make -C deploy/inference-gateway/epp all" in done.stderr
    assert "no Go here" in done.stderr
    assert "its build is the source tree's own; run the command there to see more" in done.stderr
    assert not list((tree / ".dynbuild").glob("builds/*"))


def test_make_that_makes_no_image(broken, dynbuild):
    tree, folder = broken
    (folder / "Makefile").write_text("all:\n\t@true\n")
    done = _build(dynbuild, tree)
    assert done.returncode == 1
    # The tree has changes now, so it is another image than that of the release.
    assert f"the command ended well, but made no dynamo/dynamo-epp:{VERSION}-dirty" in done.stderr
    assert "names what it makes otherwise" in done.stderr


def test_make_is_told_where_the_tree_is(broken, dynbuild):
    tree, folder = broken
    (folder / "Makefile").write_text("all:\n\t@echo the tree is $(DYNAMO_DIR); exit 1\n")
    assert f"the tree is {tree}" in _build(dynbuild, tree).stderr
