"""What to run and how, decided: what launch, preflight and the exports read.  Pure."""

from __future__ import annotations

from dynbuild.quick import dataclass
from dynbuild.run import gpus
from dynbuild.run.user import read
from dynbuild.settings import mounts
from dynbuild.settings.mounts import Mount

CONTAINER_HOME = "/home/dynamo"
IMAGE_UID = 1000
"""The user dynamo of the images, but for local-dev: of group 0 (facts: user model)."""

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
        interactive: ``-i``, standard input.
        tty: ``-t``, a terminal.
        detach: ``-d``, in the background.
        restart: When it starts again, such as ``on-failure:3``; empty for never.
        rm: Remove the container at its end.
        privileged: All privileges.
        env: ``NAME=VALUE``, or ``NAME`` for the caller's value.
        env_files: Files of variables, absolute paths.
        labels: ``NAME[=VALUE]``.
        docker_args: Words of ``docker run`` that dynbuild has no option for.
        devices: Devices of the host, and names of the Container Device Interface.
        volumes: ``SOURCE:TARGET[:ro]``.
        long_mounts: Values of ``--mount``.
        hosts: ``NAME:ADDRESS``, for /etc/hosts.
        ports: ``HOST:CONTAINER``.
        workdir: Working directory inside.
        user: ``NAME``, ``UID`` or ``UID:GID``; ``None`` for the image's.
        image_user: The user that the image names; ``None`` where that is not known.
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
        groups: Groups of the user inside, beside its own.
        security_opts: Such as ``no-new-privileges``.
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
    tty: bool = False
    detach: bool = False
    restart: str = ""
    rm: bool = True
    privileged: bool = False
    env: tuple[str, ...] = ()
    env_files: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    docker_args: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    long_mounts: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    workdir: str = "/workspace"
    user: str | None = None
    image_user: str | None = None
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
    groups: tuple[str, ...] = ()
    security_opts: tuple[str, ...] = ()
    memory: str = ""
    cpus: str = ""
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    passed: tuple[Passed, ...] = ()

    @property
    def uses_gpus(self) -> bool:
        """Whether the container gets GPUs: ``none`` in any case means it does not."""
        return not gpus.is_none(self.gpus)

    @property
    def cdi_gpus(self) -> tuple[str, ...]:
        """The GPUs that the engine hands out by their names, as it does other devices."""
        return gpus.cdi_names(self.gpus)

    @property
    def docker_gpus(self) -> str:
        """What ``--gpus`` gets; empty for none, and where they are devices by name."""
        return gpus.for_docker(self.gpus) if self.uses_gpus and not self.cdi_gpus else ""

    @property
    def gpu_runtime(self) -> str:
        """The container runtime asked for; empty for the engine's own.

        Devices by name need none, and the default one may not be there.
        """
        if not self.uses_gpus or self.runtime.lower() == "none":
            return ""
        return "" if self.cdi_gpus and self.runtime == "nvidia" else self.runtime

    @property
    def all_devices(self) -> tuple[str, ...]:
        """The devices, GPUs by name among them."""
        return tuple(dict.fromkeys((*self.cdi_gpus, *self.devices)))

    @property
    def all_groups(self) -> tuple[str, ...]:
        """The groups added.

        Another user loses the image's supplementary groups; group 0 owns what it needs.
        """
        other = self.user is not None and not is_root(self.user)
        return tuple(dict.fromkeys((*(("0",) if other else ()), *self.groups)))

    @property
    def all_env(self) -> tuple[str, ...]:
        """The variables, in the caller's order; HF_TOKEN comes with the workspace.

        A user of whom an image knows only the number has no name there, and PyTorch among
        others asks for one (``getpass.getuser``): the number stands for it.
        """
        token = self.workspace is not None and self.hf_token
        there = {entry.partition("=")[0] for entry in self.env}
        uid = read(self.user or "").uid
        named = ("USER", "LOGNAME") if uid not in (None, 0, IMAGE_UID) else ()
        own = [f"{name}={uid}" for name in named if name not in there]
        return (*self.env, *own, *(("HF_TOKEN",) if token else ()))

    @property
    def mounts(self) -> tuple[Mount, ...]:
        """The mounts: the caller's, then workspace, Hugging Face cache, GPUDirect Storage.

        Raises:
            RequestError: One that docker would refuse.
        """
        found = [*map(mounts.parse, self.volumes), *map(mounts.parse_long, self.long_mounts)]
        if self.workspace:
            found.append(mounts.bind(self.workspace, "/workspace"))
            found += map(mounts.parse, ("/tmp:/tmp", "/mnt/:/mnt"))  # noqa: S108
        if self.hf_home:
            found.append(mounts.bind(self.hf_home, self.hf_target))
        if self.nixl_gds:
            found.append(mounts.bind("/run/udev", "/run/udev", "ro"))
        # KVBM's disk pools live in /tmp, and the service's sockets, named for the GPU's UUID.
        if (self.nixl_gds or self.gms) and not self.workspace:
            found.append(mounts.bind("/tmp", "/tmp"))  # noqa: S108
        return tuple(found)

    @property
    def hf_target(self) -> str:
        """Where the Hugging Face cache is inside."""
        return f"{'/root' if is_root(self.user) else CONTAINER_HOME}/.cache/huggingface"


def is_root(user: str | None) -> bool:
    """Whether *user*, with or without a group, is root."""
    return user is not None and read(user).is_root
