"""A run request as a Kubernetes Pod (facts: Kubernetes resource model)."""

from __future__ import annotations

import posixpath
import re
import shlex

from dynbuild import masking, units
from dynbuild.run import grammars, limits, ports
from dynbuild.run.export import common
from dynbuild.run.export.common import Node
from dynbuild.run.request import IMAGE_UID, RunRequest, is_root
from dynbuild.run.user import parse as parse_user
from dynbuild.run.user import read
from dynbuild.settings.mounts import Mount

_NAME, _UID, _GID = "dynamo", IMAGE_UID, 0
_KNOWN_IDS = {"root": 0, _NAME: _UID}
"""The user of the images is 1000, of group 0, which owns what it writes (facts: user model)."""

_SHM = "/dev/shm"  # noqa: S108 - where shared memory is, not a file of ours
_RESTART = {
    "": "Never",
    "no": "Never",
    "on-failure": "OnFailure",
    **dict.fromkeys(("always", "unless-stopped"), "Always"),
}
_LABEL_NAME = re.compile(
    r"(?:[a-z0-9](?:[a-z0-9.-]{0,250}[a-z0-9])?/)?[A-Za-z0-9](?:[\w.-]{0,61}[A-Za-z0-9])?", re.ASCII
)
_LABEL_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[\w.-]{0,61}[A-Za-z0-9])?)?", re.ASCII)
# What every version of the API takes as the name of a variable or the key of a Secret.
_VARIABLE = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")


def render(request: RunRequest, *, services: bool, gpu_type: str) -> str:
    """The Pod; NATS and etcd are sidecars that end with it.

    Raises:
        RequestError: The request has a value Docker would refuse.
    """
    notes: list[str] = []
    name = common.dns_name(request)
    resources = _limits(request, gpu_type, notes)
    volumes, volume_mounts = _volumes(request, notes)
    capabilities = ("IPC_LOCK",) if request.nixl_gds else ()
    added = [word.removeprefix("CAP_") for word in (*capabilities, *request.cap_add)]
    container = common.given(
        {
            "name": name,
            "image": request.image,
            **_words(request, notes),
            "workingDir": request.workdir,
            "env": _env(request, f"{name}-env", notes),
            "envFrom": _env_files(request, name, notes),
            "ports": _ports(request, name, notes),
            "resources": {"requests": resources, "limits": resources} if resources else {},
            "securityContext": common.given(
                {
                    "privileged": request.privileged,
                    "capabilities": {"add": tuple(dict.fromkeys(("SYS_PTRACE", *added)))},
                }
            )
            | _security(request, notes),
            "stdin": request.interactive,
            "tty": request.tty,
            "volumeMounts": volume_mounts,
        }
    )
    spec = common.given(
        {
            "restartPolicy": _RESTART[request.restart.partition(":")[0]],
            "hostNetwork": _is_host_network(request, notes),
            "hostIPC": _is_host_ipc(request, notes),
            "hostAliases": _hosts(request, notes),
            "securityContext": _user(request, notes),
            "initContainers": _sidecars() if services else (),
            "containers": (container,),
            "volumes": volumes,
            **{passed.pod: passed.value for passed in request.passed if passed.pod},
        }
    )
    notes += [*_left_out(request), *common.secret_notes(request)]
    metadata = common.given({"name": name, **_labels(request)})
    pod: Node = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    return common.header("k8s", notes) + common.yaml(pod)


def quantity(size: str) -> str:
    """Docker's ``64g`` as Kubernetes writes it, ``64Gi``; the same number of bytes exactly.

    Raises:
        RequestError: It is no size.
    """
    count = units.parse_size(size, base=units.BINARY)
    for power, name in reversed(tuple(enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1))):
        whole, rest = divmod(count, units.BINARY**power)
        if whole and not rest:
            return f"{whole}{name}"
    return str(count)


