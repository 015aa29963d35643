"""The machine: its disk and memory, the user, certificates, proxies."""

from __future__ import annotations

import grp
import os
import re
import shutil
from functools import partial
from pathlib import Path

from dynbuild import masking, paths, units
from dynbuild.build import facts
from dynbuild.doctor.model import Answer, absent, ok, warning
from dynbuild.doctor.probe import Probe

_size = partial(units.format_size, base=units.BINARY)
_MEMORY = 16 * 1000**3
_DISK_FREE, _DISK_SHARE = 20 * 1000**3, 0.10
_SHM = 1024**3


def disk(probe: Probe) -> Answer:
    """Room for images and the build cache."""
    if not probe.local:
        return absent("not known: the engine is on another machine")
    where = Path(probe.info.get("DockerRootDir") or paths.home(probe.env))
    while not where.exists() and where != where.parent:
        where = where.parent
    usage = shutil.disk_usage(where)
    share = usage.free / usage.total if usage.total else 0.0
    value = f"{units.format_size(usage.free)} free ({share:.0%}) for {where}"
    if usage.free < _DISK_FREE or share < _DISK_SHARE:
        return warning(value, "make room: docker system prune, or `dynbuild engine prune`")
    return ok(value)


def memory(probe: Probe) -> Answer:
    """Memory enough for compilers."""
    rows = dict(re.findall(r"^(\w+):\s+(\d+) kB$", probe.read("proc/meminfo"), re.MULTILINE))
    total, free = (int(rows[name]) * 1024 for name in ("MemTotal", "MemAvailable"))
    cores = os.cpu_count() or 1
    value = f"{_size(total)}, {_size(free)} available; {cores} processors"
    if total < _MEMORY:
        jobs = "--build-arg BUILD_JOBS=2 --build-arg CARGO_BUILD_JOBS=2"
        return warning(value, f"compilers may run out of it: {jobs}")
    return ok(value)


def shm(probe: Probe) -> Answer:
    """Shared memory enough for models."""
    place = probe.root / "dev/shm"
    if not place.is_dir():
        return absent("there is no /dev/shm")
    total = shutil.disk_usage(place).total
    if total < _SHM:
        remedy = "too little for models with --ipc host: mount -o remount,size=10G /dev/shm"
        return warning(_size(total), remedy)
    return ok(_size(total))


def user(probe: Probe) -> Answer:
    """Who the user is, and whether the engine lets them in."""
    caller = facts.read(probe.env)
    value = f"uid {caller.uid}, gid {caller.gid}"
    if os.getuid() == 0:
        sudo = probe.env.get("SUDO_USER")
        return ok(f"{value}, root{f' for {sudo} (sudo)' if sudo else ''}")
    try:
        member = grp.getgrnam("docker").gr_gid in (os.getgid(), *os.getgroups())
    except KeyError:
        member = False
    value += ", in the group docker" if member else ", not in the group docker"
    sock = probe.root / "var/run/docker.sock"
    if not probe.env.get("DOCKER_HOST") and sock.exists() and not os.access(sock, os.W_OK):
        remedy = "the engine refuses you: sudo usermod -aG docker $USER, then log in again"
        return warning(value, remedy)
    return ok(value)


def certificates(probe: Probe) -> Answer:
    """Certificates of this site, which builds are to trust."""
    bundle = facts.read(probe.env).ca_bundle
    if bundle:
        return ok(f"builds trust {bundle}")
    named = probe.env.get("SSL_CERT_FILE")
    if named:
        return warning(f"SSL_CERT_FILE names {named}, which is no file", "unset or mend it")
    return absent("none of this site: builds trust the usual ones")


def proxies(probe: Probe) -> Answer:
    """Proxies that builds go through."""
    names = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
    found = {
        name: masking.mask(name, value)
        for name, value in sorted(probe.env.items())
        if name.lower() in names and value
    }
    if not found:
        return absent("none set")
    return ok(", ".join(f"{name}={value}" for name, value in found.items()))
