"""Compose itself reads the exported files; it needs no engine for that."""

from __future__ import annotations

import json
import os
import subprocess

import pytest
from hypothesis import HealthCheck, given, settings

from dynbuild.addresses import public
from dynbuild.engine import packages
from dynbuild.errors import NotReady, ToolFailed
from dynbuild.run.export import common, export
from dynbuild.run.request import Passed, RunRequest
from tests import support
from tests.run.export_requests import REQUESTS, requests, variables

pytestmark = pytest.mark.engine

# Debian's name and Ubuntu's; Debian 12's docker-compose is another program, in Python.
PACKAGES = (("testing", "docker-compose"), ("", "docker-compose-v2"))
MIB = 1 << 20


@pytest.fixture(scope="session")
def compose(tmp_path_factory):
    """Compose of the distribution, downloaded anew in each run of the tests."""
    return download(tmp_path_factory.mktemp("compose"))


def download(work):
    source = packages.main_source(os.environ)
    reasons = []
    for suite, package in PACKAGES:
        try:
            packages.unpack(source.line(suite or None), work / package, os.environ, (package,), ())
        except (NotReady, ToolFailed) as error:
            reasons.append(f"{package}: {error.message} {error.details}")
            continue
        if program := packages.program(work / package / "root", "docker-compose"):
            return program
        reasons.append(f"{package}: it contains no docker-compose")
    pytest.fail(f"no suite of {public(source.uri)} has Compose: {reasons}")


def read(compose, text, **env):
    """The file as Compose reads it, in Compose's own spelling."""
    done = subprocess.run(
        [compose, "--project-name", "test", "--file", "-", "config", "--format", "json"],
        input=text,
        env={"PATH": os.defpath, "HOME": "/dev/null/absent", **env},
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )
    assert done.returncode == 0, f"{done.stderr}\n{text}"
    assert "variable is not set" not in done.stderr
    return json.loads(done.stdout)


def undollared(text):
    # What Compose prints is a file again, and so has its dollars doubled.
    return text.replace("$$", "$")


def compare(found, request):
    assert found["image"] == request.image
    # Compose writes null for a list that is missing or empty.
    assert [undollared(word) for word in found["command"] or []] == list(request.command)
    words = [request.entrypoint] if request.entrypoint else []
    assert [undollared(word) for word in found["entrypoint"] or []] == words
    told = {
        name: None if v is None else undollared(v)
        for name, v in found.get("environment", {}).items()
    }
    assert told == {
        name: "passed" if value is None else value for name, value in variables(request).items()
    }
    assert undollared(found.get("working_dir", "")) == request.workdir
    assert found.get("privileged", False) is request.privileged
    assert found.get("tty", False) is request.tty
    assert found.get("stdin_open", False) is request.interactive
    assert found.get("user") == request.user
    assert found["ipc"] == request.ipc
    assert found.get("cpuset", "") == request.cpuset_cpus
    assert float(found.get("cpus", 0)) == float(request.cpus or 0)


def passed(request):
    return {name: "passed" for name, value in variables(request).items() if value is None}


@pytest.mark.parametrize(
    ("name", "services"),
    [
        (name, services)
        for name, request in REQUESTS.items()
        for services in (False, True)
        # Services on no network are refused.
        if not (services and request.network == "none")
    ],
)
def test_compose_reads_the_file(compose, name, services):
    request_ = REQUESTS[name]
    file = read(compose, export(request_, "compose", services=services), **passed(request_))
    found = file["services"].pop(common.dns_name(request_))
    assert set(file["services"]) == ({"nats", "etcd"} if services else set())
    if services and "NATS_SERVER" in found.get("environment", {}):
        del found["environment"]["NATS_SERVER"], found["environment"]["ETCD_ENDPOINTS"]
    compare(found, request_)


