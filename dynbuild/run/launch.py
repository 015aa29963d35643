"""From a run request to the ``docker run`` command.  Pure.

The defaults and the order of the options are those of the launcher this replaces
(facts: run.sh command line), without its shell: every value is one argument, whatever
characters it holds.
"""

from __future__ import annotations

from dynbuild.run.request import RunRequest

Words = tuple[str, ...]
"""One option with its value."""


def argv(request: RunRequest) -> tuple[str, ...]:
    """The command, word by word, starting with ``docker``."""
    words = (word for option in options(request) for word in option)
    return ("docker", "run", *words, request.image, *request.command)


def options(request: RunRequest) -> tuple[Words, ...]:
    """What stands between ``docker run`` and the image, option by option."""
    return (
        *_devices_and_terminal(request),
        (f"--shm-size={request.shm_size}",),
        *_each("--ulimit", request.ulimits),
        *_each("--env-file", request.env_files),
        *_each("-e", request.all_env),
        *(mount.words for mount in request.mounts),
        *_each("-p", request.ports),
        *_each("--add-host", request.hosts),
        ("-w", request.workdir),
        ("--cap-add", "CAP_SYS_PTRACE"),
        *((("--cap-add=IPC_LOCK",),) if request.nixl_gds else ()),
        *_each("--cap-add", request.cap_add),
        *_each("--security-opt", request.security_opts),
        ("--ipc", request.ipc),
        *((("--privileged",),) if request.privileged else ()),
        *_given("--user", request.user),
        *_each("--group-add", request.all_groups),
        *_given("--memory", request.memory),
        *_given("--cpus", request.cpus),
        *_given("--cpuset-cpus", request.cpuset_cpus),
        *_given("--cpuset-mems", request.cpuset_mems),
        *((word,) for passed in request.passed for word in passed.words),
        *_each("--label", request.labels),
        *_given("--name", request.name),
        # An empty entrypoint is one: it takes the image's away.
        *((("--entrypoint", request.entrypoint),) if request.entrypoint is not None else ()),
        *((word,) for word in request.docker_args),
    )


def _devices_and_terminal(request: RunRequest) -> tuple[Words, ...]:
    terminal = f"-{'i' * request.interactive}{'t' * request.tty}"
    return (
        *_given("--gpus", request.docker_gpus),
        *_each("--device", request.all_devices),
        *(((terminal,),) if terminal != "-" else ()),
        *((("-d",),) if request.detach else ()),
        *((("--rm",),) if request.rm else ()),
        *_given("--restart", request.restart),
        ("--network", request.network),
        *_given("--runtime", request.gpu_runtime),
    )


def _given(flag: str, value: str | None) -> tuple[Words, ...]:
    return ((flag, value),) if value else ()


def _each(flag: str, values: tuple[str, ...]) -> tuple[Words, ...]:
    return tuple((flag, value) for value in values)
