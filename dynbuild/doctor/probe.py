"""The machine as the checks see it: programs, small files, the engine; asked once each."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar, cast

from dynbuild import proc
from dynbuild.engine import builder, client
from dynbuild.engine.builder import Builder
from dynbuild.engine.model import Engine
from dynbuild.errors import DynbuildError, NotReady

_T = TypeVar("_T")
_PATIENCE = 5.0


@dataclass(slots=True)
class Probe:
    """The machine as the checks see it; what several of them ask is asked once.

    Attributes:
        env: The environment of the user.
        context: Folder of the build context.
        root: Where ``/proc``, ``/sys``, ``/dev`` and ``/etc`` are found.
    """

    env: Mapping[str, str]
    context: Path
    root: Path = Path("/")
    _answers: dict[str, object] = field(default_factory=dict)
    _locks: dict[str, Lock] = field(default_factory=dict)

    def once(self, name: str, ask: Callable[[], _T]) -> _T:
        """The answer to *ask*; whoever comes second waits for it."""
        with self._locks.setdefault(name, Lock()):
            if name not in self._answers:
                self._answers[name] = ask()
            return cast(_T, self._answers[name])

    def run(self, *argv: str, env: Mapping[str, str] | None = None) -> proc.Completed:
        """A program's answer; an error where it gives none in time."""
        return proc.run(argv, env=env or self.env, check=False, timeout=_PATIENCE)

    def which(self, name: str) -> str | None:
        """Path of a program of the user."""
        return shutil.which(name, path=self.env.get("PATH", os.defpath))

    def read(self, path: str) -> str:
        """A small file below the root, empty where it cannot be read."""
        try:
            return (self.root / path).read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            return ""

    def entries(self, directory: str, pattern: str = "*") -> list[Path]:
        """What is in a directory below the root."""
        return sorted((self.root / directory).glob(pattern))

    @property
    def found(self) -> Engine | NotReady:
        """The engine, or why there is none."""
        return self.once("found", lambda: _find(self.env))

    @property
    def engine(self) -> Engine | None:
        """The engine, if one answers."""
        return found if isinstance(found := self.found, Engine) else None

    @property
    def builder(self) -> Builder | NotReady | None:
        """Where builds are solved, or why nowhere; ``None`` without an engine."""
        return self.once("builder", self._builder)

    def _builder(self) -> Builder | NotReady | None:
        if self.engine is None:
            return None
        try:
            return builder.find(self.engine, self.env)
        except NotReady as error:
            return error

    @property
    def local(self) -> bool:
        """Whether the engine, if there is one, is on this machine."""
        address = (self.engine.host if self.engine else None) or self.env.get("DOCKER_HOST")
        return (address or "unix://").startswith("unix://")

    @property
    def info(self) -> dict[str, Any]:
        """What ``docker info`` says; empty where no engine answers."""
        return self.once("info", lambda: _info(self))

    @property
    def smi(self) -> proc.Completed | None:
        """What ``nvidia-smi`` says; ``None`` where there is none."""
        return self.once("smi", self._smi)

    def _smi(self) -> proc.Completed | None:
        program = self.which("nvidia-smi")
        if program is None:
            return None
        try:
            return self.run(program)
        except NotReady as error:
            # Kept as an answer, or every check that asks would wait as long again.
            return proc.Completed(argv=(program,), returncode=-1, stdout="", stderr=error.message)

    @property
    def gpu_devices(self) -> list[str]:
        """Names of the devices of GPUs; Windows' Linux has one for all."""
        found = [path.name for path in self.entries("dev", "nvidia*")]
        numbered = [name for name in found if name.removeprefix("nvidia").isdecimal()]
        return numbered or [path.name for path in self.entries("dev", "dxg")]


def _find(env: Mapping[str, str]) -> Engine | NotReady:
    try:
        return client.find(env)
    except NotReady as error:
        return error
    except (DynbuildError, OSError, ValueError) as error:
        return NotReady(f"looking for an engine failed: {error}")


def _info(probe: Probe) -> dict[str, Any]:
    engine = probe.engine
    docker = engine.docker if engine else probe.which("docker")
    # An engine that answers is refused for want of buildx only; none other is asked twice.
    if docker is None or (
        isinstance(probe.found, NotReady) and "buildx" not in probe.found.message
    ):
        return {}
    env = engine.env(probe.env) if engine else probe.env
    try:
        answer = json.loads(probe.run(docker, "info", "--format", "{{json .}}", env=env).stdout)
    except (NotReady, ValueError):
        return {}
    return answer if isinstance(answer, dict) and answer.get("ServerVersion") else {}


def version_number(text: str) -> tuple[int, ...]:
    """The numbers of a version, ``(0, 29, 1)`` of ``v0.29.1``; empty where it has none."""
    found = re.match(r"v?(\d+(?:\.\d+)*)", text)
    return tuple(map(int, found[1].split("."))) if found else ()