def test_compose_reads_everything(compose):
    request = REQUESTS["everything"]
    file = read(compose, export(request, "compose", services=False), **passed(request))
    found = file["services"]["worker-0"]
    assert file["networks"]["outer"] == {"name": "lab", "ipam": {}, "external": True}
    assert file["volumes"] == {"cache": {"name": "cache"}}
    assert found["container_name"] == "worker_0"
    assert int(found["mem_limit"]) == 64 * 1024 * MIB
    assert int(found["shm_size"]) == 512 * MIB
    # Compose prints no zero: nothing is 0, soft and hard.
    assert found["ulimits"] == {"core": {}, "nofile": {"soft": 1024, "hard": 65536}}
    assert found["cap_add"] == ["CAP_SYS_PTRACE", "IPC_LOCK", "NET_ADMIN", "CAP_SYS_NICE"]
    assert found["group_add"] == ["0"]
    assert found["runtime"] == "crun"
    (device,) = found["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"device_ids": ["0", "GPU-1"], "capabilities": ["gpu"]}
    ports = [(p.get("host_ip"), p["published"], p["target"], p["protocol"]) for p in found["ports"]]
    assert ports == [
        (None, "8000", 8000, "tcp"),
        *(("127.0.0.1", str(port), port, "udp") for port in (9000, 9001, 9002)),
    ]
    mounts = [(m["type"], m.get("source"), m["target"], m.get("read_only", False))
              for m in found["volumes"]]  # fmt: skip
    assert mounts == [
        ("bind", "/a", "/b", True),
        ("volume", "cache", "/c", False),
        ("volume", None, "/d", False),
        ("bind", "/e", "/e", False),
        ("bind", "/src tree", "/workspace", False),
        ("bind", "/tmp", "/tmp", False),
        ("bind", "/mnt/", "/mnt", False),
        ("bind", "/hf", "/home/dynamo/.cache/huggingface", False),
        ("bind", "/run/udev", "/run/udev", True),
    ]
    assert found["volumes"][0]["bind"]["propagation"] == "rslave"
    assert found["volumes"][3]["bind"]["selinux"] == "z"


@pytest.mark.parametrize(("gpus", "count"), [("all", -1), ("2", 2)])
def test_compose_counts_gpus(compose, gpus, count):
    request = RunRequest(image="x", gpus=gpus)
    file = read(compose, export(request, "compose", services=False))
    (device,) = file["services"]["x"]["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"count": count, "capabilities": ["gpu"]}


def test_compose_reads_the_further_options(compose, tmp_path):
    file = tmp_path / "worker.env"
    file.write_text("WORD=1\n")
    request = RunRequest(
        image="x",
        gpus="nvidia.com/gpu=all",
        rm=False,
        restart="on-failure:3",
        env_files=(str(file),),
        labels=("team=serving", "bare"),
        devices=("/dev/infiniband", "/dev/a:/dev/b:r"),
        long_mounts=("type=tmpfs,target=/t,tmpfs-size=64m", "type=bind,source=/a:b,target=/b,ro"),
        hosts=("store=10.0.0.7", "six:::1", "up:host-gateway"),
        groups=("44", "video"),
        security_opts=("no-new-privileges", "seccomp=unconfined"),
        passed=(Passed(flag="--init", value=True, compose="init"),),
    )
    found = read(compose, export(request, "compose", services=False))["services"]["x"]
    assert [device["source"] for device in found["devices"]] == [
        *("nvidia.com/gpu=all", "/dev/infiniband", "/dev/a"),
    ]  # fmt: skip
    assert found["restart"] == "on-failure:3"
    assert found["environment"] == {"WORD": "1"}
    assert found["labels"] == {"team": "serving", "bare": ""}
    assert found["group_add"] == ["44", "video"]
    assert found["security_opt"] == list(request.security_opts)
    assert found["init"] is True
    assert sorted(found["extra_hosts"]) == ["six=::1", "store=10.0.0.7", "up=host-gateway"]
    tmpfs, bind = found["volumes"]
    assert (tmpfs["type"], int(tmpfs["tmpfs"]["size"])) == ("tmpfs", 64 * MIB)
    assert (bind["source"], bind["target"], bind["read_only"]) == ("/a:b", "/b", True)
    assert not bind["bind"].get("create_host_path")


@settings(
    support.hypothesis.settings(),
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(request=requests())
def test_compose_reads_any_text(compose, request):
    file = read(compose, export(request, "compose", services=False), **passed(request))
    compare(file["services"][common.dns_name(request)], request)
