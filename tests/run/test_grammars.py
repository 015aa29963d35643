"""The options with a small grammar each, and devices."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynbuild.errors import RequestError
from dynbuild.run import devices, grammars, user
from dynbuild.run.devices import Device
from dynbuild.run.grammars import Host
from dynbuild.settings import csv_fields


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("store:10.0.0.7", Host("store", "10.0.0.7")),
        ("store=10.0.0.7", Host("store", "10.0.0.7")),
        ("six:[::1]", Host("six", "::1")),
        ("six:::1", Host("six", "::1")),
        ("up:host-gateway", Host("up", "host-gateway")),
    ],
)
def test_names_of_hosts(text, host):
    assert grammars.host(text) == host


@pytest.mark.parametrize("text", ["", "store", "store:", ":1.2.3.4", "a b:1.2.3.4", "a:1.2.3"])
def test_what_is_no_name_of_a_host(text):
    with pytest.raises(RequestError, match="is no NAME:ADDRESS"):
        grammars.host(text)


@pytest.mark.parametrize(
    ("text", "device"),
    [
        ("/dev/infiniband", Device("/dev/infiniband", "/dev/infiniband")),
        ("/dev/a:/dev/b", Device("/dev/a", "/dev/b")),
        ("/dev/a:rw", Device("/dev/a", "/dev/a", "rw")),
        ("/dev/a:/dev/b:rwm", Device("/dev/a", "/dev/b", "rwm")),
        ("nvidia.com/gpu=0", Device("nvidia.com/gpu=0")),
        (
            "k8s.device-plugin.nvidia.com/gpu=GPU-1",
            Device("k8s.device-plugin.nvidia.com/gpu=GPU-1"),
        ),
    ],
)
def test_devices(text, device):
    assert devices.parse(text) == device


@pytest.mark.parametrize(
    "text", ["", "gpu", "dev/a", "/dev/a:/dev/b:/dev/c", "/dev/a:b", "/dev/a:rr", "nvidia.com/gpu"]
)
def test_what_is_no_device(text):
    with pytest.raises(RequestError, match="--device"):
        devices.parse(text)


@pytest.mark.parametrize("text", ["no", "always", "unless-stopped", "on-failure", "on-failure:3"])
def test_policies_of_restart(text):
    grammars.restart(text)


@pytest.mark.parametrize("text", ["", "yes", "on-failure:", "on-failure:x", "always:3", "no\n"])
def test_what_is_no_policy_of_restart(text):
    with pytest.raises(RequestError, match="is no policy"):
        grammars.restart(text)


@pytest.mark.parametrize("text", ["", "-", "--", "ubuntu", "a=b"])
def test_what_docker_would_take_for_the_image_is_refused(text):
    with pytest.raises(RequestError, match="is no option of docker run"):
        grammars.docker_argument(text)


@pytest.mark.parametrize("text", ["", "a:b", "99999999999"])
def test_what_is_no_group(text):
    with pytest.raises(RequestError, match="is no group"):
        user.parse_group(text)
    assert user.parse_group("44") == "44"


@given(st.lists(st.text(), min_size=1, max_size=4))
def test_a_record_reads_back(texts):
    text = csv_fields.joined(texts)
    # An empty text has no field, and one empty field is written as one.
    assert csv_fields.read(text) == (texts if text else [])


@given(st.text())
def test_any_text_is_a_device_or_refused(text):
    try:
        device = devices.parse(text)
    except RequestError:
        return
    assert text.startswith(device.source)


@pytest.mark.parametrize(
    "text", ["no-new-privileges", "no-new-privileges:true", "label=disable", "seccomp=/x.json"]
)
def test_options_of_security(text):
    grammars.security(text)


@pytest.mark.parametrize("text", ["", "x", "seccomp", "label=", "no-new-privileges=", "unconfined"])
def test_what_is_no_option_of_security(text):
    with pytest.raises(RequestError, match="is no option"):
        grammars.security(text)


@pytest.mark.parametrize("text", ["SYS_ADMIN", "cap_sys_admin", "all", "CAP_CHECKPOINT_RESTORE"])
def test_capabilities(text):
    grammars.capability(text)


@pytest.mark.parametrize("text", ["", "SYS_ADMINS", "CAP_", "SYS-ADMIN", "SYS_ADMIN,KILL"])
def test_what_is_no_capability(text):
    with pytest.raises(RequestError, match="is no capability"):
        grammars.capability(text)


def test_the_hint_for_a_capability_names_the_nearest():
    with pytest.raises(RequestError) as caught:
        grammars.capability("SYS_ADMN")
    assert "did you mean 'SYS_ADMIN'" in caught.value.hint
