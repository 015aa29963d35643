"""The private engine, started for real: its life, its network, what a crash leaves."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from dynbuild import paths, proc
from dynbuild.engine import packages, private
from dynbuild.engine.client import find
from dynbuild.engine.private import network
from dynbuild.engine.private.layout import layout_of
from dynbuild.errors import NotReady

pytestmark = pytest.mark.engine

REPO = Path(__file__).parents[2]


def silent(_line):
    pass


@pytest.fixture(scope="session")
def unpacked(engine, tmp_path_factory):
    """The packages of an engine: those of the private one that the run uses, else new ones."""
    packages.ensure_programs(("runc", "iptables"), os.environ, silent)
    if engine.kind == "private":
        return paths.home(os.environ) / "engine/packages"
    work = tmp_path_factory.mktemp("packages")
    packages.ensure_engine(work / "root", work / "download", dict(os.environ), silent)
    return work / "root"


def link_or_copy(source, target):
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


@pytest.fixture
def place(tmp_path, unpacked, monkeypatch):
    """The environment of an engine of this test's own, which is ended whatever happens."""
    # Tests leave the machine's network alone, and each other's.
    monkeypatch.setattr(network, "has_neighbour", lambda _place: True)
    # Short enough for a socket, whatever the directory of the tests is.
    with tempfile.TemporaryDirectory(prefix="dynbuild-") as home:
        shutil.copytree(
            unpacked, Path(home, "engine/packages"), symlinks=True, copy_function=link_or_copy
        )
        env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "DYNBUILD_HOME": home}
        yield env
        private.down(env)
        assert remains(home) == []
        assert layout_of(env).bridge not in interfaces()


def interfaces():
    return [name for _, name in socket.if_nameindex()]


