"""Images for a GPU, compiled for real with CUDA 13 and started without a GPU.

UCX and libfabric are the distribution's source packages; the example tree has a kernel.  The base
is made from packages: nothing of it comes from NVIDIA's registry.
"""

from __future__ import annotations

import re
import shutil
import uuid

import pytest

from tests import session
from tests.conftest import DEMO, ROOT, WORKSPACE
from tests.session import NAME as RUN

CUDA = ROOT / "examples" / "cuda"
REPOSITORY = f"{RUN}/cuda"
TAG = "latest-none-runtime-cuda13.0"
IMAGE = f"{REPOSITORY}:{TAG}"
DRIVER = {"libcuda.so.1", "libnvidia-ml.so.1"}
"""What a machine with a GPU brings: the driver's libraries."""
NATIVE = "/usr/local/ucx /usr/local/libfabric"
OURS = f"{NATIVE} /opt/dynamo/venv/lib/python3*/site-packages/kvbm"


@pytest.fixture(scope="module")
def words(engine, environment, base_image):
    """What every build here has in common: a base with CUDA, and compiled objects kept here."""
    assert base_image
    assert session.make_cuda_base(engine, environment, "13.0") == "dynbuild/cuda:13.0-trixie"
    return "--config", str(CUDA / "dynbuild.toml"), "--use-sccache=local"


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of the example tree with a kernel unlike any compiled before."""
    path = tmp_path_factory.mktemp("tree") / "workspace"
    shutil.copytree(WORKSPACE, path, ignore=shutil.ignore_patterns(".dynbuild", "target"))
    with (path / "lib/bindings/kvbm/src/blocks.cu").open("a") as file:
        file.write(f'const char *blocks_of_this_run = "{uuid.uuid4()}";\n')
    return path


@pytest.fixture(scope="module")
def built(words, build, tree):
    """The runtime from the example tree."""
    return build(
        *words, "--context", str(tree), "--dynamo-wheels", "source", "--enable-kvbm",
        "--repository", REPOSITORY,
    )  # fmt: skip


@pytest.fixture(scope="module")
def inside(built, container):
    assert built["images"]
    return container(IMAGE)


def test_every_library_of_ours_is_resolved_but_the_driver_s(inside):
    line = f"find {OURS} -name '*.so*' -type f -o -path '*/bin/*' -type f"
    files = inside(line).split()
    said = inside(f"{line} | xargs -n 1 ldd 2>&1 || true")
    names = {file.rpartition("/")[2].partition(".so")[0] for file in files}
    assert {"libucp", "libuct_cuda", "libucm_cuda", "libuct_ib", "ucx_info"} <= names
    assert {"libfabric", "fi_info", "_core.abi3"} <= names
    assert set(re.findall(r"(\S+) => not found", said)) == DRIVER


def test_no_development_files_are_shipped(inside):
    line = f"find {NATIVE} -name '*.la' -o -name '*.a' -o -name '*.[ch]' -o -name include"
    assert inside(line) == ""


def test_ucx_has_the_transports_of_cuda(inside):
    """Its module is loaded with the base's stubs in place of the driver, and asked."""
    links = " && ".join(
        f"ln -s /usr/local/cuda/lib64/stubs/{name.removesuffix('.1')} /tmp/{name}"
        for name in sorted(DRIVER)
    )
    said = inside(f"{links} && LD_LIBRARY_PATH=/tmp ucx_info -c -a")
    for transport in ("CUDA_COPY", "CUDA_IPC"):
        assert f"UCX_{transport}_" in said
    assert "CUDA" in inside("ucx_info -b | grep -w 'HAVE_CUDA.*1'")


def test_kernel_of_the_tree_is_linked_with_cuda(inside):
    assert inside("python -c 'import kvbm; print(*kvbm.cuda())'").split() == ["13000", "0"]


def test_kernels_come_from_the_compile_cache(words, built, build, tree):
    """A change beside the kernel runs the step again, and compiles no kernel again."""
    cold = built["compile_cache"]["stages"]["kvbm_wheel"]["languages"]["CUDA"]
    assert (cold["hits"], cold["misses"]) == (0, 1)
    (tree / "lib/bindings/kvbm/more").write_text(str(uuid.uuid4()))
    again = build(
        *words, "--context", str(tree), "--dynamo-wheels", "source", "--enable-kvbm",
        "--target", "wheel_builder", "--no-load",
    )  # fmt: skip
    warm = again["compile_cache"]["stages"]["kvbm_wheel"]["languages"]["CUDA"]
    assert (warm["hits"], warm["misses"]) == (1, 0)


def test_libfabric_starts(inside):
    assert "libfabric: 2" in inside("/usr/local/libfabric/bin/fi_info --version")


# ---- Dynamo's published wheels on the same libraries ------------------------------------------


@pytest.fixture(scope="module")
def serves(words, build, docker):
    """Build a target, ask the mocker in its image a question, and return the image's name."""

    def run(target: str) -> str:
        report = build(
            *words, "--target", target, "--repository", f"{REPOSITORY}-served",
            "--compression", "none",
        )  # fmt: skip
        (image,) = report["images"]
        name: str = image["tags"][0]
        assert docker(
            "run", "--rm", "--network", "none", "--volume", f"{DEMO}:/demo:ro",
            name, "python", "/demo/serve.py", "ask",
        )  # fmt: skip
        return name

    return run


def test_the_runtime_image_serves(serves):
    assert "-runtime-cuda13.0" in serves("runtime")


def test_the_dev_image_serves_and_compiles(serves, container):
    """With headers and compilers."""
    inside = container(serves("dev"))
    assert "release 13.0" in inside("nvcc --version")
    assert inside("ls /usr/local/ucx/include/ucp/api/ucp.h /usr/local/libfabric/include/rdma")
    kernel = "'__global__ void set(int *at) { at[threadIdx.x] = threadIdx.x; }'"
    inside(f"echo {kernel} > /tmp/kernel.cu && nvcc -arch=sm_90 -c -o /tmp/kernel.o /tmp/kernel.cu")
    assert "" not in inside("printenv LD_LIBRARY_PATH").split(":")
