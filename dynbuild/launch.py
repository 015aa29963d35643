"""From a run request to the ``docker run`` command.  Pure.

The defaults and the order of the options are those of the launcher this replaces
(facts: run.sh command line), without its shell: every value is one argument, whatever
characters it holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

DEFAULT_FRAMEWORK = "vllm"
CONTAINER_HOME = "/home/dynamo"
DEFAULT_ULIMITS = ("memlock=-1", "stack=67108864", "nofile=65536:65536")
"""Pinned memory without bound, 64 MiB stacks, 65536 files (facts: runtime limits)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """What to run and how.

    Attributes:
        image: Image reference.
        command: Arguments after the image.
        gpus: For ``--gpus``; ``none`` in any case leaves GPUs and their runtime out.
        runtime: Container runtime; ``none`` leaves it out.
        network: host, bridge, none, container:NAME, or a network's name.
        shm_size: Size of /dev/shm.
        interactive: ``-it``.
        rm: Remove the container at its end.
        privileged: All privileges.
        env: ``NAME=VALUE``, or ``NAME`` for the caller's value.
        volumes: ``SOURCE:TARGET[:ro]``.
        ports: ``HOST:CONTAINER``.
        workdir: Working directory inside.
        user: ``NAME``, ``UID`` or ``UID:GID``; ``None`` for the image's.
        name: Name of the container.
        entrypoint: In place of the image's.
        workspace: Source tree to mount at /workspace, with /tmp and /mnt.
        hf_home: Hugging Face cache of the host; ``None`` mounts none.
        hf_token: Whether the caller has HF_TOKEN set, so that it is passed on.
        nixl_gds: GPUDirect Storage.
        ulimits: Resource limits, ``NAME=SOFT[:HARD]``; -1 is unlimited.
    """

    image: str
    command: tuple[str, ...] = ()
    gpus: str = "all"
    runtime: str = "nvidia"
    network: str = "host"
    shm_size: str = "10G"
    interactive: bool = False
    rm: bool = True
    privileged: bool = False
    env: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    workdir: str = "/workspace"
    user: str | None = None
    name: str | None = None
    entrypoint: str | None = None
    workspace: str | None = None
    hf_home: str | None = None
    hf_token: bool = False
    nixl_gds: bool = False
    ulimits: tuple[str, ...] = DEFAULT_ULIMITS


def fit_ulimits(
    ulimits: tuple[str, ...], hard: Mapping[str, int]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """*ulimits* cut to what the engine may grant, and a sentence for each that was cut.

    Args:
        ulimits: ``NAME=SOFT[:HARD]``; -1 is unlimited.
        hard: The engine's own hard limits; a name that is missing is unbounded.
    """
    fitted, said = [], []
    for limit in ulimits:
        name, _, text = limit.partition("=")
        wanted = [int(part) for part in text.split(":")]
        bound = hard.get(name)
        if bound is None or all(0 <= value <= bound for value in wanted):
            fitted.append(limit)
            continue
        cut = ":".join(str(value if 0 <= value <= bound else bound) for value in wanted)
        fitted.append(f"{name}={cut}")
        said.append(f"the engine may not grant {limit}: its own hard limit is {bound}")
    return tuple(fitted), tuple(said)


def default_image(repository: str, framework: str, target: str) -> str:
    """The conventional name of an image: what ``dynbuild build`` tags as latest.

    The dev image has no suffix, and no target means dev.
    """
    suffix = "" if target in ("", "dev") else f"-{target}"
    return f"{repository}:latest-{framework.lower()}{suffix}"


def is_root(user: str | None) -> bool:
    """Whether *user*, with or without a group, is root."""
    return user is not None and user.partition(":")[0] in ("root", "0")


def argv(request: RunRequest) -> tuple[str, ...]:
    """The command, word by word, starting with ``docker``."""
    words = ["docker", "run"]
    gpus = request.gpus.lower() != "none"
    if gpus:
        words += ["--gpus", request.gpus]
    if request.interactive:
        words.append("-it")
    if request.rm:
        words.append("--rm")
    words += ["--network", request.network]
    if gpus and request.runtime and request.runtime.lower() != "none":
        words += ["--runtime", request.runtime]
    words.append(f"--shm-size={request.shm_size}")
    for limit in request.ulimits:
        words += ["--ulimit", limit]
    for item in (*request.env, *(("HF_TOKEN",) if request.workspace and request.hf_token else ())):
        words += ["-e", item]
    for mount in (*request.volumes, *_mounts(request)):
        words += ["-v", mount]
    for port in request.ports:
        words += ["-p", port]
    words += ["-w", request.workdir, "--cap-add", "CAP_SYS_PTRACE"]
    if request.nixl_gds:
        words.append("--cap-add=IPC_LOCK")
    words += ["--ipc", "host"]
    if request.privileged:
        words.append("--privileged")
    if request.user is not None:
        words += ["--user", request.user]
        # Another user loses the image's supplementary groups; group 0 owns what it needs.
        if not is_root(request.user):
            words += ["--group-add", "0"]
    if request.name:
        words += ["--name", request.name]
    if request.entrypoint is not None:
        words += ["--entrypoint", request.entrypoint]
    return (*words, request.image, *request.command)


def _mounts(request: RunRequest) -> tuple[str, ...]:
    mounts = []
    if request.workspace:
        mounts += [f"{request.workspace}:/workspace", "/tmp:/tmp", "/mnt/:/mnt"]  # noqa: S108
    if request.hf_home:
        home = "/root" if is_root(request.user) else CONTAINER_HOME
        mounts.append(f"{request.hf_home}:{home}/.cache/huggingface")
    if request.nixl_gds:
        mounts.append("/run/udev:/run/udev:ro")
        if not request.workspace:
            mounts.append("/tmp:/tmp")  # noqa: S108 - KVBM's disk pools live there
    return tuple(mounts)
