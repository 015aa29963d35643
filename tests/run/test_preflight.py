import dataclasses

import pytest

from dynbuild.run import facts, preflight
from dynbuild.run.facts import Host, HostMount
from dynbuild.run.preflight import rights
from dynbuild.run.request import RunRequest
from tests.support import ROOT

DATA = ROOT / "tests" / "data" / "nvidia-smi"
GIB = 1 << 30
TOOLKIT = (
    "install the NVIDIA Container Toolkit, run `nvidia-ctk runtime configure --runtime=docker`"
    " and restart the engine; or --gpus none"
)

GOOD = Host(
    user="uid 1000",
    memory=256 * GIB,
    runtimes=("io.containerd.runc.v2", "nvidia", "runc"),
    gpu_devices=("/dev/nvidia0", "/dev/nvidia1"),
    nvidia_smi=True,
    topo=(DATA / "dgx-8gpu-2node.topo").read_text(encoding="utf-8"),
    gpu_query=(DATA / "dgx-8gpu-2node.query").read_text(encoding="utf-8"),
    shm_size=128 * GIB,
)
"""A machine on which the plain request finds nothing wrong."""


def found(request=None, **host):
    """Findings of the plain request with the fields *request*, on ``GOOD`` with *host*."""
    asked = RunRequest(**{"image": "x:y", **(request or {})})
    return preflight.check(asked, dataclasses.replace(GOOD, **host))


def one(request=None, **host):
    """The one finding, as name, message and remedy; not a note."""
    (finding,) = found(request, **host)
    assert not finding.note
    return finding.name, finding.message, finding.remedy


def test_a_plain_request_on_a_good_machine():
    assert found() == ()


def test_what_is_not_known_is_no_finding():
    asked = RunRequest(image="x:y", nixl_gds=True, hf_home="/hf", volumes=("/a:/b",), ports=())
    assert preflight.check(asked, Host()) == ()


def test_a_finding_cannot_be_changed():
    (finding,) = found({"ports": ("1:1",)})
    with pytest.raises(dataclasses.FrozenInstanceError):
        finding.name = "other"


# ---- GPUs --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "host", "message"),
    [
        ({}, {"runtimes": ("runc",)}, "the engine knows no runtime 'nvidia'"),
        ({"runtime": "crun"}, {}, "the engine knows no runtime 'crun'"),
        (
            {"runtime": "none"},
            {"runtimes": ("runc",)},
            "the engine has nothing to hand out GPUs with",
        ),
    ],
    ids=["not registered", "another", "no hook either"],
)
def test_no_runtime_for_the_gpus(request_, host, message):
    assert one(request_, **host) == ("gpu-runtime", message, TOOLKIT)


@pytest.mark.parametrize(
    ("request_", "host"),
    [
        ({"gpus": "none"}, {"runtimes": ("runc",), "gpu_devices": ()}),
        ({"gpus": "None", "runtime": "nvidia"}, {"runtimes": ("runc",)}),
        ({"runtime": "none"}, {"runtimes": ("runc",), "gpu_hook": True}),
        ({"runtime": "none"}, {}),
        ({}, {"runtimes": None}),
    ],
    ids=["no GPU", "None", "hook", "registered", "docker did not say"],
)
def test_a_runtime_is_there_or_not_needed(request_, host):
    assert found(request_, **host) == ()


def test_no_device():
    assert one(gpu_devices=(), topo="", gpu_query="") == (
        "gpu-device",
        "there is no NVIDIA GPU here: no /dev/nvidia0",
        "load the driver, so that nvidia-smi shows the GPUs; or --gpus none",
    )


@pytest.mark.parametrize(
    ("gpus", "missing"),
    [
        ("device=8", "8"),
        ('"device=0,9"', "9"),
        ("device=GPU-1", "GPU-1"),
        ("10", "8"),
        ('"device=8,GPU-1"', "8, GPU-1"),
    ],
)
def test_a_gpu_that_is_not_there(gpus, missing):
    assert one({"gpus": gpus}) == (
        "gpu-device",
        f"there is no GPU {missing} here",
        "this machine has GPU 0-7",
    )


@pytest.mark.parametrize(
    "gpus",
    [
        "8",
        "device=7",
        '"device=0,7"',
        "device=0:1",
        "device=MIG-4c1f",
        "device=GPU-5c3e1a00-9b2d-4f61-8a7e-3d5f90c2e100",
    ],
)
def test_gpus_that_are_there(gpus):
    assert found({"gpus": gpus}) == ()


