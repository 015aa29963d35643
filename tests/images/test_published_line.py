"""The line 1.6 from published wheels alone: built, looked at, served from."""

from __future__ import annotations

import json

import pytest

from tests.conftest import DEMO, ROOT
from tests.session import NAME as RUN

IMAGE = f"{RUN}/published:latest-none-runtime-cpu-1.6-index"


@pytest.fixture(scope="module")
def published(dynbuild, tmp_path_factory):
    """The image of the example; the context is empty, as nothing of a tree is needed."""
    done = dynbuild(
        "build", "--format", "json", "--repository", f"{RUN}/published",
        "--config", str(ROOT / "examples" / "demo-1.6" / "dynbuild.toml"),
        "--context", str(tmp_path_factory.mktemp("nothing")),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_nothing_but_wheels_is_installed_and_what_is_left_out_is_not_there(published, docker):
    assert [image["id"] for image in published["images"]] == ["none-runtime-cpu+1.6+index"]
    line = "uv pip list --format freeze; ls /usr/local/ucx /opt/nvidia 2>/dev/null || echo none"
    found = docker("run", "--rm", "--network", "none", IMAGE, "bash", "-c", line).splitlines()
    assert {"ai-dynamo==1.6.1", "ai-dynamo-runtime==1.6.1"} <= set(found)
    assert not [one for one in found if one.startswith(("aisimulate", "jax", "torch", "nixl"))]
    assert found[-1] == "none"


def test_image_serves_a_completion(published, dynbuild):
    assert published["images"]
    done = dynbuild(
        "run", "--image", IMAGE, "--gpus", "none", "--network", "none",
        "-v", f"{DEMO}:/demo:ro", "--", "python", "/demo/serve.py", "ask", "--format", "json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["models"]["data"][0]["id"] == "tiny-demo"
    assert answer["completion"]["choices"][0]["message"]["content"].strip()
