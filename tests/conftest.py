"""Fixtures of the tests that need an engine, or an S3 server; everything else needs none."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from dynbuild import proc
from dynbuild.engine.model import Engine
from tests import outside, s3_server, session

# A developer's runs look for new cases; CI repeats the same ones, so that it says the same twice.
hypothesis.settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    hypothesis.settings.load_profile("ci")

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "examples" / "demo"
WORKSPACE = ROOT / "examples" / "workspace"

STEPS, EMULATORS = "steps", "emulators"
OF_THEIR_OWN = ("airgap", "builders", "context", "faults", "lint", "logins", "run")
"""Modules of images that share no step with others and count none: they run beside those, and so do
those with an engine of their own."""
GROUPS = {
    "tests/engine/test_emulation_kernel.py": EMULATORS,
    "tests/images/test_platforms.py": EMULATORS,
    **{
        f"tests/images/{path.name}": STEPS
        for path in sorted(Path(__file__).parent.glob("images/test_*.py"))
        if path.stem.removeprefix("test_") not in (*OF_THEIR_OWN, "platforms")
    },
}
"""Modules whose tests run one after the other: those that change the kernel's emulators, and those
that take over each other's steps or count those that run."""
LONGEST = (STEPS, *(f"tests/images/own_engine/test_{name}.py" for name in ("cuda", "matrix")))
"""What comes first: no worker is to be left alone with it at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need an engine; the longest come first."""
    for item in items:
        if item.path.relative_to(ROOT / "tests").parts[0] == "images":
            item.add_marker("engine")

    def rank(item: pytest.Item) -> int:
        file = item.nodeid.partition("::")[0]
        group = GROUPS.get(file, file)
        return LONGEST.index(group) if group in LONGEST else len(LONGEST)

    items.sort(key=rank)


class _ByGroup(LoadFileScheduling):
    """Tests of a module stay together, as they share what it builds; so do those of a group."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return GROUPS.get(file, file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling | None:
    return _ByGroup(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        session.end(os.environ)


@pytest.fixture(autouse=True)
def _inside(request: pytest.FixtureRequest) -> Iterator[None]:
    """A unit test starts no process and opens no connection, unless it is marked so."""
    marks = list(request.node.iter_markers())
    if any(mark.name == "engine" for mark in marks):
        yield
        return
    words = {name: [mark.args for mark in marks if mark.name == name] for name in outside.MARKS}
    programs, hosts = (set(itertools.chain(*words[name])) for name in outside.MARKS)
    with outside.only(programs, hosts if words["network"] else None):
        yield


@pytest.fixture
def overlay(tmp_path: Path) -> Callable[..., Path]:
    """Writes a settings file and returns its path."""

    def write(text: str, name: str = "dynbuild.toml") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[s3_server.Server]:
    """A real S3 server, the same one for all workers."""
    place = tmp_path_factory.getbasetemp()
    # Each worker has a folder of its own in the one of the run.
    place = place.parent if os.environ.get("PYTEST_XDIST_WORKER") else place
    with s3_server.shared(place / "s3") as server:
        yield server


@pytest.fixture(scope="session")
def engine() -> Engine:
    """The engine of this machine, else a private one that ends with the tests."""
    return session.start_engine(os.environ)


@pytest.fixture(scope="session")
def docker(engine: Engine) -> Callable[..., str]:
    """Run a docker command on the engine; its standard output."""
    return docker_on(engine, os.environ)


def docker_on(engine: Engine, env: Mapping[str, str]) -> Callable[..., str]:
    """What the fixture ``docker`` is, on any engine."""

    def run(*words: str, check: bool = True, timeout: float = 300) -> str:
        done = proc.run([engine.docker, *words], env=engine.env(env), check=check, timeout=timeout)
        return done.stdout.strip()

    return run


@pytest.fixture(scope="module")
def container(docker: Callable[..., str]) -> Iterator[Callable[..., Callable[..., str]]]:
    """Start containers that wait; each becomes a function that runs a shell line in it.

    That is what ``docker exec`` does: neither the entrypoint nor a login shell comes first.
    """
    names: list[str] = []

    def start(image: str, *flags: str) -> Callable[..., str]:
        name = f"{session.NAME}-{uuid.uuid4().hex[:12]}"
        waits = ("--network", "none", "--entrypoint", "sleep")
        docker("run", "--detach", "--rm", *waits, "--name", name, *flags, image, "infinity")
        names.append(name)

        def run(line: str, *flags: str, shell: tuple[str, ...] = ("bash", "-c")) -> str:
            return docker("exec", *flags, name, *shell, line)

        return run

    yield start
    if names:
        docker("rm", "--force", *names)


@pytest.fixture(scope="session")
def base_image() -> str:
    """A Debian base image, made here."""
    return session.shared_base(os.environ)


@pytest.fixture(scope="session")
def dynbuild(base_image: str) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command line as a user would, on the engine with its base image."""
    del base_image
    return dynbuild_in(os.environ)


def dynbuild_in(environment: Mapping[str, str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """What the fixture ``dynbuild`` is, in any environment."""

    def run(
        *words: str, env: dict[str, str] | None = None, cwd: Path = ROOT, timeout: float = 1500
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "dynbuild", *words],
            capture_output=True,
            text=True,
            # The trees of the tests are copies without a repository.
            env={**environment, "DYNBUILD_ALLOW_UNVERSIONED": "1", **(env or {})},
            cwd=cwd,
            timeout=timeout,
            check=False,
        )

    return run


def _copy_of_the_demo() -> Path:
    return shutil.copytree(
        DEMO, session.FOLDER / "demo", ignore=shutil.ignore_patterns(".dynbuild")
    )


@pytest.fixture(scope="session")
def build(
    dynbuild: Callable[..., subprocess.CompletedProcess[str]],
) -> Callable[..., dict[str, Any]]:
    """Build on the demo's settings and return the report; a failure shows its output.

    The context is a folder of this run's own where the words name none.
    """
    return build_by(dynbuild)


def build_by(
    dynbuild: Callable[..., subprocess.CompletedProcess[str]],
) -> Callable[..., dict[str, Any]]:
    """What the fixture ``build`` is, with any ``dynbuild``."""
    context = session.once("context", lambda: str(_copy_of_the_demo()))

    def run(*words: str, **more: Any) -> dict[str, Any]:
        where = () if "--context" in words else ("--context", context)
        config = ("--config", str(DEMO / "dynbuild.toml"))
        done = dynbuild("build", "--format", "json", *config, *where, *words, **more)
        assert done.returncode == 0, done.stderr
        report: dict[str, Any] = json.loads(done.stdout)
        for image in report["images"]:
            session.note("digest", str(image.get("digest")))
        return report

    return run
