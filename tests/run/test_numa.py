import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynbuild.errors import RequestError
from dynbuild.run import gpus, numa
from dynbuild.run.numa import Gpu, Node
from tests.support import ROOT

DATA = ROOT / "tests" / "data" / "nvidia-smi"
LOW, HIGH = "0-55,112-167", "56-111,168-223"
TWO_NODES = (Node(id=0, cpus=LOW), Node(id=1, cpus=HIGH))


def recorded(name):
    """The GPUs of a machine whose answers, in nvidia-smi's formats, are in tests/data."""
    query = DATA / f"{name}.query"
    return numa.topology(
        (DATA / f"{name}.topo").read_text(encoding="utf-8"),
        query.read_text(encoding="utf-8") if query.exists() else "",
    )


DGX = recorded("dgx-8gpu-2node")


def placed(gpus, wanted, topology=DGX, nodes=TWO_NODES):
    found = numa.place(gpus, topology, nodes, wanted)
    return found.cpuset_cpus, found.cpuset_mems, found.reason


# ---- lists -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("", set()),
        ("\n", set()),
        ("5", {5}),
        ("0-3", {0, 1, 2, 3}),
        ("0-1,8,10-11\n", {0, 1, 8, 10, 11}),
        ("3-3", {3}),
    ],
)
def test_a_list_of_numbers(text, numbers):
    assert numa.parse_list(text) == numbers


@pytest.mark.parametrize("text", ["N/A", "3-1", "-1", "1-", "a", "1;2", "0-9999999999"])
def test_what_is_no_list(text):
    with pytest.raises(ValueError):  # noqa: PT011 - int's own words or ours
        numa.parse_list(text)


@given(st.frozensets(st.integers(0, 300)))
def test_a_list_that_is_written_reads_as_the_same_numbers(numbers):
    assert numa.parse_list(numa.format_list(numbers)) == numbers


# ---- nvidia-smi --------------------------------------------------------------------------


def test_eight_gpus_with_network_cards_and_an_underlined_header():
    assert [gpu.index for gpu in DGX] == list(range(8))
    assert {gpu.cpus for gpu in DGX[:4]} == {LOW}
    assert {gpu.cpus for gpu in DGX[4:]} == {HIGH}
    assert [gpu.nodes for gpu in DGX] == [(0,)] * 4 + [(1,)] * 4
    assert all(gpu.memory == () for gpu in DGX)
    assert DGX[2].uuid == "GPU-5c3e3c22-9b2d-4f61-8a7e-3d5f90c2e102"
    assert len({gpu.uuid for gpu in DGX}) == 8


@pytest.mark.parametrize(
    ("name", "gpus"),
    [
        (
            "one-gpu-one-node",
            [
                Gpu(
                    index=0,
                    uuid="GPU-5c3eb399-9b2d-4f61-8a7e-3d5f90c2e109",
                    cpus="0-31",
                    nodes=(0,),
                )
            ],
        ),
        ("no-affinity", [Gpu(index=0), Gpu(index=1)]),
        ("not-available", [Gpu(index=0), Gpu(index=1, cpus="0-15")]),
        (
            "old-4gpu-2node",
            [Gpu(index=i, cpus="0-9,20-29" if i < 2 else "10-19,30-39") for i in range(4)],
        ),
        (
            "grace-2gpu-2node",
            [
                Gpu(index=0, cpus="0-71", nodes=(0,), memory=(4,)),
                Gpu(index=1, cpus="72-143", nodes=(1,), memory=(12,)),
            ],
        ),
        ("failed", []),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_other_machines_say(name, gpus):
    assert list(recorded(name)) == gpus


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\tGPU0\nGPU0\t X \n",
        "GPU0\t X \t0-3\t0\n",
        "        GPU0    CPU Affinity    NUMA Affinity\nNIC0     X      0-3    0",
    ],
    ids=["nothing", "no titles", "no header", "no gpu row"],
)
def test_a_matrix_without_affinities_names_no_gpu(text):
    assert numa.parse_topology(text) == ()


def test_cells_that_cannot_be_told_apart_are_unknown():
    text = "        GPU0    CPU Affinity    NUMA Affinity   GPU NUMA ID\nGPU0     X      0-3    N/A"
    assert numa.parse_topology(text) == (Gpu(index=0),)


def test_escapes_of_the_header_are_no_devices():
    text = "\x1b[4m\tGPU0\tCPU Affinity\tNUMA Affinity\x1b[0m\nGPU0\t X \t0-3\t0\n"
    assert numa.parse_topology(text) == (Gpu(index=0, cpus="0-3", nodes=(0,)),)


