"""The wheel holds everything the commands need, wherever they are run."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The wheel, unpacked: what ``pip install .`` puts into site-packages."""
    folder = tmp_path_factory.mktemp("wheel")
    words = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run(
        [sys.executable, *words, "--wheel-dir", str(folder), str(ROOT)],
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("dynbuild-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_templates_and_catalog_ship_in_the_package(installed):
    shipped = {path.name for path in (installed / "dynbuild" / "_templates").iterdir()}
    assert shipped == {path.name for path in (ROOT / "templates").iterdir()}


def test_types_are_announced(installed):
    assert (installed / "dynbuild" / "py.typed").is_file()


def test_console_script_is_declared(installed):
    (entry,) = installed.glob("*.dist-info/entry_points.txt")
    assert "dynbuild = dynbuild.cli:main" in entry.read_text()


@pytest.mark.processes("python")
def test_installed_package_renders_from_any_directory(installed, tmp_path):
    done = subprocess.run(
        [sys.executable, "-P", "-m", "dynbuild", "render", "--framework", "none",
         "--target", "runtime", "--device", "cpu", "--dynamo-wheels", "index"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(installed)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "FROM ${BASE_IMAGE}:${BASE_IMAGE_TAG} AS base" in done.stdout
