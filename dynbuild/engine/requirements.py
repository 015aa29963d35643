"""What builds need of buildx and BuildKit: the one table of versions, each with its reason.

Pure: what is there comes in, what is missing goes out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dynbuild.engine.builder import Builder, version_of
from dynbuild.errors import NotReady


@dataclass(frozen=True, slots=True)
class Need:
    """Something that a build uses, and since when there is such a thing.

    Attributes:
        program: Which program has it.
        since: Its version.
        what: What is used.
        words: How a Dockerfile that uses it can be told, as a regular expression; empty for
            what every build uses.
        host_network: Whether only steps on the host's network use it.
    """

    program: str
    since: tuple[int, int]
    what: str
    words: str = ""
    host_network: bool = False

    def __str__(self) -> str:
        return f"{self.program} {_text(self.since)} for {self.what}"


NEEDS = (
    Need("buildx", (0, 13), "progress that a program can read (--progress rawjson)"),
    Need("buildx", (0, 17), "bake --allow=network.host", host_network=True),
    Need("BuildKit", (0, 10), "files inside of a Dockerfile (COPY <<EOF)", r"^(?:COPY|RUN) .*<<"),
    Need("BuildKit", (0, 10), "COPY --link", r"^COPY .*--link"),
    Need("BuildKit", (0, 12), "a repository as a source (ADD git)", r"^ADD .*(?:\.git\b|#\$)"),
    Need("BuildKit", (0, 12), "ADD --checksum", r"^ADD .*--checksum="),
    Need("BuildKit", (0, 16), "secrets as variables (type=secret,env=)", r"=secret,\S*env="),
    Need("BuildKit", (0, 23), "ADD --unpack", r"^ADD .*--unpack"),
    Need("BuildKit", (0, 25), "COPY --exclude", r"^COPY .*--exclude="),
)  # fmt: skip

# The first engine with a BuildKit that new.
_ENGINES = {(0, 10): "23.0", (0, 12): "25.0", (0, 16): "27.3", (0, 23): "28.3", (0, 25): "28.5"}
_PRIVATE = 'the private engine has it: dynbuild engine up, then eval "$(dynbuild engine env)"'


def missing(
    builder: Builder, dockerfiles: Iterable[str] = (), *, network: str = "bridge"
) -> Iterator[Need]:
    """What *builder* lacks for these Dockerfiles; a version that is not known lacks nothing.

    Args:
        builder: Where they would be built.
        dockerfiles: Their texts.
        network: The network of the steps.
    """
    texts = tuple(dockerfiles)
    versions = {"buildx": version_of(builder.engine.buildx), "BuildKit": builder.version or (0, 0)}
    for need in NEEDS:
        used = not need.words or any(re.search(need.words, text, re.M) for text in texts)
        used = used and (network == "host" or not need.host_network)
        if used and (0, 0) < versions[need.program] < need.since:
            yield need


def check(builder: Builder, dockerfiles: Iterable[str], *, network: str) -> None:
    """Raise if *builder* is too old for these Dockerfiles.

    Raises:
        NotReady: It is, or may not use the host's network.
    """
    lacks = tuple(missing(builder, dockerfiles, network=network))
    if lacks:
        newest = max(lacks, key=lambda need: (need.program == "BuildKit", need.since))
        raise NotReady(
            f"{_there(builder, newest.program)} is too old: this build needs {newest}",
            hint=remedy(builder, newest),
            details=tuple(f"it needs {need}" for need in lacks if need != newest),
        )
    if network == "host" and not builder.allows_host_network:
        raise NotReady(
            f"{builder} does not let steps use the host's network",
            hint="make it anew: docker buildx create --buildkitd-flags"
            " '--allow-insecure-entitlement network.host'",
        )


def remedy(builder: Builder, need: Need) -> str:
    """How to get what *need* asks for."""
    version = _text(need.since)
    if need.program == "buildx":
        return f"install buildx {version} or newer (package docker-buildx-plugin); or {_PRIVATE}"
    image = f"docker buildx create --use --driver-opt image=moby/buildkit:v{version}.0"
    if builder.in_engine:
        return f"install Docker {_ENGINES[need.since]} or newer; or {_PRIVATE}; or {image}"
    return f"make the builder anew: {image}"


def _there(builder: Builder, program: str) -> str:
    if program == "buildx":
        return f"buildx {builder.engine.buildx}"
    return f"BuildKit {_text(builder.version or (0, 0))} of {builder}"


def _text(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
