"""A Docker engine of dynbuild's own: nothing of it is installed, all of it is below one directory.

Engine and containerd are found again by what they are, not by a number in a file: a
process belongs to this engine when it is one of its programs and was started with a path
below its directory, or when its root directory is an image layer of this engine.  So a
stale or reused pid means nothing here.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import socket
import stat
import struct
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dynbuild import proc
from dynbuild.engine import packages
from dynbuild.engine.model import Engine
from dynbuild.errors import NotReady, RequestError, ToolFailed

if TYPE_CHECKING:
    import psutil

_UP = "run `dynbuild engine up`"
_ANSWER_SECONDS = 10.0
_START_SECONDS = 60.0
_STOP_SECONDS = 60.0
# A unix socket's path has at most 107 bytes; the longest name the engine adds has 34.
_RUN_BYTES = 70
_CAP_SYS_ADMIN = 21
# From linux/sockios.h: add a bridge, remove it, set the flags of an interface.
_SIOCBRADDBR, _SIOCBRDELBR, _SIOCSIFFLAGS = 0x89A0, 0x89A1, 0x8914
_LOG_LINES = 12
_SERVERS = frozenset(("dockerd", "containerd", "containerd-shim-runc-v2"))
# The user's shell may hold secrets that a daemon has no business keeping.
_DAEMON_ENV = re.compile(r"HOME|(https?|no|all)_proxy|SSL_CERT_(FILE|DIR)", re.IGNORECASE)
_REGISTRY_KEYS = ("auths", "credHelpers", "credsStore", "proxies")


_CACHE = {
    "defaultReservedSpace": "20GB",
    "defaultMaxUsedSpace": "80GB",
    "defaultMinFreeSpace": "5GB",
}
"""How much of the disk the build cache may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What there is of the private engine.

    Attributes:
        running: Whether it answers.
        pid: Process id of dockerd, while that runs.
        host: Address of its socket, while it answers.
        version: Version of the engine, while it answers.
        buildx: Version of its buildx, while it answers.
        network: What builds and runs can use, while it answers; see ``Engine.network``.
        data_bytes: Space that images, containers and build cache take on disk.
        uptime: Seconds since dockerd started, while it runs.
        home: The directory of dynbuild.
    """

    running: bool
    pid: int | None
    host: str | None
    version: str | None
    buildx: str | None
    network: Literal["bridge", "host"] | None
    data_bytes: int
    uptime: float | None
    home: Path


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the parts of one engine are."""

    root: Path
    run: Path

    @property
    def packages(self) -> Path:
        return self.root / "packages"

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def config(self) -> Path:
        return self.root / "config"

    @property
    def state(self) -> Path:
        return self.root / "state.json"

    @property
    def socket(self) -> Path:
        return self.run / "docker.sock"

    @property
    def bridge(self) -> str:
        # An interface's name has at most 15 characters.
        return f"dynbuild-{_mark(self.root)[:6]}"

    def log(self, name: str) -> Path:
        return self.root / f"{name}.log"

    def program(self, name: str) -> str:
        found = packages.program(self.packages, name)
        if found is None:
            raise NotReady(f"{self.packages} contains no {name}", hint="remove it and try again")
        return str(found)


def home(env: Mapping[str, str]) -> Path:
    """The directory of dynbuild: ``$DYNBUILD_HOME``, else one in the user's data directory."""
    if chosen := env.get("DYNBUILD_HOME"):
        return Path(chosen).expanduser().resolve()
    data = env.get("XDG_DATA_HOME") or Path(env.get("HOME") or Path.home(), ".local/share")
    return Path(data, "dynbuild").resolve()


def host(env: Mapping[str, str]) -> str | None:
    """The address of the private engine, if one was started and not taken down since."""
    found = _state(_place(env)).get("host")
    return found if isinstance(found, str) else None


def running(env: Mapping[str, str]) -> Engine:
    """The private engine.

    Raises:
        NotReady: It does not run, or runs and does not answer.
    """
    engine = _answering(_place(env))
    if engine is None:
        raise NotReady("the private engine does not run", hint=_UP)
    return engine


def up(env: Mapping[str, str], say: Callable[[str], None]) -> Engine:
    """Start the private engine, unless it runs, downloading it the first time.

    The user's registry logins are copied to its client's configuration each time.

    Args:
        env: The environment of the user.
        say: Takes lines of progress.

    Raises:
        NotReady: The machine cannot run an engine, or the engine did not start.
        RequestError: The path of the directory cannot hold an engine.
    """
    place = _place(env)
    _check_user(place)
    with _locked(place, say), _disk_errors(place):
        packages.ensure_engine(place.packages, place.root / "download", env, say)
        packages.ensure_programs(("runc", "iptables"), env, say)
        _configure_client(place, env)
        if not {"dockerd", "containerd"} <= {_name(p.pid) for p in _processes(place)}:
            _clear(place)
            try:
                _start(place, env, say)
            except BaseException:
                _clear(place)
                raise
        _await(lambda: _ask(place), place, "dockerd")
        _record(place, env)
        return running(env)


