from __future__ import annotations

import dataclasses
import json
import os
from collections import namedtuple
from pathlib import Path

import pytest

from dynbuild.doctor import examination
from dynbuild.doctor.checks import CHECKS, accounts, engine, machine
from dynbuild.doctor.probe import Probe
from dynbuild.engine import private
from dynbuild.engine.model import Engine
from dynbuild.engine.private.network import Trouble
from dynbuild.errors import NotReady
from dynbuild.proc import Completed
from tests import s3_server, support

pytestmark = [
    pytest.mark.processes("docker", "git", "nvcc", "nvidia-ctk", "nvidia-smi"),
    pytest.mark.network,
]

GB = 1000**3
Usage = namedtuple("Usage", "total used free")

ENGINE = Engine("system", "/nowhere/docker", None, None, "28.1.1", "0.29.1", True)
MISSING = NotReady("no Docker engine answers", hint="start one", details=("refused",))
INFO = {"ServerVersion": "28.1.1", "DockerRootDir": "/", "Runtimes": {"runc": {}}}
SMI = """\
| NVIDIA-SMI 575.57.08    Driver Version: 575.57.08    CUDA Version: 12.9     |
"""


def program(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def host(tmp_path):
    """A machine with nothing but an engine; arguments add to it."""

    def make(env=None, engine=ENGINE, info=INFO, smi=None, **files):
        root = tmp_path / "root"
        for name, text in {"proc/meminfo": "", **files}.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        tools = tmp_path / "bin"
        tools.mkdir(exist_ok=True)
        plain = {"PATH": str(tools), "HOME": str(tmp_path), "DYNBUILD_HOME": str(tmp_path / "own")}
        answers = {"found": engine, "info": info, "smi": smi}
        return Probe(plain | (env or {}), tmp_path, root, answers)

    return make


def check(host, name):
    return examination.check(name, examination.CHECKS[name], host)


def smi(stdout=SMI, returncode=0):
    return Completed(argv=("nvidia-smi",), returncode=returncode, stdout=stdout, stderr="")


# ---- all of it ---------------------------------------------------------------------------


@pytest.fixture
def bare(tmp_path):
    """The environment of a machine without programs."""
    (tmp_path / "bin").mkdir()
    return {
        "PATH": str(tmp_path / "bin"),
        "HOME": str(tmp_path),
        "DYNBUILD_HOME": str(tmp_path / "own"),
    }


def by_name(checks):
    return {check.name: check for check in checks}


def test_an_empty_machine_lacks_an_engine_and_nothing_else(bare, tmp_path):
    found = by_name(examination.examine(bare, tmp_path, root=tmp_path / "root"))
    assert list(found) == list(CHECKS)
    assert found["engine"].status == "problem"
    assert found["engine"].remedy
    assert not examination.ready(tuple(found.values()))
    rest = [check for check in found.values() if check.name != "engine"]
    assert {check.status for check in rest} <= {"ok", "warning", "absent"}
    assert all(check.value for check in found.values())


def test_a_machine_with_an_engine_is_ready(bare, tmp_path):
    plugins = [{"Name": "buildx", "Version": "v0.29.1"}]
    info = INFO | {
        "ClientInfo": {"Plugins": plugins},
        "Runtimes": {"nvidia": {}},
        "DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]],
    }
    answer = tmp_path / "info.json"
    answer.write_text(json.dumps(info))
    platforms = "Platforms: linux/amd64*, linux/amd64/v2, linux/arm64"
    text = f'case "$1" in info) read -r x < {answer}; echo "$x";; *) echo "{platforms}";; esac'
    program(tmp_path / "bin", "docker", text)
    env = bare | {"DOCKER_HOST": f"unix://{tmp_path}/none.sock"}
    found = by_name(examination.examine(env, tmp_path, root=tmp_path / "root"))
    assert examination.ready(tuple(found.values()))
    for name in ("engine", "buildx", "image store", "platforms", "GPU toolkit"):
        assert found[name].status == "ok", found[name]
    assert found["engine"].value == "system, Docker 28.1.1"
    assert found["platforms"].value == "linux/amd64, linux/arm64"


def test_a_client_without_buildx_is_a_problem_of_buildx(bare, tmp_path):
    program(tmp_path / "bin", "docker", f"echo '{json.dumps(INFO)}'")
    found = by_name(examination.examine(bare, tmp_path, root=tmp_path / "root"))
    assert (found["engine"].status, found["buildx"].status) == ("ok", "problem")
    assert "no buildx plugin" in found["buildx"].value
    assert found["buildx"].remedy


def test_an_address_that_leads_nowhere(bare, tmp_path):
    program(tmp_path / "bin", "docker", "echo refused >&2; exit 1")
    env = bare | {"DOCKER_HOST": "tcp://ada:horse@localhost:1"}
    found = by_name(examination.examine(env, tmp_path, root=tmp_path / "root"))
    assert found["engine"].status == "problem"
    assert "refused" in found["engine"].value
    assert "horse" not in str(found)
    assert found["disk"].status == "absent"


@pytest.mark.parametrize("name", CHECKS)
def test_a_broken_probe_is_a_finding(host, name, monkeypatch):
    def broken(_host):
        raise RuntimeError("at http://ada:horse@proxy/")

    monkeypatch.setattr(examination, "CHECKS", {**CHECKS, name: broken})
    found = check(host(), name)
    assert found.status == "warning"
    assert "RuntimeError" in found.value
    assert "horse" not in found.value


@pytest.mark.parametrize("name", CHECKS)
@pytest.mark.parametrize("engine", [ENGINE, MISSING])
def test_every_check_survives_a_machine_with_nothing(host, tmp_path, name, engine):
    env = {"DOCKER_HOST": f"unix://{tmp_path}/none.sock"}
    found = check(host(env, engine=engine, info={}), name)
    assert found.name == name
    assert "\n" not in found.value + found.remedy
    if found.status == "problem":
        assert name in ("engine", "buildx")


def test_programs_that_talk_nonsense(host, tmp_path):
    for name in ("nvidia-smi", "nvcc", "nvidia-ctk", "docker"):
        program(tmp_path / "bin", name, "head -c 99 /bin/sh; exit 1")
    env = {"PATH": f"{tmp_path / 'bin'}:/bin", "DOCKER_HOST": f"unix://{tmp_path}/none.sock"}
    made = host(env, smi=smi("\x00\xff", 1))
    for name in CHECKS:
        assert check(made, name).status != "problem"


def test_what_several_ask_is_asked_once(host):
    asked = []
    made = host()
    assert [made.once("x", lambda: asked.append(1) or 5) for _ in range(3)] == [5, 5, 5]
    assert asked == [1]


# ---- the engine --------------------------------------------------------------------------


def test_no_engine(host):
    made = host(engine=MISSING, info={})
    found = check(made, "engine")
    assert (found.status, found.remedy) == ("problem", "start one")
    assert found.value == "no Docker engine answers; refused"
    for name in ("buildx", "image store", "platforms", "limits"):
        assert check(made, name).status == "absent"


def test_an_engine_under_which_dev_containers_hang(host):
    found = check(host(engine=dataclasses.replace(ENGINE, version="29.0.1")), "engine")
    assert (found.status, bool(found.remedy)) == ("warning", True)


def test_an_engine_on_the_hosts_network(host):
    found = check(host(engine=dataclasses.replace(ENGINE, network="host")), "engine")
    assert found.status == "ok"
    assert "host's network" in found.value


@pytest.mark.parametrize(
    ("kind", "status"),
    [(None, "ok"), ("rules", "problem"), ("bridge", "problem"), ("connection", "warning")],
)
def test_the_network_of_the_private_engine(host, monkeypatch, kind, status):
    own = dataclasses.replace(ENGINE, kind="private")
    wrong = kind and Trouble(kind, "it is cut off")
    monkeypatch.setattr(private, "network_trouble", lambda *_: wrong)
    found = check(host(engine=own), "network")
    assert (found.status, "engine up" in found.remedy) == (status, wrong is not None)
    assert check(host(), "network").status == "ok"
    assert check(host(engine=dataclasses.replace(own, network="host")), "network").value


@pytest.mark.parametrize(
    ("version", "status"),
    [
        ("0.14.1", "warning"),
        ("0.15.0", "ok"),
        ("0.29.1+ds1", "ok"),
        ("v1.2", "ok"),
        ("", "warning"),
        ("dev", "warning"),
    ],
)
def test_buildx(host, version, status):
    assert (
        check(host(engine=dataclasses.replace(ENGINE, buildx=version)), "buildx").status == status
    )


def test_the_classic_store(host):
    found = check(host(engine=dataclasses.replace(ENGINE, containerd_store=False)), "image store")
    assert found.status == "absent"
    assert "containerd-snapshotter" in found.remedy


@pytest.mark.parametrize(
    ("said", "status", "value"),
    [
        ("Platforms: linux/amd64", "absent", "linux/amd64; no emulator for linux/arm64"),
        ("Platforms: linux/arm64", "absent", "linux/arm64; no emulator for linux/amd64"),
        ("Platforms: linux/amd64*, linux/arm64", "ok", "linux/amd64, linux/arm64"),
        ("", "absent", "buildx does not say which"),
    ],
)
def test_platforms(host, tmp_path, said, status, value):
    docker = program(tmp_path / "bin", "docker", f'echo "{said}"')
    found = check(host(engine=dataclasses.replace(ENGINE, docker=str(docker))), "platforms")
    assert (found.status, found.value) == (status, value)
    missing = value.partition("emulator for linux/")[2]
    assert found.remedy.endswith(f"dynbuild engine emulate {missing}" if missing else "")


def test_limits(host, monkeypatch):
    monkeypatch.setattr(engine.engine_limits, "of_engine", lambda *_: {})
    assert check(host(), "limits").status == "ok"
    monkeypatch.setattr(engine.engine_limits, "of_engine", lambda *_: {"nofile": 1024, "nproc": 9})
    found = check(host(), "limits")
    assert (found.status, found.value) == ("warning", "at most nofile=1024:1024")
    assert check(host({"DOCKER_HOST": "ssh://build"}), "limits").status == "absent"


@pytest.mark.parametrize(
    ("options", "selinux", "status", "word"),
    [
        ([], "", "ok", "neither"),
        (None, "0", "ok", "neither"),
        (["name=rootless"], "", "warning", "rootless"),
        (["name=selinux"], "1", "warning", "SELinux"),
        ([], "1\n", "ok", "not in containers"),
        (["name=userns"], "", "warning", "maps"),
    ],
)
def test_security(host, options, selinux, status, word):
    made = host(info=INFO | {"SecurityOptions": options}, **{"sys/fs/selinux/enforce": selinux})
    found = check(made, "security")
    assert found.status == status
    assert word in found.value
    assert check(host(engine=MISSING, info={}), "security").status in ("absent", "ok")


# ---- the machine -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("total", "free", "status"),
    [
        (1000, 500, "ok"),
        (1000, 99, "warning"),
        (100, 19, "warning"),
        (100, 21, "ok"),
        (0, 0, "warning"),
    ],
)
def test_disk(host, monkeypatch, total, free, status):
    usage = Usage(total * GB, 0, free * GB)
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: usage)
    assert check(host(), "disk").status == status


