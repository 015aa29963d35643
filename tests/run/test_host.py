import contextlib
import json
import os
import resource
import socket
import stat
import sys
import tempfile
from pathlib import Path

import pytest

from dynbuild.engine import limits
from dynbuild.engine.model import Engine
from dynbuild.run import host, numa
from dynbuild.run.host import Identity
from dynbuild.run.image import ImageUser
from dynbuild.run.request import RunRequest
from tests.support import ROOT

pytestmark = [
    pytest.mark.processes("docker", "docker-of-nowhere", "nvidia-smi"),
    pytest.mark.network("::"),
]

DATA = ROOT / "tests" / "data" / "nvidia-smi"
HERE = os.uname().nodename
DYNAMO = Identity(uid=1000, groups=frozenset({0}))
INFO = {
    "Name": HERE,
    "ServerVersion": "28.2.2",
    "MemTotal": 8 << 30,
    "Runtimes": {"runc": {}, "nvidia": {}, "io.containerd.runc.v2": {}},
    "SecurityOptions": ["name=seccomp,profile=builtin", "name=cgroupns"],
    "DiscoveredDevices": [],
}


def engine(**other):
    return Engine(
        **{
            "kind": "system",
            "docker": "docker",
            "host": None,
            "config": None,
            "version": "28.2.2",
            "buildx": "0.23.0",
            "containerd_store": True,
            **other,
        }
    )


def request(**fields):
    return RunRequest(**{"image": "x:y", "gpus": "none", **fields})


USER = ImageUser(name="dynamo")


@pytest.fixture
def env(tmp_path):
    """An environment whose PATH leads nowhere, and whose engine's socket is not there."""
    (tmp_path / "bin").mkdir()
    return {"PATH": str(tmp_path / "bin"), "DOCKER_HOST": f"unix://{tmp_path}/none.sock"}


def read(caller, info=INFO, *, image=USER, on=None, **fields):
    """``host.read`` with docker's answer given."""
    return host.read(
        request(**fields),
        on or engine(),
        caller,
        image=image,
        ask=lambda argv, _env: json.dumps(info) if argv[1] == "info" else "",
    )


def program(env, name, text):
    """A program on the environment's PATH."""
    path = Path(env["PATH"], name)
    path.write_text(f"#!/bin/sh\n{text}", encoding="utf-8")
    path.chmod(0o755)
    return path


# ---- docker and nvidia-smi ---------------------------------------------------------------


def test_what_docker_says(env):
    found = read(env)
    assert found.memory == 8 << 30
    assert found.runtimes == ("io.containerd.runc.v2", "nvidia", "runc")
    assert found.gpu_hook is False
    assert found.user == "uid 1000"


@pytest.mark.parametrize("info", [{}, {"ServerVersion": "", "Runtimes": None}, []])
def test_a_docker_that_says_nothing(env, info):
    found = read(env, info)
    assert found.runtimes is None
    meminfo = Path("/proc/meminfo").read_text(encoding="ascii")
    assert found.memory == int(meminfo.split("MemTotal:")[1].split()[0]) * 1024


def test_devices_that_the_engine_found_by_itself(env):
    devices = [{"Source": "cdi", "ID": "nvidia.com/gpu=0"}]
    assert read(env, INFO | {"DiscoveredDevices": devices}).gpu_hook is True
    assert read(env, INFO | {"DiscoveredDevices": [{"ID": "intel.com/gpu=0"}]}).gpu_hook is False


def test_the_hook_of_the_toolkit(env):
    program(env, "nvidia-container-runtime-hook", "")
    assert read(env).gpu_hook is True