def _limits(request: RunRequest, gpu_type: str, notes: list[str]) -> dict[str, Node]:
    found: dict[str, Node] = {}
    if request.cpus:
        found["cpu"] = limits.parse_processors(request.cpus)
    if request.memory:
        found["memory"] = quantity(request.memory)
    if not found:
        notes.append("No bound of memory and processors: --memory and --cpus set one.")
    gpus = common.gpus(request)
    if gpus is None:
        return found
    every = gpus.cdi and any(name.endswith("=all") for name in gpus.devices)
    if gpus.devices and not every:
        notes.append(f"--gpus {request.gpus}: Kubernetes chooses which; the count is asked for.")
    elif gpus.count is None:
        said = f"--gpus {request.gpus}"
        notes.append(f"{said}: Kubernetes counts GPUs and has no 'all'; this asks for 1.")
    # Extended resources are text of a whole number, the same in requests and limits.
    found[gpu_type] = str(1 if every else len(gpus.devices) or gpus.count or 1)
    return found


def _words(request: RunRequest, notes: list[str]) -> dict[str, Node]:
    """``command`` takes the place of the image's entrypoint, ``args`` of its command."""
    words = [_literal(word) for word in request.command]
    if request.entrypoint is None:
        return {"args": words}
    if request.entrypoint:
        return {"command": [_literal(request.entrypoint)], "args": words}
    if not words:
        notes.append("--entrypoint '': Kubernetes cannot take the image's away without a command.")
    return {"command": words[:1], "args": words[1:]}


def _literal(text: str) -> str:
    """*text* that is not expanded: Kubernetes reads ``$(NAME)``, and ``$$`` as ``$``."""
    return text.replace("$", "$$")


def _env(request: RunRequest, secret: str, notes: list[str]) -> list[Node]:
    found: list[Node] = []
    asked = []
    variables = common.variables(request)
    # A cluster may choose a number that the image has no name for.
    for name in () if is_root(request.user or request.image_user) else ("USER", "LOGNAME"):
        variables.setdefault(name, _NAME)
    for name, value in variables.items():
        if not _VARIABLE.fullmatch(name):
            notes.append(f"-e {name}: Kubernetes takes no variable of this name.")
        elif value is not None:
            found.append({"name": name, "value": _literal(value)})
        elif masking.secret_name(name):
            reference = {"name": secret, "key": name}
            found.append({"name": name, "valueFrom": {"secretKeyRef": reference}})
            asked.append(name)
        else:
            notes.append(f"-e {name}: there is no caller whose value to take; give {name}=VALUE.")
    if asked:
        notes.append(f"The Secret {secret} must hold {', '.join(asked)}:")
        notes.append(f"  kubectl create secret generic {secret} --from-env-file=FILE")
    return found


def _env_files(request: RunRequest, name: str, notes: list[str]) -> list[Node]:
    found: list[Node] = []
    for number, file in enumerate(request.env_files):
        secret = f"{name}-file{number or ''}"
        found.append({"secretRef": {"name": secret}})
        notes.append(f"The Secret {secret} must hold the variables of --env-file:")
        notes.append(
            f"  kubectl create secret generic {secret} --from-env-file={shlex.quote(file)}"
        )
    return found


def _security(request: RunRequest, notes: list[str]) -> dict[str, Node]:
    found: dict[str, Node] = {}
    for text in request.security_opts:
        name, _, value = text.replace(":", "=", 1).partition("=")
        if name == "no-new-privileges":
            found["allowPrivilegeEscalation"] = value == "false"
        elif name in ("seccomp", "apparmor") and value == "unconfined":
            found[f"{name if name == 'seccomp' else 'appArmor'}Profile"] = {"type": "Unconfined"}
        else:
            notes.append(f"--security-opt {text}: left out; it is of the engine it is given to.")
    return found


