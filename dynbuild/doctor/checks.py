"""Whether this machine is ready for builds and runs, and what to do where it is not.

One small function a check.  Each gets what the others found out already through ``_Host``;
whatever goes wrong in one becomes its finding and disturbs no other.
"""

from __future__ import annotations

import functools
import grp
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, Literal, TypeVar

from dynbuild import masking, proc, units
from dynbuild.build import facts, git
from dynbuild.engine import client, limits, private
from dynbuild.engine.model import Engine
from dynbuild.errors import DynbuildError, NotReady, RequestError
from dynbuild.plan import version
from dynbuild.run import launch
from dynbuild.sccache import cache as compile_cache
from dynbuild.sccache.s3 import preflight

Status = Literal["ok", "warning", "problem", "absent"]
_T = TypeVar("_T")

_memory_size = functools.partial(units.format_size, base=units.BINARY)
_PATIENCE = 5.0
_GB = 1000**3
_GIB = 1024**3
_MEMORY = 16 * _GB
_DISK_FREE, _DISK_SHARE = 20 * _GB, 0.10
_SHM = _GIB
# `docker buildx build --check` came with it.
_BUILDX = (0, 15)
# Dynamo's dev containers hang under it.
_BAD_ENGINES = ("29.0.1",)
_CUDA = (12, 8)
_PLATFORMS = ("linux/amd64", "linux/arm64")


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One finding.

    Attributes:
        name: What was looked at.
        status: ``ok``; ``warning`` where something will go wrong or slowly; ``problem``
            where nothing can be built; ``absent`` where something optional is not there.
        value: What was found.
        remedy: What to do about it; empty where there is nothing to do.
    """

    name: str
    status: Status
    value: str
    remedy: str = ""


@dataclass(slots=True)
class _Host:
    """The machine as the checks see it; what several of them ask is asked once.

    Attributes:
        env: The environment of the user.
        context: Folder of the build context.
        root: Where ``/proc``, ``/sys``, ``/dev`` and ``/etc`` are found.
    """

    env: Mapping[str, str]
    context: Path
    root: Path = Path("/")
    _answers: dict[str, Any] = field(default_factory=dict)
    _locks: dict[str, Lock] = field(default_factory=dict)

    def once(self, name: str, ask: Callable[[], _T]) -> _T:
        """The answer to *ask*; whoever comes second waits for it."""
        with self._locks.setdefault(name, Lock()):
            if name not in self._answers:
                self._answers[name] = ask()
            answer: _T = self._answers[name]
            return answer

    def run(self, *argv: str, env: Mapping[str, str] | None = None) -> proc.Completed:
        """A program's answer; an error where it gives none in time."""
        return proc.run(argv, env=env or self.env, check=False, timeout=_PATIENCE)

    def which(self, name: str) -> str | None:
        """Path of a program of the user."""
        return shutil.which(name, path=self.env.get("PATH", os.defpath))

    def read(self, path: str) -> str:
        """A small file below the root, empty where it cannot be read."""
        try:
            return (self.root / path).read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            return ""

    def entries(self, directory: str, pattern: str = "*") -> list[Path]:
        """What is in a directory below the root."""
        return sorted((self.root / directory).glob(pattern))

    @property
    def found(self) -> Engine | NotReady:
        """The engine, or why there is none."""
        return self.once("found", functools.partial(_find, self.env))

    @property
    def engine(self) -> Engine | None:
        """The engine, if one answers."""
        return found if isinstance(found := self.found, Engine) else None

    @property
    def local(self) -> bool:
        """Whether the engine, if there is one, is on this machine."""
        address = (self.engine.host if self.engine else None) or self.env.get("DOCKER_HOST")
        return (address or "unix://").startswith("unix://")

    @property
    def info(self) -> dict[str, Any]:
        """What ``docker info`` says; empty where no engine answers."""
        return self.once("info", functools.partial(_info, self))

    @property
    def smi(self) -> proc.Completed | None:
        """What ``nvidia-smi`` says; ``None`` where there is none."""
        return self.once("smi", self._smi)

    def _smi(self) -> proc.Completed | None:
        program = self.which("nvidia-smi")
        if program is None:
            return None
        try:
            return self.run(program)
        except NotReady as error:
            # Kept as an answer, or every check that asks would wait as long again.
            return proc.Completed(argv=(program,), returncode=-1, stdout="", stderr=error.message)

    @property
    def gpu_devices(self) -> list[str]:
        """Names of the devices of GPUs; Windows' Linux has one for all."""
        found = [path.name for path in self.entries("dev", "nvidia*")]
        numbered = [name for name in found if name.removeprefix("nvidia").isdecimal()]
        return numbered or [path.name for path in self.entries("dev", "dxg")]


