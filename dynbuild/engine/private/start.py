"""Starting one private engine, once it is known that the machine can run one."""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from dynbuild import proc
from dynbuild.engine import packages
from dynbuild.engine.model import Engine
from dynbuild.engine.private import installations, network, settings, state
from dynbuild.engine.private.layout import Layout, layout_of, locked, make_private_directory
from dynbuild.engine.private.processes import processes_of, program_name
from dynbuild.engine.private.stop import clear
from dynbuild.errors import NotReady, RequestError, ToolFailed

_START_SECONDS = 60.0
_CAP_SYS_ADMIN = 21
_LOG_LINES = 12
# The user's shell may hold secrets that a daemon has no business keeping.
_DAEMON_ENV = re.compile(r"HOME|(https?|no|all)_proxy|SSL_CERT_(FILE|DIR)", re.IGNORECASE)


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
    layout = layout_of(env)
    _check_user(layout)
    with locked(layout, say), _disk_errors(layout):
        packages.ensure_engine(layout.packages, layout.root / "download", env, say)
        packages.ensure_programs(("runc", "iptables"), env, say)
        settings.write_client_settings(layout, env)
        if not {"dockerd", "containerd"} <= {program_name(p.pid) for p in processes_of(layout)}:
            _start_anew(layout, env, say)
        _wait_until(lambda: state.query_version(layout), layout, "dockerd")
        state.save(layout, env)
        _mend_network(layout, env, say)
        installations.join(env)
        return state.running(env)


def _start_anew(layout: Layout, env: Mapping[str, str], say: Callable[[str], None]) -> None:
    clear(layout)
    try:
        _start(layout, env, say)
    except BaseException:
        clear(layout)
        raise


def _mend_network(layout: Layout, env: Mapping[str, str], say: Callable[[str], None]) -> None:
    """Put back what the network of an engine that runs has lost."""
    wrong = state.network_trouble(state.running(env), env)
    if wrong is None:
        return
    say(f"{wrong.message}; mending that")
    left = network.repair(layout, state.saved_rules(layout), wrong)
    if left is not None and left.kind == "bridge":
        # Only a start makes it: that is worth the containers, which are cut off anyway.
        say("the network is made anew by another start; containers end")
        _start_anew(layout, env, say)
        state.save(layout, env)
        left = state.network_trouble(state.running(env), env)
    if left is not None:
        say(f"warning: {left.message}")


@contextmanager
def _disk_errors(layout: Layout) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise NotReady(
            f"the private engine cannot be set up in {layout.root}: {error.strerror or error}",
            hint="see whether that disk is full or read-only, or set DYNBUILD_HOME elsewhere",
        ) from error


def _check_user(layout: Layout) -> None:
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
    if bad := re.search(r'[\s:,"\\]', str(layout.root)):
        raise RequestError(
            f"an engine cannot live in '{layout.root}': the path contains {bad[0]!r}",
            hint="set DYNBUILD_HOME to a path of plain characters",
        )


def _check_overlay(layout: Layout) -> None:
    """Mount what a container would be mounted on: the kernel and the disk both have a say."""
    with tempfile.TemporaryDirectory(dir=layout.data) as name:
        folders = {part: Path(name, part) for part in ("lowerdir", "upperdir", "workdir")}
        for folder in (*folders.values(), target := Path(name, "target")):
            folder.mkdir()
        options = ",".join(f"{part}={folder}" for part, folder in folders.items())
        try:
            proc.run(("mount", "-t", "overlay", "overlay", "-o", options, str(target)))
        except ToolFailed as error:
            raise NotReady(
                f"overlayfs does not work on the file system of {layout.data}",
                hint="set DYNBUILD_HOME to a directory on a disk of the machine (ext4, xfs)",
                details=error.details,
            ) from error
        proc.run(("umount", str(target)))


def _start(layout: Layout, env: Mapping[str, str], say: Callable[[str], None]) -> None:
    for folder in (layout.run, layout.data):
        make_private_directory(folder)
    _check_overlay(layout)
    alone = not network.has_neighbour(layout)
    if not alone:
        say("another engine runs here: builds and runs of this one use the host's network")
    settings.write_containerd_settings(layout)
    network.add_bridge(layout.bridge)
    settings.write_dockerd_settings(layout, alone=alone)
    daemon_env = {name: value for name, value in env.items() if _DAEMON_ENV.fullmatch(name)}
    usr = layout.packages / "usr"
    daemon_env["PATH"] = os.pathsep.join((f"{usr}/bin", f"{usr}/sbin", packages.search_path(env)))
    say("starting the private engine")
    for name, flag, file, ready in (
        ("containerd", "--config", layout.containerd_file, layout.containerd_socket.exists),
        ("dockerd", "--config-file", layout.dockerd_file, lambda: state.query_version(layout)),
    ):
        log = layout.log(name)
        log.unlink(missing_ok=True)
        pid = proc.start_daemon((layout.program(name), flag, str(file)), log=log, env=daemon_env)
        _wait_until(ready, layout, name, pid)


def _wait_until(
    ready: Callable[[], object], layout: Layout, name: str, started: int | None = None
) -> None:
    """Wait until *ready* says something true, as long as the program *name* lives.

    Args:
        ready: What is asked again and again.
        layout: The engine.
        name: One of its programs.
        started: Its pid, when it was started just now: for a moment such a process has no
            command line, by which it would be found.

    Raises:
        NotReady: It ended, or took too long; the end of its log is in the details.
    """
    end = time.monotonic() + _START_SECONDS
    while not ready():
        pids = (p.pid for p in processes_of(layout)) if started is None else (started,)
        dead = not any(program_name(pid) == name for pid in pids)
        if dead or time.monotonic() > end:
            log = layout.log(name)
            lines = log.read_text(errors="replace").splitlines() if log.exists() else []
            raise NotReady(
                f"{name} ended while it started" if dead else f"{name} does not become ready",
                hint=f"its log is {log}",
                details=tuple(lines[-_LOG_LINES:]),
            )
        time.sleep(0.05)
