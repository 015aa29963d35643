"""What will go wrong with a container, told before it starts.  Pure.

The rules are those of the documents on running Dynamo's images (facts: runtime limits and
isolation; storage and NUMA; troubleshooting rules) and of docker itself.  A fact that is not
known is never a finding.
"""

from __future__ import annotations

import functools
import ipaddress
import itertools
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from dynbuild import masking, units
from dynbuild.errors import RequestError
from dynbuild.findings import Finding
from dynbuild.run import launch, numa
from dynbuild.run.launch import RunRequest

SERVICES = {4222: ("NATS", "nats-server"), 2379: ("etcd", "etcd")}
"""Ports that Dynamo's services listen on: what listens there, and its program."""

DISK_CACHE = "DYN_KVBM_DISK_CACHE_DIR"
"""The variable for the folder of KVBM's disk cache; /tmp without it."""

_memory_size = functools.partial(units.format_size, base=units.BINARY)

LOOKED_AT = (
    DISK_CACHE,
    "DYN_KVBM_DISK_CACHE_GB",
    "DYN_KVBM_DISK_DISABLE_O_DIRECT",
    "HF_HUB_OFFLINE",
    "TRANSFORMERS_OFFLINE",
)
"""The variables whose values decide something here; none is a secret."""

_MODEL_FLAGS = ("--model", "--model-path", "--draft-model-path", "--speculative-model")
_HUB_NAME = re.compile(r"\w[\w.-]*/[\w.-]+")
_OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
_FALSE = ("", "0", "false", "no", "off")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A folder or file of the host that the container gets.

    Attributes:
        source: Absolute path on the host.
        target: Path inside.
        read_only: Whether it is mounted so.
        exists: Whether the source is there.
        writable: Whether the user inside may write to it, by the mode bits of the source;
            ``None`` where that user's numbers are not known.
    """

    source: str
    target: str
    read_only: bool = False
    exists: bool = True
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
    mounts: tuple[Mount, ...] = ()
    hf_cache: Mount | None = None
    disk_cache: str | None = None
    disk_direct: bool | None = None
    disk_free: int | None = None
    shm_size: int | None = None
    nodes: tuple[numa.Node, ...] = ()
    passed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """A published port.

    Attributes:
        address: Address on the host; empty for all.
        host: Ports on the host; empty where docker picks one.
        container: Ports inside.
        protocol: tcp, udp or sctp.
    """

    address: str
    host: range
    container: range
    protocol: str


def check(request: RunRequest, host: Host) -> tuple[Finding, ...]:
    """What is wrong with *request* on *host*; one finding for each thing, in a fixed order."""
    rules = (_gpus, _memory, _ports, _services, _network, _secrets, _mounts, _disk, _ulimits)
    return tuple(finding for rule in rules for finding in rule(request, host))


def parse_port(text: str) -> Port | None:
    """A ``-p`` value, ``[ADDRESS:][HOST:]CONTAINER[/PROTOCOL]``; ``None`` if it is none."""
    rest, _, protocol = text.partition("/")
    outside, _, container = rest.rpartition(":")
    address, _, published = outside.rpartition(":")
    try:
        inside = _range(container)
        wanted = _range(published) if published else range(0)
    except ValueError:
        return None
    return Port(
        address=address.strip("[]"),
        host=wanted,
        container=inside,
        protocol=protocol.lower() or "tcp",
    )


def _range(text: str) -> range:
    first, _, last = text.partition("-")
    low, high = int(first), int(last or first)
    if not 0 <= low <= high < 1 << 16:
        raise ValueError(f"'{text}' is no port")
    return range(low, high + 1)


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
    for mount in launch.mounts(request):
        source, _, target = mount.partition(":")
        target = target.partition(":")[0].rstrip("/")
        within = folder == target or folder.startswith(f"{target}/")
        if source.startswith("/") and within and (best is None or len(target) > len(best[0])):
            best = target, source.rstrip("/")
    return (best[1] + folder[len(best[0]) :] or "/") if best else None


def variables(request: RunRequest, env: Mapping[str, str]) -> dict[str, str]:
    """The variables that *request* sets, those given by name from *env* where it has them."""
    found = {}
    for entry in launch.environment(request):
        name, equals, value = entry.partition("=")
        if equals:
            found[name] = value
        elif name in env:
            found[name] = env[name]
    return found


# ---- the rules ---------------------------------------------------------------------------


def _gpus(request: RunRequest, host: Host) -> Iterator[Finding]:
    if not launch.uses_gpus(request):
        return
    toolkit = (
        "install the NVIDIA Container Toolkit, run `nvidia-ctk runtime configure"
        " --runtime=docker` and restart the engine; or --gpus none"
    )
    runtime = request.runtime
    known = host.runtimes
    if known is not None and runtime.lower() == "none":
        if "nvidia" not in known and not host.gpu_hook:
            yield Finding("gpu-runtime", "the engine has nothing to hand out GPUs with", toolkit)
    elif known is not None and runtime not in known:
        yield Finding("gpu-runtime", f"the engine knows no runtime '{runtime}'", toolkit)
    try:
        selection = numa.parse_gpus(request.gpus)
    except RequestError as error:
        yield Finding("gpu-spec", error.message, error.hint or "")
        return
    if selection.unquoted:
        yield Finding(
            "gpu-spec",
            f"docker refuses --gpus {request.gpus}: a list of devices needs quotes of its own",
            f"""--gpus '"device={",".join(selection.devices)}"'""",
        )
    if host.gpu_devices is not None and not host.gpu_devices:
        yield Finding(
            "gpu-device",
            "there is no NVIDIA GPU here: no /dev/nvidia0",
            "load the driver, so that nvidia-smi shows the GPUs; or --gpus none",
        )
        return
    gpus = numa.topology(host.topo, host.gpu_query)
    # The UUID of a slice of a GPU is in neither answer of nvidia-smi.
    missing = [d for d in numa.resolve(selection, gpus)[1] if not d.startswith("MIG-")]
    if gpus and missing:
        yield Finding(
            "gpu-device",
            f"there is no GPU {', '.join(missing)} here",
            f"this machine has GPU {numa.format_list(gpu.index for gpu in gpus)}",
        )


def _memory(request: RunRequest, host: Host) -> Iterator[Finding]:
    wanted = _bytes(request.shm_size)
    if wanted is None:
        return
    if request.ipc == "host":
        if host.shm_size is not None and host.shm_size < wanted:
            yield Finding(
                "shm-ipc",
                f"--shm-size {request.shm_size} has no effect with --ipc host: the host's"
                f" /dev/shm counts, and has {_memory_size(host.shm_size)}",
                f"mount -o remount,size={request.shm_size} /dev/shm on the host; or --ipc private",
            )
        return
    if request.ipc.startswith("container:"):
        return
    if host.memory is not None and wanted > host.memory:
        yield Finding(
            "shm-memory",
            f"--shm-size {request.shm_size} is more than the host's memory,"
            f" {_memory_size(host.memory)}",
            "a smaller --shm-size",
        )
    bound = _bytes(request.memory)
    if bound is not None and wanted > bound:
        yield Finding(
            "shm-memory",
            f"--shm-size {request.shm_size} is more than --memory {request.memory},"
            " which shared memory counts against",
            "a smaller --shm-size, or a larger --memory",
        )


def _ports(request: RunRequest, host: Host) -> Iterator[Finding]:
    if not request.ports:
        return
    if request.network == "host":
        yield Finding(
            "ports-unused",
            "-p has no effect with --network host",
            "leave -p out; or --network bridge",
        )
    elif request.network.startswith("container:"):
        yield Finding(
            "ports-refused",
            f"docker refuses -p with --network {request.network}",
            "publish the ports on that other container",
        )
    if request.network == "none" or request.network.startswith("container:"):
        return
    for text in request.ports:
        port = parse_port(text)
        if port is None or port.protocol != "tcp":
            continue
        # On the host's network nothing is published: the program inside takes its own port.
        ports = port.container if request.network == "host" else port.host
        address = "" if request.network == "host" else port.address
        taken = [number for number in ports if _listens(host, address, number)]
        # Of several ports for one inside docker takes a free one.
        several = len(ports) > 1 and len(port.container) == 1
        if taken and (not several or len(taken) == len(ports)):
            numbers = numa.format_list(taken)
            yield Finding(
                "port-taken",
                f"-p {text}: something listens on port {numbers} of this host",
                "another port, or stop what listens: `ss -ltnp` shows it",
            )


def _listens(host: Host, address: str, port: int) -> bool:
    """Whether a socket of the host leaves no room for one on *address*; all if it is empty."""
    return any(
        number == port and (_wild(address) or _wild(other) or other == address)
        for other, number in host.listening
    )


def _wild(address: str) -> bool:
    try:
        return not address or ipaddress.ip_address(address).is_unspecified
    except ValueError:
        return False


def _services(request: RunRequest, host: Host) -> Iterator[Finding]:
    if request.network != "host":
        return
    started = _started(request)
    for port, (service, program) in SERVICES.items():
        if not _listens(host, "", port):
            continue
        if any(_starts(text, program) for text in started):
            yield Finding(
                "port-taken",
                f"{program} cannot start: port {port} of this host is taken",
                "--network bridge with -p for a second one; or use the one that runs",
            )
        else:
            yield Finding(
                "service-present",
                f"this host already serves port {port} ({service}), and the container will use it",
                "nothing if that is meant; else --network bridge with -p",
                note=True,
            )


def _started(request: RunRequest) -> list[str]:
    """The program of the container, and the scripts that a shell gets with ``-c``."""
    program = request.entrypoint or next(iter(request.command), "")
    pairs = itertools.pairwise(request.command)
    return [program, *(after for word, after in pairs if re.fullmatch(r"-[a-z]*c", word))]


def _starts(script: str, program: str) -> bool:
    """Whether *program* stands where *script* names a command, not an argument of one."""
    at = r"(?:^|[;&|(\n]|\b(?:exec|nohup)\s)\s*(?:[^\s;&|]*/)?"
    return re.search(rf"{at}{re.escape(program)}(?=$|[\s;&|)])", script) is not None


def _network(request: RunRequest, host: Host) -> Iterator[Finding]:
    if request.network != "none":
        return
    set_here = variables(request, host.passed)
    offline = any(set_here.get(name, "").lower() not in _FALSE for name in _OFFLINE)
    names = {entry.partition("=")[0] for entry in launch.environment(request)}
    downloads = [f"the download of {model}" for model in _models(request.command)]
    if request.hf_home and "HF_TOKEN" in names:
        downloads.append("HF_TOKEN for downloads into the Hugging Face cache")
    hub = bool(downloads) and not offline
    services = [name for name in ("NATS_SERVER", "ETCD_ENDPOINTS") if name in names]
    lost = [*(("-p",) if request.ports else ()), *(downloads if hub else ()), *services]
    if lost:
        yield Finding(
            "network-none",
            f"with --network none nothing comes of {', '.join(lost)}",
            "another --network"
            + ("; or fill the cache first and set -e HF_HUB_OFFLINE=1" if hub else ""),
        )


def _models(command: tuple[str, ...]) -> list[str]:
    """The models of the hub, ``ORGANISATION/NAME``, that *command* names."""
    found = []
    for word, after in itertools.pairwise((*command, "")):
        flag, equals, value = word.partition("=")
        name = value if equals else after
        if flag in _MODEL_FLAGS and _HUB_NAME.fullmatch(name) and name not in found:
            found.append(name)
    return found


def _secrets(request: RunRequest, host: Host) -> Iterator[Finding]:
    del host
    for entry in request.env:
        name, _, value = entry.partition("=")
        if value and masking.secret_name(name):
            yield Finding(
                "secret-literal",
                f"-e {name}=… shows a secret in the list of processes and the shell's history",
                f"set {name} in the environment and pass it by name: -e {name}",
            )


def _mounts(request: RunRequest, host: Host) -> Iterator[Finding]:
    for mount in host.mounts:
        if not mount.exists:
            yield Finding(
                "mount-missing",
                f"{mount.source} does not exist: docker makes it, empty and root's own",
                f"mkdir -p {shlex.quote(mount.source)}, or correct the path",
            )
        elif mount.writable is False and not mount.read_only:
            yield Finding(
                "mount-unwritable",
                f"{host.user} cannot write to {mount.source}, mounted at {mount.target}",
                _allow(mount.source) + ("" if _is_workspace(request, mount) else "; or append :ro"),
            )
    cache = host.hf_cache
    if cache is not None and not cache.exists:
        yield Finding(
            "hf-cache",
            f"the Hugging Face cache {cache.source} does not exist",
            f"mkdir -p {shlex.quote(cache.source)}; or --hf-home none",
        )
    elif cache is not None and cache.writable is False:
        yield Finding(
            "hf-cache",
            f"{host.user} cannot write to the Hugging Face cache {cache.source}",
            f"{_allow(cache.source)}; or another --hf-home",
        )


def _is_workspace(request: RunRequest, mount: Mount) -> bool:
    return mount.source == request.workspace and mount.target == "/workspace"


def _allow(path: str) -> str:
    # Every user of the images is in group 0, and --user goes before chown (facts: user model).
    word = shlex.quote(path)
    return f"a --user that may; or let group 0: chgrp 0 {word} && chmod g+rwx {word}"


def _disk(request: RunRequest, host: Host) -> Iterator[Finding]:
    folder = host.disk_cache
    if folder is None:
        return
    inside = variables(request, host.passed)
    switched_off = inside.get("DYN_KVBM_DISK_DISABLE_O_DIRECT", "").lower() not in _FALSE
    if host.disk_direct is False and not switched_off:
        yield Finding(
            "disk-direct",
            f"the file system under KVBM's disk cache, {folder}, takes no O_DIRECT",
            f"-e {DISK_CACHE}=FOLDER on another one; or -e DYN_KVBM_DISK_DISABLE_O_DIRECT=true",
        )
    wanted = _bytes(f"{inside.get('DYN_KVBM_DISK_CACHE_GB', '')}g")
    if wanted is not None and host.disk_free is not None and wanted > host.disk_free:
        yield Finding(
            "disk-space",
            f"KVBM's disk cache wants {_memory_size(wanted)}, and {folder} has"
            f" {_memory_size(host.disk_free)} free",
            f"a smaller DYN_KVBM_DISK_CACHE_GB; or -e {DISK_CACHE}=FOLDER on another one",
        )


def _bytes(text: str) -> int | None:
    """Bytes in a size of docker's; ``None`` where it is none, which others refuse."""
    try:
        return units.parse_size(text, base=units.BINARY)
    except RequestError:
        return None


def _ulimits(request: RunRequest, host: Host) -> Iterator[Finding]:
    for sentence in launch.fit_ulimits(request.ulimits, host.hard_limits)[1]:
        yield Finding(
            "ulimit",
            sentence,
            "raise the engine's own limit (LimitMEMLOCK, LimitNOFILE, … of its service)",
        )
