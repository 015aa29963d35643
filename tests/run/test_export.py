import csv
import dataclasses
import io
import json
import re
import subprocess

import jsonschema
import kubernetes_validate
import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from dynbuild import masking
from dynbuild.errors import RequestError
from dynbuild.run import launch
from dynbuild.run.export import FORMATS, common, export, k8s, systemd
from dynbuild.run.export import devcontainer as export_devcontainer
from dynbuild.run.gpus import Gpus
from dynbuild.run.request import RunRequest
from tests import support
from tests.run.export_requests import (
    REQUESTS,
    TYPICAL,
    read_unit,
    read_words,
    requests,
    texts,
    unquoted,
    variables,
)

GOLDEN = support.GOLDEN / "export"
FILES = {
    "compose": "compose.yaml",
    "k8s": "pod.yaml",
    "devcontainer": "devcontainer.json",
    "systemd": "worker.service",
}

every_request = pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
every_format = pytest.mark.parametrize("format_", FORMATS)


def made(request, format_, **more):
    return export(request, format_, **{"services": False, **more})


def compose(request, **more):
    return yaml.safe_load(made(request, "compose", **more))


def service(request, **more):
    (name, found) = next(iter(compose(request, **more)["services"].items()))
    assert re.fullmatch("[a-z0-9-]+", name)
    return undollared(found)


def undollared(node):
    """What Compose makes of the texts: ``$$`` is ``$``, and no other dollar may be there."""
    if isinstance(node, dict):
        return {key: undollared(value) for key, value in node.items()}
    if isinstance(node, list):
        return [undollared(value) for value in node]
    if isinstance(node, str):
        assert "$" not in node.replace("$$", "")
        return node.replace("$$", "$")
    return node


def pod(request, **more):
    return yaml.safe_load(made(request, "k8s", **more))


def container(request, **more):
    (found,) = pod(request, **more)["spec"]["containers"]
    return found


def devcontainer(request, **more):
    text = made(request, "devcontainer", **more)
    return json.loads("".join(re.split(r"(?m)^(?!//)", text, maxsplit=1)[1:]))


def comments(text):
    found = []
    for line in text.split("\n"):
        if not line.startswith(("#", "//")):
            return "\n".join(found)
        found.append(line)
    raise AssertionError("nothing but comments")


# Every format


@every_format
def test_a_typical_request_is_as_kept(format_):
    text = made(TYPICAL, format_, services=format_ == "compose", framework="vllm")
    assert text == (GOLDEN / FILES[format_]).read_text(encoding="utf-8")


@every_format
def test_the_file_says_what_made_it(format_):
    assert f"dynbuild run --export {format_}" in made(TYPICAL, format_).split("\n")[0]


@every_format
def test_no_token_comes_that_nobody_asked_for(format_):
    assert "TOKEN" not in made(RunRequest(image="x", hf_token=True), format_)


@every_format
@every_request
def test_a_secret_in_the_file_is_pointed_out_and_not_repeated(format_, request_):
    request = dataclasses.replace(request_, env=("HF_TOKEN=hidden", "TOKENIZERS_PARALLELISM=no"))
    said = comments(made(request, format_))
    assert "-e HF_TOKEN: looks like a secret" in said
    assert "hidden" not in said
    assert "TOKENIZERS" not in said


@every_format
@given(text=texts)
def test_no_value_ends_a_comment(format_, text):
    request = RunRequest(image="x", network=f"a\n{text}", env=(f"B\n{text}",), cpuset_mems=text)
    said = made(request, format_).split("\n")
    assert f"B\n{text}" not in comments("\n".join(said))
    if format_ in ("compose", "k8s"):
        assert yaml.safe_load("\n".join(said))


@every_format
def test_bytes_that_are_no_text_are_refused(format_):
    with pytest.raises(RequestError, match="UTF-8"):
        made(RunRequest(image="x", volumes=("/\udcff:/a",)), format_)


def test_an_unknown_format_is_refused():
    with pytest.raises(RequestError, match="no export format 'helm'") as caught:
        made(TYPICAL, "helm")
    assert "k8s" in caught.value.hint


@pytest.mark.parametrize("format_", ["devcontainer", "systemd"])
def test_services_where_there_is_one_container_are_refused(format_):
    with pytest.raises(RequestError, match="NATS and etcd"):
        made(TYPICAL, format_, services=True)


