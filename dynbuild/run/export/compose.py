"""A run request as a Docker Compose file (https://github.com/compose-spec/compose-spec)."""

from __future__ import annotations

from collections.abc import Mapping

from dynbuild.errors import RequestError
from dynbuild.run import grammars, limits, ports
from dynbuild.run.export import common
from dynbuild.run.export.common import Node
from dynbuild.run.gpus import Gpus
from dynbuild.run.request import RunRequest
from dynbuild.settings import mounts
from dynbuild.settings.mounts import Mount

_MODES = ("host", "none", "bridge")
_INFRASTRUCTURE = ("nats", "etcd")
# The variables by which Dynamo's runtime finds the two; on one host its defaults do.
_WHERE = {"NATS_SERVER": "nats://nats:4222", "ETCD_ENDPOINTS": "http://etcd:2379"}


def render(request: RunRequest, *, services: bool) -> str:
    """The file: one service, and NATS and etcd before it where *services* asks for them.

    Raises:
        RequestError: The request has a value Docker would refuse, or asks for services on
            no network.
    """
    name = common.dns_name(request)
    if services and request.network == "none":
        raise RequestError(
            "on the network none the container reaches neither NATS nor etcd",
            hint="--network host, or bridge",
        )
    if services and name in _INFRASTRUCTURE:
        name = f"{name}-main"
    network = _network(request, services=services)
    main = _service(request, network, services=services)
    named = [mount.source for mount in common.mounts(request) if mount.source and not mount.is_path]
    file = common.given(
        {
            "services": {name: main, **(_services(request, network) if services else {})},
            "networks": _outer(request),
            "volumes": {volume: {"name": volume} for volume in named},
        }
    )
    notes = _notes(request, name, services=services)
    return common.header("compose", notes) + common.yaml(_escaped(file))


def _service(request: RunRequest, network: Mapping[str, Node], *, services: bool) -> Node:
    variables = common.variables(request)
    if services and not _shares(request):
        variables = {**_WHERE, **variables}
    entries = [name if value is None else f"{name}={value}" for name, value in variables.items()]
    gpus = common.gpus(request)
    capabilities = ("IPC_LOCK",) if request.nixl_gds else ()
    return common.given({"image": request.image, "container_name": request.name}) | {
        # An empty list takes the image's entrypoint away; no key keeps it.
        **(
            {"entrypoint": [request.entrypoint] if request.entrypoint else []}
            if request.entrypoint is not None
            else {}
        ),
        **common.given(
            {
                "command": request.command,
                "depends_on": _INFRASTRUCTURE if services else (),
                "env_file": request.env_files,
                "environment": entries,
                "labels": request.labels,
                "volumes": [_volume(mount) for mount in common.mounts(request)],
                "ports": _ports(request),
                "working_dir": request.workdir,
                "user": request.user,
                "group_add": request.all_groups,
                "stdin_open": request.interactive,
                "tty": request.tty,
                "restart": request.restart,
                "extra_hosts": _hosts(request),
                **network,
                "ipc": request.ipc,
                "shm_size": request.shm_size,
                "ulimits": dict(_ulimit(limit) for limit in request.ulimits),
                "cap_add": tuple(
                    dict.fromkeys(("CAP_SYS_PTRACE", *capabilities, *request.cap_add))
                ),
                "security_opt": request.security_opts,
                "privileged": request.privileged,
                "devices": request.all_devices,
                "mem_limit": request.memory,
                "cpus": request.cpus,
                "cpuset": request.cpuset_cpus,
                "runtime": request.gpu_runtime,
                "deploy": _deploy(gpus) if gpus and not gpus.cdi else {},
                **{passed.compose: passed.value for passed in request.passed if passed.compose},
            }
        ),
    }


def _services(request: RunRequest, network: Mapping[str, Node]) -> dict[str, Node]:
    host = "localhost" if _shares(request) else "etcd"
    etcd = (
        "/usr/local/bin/etcd",
        "--listen-client-urls=http://0.0.0.0:2379",
        f"--advertise-client-urls=http://{host}:2379",
    )
    return {
        "nats": {"image": common.NATS_IMAGE, "command": common.NATS_COMMAND, **network},
        "etcd": {"image": common.ETCD_IMAGE, "command": etcd, **network},
    }