def test_programs_are_asked_in_the_environment_of_the_engine(env, tmp_path):
    """Real processes: docker with the engine's address, nvidia-smi with the caller's PATH."""
    docker = program(
        env,
        "docker",
        f'printf \'{{"ServerVersion":"1","Name":"{HERE}","Runtimes":{{"%s":{{}}}}}}\''
        ' "$DOCKER_HOST"\n',
    )
    program(
        env,
        "nvidia-smi",
        f'case "$1" in topo) while IFS= read -r line; do printf "%s\\n" "$line"; done'
        f' <"{DATA}/dgx-8gpu-2node.topo";; --query-gpu=index,uuid) echo "0, GPU-a";; esac\n',
    )
    private = engine(kind="private", docker=str(docker), host="unix:///a.sock", config=tmp_path)
    found = host.read(request(gpus="all"), private, env, image=USER)
    assert found.runtimes == ("unix:///a.sock",)
    assert found.nvidia_smi is True
    assert found.gpu_query == "0, GPU-a\n"
    assert numa.parse_topology(found.topo)[7].nodes == (1,)


def test_nvidia_smi_is_not_asked_without_gpus(env):
    program(env, "nvidia-smi", "echo asked\n")
    found = host.read(request(), engine(docker="docker-of-nowhere"), env, image=USER)
    assert (found.nvidia_smi, found.topo, found.gpu_query) == (False, "", "")
    assert found.runtimes is None


def test_a_driver_that_does_not_answer(env):
    program(env, "nvidia-smi", "echo 'NVIDIA-SMI has failed'\nexit 9\n")
    found = host.read(request(gpus="all"), engine(docker="docker-of-nowhere"), env, image=USER)
    assert found.nvidia_smi is True
    assert numa.topology(found.topo, found.gpu_query) == ()


def test_gpus_by_their_device_nodes(env, tmp_path, monkeypatch):
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "null"):
        (tmp_path / name).touch()
    monkeypatch.setattr(host, "_DEVICES", tmp_path)
    assert read(env).gpu_devices == (f"{tmp_path}/nvidia0", f"{tmp_path}/nvidia1")
    (tmp_path / "nvidia0").unlink()
    (tmp_path / "nvidia1").unlink()
    assert read(env).gpu_devices == ()
    (tmp_path / "dxg").touch()
    assert read(env).gpu_devices == (f"{tmp_path}/dxg",)


# ---- an engine elsewhere -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("on", "info"),
    [
        ({"host": "tcp://192.0.2.1:2375"}, INFO),
        ({"host": "ssh://a@b"}, {}),
        ({}, INFO | {"Name": f"{HERE}-vm"}),
    ],
    ids=["tcp", "ssh", "virtual machine"],
)
def test_an_engine_elsewhere_leaves_this_machine_out(env, on, info):
    found = read(
        env, info, on=engine(**on), volumes=("/dev/null/absent:/a",), hf_home="/dev/null/absent"
    )
    assert found.gpu_devices is None
    assert found.shm_size is None
    assert found.memory == info.get("MemTotal")
    assert (found.listening, found.mounts, found.hf_cache, found.nodes) == (
        frozenset(),
        (),
        None,
        (),
    )


def test_an_address_of_the_environment_elsewhere(env):
    assert read(env | {"DOCKER_HOST": "tcp://192.0.2.1:2375"}).gpu_devices is None


def test_a_private_engine_is_here(env, tmp_path):
    private = engine(kind="private", host=f"unix://{tmp_path}/a.sock", config=tmp_path)
    assert read(env, INFO | {"Name": "other"}, on=private).gpu_devices is not None


def test_what_is_passed_on_holds_no_secret(env):
    found = read(env | {"HF_HUB_OFFLINE": "1", "HF_TOKEN": "hunter2"})
    assert found.passed == {"HF_HUB_OFFLINE": "1"}
    assert "hunter2" not in repr(found)


# ---- ports -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "address"),
    [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"), (socket.AF_INET6, "::")],
    ids=["IPv4", "IPv6", "all"],
)
def test_a_socket_that_listens_is_found(env, family, address):
    with socket.socket(family, socket.SOCK_STREAM) as server:
        try:
            server.bind((address, 0))
        except OSError:
            pytest.skip("this machine has no IPv6")
        port = server.getsockname()[1]
        assert (address, port) not in host.listening()
        server.listen()
        assert (address, port) in host.listening()
        assert (address, port) in read(env).listening


def test_a_connection_is_no_listener():
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        assert client.getsockname() not in host.listening()