def test_the_last_title_has_the_last_cell():
    text = "\tGPU0\tCPU Affinity\tNUMA Affinity\tGPU NUMA ID\nGPU0\t X \t0-71\t\t\t4"
    assert numa.parse_topology(text) == (Gpu(index=0, cpus="0-71", memory=(4,)),)


def test_an_affinity_with_two_nodes():
    text = "\tGPU0\tCPU Affinity\tNUMA Affinity\tGPU NUMA ID\nGPU0\t X \t0-127\t0-1\t\tN/A"
    assert numa.parse_topology(text) == (Gpu(index=0, cpus="0-127", nodes=(0, 1)),)


def test_what_is_no_line_of_the_query_is_passed_over():
    text = "0, GPU-a\nNo devices were found\n2, \n3, GPU-b\n"
    assert numa.parse_query(text) == {0: "GPU-a", 3: "GPU-b"}


def test_either_answer_alone_names_the_gpus():
    assert numa.topology("", "0, GPU-a\n1, GPU-b\n") == (
        Gpu(index=0, uuid="GPU-a"),
        Gpu(index=1, uuid="GPU-b"),
    )


# ---- --gpus ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "found", "missing"),
    [
        ("all", range(8), ()),
        ("3", range(3), ()),
        ("10", range(8), ("8",)),
        ("99999999999", range(8), ("8",)),
        ('"device=5,1,5"', [5, 1], ()),
        ("device=0:1", [0], ()),
        ('"device=2,9"', [2], ("9",)),
        ("device=GPU-5c3e3c22-9b2d-4f61-8a7e-3d5f90c2e102", [2], ()),
        ("device=gpu-5C3E3C22-9b2d-4f61-8a7e-3d5f90c2e102", [2], ()),
        ("device=GPU-0", [], ("GPU-0",)),
        ("none", [], ()),
        ("0", [], ()),
        ("device=nvidia.com/gpu=3", [3], ()),
        ("device=nvidia.com/gpu=all", range(8), ()),
        ("device=nvidia.com/gpu=9", [], ("nvidia.com/gpu=9",)),
        ("device=nvidia.com/gpu=0:1", [0], ()),
        ("device=MIG-GPU-5c3e3c22-9b2d-4f61-8a7e-3d5f90c2e102/3/0", [2], ()),
    ],
)
def test_which_gpus_are_meant(spec, found, missing):
    chosen, absent = numa.resolve(gpus.parse(spec), DGX)
    assert [gpu.index for gpu in chosen] == list(found)
    assert absent == missing


# ---- placement ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gpus", "placement"),
    [
        ("device=1", (LOW, "0", "nearest to GPU 1")),
        ('"device=0,2"', (LOW, "0", "nearest to GPU 0,2")),
        ("device=0,2", (LOW, "0", "nearest to GPU 0,2")),
        ("4", (LOW, "0", "nearest to GPU 0-3")),
        ('"device=4,5,6,7"', (HIGH, "1", "nearest to GPU 4-7")),
        ("device=GPU-5c3e8066-9b2d-4f61-8a7e-3d5f90c2e106", (HIGH, "1", "nearest to GPU 6")),
        ("all", ("", "", "every NUMA node is near GPU 0-7")),
        ('"device=3,4"', ("", "", "every NUMA node is near GPU 3-4")),
        ("none", ("", "", "the container gets no GPU")),
        ("device=8", ("", "", "nvidia-smi names no GPU 8")),
        ("device=GPU-0", ("", "", "nvidia-smi names no GPU GPU-0")),
    ],
)
def test_the_nodes_nearest_the_gpus(gpus, placement):
    assert placed(gpus, "auto") == placement


def test_gpus_of_two_nodes_among_four():
    nodes = tuple(Node(id=i, cpus=f"{i * 8}-{i * 8 + 7}") for i in range(4))
    gpus = tuple(Gpu(index=i, nodes=(i,)) for i in range(4))
    assert placed('"device=0,1"', "auto", gpus, nodes) == ("0-15", "0-1", "nearest to GPU 0-1")
    assert placed('"device=1,3"', "auto", gpus, nodes) == (
        "8-15,24-31",
        "1,3",
        "nearest to GPU 1,3",
    )


def test_processors_name_the_node_where_nvidia_smi_has_no_numbers():
    nodes = (Node(id=0, cpus="0-9,20-29"), Node(id=1, cpus="10-19,30-39"))
    found = placed("device=3", "auto", recorded("old-4gpu-2node"), nodes)
    assert found == ("10-19,30-39", "1", "nearest to GPU 3")