def _shares(request: RunRequest) -> bool:
    """Whether all services have one network namespace, so that localhost reaches each."""
    return request.network == "host" or request.network.startswith("container:")


def _network(request: RunRequest, *, services: bool) -> dict[str, Node]:
    if request.network in ("bridge", "default"):
        # On Docker's own bridge services do not find each other by name.
        return {} if services else {"network_mode": "bridge"}
    if request.network in _MODES or request.network.startswith("container:"):
        return {"network_mode": request.network}
    return {"networks": ("outer",)}


def _outer(request: RunRequest) -> dict[str, Node]:
    if "networks" not in _network(request, services=False):
        return {}
    return {"outer": {"name": request.network, "external": True}}


def _volume(mount: Mount) -> Node:
    """The long form: the short one reads ``~`` and relative paths in its own way."""
    bind: dict[str, Node] = {
        "selinux": mount.option_of(mounts.SELINUX),
        "propagation": mount.option_of(mounts.PROPAGATION),
    }
    # Docker makes the source of -v, and refuses a --mount without one.
    made: dict[str, Node] = {"create_host_path": not mount.long}
    said = dict(field.partition("=")[::2] for field in mount.extra)
    mode = said.get("tmpfs-mode", "")
    tmpfs: dict[str, Node] = {"size": said.get("tmpfs-size", ""), "mode": int(mode or "0", 8)}
    return common.given(
        {
            "type": mount.kind,
            "source": mount.source,
            "target": mount.target,
            "read_only": mount.read_only,
            "consistency": mount.option_of(mounts.CONSISTENCY),
            "bind": made | common.given(bind) if mount.is_path else {},
            "volume": {"nocopy": True} if "nocopy" in mount.options else {},
            "tmpfs": common.given(tmpfs),
        }
    )


def _hosts(request: RunRequest) -> tuple[str, ...]:
    return tuple(f"{host.name}={host.address}" for host in map(grammars.host, request.hosts))


def _ulimit(text: str) -> tuple[str, Node]:
    limit = limits.parse_ulimit(text)
    hard = limit.hard
    return limit.name, limit.soft if hard is None else {"soft": limit.soft, "hard": hard}


def _ports(request: RunRequest) -> tuple[str, ...]:
    """The ports as they are written, which Compose reads as docker does."""
    for text in request.ports:
        ports.parse(text)
    return tuple(dict.fromkeys(request.ports))


def _deploy(gpus: Gpus) -> Node:
    device: dict[str, Node] = dict(common.given({"driver": gpus.driver}))
    if gpus.devices:
        device["device_ids"] = gpus.devices
    else:
        device["count"] = "all" if gpus.count is None else gpus.count
    device["capabilities"] = gpus.capabilities
    device.update(common.given({"options": gpus.options}))
    return {"resources": {"reservations": {"devices": [device]}}}


def _notes(request: RunRequest, name: str, *, services: bool) -> list[str]:
    notes = []
    if request.rm:
        notes.append(f"--rm: `docker compose run --rm {name}`, or `docker compose down` after up.")
    if request.interactive:
        flag = "-it" if request.tty else "-i"
        notes.append(f"{flag}: input comes with `docker compose run {name}`, not with up.")
    if request.detach:
        notes.append("-d: `docker compose up -d`.")
    if request.env_files:
        notes.append("--env-file: Compose reads quotes and $ in it, and docker run does not.")
    notes += common.left_out(request, ("tmpfs-size", "tmpfs-mode"), "Compose has no key for it")
    if request.cpuset_mems:
        notes.append(f"--cpuset-mems {request.cpuset_mems}: Compose has no key for it.")
    notes += [
        f"{passed.flag}: Compose has no key for it."
        for passed in request.passed
        if not passed.compose
    ]
    if services and request.network in ("bridge", "default"):
        notes.append("--network bridge: a bridge of this file, where services have names.")
    if services:
        notes.append("NATS and etcd keep their data as long as their containers exist.")
    return [*notes, *common.secret_notes(request)]


def _escaped(node: Node) -> Node:
    """*node* with ``$`` doubled in its texts, as Compose replaces variables in them."""
    if isinstance(node, str):
        return node.replace("$", "$$")
    if isinstance(node, int):
        return node
    if isinstance(node, Mapping):
        return {key: _escaped(value) for key, value in node.items()}
    return [_escaped(value) for value in node]
