"""Memory, limits and programs that the machine or its engine does not have."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from dynbuild import units
from dynbuild.errors import RequestError
from dynbuild.findings import Finding
from dynbuild.run import limits
from dynbuild.run.facts import Host
from dynbuild.run.request import DEFAULT_ULIMITS, RunRequest

memory_size = functools.partial(units.format_size, base=units.BINARY)
"""A size of memory to read, such as ``7.8 GiB``."""


def check_memory(request: RunRequest, host: Host) -> Iterator[Finding]:
    """Shared memory that is more than there is."""
    wanted = bytes_of(request.shm_size)
    if wanted is None:
        return
    if request.ipc == "host":
        if host.shm_size is not None and host.shm_size < wanted:
            yield Finding(
                "shm-ipc",
                f"--shm-size {request.shm_size} has no effect with --ipc host: the host's"
                f" /dev/shm counts, and has {memory_size(host.shm_size)}",
                f"mount -o remount,size={request.shm_size} /dev/shm on the host; or --ipc private",
            )
        return
    if request.ipc.startswith("container:"):
        return
    if host.memory is not None and wanted > host.memory:
        yield Finding(
            "shm-memory",
            f"--shm-size {request.shm_size} is more than the host's memory,"
            f" {memory_size(host.memory)}",
            "a smaller --shm-size",
        )
    bound = bytes_of(request.memory)
    if bound is not None and wanted > bound:
        yield Finding(
            "shm-memory",
            f"--shm-size {request.shm_size} is more than --memory {request.memory},"
            " which shared memory counts against",
            "a smaller --shm-size, or a larger --memory",
        )


def bytes_of(text: str) -> int | None:
    """Bytes in a size of docker's; ``None`` where it is none, which others refuse."""
    try:
        return units.parse_size(text, base=units.BINARY)
    except RequestError:
        return None


def check_init(request: RunRequest, host: Host) -> Iterator[Finding]:
    """The program that ``--init`` starts, which comes with the engine or does not."""
    asked = any(passed.flag == "--init" and passed.value for passed in request.passed)
    if asked and host.init is False:
        yield Finding(
            "init",
            "the engine has no docker-init, which --init starts",
            "install tini beside it; or leave --init out",
        )


def check_ulimits(request: RunRequest, host: Host) -> Iterator[Finding]:
    """Limits that the engine may not grant; a note where nobody asked for them."""
    for text in request.ulimits:
        for sentence in limits.fit((text,), host.hard_limits)[1]:
            yield Finding(
                "ulimit",
                sentence,
                "raise the engine's own limit (LimitMEMLOCK, LimitNOFILE, … of its service)",
                note=text in DEFAULT_ULIMITS,
            )
