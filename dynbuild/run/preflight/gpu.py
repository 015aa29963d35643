"""GPUs that cannot be had, or that docker does not understand."""

from __future__ import annotations

from collections.abc import Iterator

from dynbuild.findings import Finding
from dynbuild.run import gpus, numa
from dynbuild.run.facts import Host
from dynbuild.run.request import RunRequest


def check(request: RunRequest, host: Host) -> Iterator[Finding]:
    """The runtime that hands GPUs out, the way they are asked for, and whether they are there."""
    if not request.uses_gpus:
        return
    toolkit = (
        "install the NVIDIA Container Toolkit, run `nvidia-ctk runtime configure"
        " --runtime=docker` and restart the engine; or --gpus none"
    )
    known, runtime = host.runtimes, request.gpu_runtime
    if known is not None and not runtime:
        if not host.gpu_hook and (request.cdi_gpus or "nvidia" not in known):
            yield Finding("gpu-runtime", "the engine has nothing to hand out GPUs with", toolkit)
    elif known is not None and runtime not in known:
        yield Finding("gpu-runtime", f"the engine knows no runtime '{runtime}'", toolkit)
    choice = gpus.parse(request.gpus)
    if host.gpu_devices is not None and not host.gpu_devices:
        yield Finding(
            "gpu-device",
            "there is no NVIDIA GPU here: no /dev/nvidia0",
            "load the driver, so that nvidia-smi shows the GPUs; or --gpus none",
        )
        return
    there = numa.topology(host.topo, host.gpu_query)
    # The UUID of a slice of a GPU is in neither answer of nvidia-smi.
    missing = [d for d in numa.resolve(choice, there)[1] if not d.startswith("MIG-")]
    if there and missing:
        yield Finding(
            "gpu-device",
            f"there is no GPU {', '.join(missing)} here",
            f"this machine has GPU {numa.format_list(gpu.index for gpu in there)}",
        )
