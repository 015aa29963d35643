"""More of CUDA than the suite has time for: `make cuda` runs it."""

from __future__ import annotations

import os

import pytest

from tests import session
from tests.session import NAME as RUN

pytestmark = pytest.mark.engine

KERNEL = """\
#include <cstdio>
#include <cuda_runtime.h>
__global__ void set(int *at) { at[threadIdx.x] = threadIdx.x; }
int main() {
    int count, version = 0;
    cudaRuntimeGetVersion(&version);
    printf("%d %d", version, cudaGetDeviceCount(&count));
}
"""


@pytest.mark.parametrize(("version", "number"), [("13.0", "13000"), ("12.4", "12040")])
def test_a_base_compiles_a_kernel_that_starts_without_a_driver(
    engine, docker, tmp_path, version, number
):
    """Linked with the stubs; what runs answers that the driver is too old: there is none."""
    (tmp_path / "kernel.cu").write_text(KERNEL)
    (tmp_path / "Dockerfile").write_text(
        f"FROM {session.make_cuda_base(engine, os.environ, version)}\n"
        "RUN apt-get update && apt-get install -y --no-install-recommends g++\n"
        "COPY kernel.cu /\n"
        "RUN nvcc -arch=sm_90 -o /kernel /kernel.cu -Xlinker --no-as-needed -lcuda -lnvidia-ml"
        " && nvcc -arch=sm_90 -o /alone /kernel.cu\n"
    )
    image = f"{RUN}/cuda-kernel:{version}"
    network = ("--network", "host") if engine.network == "host" else ()
    docker("build", "--quiet", "--tag", image, *network, str(tmp_path), timeout=1200)
    assert docker("run", "--rm", "--network", "none", image, "/alone") == f"{number} 35"
    needed = docker("run", "--rm", "--network", "none", image, "ldd", "/kernel")
    assert "libcuda.so.1 => not found" in needed
    assert "libnvidia-ml.so.1 => not found" in needed
