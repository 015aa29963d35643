"""AWS's EFA layer, with a stub in the place of AWS's installer.

The stub notes its arguments and its user, and leaves the folders that the real one leaves.
What is shown is when it runs, on what, and what becomes of it.
"""

from __future__ import annotations

import json
import urllib.request

import pytest

from tests import support
from tests.conftest import DEMO, ROOT
from tests.session import NAME as RUN

REPOSITORY = f"{RUN}/efa"
FLAGS = (
    "--dynamo-wheels", "source", "--enable-kvbm", "--enable-gpu-memory-service", "--make-efa",
)  # fmt: skip
INSTALLER = """\
#!/bin/sh
set -e
mkdir -p /opt/amazon/efa/bin /opt/amazon/aws-ofi-nccl/lib
echo "$(id -un) $*" > /opt/amazon/efa/installed
cp payload /opt/amazon/efa/bin/payload
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return support.workspace(tmp_path_factory.mktemp("tree") / "workspace", "v0.9.0")


@pytest.fixture(scope="module")
def installer(tmp_path_factory):
    """The unpacked archive: a script that expects to be started beside its packages."""
    folder = tmp_path_factory.mktemp("efa")
    (folder / "efa_installer.sh").write_text(INSTALLER)
    (folder / "efa_installer.sh").chmod(0o755)
    (folder / "payload").write_text("of the archive\n")
    return folder


@pytest.fixture(scope="module")
def make(build, tree, installer):
    def run(*words: str, repository: str = REPOSITORY, **more):
        return build(
            "--context", str(tree), *FLAGS, "--repository", repository,
            "--source", f"efa={installer}", *words, **more,
        )  # fmt: skip

    return run


CASES = {
    "runtime": ("-runtime", (), "dynamo"),
    "dev": ("", (), "root"),
    "local-dev": ("-local-dev", ("--uid", "5000", "--gid", "5000"), "dynamo"),
}


@pytest.fixture(scope="module", params=CASES)
def target(request):
    return request.param


@pytest.fixture(scope="module")
def made(make, target):
    return make("--target", target, *CASES[target][1])


@pytest.fixture(scope="module")
def image(made, target):
    """Name of the image with the layer."""
    assert made["images"]
    return f"{REPOSITORY}:latest-none{CASES[target][0]}-cpu-aws"


@pytest.fixture(scope="module")
def inside(image, container):
    return container(image)


def test_both_images_are_tagged_and_come_from_one_solve(made, target):
    suffix = CASES[target][0]
    plain, aws = made["images"]
    assert plain["tags"] == [
        f"{REPOSITORY}:v0.9.0-none-{target}-cpu", f"{REPOSITORY}:latest-none{suffix}-cpu",
    ]  # fmt: skip
    assert aws["tags"] == [f"{tag}-aws" for tag in plain["tags"]]
    assert plain["digest"] != aws["digest"]
    record = ROOT / made["record"]
    metadata = json.loads((record / "metadata.json").read_text())
    names = {f"none-{target}-cpu", f"none-{target}-aws-cpu"}
    assert names <= {name for name in metadata if name.startswith("none-")}
    assert {path.name for path in record.glob("*Dockerfile")} >= {
        f"{name}.Dockerfile" for name in names
    }


def test_stub_installer_ran_as_root_with_its_switches(inside):
    assert inside("cat /opt/amazon/efa/installed") == (
        "root -y --skip-kmod --skip-limit-conf --no-verify"
    )
    assert inside("cat /opt/amazon/efa/bin/payload") == "of the archive"


def test_nccl_plug_in_and_the_archive_are_gone(inside):
    assert inside("ls /opt/amazon") == "efa"
    assert inside("ls -d /tmp/efa 2>/dev/null || echo gone") == "gone"


def test_version_is_in_the_environment(inside):
    assert inside("echo $EFA_VERSION; echo ${#DYNAMO_COMMIT_SHA}").split() == ["1.45.1", "40"]


def test_user_is_that_of_the_image_below(image, target, docker):
    said = docker("run", "--rm", "--network", "none", image, "bash", "-c", "whoami; id -u")
    uid = {"runtime": "1000", "dev": "0", "local-dev": "5000"}[target]
    assert said.split() == [CASES[target][2], uid]


def test_layer_is_on_the_image_below(made, target, docker):
    """Of local-dev the layer is below: it goes on dev, and the person's user comes last."""
    words = ("image", "inspect", "--format", "{{json .RootFS.Layers}}")
    plain, aws = (json.loads(docker(*words, image["tags"][0])) for image in made["images"])
    if target == "local-dev":
        dev = plain[:-3]
        assert aws[: len(dev)] == dev
        assert len(aws) > len(plain)
    else:
        assert aws[: len(plain)] == plain
        assert len(aws) > len(plain)


def test_new_commit_runs_no_step(make, made, target):
    assert made["images"]
    again = make(
        "--target", target, *CASES[target][1], "--tag", f"{REPOSITORY}:other", "--no-tag-latest",
        env={"DYNAMO_COMMIT_SHA": "2" * 40},
    )  # fmt: skip
    assert again["steps"]["run_instructions"] == 0


def test_image_with_the_layer_is_pushed(make, registry, docker):
    """The old script built it by a command of its own that could not push."""
    report = make("--target", "runtime", "--push", repository=f"{registry}/team/dynamo")
    assert len(report["images"]) == 2
    for image in report["images"]:
        for tag in image["tags"]:
            name = tag.removeprefix(f"{registry}/team/dynamo:")
            request = urllib.request.Request(
                f"http://{registry}/v2/team/dynamo/manifests/{name}",
                headers={"Accept": "application/vnd.oci.image.index.v1+json"},
            )
            with urllib.request.urlopen(request, timeout=10) as answer:
                assert answer.headers["Docker-Content-Digest"] == image["digest"]
            docker("image", "rm", "--force", tag)


def test_installer_that_fails_is_named(dynbuild, tree, tmp_path):
    """Its step is, and its own last words."""
    (tmp_path / "efa_installer.sh").write_text("#!/bin/sh\necho unknown system >&2\nexit 4\n")
    (tmp_path / "efa_installer.sh").chmod(0o755)
    done = dynbuild(
        "build", "--config", str(DEMO / "dynbuild.toml"), "--context", str(tree), *FLAGS,
        "--target", "runtime", "--no-load", "--source", f"efa={tmp_path}",
    )  # fmt: skip
    assert done.returncode == 1
    assert "error: the step failed: [none-runtime-aws-cpu runtime-aws " in done.stderr
    assert "unknown system" in done.stderr
    assert "exit code: 4" in done.stderr