def test_the_disk_that_counts_is_the_engines(host, tmp_path):
    made = host(info=INFO | {"DockerRootDir": str(tmp_path / "data" / "not" / "there")})
    (tmp_path / "data").mkdir()
    assert check(made, "disk").value.endswith(f"for {tmp_path / 'data'}")
    assert check(host(engine=MISSING, info={}), "disk").value.endswith(f"for {tmp_path}")
    assert check(host({"DOCKER_HOST": "ssh://build"}), "disk").status == "absent"


@pytest.mark.parametrize(("size", "status"), [(8_000_000, "warning"), (64_000_000, "ok")])
def test_memory(host, size, status):
    text = f"MemTotal:       {size} kB\nMemFree: 1 kB\nMemAvailable:   5000000 kB\n"
    found = check(host(**{"proc/meminfo": text}), "memory")
    assert found.status == status
    assert "4.77 GiB available" in found.value


@pytest.mark.parametrize(("size", "status"), [(64 * 1024**2, "warning"), (1024**3, "ok")])
def test_shared_memory(host, monkeypatch, size, status):
    made = host()
    assert check(made, "shared memory").status == "absent"
    (made.root / "dev/shm").mkdir(parents=True)
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: Usage(size, 0, size))
    assert check(made, "shared memory").status == status