def _find(env: Mapping[str, str]) -> Engine | NotReady:
    try:
        return client.find(env)
    except NotReady as error:
        return error
    except (DynbuildError, OSError, ValueError) as error:
        return NotReady(f"looking for an engine failed: {error}")


def _info(host: _Host) -> dict[str, Any]:
    engine = host.engine
    docker = engine.docker if engine else host.which("docker")
    # An engine that answers is refused for want of buildx only; none other is asked twice.
    if docker is None or (isinstance(host.found, NotReady) and "buildx" not in host.found.message):
        return {}
    env = engine.env(host.env) if engine else host.env
    try:
        answer = json.loads(host.run(docker, "info", "--format", "{{json .}}", env=env).stdout)
    except (NotReady, ValueError):
        return {}
    return answer if isinstance(answer, dict) and answer.get("ServerVersion") else {}


def examine(env: Mapping[str, str], context: Path, *, root: Path = Path("/")) -> tuple[Check, ...]:
    """Look at everything, the slow things at once.

    Args:
        env: The environment of the user.
        context: Folder of the build context.
        root: Where ``/proc``, ``/sys``, ``/dev`` and ``/etc`` are found.
    """
    host = _Host(env, context, root)
    with ThreadPoolExecutor(max_workers=len(_CHECKS)) as pool:
        return tuple(pool.map(functools.partial(_safely, host), _CHECKS.items()))


def _safely(host: _Host, named: tuple[str, _Probe]) -> Check:
    name, check = named
    # The machine may be broken in ways nobody thought of: that is a finding, too.
    try:
        status, value, remedy = check(host)
    except DynbuildError as error:
        status, value, remedy = "warning", error.message, error.hint or ""
    except Exception as error:
        status, value, remedy = "warning", f"cannot be examined: {error!r}", ""
    return Check(
        name=name,
        status=status,
        value=masking.scrub(value, hashes=True),
        remedy=masking.scrub(remedy, hashes=True) if status != "ok" else "",
    )


_Finding = tuple[Status, str, str]
_Probe = Callable[[_Host], _Finding]


# --- the engine


def _engine(host: _Host) -> _Finding:
    found = host.found
    if isinstance(found, NotReady):
        if "ServerVersion" in host.info:
            return "ok", f"system, Docker {host.info['ServerVersion']}", ""
        why = "; ".join(dict.fromkeys((found.message, *found.details)))
        return "problem", why, found.hint or ""
    value = f"{found.kind}, Docker {found.version}"
    if found.network == "host":
        value += ", on the host's network only"
    if found.version.split("+")[0] in _BAD_ENGINES:
        return "warning", value, "dev containers hang under this version: use another one"
    return "ok", value, ""


def _buildx(host: _Host) -> _Finding:
    found = host.found
    if isinstance(found, NotReady):
        if "ServerVersion" in host.info:
            return "problem", found.message, found.hint or ""
        return "absent", "not looked for: there is no engine", ""
    if _number(found.buildx)[:2] < _BUILDX:
        return (
            "warning",
            f"{found.buildx or 'unknown version'}, older than 0.15",
            "Dockerfiles cannot be checked (--check): install a newer buildx",
        )
    return "ok", f"{found.buildx}, Dockerfiles can be checked", ""


