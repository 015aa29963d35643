"""GPUs, their driver and toolkits, and the fast networks beside them."""

from __future__ import annotations

import re

from dynbuild.doctor.model import Answer, absent, ok, warning
from dynbuild.doctor.probe import Probe, version_number

# What the images of this round need.
_CUDA = (12, 8)


def gpu(probe: Probe) -> Answer:
    """GPUs that containers can be given."""
    smi, devices = probe.smi, probe.gpu_devices
    if smi is None:
        if not devices:
            return absent("none; builds need none", "run containers with --gpus none")
        value = f"/dev/{devices[0]} is there, nvidia-smi is not"
        return warning(value, "install the driver's tools (nvidia-utils)")
    if smi.returncode != 0:
        said = (smi.stdout.strip() or smi.stderr.strip()).splitlines()
        value = f"nvidia-smi: {said[0] if said else f'status {smi.returncode}'}"
        if not devices:
            return absent(value, "run containers with --gpus none")
        return warning(value, "the driver does not answer: load it, or restart the machine")
    listed = probe.run(str(probe.which("nvidia-smi")), "-L").stdout
    names = re.findall(r"^GPU \d+: (.*?) \(UUID", listed, re.MULTILINE)
    value = ", ".join(f"{names.count(name)} x {name}" for name in dict.fromkeys(names))
    if not devices:
        remedy = "this container got no GPU: start it with --gpus all"
        return warning(f"{value or 'nvidia-smi answers'}, but no /dev/nvidia0", remedy)
    return ok(value or f"{len(devices)}")


def driver(probe: Probe) -> Answer:
    """A driver that is new enough for the images."""
    said = probe.smi.stdout if probe.smi and probe.smi.returncode == 0 else ""
    driver = re.search(r"Driver Version: ([\d.]+)", said)
    cuda = _driver_cuda(probe)
    if driver is None or not cuda:
        return absent("no driver answers")
    value = f"{driver[1]}, for CUDA up to {cuda}"
    if version_number(cuda) < _CUDA:
        return warning(value, "images need a driver for CUDA 12.8 or newer: renew it")
    return ok(value)


def _driver_cuda(probe: Probe) -> str:
    """The newest CUDA the driver supports, empty where no driver answers."""
    said = probe.smi.stdout if probe.smi and probe.smi.returncode == 0 else ""
    found = re.search(r"CUDA (?:UMD )?Version: (\d+\.\d+)", said)
    return found[1] if found else ""


def toolkit(probe: Probe) -> Answer:
    """The engine knows how to hand GPUs on."""
    runtime = "nvidia" in (probe.info.get("Runtimes") or {})
    specs = [*probe.entries("etc/cdi", "nvidia*"), *probe.entries("var/run/cdi", "nvidia*")]
    program = probe.which("nvidia-ctk") or probe.which("nvidia-container-runtime")
    value = "registered as runtime nvidia" if runtime else "not registered with the engine"
    if specs:
        value += f"; CDI: {specs[0].name}"
    if runtime:
        return ok(value)
    if program is None and not specs:
        if not probe.gpu_devices:
            return absent("not installed; only GPUs need it")
        return warning("not installed", "GPUs need it: install nvidia-container-toolkit")
    remedy = "nvidia-ctk runtime configure --runtime=docker, then restart the engine"
    return (warning if probe.gpu_devices else absent)(value, remedy)


def nvcc(probe: Probe) -> Answer:
    """A compiler for CUDA on the machine itself."""
    program = probe.which("nvcc")
    if program is None:
        return absent("not installed; images bring their own")
    found = re.search(r"release (\d+\.\d+)", probe.run(program, "--version").stdout)
    if found is None:
        return warning(f"{program} does not say its version")
    value, newest = f"CUDA {found[1]}", _driver_cuda(probe)
    if newest and version_number(found[1])[0] > version_number(newest)[0]:
        remedy = "what it compiles does not run here: renew the driver"
        return warning(f"{value}, the driver supports {newest}", remedy)
    named = probe.env.get("CUDA_VERSION", "")
    if named and version_number(named)[:2] != version_number(found[1]):
        remedy = "builds take --cuda-version, not this variable"
        return warning(f"{value}, but the variable CUDA_VERSION is {named}", remedy)
    return ok(value)


def rdma(probe: Probe) -> Answer:
    """RDMA devices."""
    devices = [path.name for path in probe.entries("sys/class/infiniband")]
    if not devices:
        return absent("none; only transfers between machines need it")
    value = ", ".join(devices)
    if not probe.entries("dev/infiniband", "uverbs*"):
        remedy = "load the kernel module ib_uverbs; in a container, pass /dev/infiniband on"
        return warning(f"{value}, but no /dev/infiniband/uverbs*", remedy)
    return ok(value)


def efa(probe: Probe) -> Answer:
    """EFA devices of AWS, and their driver."""
    drivers = {
        path.name: (path / "device/driver").resolve().name
        for path in probe.entries("sys/class/infiniband")
    }
    devices = [name for name, driver in drivers.items() if driver == "efa"]
    loaded = (probe.root / "sys/module/efa").is_dir()
    if devices:
        release = probe.read("sys/module/efa/version") or "of unknown version"
        return ok(f"{', '.join(devices)}, driver {release}")
    return absent("driver without a device" if loaded else "none")
