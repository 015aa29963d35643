"""Which Docker engine a command talks to, and the environment that leads there."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dynbuild import proc
from dynbuild.errors import NotReady

_PATIENCE = 10.0
_UP = "run `dynbuild engine up` for a private engine, or start the system's own"
# Variables that would lead the client away from, or make it talk TLS to, the private socket.
_FOREIGN = ("DOCKER_CONTEXT", "DOCKER_TLS", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")


@dataclass(frozen=True, slots=True)
class Engine:
    """A Docker engine that answered.

    Attributes:
        kind: ``system`` for what the docker client on PATH reaches, ``private`` for the
            engine of ``dynbuild engine up``.
        docker: Path of the docker client.
        host: Address (``unix://…``); ``None`` when the client's own settings decide.
        config: The client's configuration directory; ``None`` for the user's own.
        version: Version of the engine.
        buildx: Version of the client's buildx plugin.
        containerd_store: Whether images live in the containerd store, which keeps
            indexes, attestations and images of several platforms.
        network: ``host`` when containers get no way out of a network of their own, so that
            builds and runs must use the host's: so with a private engine that was started
            beside another engine.  Else ``bridge``, and always for a system engine.
    """

    kind: Literal["system", "private"]
    docker: str
    host: str | None
    config: Path | None
    version: str
    buildx: str
    containerd_store: bool
    network: Literal["bridge", "host"] = "bridge"

    def env(self, base: Mapping[str, str]) -> dict[str, str]:
        """The complete environment for a docker process, made from *base*."""
        if self.kind == "system" or self.host is None or self.config is None:
            return dict(base)
        usr = Path(self.docker).parent.parent
        own = [str(usr / "bin"), str(usr / "sbin")]
        rest = [d for d in base.get("PATH", os.defpath).split(os.pathsep) if d not in own]
        return {name: value for name, value in base.items() if name not in _FOREIGN} | {
            "DOCKER_HOST": self.host,
            "DOCKER_CONFIG": str(self.config),
            "PATH": os.pathsep.join([*own, *rest]),
        }


def find(env: Mapping[str, str]) -> Engine:
    """The engine to use: the system's if one answers, else the private one if it runs.

    An address the user chose (``DOCKER_HOST``, ``DOCKER_CONTEXT``) is never replaced by
    another engine, be it dead or alive.

    Args:
        env: The environment of the user.

    Raises:
        NotReady: No engine answers, or the client of the one that does has no buildx.
    """
    from dynbuild.engine import private

    chosen = next((name for name in ("DOCKER_HOST", "DOCKER_CONTEXT") if env.get(name)), None)
    if chosen == "DOCKER_HOST" and env[chosen] == private.host(env):
        return private.running(env)
    docker = shutil.which("docker", path=env.get("PATH", os.defpath))
    if docker is None:
        if chosen is not None:
            raise NotReady(
                f"{chosen} is set to '{env[chosen]}', but there is no docker client on PATH",
                hint=f"install the docker client, or unset {chosen}",
            )
        problem = "there is no docker client on PATH"
    else:
        answer = _info(docker, env)
        if answer.get("ServerVersion"):
            return _system(docker, answer, env)
        problem = "; ".join(answer.get("ServerErrors") or ()) or "no Docker engine answers"
        if chosen is not None:
            raise NotReady(
                f"no Docker engine answers at {chosen}='{env[chosen]}'",
                hint=f"start that engine, or unset {chosen} to use another one",
                details=(problem,),
            )
    if private.host(env) is not None:
        return private.running(env)
    raise NotReady("no Docker engine answers", hint=_UP, details=(problem,))


def _info(docker: str, env: Mapping[str, str]) -> dict[str, Any]:
    """What ``docker info`` says of client and engine; one process for both."""
    try:
        done = proc.run(
            (docker, "info", "--format", "{{json .}}"), env=env, check=False, timeout=_PATIENCE
        )
    except NotReady as error:
        where = env.get("DOCKER_HOST") or env.get("DOCKER_CONTEXT") or "its default address"
        raise NotReady(
            f"the Docker engine at {where} does not answer", hint=_UP, details=(error.message,)
        ) from error
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        answer = {}
    if not isinstance(answer, dict):
        answer = {}
    if not answer.get("ServerVersion"):
        answer["ServerErrors"] = done.stderr.strip().splitlines()[-3:]
    return answer


def _system(docker: str, answer: dict[str, Any], env: Mapping[str, str]) -> Engine:
    client: dict[str, Any] = answer.get("ClientInfo") or {}
    plugins = client.get("Plugins") or ()
    buildx = next((p for p in plugins if p.get("Name") == "buildx" and not p.get("Err")), None)
    if buildx is None:
        raise NotReady(
            f"the docker client {docker} has no buildx plugin",
            hint="install it (package docker-buildx or docker-buildx-plugin), or use the private"
            ' engine: dynbuild engine up, then eval "$(dynbuild engine env)"',
        )
    driver = dict(answer.get("DriverStatus") or ())
    return Engine(
        kind="system",
        docker=docker,
        host=env.get("DOCKER_HOST") or None,
        config=None,
        version=str(answer["ServerVersion"]),
        buildx=str(buildx.get("Version", "")).removeprefix("v"),
        containerd_store=driver.get("driver-type") == "io.containerd.snapshotter.v1",
    )
