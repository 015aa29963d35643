"""From a run request to the ``docker run`` command.  Pure.

The defaults and the order of the options are those of the launcher this replaces
(facts: run.sh command line), without its shell: every value is one argument, whatever
characters it holds.
"""

from __future__ import annotations

from dynbuild.run.request import RunRequest, is_root


def argv(request: RunRequest) -> tuple[str, ...]:
    """The command, word by word, starting with ``docker``."""
    return (
        "docker",
        "run",
        *_devices_and_terminal(request),
        f"--shm-size={request.shm_size}",
        *_each("--ulimit", request.ulimits),
        *_each("-e", request.all_env),
        *_each("-v", request.all_volumes),
        *_each("-p", request.ports),
        "-w",
        request.workdir,
        "--cap-add",
        "CAP_SYS_PTRACE",
        *(("--cap-add=IPC_LOCK",) if request.nixl_gds else ()),
        *_each("--cap-add", request.cap_add),
        "--ipc",
        request.ipc,
        *(("--privileged",) if request.privileged else ()),
        *_user(request),
        *_given("--memory", request.memory),
        *_given("--cpus", request.cpus),
        *_given("--cpuset-cpus", request.cpuset_cpus),
        *_given("--cpuset-mems", request.cpuset_mems),
        *(word for passed in request.passed for word in passed.words),
        *_given("--name", request.name),
        # An empty entrypoint is one: it takes the image's away.
        *(("--entrypoint", request.entrypoint) if request.entrypoint is not None else ()),
        request.image,
        *request.command,
    )


def _devices_and_terminal(request: RunRequest) -> tuple[str, ...]:
    return (
        *(("--gpus", request.gpus) if request.uses_gpus else ()),
        *(("-it",) if request.interactive else ("-i",) if request.stdin else ()),
        *(("--rm",) if request.rm else ()),
        "--network",
        request.network,
        *_given("--runtime", request.gpu_runtime),
    )


def _user(request: RunRequest) -> tuple[str, ...]:
    if request.user is None:
        return ()
    # Another user loses the image's supplementary groups; group 0 owns what it needs.
    group = () if is_root(request.user) else ("--group-add", "0")
    return ("--user", request.user, *group)


def _given(flag: str, value: str | None) -> tuple[str, ...]:
    return (flag, value) if value else ()


def _each(flag: str, values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(word for value in values for word in (flag, value))
