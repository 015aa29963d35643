"""What the machine says that a container is to run on, for ``dynbuild.run.facts``."""

from __future__ import annotations

import dataclasses
import ipaddress
import json
import os
import shutil
import stat
import struct
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dynbuild import proc
from dynbuild.engine import limits
from dynbuild.engine.model import Engine
from dynbuild.errors import NotReady
from dynbuild.run import facts, numa
from dynbuild.run.devices import parse as parse_device
from dynbuild.run.facts import Host, HostMount
from dynbuild.run.image import ImageUser
from dynbuild.run.request import IMAGE_UID, RunRequest
from dynbuild.run.user import User
from dynbuild.run.user import read as read_user
from dynbuild.settings import mounts
from dynbuild.settings.mounts import Mount

Ask = Callable[[Sequence[str], Mapping[str, str]], str]
"""Runs a command in an environment; its output, empty where there is none."""

_DEVICES = Path("/dev")
_MEMINFO = Path("/proc/meminfo")
_NODES = Path("/sys/devices/system/node")
_SHM = Path("/dev/shm")  # noqa: S108 - a file system, no file
_TCP = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_TMP = Path("/tmp")  # noqa: S108 - a file system, no file
_HOOK = "nvidia-container-runtime-hook"
_LISTEN = "0A"  # TCP_LISTEN, include/net/tcp_states.h
_PATIENCE = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A user inside a container by numbers.

    Attributes:
        uid: The user.
        groups: All groups of the user.
    """

    uid: int
    groups: frozenset[int]


def read(
    request: RunRequest,
    engine: Engine,
    env: Mapping[str, str],
    *,
    image: ImageUser,
    ask: Ask | None = None,
) -> Host:
    """The facts that the checks of *request* need.  Takes no longer than its slowest question.

    Args:
        request: What is to run.
        engine: Where.
        env: The caller's environment.
        image: Who runs in the image.
        ask: How to run a command, for tests.

    Returns:
        What docker says of itself, and of this machine only if the engine is on it: an
        engine elsewhere, or in a virtual machine, has other devices, ports and folders.
    """
    path = env.get("PATH", os.defpath)
    smi = request.uses_gpus and bool(shutil.which("nvidia-smi", path=path))
    told, topo, uuids = _answers(engine, env, ask or _ask, smi=smi)
    known = told.get("ServerVersion") is not None
    runtimes = tuple(sorted(told.get("Runtimes") or ())) if known else None
    passed = {name: env[name] for name in facts.LOOKED_AT if name in env}
    init = (told.get("InitCommit") or {}).get("ID") != "N/A" if known else None
    if not _is_here(engine, env, told):
        memory = told.get("MemTotal") or None
        return Host(memory=memory, runtimes=runtimes, init=init, gpu_hook=_cdi(told), passed=passed)
    options = " ".join(told.get("SecurityOptions") or ())
    # User namespaces give the numbers of the container another meaning on the host.
    remapped = "name=rootless" in options or "name=userns" in options
    user = None if remapped else identity(request, image, env)
    folder = facts.disk_cache(request, env)
    return Host(
        user="the user inside" if user is None else f"uid {user.uid}",
        memory=told.get("MemTotal") or _memory(),
        runtimes=runtimes,
        gpu_hook=_cdi(told) or bool(shutil.which(_HOOK, path=path)),
        gpu_devices=_gpu_devices(),
        nvidia_smi=smi,
        topo=topo,
        gpu_query=uuids,
        listening=listening(),
        hard_limits=limits.of_engine(engine.host, env),
        mounts=_mounts(request, user),
        init=init,
        missing=_missing(request),
        hf_cache=_hf_cache(request, user),
        disk_cache=folder,
        disk_direct=takes_direct(Path(folder)) if folder else None,
        disk_free=_space(Path(folder) if folder else _TMP, free=True),
        shm_size=_space(_SHM),
        nodes=nodes(),
        passed=passed,
    )


def _answers(
    engine: Engine, env: Mapping[str, str], ask: Ask, *, smi: bool
) -> tuple[dict[str, Any], str, str]:
    """What docker says of itself, and nvidia-smi of GPUs and of their names; asked at once."""
    query = ("nvidia-smi", "--query-gpu=index,uuid", "--format=csv,noheader")
    with ThreadPoolExecutor(3) as pool:
        info = pool.submit(ask, (engine.docker, "info", "--format", "{{json .}}"), engine.env(env))
        topo = pool.submit(ask, ("nvidia-smi", "topo", "-m"), env) if smi else None
        uuids = pool.submit(ask, query, env) if smi else None
    answers = [answer.result() if answer else "" for answer in (topo, uuids)]
    return _document(info.result()), answers[0], answers[1]


def _ask(argv: Sequence[str], env: Mapping[str, str]) -> str:
    try:
        return proc.run(argv, env=env, check=False, timeout=_PATIENCE).stdout
    except NotReady:
        return ""


def _document(text: str) -> dict[str, Any]:
    try:
        answer = json.loads(text)
    except ValueError:
        return {}
    # The client answers without a server too, with nothing in it.
    return answer if isinstance(answer, dict) and answer.get("ServerVersion") else {}


def _is_here(engine: Engine, env: Mapping[str, str], info: Mapping[str, Any]) -> bool:
    """Whether the engine runs on this machine: a local socket may lead into another one."""
    if engine.kind == "private":
        return True
    address = engine.host or env.get("DOCKER_HOST") or "unix://"
    name = info.get("Name") or os.uname().nodename
    return address.startswith("unix://") and name == os.uname().nodename


def _cdi(info: Mapping[str, Any]) -> bool:
    """Whether the engine found NVIDIA's devices by itself (Container Device Interface)."""
    devices = info.get("DiscoveredDevices") or ()
    return any(str(device.get("ID", "")).startswith("nvidia.com/") for device in devices)


