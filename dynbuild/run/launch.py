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
        stdin: ``-i`` alone, for a program that reads a pipe.
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
        gms: Share the GPU memory service's sockets with other containers.
        ulimits: Resource limits, ``NAME=SOFT[:HARD]``; -1 is unlimited.
        ipc: IPC namespace: host, private, shareable, container:NAME.
        cap_add: Capabilities beyond SYS_PTRACE.
        memory: Bound of memory, such as ``64g``; empty for none.
        cpus: Bound of processors, such as ``8``; empty for none.
        cpuset_cpus: Processors to stay on, such as ``0-15``; empty for all.
        cpuset_mems: NUMA nodes to take memory from; empty for all.
    """

    image: str
    command: tuple[str, ...] = ()
    gpus: str = "all"
    runtime: str = "nvidia"
    network: str = "host"
    shm_size: str = "10G"
    interactive: bool = False
    stdin: bool = False
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
    gms: bool = False
    ulimits: tuple[str, ...] = DEFAULT_ULIMITS
    ipc: str = "host"
    cap_add: tuple[str, ...] = ()
    memory: str = ""
    cpus: str = ""
    cpuset_cpus: str = ""
    cpuset_mems: str = ""


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
    return (
        "docker",
        "run",
        *_devices_and_terminal(request),
        f"--shm-size={request.shm_size}",
        *_each("--ulimit", request.ulimits),
        *_each("-e", environment(request)),
        *_each("-v", mounts(request)),
        *_each("-p", request.ports),
        "-w",
        request.workdir,
        "--cap-add",
        "CAP_SYS_PTRACE",
        *(("--cap-add=IPC_LOCK",) if request.nixl_gds else ()),
        *_each("--cap-add", request.cap_add),
        "--ipc",
        request.ipc,
        *(("--privileged",) if request.privileged else ()),
        *_user(request),
        *_given("--memory", request.memory),
        *_given("--cpus", request.cpus),
        *_given("--cpuset-cpus", request.cpuset_cpus),
        *_given("--cpuset-mems", request.cpuset_mems),
        *_given("--name", request.name),
        # An empty entrypoint is one: it takes the image's away.
        *(("--entrypoint", request.entrypoint) if request.entrypoint is not None else ()),
        request.image,
        *request.command,
    )


def uses_gpus(request: RunRequest) -> bool:
    """Whether the container gets GPUs: ``none`` in any case means it does not."""
    return request.gpus.lower() != "none"


def environment(request: RunRequest) -> tuple[str, ...]:
    """The variables, in the caller's order; HF_TOKEN comes with the workspace."""
    token = request.workspace is not None and request.hf_token
    return (*request.env, *(("HF_TOKEN",) if token else ()))


def _devices_and_terminal(request: RunRequest) -> tuple[str, ...]:
    gpus = uses_gpus(request)
    runtime = request.runtime if gpus and request.runtime.lower() != "none" else ""
    return (
        *(("--gpus", request.gpus) if gpus else ()),
        *(("-it",) if request.interactive else ("-i",) if request.stdin else ()),
        *(("--rm",) if request.rm else ()),
        "--network",
        request.network,
        *_given("--runtime", runtime),
    )


def _user(request: RunRequest) -> tuple[str, ...]:
    if request.user is None:
        return ()
    # Another user loses the image's supplementary groups; group 0 owns what it needs.
    group = () if is_root(request.user) else ("--group-add", "0")
    return ("--user", request.user, *group)


def _given(flag: str, value: str | None) -> tuple[str, ...]:
    return (flag, value) if value else ()


def _each(flag: str, values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(word for value in values for word in (flag, value))


def mounts(request: RunRequest) -> tuple[str, ...]:
    """The mounts: the caller's, then workspace, Hugging Face cache and GPUDirect Storage."""
    found = list(request.volumes)
    if request.workspace:
        found += [f"{request.workspace}:/workspace", "/tmp:/tmp", "/mnt/:/mnt"]  # noqa: S108
    if request.hf_home:
        home = "/root" if is_root(request.user) else CONTAINER_HOME
        found.append(f"{request.hf_home}:{home}/.cache/huggingface")
    if request.nixl_gds:
        found.append("/run/udev:/run/udev:ro")
    # KVBM's disk pools live in /tmp, and the service's sockets, named for the GPU's UUID.
    if (request.nixl_gds or request.gms) and not request.workspace:
        found.append("/tmp:/tmp")  # noqa: S108
    return tuple(found)