def _hosts(request: RunRequest, notes: list[str]) -> list[Node]:
    found: dict[str, list[Node]] = {}
    for host in map(grammars.host, request.hosts):
        if host.address == grammars.GATEWAY:
            notes.append(f"--add-host {host.name}: left out; a Pod knows no {grammars.GATEWAY}.")
        else:
            found.setdefault(host.address, []).append(host.name)
    return [{"ip": address, "hostnames": hostnames} for address, hostnames in found.items()]


def _labels(request: RunRequest) -> dict[str, Node]:
    """Labels that are labels in Kubernetes, and annotations for the others."""
    found: dict[str, dict[str, Node]] = {"labels": {}, "annotations": {}}
    for text in request.labels:
        name, _, value = text.partition("=")
        if _LABEL_NAME.fullmatch(name):
            where = "labels" if _LABEL_VALUE.fullmatch(value) else "annotations"
            found[where][name] = value
    return dict(found)


def _ports(request: RunRequest, name: str, notes: list[str]) -> list[Node]:
    found: dict[tuple[int, str], Node] = {}
    for text in request.ports:
        port = ports.parse(text)
        protocol = port.protocol.upper()
        for number in port.container:
            found[number, protocol] = {"containerPort": number, "protocol": protocol}
    if found and request.network != "host":
        notes.append(f"-p: no port of the host; `kubectl port-forward pod/{name} HOST:CONTAINER`.")
    return list(found.values())


def _volumes(request: RunRequest, notes: list[str]) -> tuple[list[Node], list[Node]]:
    volumes: list[Node] = []
    places: list[Node] = []
    mounts = common.mounts(request)
    if not any(posixpath.normpath(mount.target) == _SHM for mount in mounts):
        memory = {"medium": "Memory", "sizeLimit": quantity(request.shm_size)}
        volumes.append({"name": "shm", "emptyDir": memory})
        places.append({"name": "shm", "mountPath": _SHM})
    sources: list[dict[str, Node]] = []
    by_source: dict[str, str] = {}
    for mount in mounts:
        source = _source(mount, notes)
        if not source:
            continue
        known = by_source.get(mount.source) if mount.source else None
        name = known or f"volume-{len(volumes)}"
        if not known:
            volumes.append({"name": name, **source})
            sources.append(source)
            by_source[mount.source] = name
        place: dict[str, Node] = {
            "name": name,
            "mountPath": mount.target,
            "readOnly": mount.read_only,
        }
        places.append(common.given(place))
        if left := [option for option in mount.options if option not in ("ro", "rw")]:
            notes.append(f"-v {mount.source}:{mount.target}: without {','.join(left)}.")
    if any("hostPath" in source for source in sources):
        notes.append("-v: a path is one of the node that runs the Pod.")
    return volumes, places


def _source(mount: Mount, notes: list[str]) -> dict[str, Node]:
    said = f"-v {mount.source}:{mount.target}"
    if mount.kind == "tmpfs":
        size = dict(field.partition("=")[::2] for field in mount.extra).get("tmpfs-size", "")
        memory = {"medium": "Memory", "sizeLimit": quantity(size) if size else ""}
        return {"emptyDir": common.given(memory)}
    if not mount.source:
        return {"emptyDir": {}}
    if not mount.is_path:
        claim = re.sub("[^a-z0-9]+", "-", mount.source.lower()).strip("-") or "volume"
        notes.append(f"{said}: the PersistentVolumeClaim {claim} must exist.")
        return {"persistentVolumeClaim": {"claimName": claim}}
    if not mount.source.startswith("/") or ".." in mount.source.split("/"):
        notes.append(f"{said}: left out; a path of the node is absolute and without '..'.")
        return {}
    return {"hostPath": {"path": mount.source}}


def _is_host_network(request: RunRequest, notes: list[str]) -> bool:
    if request.network not in ("host", "bridge", "default"):
        notes.append(f"--network {request.network}: a Pod has the cluster's network or the host's.")
    return request.network == "host"