def down(env: Mapping[str, str]) -> bool:
    """End the private engine, its containers and its mounts; images and cache stay.

    Returns:
        Whether there was anything to end.

    Raises:
        NotReady: Something of it could not be ended.
    """
    place = _place(env)
    if not os.access(place.root, os.W_OK):
        return False
    with _locked(place):
        return _clear(place)


def status(env: Mapping[str, str]) -> Status:
    """What there is of the private engine; works whether it runs or not."""
    place = _place(env)
    import psutil

    dockerd = next((p for p in _processes(place) if _name(p.pid) == "dockerd"), None)
    engine = started = None
    if dockerd is not None:
        with suppress(NotReady):
            engine = _answering(place)
        with suppress(psutil.NoSuchProcess):
            started = dockerd.create_time()
    return Status(
        running=engine is not None,
        pid=dockerd.pid if dockerd else None,
        host=engine.host if engine else None,
        version=engine.version if engine else None,
        buildx=engine.buildx if engine else None,
        network=engine.network if engine else None,
        data_bytes=_size(place.data),
        uptime=None if started is None else time.time() - started,
        home=place.root.parent,
    )


def prune(env: Mapping[str, str], everything: bool) -> int:
    """Remove unused images and build cache, or, from an engine that is down, everything.

    Args:
        env: The environment of the user.
        everything: Remove the engine's data and its downloaded programs too.

    Returns:
        Bytes that were freed on disk.

    Raises:
        NotReady: The engine is down, or, for *everything*, is up.
    """
    place = _place(env)
    if everything:
        return _remove(place)
    engine = running(env)
    own = engine.env(env)
    before = _size(place.data)
    proc.run((engine.docker, "image", "prune", "--all", "--force"), env=own)
    proc.run((engine.docker, "buildx", "prune", "--builder=default", "--all", "--force"), env=own)
    return max(0, before - _size(place.data))


def _remove(place: _Place) -> int:
    if not os.access(place.root, os.W_OK):
        return 0
    with _locked(place):
        if _processes(place):
            raise NotReady(
                "the private engine is in use, its data cannot be removed",
                hint="run `dynbuild engine down` first",
            )
        _clear(place)  # a mount left by a crash would lead the removal out of the directory
        before = _size(place.root)
        for entry in place.root.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                for inner in entry.iterdir():
                    if inner.is_dir() and not inner.is_symlink():
                        shutil.rmtree(inner)
                    else:
                        inner.unlink()
                with suppress(OSError):  # a file system of the user's may be mounted there
                    entry.rmdir()
            elif entry.name != "lock":
                entry.unlink()
        return max(0, before - _size(place.root))


# --- where


def _place(env: Mapping[str, str]) -> _Place:
    root = home(env) / "engine"
    run = root / "run"
    if len(os.fsencode(run)) > _RUN_BYTES:
        short = "/run" if os.access("/run", os.W_OK) else tempfile.gettempdir()
        run = Path(short, f"dynbuild-{_mark(root)[:12]}")
    return _Place(root, run)


def _mark(root: Path) -> str:
    """What tells this engine's things from another private engine's, outside *root*."""
    return hashlib.sha256(os.fsencode(root)).hexdigest()