@pytest.mark.parametrize(
    ("format_", "fields", "said"),
    [
        ("systemd", {"name": "a b"}, "no name for a container"),
        ("compose", {"volumes": ("a:b:c:d",)}, "-v 'a:b:c:d' is no SOURCE:TARGET"),
        ("compose", {"volumes": ("/a:b",)}, "-v '/a:b' is no SOURCE:TARGET"),
        ("k8s", {"volumes": ("~/a:/b",)}, "'~/a' is neither a path nor"),
        ("compose", {"volumes": ("/a:/b:no",)}, "no option 'no'"),
        ("compose", {"ulimits": ("memlock=unlimited",)}, "is no limit, NAME=SOFT"),
        ("compose", {"gpus": "0"}, "names no GPUs"),
        ("k8s", {"gpus": "some"}, "names no GPUs"),
        ("k8s", {"gpus": "colour=red"}, "names no GPUs"),
        ("k8s", {"memory": "much"}, "'much' is no size"),
        ("k8s", {"cpus": "1/2"}, "no number of processors"),
        ("k8s", {"ports": ("http",)}, "no HOST:CONTAINER"),
        ("k8s", {"ports": ("1:70000",)}, "ports are 1 to 65535"),
    ],
)
def test_what_no_engine_takes_is_refused(format_, fields, said):
    with pytest.raises(RequestError) as caught:
        made(dataclasses.replace(TYPICAL, **fields), format_)
    assert said in caught.value.message


def test_no_field_of_the_request_is_forgotten():
    known = """image command gpus runtime network shm_size interactive tty detach restart rm
        privileged env env_files labels docker_args devices volumes long_mounts hosts ports workdir
        user image_user name entrypoint workspace hf_home hf_token nixl_gds gms ulimits ipc
        cap_add groups security_opts memory cpus cpuset_cpus cpuset_mems passed"""
    # A new one needs a place, or a sentence, in every format; then it may stand here.
    assert {field.name for field in dataclasses.fields(RunRequest)} == set(known.split())


@pytest.mark.parametrize("format_", ["compose", "k8s", "devcontainer", "systemd"])
def test_the_gpu_memory_service_shares_its_folder(format_):
    request = RunRequest(image="i", gms=True)
    text = made(request, format_)
    assert "/tmp" in text
    if format_ != "devcontainer":  # which mounts it always
        assert "/tmp" not in made(dataclasses.replace(request, gms=False), format_)


# YAML

nodes = st.recursive(
    texts | st.integers() | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=12,
)


@given(nodes)
@example("yes")
@example({"on": "off", "y": "n", "": "", "1": "1", "~": "~", "a: b": "c #d", "null": {}})
@example({"x" * 1025: {"(" * 2000: ["a"], "b": "c"}, "d": [{"\x85" * 999: "", "e" * 1025: {}}]})
@example([["- a", []], [{"a": [{"b": "\x85\u2028\ufeff\U0001f600\x7f\t\r\n\\"}]}]])
def test_yaml_holds_every_value(node):
    assert yaml.safe_load(common.yaml(node)) == node


@given(texts)
def test_text_shows_what_it_holds(text):
    shown = common.json_text(text)
    assert json.loads(shown) == text
    assert not re.search("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202e\ufeff]", shown)


# GPUs and names


@pytest.mark.parametrize(
    ("text", "gpus"),
    [
        ("all", Gpus()),
        ("-1", Gpus()),
        ("3", Gpus(count=3)),
        ("count=all", Gpus()),
        ("device=0", Gpus(devices=("0",))),
        ('"device=0,GPU-1"', Gpus(devices=("0", "GPU-1"))),
        ("driver=nvidia", Gpus(count=1, driver="nvidia")),
        (
            'all,"capabilities=compute,utility"',
            Gpus(capabilities=("compute", "utility", "gpu")),
        ),
        ('1,"options=a=b,c=d"', Gpus(count=1, options={"a": "b", "c": "d"})),
        ("NONE", None),
    ],
)
def test_gpus_are_read_as_docker_reads_them(text, gpus):
    assert common.gpus(RunRequest(image="x", gpus=text)) == gpus


@given(st.none() | texts, texts)
@example(None, "example.com:5000/Team/Dynamo:v1@sha256:0")
@example("-" * 80, "")
def test_a_name_is_a_label_of_dns(name, image):
    found = common.dns_name(RunRequest(image=image, name=name))
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", found)


def test_a_name_comes_from_the_container_or_its_image():
    image = "example.com:5000/team/dynamo:v1.0@sha256:00"
    assert common.dns_name(RunRequest(image=image)) == "dynamo-v1-0"
    assert common.dns_name(RunRequest(image=image, name="Worker_0")) == "worker-0"


# Compose