def remains(home):
    """Processes and mounts that have to do with *home*, found without the code under test."""
    needle = f"{home}/"
    found = [
        line for line in Path("/proc/self/mountinfo").read_text().splitlines() if needle in line
    ]
    for folder in Path("/proc").glob("[0-9]*"):
        if int(folder.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            command = (folder / "cmdline").read_bytes().decode(errors="replace")
            if needle in command or needle in (folder / "mountinfo").read_text():
                found.append(f"{folder.name} {command}")
    return found


def docker(env, *argv):
    engine = find(env)
    return proc.run((engine.docker, *argv), env=engine.env(env)).stdout.strip()


def pids(home, name):
    own = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.name().startswith(name) and any(str(home) in a for a in process.cmdline()):
                own.append(process.pid)
    return own


def kill(home, name):
    """End the programs of that name; on a busy machine it takes a moment until they are gone."""
    processes = [psutil.Process(pid) for pid in pids(home, name)]
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    assert not psutil.wait_procs(processes, timeout=30)[1]


def sleeping_container(env, tmp_path, network="host"):
    """A container that sleeps, from an image made of this machine's own files."""
    tar = tmp_path / "sleep.tar"
    libraries = [
        word
        for line in subprocess.check_output(("ldd", "/bin/sleep"), text=True).splitlines()
        for word in line.split()
        if word.startswith("/")
    ]
    with tarfile.open(tar, "w") as archive:
        for path in ("/bin/sleep", *libraries):
            archive.add(Path(path).resolve(), arcname=path)
    docker(env, "import", str(tar), "sleep")
    options = ("-d", "--name=it", f"--network={network}", "--stop-signal=KILL")
    docker(env, "run", *options, "sleep", "/bin/sleep", "3600")


def test_a_life(place, tmp_path):
    home = paths.home(place)
    lines = []
    assert not private.status(place).running
    assert private.down(place) is False

    first = private.up(place, lines.append)
    assert first.kind == "private"
    assert any("host's network" in line for line in lines)
    before = private.status(place)
    assert before.running
    assert before.host == first.host
    assert (before.version, before.buildx) == (first.version, first.buildx)
    assert before.data_bytes > 0
    assert (before.network, first.network) == ("host", "host")
    assert layout_of(place).bridge in interfaces()

    assert private.up(place, silent) == first
    assert private.status(place).pid == before.pid

    alone = place | {"PATH": "/usr/bin:/bin"}
    assert find(alone | {"DOCKER_HOST": str(first.host)}) == first
    assert "io.containerd.snapshotter.v1" in docker(
        alone | {"DOCKER_HOST": str(first.host)}, "info"
    )

    sleeping_container(alone | {"DOCKER_HOST": str(first.host)}, tmp_path)
    assert remains(home)
    # The image of the container stays, whatever is asked for.
    docker(place, "tag", "sleep", "other")
    docker(place, "import", str(tmp_path / "sleep.tar"), "unused")
    old = private.Selection(older=timedelta(days=1))
    assert private.unused(place, old) == []
    assert [one.name for one in private.unused(place, private.Selection())] == ["unused:latest"]
    private.prune(place, old)
    private.prune(place, private.Selection(images=False))
    assert "unused" in docker(place, "image", "ls")
    assert private.prune(place, private.Selection()) > 0
    assert "unused" not in docker(place, "image", "ls")
    assert "sleep" in docker(place, "image", "ls")
    with pytest.raises(NotReady, match="in use"):
        private.remove(place)

    assert private.down(place) is True
    assert remains(home) == []
    assert private.down(place) is False
    with pytest.raises(NotReady, match="does not run"):
        private.running(place)
    with pytest.raises(NotReady, match="does not run"):
        private.prune(place, private.Selection())
    assert private.remove(place) > 0
    assert [entry.name for entry in (home / "engine").iterdir()] == ["lock"]


def test_recovery_from_a_crash(place, tmp_path):
    home = paths.home(place)
    engine = private.up(place, silent)
    sleeping_container(place | {"DOCKER_HOST": str(engine.host)}, tmp_path)
    kill(home, "dockerd")
    kill(home, "containerd")  # containerd-shim begins with that too
    assert remains(home), "the container and the mounts are left behind"
    assert Path(str(engine.host).removeprefix("unix://")).exists()
    found = private.status(place)
    assert (found.running, found.pid) == (False, None)
    assert "a container still runs" in str(found.trouble)

    # The pid file now names a live process that has nothing to do with the engine.
    stranger = subprocess.Popen(("sleep", "3600"))
    try:
        (home / "engine/dockerd.pid").write_text(str(stranger.pid))
        assert private.up(place, silent).version == engine.version
        assert private.status(place).pid != stranger.pid
        assert private.down(place)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_an_engine_whose_containerd_has_ended_is_broken(place):
    pid = private.up(place, silent) and private.status(place).pid
    kill(paths.home(place), "containerd")
    found = private.status(place)
    assert (found.running, found.pid) == (False, pid)
    assert "containerd has ended" in str(found.trouble)
    with pytest.raises(NotReady, match="containerd has ended") as caught:
        find(place)
    assert "engine up" in str(caught.value.hint)
    private.up(place, silent)
    assert private.status(place).trouble is None


def test_a_stale_pid_and_a_stale_socket(place):
    root = paths.home(place) / "engine"
    gone = subprocess.Popen(("true",))
    gone.wait()
    (root / "dockerd.pid").write_text(str(gone.pid))
    (root / "state.json").write_text(json.dumps({"host": "unix:///nowhere", "buildx": "0"}))
    (root / "run").mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(root / "run/docker.sock"))
    assert private.up(place, silent).host == f"unix://{root}/run/docker.sock"


def test_a_lost_state_file_is_written_again(place):
    engine = private.up(place, silent)
    pid = private.status(place).pid
    (paths.home(place) / "engine/state.json").write_text("{")
    assert private.host(place) is None
    assert private.up(place, silent) == engine
    assert private.status(place).pid == pid