def test_the_user(host, monkeypatch):
    monkeypatch.setattr(machine.os, "getuid", lambda: 0)
    env = {"SUDO_UID": "1000", "SUDO_GID": "1001", "SUDO_USER": "ada"}
    assert check(host(env), "user").value == "uid 1000, gid 1001, root for ada (sudo)"
    assert check(host(), "user").value.endswith(", root")
    assert check(host({"SUDO_UID": "ada"}), "user").status == "warning"


def test_a_user_whom_the_engine_refuses(host, monkeypatch):
    monkeypatch.setattr(machine.os, "getuid", lambda: 1000)
    monkeypatch.setattr(machine.os, "access", lambda *_: False)
    assert check(host(), "user").status == "ok"
    made = host(**{"var/run/docker.sock": ""})
    assert (check(made, "user").status, "usermod" in check(made, "user").remedy) == (
        "warning",
        True,
    )
    assert check(host({"DOCKER_HOST": "ssh://x"}), "user").status == "ok"


def test_certificates(host, tmp_path, monkeypatch):
    monkeypatch.setattr(machine.facts, "_SITE_CERTIFICATES", tmp_path / "site")
    assert check(host(), "certificates").status == "absent"
    own = tmp_path / "own.pem"
    assert check(host({"SSL_CERT_FILE": str(own)}), "certificates").status == "warning"
    own.touch()
    found = check(host({"SSL_CERT_FILE": str(own)}), "certificates")
    assert (found.status, str(own) in found.value) == ("ok", True)