def _number(text: str) -> tuple[int, ...]:
    found = re.match(r"v?(\d+(?:\.\d+)*)", text)
    return tuple(map(int, found[1].split("."))) if found else ()


def _store(host: _Host) -> _Finding:
    if host.engine is None:
        return "absent", "not looked for: there is no engine", ""
    if host.engine.containerd_store:
        return "ok", "containerd: keeps several platforms and attestations", ""
    return (
        "absent",
        "classic: one platform an image, no attestations",
        'set "features": {"containerd-snapshotter": true} in the engine\'s daemon.json',
    )


def _platforms(host: _Host) -> _Finding:
    engine = host.engine
    if engine is None:
        return "absent", "not looked for: there is no engine", ""
    said = host.run(engine.docker, "buildx", "inspect", env=engine.env(host.env)).stdout
    lines = re.findall(r"^\s*Platforms:\s*(.*)$", said, re.MULTILINE)
    names = {name.strip(" *") for line in lines for name in line.split(",")}
    found = [name for name in _PLATFORMS if name in names]
    missing = [name for name in _PLATFORMS if name not in names]
    if not found:
        return "absent", "buildx does not say which", ""
    value = ", ".join(found)
    if not missing:
        return "ok", value, ""
    return (
        "absent",
        f"{value}; no emulator for {missing[0]}",
        f"to build for {missing[0]}, on the engine's machine: dynbuild engine emulate"
        f" {missing[0].removeprefix('linux/')}",
    )


def _limits(host: _Host) -> _Finding:
    engine = host.engine
    if engine is None:
        return "absent", "not looked for: there is no engine", ""
    if not host.local:
        return "absent", "not known: the engine is on another machine", ""
    hard = limits.of_engine(engine.host, host.env)
    fitted, said = launch.fit_ulimits(launch.DEFAULT_ULIMITS, hard)
    if not said:
        return "ok", "as high as runs ask for", ""
    cut = (limit for limit in fitted if limit not in launch.DEFAULT_ULIMITS)
    remedy = "runs ask for no more; to have more, start the engine with CAP_SYS_RESOURCE"
    return "warning", f"at most {', '.join(cut)}", remedy


def _security(host: _Host) -> _Finding:
    options = " ".join(map(str, host.info.get("SecurityOptions") or ()))
    if "name=rootless" in options:
        remedy = "files that containers write in mounts belong to ids of their own"
        return "warning", "the engine is rootless", f"{remedy}: use --user or a root engine"
    if host.read("sys/fs/selinux/enforce") == "1":
        value = "SELinux enforces"
        if "name=selinux" in options:
            return "warning", f"{value}, also in containers", "mounts need the suffix :z or :Z"
        return "ok", f"{value}, not in containers", ""
    if "name=userns" in options:
        remedy = "files in mounts belong to mapped ids: run with --userns=host"
        return "warning", "the engine maps user ids", remedy
    if not host.info:
        return "absent", "SELinux does not enforce; there is no engine to ask", ""
    return "ok", "neither rootless, nor SELinux, nor mapped user ids", ""


# --- the machine


def _disk(host: _Host) -> _Finding:
    if not host.local:
        return "absent", "not known: the engine is on another machine", ""
    where = Path(host.info.get("DockerRootDir") or private.home(host.env))
    while not where.exists() and where != where.parent:
        where = where.parent
    usage = shutil.disk_usage(where)
    share = usage.free / usage.total if usage.total else 0.0
    value = f"{units.format_size(usage.free)} free ({share:.0%}) for {where}"
    if usage.free < _DISK_FREE or share < _DISK_SHARE:
        return "warning", value, "make room: docker system prune, or `dynbuild engine prune`"
    return "ok", value, ""


def _memory(host: _Host) -> _Finding:
    rows = dict(re.findall(r"^(\w+):\s+(\d+) kB$", host.read("proc/meminfo"), re.MULTILINE))
    total, free = (int(rows[name]) * 1024 for name in ("MemTotal", "MemAvailable"))
    cores = os.cpu_count() or 1
    value = f"{_memory_size(total)}, {_memory_size(free)} available; {cores} processors"
    if total < _MEMORY:
        jobs = "--build-arg BUILD_JOBS=2 --build-arg CARGO_BUILD_JOBS=2"
        return "warning", value, f"compilers may run out of it: {jobs}"
    return "ok", value, ""