GRACE = (
    Node(id=0, cpus="0-71"),
    Node(id=1, cpus="72-143"),
    Node(id=4, cpus=""),
    Node(id=12, cpus=""),
)


@pytest.mark.parametrize(
    ("gpus", "wanted", "placement"),
    [
        ("device=1", "auto", ("72-143", "1,12", "nearest to GPU 1")),
        ("device=1", "0", ("0-71", "0,12", "asked for")),
        ("all", "0", ("0-71", "0,4,12", "asked for")),
        ("none", "0", ("0-71", "0", "asked for")),
    ],
)
def test_the_memory_of_a_gpu_itself_is_never_shut_out(gpus, wanted, placement):
    assert placed(gpus, wanted, recorded("grace-2gpu-2node"), GRACE) == placement


def test_memory_that_the_kernel_does_not_list_is_left_out():
    found = placed("device=1", "auto", recorded("grace-2gpu-2node"), GRACE[:2])
    assert found == ("72-143", "1", "nearest to GPU 1")


@pytest.mark.parametrize(
    ("topology", "nodes", "reason"),
    [
        (DGX, (), "the kernel names no NUMA nodes"),
        (
            recorded("one-gpu-one-node"),
            (Node(id=0, cpus="0-31"),),
            "this machine has one NUMA node",
        ),
        (DGX, (TWO_NODES[0], Node(id=1, cpus="")), "this machine has one NUMA node"),
        (recorded("failed"), TWO_NODES, "nvidia-smi names no GPUs"),
        (recorded("no-affinity"), TWO_NODES, "nvidia-smi names no NUMA node near GPU 0-1"),
        (recorded("not-available"), TWO_NODES, "nvidia-smi names no NUMA node near GPU 0"),
    ],
    ids=["no nodes", "one node", "one with processors", "no driver", "no affinity", "N/A"],
)
def test_nothing_to_go_by_is_no_placement(topology, nodes, reason):
    assert placed("all", "auto", topology, nodes) == ("", "", reason)


@pytest.mark.parametrize("wanted", ["", "none", "None"])
def test_no_placement_asked_for(wanted):
    assert placed("all", wanted) == ("", "", "no NUMA placement was asked for")


@pytest.mark.parametrize(
    ("wanted", "cpus", "mems"), [("0", LOW, "0"), ("1", HIGH, "1"), ("0,1", "0-223", "0-1")]
)
def test_nodes_that_are_named(wanted, cpus, mems):
    assert placed("all", wanted) == (cpus, mems, "asked for")
    assert placed("all", wanted, topology=()) == (cpus, mems, "asked for")


@pytest.mark.parametrize(
    ("wanted", "nodes", "message", "hint"),
    [
        ("2", TWO_NODES, "there is no NUMA node 2 here", "NUMA nodes with processors here: 0-1"),
        (
            "0-3",
            TWO_NODES,
            "there is no NUMA node 2-3 here",
            "NUMA nodes with processors here: 0-1",
        ),
        ("4", GRACE, "NUMA node 4 has no processors", "NUMA nodes with processors here: 0-1"),
        (
            "near",
            TWO_NODES,
            "--numa takes auto or numbers of nodes, not 'near'",
            "such as 0 or 0-1",
        ),
        (
            "-1",
            TWO_NODES,
            "--numa takes auto or numbers of nodes, not '-1'",
            "such as 0 or 0-1",
        ),
        ("0", (), "there is no NUMA node 0 here", "leave --numa out"),
    ],
    ids=["absent", "some absent", "memory only", "no number", "negative", "no nodes"],
)
def test_nodes_that_cannot_be_had(wanted, nodes, message, hint):
    with pytest.raises(RequestError) as caught:
        numa.place("all", DGX, nodes, wanted)
    assert (caught.value.message, caught.value.hint) == (message, hint)
    assert caught.value.exit_code == 2


def test_auto_with_gpus_that_are_none_is_an_error():
    with pytest.raises(RequestError, match="names no GPUs"):
        numa.place("two", DGX, TWO_NODES, "auto")


# ---- a recorded machine ------------------------------------------------------------------


def test_a_machine_with_one_h100_as_its_driver_580_described_it():
    """Recorded on such a machine; only its UUID is another one."""
    (gpu,) = recorded("h100-1gpu")
    assert gpu == Gpu(
        index=0, uuid="GPU-0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0", cpus="0-15", nodes=(0,), memory=()
    )
    one = placed("all", "auto", topology=(gpu,), nodes=(Node(id=0, cpus="0-15"),))
    assert one == ("", "", "this machine has one NUMA node")