def test_gpus_that_nvidia_smi_does_not_list_are_not_judged():
    assert found({"gpus": "device=99"}, topo="", gpu_query="") == ()


@pytest.mark.parametrize(
    ("gpus", "host", "names"),
    [
        ("nvidia.com/gpu=all", {"gpu_hook": True, "runtimes": ("runc",)}, []),
        ("nvidia.com/gpu=0", {"gpu_hook": True}, []),
        ("nvidia.com/gpu=0", {}, ["gpu-runtime"]),
        ("nvidia.com/gpu=9", {"gpu_hook": True}, ["gpu-device"]),
    ],
)
def test_gpus_by_name_need_an_engine_that_knows_them(gpus, host, names):
    assert [finding.name for finding in found({"gpus": gpus}, **host)] == names


# ---- shared memory -----------------------------------------------------------------------


@pytest.mark.parametrize("ipc", ["private", "shareable"])
def test_more_shared_memory_than_memory(ipc):
    assert one({"shm_size": "300g", "ipc": ipc}) == (
        "shm-memory",
        "--shm-size 300g is more than the host's memory, 256 GiB",
        "a smaller --shm-size",
    )


def test_more_shared_memory_than_the_bound():
    assert one({"shm_size": "10G", "memory": "8g", "ipc": "private"}) == (
        "shm-memory",
        "--shm-size 10G is more than --memory 8g, which shared memory counts against",
        "a smaller --shm-size, or a larger --memory",
    )


def test_the_shared_memory_of_the_host_is_small():
    assert one(shm_size=8_160_437_862) == (
        "shm-ipc",
        "--shm-size 10G has no effect with --ipc host: the host's /dev/shm counts, and has 7.6 GiB",
        "mount -o remount,size=10G /dev/shm on the host; or --ipc private",
    )


@pytest.mark.parametrize(
    ("request_", "host"),
    [
        ({"ipc": "private", "shm_size": "256g"}, {}),
        ({"ipc": "private", "memory": "10g"}, {"shm_size": 1}),
        ({"ipc": "private", "shm_size": "300g"}, {"memory": None}),
        ({"ipc": "container:a", "shm_size": "300g"}, {"shm_size": 1}),
        ({}, {"shm_size": 10 * GIB}),
        ({"shm_size": "odd"}, {"shm_size": 1}),
        ({"memory": "1g"}, {}),
    ],
    ids=["all of it", "within", "unknown", "another's", "host's", "no size", "host's, bound"],
)
def test_enough_shared_memory(request_, host):
    assert found(request_, **host) == ()


# ---- ports -------------------------------------------------------------------------------


TAKEN = "another port, or stop what listens: `ss -ltnp` shows it"


@pytest.mark.parametrize(
    ("port", "listening", "number"),
    [
        ("8000:80", ("0.0.0.0", 8000), "8000"),
        ("8000:80", ("127.0.0.1", 8000), "8000"),
        ("8000:80", ("::", 8000), "8000"),
        ("127.0.0.1:8000:80", ("0.0.0.0", 8000), "8000"),
        ("127.0.0.1:8000:80", ("127.0.0.1", 8000), "8000"),
        ("0.0.0.0:8000:80", ("192.0.2.1", 8000), "8000"),
        ("8000-8003:80-83", ("::", 8002), "8002"),
    ],
)
def test_a_port_that_is_taken(port, listening, number):
    asked = {"network": "bridge", "ports": (port,)}
    assert one(asked, listening=frozenset({listening})) == (
        "port-taken",
        f"-p {port}: something listens on port {number} of this host",
        TAKEN,
    )


@pytest.mark.parametrize(
    ("port", "listening"),
    [
        ("8000:80", ("0.0.0.0", 80)),
        ("80", ("0.0.0.0", 80)),
        ("8000:80/udp", ("0.0.0.0", 8000)),
        ("127.0.0.1:8000:80", ("192.0.2.1", 8000)),
        ("8000-8003:80", ("0.0.0.0", 8000)),
        ("x:80", ("0.0.0.0", 80)),
    ],
    ids=["inside", "docker picks", "udp", "another address", "one of several", "no port"],
)
def test_a_port_that_is_free(port, listening):
    asked = {"network": "bridge", "ports": (port,)}
    assert found(asked, listening=frozenset({listening})) == ()