def _shm(host: _Host) -> _Finding:
    place = host.root / "dev/shm"
    if not place.is_dir():
        return "absent", "there is no /dev/shm", ""
    total = shutil.disk_usage(place).total
    if total < _SHM:
        remedy = "too little for models with --ipc host: mount -o remount,size=10G /dev/shm"
        return "warning", _memory_size(total), remedy
    return "ok", _memory_size(total), ""


def _user(host: _Host) -> _Finding:
    caller = facts.read(host.env)
    value = f"uid {caller.uid}, gid {caller.gid}"
    if os.getuid() == 0:
        sudo = host.env.get("SUDO_USER")
        return "ok", f"{value}, root{f' for {sudo} (sudo)' if sudo else ''}", ""
    try:
        member = grp.getgrnam("docker").gr_gid in (os.getgid(), *os.getgroups())
    except KeyError:
        member = False
    value += ", in the group docker" if member else ", not in the group docker"
    sock = host.root / "var/run/docker.sock"
    if not host.env.get("DOCKER_HOST") and sock.exists() and not os.access(sock, os.W_OK):
        remedy = "the engine refuses you: sudo usermod -aG docker $USER, then log in again"
        return "warning", value, remedy
    return "ok", value, ""


def _certificates(host: _Host) -> _Finding:
    bundle = facts.read(host.env).ca_bundle
    if bundle:
        return "ok", f"builds trust {bundle}", ""
    named = host.env.get("SSL_CERT_FILE")
    if named:
        return "warning", f"SSL_CERT_FILE names {named}, which is no file", "unset or mend it"
    return "absent", "none of this site: builds trust the usual ones", ""


def _proxies(host: _Host) -> _Finding:
    names = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
    found = {
        name: masking.mask(name, value)
        for name, value in sorted(host.env.items())
        if name.lower() in names and value
    }
    if not found:
        return "absent", "none set", ""
    return "ok", ", ".join(f"{name}={value}" for name, value in found.items()), ""


# --- GPUs and networks


def _gpu(host: _Host) -> _Finding:
    smi, devices = host.smi, host.gpu_devices
    if smi is None:
        if not devices:
            return "absent", "none; builds need none", "run containers with --gpus none"
        value = f"/dev/{devices[0]} is there, nvidia-smi is not"
        return "warning", value, "install the driver's tools (nvidia-utils)"
    if smi.returncode != 0:
        said = (smi.stdout.strip() or smi.stderr.strip()).splitlines()
        value = f"nvidia-smi: {said[0] if said else f'status {smi.returncode}'}"
        if not devices:
            return "absent", value, "run containers with --gpus none"
        return "warning", value, "the driver does not answer: load it, or restart the machine"
    listed = host.run(str(host.which("nvidia-smi")), "-L").stdout
    names = re.findall(r"^GPU \d+: (.*?) \(UUID", listed, re.MULTILINE)
    value = ", ".join(f"{names.count(name)} x {name}" for name in dict.fromkeys(names))
    if not devices:
        remedy = "this container got no GPU: start it with --gpus all"
        return "warning", f"{value or 'nvidia-smi answers'}, but no /dev/nvidia0", remedy
    return "ok", value or f"{len(devices)}", ""


def _driver(host: _Host) -> _Finding:
    said = host.smi.stdout if host.smi and host.smi.returncode == 0 else ""
    driver = re.search(r"Driver Version: ([\d.]+)", said)
    cuda = _driver_cuda(host)
    if driver is None or not cuda:
        return "absent", "no driver answers", ""
    value = f"{driver[1]}, for CUDA up to {cuda}"
    if _number(cuda) < _CUDA:
        return "warning", value, "images need a driver for CUDA 12.8 or newer: renew it"
    return "ok", value, ""