def _is_host_ipc(request: RunRequest, notes: list[str]) -> bool:
    if request.ipc == "host":
        notes.append("--ipc host: hostIPC; /dev/shm is the Pod's own, of the size of --shm-size.")
    elif request.ipc != "private":
        notes.append(f"--ipc {request.ipc}: the containers of a Pod share theirs, Pods do not.")
    return request.ipc == "host"


def _user(request: RunRequest, notes: list[str]) -> dict[str, Node]:
    """Who runs inside: the same as in docker.

    Group 0 owns what Dynamo writes; fsGroup makes it one of the groups of any user.
    """
    groups = common.given({"supplementalGroups": _groups(request, notes)}) | {"fsGroup": _GID}
    text = request.user or request.image_user
    if text is None:
        notes.append("No user: the image's own; a cluster that refuses root may need --user.")
        return groups
    user = parse_user(text)
    uid, gid = _id(user.name, user.uid, _UID), _id(user.group, user.gid, _GID)
    for name, number in ((user.name, uid), (user.group, gid)):
        if number is None:
            notes.append(f"--user {text}: Kubernetes takes numbers, and not '{name}'.")
    ids = {
        "runAsUser": _UID if uid is None else uid,
        "runAsGroup": _GID if gid is None else gid,
    }
    return ids | groups


def _groups(request: RunRequest, notes: list[str]) -> tuple[int, ...]:
    """The groups added, but 0, which is there already."""
    numbers = {text: _id(text, read(text).uid, _GID) for text in request.groups}
    notes += [
        f"--group-add {text}: Kubernetes takes numbers, and not '{text}'."
        for text, number in numbers.items()
        if number is None
    ]
    return tuple(number for number in numbers.values() if number)


def _id(text: str, number: int | None, default: int) -> int | None:
    if not text:
        return default
    return _KNOWN_IDS.get(text) if number is None else number


def _sidecars() -> tuple[Node, ...]:
    """NATS and etcd beside the container, in its network; ``Always`` makes them sidecars.

    Kubernetes 1.29 and later starts such containers first and ends them last.
    """
    words = (
        "/usr/local/bin/etcd",
        # The image's own directory belongs to root.
        "--data-dir=/tmp/etcd",
        "--listen-client-urls=http://0.0.0.0:2379",
        "--advertise-client-urls=http://localhost:2379",
    )
    always: dict[str, Node] = {"restartPolicy": "Always"}
    return (
        {"name": "sidecar-nats", "image": common.NATS_IMAGE, **always, "args": common.NATS_COMMAND},
        {"name": "sidecar-etcd", "image": common.ETCD_IMAGE, **always, "command": words},
    )


def _left_out(request: RunRequest) -> list[str]:
    notes = [
        f"--ulimit {limit}: the node's container runtime sets it." for limit in request.ulimits
    ]
    runtime = request.gpu_runtime
    if runtime:
        notes.append(
            f"--runtime {runtime}: add runtimeClassName: {runtime} if the cluster has that class."
        )
    notes += [
        f"--device {device}: left out; a device plugin of the cluster hands devices out."
        for device in request.devices
    ]
    notes += common.left_out(request, ("tmpfs-size",), "a Pod has no key for it")
    notes += [
        f"--label {text.partition('=')[0]}: Kubernetes takes no such name."
        for text in request.labels
        if not _LABEL_NAME.fullmatch(text.partition("=")[0])
    ]
    if request.rm:
        notes.append("--rm: delete the Pod when it is done.")
    notes += [
        f"{passed.flag}: left out; a Pod has no key for it."
        for passed in request.passed
        if not passed.pod
    ]
    for flag, value in (
        ("--cpuset-cpus", request.cpuset_cpus),
        ("--cpuset-mems", request.cpuset_mems),
    ):
        if value:
            notes.append(f"{flag} {value}: the kubelet's CPU and memory managers place the Pod.")
    return notes
