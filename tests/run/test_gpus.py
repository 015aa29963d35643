"""The one grammar of --gpus; what its values mean on a machine is in test_numa.py."""

import csv
import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dynbuild.errors import RequestError
from dynbuild.run import gpus
from dynbuild.run.gpus import Gpus


@pytest.mark.parametrize(
    ("spec", "selection"),
    [
        ("all", Gpus()),
        ("2", Gpus(count=2)),
        ("-1", Gpus()),
        ("count=3", Gpus(count=3)),
        ("count=all,driver=nvidia", Gpus(driver="nvidia")),
        ("driver=nvidia", Gpus(count=1, driver="nvidia")),
        ("", Gpus(count=1)),
        ("none", Gpus(count=0)),
        ("NONE", Gpus(count=0)),
        ("device=0", Gpus(devices=("0",))),
        ("device=0,2", Gpus(devices=("0", "2"), unquoted=True)),
        ('"device=0,2"', Gpus(devices=("0", "2"))),
        (
            '"device=0,2","capabilities=compute,utility"',
            Gpus(devices=("0", "2"), capabilities=("compute", "utility", "gpu")),
        ),
        ("device=1,driver=nvidia", Gpus(devices=("1",), driver="nvidia")),
        ("device=GPU-a", Gpus(devices=("GPU-a",))),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_grammar_of_docker(spec, selection):
    assert gpus.parse(spec) == selection


@pytest.mark.parametrize("spec", ["two", "device=", "gpu=0", "count=x", "ALL", "-2"])
def test_what_names_no_gpus(spec):
    with pytest.raises(RequestError) as caught:
        gpus.parse(spec)
    assert caught.value.message == f"--gpus '{spec}' names no GPUs"
    assert caught.value.hint.startswith("all, a number, device=0, '\"device=0,2\"'")


@pytest.mark.parametrize(
    ("spec", "devices"),
    [
        ("device=0:1", ("0:1",)),
        ("device=MIG-4c1f", ("MIG-4c1f",)),
        ("device=MIG-GPU-5c3e/3/0", ("MIG-GPU-5c3e/3/0",)),
        ("device=nvidia.com/gpu=all", ("nvidia.com/gpu=all",)),
        ('"device=nvidia.com/gpu=0,nvidia.com/gpu=1"', ("nvidia.com/gpu=0", "nvidia.com/gpu=1")),
        ("driver=cdi,device=nvidia.com/gpu=0", ("nvidia.com/gpu=0",)),
    ],
)
def test_slices_and_cdi_names_are_devices(spec, devices):
    assert gpus.parse(spec).devices == devices


@pytest.mark.parametrize(
    "spec",
    ["device=0,device=1", "1,2", "count=1,2", "1,device=0", "device=0,count=1", "colour=red",
     'device="0"', '"device=0"x', '"device=0', "all\n", "all,", "1.5", "+1", "\u0663",
     "9" * 5000, "device=,", '"device=0,"'],
)  # fmt: skip
def test_what_docker_refuses(spec):
    with pytest.raises(RequestError) as caught:
        gpus.parse(spec)
    assert len(caught.value.message) < 200


names = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters=","), min_size=1)


def record(*fields):
    """One record of CSV, as docker reads one."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(fields)
    return text.getvalue()


@given(
    st.lists(names, min_size=1, max_size=4),
    st.sampled_from(["", "nvidia", "cdi"]),
    st.lists(st.sampled_from(["compute", "utility", "video"]), max_size=3, unique=True),
)
def test_devices_read_back(devices, driver, capabilities):
    fields = [f"device={','.join(devices)}"]
    fields += [f"driver={driver}"] if driver else []
    fields += [f"capabilities={','.join(capabilities)}"] if capabilities else []
    assert gpus.parse(record(*fields)) == Gpus(
        devices=tuple(devices), driver=driver, capabilities=(*capabilities, "gpu")
    )


@given(st.integers(1, 10**18 - 1))
def test_numbers_read_back(count):
    assert gpus.parse(str(count)) == gpus.parse(f"count={count}") == Gpus(count=count)


@given(st.text())
@example('"')
@example(",")
@example('""')
def test_any_text_is_a_choice_or_refused(text):
    try:
        choice = gpus.parse(text)
    except RequestError:
        return
    assert all(choice.devices)
    assert choice.devices == () or choice.count is None


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("nvidia.com/gpu=all", ("nvidia.com/gpu=all",)),
        ("nvidia.com/gpu=0,amd.com/gpu=1:0", ("nvidia.com/gpu=0", "amd.com/gpu=1:0")),
        ("device=nvidia.com/gpu=0", ()),
        ("example.com/disk=root", ()),
        ("nvidia.com/gpu=0,1", ()),
        ("all", ()),
        ("", ()),
    ],
)
def test_gpus_by_name_alone(text, names):
    assert gpus.cdi_names(text) == names
    if names:
        assert gpus.parse(text) == Gpus(devices=names, cdi=True)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("device=0,1", '"device=0,1"'),
        (
            "driver=nvidia,device=0,1,capabilities=gpu",
            'driver=nvidia,"device=0,1",capabilities=gpu',
        ),
        ('"device=0,1"', '"device=0,1"'),
        ("device=0", "device=0"),
        ("none", "none"),
        ("2", "2"),
    ],
)
def test_a_list_of_devices_gets_its_quotes(text, told):
    assert gpus.for_docker(text) == told
    assert gpus.parse(told).unquoted is False
    assert gpus.parse(told).devices == gpus.parse(text).devices