def test_proxies(host):
    assert check(host({"http_proxy": ""}), "proxies").status == "absent"
    found = check(host({"HTTPS_PROXY": "http://ada:horse@p:1", "no_proxy": "a,b"}), "proxies")
    assert found.status == "ok"
    assert found.value == "HTTPS_PROXY=http://<masked, 9 characters>@p:1, no_proxy=a,b"


# ---- GPUs and networks -------------------------------------------------------------------


def test_no_gpu(host):
    assert check(host(), "GPU").status == "absent"
    assert check(host(), "GPU driver").status == "absent"
    assert check(host(), "GPU toolkit").status == "absent"


def test_gpus(host, tmp_path):
    listed = "GPU 0: NVIDIA H100 (UUID: GPU-1)\nGPU 1: NVIDIA H100 (UUID: GPU-2)"
    program(tmp_path / "bin", "nvidia-smi", f"echo '{listed}'")
    assert "no /dev/nvidia0" in check(host(smi=smi()), "GPU").value
    found = check(host(smi=smi(), **{"dev/nvidia0": "", "dev/nvidiactl": ""}), "GPU")
    assert (found.status, found.value) == ("ok", "2 x NVIDIA H100")


def test_a_driver_that_does_not_answer(host):
    failed = smi("NVIDIA-SMI has failed because it could not communicate\n", 9)
    assert check(host(smi=failed), "GPU").status == "absent"
    found = check(host(smi=failed, **{"dev/nvidia0": ""}), "GPU")
    assert found.status == "warning"
    assert "has failed" in found.value
    assert check(host(smi=failed), "GPU driver").status == "absent"


