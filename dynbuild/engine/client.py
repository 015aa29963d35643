"""Which Docker engine a command talks to, and the environment that leads there."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from typing import Any

from dynbuild import proc
from dynbuild.engine import private
from dynbuild.engine.model import Engine
from dynbuild.errors import NotReady

_PATIENCE = 10.0
_UP = "run `dynbuild engine up` for a private engine, or start the system's own"


def find(env: Mapping[str, str]) -> Engine:
    """The engine to use: the system's if one answers, else the private one if it runs.

    An address the user chose (``DOCKER_HOST``, ``DOCKER_CONTEXT``) is never replaced by
    another engine, be it dead or alive.

    Args:
        env: The environment of the user.

    Raises:
        NotReady: No engine answers, or the client of the one that does has no buildx.
    """
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
        plugin=str(buildx.get("Path") or ""),
    )