def test_all_ports_of_a_choice_are_taken():
    taken = frozenset({("::", 8000), ("::", 8001)})
    name, message, _ = one({"network": "net", "ports": ("8000-8001:80",)}, listening=taken)
    assert name == "port-taken"
    assert message == "-p 8000-8001:80: something listens on port 8000-8001 of this host"


def test_ports_on_the_hosts_network():
    assert one({"ports": ("8000:80",)}, listening=frozenset({("::", 8000)})) == (
        "ports-unused",
        "-p has no effect with --network host",
        "leave -p out; or --network bridge",
    )


def test_on_the_hosts_network_the_port_inside_counts():
    findings = found({"ports": ("8000:80",)}, listening=frozenset({("::", 80)}))
    assert [finding.name for finding in findings] == ["ports-unused", "port-taken"]
    assert findings[1].message == "-p 8000:80: something listens on port 80 of this host"


def test_ports_on_another_containers_network():
    asked = {"network": "container:web", "ports": ("8000:80",)}
    assert one(asked, listening=frozenset({("::", 8000)})) == (
        "ports-refused",
        "docker refuses -p with --network container:web",
        "publish the ports on that other container",
    )


@pytest.mark.parametrize("network", ["bridge", "mine"])
def test_ports_on_a_network_that_publishes(network):
    assert found({"network": network, "ports": ("8000:80",)}) == ()


# ---- NATS and etcd -----------------------------------------------------------------------

BOTH = frozenset({("0.0.0.0", 4222), ("127.0.0.1", 2379)})


def test_services_of_the_host_are_noted():
    findings = found(listening=BOTH)
    assert [(finding.name, finding.note) for finding in findings] == [("service-present", True)] * 2
    assert [finding.message for finding in findings] == [
        "this host already serves port 4222 (NATS), and the container will use it",
        "this host already serves port 2379 (etcd), and the container will use it",
    ]
    assert findings[0].remedy == "nothing if that is meant; else --network bridge with -p"


@pytest.mark.parametrize(
    ("request_", "program", "port"),
    [
        ({"command": ("nats-server", "-js")}, "nats-server", 4222),
        ({"command": ("bash", "-c", "/usr/bin/etcd & sleep 9")}, "etcd", 2379),
        ({"command": ("bash", "-lc", "cd /; exec nats-server -js")}, "nats-server", 4222),
        ({"entrypoint": "/usr/local/bin/etcd/etcd"}, "etcd", 2379),
    ],
    ids=["command", "in a shell", "later in a shell", "entrypoint"],
)
def test_a_second_service_cannot_start(request_, program, port):
    listening = frozenset({("127.0.0.1", port)})
    assert one(request_, listening=listening) == (
        "port-taken",
        f"{program} cannot start: port {port} of this host is taken",
        "--network bridge with -p for a second one; or use the one that runs",
    )


@pytest.mark.parametrize(
    ("request_", "listening"),
    [
        ({"network": "bridge", "command": ("nats-server",)}, BOTH),
        ({"network": "none", "command": ("etcd",)}, BOTH),
        ({"command": ("nats-server",)}, frozenset({("::", 4223)})),
    ],
    ids=["bridge", "none", "free"],
)
def test_services_that_do_not_meet(request_, listening):
    assert found(request_, listening=listening) == ()


@pytest.mark.parametrize(
    "command",
    [
        ("etcdctl", "get"),
        ("python", "-m", "dynamo.frontend", "--store-kv", "etcd"),
        ("bash", "-c", "python -m dynamo.frontend --store-kv etcd; ls etcd/"),
        ("echo", "etcd"),
    ],
    ids=["another program", "argument", "argument in a shell", "word"],
)
def test_a_word_is_not_the_program(command):
    (finding,) = found({"command": command}, listening=frozenset({("::", 2379)}))
    assert finding.name == "service-present"


# ---- no network --------------------------------------------------------------------------

OTHER_NETWORK = "another --network; or fill the cache first and set -e HF_HUB_OFFLINE=1"