def _memory() -> int | None:
    try:
        lines = _MEMINFO.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    total = next((line.split() for line in lines if line.startswith("MemTotal:")), None)
    return int(total[1]) * 1024 if total else None


def _gpu_devices() -> tuple[str, ...]:
    """Device nodes of GPUs; under WSL there is one for all of them."""
    found = {*_DEVICES.glob("nvidia[0-9]*"), *_DEVICES.glob("dxg")}
    return tuple(sorted(map(str, found)))


def listening() -> frozenset[tuple[str, int]]:
    """Address and port of all TCP sockets that listen in this network namespace.

    An IPv4 address in IPv6 clothes counts as itself.
    """
    found = set()
    for path in _TCP:
        try:
            lines = path.read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            columns = line.split()
            if len(columns) > 3 and columns[3] == _LISTEN:
                address, _, port = columns[1].partition(":")
                found.add((_address(address), int(port, 16)))
    return frozenset(found)


def _address(text: str) -> str:
    """An address of /proc/net/tcp: 32-bit words in the byte order of the machine."""
    words = [int(text[at : at + 8], 16) for at in range(0, len(text), 8)]
    address = ipaddress.ip_address(struct.pack(f"={len(words)}I", *words))
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def nodes() -> tuple[numa.Node, ...]:
    """The NUMA nodes with the processors that are online."""
    found = []
    for path in _NODES.glob("node[0-9]*"):
        try:
            cpus = (path / "cpulist").read_text(encoding="ascii").strip()
        except OSError:
            continue
        found.append(numa.Node(id=int(path.name.removeprefix("node")), cpus=cpus))
    return tuple(sorted(found, key=lambda node: node.id))


