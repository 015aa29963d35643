"""One build for two architectures: each image is complete, and is what it says it is."""

from __future__ import annotations

import json
import os

import pytest

from tests import session
from tests.conftest import DEMO

# Nothing is compiled, and no more installed than is looked at: emulation takes its time.
OVERLAY = """\
[tools]
nats.kind = "none"
etcd.kind = "none"

[sources.ucx]
kind = "packages"
packages = ["libucx0", "ucx-utils"]
"""
MACHINES = {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}
PLATFORMS = ",".join(MACHINES)
# What the image says of itself, in one start: under emulation each takes seconds.
QUESTIONS = """\
import importlib.metadata, json, pathlib, platform, subprocess
import dynamo.runtime, dynamo._core
wheel = importlib.metadata.distribution("ai-dynamo-runtime")
def said(*argv):
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout
print(json.dumps({
    "machine": said("uname", "-m").strip(),
    "version": importlib.metadata.version("ai-dynamo"),
    "tags": [l[5:] for l in wheel.read_text("WHEEL").splitlines() if l.startswith("Tag: ")],
    "core": pathlib.Path(dynamo._core.__file__).read_bytes()[18],
    "ucx": said("ucx_info", "-v"),
    "ldd": said("ldd", "/usr/bin/ucx_info", "/usr/bin/ucx_perftest"),
}))
"""


@pytest.fixture(scope="module")
def build_both(build, tmp_path_factory):
    """Build for both platforms on a base image; the report."""
    overlay = tmp_path_factory.mktemp("platforms") / "both.toml"
    overlay.write_text(OVERLAY)

    def run(base: str, *words: str):
        name, _, tag = base.rpartition(":")
        return build(
            "--config", str(overlay), "--platform", PLATFORMS,
            "--base-image", name, "--base-image-tag", tag, *words,
        )  # fmt: skip

    return run


@pytest.fixture(scope="module")
def pushed(build_both, base_of_both, registry):
    """The report of the build, and the repository that it was pushed to."""
    repository = "both/dynamo"
    tag = ("--tag", f"{registry}/{repository}:now", "--no-tag-latest")
    return build_both(base_of_both, *tag, "--push"), repository


@pytest.fixture(scope="module")
def manifests(pushed, from_registry):
    """The manifests of the index by platform, without those that say how it was made."""
    report, repository = pushed
    index, digest = from_registry(f"{repository}/manifests/now")
    assert digest == report["images"][0]["digest"]
    return {
        f"{one['platform']['os']}/{one['platform']['architecture']}": from_registry(
            f"{repository}/manifests/{one['digest']}"
        )[0]
        for one in index["manifests"]
        if one["platform"]["os"] != "unknown"
    }


@pytest.fixture(scope="module", params=MACHINES)
def inside(request, pushed, registry, docker):
    """The platform, and what its image answers to the questions."""
    platform = request.param
    image = f"{registry}/{pushed[1]}:now"
    said = docker(
        "run", "--rm", "--quiet", "--network", "none", "--platform", platform, image,
        "python", "-c", QUESTIONS,
    )  # fmt: skip
    yield platform, json.loads(said)
    docker("image", "rm", "--force", image)


def test_index_has_an_image_for_each_platform(manifests):
    assert list(manifests) == list(MACHINES)
    layers = [{layer["digest"] for layer in one["layers"]} for one in manifests.values()]
    assert all(len(own) > 5 for own in layers)
    # Files that are the same everywhere may be shared; the first layer is the system's.
    first = {one["layers"][0]["digest"] for one in manifests.values()}
    assert len(first) == 2
    assert layers[0] != layers[1]


def test_each_image_says_which_platform_it_is_for(manifests, pushed, from_registry):
    for platform, manifest in manifests.items():
        config, _ = from_registry(f"{pushed[1]}/blobs/{manifest['config']['digest']}")
        assert f"{config['os']}/{config['architecture']}" == platform


def test_programs_inside_are_of_that_architecture(inside):
    platform, said = inside
    machine = MACHINES[platform]
    assert said["machine"] == machine
    assert said["version"] == "0.9.0"
    assert all(tag.endswith(f"_{machine}") for tag in said["tags"])
    # The machine of an ELF file: x86-64 is 62, AArch64 is 183.
    assert said["core"] == {"x86_64": 62, "aarch64": 183}[machine]


def test_ucx_of_the_distribution_resolves(inside):
    _, said = inside
    assert "Library version" in said["ucx"]
    assert "libucp.so.0 => /" in said["ldd"]
    assert "not found" not in said["ldd"]


def test_base_of_one_platform_is_refused_before_anything_runs(dynbuild, base_image, tmp_path):
    """BuildKit would take it, and make an image of the wrong architecture."""
    done = dynbuild(
        "build", "--config", str(DEMO / "dynbuild.toml"), "--context", str(tmp_path),
        "--platform", PLATFORMS, "--no-load",
    )  # fmt: skip
    assert done.returncode == 2
    assert f"the image {base_image} on this engine is for linux/" in done.stderr
    assert "wanted for linux/" in done.stderr
    assert "dynbuild engine base --suite trixie --arch amd64 --arch arm64" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_base_of_both_platforms_on_the_engine_is_taken(pushed, engine, dynbuild, build_both):
    """No registry is needed: what the engine has may hold both."""
    assert pushed
    session.note_new(engine, os.environ, "dynbuild/debian:trixie-multi")
    made = dynbuild("engine", "base", "--suite", "trixie", "--arch", "amd64", "--arch", "arm64")
    assert made.stdout == "dynbuild/debian:trixie-multi\n", made.stderr
    report = build_both(made.stdout.strip(), "--target", "dynamo_base", "--no-load")
    # It is the very same base for each platform as the registry's: every step is known.
    assert report["steps"]["run_instructions"] == 0
    assert report["steps"]["cached"] > 6
