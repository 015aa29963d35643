"""Every check of the doctor, in the order that it shows them.

A check is a small function: it asks the ``Probe``, which asks the machine, and answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from dynbuild.doctor.checks import accounts, engine, gpu, machine
from dynbuild.doctor.model import Answer
from dynbuild.doctor.probe import Probe

CHECKS: Mapping[str, Callable[[Probe], Answer]] = MappingProxyType(
    {
        "engine": engine.engine,
        "network": engine.network,
        "buildx": engine.buildx,
        "BuildKit": engine.buildkit,
        "image store": engine.store,
        "platforms": engine.platforms,
        "limits": engine.limits,
        "security": engine.security,
        "disk": machine.disk,
        "memory": machine.memory,
        "shared memory": machine.shm,
        "user": machine.user,
        "certificates": machine.certificates,
        "proxies": machine.proxies,
        "GPU": gpu.gpu,
        "GPU driver": gpu.driver,
        "GPU toolkit": gpu.toolkit,
        "nvcc": gpu.nvcc,
        "RDMA": gpu.rdma,
        "EFA": gpu.efa,
        "git": accounts.git,
        "S3 cache": accounts.s3,
        "HF token": accounts.hf_token,
        "HF cache": accounts.hf_cache,
    }
)
