"""What to run and how, decided: what launch, preflight and the exports read.  Pure."""

from __future__ import annotations

from dynbuild.quick import dataclass
from dynbuild.run.gpus import is_none
from dynbuild.run.user import read

CONTAINER_HOME = "/home/dynamo"
DEFAULT_ULIMITS = ("memlock=-1", "stack=67108864", "nofile=65536:65536")
"""Pinned memory without bound, 64 MiB stacks, 65536 files (facts: runtime limits)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """An option that is handed to docker as it is.

    Attributes:
        flag: Docker's own option.
        value: Its value; true for a switch, several for one that is repeated.
        compose: The key of a Compose service that takes it; empty where none does.
        pod: The key of a Pod's ``spec`` that takes it; empty where none does.
    """

    flag: str
    value: str | bool | tuple[str, ...]
    compose: str = ""
    pod: str = ""

    @property
    def words(self) -> tuple[str, ...]:
        """The words of docker's command line, each whole."""
        if isinstance(self.value, bool):
            return (f"{self.flag}={str(self.value).lower()}",)
        values = (self.value,) if isinstance(self.value, str) else self.value
        return tuple(f"{self.flag}={value}" for value in values)


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
        passed: Options that docker takes as they are.
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
    passed: tuple[Passed, ...] = ()

    @property
    def uses_gpus(self) -> bool:
        """Whether the container gets GPUs: ``none`` in any case means it does not."""
        return not is_none(self.gpus)

    @property
    def gpu_runtime(self) -> str:
        """The container runtime asked for; empty for the engine's own."""
        return self.runtime if self.uses_gpus and self.runtime.lower() != "none" else ""

    @property
    def all_env(self) -> tuple[str, ...]:
        """The variables, in the caller's order; HF_TOKEN comes with the workspace."""
        token = self.workspace is not None and self.hf_token
        return (*self.env, *(("HF_TOKEN",) if token else ()))

    @property
    def all_volumes(self) -> tuple[str, ...]:
        """The mounts: the caller's, then workspace, Hugging Face cache, GPUDirect Storage."""
        volumes = list(self.volumes)
        if self.workspace:
            volumes += [f"{self.workspace}:/workspace", "/tmp:/tmp", "/mnt/:/mnt"]  # noqa: S108
        if self.hf_home:
            volumes.append(f"{self.hf_home}:{self.hf_target}")
        if self.nixl_gds:
            volumes.append("/run/udev:/run/udev:ro")
        # KVBM's disk pools live in /tmp, and the service's sockets, named for the GPU's UUID.
        if (self.nixl_gds or self.gms) and not self.workspace:
            volumes.append("/tmp:/tmp")  # noqa: S108
        return tuple(volumes)

    @property
    def hf_target(self) -> str:
        """Where the Hugging Face cache is inside."""
        return f"{'/root' if is_root(self.user) else CONTAINER_HOME}/.cache/huggingface"


def is_root(user: str | None) -> bool:
    """Whether *user*, with or without a group, is root."""
    return user is not None and read(user).is_root
