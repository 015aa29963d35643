"""Where a build is solved: a buildx builder, and what it can do.

The one that an engine has in itself is known without asking.  Only where the user chose
another one (``BUILDX_BUILDER``, ``docker buildx use``) buildx is asked about it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dynbuild.engine.model import BUILDER, Engine
from dynbuild.errors import NotReady
from dynbuild.quick import dataclass

if TYPE_CHECKING:
    import python_on_whales

_OWN = "docker"

# The BuildKit inside of an engine has its own number, which distributions leave out.
_BUILDKIT_OF_ENGINE = {
    (29, 0): (0, 25), (28, 5): (0, 25), (28, 4): (0, 24), (28, 3): (0, 23), (28, 2): (0, 22),
    (28, 1): (0, 21), (28, 0): (0, 20), (27, 4): (0, 17), (27, 3): (0, 16), (27, 1): (0, 15),
    (27, 0): (0, 14), (26, 0): (0, 13), (25, 0): (0, 12), (24, 0): (0, 11), (23, 0): (0, 10),
    (17, 0): (0, 8),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Node:
    """One BuildKit of a builder.

    Attributes:
        name: Its name in the builder.
        endpoint: Where it is.
        status: Such as ``running``; empty where it was not asked.
        version: BuildKit's version as it says it; empty where it is not known.
        platforms: What it builds for; empty where it is not known.
    """

    name: str
    endpoint: str = ""
    status: str = ""
    version: str = ""
    platforms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Builder:
    """Where a build is solved.

    Its ``version`` is BuildKit's, not the engine's.

    Attributes:
        name: As ``docker buildx ls`` has it.
        driver: ``docker`` for the one inside of an engine; ``docker-container``,
            ``kubernetes`` or ``remote`` for one of its own.
        nodes: Its BuildKits.
        engine: Whose client drives it, and where images are loaded.
        flags: Flags of its daemon, as far as they are known.
    """

    name: str
    driver: str
    nodes: tuple[Node, ...]
    engine: Engine
    flags: str = ""

    @property
    def in_engine(self) -> bool:
        """Whether it is the engine's own: it builds on images that the engine has."""
        return self.driver == _OWN

    def can_load(self, platforms: int) -> bool:
        """Whether an image of so many platforms can be loaded into the engine."""
        return platforms == 1 or (self.in_engine and self.engine.containerd_store)

    @property
    def network(self) -> Literal["bridge", "host"]:
        """The network that build steps need; see ``Engine.network``."""
        return self.engine.network if self.in_engine else "bridge"

    @property
    def allows_host_network(self) -> bool:
        """Whether a step may use the host's network, where that is known to be forbidden."""
        return self.in_engine or not self.flags or "network.host" in self.flags

    @property
    def version(self) -> tuple[int, int] | None:
        """Version of its oldest BuildKit; ``None`` where it is not known."""
        versions = [version_of(node.version) for node in self.nodes]
        if known := [version for version in versions if version > (0, 0)]:
            return min(known)
        return _of_engine(self.engine.version) if self.in_engine else None

    def env(self, base: Mapping[str, str]) -> dict[str, str]:
        """The complete environment for a docker process that uses it, made from *base*."""
        own = self.engine.env(base)
        return own if self.in_engine else own | {BUILDER: self.name}

    def buildx_env(self, base: Mapping[str, str]) -> dict[str, str]:
        """``env`` for a process that begins with ``Engine.buildx_argv``."""
        return self.env(base) | self.engine.plugin_env

    def __str__(self) -> str:
        if self.in_engine:
            return f"the {self.engine.kind} engine {self.engine.version}"
        return f"the builder {self.name} ({self.driver})"


