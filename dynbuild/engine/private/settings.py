"""The files that the programs of one private engine read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from dynbuild.engine.private.layout import Layout

_REGISTRY_KEYS = ("auths", "credHelpers", "credsStore", "proxies")
_ROOM = {"reservedSpace": "20GB", "maxUsedSpace": "80GB", "minFreeSpace": "5GB"}
"""How much of the disk the build cache may take."""
_SOON = {"reservedSpace": "2GB", "maxUsedSpace": "2GB"}
_CACHE = (
    # What is read again in no time goes after two days.  BuildKit's own rule for that is for cache
    # mounts too, in which package managers and compilers keep what takes an hour to have again.
    {"filter": ["type=source.local", "unused-for=48h"], **_SOON, "keepStorage": "2GB"},
    {"filter": ["type=source.git.checkout", "unused-for=48h"], **_SOON, "keepStorage": "2GB"},
    # The rest, cache mounts among it, in the order of its last use, where room is wanted.
    {"filter": ["unused-for=1440h"], **_ROOM, "keepStorage": "80GB"},
    {**_ROOM, "keepStorage": "80GB"},
    {"all": True, **_ROOM, "keepStorage": "80GB"},
)
"""The order in which the build cache goes; ``keepStorage`` is for engines before 28."""


def write_dockerd_settings(layout: Layout, *, alone: bool) -> None:
    """The file of dockerd; *alone*: no other engine uses this machine's network."""
    settings: dict[str, Any] = {
        "hosts": [f"unix://{layout.socket}"],
        "containerd": str(layout.containerd_socket),
        "data-root": str(layout.data),
        "exec-root": str(layout.run / "exec"),
        "pidfile": str(layout.pid_file),
        "features": {"containerd-snapshotter": True},
        # By default BuildKit keeps a fifth of the disk free; on a disk that is fuller than
        # that, it throws away what it built a minute ago.
        "builder": {"gc": {"enabled": True, "policy": _CACHE}},
        # Never the default: that is the bridge of a system engine, now or later.  Nor
        # "none": an engine without a bridge deletes docker0, whoever made it.  The engine
        # itself gives this one a subnet that nobody uses.
        "bridge": layout.bridge,
    }
    if not alone:
        settings |= {"iptables": False, "ip6tables": False, "ip-forward": False}
    layout.dockerd_file.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def write_containerd_settings(layout: Layout) -> None:
    """The file of containerd."""
    # Kubernetes' and NRI's plugins would listen in places that other engines use too.
    layout.containerd_file.write_text(
        f"""\
version = 2
root = "{layout.data}/containerd"
state = "{layout.run}/containerd"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.nri.v1.nri"]

[grpc]
  address = "{layout.containerd_socket}"

[plugins."io.containerd.internal.v1.opt"]
  path = "{layout.root}/opt"
""",
        encoding="utf-8",
    )


def write_client_settings(layout: Layout, env: Mapping[str, str]) -> None:
    """The client's directory: the buildx plugin, and the registry logins of the user."""
    layout.plugin.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    layout.plugin.unlink(missing_ok=True)
    layout.plugin.symlink_to(layout.program("docker-buildx"))
    chosen = Path(env.get("DOCKER_CONFIG") or Path(env.get("HOME") or Path.home(), ".docker"))
    if chosen.resolve() == layout.config:
        return
    users: object = None
    with suppress(OSError, ValueError, RecursionError):
        users = json.loads((chosen / "config.json").read_text(encoding="utf-8"))
    users = users if isinstance(users, dict) else {}
    kept = {key: users[key] for key in _REGISTRY_KEYS if key in users}
    file = layout.config / "config.json"
    file.touch(mode=0o600)
    file.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
