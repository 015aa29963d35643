"""A docker client that a test plays, and a context to build in."""

from __future__ import annotations

import pytest

from tests import fake_docker


@pytest.fixture
def docker(tmp_path):
    return fake_docker.make(tmp_path / "bin")


@pytest.fixture
def tree(tmp_path):
    path = tmp_path / "tree"
    path.mkdir()
    return path