def _driver_cuda(host: _Host) -> str:
    """The newest CUDA the driver supports, empty where no driver answers."""
    said = host.smi.stdout if host.smi and host.smi.returncode == 0 else ""
    found = re.search(r"CUDA (?:UMD )?Version: (\d+\.\d+)", said)
    return found[1] if found else ""


def _toolkit(host: _Host) -> _Finding:
    runtime = "nvidia" in (host.info.get("Runtimes") or {})
    specs = [*host.entries("etc/cdi", "nvidia*"), *host.entries("var/run/cdi", "nvidia*")]
    program = host.which("nvidia-ctk") or host.which("nvidia-container-runtime")
    value = "registered as runtime nvidia" if runtime else "not registered with the engine"
    if specs:
        value += f"; CDI: {specs[0].name}"
    if runtime:
        return "ok", value, ""
    if program is None and not specs:
        if not host.gpu_devices:
            return "absent", "not installed; only GPUs need it", ""
        return "warning", "not installed", "GPUs need it: install nvidia-container-toolkit"
    remedy = "nvidia-ctk runtime configure --runtime=docker, then restart the engine"
    return ("warning" if host.gpu_devices else "absent"), value, remedy


def _nvcc(host: _Host) -> _Finding:
    program = host.which("nvcc")
    if program is None:
        return "absent", "not installed; images bring their own", ""
    found = re.search(r"release (\d+\.\d+)", host.run(program, "--version").stdout)
    if found is None:
        return "warning", f"{program} does not say its version", ""
    value, newest = f"CUDA {found[1]}", _driver_cuda(host)
    if newest and _number(found[1])[0] > _number(newest)[0]:
        remedy = "what it compiles does not run here: renew the driver"
        return "warning", f"{value}, the driver supports {newest}", remedy
    named = host.env.get("CUDA_VERSION", "")
    if named and _number(named)[:2] != _number(found[1]):
        remedy = "builds take --cuda-version, not this variable"
        return "warning", f"{value}, but the variable CUDA_VERSION is {named}", remedy
    return "ok", value, ""


def _rdma(host: _Host) -> _Finding:
    devices = [path.name for path in host.entries("sys/class/infiniband")]
    if not devices:
        return "absent", "none; only transfers between machines need it", ""
    value = ", ".join(devices)
    if not host.entries("dev/infiniband", "uverbs*"):
        remedy = "load the kernel module ib_uverbs; in a container, pass /dev/infiniband on"
        return "warning", f"{value}, but no /dev/infiniband/uverbs*", remedy
    return "ok", value, ""


def _efa(host: _Host) -> _Finding:
    drivers = {
        path.name: (path / "device/driver").resolve().name
        for path in host.entries("sys/class/infiniband")
    }
    devices = [name for name, driver in drivers.items() if driver == "efa"]
    loaded = (host.root / "sys/module/efa").is_dir()
    if devices:
        release = host.read("sys/module/efa/version") or "of unknown version"
        return "ok", f"{', '.join(devices)}, driver {release}", ""
    return "absent", "driver without a device" if loaded else "none", ""


# --- sources, caches, logins


def _git(host: _Host) -> _Finding:
    facts = git.read(host.context, host.env)
    derived = version.derive(facts, host.env)
    value = f"{derived.tag} ({derived.origin})"
    if facts.dirty:
        value += ", with changes that are not committed"
    if facts.shallow:
        return "warning", value, "versions come from tags: git fetch --unshallow --tags"
    if facts.state:
        return "absent", value, "the version is a guess: --tag names images otherwise"
    return "ok", value, ""


def _s3(host: _Host) -> _Finding:
    source = _aws(host.env)
    bucket = host.env.get("SCCACHE_BUCKET")
    if bucket:
        trouble, remedy = _bucket(host.env)
        if trouble:
            return "warning", trouble, remedy
        return "ok", f"bucket {bucket} answers, credentials from {source or 'the machine'}", ""
    if source:
        return "ok", f"AWS credentials from {source}", ""
    return "absent", "no AWS credentials; only a cache in S3 needs them", ""


