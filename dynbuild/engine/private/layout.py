"""Where the parts of one private engine are, and the lock that one process holds of it."""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from dynbuild import paths, proc
from dynbuild.engine import packages
from dynbuild.errors import NotReady
from dynbuild.quick import dataclass

# A unix socket's path has at most 107 bytes; the longest name the engine adds has 34.
_RUN_BYTES = 70


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the parts of one engine are.

    Attributes:
        root: The directory of the engine.
        run: Sockets and running state; elsewhere where the path of *root* is long.
    """

    root: Path
    run: Path

    @property
    def packages(self) -> Path:
        """The programs."""
        return self.root / "packages"

    @property
    def data(self) -> Path:
        """Images, containers and build cache."""
        return self.root / "data"

    @property
    def config(self) -> Path:
        """The configuration of its docker client."""
        return self.root / "config"

    @property
    def plugin(self) -> Path:
        """The buildx plugin of its docker client."""
        return self.config / "cli-plugins" / "docker-buildx"

    @property
    def state(self) -> Path:
        """What was saved when the engine last started."""
        return self.root / "state.json"

    @property
    def installations(self) -> Path:
        """Which installations of dynbuild use the engine."""
        return self.root / "users.json"

    @property
    def pid_file(self) -> Path:
        """Where dockerd notes its process."""
        return self.root / "dockerd.pid"

    @property
    def socket(self) -> Path:
        """Where dockerd listens."""
        return self.run / "docker.sock"

    @property
    def containerd_socket(self) -> Path:
        """Where containerd listens."""
        return self.run / "containerd.sock"

    @property
    def containerd_file(self) -> Path:
        """The settings of containerd."""
        return self.root / "containerd.toml"

    @property
    def dockerd_file(self) -> Path:
        """The settings of dockerd."""
        return self.root / "daemon.json"

    @property
    def bridge(self) -> str:
        """The engine's network interface; such a name has at most 15 characters."""
        return f"dynbuild-{_mark(self.root)[:6]}"

    def log(self, name: str) -> Path:
        """What the program *name* printed since the last start."""
        return self.root / f"{name}.log"

    def program(self, name: str) -> str:
        """The path of one of its programs.

        Raises:
            NotReady: The packages lack it.
        """
        path = packages.program(self.packages, name)
        if path is None:
            raise NotReady(f"{self.packages} contains no {name}", hint="remove it and try again")
        return str(path)


def layout_of(env: Mapping[str, str]) -> Layout:
    """Where the engine of this environment is, whether it is there or not."""
    root = paths.home(env) / "engine"
    run = root / "run"
    if len(os.fsencode(run)) > _RUN_BYTES:
        short = "/run" if os.access("/run", os.W_OK) else tempfile.gettempdir()
        run = Path(short, f"dynbuild-{_mark(root)[:12]}")
    return Layout(root, run)


def _mark(root: Path) -> str:
    """What tells this engine's things from another private engine's, outside *root*."""
    return hashlib.sha256(os.fsencode(root)).hexdigest()


def make_private_directory(path: Path) -> None:
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
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise NotReady(f"{path} is not a directory of this user", hint="remove it")
    path.chmod(0o700)


@contextmanager
def locked(layout: Layout, say: Callable[[str], None] = lambda _: None) -> Iterator[None]:
    """Hold the one lock of this engine; it ends with the process that holds it."""
    make_private_directory(layout.root)
    with (layout.root / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another dynbuild that is starting or ending the engine")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def bytes_on_disk(directory: Path) -> int:
    """Bytes that *directory* takes on its own disk, 0 when it is not there."""
    done = proc.run(("du", "-sx", "--block-size=1", str(directory)), check=False)
    return int(done.stdout.split()[0]) if done.stdout else 0