def _state(place: _Place) -> dict[str, Any]:
    try:
        value = json.loads(place.state.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _private_directory(path: Path) -> None:
    """Make *path* a directory that nobody else can enter.

    Raises:
        NotReady: It cannot be made, or is there and belongs to somebody else.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise NotReady(
            f"the directory {path} cannot be made: {error.strerror}",
            hint="set DYNBUILD_HOME to a place that can be written",
        ) from error
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise NotReady(f"{path} is not a directory of this user", hint="remove it")
    path.chmod(0o700)


@contextmanager
def _locked(place: _Place, say: Callable[[str], None] = lambda _: None) -> Iterator[None]:
    """Hold the one lock of this engine; it ends with the process that holds it."""
    _private_directory(place.root)
    with (place.root / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another dynbuild that is starting or ending the engine")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _disk_errors(place: _Place) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise NotReady(
            f"the private engine cannot be set up in {place.root}: {error.strerror or error}",
            hint="see whether that disk is full or read-only, or set DYNBUILD_HOME elsewhere",
        ) from error


# --- what the machine allows


def _check_user(place: _Place) -> None:
    remedy = "start a Docker engine as an administrator, or point DOCKER_HOST at one"
    if os.geteuid() != 0:
        raise NotReady("the private engine must be started by root", hint=remedy)
    granted = re.search(r"^CapEff:\s*(\w+)", Path("/proc/self/status").read_text(), re.MULTILINE)
    if granted is None or not int(granted[1], 16) >> _CAP_SYS_ADMIN & 1:
        raise NotReady(
            "the private engine needs the privilege to mount (CAP_SYS_ADMIN), which is missing"
            " here",
            hint=remedy,
        )
    if bad := re.search(r'[\s:,"\\]', str(place.root)):
        raise RequestError(
            f"an engine cannot live in '{place.root}': the path contains {bad[0]!r}",
            hint="set DYNBUILD_HOME to a path of plain characters",
        )


def _check_overlay(place: _Place) -> None:
    """Mount what a container would be mounted on: the kernel and the disk both have a say."""
    with tempfile.TemporaryDirectory(dir=place.data) as name:
        folders = {part: Path(name, part) for part in ("lowerdir", "upperdir", "workdir")}
        for folder in (*folders.values(), target := Path(name, "target")):
            folder.mkdir()
        options = ",".join(f"{part}={folder}" for part, folder in folders.items())
        try:
            proc.run(("mount", "-t", "overlay", "overlay", "-o", options, str(target)))
        except ToolFailed as error:
            raise NotReady(
                f"overlayfs does not work on the file system of {place.data}",
                hint="set DYNBUILD_HOME to a directory on a disk of the machine (ext4, xfs)",
                details=error.details,
            ) from error
        proc.run(("umount", str(target)))


# --- processes and mounts


def _name(pid: int) -> str:
    """Base name of the program that process *pid* runs, empty when that cannot be seen."""
    with suppress(OSError):
        program = Path(f"/proc/{pid}/exe").readlink().name
        return program.removesuffix(" (deleted)")
    return ""


def _processes(place: _Place) -> list[psutil.Process]:
    """Every process of this engine: its programs, and what runs in its containers."""
    import psutil

    own = (f"{place.root}/", f"{place.run}/")
    layers = f"{place.data}/"
    root = Path("/")
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            # Inside a container of an engine, that engine's paths can be the same as ours.
            here = root.samefile(f"/proc/{process.pid}/root")
            if here and _name(process.pid) in _SERVERS:
                mine = any(argument.startswith(own) for argument in process.cmdline()[1:])
            else:
                mine = not here and any(
                    mount.target == "/" and layers in mount.line for mount in _mounts(process.pid)
                )
            if mine:
                found.append(process)
    return found


@dataclass(frozen=True, slots=True)
class _Mount:
    source: str
    target: str
    line: str


def _mounts(pid: int | str) -> list[_Mount]:
    """The mounts that a process sees, in the order they were made."""
    text = Path(f"/proc/{pid}/mountinfo").read_text(encoding="utf-8", errors="replace")
    rows = ((line.split(" ", 5), line) for line in text.splitlines())
    return [_Mount(source=row[3], target=row[4], line=line) for row, line in rows]


def _own_mounts(place: _Place) -> list[str]:
    """Mount points of this engine, the innermost first."""
    below = (f"{place.data}/", f"{place.run}/")
    return [
        mount.target
        for mount in reversed(_mounts("self"))
        # The engine mounts its data directory on itself; a disk there is the user's.
        if mount.target.startswith(below)
        or (mount.target == str(place.data) and mount.source != "/")
    ]


def _clear(place: _Place) -> bool:
    """End every process of this engine and undo its mounts; whether there were any."""
    import psutil

    found = _processes(place)
    for name in ("dockerd", "containerd"):
        servers = [p for p in found if _name(p.pid) == name]
        for server in servers:
            with suppress(psutil.NoSuchProcess):
                server.terminate()
        psutil.wait_procs(servers, timeout=_STOP_SECONDS)
    for _ in range(10):
        rest = _processes(place)
        if not rest:
            break
        for process in rest:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(rest, timeout=5)
    mounts = _own_mounts(place)
    if mounts:
        proc.run(("umount", "--lazy", *mounts), check=False)
    if left := _own_mounts(place) or [str(p.pid) for p in _processes(place)]:
        raise NotReady("a part of the private engine cannot be ended", details=tuple(left))
    bridge = _remove_bridge(place.bridge)
    place.state.unlink(missing_ok=True)
    (place.root / "dockerd.pid").unlink(missing_ok=True)
    if place.run.exists():
        shutil.rmtree(place.run)
    return bool(found or mounts or bridge)


# --- network


def _another_engine(place: _Place) -> bool:
    """Whether another live engine uses this machine's network.

    An engine that starts with a packet filter, whatever its bridge is, rewrites the
    chains that all engines share, and so cuts the containers of the others off.
    """
    import psutil

    own = {process.pid for process in _processes(place)}
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if _name(process.pid) != "dockerd" or process.pid in own:
                continue
            if Path(f"/proc/{process.pid}/ns/net").samefile("/proc/self/ns/net"):
                return True
    return False


def _add_bridge(name: str) -> None:
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
            fcntl.ioctl(link, _SIOCBRADDBR, struct.pack("16s", name.encode()))
    except OSError as error:
        raise NotReady(
            f"the network bridge {name} cannot be made: {error.strerror}",
            hint="it needs CAP_NET_ADMIN and a kernel with bridges; "
            "or point DOCKER_HOST at an engine elsewhere",
        ) from error


def _remove_bridge(name: str) -> bool:
    """Remove the interface *name* and the rules about it; whether it was there."""
    if name not in (interface for _, interface in socket.if_nameindex()):
        return False
    _remove_rules(name)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        # A bridge that is up cannot be removed.
        fcntl.ioctl(link, _SIOCSIFFLAGS, struct.pack("16sh22x", name.encode(), 0))
        fcntl.ioctl(link, _SIOCBRDELBR, struct.pack("16s", name.encode()))
    return True


def _remove_rules(bridge: str) -> None:
    """Remove the packet filter's rules that name *bridge*; everything else stays.

    The engine leaves them behind.  The one that hides a subnet behind the machine's
    address would spoil the traffic of another engine that takes that subnet later.
    """
    env = {"PATH": packages.search_path({})}
    for kind in ("iptables", "ip6tables"):
        if shutil.which(f"{kind}-save", path=env["PATH"]) is None:
            continue
        changes = []
        for line in proc.run((f"{kind}-save",), env=env, check=False).stdout.splitlines():
            if line.startswith("-A ") and bridge in line.split():
                changes.append(line.replace("-A", "-D", 1))
            elif line.startswith("*") or line == "COMMIT":
                changes.append(line)
        if any(change.startswith("-D") for change in changes):
            text = "\n".join((*changes, ""))
            proc.run((f"{kind}-restore", "--noflush", "--wait"), input=text, env=env)


# --- starting and asking


def _start(place: _Place, env: Mapping[str, str], say: Callable[[str], None]) -> None:
    for folder in (place.run, place.data):
        _private_directory(folder)
    _check_overlay(place)
    alone = not _another_engine(place)
    if not alone:
        say("another engine runs here: builds and runs of this one use the host's network")
    containerd = place.root / "containerd.toml"
    containerd.write_text(_containerd_settings(place), encoding="utf-8")
    dockerd = place.root / "daemon.json"
    settings: dict[str, Any] = {
        "hosts": [f"unix://{place.socket}"],
        "containerd": str(place.run / "containerd.sock"),
        "data-root": str(place.data),
        "exec-root": str(place.run / "exec"),
        "pidfile": str(place.root / "dockerd.pid"),
        "features": {"containerd-snapshotter": True},
        # By default BuildKit keeps a fifth of the disk free; on a disk that is fuller than
        # that, it throws away what it built a minute ago.
        "builder": {"gc": {"enabled": True, **_CACHE}},
        # Never the default: that is the bridge of a system engine, now or later.  Nor
        # "none": an engine without a bridge deletes docker0, whoever made it.  The engine
        # itself gives this one a subnet that nobody uses.
        "bridge": place.bridge,
    }
    if not alone:
        settings |= {"iptables": False, "ip6tables": False, "ip-forward": False}
    _add_bridge(place.bridge)
    dockerd.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    daemon_env = {name: value for name, value in env.items() if _DAEMON_ENV.fullmatch(name)}
    usr = place.packages / "usr"
    daemon_env["PATH"] = os.pathsep.join((f"{usr}/bin", f"{usr}/sbin", packages.search_path(env)))
    say("starting the private engine")
    for name, flag, file, ready in (
        ("containerd", "--config", containerd, (place.run / "containerd.sock").exists),
        ("dockerd", "--config-file", dockerd, lambda: _ask(place)),
    ):
        log = place.log(name)
        log.unlink(missing_ok=True)
        pid = proc.start_daemon((place.program(name), flag, str(file)), log=log, env=daemon_env)
        _await(ready, place, name, pid)


def _containerd_settings(place: _Place) -> str:
    # Kubernetes' and NRI's plugins would listen in places that other engines use too.
    return f"""\
version = 2
root = "{place.data}/containerd"
state = "{place.run}/containerd"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.nri.v1.nri"]

[grpc]
  address = "{place.run}/containerd.sock"

[plugins."io.containerd.internal.v1.opt"]
  path = "{place.root}/opt"
"""


def _configure_client(place: _Place, env: Mapping[str, str]) -> None:
    """The client's directory: the buildx plugin, and the registry logins of the user."""
    plugins = place.config / "cli-plugins"
    plugins.mkdir(mode=0o700, parents=True, exist_ok=True)
    link = plugins / "docker-buildx"
    link.unlink(missing_ok=True)
    link.symlink_to(place.program("docker-buildx"))
    chosen = Path(env.get("DOCKER_CONFIG") or Path(env.get("HOME") or Path.home(), ".docker"))
    if chosen.resolve() == place.config:
        return
    users: dict[str, Any] = {}
    with suppress(OSError, ValueError):
        users = json.loads((chosen / "config.json").read_text(encoding="utf-8"))
    kept = {key: users[key] for key in _REGISTRY_KEYS if key in users}
    file = place.config / "config.json"
    file.touch(mode=0o600)
    file.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")


def _record(place: _Place, env: Mapping[str, str]) -> None:
    """Write down what ``find`` needs to know, once the engine answers."""
    client = _client(place, {}, {}).env(env)
    version = proc.run((place.program("docker"), "buildx", "version"), env=client).stdout
    settings = json.loads((place.root / "daemon.json").read_text(encoding="utf-8"))
    state = {
        "host": f"unix://{place.socket}",
        "buildx": version.split()[1].removeprefix("v"),
        "network": "bridge" if settings.get("iptables", True) else "host",
    }
    draft = place.state.with_suffix(".new")
    draft.write_text(json.dumps(state, indent=2) + "\n", encoding="utf-8")
    draft.replace(place.state)


def _client(place: _Place, answer: Mapping[str, Any], state: Mapping[str, Any]) -> Engine:
    return Engine(
        kind="private",
        docker=place.program("docker"),
        host=f"unix://{place.socket}",
        config=place.config,
        version=str(answer.get("Version", "")),
        buildx=str(state.get("buildx", "")),
        containerd_store=True,
        network="host" if state.get("network") == "host" else "bridge",
    )


def _answering(place: _Place) -> Engine | None:
    state = _state(place)
    answer = _ask(place) if state else None
    return None if answer is None else _client(place, answer, state)


def _ask(place: _Place) -> dict[str, Any] | None:
    """What the engine says of itself; ``None`` when nobody listens.

    Raises:
        NotReady: Somebody listens and says nothing sensible in time.
    """
    reply = b""
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(_ANSWER_SECONDS)
        try:
            link.connect(str(place.socket))
            link.sendall(b"GET /version HTTP/1.0\r\nHost: docker\r\n\r\n")
            while chunk := link.recv(65536):
                reply += chunk
        except TimeoutError as error:
            raise NotReady(
                f"the private engine does not answer within {_ANSWER_SECONDS:g} s",
                hint="run `dynbuild engine down`, then `dynbuild engine up`",
            ) from error
        except OSError:
            return None
    try:
        answer = json.loads(reply.partition(b"\r\n\r\n")[2])
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None


def _await(
    ready: Callable[[], object], place: _Place, name: str, started: int | None = None
) -> None:
    """Wait until *ready* says something true, as long as the program *name* lives.

    Args:
        ready: What is asked again and again.
        place: The engine.
        name: One of its programs.
        started: Its pid, when it was started just now: for a moment such a process has no
            command line, by which it would be found.

    Raises:
        NotReady: It ended, or took too long; the end of its log is in the details.
    """
    end = time.monotonic() + _START_SECONDS
    while not ready():
        pids = (p.pid for p in _processes(place)) if started is None else (started,)
        dead = not any(_name(pid) == name for pid in pids)
        if dead or time.monotonic() > end:
            log = place.log(name)
            lines = log.read_text(errors="replace").splitlines() if log.exists() else []
            raise NotReady(
                f"{name} ended while it started" if dead else f"{name} does not become ready",
                hint=f"its log is {log}",
                details=tuple(lines[-_LOG_LINES:]),
            )
        time.sleep(0.05)


def _size(directory: Path) -> int:
    """Bytes that *directory* takes on its own disk, 0 when it is not there."""
    done = proc.run(("du", "-sx", "--block-size=1", str(directory)), check=False)
    return int(done.stdout.split()[0]) if done.stdout else 0