@pytest.mark.parametrize(
    ("request_", "lost"),
    [
        ({"ports": ("8000:80",)}, "-p"),
        (
            {"command": ("python", "-m", "dynamo.vllm", "--model", "Qwen/Qwen3-0.6B")},
            "the download of Qwen/Qwen3-0.6B",
        ),
        ({"command": ("x", "--model-path=a/b")}, "the download of a/b"),
        (
            {"hf_home": "/hf", "env": ("HF_TOKEN",)},
            "HF_TOKEN for downloads into the Hugging Face cache",
        ),
        (
            {"hf_home": "/hf", "workspace": "/w", "hf_token": True},
            "HF_TOKEN for downloads into the Hugging Face cache",
        ),
        (
            {"env": ("NATS_SERVER=nats://a:4222", "ETCD_ENDPOINTS=http://a:2379")},
            "NATS_SERVER, ETCD_ENDPOINTS",
        ),
        (
            {"ports": ("1:1",), "command": ("x", "--model", "a/b"), "env": ("HF_HUB_OFFLINE=0",)},
            "-p, the download of a/b",
        ),
    ],
    ids=["ports", "model", "model with =", "token", "own token", "services", "several"],
)
def test_what_needs_a_network_without_one(request_, lost):
    assert one({"network": "none", **request_}) == (
        "network-none",
        f"with --network none nothing comes of {lost}",
        OTHER_NETWORK if "download" in lost else "another --network",
    )


@pytest.mark.parametrize(
    ("request_", "host"),
    [
        ({"network": "none"}, {}),
        ({"network": "none", "hf_home": "/hf"}, {}),
        ({"network": "none", "env": ("HF_TOKEN",)}, {}),
        ({"network": "none", "command": ("x", "--model", "/models/a")}, {}),
        ({"network": "none", "command": ("x", "a/b", "--model")}, {}),
        (
            {
                "network": "none",
                "command": ("x", "--model", "a/b"),
                "env": ("HF_HUB_OFFLINE=1", "HF_TOKEN"),
                "hf_home": "/hf",
            },
            {},
        ),
        (
            {"network": "none", "command": ("x", "--model", "a/b"), "env": ("HF_HUB_OFFLINE",)},
            {"passed": {"HF_HUB_OFFLINE": "1"}},
        ),
        ({"network": "bridge", "command": ("x", "--model", "a/b")}, {}),
    ],
    ids=["plain", "cache", "token", "folder", "no model", "offline", "passed on", "bridge"],
)
def test_what_needs_no_network(request_, host):
    assert found(request_, **host) == ()


# ---- secrets -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "HF_TOKEN",
        "my_token",
        "CLIENT_SECRET",
        "SECRET_FILE_BODY",
        "DB_PASSWORD",
        "PASSWD",
        "NGC_API_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_ANYTHING",
    ],
)
def test_a_secret_in_the_open(name):
    found_ = one({"env": (f"{name}=hunter2",)})
    assert found_ == (
        "secret-literal",
        f"-e {name}=… shows a secret in the list of processes and the shell's history",
        f"set {name} in the environment and pass it by name: -e {name}",
    )
    assert "hunter2" not in "".join(found_)


def test_every_secret_is_named():
    findings = found({"env": ("A_TOKEN=1", "B=2", "C_KEY=3")})
    assert [finding.message.split("=")[0] for finding in findings] == ["-e A_TOKEN", "-e C_KEY"]


@pytest.mark.parametrize(
    "entry",
    [
        "HF_TOKEN",
        "HF_TOKEN=",
        "TOKENIZERS_PARALLELISM=false",
        "MAX_TOKENS=64",
        "MAX_TOKENS_PER_REQUEST=64",
        "AWS_REGION=eu-west-1",
        "AWS_DEFAULT_REGION=eu-west-1",
        "AWS_PROFILE=work",
        "AWS_ENDPOINT_URL_S3=http://a",
        "KEYBOARD=de",
        "DYN_LOG=info",
    ],
)
def test_no_secret(entry):
    assert found({"env": (entry,)}) == ()


# ---- mounts ------------------------------------------------------------------------------


def test_a_mount_that_the_user_cannot_write():
    assert one(mounts=(HostMount(source="/data", target="/in", writable=False),)) == (
        "mount-unwritable",
        "uid 1000 cannot write to /data, mounted at /in",
        "a --user that may; or let group 0: chgrp 0 /data && chmod g+rwx /data; or append :ro",
    )