def find(engine: Engine, env: Mapping[str, str]) -> Builder:
    """The builder that buildx would use.

    Args:
        engine: Whose client is used.
        env: The caller's environment.

    Raises:
        NotReady: The builder that was chosen is not there, does not answer, or is another
            engine's own.
    """
    own = engine.env(env)
    chosen, context = own.get(BUILDER, ""), own_name(own)
    if chosen == context or (not chosen and not _chosen(own)):
        return Builder(
            name=context, driver=_OWN, nodes=(Node(context, engine.host or ""),), engine=engine
        )
    from python_on_whales import DockerClient
    from python_on_whales.exceptions import DockerException

    # Of a system engine the client's own settings decide, as everywhere.
    private = engine.kind == "private"
    client = DockerClient(
        client_call=[engine.docker],
        host=engine.host if private else None,
        config=engine.config if private else None,
    )
    try:
        found = _of_library(client.buildx.inspect(chosen or None), engine)
    except (DockerException, ValueError, IndexError, TypeError) as error:
        said = getattr(error, "stderr", None) or str(error)
        raise NotReady(
            f"the builder '{chosen or 'that docker buildx uses'}' does not answer",
            origin=BUILDER if chosen else None,
            hint="docker buildx ls lists those there are; docker buildx use"
            f" {context} takes the engine's own",
            details=tuple(said.strip().splitlines()[-3:]),
        ) from error
    if found.in_engine and found.name != context:
        # Images would be looked for on one engine, and built and loaded on the other.
        raise NotReady(
            f"the builder '{found.name}' is another engine than the one that is used ({context})",
            origin=BUILDER if chosen else "docker buildx use",
            hint=f"unset {BUILDER}, or choose that engine: DOCKER_CONTEXT={found.name}",
        )
    return found


def _of_library(said: python_on_whales.Builder, engine: Engine) -> Builder:
    nodes = said.nodes or ()
    return Builder(
        name=said.name or "",
        driver=said.driver or "",
        nodes=tuple(
            Node(
                name=node.name or "",
                endpoint=node.endpoint or "",
                status=node.status or "",
                version=node.version or "",
                platforms=tuple(node.platforms or ()),
            )
            for node in nodes
        ),
        engine=engine,
        flags=" ".join(flag for node in nodes for flag in node.flags or ()),
    )


def own_name(env: Mapping[str, str]) -> str:
    """The name of the builder that an engine has in itself, which sees its images.

    It is that of the docker context that the client uses (docker/cli's
    ``resolveContextName``).

    Args:
        env: The environment that leads to the engine; see ``Engine.env``.
    """
    if env.get("DOCKER_HOST"):
        return "default"
    named = env.get("DOCKER_CONTEXT")
    if not named:
        try:
            named = json.loads((_config(env) / "config.json").read_bytes()).get("currentContext")
        except (OSError, ValueError, AttributeError, RecursionError):
            named = ""
    return str(named or "default")


def _config(env: Mapping[str, str]) -> Path:
    return Path(env.get("DOCKER_CONFIG") or Path(env.get("HOME") or "/root") / ".docker")


def _chosen(env: Mapping[str, str]) -> bool:
    """Whether ``docker buildx use`` may have chosen another builder than the engine's own."""
    state = Path(env.get("BUILDX_CONFIG") or _config(env) / "buildx")
    try:
        current = json.loads((state / "current").read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        current = {}
    except (OSError, ValueError, RecursionError):
        return True
    named = not isinstance(current, dict) or bool(current.get("Name"))
    return named or any(_entries(state / "defaults"))


def _entries(folder: Path) -> Iterator[Path]:
    try:
        yield from folder.iterdir()
    except OSError:
        return


def version_of(text: str) -> tuple[int, int]:
    """The first two numbers of a version; zeros where there are none."""
    numbers = re.match(r"v?(\d{1,9})\.(\d{1,9})", text)
    return (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)


def _of_engine(text: str) -> tuple[int, int] | None:
    engine = version_of(text)
    known = (kit for since, kit in _BUILDKIT_OF_ENGINE.items() if engine >= since)
    return next(known, None)
