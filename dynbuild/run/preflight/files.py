"""Folders and files that are missing, cannot be written, or are too small."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from dynbuild.findings import Finding
from dynbuild.run.facts import DISK_CACHE, Host, HostMount, is_on, variables
from dynbuild.run.preflight.limit import bytes_of, memory_size
from dynbuild.run.request import RunRequest


def check_mounts(request: RunRequest, host: Host) -> Iterator[Finding]:
    """Mounts, and the Hugging Face cache: missing, or not to be written by the user inside."""
    for mount in host.mounts:
        if not mount.exists:
            yield Finding(
                "mount-missing",
                f"{mount.source} does not exist: "
                + ("docker makes it, empty and root's own" if mount.made else "docker refuses it"),
                f"mkdir -p {shlex.quote(mount.source)}, or correct the path",
            )
        elif mount.writable is False and not mount.read_only:
            yield Finding(
                "mount-unwritable",
                f"{host.user} cannot write to {mount.source}, mounted at {mount.target}",
                _allow(mount.source) + ("" if _is_workspace(request, mount) else "; or append :ro"),
            )
    for path in host.missing:
        yield Finding(
            "file-missing", f"{path} does not exist: docker refuses it", "correct the path"
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


def _is_workspace(request: RunRequest, mount: HostMount) -> bool:
    return mount.source == request.workspace and mount.target == "/workspace"


def _allow(path: str) -> str:
    # Every user of the images is in group 0, and --user goes before chown (facts: user model).
    word = shlex.quote(path)
    return f"a --user that may; or let group 0: chgrp 0 {word} && chmod g+rwx {word}"


def check_disk(request: RunRequest, host: Host) -> Iterator[Finding]:
    """KVBM's disk cache: a file system that does not fit it, or too little space."""
    folder = host.disk_cache
    if folder is None:
        return
    inside = variables(request, host.passed)
    switched_off = is_on(inside.get("DYN_KVBM_DISK_DISABLE_O_DIRECT"))
    if host.disk_direct is False and not switched_off:
        yield Finding(
            "disk-direct",
            f"the file system under KVBM's disk cache, {folder}, takes no O_DIRECT",
            f"-e {DISK_CACHE}=FOLDER on another one; or -e DYN_KVBM_DISK_DISABLE_O_DIRECT=true",
        )
    wanted = bytes_of(f"{inside.get('DYN_KVBM_DISK_CACHE_GB', '')}g")
    if wanted is not None and host.disk_free is not None and wanted > host.disk_free:
        yield Finding(
            "disk-space",
            f"KVBM's disk cache wants {memory_size(wanted)}, and {folder} has"
            f" {memory_size(host.disk_free)} free",
            f"a smaller DYN_KVBM_DISK_CACHE_GB; or -e {DISK_CACHE}=FOLDER on another one",
        )
