"""A Docker engine that answered, and the environment that leads to it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from dynbuild.quick import dataclass

BUILDER = "BUILDX_BUILDER"
"""The variable that names a buildx builder."""

# Variables that would lead the client away from the private socket, or make it talk TLS or the
# words of another engine there.
_FOREIGN = (
    "DOCKER_CONTEXT", "DOCKER_TLS", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "BUILDX_CONFIG",
    "DOCKER_API_VERSION",
)  # fmt: skip


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
        plugin: Path of the client's buildx plugin; empty where it is not known.
    """

    kind: Literal["system", "private"]
    docker: str
    host: str | None
    config: Path | None
    version: str
    buildx: str
    containerd_store: bool
    network: Literal["bridge", "host"] = "bridge"
    plugin: str = ""

    @property
    def buildx_argv(self) -> tuple[str, ...]:
        """What commands of buildx begin with, in an environment that has ``plugin_env``.

        It is the plugin, called as the client calls it.  The client itself would first start
        it to ask what it is, and wait beside it, which takes as long as a small build.
        """
        return (self.plugin or self.docker, "buildx")

    @property
    def plugin_env(self) -> dict[str, str]:
        """What tells the plugin that a client's options hold (docker/cli's ``ReexecEnvvar``)."""
        return {"DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND": self.docker} if self.plugin else {}

    def env(self, base: Mapping[str, str]) -> dict[str, str]:
        """The complete environment for a docker process, made from *base*."""
        if self.kind == "system" or self.host is None or self.config is None:
            return dict(base)
        usr = Path(self.docker).parent.parent
        own = [str(usr / "bin"), str(usr / "sbin")]
        rest = [d for d in base.get("PATH", os.defpath).split(os.pathsep) if d not in own]
        foreign = _FOREIGN if self.heeds_builder(base) else (*_FOREIGN, BUILDER)
        return {name: value for name, value in base.items() if name not in foreign} | {
            "DOCKER_HOST": self.host,
            "DOCKER_CONFIG": str(self.config),
            "PATH": os.pathsep.join([*own, *rest]),
        }

    def heeds_builder(self, env: Mapping[str, str]) -> bool:
        """Whether ``BUILDX_BUILDER`` of *env*, if it is set, names a builder that counts here.

        One that another client knows is none of a private engine.
        """
        name = env.get(BUILDER, "")
        if self.config is None or name in ("", "default"):
            return True
        return "/" not in name and (self.config / "buildx" / "instances" / name).is_file()