def test_devices_without_the_drivers_tools(host):
    assert check(host(**{"dev/nvidia0": ""}), "GPU").status == "warning"
    assert check(host(**{"dev/nvidiactl": ""}), "GPU").status == "warning"


@pytest.mark.parametrize(
    ("cuda", "status"), [("12.4", "warning"), ("12.8", "ok"), ("12.10", "ok"), ("13.1", "ok")]
)
def test_driver(host, cuda, status):
    found = check(host(smi=smi(SMI.replace("12.9", cuda))), "GPU driver")
    assert (found.status, found.value) == (status, f"575.57.08, for CUDA up to {cuda}")


def test_toolkit(host, tmp_path):
    gpu = {"dev/nvidia0": ""}
    assert check(host(**gpu), "GPU toolkit").status == "warning"
    program(tmp_path / "bin", "nvidia-ctk", "")
    assert "configure" in check(host(**gpu), "GPU toolkit").remedy
    known = INFO | {"Runtimes": {"nvidia": {}}}
    assert check(host(info=known, **gpu), "GPU toolkit").status == "ok"
    found = check(host(info=known, **gpu, **{"etc/cdi/nvidia.yaml": ""}), "GPU toolkit")
    assert "CDI: nvidia.yaml" in found.value


@pytest.mark.parametrize(
    ("versions", "status"),
    [
        (("12.9", "12.9", ""), "ok"),
        (("12.9", "", ""), "ok"),
        (("13.0", "12.9", ""), "warning"),
        (("12.8", "13.0", "12.8.1"), "ok"),
        (("12.8", "13.0", "12.9"), "warning"),
    ],
)
def test_nvcc(host, tmp_path, versions, status):
    release, driver, variable = versions
    program(tmp_path / "bin", "nvcc", f"echo 'tools, release {release}, V{release}.1'")
    said = smi(SMI.replace("12.9", driver)) if driver else None
    assert check(host({"CUDA_VERSION": variable}, smi=said), "nvcc").status == status


def test_rdma_and_efa(host):
    made = host()
    assert check(made, "RDMA").status == "absent"
    assert check(made, "EFA").status == "absent"
    device = made.root / "sys/class/infiniband/rdmap0/device"
    device.mkdir(parents=True)
    module = made.root / "sys/bus/pci/drivers/efa"
    module.mkdir(parents=True)
    (device / "driver").symlink_to(module)
    assert check(made, "RDMA").status == "warning"
    made = host(**{"dev/infiniband/uverbs0": "", "sys/module/efa/version": "2.17.0g\n"})
    assert check(made, "RDMA").value == "rdmap0"
    assert check(made, "EFA").value == "rdmap0, driver 2.17.0g"


# ---- sources, caches, logins -------------------------------------------------------------


def test_git(host, tmp_path):
    tree = support.repository(tmp_path / "tree", "v0.9.0")
    made = dataclasses.replace(host({"PATH": os.environ["PATH"]}), context=tree)
    assert (check(made, "git").status, check(made, "git").value) == (
        "ok",
        "v0.9.0 (git tag v0.9.0)",
    )
    (tree / "new").touch()
    assert "not committed" in check(made, "git").value
    made = dataclasses.replace(made, context=tmp_path / "none", _answers={})
    assert check(made, "git").status == "absent"