def _bucket(env: Mapping[str, str]) -> tuple[str, str]:
    """What is wrong with the bucket of the compile cache, and the remedy; empty when nothing.

    The variables are those of sccache; nothing is written.
    """
    try:
        cache = compile_cache.resolve(flags={}, args={}, env=env)
    except RequestError as error:
        return error.message, error.hint or ""
    found = preflight.reachable(cache, env)
    return (found.message, found.remedy) if found else ("", "")


_AWS_KEYS = frozenset(
    ("aws_access_key_id", "credential_process", "role_arn", "sso_session", "sso_start_url")
)
_AWS_VARIABLES = (
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)


def _aws(env: Mapping[str, str]) -> str:
    """Where AWS credentials would come from; nothing is contacted, and no program asked."""
    if env.get("AWS_ACCESS_KEY_ID") and env.get("AWS_SECRET_ACCESS_KEY"):
        return "variables"
    from botocore import configloader, exceptions  # type: ignore[import-untyped]

    home = Path(env.get("HOME") or Path.home(), ".aws")
    profile = env.get("AWS_PROFILE") or env.get("AWS_DEFAULT_PROFILE") or "default"
    credentials = env.get("AWS_SHARED_CREDENTIALS_FILE") or str(home / "credentials")
    config = env.get("AWS_CONFIG_FILE") or str(home / "config")
    for file, read in (
        (credentials, configloader.raw_config_parse),
        (config, lambda name: configloader.load_config(name)["profiles"]),
    ):
        try:
            keys = read(file).get(profile, {})
        except (exceptions.ConfigNotFound, exceptions.ConfigParseError):
            continue
        if not _AWS_KEYS.isdisjoint(keys):
            return f"profile {profile} in {file}"
    return next((f"variable {name}" for name in _AWS_VARIABLES if env.get(name)), "")


def _hf_home(env: Mapping[str, str]) -> Path:
    cache = env.get("XDG_CACHE_HOME") or Path(env.get("HOME") or Path.home(), ".cache")
    return Path(env.get("HF_HOME") or Path(cache, "huggingface")).expanduser()


def _hf_token(host: _Host) -> _Finding:
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if host.env.get(name):
            return "ok", f"present (variable {name})", ""
    file = Path(host.env.get("HF_TOKEN_PATH") or _hf_home(host.env) / "token").expanduser()
    if file.is_file():
        return "absent", f"only in {file}", "containers get the variable HF_TOKEN: export it"
    return "absent", "none; only gated models need one (variable HF_TOKEN)", ""


def _hf_cache(host: _Host) -> _Finding:
    place = Path(host.env.get("HF_HUB_CACHE") or _hf_home(host.env) / "hub").expanduser()
    there = place
    while not there.exists() and there != there.parent:
        there = there.parent
    if not os.access(there, os.W_OK | os.X_OK):
        return "warning", f"{place} cannot be written", "set HF_HOME to a folder of yours"
    if there != place:
        return "absent", f"{place} is not there yet", f"mkdir -p {place}"
    return "ok", f"{place} can be written", ""


_CHECKS: dict[str, _Probe] = {
    "engine": _engine,
    "buildx": _buildx,
    "image store": _store,
    "platforms": _platforms,
    "limits": _limits,
    "security": _security,
    "disk": _disk,
    "memory": _memory,
    "shared memory": _shm,
    "user": _user,
    "certificates": _certificates,
    "proxies": _proxies,
    "GPU": _gpu,
    "GPU driver": _driver,
    "GPU toolkit": _toolkit,
    "nvcc": _nvcc,
    "RDMA": _rdma,
    "EFA": _efa,
    "git": _git,
    "S3 cache": _s3,
    "HF token": _hf_token,
    "HF cache": _hf_cache,
}


def ready(checks: Sequence[Check]) -> bool:
    """Whether anything can be built."""
    return all(check.status != "problem" for check in checks)
