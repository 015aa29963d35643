"""An engine of a worker's own, in place of the one that the other modules of a run share.

While a build goes on, BuildKit before 0.32 may not find what other builds ran on the same base
image (https://github.com/moby/buildkit/issues/6955), and a prune makes more anew than it says.
What builds long and counts steps, or prunes, can therefore run beside others only on another one.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dynbuild.engine import client
from dynbuild.engine.model import Engine
from tests import session
from tests.conftest import build_by, docker_on, dynbuild_in


@pytest.fixture(scope="session")
def environment() -> Iterator[dict[str, str]]:
    """The environment of whatever is to use the engine."""
    with session.another_engine(session.start_engine(os.environ)) as env:
        yield env


@pytest.fixture(scope="session")
def engine(environment: dict[str, str]) -> Engine:
    """The engine."""
    return client.find(environment)


@pytest.fixture(scope="session")
def docker(engine: Engine, environment: dict[str, str]) -> Callable[..., str]:
    """Run a docker command on the engine; its standard output."""
    return docker_on(engine, environment)


@pytest.fixture(scope="session")
def base_image(
    engine: Engine,
    docker: Callable[..., str],
    environment: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> str:
    """The base image of the run."""
    name = session.shared_base(os.environ)
    archive = str(tmp_path_factory.mktemp("base") / "base.tar")
    docker_on(session.start_engine(os.environ), os.environ)("image", "save", "-o", archive, name)
    docker("image", "load", "--quiet", "--input", archive)
    session.use(engine, environment, name)
    return name


@pytest.fixture(scope="session")
def dynbuild(
    base_image: str, environment: dict[str, str]
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command line as a user would, on the engine with its base image."""
    del base_image
    return dynbuild_in(environment)


@pytest.fixture(scope="session")
def build(
    dynbuild: Callable[..., subprocess.CompletedProcess[str]],
) -> Callable[..., dict[str, Any]]:
    """Build on the demo's settings and return the report; a failure shows its output."""
    return build_by(dynbuild)