def test_a_workspace_that_the_user_cannot_write():
    mount = HostMount(source="/src", target="/workspace", writable=False)
    assert one({"workspace": "/src"}, mounts=(mount,)) == (
        "mount-unwritable",
        "uid 1000 cannot write to /src, mounted at /workspace",
        "a --user that may; or let group 0: chgrp 0 /src && chmod g+rwx /src",
    )


def test_remedies_quote_paths_for_a_shell():
    mounts = (
        HostMount(source="/my data", target="/in", writable=False),
        HostMount(source="/my dta", target="/in", exists=False),
    )
    remedies = [finding.remedy for finding in found(mounts=mounts)]
    assert remedies == [
        "a --user that may; or let group 0: chgrp 0 '/my data' && chmod g+rwx '/my data';"
        " or append :ro",
        "mkdir -p '/my dta', or correct the path",
    ]


def test_a_mount_that_is_not_there():
    assert one(mounts=(HostMount(source="/dta", target="/in", exists=False, writable=False),)) == (
        "mount-missing",
        "/dta does not exist: docker makes it, empty and root's own",
        "mkdir -p /dta, or correct the path",
    )


@pytest.mark.parametrize(
    "mount",
    [
        {},
        {"writable": False, "read_only": True},
        {"writable": None},
    ],
    ids=["writable", "read-only", "unknown user"],
)
def test_a_mount_that_is_all_right(mount):
    assert found(mounts=(HostMount(source="/data", target="/in", **mount),)) == ()


HF_TARGET = "/home/dynamo/.cache/huggingface"


def test_a_cache_that_the_user_cannot_write():
    cache = HostMount(source="/hf", target=HF_TARGET, writable=False)
    assert one({"hf_home": "/hf"}, hf_cache=cache) == (
        "hf-cache",
        "uid 1000 cannot write to the Hugging Face cache /hf",
        "a --user that may; or let group 0: chgrp 0 /hf && chmod g+rwx /hf; or another --hf-home",
    )


def test_a_cache_that_is_not_there():
    cache = HostMount(source="/hf", target=HF_TARGET, exists=False, writable=False)
    assert one({"hf_home": "/hf"}, hf_cache=cache) == (
        "hf-cache",
        "the Hugging Face cache /hf does not exist",
        "mkdir -p /hf; or --hf-home none",
    )


@pytest.mark.parametrize("writable", [True, None])
def test_a_cache_that_is_all_right(writable):
    cache = HostMount(source="/hf", target=HF_TARGET, writable=writable)
    assert found({"hf_home": "/hf"}, hf_cache=cache) == ()


# ---- disk cache --------------------------------------------------------------------------


def test_a_disk_cache_without_direct_access():
    assert one({"nixl_gds": True}, disk_cache="/tmp", disk_direct=False) == (
        "disk-direct",
        "the file system under KVBM's disk cache, /tmp, takes no O_DIRECT",
        "-e DYN_KVBM_DISK_CACHE_DIR=FOLDER on another one;"
        " or -e DYN_KVBM_DISK_DISABLE_O_DIRECT=true",
    )


@pytest.mark.parametrize(
    ("request_", "host"),
    [
        ({}, {"disk_cache": "/tmp", "disk_direct": True}),
        ({}, {"disk_cache": "/tmp", "disk_direct": None}),
        ({}, {"disk_cache": None, "disk_direct": False}),
        (
            {"env": ("DYN_KVBM_DISK_DISABLE_O_DIRECT=true",)},
            {"disk_cache": "/tmp", "disk_direct": False},
        ),
    ],
    ids=["taken", "unknown", "no disk cache", "switched off"],
)
def test_a_disk_cache_that_is_all_right(request_, host):
    assert found(request_, **host) == ()


def test_direct_access_that_is_not_switched_off_after_all():
    asked = {"env": ("DYN_KVBM_DISK_DISABLE_O_DIRECT=false",)}
    assert one(asked, disk_cache="/tmp", disk_direct=False)[0] == "disk-direct"


