"""What several tests of builds need: a registry, programs for another architecture."""

from __future__ import annotations

import json
import os
import socket
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dynbuild import proc
from dynbuild.engine import base, emulation
from dynbuild.engine.model import Engine
from tests import session
from tests.conftest import docker_on

REGISTRY_DOCKERFILE = """\
FROM {base}
RUN apt-get update && apt-get install -y --no-install-recommends docker-registry
RUN printf '%s\\n' 'version: 0.1' 'storage: {{filesystem: {{rootdirectory: /var/lib/registry}}}}' \\
    'http: {{addr: "127.0.0.1:{port}"}}' > /registry.yml
CMD ["docker-registry", "serve", "/registry.yml"]
"""
MANIFESTS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A registry on loopback, the distribution's own; its address, for any engine here.

    It is on the engine of the run, whatever engine a module has.
    """
    base_image = session.shared_base(os.environ)
    engine = session.start_engine(os.environ)
    docker = docker_on(engine, os.environ)

    def start() -> str:
        port = free_port()
        folder = tmp_path_factory.mktemp("registry")
        (folder / "Dockerfile").write_text(REGISTRY_DOCKERFILE.format(base=base_image, port=port))
        image = f"{session.NAME}/registry:{port}"
        network = ("--network", "host") if engine.network == "host" else ()
        docker("build", "--quiet", "--tag", image, *network, str(folder))
        name = f"{session.NAME}-registry-{port}"
        docker("run", "--detach", "--rm", "--network", "host", "--name", name, image)
        session.note("registry", f"127.0.0.1:{port}")
        while not answers(port):
            docker("inspect", name)  # which fails once the container has ended
            time.sleep(0.1)
        return f"127.0.0.1:{port}"

    return session.once("registry", start)


@pytest.fixture
def own_base(docker: Callable[..., str], base_image: str, tmp_path: Path) -> tuple[str, ...]:
    """Flags for a base image that no other test builds on: no step on it is in the cache.

    To build with --no-cache would say the same, but a build beside this one that has the same
    steps may then decide which of the two results is kept.
    """
    folder, name = tmp_path / "base", f"{session.NAME}/own-base"
    folder.mkdir()
    lines = (f"FROM {base_image}", f"RUN --network=none echo {uuid.uuid4()} > /etc/own-base", "")
    (folder / "Dockerfile").write_text("\n".join(lines))
    docker("build", "--quiet", "--tag", f"{name}:now", str(folder))
    return ("--base-image", name, "--base-image-tag", "now")


@pytest.fixture
def second_engine(engine: Engine) -> Iterator[dict[str, str]]:
    """The environment of another private engine, which has nothing yet."""
    with session.another_engine(engine) as env:
        yield env


def package_index() -> str:
    """Address of the package index that this machine uses, without ``/simple``."""
    asked = "from pip._internal.models.index import PyPI; print(PyPI.url)"
    usual = proc.run(("python3", "-c", asked)).stdout.strip()
    configured = os.environ.get("PIP_INDEX_URL", f"{usual}/simple")
    return configured.rstrip("/").removesuffix("/simple")


def free_port() -> int:
    """A port on loopback that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answers(port: int) -> bool:
    """Whether a registry answers there."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/", timeout=2):
            return True
    except OSError:
        return False


@pytest.fixture(scope="session")
def from_registry(registry: str) -> Callable[[str], tuple[Any, str]]:
    """Get ``NAME/manifests/TAG`` or ``NAME/blobs/DIGEST``: the JSON, and its digest."""

    def get(path: str) -> tuple[Any, str]:
        url = f"http://{registry}/v2/{path}"
        request = urllib.request.Request(url, headers={"Accept": ", ".join(MANIFESTS)})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer), answer.headers["Docker-Content-Digest"]

    return get


@pytest.fixture(scope="session")
def emulator() -> str:
    """The architecture that this machine is not, made to run here as long as the tests do."""
    arch = emulation.other()
    session.once("emulator", lambda: emulation.ensure(arch, os.environ, print))
    return arch


@pytest.fixture(scope="session")
def base_of_both(engine: Engine, emulator: str, base_image: str, registry: str) -> str:
    """A Debian base image for both architectures, in the registry."""
    del base_image
    session.make_base(engine, os.environ, arch=emulator)
    return base.make_joined_base(
        engine, os.environ, archs=("amd64", "arm64"), suite="trixie",
        push=f"{registry}/debian:trixie", say=print,
    )  # fmt: skip
