"""The example tree, built from source through the same stages as Dynamo's own."""

from __future__ import annotations

import json
import shutil
import subprocess
import uuid

import pytest

from dynbuild.build import record, recording
from dynbuild.build.record import Record
from dynbuild.report import document
from tests.conftest import ROOT, WORKSPACE
from tests.images import recorded
from tests.session import NAME as RUN

REPOSITORY = f"{RUN}/workspace"
IMAGE = f"{REPOSITORY}:latest-none-runtime-cpu"
SOURCE = ("--dynamo-wheels", "source", "--enable-kvbm", "--enable-gpu-memory-service")
FLAGS = (*SOURCE, "--repository", REPOSITORY)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of the example as a repository with a release tag, unlike any built before."""
    path = tmp_path_factory.mktemp("tree") / "workspace"
    shutil.copytree(WORKSPACE, path, ignore=shutil.ignore_patterns(".dynbuild", "target"))
    (path / "components" / "src" / "dynamo" / "hello" / "build_id.py").write_text(
        f'BUILD_ID = "{uuid.uuid4()}"\n'
    )

    def git(*words: str) -> None:
        subprocess.run(
            ["git", "-c", "user.name=t", "-c", "user.email=t@example.com", *words],
            cwd=path, check=True, capture_output=True,
        )  # fmt: skip

    git("init", "-q")
    git("add", "-A")
    git("commit", "-qm", "one")
    git("tag", "v0.9.0")
    return path


@pytest.fixture(scope="module")
def built(tree, build):
    return build("--context", str(tree), *FLAGS)


@pytest.fixture(scope="module")
def inside(built, docker):
    def run(*words: str) -> str:
        assert built["images"]
        return docker("run", "--rm", "--network", "none", IMAGE, *words)

    return run


def _steps(report, stage):
    """The steps of *stage* that were carried out, not taken from a cache."""
    return [name for name in recorded.ran(report) if name.stage == stage]


def test_tag_is_the_release_of_the_tree(built):
    assert f"{REPOSITORY}:v0.9.0-none-runtime-cpu" in built["images"][0]["tags"]


def test_pure_python_and_rust_wheels_work_together(inside):
    answer = json.loads(inside("python", "-m", "dynamo.hello", "some words to hash"))
    assert answer


def test_every_wheel_is_installed(inside):
    names = "ai_dynamo", "ai_dynamo_runtime", "kvbm", "gpu_memory_service"
    line = "import importlib.metadata as m; print(*[m.version(n) for n in {0!r}])"
    assert inside("python", "-c", line.format(names)).split() == ["0.9.0"] * len(names)
    assert inside("python", "-c", "import kvbm, gpu_memory_service; print(1)") == "1"


def test_extension_modules_resolve_their_libraries(inside):
    line = (
        "find /opt/dynamo/venv -name '*.so' | xargs ldd 2>/dev/null | grep 'not found' || echo none"
    )
    assert inside("bash", "-c", line) == "none"


def test_media_switches_reach_the_wheel(built, build, tree, docker):
    """In the old Dockerfiles the switch was not declared in the stage and did nothing."""
    assert built["images"]
    code = "import dynamo.runtime as r; print(sorted(r.features()))"
    before = docker("run", "--rm", IMAGE, "python", "-c", code)
    build(
        "--context", str(tree), *FLAGS, "--enable-media-nixl",
        "--tag", f"{REPOSITORY}:media", "--no-tag-latest",
    )  # fmt: skip
    after = docker("run", "--rm", f"{REPOSITORY}:media", "python", "-c", code)
    assert "media-nixl" not in before
    assert "media-nixl" in after


def test_an_edit_in_python_compiles_no_rust_and_moves_no_other_layer(
    built, build, tree, registry, from_registry
):
    assert _steps(built, "ai_dynamo_wheel")
    push = ("--context", str(tree), *SOURCE, "--repository", f"{registry}/workspace", "--push")

    def pushed():
        report = build(*push)
        index, _ = from_registry(f"workspace/manifests/{report['images'][0]['digest']}")
        manifest, _ = from_registry(f"workspace/manifests/{index['manifests'][0]['digest']}")
        return report, {layer["digest"]: layer["size"] for layer in manifest["layers"]}

    _, before = pushed()
    module = tree / "components" / "src" / "dynamo" / "hello" / "build_id.py"
    module.write_text(module.read_text() + f"EDITED = '{uuid.uuid4()}'\n")
    again, after = pushed()
    assert _steps(again, "ai_dynamo_wheel")
    moved = {digest: size for digest, size in after.items() if digest not in before}
    assert 0 < sum(moved.values()) <= 50_000_000
    _, *earlier = record.finished(tree)
    made = document.of(recording.read(Record(ROOT / again["record"])), earlier)
    (told,) = (one for one in made.pulls if one.has)
    assert (told.layers, told.bytes) == (len(moved), sum(moved.values()))
    for stage in ("ai_dynamo_runtime_wheel", "kvbm_wheel", "gms_wheel", "ucx", "build_tools"):
        assert _steps(again, stage) == [], stage
    labels = json.loads((ROOT / again["record"] / "plan.json").read_text())["images"][0]["labels"]
    assert labels["dynbuild.dirty"] == "true"


def test_state_of_dynbuild_never_reaches_the_builder(built, tree):
    ignore = ROOT / built["record"] / "Dockerfile.dockerignore"
    own = (tree / ".dockerignore").read_text()
    assert ignore.read_text().startswith(own)
    assert ".dynbuild/" in ignore.read_text().splitlines()


@pytest.fixture(scope="module")
def compilers(built, build, tree):
    """wheel_builder is a target of its own: the compilers with everything that was built."""
    assert built["images"]
    build("--context", str(tree), *FLAGS, "--target", "wheel_builder")
    return f"{REPOSITORY}:latest-none-wheel_builder-cpu"


def test_c_program_builds_against_the_compiled_ucx_and_runs(compilers, tree, docker):
    line = (
        "cp -r /tree/lib/ucx_probe /tmp/probe && make -s -C /tmp/probe UCX_PREFIX=/usr/local/ucx "
        "&& LD_LIBRARY_PATH=/usr/local/ucx/lib /tmp/probe/ucx_probe "
        "&& LD_LIBRARY_PATH=/usr/local/ucx/lib ldd /tmp/probe/ucx_probe"
    )
    shown = docker("run", "--rm", "-v", f"{tree}:/tree:ro", compilers, "bash", "-c", line)
    assert "1.13" in shown
    assert "/usr/local/ucx/lib/libucp.so" in shown
    assert "not found" not in shown


def test_planner_has_its_venv_and_the_programs_of_the_distribution(
    compilers, build, tree, overlay, docker
):
    """Its own images have Python, and the one it is made in is Debian: so has this one."""
    name, tag = compilers.split(":")
    places = {"PLANNER_BUILD_IMAGE": name, "PLANNER_IMAGE": name}
    lines = [f'args.{arg} = "{value}"\nargs.{arg}_TAG = "{tag}"' for arg, value in places.items()]
    overlaid = overlay("\n".join(['frameworks.none.targets = ["planner"]', *lines, ""]))
    build("--context", str(tree), *FLAGS, "--target", "planner", "--config", str(overlaid))
    image = f"{REPOSITORY}:latest-none-planner-cpu"
    shown = docker(
        "run", "--rm", "--network", "none", image, "sh", "-c",
        "python -m dynamo.hello words && nats-server --version && etcd --version && id -un"
        " && for name in python uv; do command -v $name; done",
    )  # fmt: skip
    for part in ('"ai-dynamo-runtime": "0.9.0"', "nats-server: v", "etcd Version"):
        assert part in shown
    assert shown.splitlines()[-3:] == ["dynamo", "/opt/dynamo/venv/bin/python", "/opt/uv/bin/uv"]