def test_a_disk_cache_larger_than_the_disk():
    asked = {"env": ("DYN_KVBM_DISK_CACHE_GB",)}
    host = {"passed": {"DYN_KVBM_DISK_CACHE_GB": "500"}, "disk_cache": "/nvme"}
    assert one(asked, disk_free=50 * GIB, **host) == (
        "disk-space",
        "KVBM's disk cache wants 500 GiB, and /nvme has 50 GiB free",
        "a smaller DYN_KVBM_DISK_CACHE_GB; or -e DYN_KVBM_DISK_CACHE_DIR=FOLDER on another one",
    )
    assert found(asked, disk_free=500 * GIB, **host) == ()
    assert found(asked, disk_free=None, **host) == ()


@pytest.mark.parametrize(
    ("request_", "env", "folder"),
    [
        ({}, {}, None),
        ({"nixl_gds": True}, {}, "/tmp"),
        ({"nixl_gds": True, "workspace": "/src"}, {}, "/tmp"),
        ({"env": ("DYN_KVBM_DISK_CACHE_GB=5",)}, {}, None),
        ({"env": ("DYN_KVBM_DISK_CACHE_GB=5",), "workspace": "/src"}, {}, "/tmp"),
        (
            {"env": ("DYN_KVBM_DISK_CACHE_DIR=/kv/a/",), "volumes": ("/nvme:/kv:rw", "/b:/other")},
            {},
            "/nvme/a",
        ),
        ({"env": ("DYN_KVBM_DISK_CACHE_DIR",), "volumes": ("/nvme/:/kv",)}, {}, None),
        (
            {"env": ("DYN_KVBM_DISK_CACHE_DIR",), "volumes": ("/nvme/:/kv",)},
            {"DYN_KVBM_DISK_CACHE_DIR": "/kv"},
            "/nvme",
        ),
        ({"env": ("DYN_KVBM_DISK_CACHE_DIR=/kv",), "volumes": ("/nvme:/kvs",)}, {}, None),
        ({"env": ("DYN_KVBM_DISK_CACHE_DIR=/kv",), "volumes": ("named:/kv",)}, {}, None),
        (
            {"env": ("DYN_KVBM_DISK_CACHE_DIR=/kv/x",), "volumes": ("/a:/kv", "/b:/kv/x")},
            {},
            "/b",
        ),
        ({"env": ("DYN_KVBM_DISK_CACHE_DIR=/kv",), "volumes": ("/:/kv",)}, {}, "/"),
    ],
    ids=[
        "none",
        "GDS",
        "GDS and workspace",
        "in the container",
        "size",
        "folder",
        "unset",
        "passed on",
        "another mount",
        "named volume",
        "nearest mount",
        "root",
    ],
)
def test_the_folder_under_the_disk_cache(request_, env, folder):
    assert facts.disk_cache(RunRequest(image="x:y", **request_), env) == folder


# ---- limits ------------------------------------------------------------------------------


def test_limits_above_the_engines_own():
    findings = found(hard_limits={"nofile": 20000, "memlock": 8388608})
    assert [(finding.name, finding.message) for finding in findings] == [
        ("ulimit", "the engine may not grant memlock=-1: its own hard limit is 8388608"),
        ("ulimit", "the engine may not grant nofile=65536:65536: its own hard limit is 20000"),
    ]
    assert findings[0].remedy == (
        "raise the engine's own limit (LimitMEMLOCK, LimitNOFILE, … of its service)"
    )


def test_limits_within_the_engines_own():
    assert found(hard_limits={"nofile": 65536, "nproc": 1}) == ()


def test_everything_at_once_in_a_fixed_order():
    findings = found(
        {
            "env": ("A_TOKEN=1",),
            "ports": ("80:80",),
            "hf_home": "/hf",
            "nixl_gds": True,
            "gpus": "device=0,1",
            "privileged": True,
        },
        runtimes=("runc",),
        shm_size=1,
        listening=BOTH,
        mounts=(HostMount(source="/data", target="/in", writable=False),),
        hf_cache=HostMount(source="/hf", target=HF_TARGET, writable=False),
        disk_cache="/tmp",
        disk_direct=False,
        hard_limits={"nofile": 1},
    )
    assert [finding.name for finding in findings] == [
        "gpu-runtime",
        "shm-ipc",
        "ports-unused",
        "service-present",
        "service-present",
        "secret-literal",
        "mount-unwritable",
        "hf-cache",
        "disk-direct",
        "ulimit",
        "rights",
    ]
    assert all(finding.message and finding.remedy for finding in findings)
    assert not any(finding.message.endswith(".") for finding in findings)


