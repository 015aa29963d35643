"""The committed Dockerfiles pass BuildKit's own checks.

NVIDIA's and the other remote images cannot be had everywhere: a Debian image stands in for
each of them, which is enough for the checks, since none of them looks into an image.
"""

from __future__ import annotations

import re

import pytest

from tests.conftest import ROOT

FILES = sorted((ROOT / "dockerfiles").glob("*.Dockerfile"))


def _remote_images(text):
    """References after FROM that are no stage of the file, with arguments filled in."""
    values = dict(re.findall(r"^ARG (\w+)=(\S*)$", text, re.MULTILINE))
    stages = set(re.findall(r"^FROM \S+ AS (\S+)$", text, re.MULTILINE)) | {"scratch"}
    for reference in re.findall(r"^FROM (\S+) AS", text, re.MULTILINE):
        image = re.sub(r"\$\{(\w+)\}", lambda m: values.get(m[1], "amd64"), reference)
        if image not in stages:
            yield image if "/" in image else f"docker.io/library/{image}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_check_finds_no_warning_with_stub_base_images(path, docker, base_image, tmp_path):
    stubs = [
        f"--build-context={image}=docker-image://{base_image}"
        for image in _remote_images(path.read_text())
    ]
    assert stubs
    said = docker("buildx", "build", "--check", "--file", str(path), *stubs, str(tmp_path))
    assert "no warnings found" in said.lower()