@given(requests())
@example(REQUESTS["everything"])
@example(REQUESTS["words"])
def test_compose_says_what_the_request_says(request):
    found = service(request)
    assert found["image"] == request.image
    assert found.get("command", []) == list(request.command)
    assert found.get("container_name") == request.name
    assert found.get("working_dir") == request.workdir
    assert found.get("user") == request.user
    assert found.get("privileged", False) is request.privileged
    assert found.get("tty", False) is request.tty
    assert found.get("stdin_open", False) is request.interactive
    assert found["ipc"] == request.ipc
    assert found["shm_size"] == request.shm_size
    assert found.get("mem_limit", "") == request.memory
    assert found.get("cpus", "") == request.cpus
    assert found.get("cpuset", "") == request.cpuset_cpus
    assert found.get("ports", []) == list(request.ports)
    assert found.get("runtime") == (request.runtime if request.uses_gpus else None)
    pairs = [text.partition("=") for text in found.get("environment", [])]
    passed = {name: value if equals else None for name, equals, value in pairs}
    assert passed == variables(request)
    entrypoint = (
        None if request.entrypoint is None else [request.entrypoint][: bool(request.entrypoint)]
    )
    assert found.get("entrypoint") == entrypoint
    told = {
        (mount.get("source", ""), mount["target"], mount.get("read_only", False))
        for mount in found.get("volumes", [])
    }
    assert told == {(m.source, m.target, m.read_only) for m in common.mounts(request)}


def test_compose_limits_are_numbers():
    assert service(TYPICAL)["ulimits"] == {
        "memlock": -1,
        "stack": 67108864,
        "nofile": {"soft": 65536, "hard": 65536},
    }


def test_compose_names_capabilities_once():
    request = dataclasses.replace(TYPICAL, nixl_gds=True, cap_add=("IPC_LOCK", "NET_ADMIN"))
    assert service(request)["cap_add"] == ["CAP_SYS_PTRACE", "IPC_LOCK", "NET_ADMIN"]


@pytest.mark.parametrize(
    ("gpus", "device"),
    [
        ("all", {"count": "all", "capabilities": ["gpu"]}),
        ("2", {"count": 2, "capabilities": ["gpu"]}),
        ('"device=0,1"', {"device_ids": ["0", "1"], "capabilities": ["gpu"]}),
        ("driver=x,count=2", {"driver": "x", "count": 2, "capabilities": ["gpu"]}),
    ],
)
def test_compose_reserves_the_gpus(gpus, device):
    found = service(dataclasses.replace(TYPICAL, gpus=gpus))
    assert found["deploy"] == {"resources": {"reservations": {"devices": [device]}}}


def test_compose_without_gpus_reserves_none():
    assert not {"deploy", "runtime"} & set(service(dataclasses.replace(TYPICAL, gpus="none")))


@pytest.mark.parametrize("network", ["host", "none", "bridge", "container:other"])
def test_compose_takes_the_mode_of_the_network(network):
    file = compose(dataclasses.replace(TYPICAL, network=network))
    assert file["services"]["worker"]["network_mode"] == network
    assert "networks" not in file


def test_compose_joins_a_network_that_exists():
    file = compose(dataclasses.replace(TYPICAL, network="lab"))
    assert file["services"]["worker"]["networks"] == ["outer"]
    assert file["networks"] == {"outer": {"name": "lab", "external": True}}


def test_compose_keeps_the_names_of_volumes():
    file = compose(dataclasses.replace(TYPICAL, volumes=("cache:/c", "cache:/d:nocopy")))
    assert file["volumes"] == {"cache": {"name": "cache"}}
    mounts = file["services"]["worker"]["volumes"]
    assert [mount["type"] for mount in mounts] == ["volume", "volume", "bind"]
    assert mounts[1]["volume"] == {"nocopy": True}


@pytest.mark.parametrize(("user", "groups"), [("root", None), ("0:0", None), ("ada", ["0"])])
def test_compose_adds_group_0_for_another_user(user, groups):
    assert service(dataclasses.replace(TYPICAL, user=user)).get("group_add") == groups


@pytest.mark.parametrize("network", ["host", "container:other"])
def test_services_of_one_network_namespace_are_on_localhost(network):
    file = compose(dataclasses.replace(TYPICAL, network=network), services=True)["services"]
    assert set(file) == {"worker", "nats", "etcd"}
    assert file["worker"]["depends_on"] == ["nats", "etcd"]
    assert {found["network_mode"] for found in file.values()} == {network}
    assert file["nats"]["image"] == "nats:2.10.28"
    assert file["nats"]["command"] == ["-js"]
    assert "--advertise-client-urls=http://localhost:2379" in file["etcd"]["command"]
    assert not [text for text in file["worker"]["environment"] if text.startswith("NATS")]


@pytest.mark.parametrize("network", ["bridge", "lab"])
def test_services_of_a_bridge_are_found_by_name(network):
    request = dataclasses.replace(TYPICAL, network=network, env=("ETCD_ENDPOINTS=mine",))
    file = compose(request, services=True)["services"]
    assert file["worker"]["environment"] == ["NATS_SERVER=nats://nats:4222", "ETCD_ENDPOINTS=mine"]
    assert not [found for found in file.values() if "network_mode" in found]
    assert len({str(found.get("networks")) for found in file.values()}) == 1