def test_addresses_as_the_kernel_writes_them(tmp_path, monkeypatch):
    title = "  sl  local_address rem_address   st\n"
    rows = {
        "tcp": "   0: 0100007F:107E 00000000:0000 0A 0\n   1: 0200A8C0:0016 0300A8C0:9C40 01 0\n",
        "tcp6": "   0: 00000000000000000000000000000000:094B 0:0 0A 0\n"
        "   1: 0000000000000000FFFF00000100007F:1F90 0:0 0A 0\n",
    }
    if sys.byteorder != "little":
        pytest.skip("written on a little-endian machine")
    for name, text in rows.items():
        (tmp_path / name).write_text(title + text, encoding="ascii")
    monkeypatch.setattr(host, "_TCP", (tmp_path / "tcp", tmp_path / "tcp6", tmp_path / "none"))
    assert host.listening() == {("127.0.0.1", 4222), ("::", 2379), ("127.0.0.1", 8080)}


# ---- limits, sizes, nodes ----------------------------------------------------------------


def test_hard_limits_are_those_of_the_engine(env, tmp_path):
    """This process plays the engine."""
    path = f"{tmp_path}/engine.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(path)
        server.listen()
        found = read(env, on=engine(host=f"unix://{path}")).hard_limits
        assert found == limits.of_engine(f"unix://{path}", env)
    if found:
        assert found["nofile"] == resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def test_the_size_of_shared_memory(env, monkeypatch):
    found = read(env)
    about = os.statvfs("/dev/shm")
    assert found.shm_size == about.f_frsize * about.f_blocks
    assert found.disk_free > 0
    monkeypatch.setattr(host, "_SHM", Path("/dev/null/absent"))
    assert read(env).shm_size is None


def test_the_nodes_of_this_machine(env):
    online = Path("/sys/devices/system/node/online")
    expected = numa.parse_list(online.read_text(encoding="ascii")) if online.exists() else set()
    found = read(env).nodes
    assert {node.id for node in found} == expected
    assert all(numa.parse_list(node.cpus) <= set(range(4096)) for node in found)


def test_nodes_in_the_order_of_their_numbers(tmp_path, monkeypatch):
    for number, cpus in ((10, ""), (2, "4-7\n"), (0, "0-3\n")):
        (tmp_path / f"node{number}").mkdir()
        (tmp_path / f"node{number}/cpulist").write_text(cpus, encoding="ascii")
    (tmp_path / "node3").mkdir()
    (tmp_path / "online").touch()
    monkeypatch.setattr(host, "_NODES", tmp_path)
    assert host.nodes() == (
        numa.Node(id=0, cpus="0-3"),
        numa.Node(id=2, cpus="4-7"),
        numa.Node(id=10, cpus=""),
    )


def test_a_kernel_without_nodes(tmp_path, monkeypatch):
    monkeypatch.setattr(host, "_NODES", tmp_path / "none")
    assert host.nodes() == ()


# ---- direct access -----------------------------------------------------------------------


def opens_directly(folder):
    path = folder / "probe"
    path.touch()
    try:
        os.close(os.open(path, os.O_RDWR | os.O_DIRECT))
    except OSError:
        return False
    finally:
        path.unlink()
    return True


