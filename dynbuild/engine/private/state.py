"""What one private engine says of itself, and what was saved when it last started."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dynbuild import proc
from dynbuild.engine import api
from dynbuild.engine.model import Engine
from dynbuild.engine.private.layout import Layout, bytes_on_disk, layout_of
from dynbuild.engine.private.network import Trouble, rules, trouble
from dynbuild.engine.private.processes import processes_of, program_name
from dynbuild.errors import NotReady

_UP = "run `dynbuild engine up`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What there is of the private engine.

    Attributes:
        running: Whether it answers and all of its programs live.
        trouble: What is wrong with it: a program that has ended, a network that is cut off;
            ``None`` where nothing is, also where it is down.
        pid: Process id of dockerd, while that runs.
        host: Address of its socket, while it answers.
        version: Version of the engine, while it answers.
        buildx: Version of its buildx, while it answers.
        network: What builds and runs can use, while it answers; see ``Engine.network``.
        data_bytes: Space that images, containers and build cache take on disk.
        uptime: Seconds since dockerd started, while it runs.
        home: The directory of dynbuild.
    """

    running: bool
    trouble: str | None
    pid: int | None
    host: str | None
    version: str | None
    buildx: str | None
    network: Literal["bridge", "host"] | None
    data_bytes: int
    uptime: float | None
    home: Path


def host(env: Mapping[str, str]) -> str | None:
    """The address of the private engine, if one was started and not taken down since."""
    address = _saved(layout_of(env)).get("host")
    return address if isinstance(address, str) else None


def running(env: Mapping[str, str]) -> Engine:
    """The private engine.

    Raises:
        NotReady: It does not run, or only a part of it does, or it does not answer.
    """
    layout = layout_of(env)
    engine = _answering(layout)
    if engine is None:
        raise NotReady("the private engine does not run", hint=_UP)
    if not _listens(layout.containerd_socket):
        raise NotReady("the private engine is broken: its containerd has ended", hint=_UP)
    return engine


def network_trouble(engine: Engine, env: Mapping[str, str]) -> Trouble | None:
    """What is wrong with the network of *engine*, as far as that is ours to know.

    Args:
        engine: Any engine; only of the private one, with a network of its own, is it known.
        env: The environment of the user.
    """
    if engine.kind != "private" or engine.network != "bridge":
        return None
    layout = layout_of(env)
    return trouble(layout, saved_rules(layout))


def status(env: Mapping[str, str]) -> Status:
    """What there is of the private engine; works whether it runs or not."""
    layout = layout_of(env)
    import psutil

    programs = {program_name(process.pid): process for process in processes_of(layout)}
    dockerd = programs.get("dockerd")
    engine = started = None
    wrong = _ended(programs)
    if dockerd is not None and "containerd" in programs:
        try:
            engine = _answering(layout)
        except NotReady as error:
            wrong = error.message
    if dockerd is not None:
        with suppress(psutil.NoSuchProcess):
            started = dockerd.create_time()
    if engine is not None and (cut := network_trouble(engine, env)):
        wrong = cut.message
    return Status(
        running=engine is not None,
        trouble=wrong,
        pid=dockerd.pid if dockerd else None,
        host=engine.host if engine else None,
        version=engine.version if engine else None,
        buildx=engine.buildx if engine else None,
        network=engine.network if engine else None,
        data_bytes=bytes_on_disk(layout.data),
        uptime=None if started is None else time.time() - started,
        home=layout.root.parent,
    )


def _ended(programs: Collection[str]) -> str | None:
    """Which of the two servers has ended while something else of the engine still runs."""
    gone = [name for name in ("dockerd", "containerd") if name not in programs]
    if not programs or not gone:
        return None
    rest = " and ".join(name for name in ("dockerd", "containerd") if name in programs)
    return f"{' and '.join(gone)} has ended; {rest or 'a container'} still runs"


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(api.ANSWER_SECONDS)
        try:
            link.connect(str(path))
        except OSError:
            return False
    return True


def query_version(layout: Layout) -> dict[str, Any] | None:
    """What the engine says of itself; ``None`` when nobody listens.

    Raises:
        NotReady: Somebody listens and says nothing sensible in time.
    """
    try:
        _, answer = api.get(f"unix://{layout.socket}", "/version")
    except TimeoutError as error:
        raise NotReady(
            f"the private engine does not answer within {api.ANSWER_SECONDS:g} s",
            hint="run `dynbuild engine down`, then `dynbuild engine up`",
        ) from error
    except (OSError, ValueError):
        return None
    return answer if isinstance(answer, dict) else None


def save(layout: Layout, env: Mapping[str, str]) -> None:
    """Write down what ``running`` needs to know, once the engine answers.

    The rules of its network are saved once, when it has just started: later they may be gone.
    """
    client = _engine(layout, {}, {}).env(env)
    version = proc.run((layout.program("docker"), "buildx", "version"), env=client).stdout
    settings = json.loads(layout.dockerd_file.read_text(encoding="utf-8"))
    saved = {
        "host": f"unix://{layout.socket}",
        "buildx": version.split()[1].removeprefix("v"),
        "network": "bridge" if settings.get("iptables", True) else "host",
        "rules": saved_rules(layout) or rules(layout),
    }
    draft = layout.state.with_suffix(".new")
    draft.write_text(json.dumps(saved, indent=2) + "\n", encoding="utf-8")
    draft.replace(layout.state)


def saved_rules(layout: Layout) -> tuple[str, ...]:
    """The rules of its network when it started; none where it has no network of its own."""
    found = _saved(layout).get("rules")
    return tuple(map(str, found)) if isinstance(found, list) else ()


def _saved(layout: Layout) -> dict[str, Any]:
    try:
        value = json.loads(layout.state.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _answering(layout: Layout) -> Engine | None:
    saved = _saved(layout)
    answer = query_version(layout) if saved else None
    return None if answer is None else _engine(layout, answer, saved)


def _engine(layout: Layout, answer: Mapping[str, Any], saved: Mapping[str, Any]) -> Engine:
    return Engine(
        kind="private",
        docker=layout.program("docker"),
        host=f"unix://{layout.socket}",
        config=layout.config,
        version=str(answer.get("Version", "")),
        buildx=str(saved.get("buildx", "")),
        containerd_store=True,
        network="host" if saved.get("network") == "host" else "bridge",
        plugin=str(layout.plugin) if layout.plugin.is_file() else "",
    )