def takes_direct(folder: Path) -> bool | None:
    """Whether files under *folder* can be opened with O_DIRECT; ``None`` if none can be made."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".dynbuild-") as file:
            try:
                os.close(os.open(file.name, os.O_RDWR | os.O_DIRECT))
            except OSError:
                return False
    except OSError:
        return None
    return True


def _space(path: Path, *, free: bool = False) -> int | None:
    """Bytes of the file system at *path*: in all, or free for users."""
    try:
        found = os.statvfs(path)
    except OSError:
        return None
    return found.f_frsize * (found.f_bavail if free else found.f_blocks)


# ---- mounts ------------------------------------------------------------------------------


def identity(request: RunRequest, image: ImageUser, env: Mapping[str, str]) -> Identity | None:
    """Who runs inside; ``None`` where the name says nothing without the image.

    Args:
        request: Its ``--user`` counts, else that of the *image*.
        image: Who runs in the image.
        env: The caller's environment: sudo names who built a local-dev image.
    """
    user = read_user(image.name if request.user is None else request.user)
    groups = {number for text in request.all_groups if (number := _gid(text)) is not None}
    if user.name == "dynamo":
        own = read_user(image.ids) if image.ids else _builder(env)
        uid, gid = own.uid, own.gid
        groups |= {0, gid or 0}
    else:
        uid = 0 if user.name in ("", "root") else user.uid
    if uid is None:
        return None
    if user.gid is not None:
        groups.add(user.gid)
    elif user.group in ("", "root"):
        # The group of dynamo, of root, and of a number that the image does not know.
        groups.add(0)
    return Identity(uid=uid, groups=frozenset(groups))


def _gid(text: str) -> int | None:
    return 0 if text == "root" else read_user(text).uid


def _builder(env: Mapping[str, str]) -> User:
    """Who builds images of local-dev here; root's own get the images' usual user."""
    uid = _sudo(env, "SUDO_UID", os.getuid()) or IMAGE_UID
    return User(str(uid), str(_sudo(env, "SUDO_GID", os.getgid())))


def _sudo(env: Mapping[str, str], variable: str, own: int) -> int:
    found = read_user(env.get(variable, "")).uid
    return own if found is None else found


def may_write(path: Path, user: Identity) -> bool:
    """Whether *user* may write to *path*, by its mode bits; access lists are not looked at.

    The first class that fits decides: an owner without the bit may not, whatever others may.
    Folders must also be entered.  Root may, but on a file system that is mounted read-only.

    Raises:
        OSError: The path cannot be looked at.
    """
    found = path.stat()
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        return False
    if user.uid == 0:
        return True
    shift = 6 if found.st_uid == user.uid else 3 if found.st_gid in user.groups else 0
    needed = 0o3 if stat.S_ISDIR(found.st_mode) else 0o2
    return found.st_mode >> shift & needed == needed


def _mounts(request: RunRequest, user: Identity | None) -> tuple[HostMount, ...]:
    """The binds that the request names, and the workspace; not what launch adds beside it."""
    bare = dataclasses.replace(request, workspace=None, hf_home=None, nixl_gds=False, gms=False)
    found = [_mount(mount, user) for mount in bare.mounts if mount.is_path]
    if request.workspace:
        found.append(_mount(mounts.bind(request.workspace, "/workspace"), user))
    return tuple(found)


def _missing(request: RunRequest) -> tuple[str, ...]:
    """Devices, and files of variables, that are not there."""
    paths = [parse_device(text).source for text in request.devices] + [*request.env_files]
    return tuple(path for path in paths if path.startswith("/") and not os.path.lexists(path))


def _hf_cache(request: RunRequest, user: Identity | None) -> HostMount | None:
    if not request.hf_home:
        return None
    return _mount(mounts.bind(request.hf_home, request.hf_target), user)


def _mount(mount: Mount, user: Identity | None) -> HostMount:
    path = Path(mount.source).absolute()
    try:
        path.stat()
        writable = None if user is None else may_write(path, user)
        exists = True
    except FileNotFoundError:
        exists, writable = False, None if user is None else user.uid == 0
    except NotADirectoryError:
        exists, writable = False, False  # nobody can make it: a part of its path is a file
    except OSError:
        exists, writable = True, None
    return HostMount(
        source=str(path),
        target=mount.target,
        read_only=mount.read_only,
        exists=exists,
        made=not mount.long or "bind-create-src" in " ".join(mount.extra),
        writable=writable,
    )