def test_direct_access_is_what_the_file_system_says(tmp_path):
    assert host.takes_direct(tmp_path) is opens_directly(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_direct_access_on_a_tmpfs():
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        assert host.takes_direct(Path(folder)) is opens_directly(Path(folder))
        assert list(Path(folder).iterdir()) == []


def test_a_file_system_without_direct_access(tmp_path, monkeypatch):
    real = os.open

    def refuse(path, flags, *rest, **named):
        if flags & os.O_DIRECT:
            raise OSError(22, "Invalid argument")
        return real(path, flags, *rest, **named)

    monkeypatch.setattr(os, "open", refuse)
    assert host.takes_direct(tmp_path) is False
    assert list(tmp_path.iterdir()) == []


def test_a_folder_where_no_file_can_be_made(tmp_path):
    assert host.takes_direct(tmp_path / "none") is None


def test_the_folder_of_the_disk_cache(env, tmp_path):
    asked = {"env": ("DYN_KVBM_DISK_CACHE_DIR=/kv",), "volumes": (f"{tmp_path}:/kv",)}
    found = read(env, **asked)
    assert found.disk_cache == str(tmp_path)
    assert found.disk_direct is opens_directly(tmp_path)
    assert read(env, nixl_gds=True).disk_cache == "/tmp"
    plain = read(env)
    assert (plain.disk_cache, plain.disk_direct) == (None, None)


# ---- who writes where --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("user", "uid", "groups"),
    [
        ("0", 0, {0}),
        ("root", 0, {0}),
        ("1234", 1234, {0}),
        ("1234:77", 1234, {0, 77}),
        ("1234:staff", 1234, {0}),
        ("dynamo", 1000, {0}),
        ("dynamo:root", 1000, {0}),
    ],
)
def test_the_user_that_is_asked_for(user, uid, groups):
    found = host.identity(request(user=user), ImageUser(name="5:5"), {})
    assert found == Identity(uid=uid, groups=frozenset(groups))


@pytest.mark.parametrize(
    ("image_user", "uid", "groups"),
    [
        ("dynamo", 1000, {0}),
        ("", 0, {0}),
        ("1001", 1001, {0}),
        ("1001:1002", 1001, {1002}),
        ("0:0", 0, {0}),
    ],
)
def test_the_user_of_the_image(image_user, uid, groups):
    found = host.identity(request(), ImageUser(name=image_user), {})
    assert found == Identity(uid=uid, groups=frozenset(groups))


def test_a_name_says_nothing_without_the_image():
    assert host.identity(request(user="ada"), USER, {}) is None
    assert host.identity(request(), ImageUser(name="ada"), {}) is None


def test_the_user_of_a_local_dev_image_without_labels_is_the_one_who_builds_here():
    image = ImageUser(name="dynamo", ids="")
    found = host.identity(request(), image, {})
    # Root's own images have the usual user.
    assert found == Identity(uid=os.getuid() or 1000, groups=frozenset({0, os.getgid()}))
    assert host.identity(request(), image, {"SUDO_UID": "ada"}) == found
    sudo = {"SUDO_UID": "501", "SUDO_GID": "502"}
    found = host.identity(request(), image, sudo)
    assert found == Identity(uid=501, groups=frozenset({0, 502}))


@pytest.mark.parametrize("user", [None, "dynamo"])
def test_the_user_of_an_image_of_local_dev_has_the_numbers_of_its_label(user):
    image = ImageUser(name="dynamo", ids="1234:77")
    found = host.identity(request(user=user), image, {"SUDO_UID": "501"})
    assert found == Identity(uid=1234, groups=frozenset({0, 77}))


def test_groups_that_are_added_count():
    found = host.identity(request(user="5:6", groups=("44", "root", "video")), USER, {})
    assert found == Identity(uid=5, groups=frozenset({0, 6, 44}))


class Found:
    """A stat result with only what counts."""

    def __init__(self, mode, uid, gid):
        self.st_mode, self.st_uid, self.st_gid = mode, uid, gid


@pytest.mark.parametrize(
    ("bits", "user", "may"),
    [
        ((0o755, 1000, 1000), DYNAMO, True),
        ((0o555, 1000, 1000), DYNAMO, False),
        ((0o577, 1000, 0), DYNAMO, False),
        ((0o775, 5, 0), DYNAMO, True),
        ((0o755, 5, 0), DYNAMO, False),
        ((0o757, 5, 0), DYNAMO, False),
        ((0o757, 5, 5), DYNAMO, True),
        ((0o1777, 0, 0), DYNAMO, True),
        ((0o755, 5, 5), DYNAMO, False),
        ((0o765, 5, 0), DYNAMO, False),
        ((0o000, 5, 5), Identity(uid=0, groups=frozenset({0})), True),
        ((0o775, 5, 77), Identity(uid=9, groups=frozenset({0, 77})), True),
    ],
    ids=[
        "owner",
        "owner without",
        "owner without, though others may",
        "group",
        "group without",
        "group without, though others may",
        "others",
        "tmp",
        "others without",
        "not to be entered",
        "root",
        "own group",
    ],
)
def test_mode_bits_of_a_folder(monkeypatch, tmp_path, bits, user, may):
    mode, owner, group = bits
    monkeypatch.setattr(Path, "stat", lambda _: Found(stat.S_IFDIR | mode, owner, group))
    assert host.may_write(tmp_path, user) is may


