"""What one run of the tests makes once, for all of its workers, and takes away at its end.

A run has a name, which begins the names of its images and containers, and a folder. The
process that starts the workers makes both and hands them on in its environment.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from dynbuild import paths, proc
from dynbuild.build import facts
from dynbuild.engine import base, client, emulation, private
from dynbuild.engine.cuda_base import Toolkit
from dynbuild.engine.model import Engine
from dynbuild.errors import NotReady

NAME = os.environ.setdefault("TEST_RUN_NAME", f"dynbuild-test-{secrets.token_hex(4)}")
FOLDER = Path(tempfile.gettempdir(), NAME)
_MADE = "made"


@contextmanager
def lock(name: str) -> Iterator[Path]:
    """The folder of the run, while this process alone does what *name* says."""
    FOLDER.mkdir(mode=0o700, exist_ok=True)
    with (FOLDER / f"{name}.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield FOLDER


def once(name: str, make: Callable[[], Any]) -> Any:
    """What *make* returned to the first process that asked for *name*; it passes JSON."""
    with lock(name) as folder:
        result = folder / f"{name}.json"
        if not result.exists():
            result.write_text(json.dumps(make()), encoding="utf-8")
        return json.loads(result.read_text(encoding="utf-8"))


def note(kind: Literal["image", "digest", "registry"], name: str) -> None:
    """Remember what the run made: an image, the digest of a build, a registry's address."""
    with lock(_MADE) as folder, (folder / _MADE).open("a", encoding="utf-8") as file:
        file.write(f"{kind} {name}\n")


def start_engine(env: Mapping[str, str]) -> Engine:
    """The engine of this machine, else a private one, started by the first who asks."""

    def start() -> bool:
        try:
            client.find(env)
        except NotReady:
            private.up(env, print)
            return True
        return False

    once("engine", start)
    return client.find(env)


@contextmanager
def another_engine(engine: Engine) -> Iterator[dict[str, str]]:
    """The environment for a private engine beside *engine*, which has nothing yet.

    Its home is in the other one's: what it builds is not for a place of temporary files.
    """
    beside = paths.home(os.environ)
    beside.mkdir(parents=True, exist_ok=True)
    # Short, as a socket is below it.
    with tempfile.TemporaryDirectory(prefix="test-", dir=beside) as home:
        if engine.kind == "private":
            place = Path(home, "engine", "packages")
            there = beside / "engine" / "packages"
            shutil.copytree(there, place, symlinks=True, copy_function=_link)
        env = {name: value for name, value in os.environ.items() if name != "DOCKER_HOST"}
        env["DYNBUILD_HOME"] = home
        dynbuild = (sys.executable, "-m", "dynbuild", "engine")
        subprocess.run([*dynbuild, "up"], env=env, check=True)
        # A private engine comes last of all: who has another one is told where this one listens.
        host = {"DOCKER_HOST": f"unix://{home}/engine/run/docker.sock"}
        try:
            yield env if engine.kind == "private" else env | host
        finally:
            subprocess.run([*dynbuild, "down"], env=env, check=True)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def make_base(engine: Engine, env: Mapping[str, str], **which: Any) -> str:
    """A base image, which goes at the end of the run unless the engine had it before."""
    before = images(engine, env)
    name = base.make_base(engine, env, **{"suite": "trixie", "say": print, **which})
    if name not in before:
        note("image", name)
    return name


def make_cuda_base(engine: Engine, env: Mapping[str, str], version: str, **which: Any) -> str:
    """``make_base`` with a CUDA toolkit from the package index of this machine."""
    machine = facts.read(os.environ)
    toolkit = Toolkit(version=version, ca_bundle=machine.ca_bundle, index_url=machine.index_url)
    return make_base(engine, env, toolkit=toolkit, **which)


def make_used_base(engine: Engine, env: Mapping[str, str]) -> str:
    """``make_base`` of an image that a build used which is over."""
    name = make_base(engine, env)
    use(engine, env, name)
    return name


def use(engine: Engine, env: Mapping[str, str], name: str) -> None:
    """Build something on the image *name*.

    As long as a build goes on that was the first to use it, BuildKit before 0.32 does not find
    what others ran on it.
    """
    argv = (engine.docker, "buildx", "build", "--quiet", "--output", "type=cacheonly", "-")
    proc.run(argv, env=engine.env(env), input=f"FROM {name}\n")


def shared_base(env: Mapping[str, str]) -> str:
    """``make_used_base`` on the engine of the run, once."""
    return str(once("base", lambda: make_used_base(start_engine(env), env)))


def note_new(engine: Engine, env: Mapping[str, str], name: str) -> None:
    """Remember that the run is about to make the image *name*, unless it is there."""
    if name not in images(engine, env):
        note("image", name)


def images(engine: Engine, env: Mapping[str, str]) -> list[str]:
    """The images of the engine, by their tags."""
    argv = (engine.docker, "image", "ls", "--format", "{{.Repository}}:{{.Tag}}")
    return proc.run(argv, env=engine.env(env)).stdout.split()


def end(env: Mapping[str, str]) -> None:
    """Take away what the run left, on the engine too, and the engine where the run started it."""

    def made(name: str) -> Any:
        file = FOLDER / f"{name}.json"
        return json.loads(file.read_text(encoding="utf-8")) if file.exists() else None

    try:
        if made("emulator"):
            arch = emulation.other()
            assert emulation.remove(env, arch) == (arch,)
        if made("engine") is not None:
            clean(client.find(env), env)
        if made("engine"):
            private.down(env)
    finally:
        shutil.rmtree(FOLDER, ignore_errors=True)


def clean(engine: Engine, env: Mapping[str, str]) -> None:
    """Remove the containers and images that the run made; those of others stay."""

    def docker(*words: str) -> list[str]:
        argv = (engine.docker, *words)
        return proc.run(argv, env=engine.env(env)).stdout.split()

    def remove(what: str, names: list[str]) -> None:
        if names:
            docker(what, "rm", "--force", *names)

    with lock(_MADE) as folder:
        made = folder / _MADE
        notes = made.read_text(encoding="utf-8").splitlines() if made.exists() else []
    noted = {tuple(line.split(" ", 1)) for line in notes}
    names = docker("ps", "--all", "--format", "{{.Names}}")
    remove("container", [name for name in names if name.startswith(NAME)])
    own = (f"{NAME}/", *(f"{name}/" for kind, name in noted if kind == "registry"))
    tags = images(engine, env)
    remove("image", [tag for tag in tags if tag.startswith(own) or ("image", tag) in noted])