def test_many_at_once_start_one(place):
    found, lines = [], []
    threads = [
        threading.Thread(target=lambda: found.append(private.up(place, lines.append)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1
    assert lines.count("starting the private engine") == 1
    assert len(pids(paths.home(place), "dockerd")) == 1


def test_a_second_engine_leaves_the_first_alone(place, tmp_path):
    first = private.up(place, silent)
    other = place | {"DYNBUILD_HOME": str(tmp_path / ("long" * 30))}
    shutil.copytree(
        paths.home(place) / "engine/packages",
        paths.home(other) / "engine/packages",
        symlinks=True,
        copy_function=link_or_copy,
    )
    try:
        second = private.up(other, silent)
        assert len(str(second.host).removeprefix("unix://")) < 108
        assert not str(second.host).startswith(f"unix://{paths.home(other)}")
        run = Path(str(second.host).removeprefix("unix://")).parent
        assert run.stat().st_mode & 0o777 == 0o700
        assert {layout_of(env).bridge for env in (place, other)} <= set(interfaces())

        # Seen from the second, the first is an engine of the system like any other.
        client = first.env(place) | {"DYNBUILD_HOME": other["DYNBUILD_HOME"]}
        seen = find(client)
        assert (seen.kind, seen.version, seen.containerd_store) == ("system", first.version, True)
    finally:
        assert private.down(other)
    assert not run.exists()
    assert remains(paths.home(other)) == []
    assert layout_of(other).bridge not in interfaces()
    assert private.running(place) == first
    assert layout_of(place).bridge in interfaces()


# --- the network


@pytest.fixture
def inside(place):
    """Runs a command in a network of the test's own; the result is what it prints."""
    with subprocess.Popen(
        ("unshare", "--net", "sh", "-c", "echo; exec cat"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout
        assert holder.stdout.readline(), "the network is there only now"
        enter = ("nsenter", f"--net=/proc/{holder.pid}/ns/net")

        def run(*argv):
            return proc.run((*enter, *argv), env=place).stdout

        run.enter = enter
        yield run
        private.down(place)
        assert holder.stdin
        holder.stdin.close()


def in_python(statement):
    """A command that carries out *statement*, as another process of the user would."""
    head = "import os, sys, socket; from dynbuild.engine import private"
    head += "; from dynbuild.engine.client import find"
    code = f"{head}; sys.path.insert(0, {str(REPO)!r}); {statement}"
    return (sys.executable, "-c", code)


UP = in_python("print(private.up(os.environ, print).network)")
DOWN = in_python("print(private.down(os.environ))")


def network_state(inside, *, but=""):
    """Interfaces with their numbers, routes, rules and switches; without those about *but*."""
    filters = [inside(name) for name in ("iptables-save", "ip6tables-save")]
    rest = inside("cat", "/proc/net/route", "/proc/sys/net/ipv4/ip_forward")
    links = inside(*in_python("print(*socket.if_nameindex(), sep=chr(10))"))
    lines = "".join((*filters, rest, links)).splitlines()
    return [line for line in lines if line[:1] != "#" and not (but and but in line)]


@pytest.fixture
def another_engine(inside, unpacked):
    """An engine that has docker0 and the packet filter, as a system engine does."""
    with tempfile.TemporaryDirectory(prefix="other-") as name:
        folder = Path(name)
        (folder / "daemon.json").write_text("{}")
        host = f"unix://{folder}/docker.sock"
        flags = {
            "config-file": folder / "daemon.json",
            "data-root": folder / "data",
            "exec-root": folder / "exec",
            "pidfile": folder / "pid",
            "host": host,
        }
        path = f"{unpacked}/usr/bin:{unpacked}/usr/sbin:{packages.search_path(os.environ)}"
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(
                (*inside.enter, "dockerd", *(f"--{name}={value}" for name, value in flags.items())),
                env=os.environ | {"PATH": path},
                stdout=log,
                stderr=log,
            )
        answer = (packages.program(unpacked, "docker"), "--host", host, "version")
        try:
            while proc.run(answer, check=False).returncode != 0:
                assert process.poll() is None, (folder / "log").read_text()
                time.sleep(0.1)
            yield answer
        finally:
            process.terminate()
            process.wait()


def test_the_network_of_another_engine_stays_as_it_is(place, inside, another_engine):
    bridge = layout_of(place).bridge
    before = network_state(inside)
    assert any("'docker0'" in line for line in before)
    assert any("MASQUERADE" in line for line in before)
    for _ in range(2):
        assert inside(*UP).split()[-1] == "host"
        during = network_state(inside)
        assert any(bridge in line for line in during)
        assert network_state(inside, but=bridge) == before
        assert inside(*DOWN).split() == ["True"]
        assert network_state(inside) == before
    assert proc.run(another_engine, check=False).returncode == 0


def test_an_engine_that_is_alone_has_a_network(place, inside, tmp_path):
    bridge = layout_of(place).bridge
    assert inside(*UP).split()[-1] == "bridge"
    assert private.status(place).network == "bridge"
    assert find(place | {"DOCKER_HOST": str(private.host(place))}).network == "bridge"
    during = network_state(inside)
    assert any("MASQUERADE" in line and bridge in line for line in during)
    assert not any("docker0" in line for line in during)

    chosen = place | {"DOCKER_HOST": str(private.host(place))}
    sleeping_container(chosen, tmp_path, "bridge")
    assert docker(chosen, "inspect", "-f", "{{.NetworkSettings.Networks.bridge.IPAddress}}", "it")

    assert inside(*DOWN).split() == ["True"]
    assert not any(bridge in line for line in network_state(inside))
    assert inside(*UP).split()[-1] == "bridge"


# A name server behind the machine, which containers reach through it.
RESOLVER = "10.255.255.53"
BEHIND = f"""\
import os, socket, threading
from dynbuild.engine.private import connection as c
outside = os.open('/proc/self/ns/net', os.O_RDONLY)
def serve():
    __import__('ctypes').CDLL(None).unshare(c._CLONE_NEWNET)
    c._lay_cable('eth0', 'behind', outside)
    link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    c._address(link, c._SIOCSIFADDR, '{RESOLVER}')
    c._address(link, c._SIOCSIFNETMASK, '255.255.255.0')
    c._set_up(link, 'eth0')
    link.bind(('{RESOLVER}', c._PORT))
    print(flush=True)
    while True:
        question, whose = link.recvfrom(512)
        link.sendto(question, whose)
threading.Thread(target=serve, daemon=True).start()
input()
"""
MEET = """\
import fcntl, socket, struct
from dynbuild.engine.private import connection as c
link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for request, address in ((c._SIOCSIFADDR, '10.255.255.1'), (c._SIOCSIFNETMASK, '255.255.255.0')):
    fcntl.ioctl(link, request, struct.pack('16s16s8x', b'behind', c._inet(address)))
c._set_up(link, 'behind')
"""


@pytest.fixture
def resolver(inside):
    """A name server that is reached from the test's network by a cable."""
    argv = (*inside.enter, sys.executable, "-c", BEHIND)
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=REPO) as server:
        assert server.stdout
        assert server.stdin
        server.stdout.readline()
        inside(sys.executable, "-c", MEET)
        yield RESOLVER
        server.stdin.close()


TROUBLE = in_python(
    "from dynbuild.engine.private import connection; "
    f"connection.resolvers = lambda: ('{RESOLVER}',); "
    "print(private.status(os.environ).trouble)"
)


@pytest.mark.usefixtures("resolver")
def test_a_network_that_was_cut_off_is_told_and_mended(place, inside):
    bridge = layout_of(place).bridge
    assert inside(*UP).split()[-1] == "bridge"
    whole = network_state(inside)
    assert inside(*TROUBLE) == "None\n"
    for cut, words in (
        (("iptables", "--flush", "DOCKER-FORWARD"), "firewall rules"),
        (("iptables", "--flush", "FORWARD"), "firewall rules"),
        (("iptables", "--table", "nat", "--flush"), "firewall rules"),
        (("sh", "-c", "echo 0 > /proc/sys/net/ipv4/ip_forward"), "forwards nothing"),
    ):
        inside(*cut)
        assert words in inside(*TROUBLE)
        assert words in inside(*UP)
        assert inside(*TROUBLE) == "None\n"
    left = [line for line in whole if "DOCKER-USER" not in line]
    assert sorted(left) == sorted(x for x in network_state(inside) if "DOCKER-USER" not in x)
    # All of it is there, and something else is in the way.
    inside("iptables", "--insert", "FORWARD", "--in-interface", bridge, "--jump", "DROP")
    assert "are not reached from" in inside(*TROUBLE)


def test_an_engine_that_starts_later_cuts_off_and_up_mends(inside, request):
    assert inside(*UP).split()[-1] == "bridge"
    request.getfixturevalue("another_engine")
    during = network_state(inside)
    assert "firewall rules" in inside(*in_python("print(private.status(os.environ).trouble)"))
    assert "mending" in inside(*UP)
    assert inside(*in_python("print(private.status(os.environ).trouble)")) == "None\n"
    # What the other engine has is still there.
    assert set(during) <= set(network_state(inside))


def test_a_daemon_that_cannot_start_says_why(place):
    root = paths.home(place) / "engine"
    (root / "data").mkdir()
    (root / "data/containerd").write_text("in the way")
    with pytest.raises(NotReady, match="containerd ended") as caught:
        private.up(place, silent)
    assert "not a directory" in " ".join(caught.value.details)
    assert remains(paths.home(place)) == []


def test_logins_are_taken_over(place):
    users = Path(place["HOME"], ".docker/config.json")
    users.parent.mkdir()
    users.write_text(json.dumps({"auths": {"a.example": {"auth": "eDp5"}}, "currentContext": "z"}))
    engine = private.up(place, silent)
    copy = Path(engine.config or "", "config.json")
    assert json.loads(copy.read_text()) == {"auths": {"a.example": {"auth": "eDp5"}}}
    assert copy.stat().st_mode & 0o777 == 0o600
    users.unlink()
    private.up(place, silent)
    assert json.loads(copy.read_text()) == {}