def test_a_shallow_clone(host, tmp_path):
    tree = support.repository(tmp_path / "tree")
    support.commit(tree)
    support.git(tmp_path, "clone", "--quiet", "--depth", "1", f"file://{tree}", "copy")
    found = check(
        dataclasses.replace(host({"PATH": os.environ["PATH"]}), context=tmp_path / "copy"), "git"
    )
    assert found.status == "warning"
    assert "--unshallow" in found.remedy


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_aws_credentials_of_variables(host):
    assert check(host(), "S3 cache").status == "absent"
    env = {"AWS_ACCESS_KEY_ID": "AKIDHORSE", "AWS_SECRET_ACCESS_KEY": "correct"}
    found = check(host(env), "S3 cache")
    assert (found.status, found.value) == ("ok", "AWS credentials from variables")
    assert check(host({"AWS_ACCESS_KEY_ID": "x"}), "S3 cache").status == "absent"
    env = {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/x"}
    assert "RELATIVE_URI" in check(host(env), "S3 cache").value


@pytest.mark.parametrize(
    ("text", "profile", "status"),
    [
        ("[default]\naws_access_key_id = horse\n", "", "ok"),
        ("[ada]\naws_access_key_id = horse\n", "", "absent"),
        ("[ada]\naws_access_key_id = horse\n", "ada", "ok"),
        ("[profile ada]\nsso_session = x\n", "ada", "ok"),
        ("[default]\ncredential_process = /bin/false\n", "", "ok"),
        ("[default]\nregion = eu-central-1\n", "", "absent"),
        ("not an ini file", "", "absent"),
    ],
)
def test_aws_credentials_of_files(host, tmp_path, text, profile, status):
    file = "credentials" if "key_id" in text else "config"
    write(tmp_path / ".aws" / file, text)
    found = check(host({"AWS_PROFILE": profile}), "S3 cache")
    assert found.status == status
    assert "horse" not in found.value


def test_the_token_of_hugging_face_is_never_shown(host, tmp_path):
    assert check(host(), "HF token").status == "absent"
    found = check(host({"HF_TOKEN": "hf_horse"}), "HF token")
    assert (found.status, found.value) == ("ok", "present (variable HF_TOKEN)")
    write(tmp_path / ".cache/huggingface/token", "hf_horse")
    found = check(host(), "HF token")
    assert (found.status, "HF_TOKEN" in found.remedy) == ("absent", True)
    assert "horse" not in str(found)


def test_the_cache_of_hugging_face(host, tmp_path, monkeypatch):
    place = tmp_path / "models"
    made = host({"HF_HOME": str(place)})
    assert "mkdir" in check(made, "HF cache").remedy
    (place / "hub").mkdir(parents=True)
    assert check(made, "HF cache").status == "ok"
    monkeypatch.setattr(accounts.os, "access", lambda *_: False)
    assert check(made, "HF cache").status == "warning"


def test_a_finding_that_is_fine_needs_no_remedy(bare, tmp_path):
    env = bare | {"PATH": os.environ["PATH"]}
    for found in examination.examine(env, tmp_path):
        assert not (found.status == "ok" and found.remedy), found


def bucket_env(s3, who="full", **more):
    return s3.env(who) | {
        "SCCACHE_BUCKET": s3_server.BUCKET,
        "SCCACHE_REGION": s3_server.REGION,
        "SCCACHE_ENDPOINT": s3.endpoint,
        "SCCACHE_S3_USE_SSL": "off",
        **more,
    }


@pytest.mark.parametrize(
    ("who", "more", "answer"),
    [
        ("reader", {}, ("ok", "bucket cache answers, credentials from variables")),
        ("nobody", {}, ("warning", "no rights in bucket cache")),
        ("full", {"SCCACHE_BUCKET": "no-such"}, ("warning", "there is no bucket no-such")),
        ("full", {"SCCACHE_BUCKET": "s3://x"}, ("warning", "is no name of a bucket")),
        ("full", {"SCCACHE_ENDPOINT": "127.0.0.1:9"}, ("warning", "nothing answers at")),
    ],
)
def test_the_bucket_is_asked(s3, host, who, more, answer):
    status, said = answer
    found = check(host(bucket_env(s3, who, **more)), "S3 cache")
    assert found.status == status
    assert said in found.value
    assert bool(found.remedy) == (status == "warning")