def test_a_file_need_not_be_entered(monkeypatch, tmp_path):
    monkeypatch.setattr(Path, "stat", lambda _: Found(stat.S_IFREG | 0o620, 5, 0))
    assert host.may_write(tmp_path, DYNAMO) is True


def test_a_read_only_file_system_takes_root_s_right(monkeypatch, tmp_path):
    class Flags:
        f_flag = os.ST_RDONLY

    monkeypatch.setattr(os, "statvfs", lambda _: Flags)
    assert host.may_write(tmp_path, Identity(uid=0, groups=frozenset())) is False


def test_mounts_of_a_request(env, tmp_path):
    """Real folders: a user who is neither their owner nor in their group."""
    stranger = f"{os.getuid() + 4321}:{os.getgid() + 4321}"
    asked = {"user": stranger, "workspace": str(tmp_path / "src"), "hf_home": str(tmp_path / "hf")}
    for name, mode in (("open", 0o777), ("closed", 0o700), ("src", 0o707), ("hf", 0o707)):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(mode)
    # Group 0 is added to every user; a folder of that group is looked at by its group's bits.
    in_group = (tmp_path / "src").stat().st_gid == 0
    volumes = (
        f"{tmp_path}/open:/a",
        f"{tmp_path}/closed:/b:z,ro",
        f"{tmp_path}/none:/c:rw",
        "named:/d",
        "/anonymous",
    )
    found = read(env, volumes=volumes, **asked)
    assert found.user == f"uid {os.getuid() + 4321}"
    seen = [(m.target, m.read_only, m.exists, m.writable) for m in found.mounts]
    assert seen == [
        ("/a", False, True, True),
        ("/b", True, True, False),
        ("/c", False, False, False),
        ("/workspace", False, True, not in_group),
    ]
    assert [m.source for m in found.mounts][:2] == [f"{tmp_path}/open", f"{tmp_path}/closed"]
    assert found.hf_cache.target == "/home/dynamo/.cache/huggingface"
    assert found.hf_cache.writable is not in_group


def test_root_writes_everywhere(env, tmp_path):
    found = read(env, user="root", volumes=(f"{tmp_path}:/a", f"{tmp_path}/x:/b"), hf_home="/hf")
    assert [(m.exists, m.writable) for m in found.mounts] == [(True, True), (False, True)]
    assert (found.hf_cache.target, found.hf_cache.exists) == ("/root/.cache/huggingface", False)


def test_a_relative_source_is_of_the_working_directory(env, tmp_path):
    with contextlib.chdir(tmp_path):
        found = read(env, volumes=("./a:/a",))
    assert found.mounts[0].source == str(tmp_path / "a")


@pytest.mark.parametrize("option", ["name=rootless", "name=userns"])
def test_numbers_mean_nothing_where_they_are_remapped(env, tmp_path, option):
    found = read(env, INFO | {"SecurityOptions": [option]}, volumes=(f"{tmp_path}:/a", "/none:/b"))
    assert found.user == "the user inside"
    assert [m.writable for m in found.mounts] == [None, None]
    assert [m.exists for m in found.mounts] == [True, False]


def test_a_user_without_numbers(env, tmp_path):
    found = read(env, image=ImageUser(name="ada"), volumes=(f"{tmp_path}:/a",))
    assert found.mounts[0].writable is None


def test_a_source_below_a_file_is_not_there_and_nobody_can_make_it(env, tmp_path):
    (tmp_path / "file").touch()
    found = read(env, user="root", volumes=(f"{tmp_path}/file/x:/a",))
    assert [(m.exists, m.writable) for m in found.mounts] == [(False, False)]