def test_services_leave_their_names_to_themselves():
    assert set(compose(RunRequest(image="nats"), services=True)["services"]) == {
        "nats-main",
        "nats",
        "etcd",
    }


def test_services_on_no_network_are_refused():
    with pytest.raises(RequestError, match="network none"):
        made(dataclasses.replace(TYPICAL, network="none"), "compose", services=True)


# Kubernetes


@every_request
@pytest.mark.parametrize("services", [False, True])
@pytest.mark.parametrize("version", ["1.29", "1.37"])
def test_a_pod_fits_the_schema(request_, services, version):
    kubernetes_validate.validate(pod(request_, services=services), version, strict=True)


@given(requests())
def test_any_pod_fits_the_schema(request):
    kubernetes_validate.validate(pod(request), "1.37", strict=True)


@given(requests())
@example(REQUESTS["everything"])
@example(REQUESTS["words"])
def test_a_pod_says_what_the_request_says(request):
    found = pod(request)
    spec, inside = found["spec"], container(request)
    assert inside["image"] == request.image
    assert inside["workingDir"] == request.workdir
    words = [*([request.entrypoint] if request.entrypoint else []), *request.command]
    told = [*inside.get("command", []), *inside.get("args", [])]
    assert [unexpanded(word) for word in told] == words
    assert len(inside.get("command", [])) == (
        0 if request.entrypoint is None else min(len(words), 1)
    )
    told = {item["name"]: item for item in inside.get("env", [])}
    wanted = {name: value for name, value in variables(request).items() if name != "é"}
    for name, value in wanted.items():
        if value is not None:
            assert unexpanded(told.pop(name)["value"]) == value
        elif masking.secret_name(name):
            key = {"name": f"{found['metadata']['name']}-env", "key": name}
            assert told.pop(name)["valueFrom"] == {"secretKeyRef": key}
        else:
            assert f"-e {name}: there is no caller" in made(request, "k8s")
    assert set(told) <= {"USER", "LOGNAME"}
    assert spec["restartPolicy"] == "Never"
    assert spec.get("hostNetwork", False) is (request.network == "host")
    assert spec.get("hostIPC", False) is (request.ipc == "host")
    assert inside["securityContext"].get("privileged", False) is request.privileged
    assert inside.get("tty", False) is request.tty
    assert inside.get("stdin", False) is request.interactive


def unexpanded(text):
    assert "$" not in text.replace("$$", "")
    return text.replace("$$", "$")


@pytest.mark.parametrize(
    ("gpus", "count", "said"),
    [
        ("all", "1", "has no 'all'"),
        ("3", "3", ""),
        ('"device=0,1"', "2", "Kubernetes chooses which"),
    ],
)
def test_a_pod_asks_for_a_number_of_gpus(gpus, count, said):
    request = dataclasses.replace(TYPICAL, gpus=gpus, memory="64g", cpus="8")
    limits = {"cpu": "8", "memory": "64Gi", "example.com/gpu": count}
    found = container(request, gpu_type="example.com/gpu")
    assert found["resources"] == {"requests": limits, "limits": limits}
    assert said in made(request, "k8s")


def test_a_pod_without_gpus_and_bounds_asks_for_nothing():
    request = dataclasses.replace(TYPICAL, gpus="none")
    assert "resources" not in container(request)
    assert "runtimeClassName" not in made(request, "k8s")


@pytest.mark.parametrize(
    ("size", "quantity"),
    [("10G", "10Gi"), ("512m", "512Mi"), ("1.5gb", "1536Mi"), ("64k", "64Ki"), ("4096", "4Ki"),
     ("4096b", "4Ki"), ("2GiB", "2Gi"), ("1 t", "1Ti")],
)  # fmt: skip
def test_sizes_are_binary_as_in_docker(size, quantity):
    assert k8s.quantity(size) == quantity


def test_a_pod_has_shared_memory_of_its_own():
    request = dataclasses.replace(TYPICAL, shm_size="2G")
    (volume,) = (v for v in pod(request)["spec"]["volumes"] if v["name"] == "shm")
    assert volume["emptyDir"] == {"medium": "Memory", "sizeLimit": "2Gi"}
    assert {"name": "shm", "mountPath": "/dev/shm"} in container(request)["volumeMounts"]


def test_a_pod_mounts_shared_memory_once():
    request = dataclasses.replace(TYPICAL, volumes=("/dev/shm:/dev/shm/",))
    places = [place["mountPath"] for place in container(request)["volumeMounts"]]
    assert places[0] == "/dev/shm/"
    assert "/dev/shm" not in places