# ---- rights ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({"privileged": True}, "--privileged: root inside can do to this machine"),
        ({"docker_args": ("--privileged",)}, "--privileged: root inside"),
        ({"cap_add": ("CAP_SYS_ADMIN",)}, "--cap-add CAP_SYS_ADMIN: much of what"),
        ({"cap_add": ("all",)}, "--cap-add all: much of what"),
        ({"security_opts": ("seccomp=unconfined",)}, "a guard of the kernel is off"),
        ({"devices": ("/dev",)}, "--device /dev: the machine's own memory or all its devices"),
        ({"docker_args": ("--privileged=true",)}, "--privileged: root inside"),
        ({"docker_args": ("--cap-add=SYS_ADMIN",)}, "--cap-add SYS_ADMIN: much of what"),
        ({"docker_args": ("--volume=/:/host",)}, "all files of this machine"),
        ({"docker_args": ("-v=/:/host",)}, "all files of this machine"),
        ({"docker_args": ("-v/etc:/e",)}, "/etc of this machine is mounted"),
        ({"docker_args": ("--mount=type=bind,src=/,dst=/h",)}, "all files of this machine"),
        ({"docker_args": ("--device=/dev/mem",)}, "--device /dev/mem: the machine's own memory"),
        ({"docker_args": ("--security-opt=seccomp=unconfined",)}, "a guard of the kernel is off"),
        ({"docker_args": ("--net=host",)}, "--docker-arg --net=host: a part of this machine"),
        ({"docker_args": ("--pid=host",)}, "--docker-arg --pid=host: a part of this machine"),
        ({"volumes": ("/:/host:ro",)}, "all files of this machine are mounted"),
        ({"long_mounts": ("type=bind,source=//,target=/h",)}, "all files of this machine"),
        ({"volumes": ("/etc/:/e",)}, "/etc of this machine is mounted and can be written"),
        ({"volumes": ("/var/run/docker.sock:/s",)}, "/var/run/docker.sock is mounted: who can"),
        ({"volumes": ("/x/docker.sock:/s:ro",)}, "/x/docker.sock is mounted"),
    ],
)
def test_a_right_that_is_asked_for_is_told_and_not_refused(request_, said):
    (finding,) = found(request_)
    assert (finding.name, finding.note) == ("rights", True)
    assert said in finding.message
    assert finding.remedy


@pytest.mark.parametrize(
    "request_",
    [
        {"cap_add": ("IPC_LOCK",)},
        {"volumes": ("/etc:/e:ro", "/data:/d", "cache:/c")},
        {"devices": ("/dev/infiniband", "nvidia.com/gpu=0")},
        {"security_opts": ("no-new-privileges",)},
        {"docker_args": ("--sysctl=a=b", "--privileged=false", "-v=/data:/d", "--volume=::")},
    ],
)
def test_what_is_usual_is_not_told(request_):
    assert found(request_) == ()


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({}, "the container shares network and IPC with this host"),
        ({"ipc": "private"}, "the container shares network with this host"),
        ({"network": "none"}, "the container shares IPC with this host"),
        ({"network": "bridge", "ipc": "private"}, None),
    ],
)
def test_what_of_the_machine_is_shared(request_, said):
    told = [one.message for one in rights.check_shared(RunRequest(image="x", **request_))]
    assert told == ([said] if said else [])


def test_a_limit_that_nobody_asked_for_is_no_fault():
    (finding,) = found(hard_limits={"nofile": 1})
    assert finding.note
    assert one({"ulimits": ("nofile=9",)}, hard_limits={"nofile": 1})[0] == "ulimit"


def test_devices_and_files_that_are_not_there():
    assert one(missing=("/dev/infiniband",)) == (
        "file-missing",
        "/dev/infiniband does not exist: docker refuses it",
        "correct the path",
    )
    mount = HostMount(source="/a", target="/b", exists=False, made=False)
    assert one(mounts=(mount,))[1] == "/a does not exist: docker refuses it"


def test_a_secret_is_known_by_its_form_too():
    token = "ghp_" + "a1B2" * 9
    name, message, _ = one({"env": (f"X={token}",)})
    assert name == "secret-literal"
    assert token not in message
    assert one({"env": ("URL=postgres://ada:hunter2hunter2@db/x",)})[0] == "secret-literal"
