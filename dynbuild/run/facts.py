"""What is known of the machine that a container is to run on.  Pure.

``dynbuild.run.host`` asks for it, ``dynbuild.run.preflight`` judges by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from dynbuild.quick import dataclass
from dynbuild.run import numa
from dynbuild.run.request import RunRequest

DISK_CACHE = "DYN_KVBM_DISK_CACHE_DIR"
"""The variable for the folder of KVBM's disk cache; /tmp without it."""

LOOKED_AT = (
    DISK_CACHE,
    "DYN_KVBM_DISK_CACHE_GB",
    "DYN_KVBM_DISK_DISABLE_O_DIRECT",
    "HF_HUB_OFFLINE",
    "TRANSFORMERS_OFFLINE",
)
"""The variables whose values decide something here; none is a secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostMount:
    """A folder or file of the host that the container gets.

    Attributes:
        source: Absolute path on the host.
        target: Path inside.
        read_only: Whether it is mounted so.
        exists: Whether the source is there.
        made: Whether docker makes a source that is not there.
        writable: Whether the user inside may write to it, by the mode bits of the source;
            ``None`` where that user's numbers are not known.
    """

    source: str
    target: str
    read_only: bool = False
    exists: bool = True
    made: bool = True
    writable: bool | None = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What the checks know of the machine that the engine runs on.

    ``None`` is unknown throughout, as with an engine on another machine.

    Attributes:
        user: The user inside, as the messages name it: ``uid 1000``.
        memory: Bytes of memory.
        runtimes: Names of the engine's container runtimes.
        gpu_hook: Whether the engine can hand out GPUs without an NVIDIA runtime.
        gpu_devices: Device nodes of GPUs.
        nvidia_smi: Whether nvidia-smi is there.
        topo: What ``nvidia-smi topo -m`` says.
        gpu_query: What ``nvidia-smi --query-gpu=index,uuid`` says.
        listening: Address and port of the listening TCP sockets.
        hard_limits: What the engine may grant, by docker's names; missing is unbounded.
        mounts: The mounts that the request names, and the workspace.
        init: Whether the engine has the program that ``--init`` starts.
        missing: Devices and files of variables that are not there.
        hf_cache: The mount of the Hugging Face cache, if there is one.
        disk_cache: The host's folder under KVBM's disk cache; ``None`` where it is not used
            or lies in the container.
        disk_direct: Whether the file system there takes O_DIRECT.
        disk_free: Bytes free there, or in /tmp without a disk cache.
        shm_size: Bytes of the host's /dev/shm.
        nodes: NUMA nodes.
        passed: The caller's values of ``LOOKED_AT``, for ``-e NAME``.
    """

    user: str = "the image's user"
    memory: int | None = None
    runtimes: tuple[str, ...] | None = None
    gpu_hook: bool = False
    gpu_devices: tuple[str, ...] | None = None
    nvidia_smi: bool = False
    topo: str = ""
    gpu_query: str = ""
    listening: frozenset[tuple[str, int]] = frozenset()
    hard_limits: Mapping[str, int] = field(default_factory=dict)
    mounts: tuple[HostMount, ...] = ()
    init: bool | None = None
    missing: tuple[str, ...] = ()
    hf_cache: HostMount | None = None
    disk_cache: str | None = None
    disk_direct: bool | None = None
    disk_free: int | None = None
    shm_size: int | None = None
    nodes: tuple[numa.Node, ...] = ()
    passed: Mapping[str, str] = field(default_factory=dict)


def variables(request: RunRequest, env: Mapping[str, str]) -> dict[str, str]:
    """The variables that *request* sets, those given by name from *env* where it has them."""
    found = {}
    for entry in request.all_env:
        name, equals, value = entry.partition("=")
        if equals:
            found[name] = value
        elif name in env:
            found[name] = env[name]
    return found


def disk_cache(request: RunRequest, env: Mapping[str, str]) -> str | None:
    """The host's folder under KVBM's disk cache.

    Args:
        request: What to run.
        env: The caller's environment, for variables that are passed on by name.

    Returns:
        ``None`` where no disk cache is asked for (GPUDirect Storage, a size or a folder), or
        its folder is not on a mount of the host.
    """
    inside = variables(request, env)
    if not request.nixl_gds and not {DISK_CACHE, "DYN_KVBM_DISK_CACHE_GB"} & set(inside):
        return None
    folder = (inside.get(DISK_CACHE) or "/tmp").rstrip("/")  # noqa: S108 - KVBM's default
    best: tuple[str, str] | None = None
    for mount in request.mounts:
        target = mount.target.rstrip("/")
        within = folder == target or folder.startswith(f"{target}/")
        longer = best is None or len(target) > len(best[0])
        if mount.source.startswith("/") and within and longer:
            best = target, mount.source.rstrip("/")
    return (best[1] + folder[len(best[0]) :] or "/") if best else None


def is_on(value: str | None) -> bool:
    """Whether a variable with *value* switches something on, as Dynamo reads it."""
    return (value or "").lower() not in ("", "0", "false", "no", "off")