def test_a_pod_mounts_what_the_request_mounts():
    request = RunRequest(
        image="x", volumes=("/a:/b:ro", "/a:/c", "My_cache:/d", "/e", "./f:/f", "/g/../h:/h")
    )
    places = {place["mountPath"]: place for place in container(request)["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod(request)["spec"]["volumes"]}
    assert set(places) == {"/dev/shm", "/b", "/c", "/d", "/e"}
    assert places["/b"]["readOnly"] is True
    assert "readOnly" not in places["/c"]
    assert places["/b"]["name"] == places["/c"]["name"]
    assert volumes[places["/b"]["name"]]["hostPath"] == {"path": "/a"}
    assert volumes[places["/d"]["name"]]["persistentVolumeClaim"] == {"claimName": "my-cache"}
    assert volumes[places["/e"]["name"]]["emptyDir"] == {}
    said = comments(made(request, "k8s"))
    assert "-v ./f:/f: left out" in said
    assert "-v /g/../h:/h: left out" in said


@pytest.mark.parametrize(
    ("user", "ids", "said"),
    [
        (None, (1000, 0), ""),
        ("dynamo", (1000, 0), ""),
        ("root", (0, 0), ""),
        ("1234", (1234, 0), ""),
        ("1234:5678", (1234, 5678), ""),
        ("ada", (1000, 0), "not 'ada'"),
        ("1:staff", (1, 0), "not 'staff'"),
    ],
)
def test_a_pod_has_a_user_of_group_0(user, ids, said):
    request = dataclasses.replace(TYPICAL, user=user)
    context = pod(request)["spec"]["securityContext"]
    assert (context["runAsUser"], context["runAsGroup"], context["fsGroup"]) == (*ids, 0)
    assert said in made(request, "k8s")


@pytest.mark.parametrize(
    ("image_user", "context"),
    [
        ("root", {"runAsUser": 0, "runAsGroup": 0, "fsGroup": 0}),
        ("dynamo", {"runAsUser": 1000, "runAsGroup": 0, "fsGroup": 0}),
        (None, {"fsGroup": 0}),
    ],
)
def test_a_pod_runs_as_the_image_does(image_user, context):
    request = RunRequest(image="x", image_user=image_user)
    assert pod(request)["spec"]["securityContext"] == context
    there = {item["name"]: item["value"] for item in container(request).get("env", [])}
    named = {} if image_user == "root" else {"USER": "dynamo", "LOGNAME": "dynamo"}
    assert there == named


def test_a_number_that_no_image_has_a_name_for_is_its_name():
    request = RunRequest(image="x", user="54321", env=("LOGNAME=ada",))
    told = {item["name"]: item["value"] for item in container(request)["env"]}
    assert told == {"LOGNAME": "ada", "USER": "54321"}
    assert service(request)["environment"] == ["LOGNAME=ada", "USER=54321"]
    assert devcontainer(request)["containerEnv"] == told
    assert "-e USER=54321" in made(request, "systemd")


MORE = RunRequest(
    image="x",
    gpus="nvidia.com/gpu=all",
    detach=True,
    rm=False,
    restart="on-failure:3",
    env_files=("/etc/worker.env",),
    labels=("team=serving", "note=two words", "Bad Name=1"),
    docker_args=("--sysctl=net.core.somaxconn=1024",),
    devices=("/dev/infiniband",),
    long_mounts=("type=tmpfs,target=/t,tmpfs-size=64m", "type=bind,source=/a:b,target=/b,ro"),
    hosts=("store=10.0.0.7", "up:host-gateway"),
    groups=("44", "video"),
    security_opts=("no-new-privileges", "seccomp=unconfined", "label=disable"),
)


def test_compose_has_the_further_options():
    found = service(MORE)
    assert found["devices"] == ["nvidia.com/gpu=all", "/dev/infiniband"]
    assert "runtime" not in found
    assert "deploy" not in found
    assert found["restart"] == "on-failure:3"
    assert found["env_file"] == ["/etc/worker.env"]
    assert found["labels"] == list(MORE.labels)
    assert found["group_add"] == ["44", "video"]
    assert found["extra_hosts"] == ["store=10.0.0.7", "up=host-gateway"]
    assert found["security_opt"] == list(MORE.security_opts)
    assert found["volumes"] == [
        {"type": "tmpfs", "target": "/t", "tmpfs": {"size": "64m"}},
        {
            "type": "bind",
            "source": "/a:b",
            "target": "/b",
            "read_only": True,
            "bind": {"create_host_path": False},
        },
    ]
    said = comments(made(MORE, "compose"))
    assert "--docker-arg --sysctl=net.core.somaxconn=1024: left out" in said
    assert "docker compose up -d" in said


def test_a_pod_has_the_further_options():
    found, inside = pod(MORE), container(MORE)
    spec = found["spec"]
    assert spec["restartPolicy"] == "OnFailure"
    assert spec["hostAliases"] == [{"ip": "10.0.0.7", "hostnames": ["store"]}]
    assert spec["securityContext"] == {"supplementalGroups": [44], "fsGroup": 0}
    assert found["metadata"]["labels"] == {"team": "serving"}
    assert found["metadata"]["annotations"] == {"note": "two words"}
    assert inside["envFrom"] == [{"secretRef": {"name": "x-file"}}]
    assert inside["securityContext"]["allowPrivilegeEscalation"] is False
    assert inside["securityContext"]["seccompProfile"] == {"type": "Unconfined"}
    assert inside["resources"]["limits"] == {"nvidia.com/gpu": "1"}
    assert {"medium": "Memory", "sizeLimit": "64Mi"} in [
        volume.get("emptyDir") for volume in spec["volumes"]
    ]
    said = comments(made(MORE, "k8s"))
    for left in (
        "--device /dev/infiniband",
        "--docker-arg --sysctl=net.core.somaxconn=1024",
        "--label Bad Name",
        "--add-host up",
        "--group-add video",
        "--security-opt label=disable",
        "kubectl create secret generic x-file --from-env-file=/etc/worker.env",
    ):
        assert left in said
    kubernetes_validate.validate(found, "1.37", strict=True)


def test_a_devcontainer_has_the_further_options():
    found = devcontainer(MORE)
    for word in (
        "--device=nvidia.com/gpu=all",
        "--device=/dev/infiniband",
        "--env-file=/etc/worker.env",
        "--sysctl=net.core.somaxconn=1024",
        "--group-add=video",
        "--add-host=store=10.0.0.7",
        "--security-opt=no-new-privileges",
        "--label=team=serving",
    ):
        assert word in found["runArgs"]
    assert "-d" not in found["runArgs"]
    assert "source=/a:b,target=/b,type=bind,readonly" in found["mounts"]
    assert "target=/t,type=tmpfs,tmpfs-size=64m" in found["mounts"]


def test_a_unit_restarts_by_itself_and_not_by_docker_too():
    unit = read_unit(made(MORE, "systemd"))
    assert unit["Restart"] == ["on-failure"]
    words = read_words(unit["ExecStart"][0])
    assert not {"-d", "--restart"} & set(words)
    assert words[words.index("--mount") + 1] == "type=tmpfs,target=/t,tmpfs-size=64m"
    assert "--sysctl=net.core.somaxconn=1024" in words
    always = dataclasses.replace(MORE, restart="unless-stopped")
    assert read_unit(made(always, "systemd"))["Restart"] == ["always"]


@pytest.mark.parametrize("format_", FORMATS)
def test_a_secret_is_known_by_its_form_too(format_):
    token = "ghp_" + "a1B2" * 9
    said = comments(made(dataclasses.replace(TYPICAL, env=(f"X={token}",)), format_))
    assert "-e X: looks like a secret" in said
    assert token not in said


def test_a_pod_adds_capabilities_without_their_prefix():
    request = dataclasses.replace(TYPICAL, nixl_gds=True, cap_add=("CAP_SYS_NICE", "SYS_PTRACE"))
    added = container(request)["securityContext"]["capabilities"]["add"]
    assert added == ["SYS_PTRACE", "IPC_LOCK", "SYS_NICE"]


def test_a_pod_opens_the_ports_of_the_container():
    request = RunRequest(
        image="x", network="bridge", ports=("80:8000", "0.0.0.0:1-2:1-2/udp", "9", "81:8000")
    )
    assert container(request)["ports"] == [
        {"containerPort": 8000, "protocol": "TCP"},
        {"containerPort": 1, "protocol": "UDP"},
        {"containerPort": 2, "protocol": "UDP"},
        {"containerPort": 9, "protocol": "TCP"},
    ]
    assert "kubectl port-forward pod/x" in made(request, "k8s")


def test_an_empty_entrypoint_gives_way_to_the_command():
    request = RunRequest(image="x", entrypoint="", command=("a", "b"))
    assert (container(request)["command"], container(request)["args"]) == (["a"], ["b"])
    bare = dataclasses.replace(request, command=())
    assert "command" not in container(bare)
    assert "--entrypoint ''" in comments(made(bare, "k8s"))


def test_a_pod_says_what_it_cannot_do():
    said = comments(made(REQUESTS["everything"], "k8s"))
    for word in ("--ulimit core=0", "--runtime crun", "--network lab", "--ipc shareable",
                 "--cpuset-cpus 0-15", "--cpuset-mems 0", "without rslave"):  # fmt: skip
        assert word in said
    assert "--rm" not in said
    assert "--rm" in comments(made(TYPICAL, "k8s"))
    assert "--network container:other" in comments(made(REQUESTS["beside"], "k8s"))


def test_services_of_a_pod_are_sidecars():
    beside = pod(TYPICAL, services=True)["spec"]["initContainers"]
    assert [(found["image"], found["restartPolicy"]) for found in beside] == [
        ("nats:2.10.28", "Always"),
        ("quay.io/coreos/etcd:v3.5.21", "Always"),
    ]
    assert "initContainers" not in pod(TYPICAL)["spec"]


# Devcontainer


@given(requests())
@example(REQUESTS["everything"])
@example(REQUESTS["words"])
def test_a_devcontainer_says_what_the_request_says(request):
    found = devcontainer(request)
    assert found["image"] == request.image
    assert found["workspaceFolder"] == request.workdir
    assert found["remoteUser"] == (request.user or "dynamo").partition(":")[0]
    wanted = variables(request)
    assert found.get("containerEnv", {}) == {k: v for k, v in wanted.items() if v is not None}
    passed = {k: f"${{localEnv:{k}}}" for k, v in wanted.items() if v is None}
    assert found.get("remoteEnv", {}) == passed
    told = set()
    for line in found["mounts"][3:]:
        (fields,) = csv.reader(io.StringIO(line, newline=""), strict=True)
        words = dict.fromkeys(("source", "target", "type", "readonly"), "")
        words |= {
            name: value or name for name, _, value in (field.partition("=") for field in fields)
        }
        told.add((words["source"], words["target"], words["readonly"] == "readonly"))
    asked = [
        m for m in common.mounts(request) if m.target.rstrip("/") not in ("/workspace", "/tmp")
    ]
    folder = "${localWorkspaceFolder}/"
    assert told == {
        (f"{folder * m.source.startswith('.')}{m.source}", m.target, m.read_only) for m in asked
    }


_TEXTS = {"type": "array", "items": {"type": "string"}}
_VALUES = {"type": "object", "additionalProperties": {"type": ["string", "null"]}}
# The names and types of the published schema (containers.dev, devContainer.base.schema.json)
# of what the export may use; a name that is not among them would be ignored by the tools.
DEVCONTAINER = {
    "type": "object",
    "required": ["image"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string"},
        "image": {"type": "string"},
        "remoteUser": {"type": "string"},
        "containerUser": {"type": "string"},
        "updateRemoteUserUID": {"type": "boolean"},
        "overrideCommand": {"type": "boolean"},
        "privileged": {"type": "boolean"},
        "init": {"type": "boolean"},
        "runArgs": _TEXTS,
        "capAdd": _TEXTS,
        "workspaceFolder": {"type": "string"},
        "workspaceMount": {"type": "string"},
        "mounts": _TEXTS,
        "containerEnv": _VALUES,
        "remoteEnv": _VALUES,
        "userEnvProbe": {
            "enum": ["none", "loginShell", "loginInteractiveShell", "interactiveShell"]
        },
        "postCreateCommand": {"type": ["string", "array", "object"]},
        "forwardPorts": {"type": "array", "items": {"type": ["integer", "string"]}},
        "appPort": {"type": ["integer", "string", "array"]},
        "customizations": {"type": "object"},
    },
}


@given(requests())
def test_a_devcontainer_has_the_shape_of_its_schema(request):
    jsonschema.validate(devcontainer(request), DEVCONTAINER)


def test_a_devcontainer_has_the_options_of_the_launcher():
    assert devcontainer(RunRequest(image="x"))["runArgs"] == [
        "--gpus=all",
        "--network=host",
        "--runtime=nvidia",
        "--shm-size=10G",
        "--ulimit=memlock=-1",
        "--ulimit=stack=67108864",
        "--ulimit=nofile=65536:65536",
        "--cap-add=CAP_SYS_PTRACE",
        "--ipc=host",
    ]


def test_every_option_of_the_launcher_is_an_argument_or_a_key():
    request = REQUESTS["everything"]
    found = devcontainer(request)
    told = [word for option in found["runArgs"] for word in option.split("=", 1)]
    elsewhere = {"-it", "-e", "-v", "-w", "--entrypoint"}
    options = launch.argv(request)[2 : -1 - len(request.command)]
    missing = {
        word.split("=")[0]
        for word in options
        if word.startswith("-") and word.split("=")[0] not in told
    }
    assert missing == elsewhere


def test_a_devcontainer_mounts_the_tree_it_is_opened_on():
    found = devcontainer(dataclasses.replace(TYPICAL, workspace="/src"))
    assert found["workspaceMount"].startswith("source=${localWorkspaceFolder},target=/workspace,")
    assert not [mount for mount in found["mounts"] if "target=/workspace" in mount]


def test_a_devcontainer_mounts_what_the_request_mounts():
    request = RunRequest(image="x", volumes=("/a,b:/c:ro", "cache:/d", "./e:/e", "/tmp:/tmp"))
    assert devcontainer(request)["mounts"][2:] == [
        "source=/tmp/,target=/tmp/,type=bind",
        '"source=/a,b",target=/c,type=bind,readonly',
        "source=cache,target=/d,type=volume",
        "source=${localWorkspaceFolder}/./e,target=/e,type=bind",
    ]


def test_a_devcontainer_is_named_after_the_framework():
    assert devcontainer(TYPICAL, framework="sglang")["name"] == "Dynamo SGLANG Dev Container"
    assert devcontainer(TYPICAL)["name"] == "Dynamo Dev Container"


def test_a_devcontainer_runs_the_script_of_a_tree_that_has_one():
    def found(**more):
        text = export_devcontainer.render(TYPICAL, framework="", **more)
        return json.loads(text[text.index("{\n") :])

    whole = found()
    assert whole.pop("postCreateCommand") == "/bin/bash /workspace/.devcontainer/post-create.sh"
    assert found(post_create=False) == whole


def test_a_devcontainer_names_the_command_that_made_it():
    text = export_devcontainer.render(TYPICAL, framework="", made_by="a\nb")
    assert text.splitlines()[0] == "// Made by `a\\u000ab`."


def test_a_devcontainer_says_what_it_cannot_do():
    request = dataclasses.replace(REQUESTS["everything"], env=("A=${localEnv:B}",))
    said = comments(made(request, "devcontainer"))
    for word in ("--entrypoint", "The command", "-i, -t", "no way to escape", "without rslave"):
        assert word in said


# systemd


@given(requests())
@example(REQUESTS["everything"])
@example(REQUESTS["words"])
def test_a_unit_runs_the_command_of_the_launcher(request):
    unit = read_unit(made(request, "systemd"))
    name = request.name or common.dns_name(request)
    wanted = launch.argv(dataclasses.replace(request, interactive=False, tty=False, name=name))
    assert [read_words(line) for line in unit["ExecStart"]] == [list(wanted)]
    assert [read_words(line) for line in unit["ExecStop"]] == [["docker", "stop", name]]
    passed = None in variables(request).values()
    assert ("EnvironmentFile" in unit) is passed


def test_a_unit_starts_after_docker_and_again_after_a_failure():
    unit = read_unit(made(TYPICAL, "systemd"))
    assert unit["Restart"] == ["on-failure"]
    assert unit["After"] == ["docker.service network-online.target"]
    assert unit["WantedBy"] == ["multi-user.target"]


def test_a_unit_has_no_terminal():
    text = made(dataclasses.replace(TYPICAL, interactive=True, tty=True), "systemd")
    assert "# -i, -t: left out" in text
    assert "-it" not in read_words(read_unit(text)["ExecStart"][0])


@pytest.mark.parametrize(
    ("word", "quoted"),
    [
        ("--gpus", "--gpus"),
        ("a=b", "a=b"),
        ("", '""'),
        (";", '";"'),
        ("a b", '"a b"'),
        ('a"\\b', '"a\\"\\\\b"'),
        ("50%", "50%%"),
        ("$A ${A}", '"$$A $${A}"'),
        ("a\nb", '"a\\x0ab"'),
        ("#", '"#"'),
    ],
)
def test_words_are_quoted_by_the_rules_of_systemd(word, quoted):
    assert systemd.quoted(word) == quoted


def verify(tmp_path, text, level):
    """systemd's word on a unit, with another program, as there may be no docker here."""
    (tmp_path / "docker.service").write_text("[Service]\nExecStart=/bin/true\n")
    unit = tmp_path / "worker.service"
    unit.write_text(re.sub("=(-?)docker ", r"=\1/bin/true ", text), encoding="utf-8")
    return subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(unit)],
        env=support.ENV | {"SYSTEMD_UNIT_PATH": f"{tmp_path}:", "SYSTEMD_LOG_LEVEL": level},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


@pytest.mark.processes("systemd-analyze")
@every_request
def test_systemd_takes_the_unit(request_, tmp_path):
    done = verify(tmp_path, made(request_, "systemd"), "warning")
    assert "worker.service" not in done.stderr
    assert done.returncode == 0, done.stderr


@pytest.mark.processes("systemd-analyze")
@every_request
def test_systemd_reads_the_words_of_the_launcher(request_, tmp_path):
    request = dataclasses.replace(request_, interactive=False, tty=False, name="worker")
    shown = verify(tmp_path, made(request, "systemd"), "debug").stdout
    found = re.search(r"(?m)^\s*Command Line: /bin/true (run .*)$", shown)
    if not found:
        pytest.skip("this systemd does not show what it read")
    # Variables are replaced when the process starts, and not yet in what is shown.
    told = [word.replace("$$", "$") for word in unquoted(found[1])]
    assert told == list(launch.argv(request)[1:])
