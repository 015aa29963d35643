"""The rules of the flags, as a table: a command line, and what it decides or why it is refused.

A row is what a person types after ``dynbuild plan``. It says only what its rule is about: the
rows stand in groups, one per rule of the replaced script, and below are its defects, a test
each. Words with an ``@`` are places: ``@tree`` is the source tree, a git repository at the tag
v0.9.0; ``@wheel`` a folder with a wheel of TensorRT-LLM, ``@empty`` one without.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import pytest

from tests.render.test_dockerfile import read, text_of
from tests.support import (
    TEMPLATES,
    WORKSPACE,
    call,
    git,
    make_image,
    make_job,
    make_plan,
    repository,
)
from tests.support import source_tree as write_source_tree

pytestmark = pytest.mark.processes("docker", "git")

DL = "nvcr.io/nvidia/cuda-dl-base"
RELEASE = "nvcr.io/nvidia/tensorrt-llm/release"
EPP = "us-central1-docker.pkg.dev/k8s-staging-images/gateway-api-inference-extension/epp:v0.5.1"
WHEEL = "tensorrt_llm-1.2.0-cp312-cp312-linux_x86_64.whl"


@dataclass(frozen=True, kw_only=True)
class Row:
    """A command line and what is expected of it; what is left out is not looked at.

    Attributes:
        line: The words after ``dynbuild plan``.
        args: Effective build arguments.
        absent: Arguments that no stage of the image has.
        origins: Where arguments came from; the beginning is enough.
        tags: Of the image that is asked for.
        more_tags: Of the images that come with it, by their names.
        images: Names of all images in the order of the plan.
        depends: What each of *images* is built on.
        contexts: Named build contexts of the last image.
        secrets: Ids, without those of the site's certificates.
        output, platforms, cuda, cache_from, cache_to, no_cache, stage: As in the plan.
        before: Commands that run first.
        version: The derived version.
        warnings: Parts of them, all that there are.
        env: Variables of the caller.
        caller: Uid and gid of who calls.
        refused: Part of the message; then *hint* is part of the hint, and the status is 2.
    """

    line: str
    args: dict = field(default_factory=dict)
    absent: tuple = ()
    origins: dict = field(default_factory=dict)
    tags: list | None = None
    more_tags: dict = field(default_factory=dict)
    images: list | None = None
    depends: dict = field(default_factory=dict)
    contexts: dict | None = None
    secrets: list | None = None
    output: str | None = None
    platforms: list | None = None
    cuda: str | None = None
    cache_from: list | None = None
    cache_to: list | None = None
    no_cache: bool | None = None
    stage: str | None = None
    before: list | None = None
    version: str | None = None
    warnings: tuple | None = None
    env: dict = field(default_factory=dict)
    caller: tuple = (1234, 5678)
    refused: str = ""
    hint: str = ""

    def __str__(self):
        return self.line or "(nothing)"


RUNTIME = "--framework none --target runtime"
TRT = "--framework trtllm --target runtime"
LOCAL = "--framework none --target local-dev"
FRONTEND = "--framework none --target frontend"

FRAMEWORKS = [
    Row(line="", images=["vllm-dev-cuda12.9"], stage="dev", platforms=["linux/amd64"]),
    Row(line="--framework VLLM", images=["vllm-dev-cuda12.9"]),
    Row(line="--framework TrtLLM", images=["trtllm-dev-cuda13.1"], cuda="13.1"),
    Row(line="--framework sglang", images=["sglang-dev-cuda12.9"], cuda="12.9"),
    Row(line="--framework NONE", images=["none-dev-cuda12.8"], cuda="12.8"),
    Row(line="--framework none --device cpu", images=["none-dev-cpu"]),
    Row(line="--framework vllmm", refused="there is no framework 'vllmm'", hint="'vllm'"),
    Row(line="--framework", refused="requires an argument"),
    # The next line has other CUDA versions of none, and vllm without a GPU.
    Row(
        line=f"{RUNTIME} --release-line 1.0",
        images=["none-runtime-cuda12.9+1.0"],
        args={"RUST_VERSION": "1.93.1", "NIXL_REF": "0.10.1"},
    ),
    Row(
        line="--framework vllm --target runtime --release-line 1.0 --device cpu",
        images=["vllm-runtime-cpu+1.0"],
        args={"VLLM_REF": "v0.16.0", "BASE_IMAGE": "ubuntu"},
        absent=("MAX_JOBS", "FLASHINF_REF", "GCC_TOOLSET", "LMCACHE_REF"),
    ),
    Row(line="--release-line 0.8", refused="there is no release line '0.8'", hint="1.0"),
]

TARGETS = [
    Row(line="--target framework", images=["vllm-framework-cuda12.9"], stage="framework"),
    Row(line="--framework trtllm --target framework", stage="framework"),
    Row(
        line="--framework sglang --target framework",
        refused="there is no target 'framework' of sglang",
        hint="runtime",
    ),
    Row(line="--target wheel_builder", absent=("RUNTIME_IMAGE", "VLLM_REF")),
    Row(line="--target dynamo_base", absent=("RUST_VERSION", "NIXL_REF")),
    Row(line=FRONTEND, args={"EPP_IMAGE": EPP}, stage="frontend"),
    Row(
        line="--framework vllm --target frontend",
        refused="there is no target 'frontend' of vllm",
        hint="there are:",
    ),
    Row(line="--target Runtime", refused="there is no target 'Runtime'", hint="'runtime'"),
    Row(line="--target runtime-aws", refused="there is no target 'runtime-aws'"),
    Row(line="--target local-dev-aws", refused="there is no target 'local-dev-aws'"),
]

# Base and runtime images by framework and CUDA version, and what a person may change.
IMAGES = [
    Row(
        line="--target runtime",
        args={
            "BASE_IMAGE": DL,
            "BASE_IMAGE_TAG": "25.06-cuda12.9-devel-ubuntu24.04",
            "RUNTIME_IMAGE": "nvcr.io/nvidia/cuda",
            "RUNTIME_IMAGE_TAG": "12.9.1-runtime-ubuntu24.04",
            "CUDA_VERSION": "12.9",
        },
        origins={"RUNTIME_IMAGE_TAG": "catalog templates/catalog.toml:"},
    ),
    Row(
        line="--target runtime --cuda-version 13.0",
        args={
            "BASE_IMAGE_TAG": "25.11-cuda13.0-devel-ubuntu24.04",
            "RUNTIME_IMAGE_TAG": "13.0.2-runtime-ubuntu24.04",
            "CUDA_VERSION": "13.0",
        },
        absent=("LMCACHE_REF",),
        images=["vllm-runtime-cuda13.0"],
    ),
    Row(line="--cuda-version 13", cuda="13.0"),
    Row(line="--cuda-version 12.9.1", cuda="12.9"),
    Row(line="--cuda-version 12.4", refused="there is no CUDA 12.4 for vllm", hint="12.9, 13.0"),
    Row(
        line="--framework sglang --target runtime --cuda-version 13.0",
        args={
            "RUNTIME_IMAGE": "lmsysorg/sglang",
            "RUNTIME_IMAGE_TAG": "v0.5.8-cu130-runtime",
            "BASE_IMAGE_TAG": "25.11-cuda13.0-devel-ubuntu24.04",
        },
    ),
    Row(
        line=TRT,
        args={
            "BASE_IMAGE": "nvcr.io/nvidia/pytorch",
            "BASE_IMAGE_TAG": "25.12-py3",
            "PYTORCH_BASE_IMAGE": "nvcr.io/nvidia/pytorch",
            "PYTORCH_BASE_IMAGE_TAG": "25.12-py3",
            "RUNTIME_IMAGE": DL,
            "RUNTIME_IMAGE_TAG": "25.12-cuda13.1-runtime-ubuntu24.04",
        },
    ),
    Row(line="--framework trtllm --cuda-version 13.0", refused="there is no CUDA 13.0 for trtllm"),
    Row(line="--framework none --cuda-version 13.0", refused="there is no CUDA 13.0 for none"),
    Row(
        line=f"{RUNTIME} --device cpu --cuda-version 12.8",
        refused="device cpu has no CUDA",
        hint="--device cuda",
    ),
    Row(line="--device xpu", refused="there is no device 'xpu' of vllm", hint="cuda"),
    Row(
        line="--target runtime --base-image mine.example.com/base --base-image-tag v1",
        args={"BASE_IMAGE": "mine.example.com/base", "BASE_IMAGE_TAG": "v1"},
        origins={"BASE_IMAGE": "flag --base-image", "BASE_IMAGE_TAG": "flag --base-image-tag"},
    ),
    Row(
        line="--target runtime --build-arg RUNTIME_IMAGE_TAG=mine",
        args={"RUNTIME_IMAGE_TAG": "mine"},
    ),
    Row(
        line=RUNTIME,
        args={"BASE_IMAGE_TAG": "25.01-cuda12.8-devel-ubuntu24.04"},
        absent=("RUNTIME_IMAGE",),
    ),
]

PLATFORMS = [
    Row(line="--platform linux/arm64", platforms=["linux/arm64"]),
    Row(line="--platform arm64", platforms=["linux/arm64"]),
    Row(line="--platform aarch64,x86_64", platforms=["linux/amd64", "linux/arm64"]),
    Row(
        line="--platform linux/arm64 --platform linux/amd64",
        platforms=["linux/amd64", "linux/arm64"],
    ),
    Row(line="--platform linux/s390x", refused="there is no platform 'linux/s390x'", hint="arm64"),
    # What the script passed on arm64 was read by nothing, or wrong for the other platform.
    Row(
        line="--framework sglang --target runtime --platform linux/arm64",
        absent=("ARCH", "ARCH_ALT", "RUSTARCH", "GRACE_BLACKWELL", "BUILD_TYPE", "TARGETARCH"),
    ),
]

VALUES = [
    Row(
        line=f"{RUNTIME} --nixl-ref 0.9.1",
        args={"NIXL_REF": "0.9.1", "NIXL_UCX_REF": "1.20.0"},
        origins={"NIXL_REF": "flag --nixl-ref"},
    ),
    # The script had no way to change these three.
    Row(line=f"{RUNTIME} --build-arg NIXL_UCX_REF=v1.20.x", args={"NIXL_UCX_REF": "v1.20.x"}),
    Row(line=f"{RUNTIME} --build-arg PYTHON_VERSION=3.11", args={"PYTHON_VERSION": "3.11"}),
    Row(
        line=f"{RUNTIME} --build-arg NIXL_GDRCOPY_REF=v2.5 --build-arg NIXL_LIBFABRIC_REF=v2.2.0",
        args={"NIXL_GDRCOPY_REF": "v2.5", "NIXL_LIBFABRIC_REF": "v2.2.0"},
    ),
    Row(line=RUNTIME, args={"DYNAMO_COMMIT_SHA": "@commit"}, origins={"DYNAMO_COMMIT_SHA": "git"}),
    Row(
        line=RUNTIME,
        env={"DYNAMO_COMMIT_SHA": "f" * 40},
        args={"DYNAMO_COMMIT_SHA": "f" * 40},
        origins={"DYNAMO_COMMIT_SHA": "environment DYNAMO_COMMIT_SHA"},
    ),
    Row(
        line="--target runtime --vllm-max-jobs 10",
        args={"MAX_JOBS": "10"},
        origins={"MAX_JOBS": "flag --vllm-max-jobs"},
    ),
    Row(line="--target runtime", args={"MAX_JOBS": "16"}),
    Row(
        line=f"{RUNTIME} --vllm-max-jobs 10",
        absent=("MAX_JOBS",),
        warnings=("MAX_JOBS (flag --vllm-max-jobs) is used by no stage",),
    ),
    Row(
        line=f"{RUNTIME} --efa-version 1.45.1",
        absent=("EFA_VERSION",),
        warnings=("EFA_VERSION (flag --efa-version) is used by no stage",),
    ),
    Row(line=f"{RUNTIME} --build-arg NIXL_REFF=1", refused="unknown key", hint="'NIXL_REF'"),
    Row(
        line="--target runtime --build-arg 'TORCH_CUDA_ARCH_LIST=a b*'",
        args={"TORCH_CUDA_ARCH_LIST": "a b*"},
    ),
]

# Forced and default features; unlike the script, a flag can turn each off.
_OF = ("ENABLE_KVBM", "ENABLE_GPU_MEMORY_SERVICE", "ENABLE_MEDIA_NIXL", "ENABLE_MEDIA_FFMPEG")
FEATURES = [
    Row(line="--target runtime", args=dict(zip(_OF, ["true"] * 4, strict=True))),
    Row(line=TRT, args=dict(zip(_OF, ["true", "false", "true", "true"], strict=True))),
    Row(
        line="--framework sglang --target runtime",
        args=dict(zip(_OF, ["false", "true", "true", "true"], strict=True)),
    ),
    Row(line=RUNTIME, args=dict.fromkeys(_OF, "false"), absent=("FFMPEG_VERSION",)),
    Row(
        line=f"{RUNTIME} --enable-kvbm --enable-gpu-memory-service --enable-media-nixl "
        "--enable-media-ffmpeg",
        args={**dict.fromkeys(_OF, "true"), "FFMPEG_VERSION": "7.1"},
        origins={"ENABLE_KVBM": "flag --enable-kvbm"},
    ),
    Row(
        line="--target runtime --no-enable-kvbm --no-enable-media-ffmpeg",
        args={"ENABLE_KVBM": "false", "ENABLE_MEDIA_FFMPEG": "false"},
        absent=("FFMPEG_VERSION",),
    ),
    Row(
        line="--target runtime --build-arg ENABLE_GPU_MEMORY_SERVICE=FALSE",
        args={"ENABLE_GPU_MEMORY_SERVICE": "false"},
    ),
    Row(line="--build-arg ENABLE_KVBM=1", refused="ENABLE_KVBM is '1'", hint="'true' or 'false'"),
    Row(
        line="--target runtime --dynamo-wheels index --enable-gpu-memory-service",
        refused="the GPU memory service has no published wheel",
        hint="--no-enable-gpu-memory-service",
    ),
    Row(
        line="--target runtime --dynamo-wheels index",
        args={"ENABLE_GPU_MEMORY_SERVICE": "false"},
    ),
    Row(
        line=f"{RUNTIME} --dynamo-wheels index==0.9.1",
        args={"DYNAMO_VERSION": "0.9.1"},
        origins={"DYNAMO_VERSION": "flag --dynamo-wheels"},
        absent=("RUST_VERSION", "MATURIN_FEATURES"),
    ),
]

TAGS = [
    Row(line="", tags=["dynamo:v0.9.0-vllm-dev", "dynamo:latest-vllm"]),
    Row(line="--target dev", tags=["dynamo:v0.9.0-vllm-dev", "dynamo:latest-vllm"]),
    Row(
        line="--target local-dev",
        tags=["dynamo:v0.9.0-vllm-local-dev", "dynamo:latest-vllm-local-dev"],
    ),
    Row(
        line="--framework SGLANG --target runtime",
        tags=["dynamo:v0.9.0-sglang-runtime", "dynamo:latest-sglang-runtime"],
    ),
    Row(line=FRONTEND, tags=["dynamo:v0.9.0-none-frontend", "dynamo:latest-none-frontend"]),
    Row(
        line="--target wheel_builder",
        tags=["dynamo:v0.9.0-vllm-wheel_builder", "dynamo:latest-vllm-wheel_builder"],
    ),
    Row(line="--target runtime --no-tag-latest", tags=["dynamo:v0.9.0-vllm-runtime"]),
    Row(
        line="--target runtime --tag foo:bar-runtime",
        tags=["foo:bar-runtime", "dynamo:latest-vllm-runtime"],
    ),
    Row(line="--tag foo:bar", tags=["foo:bar-dev", "dynamo:latest-vllm"]),
    Row(line="--tag foo:bar-dev", tags=["foo:bar-dev", "dynamo:latest-vllm"]),
    Row(
        line="--target local-dev --tag foo:bar-runtime --no-tag-latest",
        tags=["foo:bar-local-dev"],
    ),
    # Each suffix is taken off once, in this order.
    Row(
        line="--target dev --tag foo:bar-dev-local-dev-runtime --no-tag-latest",
        tags=["foo:bar-dev"],
    ),
    Row(line="--tag one:x --tag two:y --no-tag-latest", tags=["one:x-dev", "two:y-dev"]),
    Row(line="--target runtime --tag foo:a+b", refused="has a tag that Docker refuses"),
    Row(
        line="--target runtime --repository registry.example.com/ai/dynamo",
        tags=[
            "registry.example.com/ai/dynamo:v0.9.0-vllm-runtime",
            "registry.example.com/ai/dynamo:latest-vllm-runtime",
        ],
    ),
    Row(
        line="--target runtime --make-efa --no-tag-latest",
        tags=["dynamo:v0.9.0-vllm-runtime"],
        more_tags={"vllm-runtime-aws-cuda12.9": ["dynamo:v0.9.0-vllm-runtime-aws"]},
    ),
    Row(
        line="--make-efa --tag foo:bar",
        tags=["foo:bar-dev", "dynamo:latest-vllm"],
        more_tags={"vllm-dev-aws-cuda12.9": ["foo:bar-dev-aws", "dynamo:latest-vllm-aws"]},
    ),
    # The version and its variables.
    Row(line=RUNTIME, version="v0.9.0"),
    Row(
        line=RUNTIME,
        env={"current_tag": "v1.2.3"},
        version="v1.2.3",
        tags=["dynamo:v1.2.3-none-runtime", "dynamo:latest-none-runtime"],
    ),
]

OUTPUT = [
    Row(line=RUNTIME, output="load", no_cache=False),
    Row(line=f"{RUNTIME} --no-load", output="none"),
    Row(line=f"{RUNTIME} --no-cache", no_cache=True),
    Row(
        line=f"{RUNTIME} --push --repository localhost:5000/dynamo",
        output="push",
        tags=[
            "localhost:5000/dynamo:v0.9.0-none-runtime",
            "localhost:5000/dynamo:latest-none-runtime",
        ],
    ),
    Row(line=f"{RUNTIME} --push --load", refused="--push and --load exclude each other"),
    Row(
        line=f"{RUNTIME} --cache-from type=registry,ref=a --cache-from type=inline,ref=b "
        "--cache-to type=inline",
        cache_from=["type=registry,ref=a", "type=inline,ref=b"],
        cache_to=["type=inline"],
    ),
    Row(
        line=f"{RUNTIME} --build-context ucx_src=@empty --build-context epp=docker-image://x:y",
        contexts={"ucx_src": "@empty", "epp": "docker-image://x:y"},
    ),
    Row(
        line=f"{RUNTIME} --source nixl=@empty",
        contexts={"nixl_src": "@empty"},
        absent=("NIXL_REF",),
    ),
]

TRTLLM = [
    # Download: a version whose wheel does not fit NVIDIA's PyTorch is in its release image.
    Row(
        line=TRT,
        args={
            "HAS_TRTLLM_CONTEXT": "0",
            "TENSORRTLLM_PIP_WHEEL": "tensorrt-llm==1.3.0rc1",
            "TRTLLM_WHEEL_IMAGE": f"{RELEASE}:1.3.0rc1",
            "GITHUB_TRTLLM_COMMIT": "v1.3.0rc1",
        },
        contexts={},
    ),
    Row(
        line=f"{TRT} --tensorrtllm-pip-wheel tensorrt-llm==1.2.0",
        args={
            "TENSORRTLLM_PIP_WHEEL": "tensorrt-llm==1.2.0",
            "TENSORRTLLM_INDEX_URL": "https://pypi.nvidia.com/",
            "TRTLLM_WHEEL_IMAGE": "trtllm_wheel_image_empty",
            "GITHUB_TRTLLM_COMMIT": "v1.2.0",
        },
        origins={
            "TENSORRTLLM_PIP_WHEEL": "flag --tensorrtllm-pip-wheel",
            "GITHUB_TRTLLM_COMMIT": "derived version in flag --tensorrtllm-pip-wheel",
        },
    ),
    Row(
        line=f"{TRT} --tensorrtllm-pip-wheel tensorrt-llm==1.2.0rc6.post2 "
        "--tensorrtllm-index-url https://index.example.com/simple",
        args={
            "TENSORRTLLM_INDEX_URL": "https://index.example.com/simple",
            "GITHUB_TRTLLM_COMMIT": "v1.2.0rc6.post2",
        },
    ),
    Row(
        line=f"{TRT} --tensorrtllm-pip-wheel tensorrt-llm",
        refused="there is no version in 'tensorrt-llm'",
        hint="--tensorrtllm-commit",
    ),
    Row(
        line=f"{TRT} --tensorrtllm-pip-wheel tensorrt-llm --tensorrtllm-commit main",
        args={"TENSORRTLLM_PIP_WHEEL": "tensorrt-llm", "GITHUB_TRTLLM_COMMIT": "main"},
    ),
    Row(
        line=f"{TRT} --tensorrtllm-index-url https://index.example.com/simple",
        refused="--tensorrtllm-index-url says where to download from, but not what",
        hint="--tensorrtllm-pip-wheel",
    ),
    # Install.
    Row(
        line=f"{TRT} --tensorrtllm-pip-wheel-dir @wheel --tensorrtllm-commit 1.2.0",
        args={"HAS_TRTLLM_CONTEXT": "1", "GITHUB_TRTLLM_COMMIT": "v1.2.0"},
        contexts={"trtllm_wheel": "@wheel"},
        before=[],
        warnings=(),
    ),
    Row(
        line=f"{TRT} --tensorrtllm-pip-wheel-dir @wheel --tensorrtllm-commit main "
        "--tensorrtllm-index-url https://index.example.com/simple",
        args={"HAS_TRTLLM_CONTEXT": "1"},
        warnings=("--tensorrtllm-index-url (flag --tensorrtllm-index-url) has no effect",),
    ),
    Row(
        line=f"{TRT} --tensorrtllm-pip-wheel-dir @wheel",
        refused="--tensorrtllm-pip-wheel-dir needs --tensorrtllm-commit",
        hint="a commit, tag or branch",
    ),
    Row(
        line=f"{TRT} --tensorrtllm-pip-wheel-dir @empty --tensorrtllm-commit main",
        refused="no TensorRT-LLM wheel below",
        hint="--tensorrtllm-git-url",
    ),
    Row(
        line=f"{TRT} --tensorrtllm-pip-wheel-dir /nowhere --tensorrtllm-commit main",
        refused="there is no folder /nowhere",
    ),
    Row(
        line=f"{TRT} --tensorrtllm-pip-wheel-dir @wheel --tensorrtllm-commit main --platform arm64",
        refused="no TensorRT-LLM wheel below",
    ),
    Row(
        line=f"{TRT} --tensorrtllm-pip-wheel-dir @wheel --tensorrtllm-commit main "
        "--platform amd64,arm64",
        refused="gives a wheel for one architecture",
    ),
    # Build.
    Row(
        line=f"{TRT} --tensorrtllm-git-url https://example.com/trt.git --tensorrtllm-commit v1.2.0 "
        "--nixl-ref 0.9.1",
        args={"HAS_TRTLLM_CONTEXT": "1", "GITHUB_TRTLLM_COMMIT": "v1.2.0"},
        before=[
            "@tree/container/build_trtllm_wheel.sh -o @output -c v1.2.0 -a amd64 -n 0.9.1 "
            "-u https://example.com/trt.git"
        ],
        contexts={"trtllm_wheel": "@output"},
    ),
    Row(
        line=f"{TRT} --tensorrtllm-git-url https://example.com/trt.git",
        refused="--tensorrtllm-git-url needs --tensorrtllm-commit",
    ),
    # One intent only.
    Row(
        line=f"{TRT} --tensorrtllm-pip-wheel-dir @wheel "
        "--tensorrtllm-pip-wheel tensorrt-llm==1.2.0",
        refused="--tensorrtllm-pip-wheel-dir and --tensorrtllm-pip-wheel exclude each other",
    ),
    Row(
        line=f"{TRT} --tensorrtllm-git-url https://example.com/trt.git "
        "--tensorrtllm-pip-wheel tensorrt-llm==1.2.0",
        refused="--tensorrtllm-git-url and --tensorrtllm-pip-wheel exclude each other",
    ),
    Row(
        line=f"{RUNTIME} --tensorrtllm-commit main",
        refused="--tensorrtllm-commit is for the framework trtllm, not for none",
        hint="--framework trtllm",
    ),
    Row(
        line=f"{TRT} --build-arg TRTLLM_WHEEL_IMAGE=mine.example.com/wheel:1",
        args={"TRTLLM_WHEEL_IMAGE": "mine.example.com/wheel:1"},
    ),
]

EFA = [
    Row(
        line="--target runtime --make-efa",
        images=["vllm-runtime-cuda12.9", "vllm-runtime-aws-cuda12.9"],
        depends={
            "vllm-runtime-cuda12.9": [],
            "vllm-runtime-aws-cuda12.9": ["vllm-runtime-cuda12.9"],
        },
        contexts={"runtime": "target:vllm-runtime-cuda12.9"},
        more_tags={
            "vllm-runtime-aws-cuda12.9": [
                "dynamo:v0.9.0-vllm-runtime-aws",
                "dynamo:latest-vllm-runtime-aws",
            ]
        },
    ),
    Row(
        line="--framework none --make-efa",
        images=["none-dev-cuda12.8", "none-dev-aws-cuda12.8"],
        contexts={"dev": "target:none-dev-cuda12.8"},
        more_tags={
            "none-dev-aws-cuda12.8": ["dynamo:v0.9.0-none-dev-aws", "dynamo:latest-none-aws"]
        },
    ),
    # The layer needs root: it goes on dev, and local-dev goes on the two.
    Row(
        line=f"{LOCAL} --make-efa",
        images=["none-local-dev-cuda12.8", "none-dev-cuda12.8", "none-local-dev-aws-cuda12.8"],
        depends={"none-local-dev-aws-cuda12.8": ["none-dev-cuda12.8"]},
        contexts={"dev": "target:none-dev-cuda12.8"},
        more_tags={
            "none-dev-cuda12.8": [],
            "none-local-dev-aws-cuda12.8": [
                "dynamo:v0.9.0-none-local-dev-aws",
                "dynamo:latest-none-local-dev-aws",
            ],
        },
    ),
    Row(
        line="--target wheel_builder --make-efa",
        refused="there is no EFA layer for the target 'wheel_builder'",
        hint="runtime, dev, local-dev",
    ),
    Row(line=f"{FRONTEND} --make-efa", refused="there is no EFA layer for the target 'frontend'"),
    Row(
        line="--target runtime --make-efa --efa-version 1.46.0",
        refused="EFA_VERSION is changed to 1.46.0, but the checksum of efa",
        hint="sources.efa.sha256",
    ),
]

PICKER = [
    Row(line=f"{FRONTEND} --epp-image mine:1", args={"EPP_IMAGE": "mine:1"}, before=[]),
    Row(
        line=f"{FRONTEND} --build-epp",
        args={"EPP_IMAGE": "dynamo/dynamo-epp:v0.9.0"},
        origins={"EPP_IMAGE": "flag --build-epp"},
        before=["make -C deploy/inference-gateway/epp all DYNAMO_DIR=@tree"],
    ),
    Row(
        line=f"{FRONTEND} --build-epp",
        env={"ECR_HOSTNAME": "1.ecr.example.com"},
        before=[
            "make -C deploy/inference-gateway/epp all DYNAMO_DIR=@tree "
            "DOCKER_PROXY=1.ecr.example.com/dockerhub/"
        ],
    ),
    Row(
        line=f"{FRONTEND} --build-epp --epp-image mine:1",
        refused="--build-epp and --epp-image exclude each other",
        hint="drop one of them",
    ),
    Row(
        line=f"{RUNTIME} --build-epp",
        refused="the endpoint picker is part of the frontend, not of runtime",
        hint="--target frontend",
    ),
    Row(
        line=f"{RUNTIME} --epp-image mine:1",
        absent=("EPP_IMAGE",),
        warnings=("EPP_IMAGE (flag --epp-image) is used by no stage",),
    ),
]

USERS = [
    Row(
        line=LOCAL,
        args={"USER_UID": "1234", "USER_GID": "5678"},
        origins={"USER_UID": "machine uid of the caller"},
    ),
    Row(
        line=f"{LOCAL} --uid 7 --gid 0",
        args={"USER_UID": "7", "USER_GID": "0"},
        origins={"USER_UID": "flag --uid", "USER_GID": "flag --gid"},
    ),
    Row(
        line=LOCAL,
        caller=(0, 0),
        env={"SUDO_UID": "1001", "SUDO_GID": "1002"},
        args={"USER_UID": "1001", "USER_GID": "1002"},
    ),
    # Root's own uid is root's: dynamo keeps the one that it has in every image.
    Row(
        line=LOCAL,
        caller=(0, 0),
        args={"USER_UID": "1000", "USER_GID": "0"},
        warnings=("the caller is root, so dynamo keeps the uid 1000",),
    ),
    Row(line=f"{LOCAL} --uid 0", refused="uid 0 is root's"),
    Row(line=f"{LOCAL} --build-arg USER_UID=0", refused="uid 0 is root's"),
    Row(line=f"{LOCAL} --uid ada", refused="--uid takes a number, not 'ada'"),
    Row(line=f"{LOCAL} --build-arg USER_GID=0x10", refused="USER_GID is '0x10', which is no gid"),
    Row(line="--target runtime --uid 7", refused="--uid is only for the target local-dev"),
    Row(line="--gid 7", refused="--gid is only for the target local-dev, not for dev"),
    Row(line="--target dev", absent=("USER_UID", "USER_GID")),
]

_S3 = "--use-sccache --sccache-bucket objects --sccache-region eu-1"
SCCACHE = [
    Row(
        line=f"{RUNTIME} {_S3}",
        args={"USE_SCCACHE": "true", "SCCACHE_BUCKET": "objects", "SCCACHE_REGION": "eu-1"},
        secrets=["aws-key-id", "aws-secret-id", "aws-session-token"],
        env={"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "hunter2"},
    ),
    Row(line=RUNTIME, absent=("USE_SCCACHE", "SCCACHE_BUCKET"), secrets=[]),
    Row(line=f"{RUNTIME} --use-sccache=local", args={"USE_SCCACHE": "true"}, secrets=[]),
    Row(
        line=f"{RUNTIME} --use-sccache --sccache-region eu-1",
        refused="the compile cache in S3 needs --sccache-bucket",
        hint="--use-sccache=local",
    ),
    Row(
        line=f"{RUNTIME} --use-sccache --sccache-bucket objects",
        refused="the compile cache in S3 needs --sccache-region",
    ),
]

WORDS = [
    Row(line="runtime", refused="unexpected extra argument"),
    Row(line="--release-build", refused="No such option"),
    Row(line="--dev-image x", refused="No such option"),
    Row(line="--target --push", refused="--target has no value: '--push' comes after it"),
    Row(line="--tag --no-cache", refused="--tag has no value"),
    Row(line="'' --framework none", refused="unexpected extra argument"),
]

TABLE = [
    *FRAMEWORKS,
    *TARGETS,
    *IMAGES,
    *PLATFORMS,
    *VALUES,
    *FEATURES,
    *TAGS,
    *OUTPUT,
    *TRTLLM,
    *EFA,
    *PICKER,
    *USERS,
    *SCCACHE,
    *WORDS,
]


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """What the words with an ``@`` stand for."""
    root = tmp_path_factory.mktemp("flag-rules")
    tree = repository(write_source_tree(root / "tree"))
    for file in ("deploy/inference-gateway/epp/Makefile", "container/build_trtllm_wheel.sh"):
        (tree / file).parent.mkdir(parents=True, exist_ok=True)
        (tree / file).touch()
    git(tree, "add", "--all")
    git(tree, "commit", "--quiet", "--message", "tree")
    git(tree, "tag", "v0.9.0")
    (root / "wheel").mkdir()
    (root / "wheel" / WHEEL).touch()
    (root / "empty").mkdir()
    return {
        "@tree": str(tree),
        "@commit": git(tree, "rev-parse", "HEAD"),
        "@wheel": str(root / "wheel"),
        "@empty": str(root / "empty"),
    }


def plan(row, places, *more):
    """Run the command line of *row*."""
    words = [_filled(word, places) for word in shlex.split(row.line)]
    # Nothing of this machine's own configuration takes part.
    env = {"PIP_CONFIG_FILE": "/dev/null", **row.env}
    with (
        mock.patch("os.getuid", return_value=row.caller[0]),
        mock.patch("os.getgid", return_value=row.caller[1]),
    ):
        return call("plan", "--context", places["@tree"], *more, *words, env=env)


def _filled(text, places):
    for name, value in places.items():
        text = text.replace(name, value)
    return text


@pytest.mark.parametrize("row", TABLE, ids=str)
def test_a_command_line(row, places):
    if row.refused:
        result = plan(row, places)
        # Too long a line is wrapped, in a box where the framework refuses it.
        said = " ".join(re.sub(r"[│╭╮╰╯─]", " ", result.err).split())
        assert (result.code, result.out) == (2, "")
        assert "Traceback" not in result.err
        assert row.refused.lower() in said.partition("hint:")[0].lower()
        assert row.hint in said.partition("hint:")[2]
        return
    result = plan(row, places, "--format", "json")
    assert result.code == 0, result.err
    found = json.loads(result.out)
    assert "hunter2" not in result.out
    first, last = found["images"][0], found["images"][-1]
    if found["before"]:
        places = {**places, "@output": found["before"][0]["makes"]}
    for name, value in row.args.items():
        assert first["build_args"].get(name) == _filled(value, places), name
    for name, origin in row.origins.items():
        assert first["origins"][name].startswith(origin)
    assert not set(row.absent) & set(first["build_args"])
    by_name = {image["name"]: image for image in found["images"]}
    for name, tags in row.more_tags.items():
        assert by_name[name]["tags"] == tags
    for name, below in row.depends.items():
        assert by_name[name]["depends_on"] == below
    if row.images is not None:
        assert list(by_name) == row.images
    if row.contexts is not None:
        assert last["contexts"] == {k: _filled(v, places) for k, v in row.contexts.items()}
    if row.secrets is not None:
        assert [name for name in first["secrets"] if "ca_bundle" not in name] == row.secrets
    if row.before is not None:
        said = [shlex.join(step["argv"]) for step in found["before"]]
        assert said == [_filled(line, places) for line in row.before]
    if row.version is not None:
        assert found["version"]["tag"] == row.version
    if row.warnings is not None:
        # What the catalog has no checksum of is said of every build.
        said = [text for text in found["warnings"] if "without a checksum" not in text]
        assert len(said) == len(row.warnings), said
        assert all(part in text for part, text in zip(row.warnings, said, strict=True))
    keys = ("tags", "output", "platforms", "cache_from", "cache_to", "no_cache", "stage")
    for key in keys:
        if getattr(row, key) is not None:
            assert first[key] == getattr(row, key)
    if row.cuda is not None:
        assert first["cuda_version"] == row.cuda


def test_the_table_is_long_and_says_each_thing_once():
    assert len(TABLE) >= 80
    lines = [(row.line, tuple(row.env), row.caller) for row in TABLE]
    assert len([row for row in TABLE if row.refused]) >= 30
    for group in (FRAMEWORKS, TARGETS, IMAGES, PLATFORMS, FEATURES, TRTLLM, EFA, PICKER, USERS):
        own = [(row.line, tuple(row.env), row.caller) for row in group]
        assert len(own) == len(set(own))
    assert len(set(lines)) >= 80


def test_every_row_expects_something():
    for row in TABLE:
        assert row != Row(line=row.line, env=row.env, caller=row.caller), row


# ---- the defects of the replaced script, a test each -------------------------------------


def stage_of(text, name):
    """The instructions of one stage as text."""
    _, found = read(text)
    (stage,) = (stage for stage in found if stage.name == name)
    return "\n".join(f"{keyword} {rest}" for keyword, rest in stage.instructions)


ENGINES = ["vllm", "trtllm", "sglang"]
ALL = [*ENGINES, "none"]


@pytest.mark.parametrize("framework", ENGINES)
def test_media_switches_reach_the_stage_that_uses_them(framework):
    on = text_of(framework=framework, target="runtime")
    wheel = stage_of(on, "ai_dynamo_runtime_wheel")
    for name in ("ENABLE_MEDIA_NIXL", "ENABLE_MEDIA_FFMPEG"):
        assert f"ARG {name}\n" in wheel
        assert f'"${{{name}}}" = true' in wheel
    assert "--from=ffmpeg" in wheel
    off = text_of(framework=framework, target="runtime", args={"ENABLE_MEDIA_FFMPEG": "false"})
    assert "ffmpeg" not in off.replace("media-ffmpeg", "").replace("ENABLE_MEDIA_FFMPEG", "")


@pytest.mark.parametrize("framework", ALL)
def test_ffmpeg_is_shipped_with_its_links_and_before_the_user_changes(framework):
    args = {"ENABLE_MEDIA_FFMPEG": "true"}
    runtime = stage_of(text_of(framework=framework, target="runtime", args=args), "runtime")
    (copied,) = (
        found.start() for found in re.finditer(r"COPY --from=ffmpeg .*/usr/local/$", runtime, re.M)
    )
    assert copied < runtime.index("USER dynamo")
    assert "ldconfig" in runtime[copied:]


@pytest.mark.parametrize("framework", ALL)
def test_several_platforms_have_no_architecture_of_one_of_them(framework):
    image = make_image(framework=framework, target="runtime", platform=["amd64", "arm64"])
    assert not {"ARCH", "ARCH_ALT", "RUSTARCH", "TARGETARCH"} & set(image.build_args)
    arguments, found = read(text_of(framework=framework, target="runtime"))
    assert "TARGETARCH" not in arguments
    for stage in found:
        text = "\n".join(rest for _, rest in stage.instructions)
        if re.search(r"\$\{?TARGETARCH\b", text):
            assert ("ARG", "TARGETARCH") in stage.instructions


@pytest.mark.parametrize("cuda", ["12.9", "13.0"])
def test_a_base_tag_given_by_hand_survives_cuda_13(cuda):
    args = {"BASE_IMAGE_TAG": "mine"}
    image = make_image(framework="vllm", target="runtime", cuda_version=cuda, args=args)
    assert image.build_args["BASE_IMAGE_TAG"] == "mine"


def test_an_exported_cuda_version_does_not_leak_in():
    found = call(
        *("plan", "--target", "runtime", "--format", "json", "--context", WORKSPACE),
        env={"CUDA_VERSION": "13.0", "FRAMEWORK": "NONE", "TARGET": "dev", "MAX_JOBS": "1"},
    )
    (image,) = json.loads(found.out)["images"]
    assert image["name"] == "vllm-runtime-cuda12.9"
    assert (image["build_args"]["CUDA_VERSION"], image["build_args"]["MAX_JOBS"]) == ("12.9", "16")


def test_the_cuda_version_decides_on_images_and_argument_together():
    for cuda in ("12.9", "13.0"):
        args = make_image(framework="vllm", target="runtime", cuda_version=cuda).build_args
        assert args["CUDA_VERSION"] == cuda
        assert f"cuda{cuda}" in args["BASE_IMAGE_TAG"]
        assert args["RUNTIME_IMAGE_TAG"].startswith(cuda)


def test_the_pytorch_image_follows_the_base_image():
    args = {"BASE_IMAGE": "mirror.example.com/pytorch", "BASE_IMAGE_TAG": "26.01-py3"}
    image = make_image(framework="trtllm", target="runtime", args=args)
    assert image.build_args["PYTORCH_BASE_IMAGE"] == "mirror.example.com/pytorch"
    assert image.build_args["PYTORCH_BASE_IMAGE_TAG"] == "26.01-py3"
    assert image.origins["PYTORCH_BASE_IMAGE_TAG"] == "derived BASE_IMAGE_TAG"


def test_the_pytorch_image_may_be_another_than_the_base_image():
    args = {"BASE_IMAGE": "mine", "BASE_IMAGE_TAG": "1"}
    args |= {"PYTORCH_BASE_IMAGE": "torch", "PYTORCH_BASE_IMAGE_TAG": "2"}
    found = make_image(framework="trtllm", target="runtime", args=args).build_args
    assert {name: found[name] for name in args} == args


@pytest.mark.parametrize(
    "words",
    [
        ("--nixl-ref", "flag", "--build-arg", "NIXL_REF=mine"),
        ("--build-arg", "NIXL_REF=mine"),
        ("--build-arg", "NIXL_REF=other", "--build-arg", "NIXL_REF=mine"),
    ],
    ids=" ".join,
)
def test_a_build_argument_given_by_hand_wins(words):
    words = ("--framework", "none", "--target", "runtime", *words)
    found = call("plan", *words, "--format", "json", "--context", WORKSPACE)
    (image,) = json.loads(found.out)["images"]
    assert image["build_args"]["NIXL_REF"] == "mine"


def test_tokens_are_no_build_arguments():
    env = {"GITHUB_TOKEN": "hunter2", "GITLAB_TOKEN": "hunter2"}
    words = ("--framework", "none", "--target", "runtime", "--format", "json")
    found = call("plan", *words, "--context", WORKSPACE, env=env)
    assert "TOKEN" not in found.out
    assert "hunter2" not in found.out


@pytest.mark.parametrize("more", [(), ("--make-efa",), ("--tag", "localhost:5000/x:1")])
def test_a_push_never_names_an_unqualified_image(more):
    words = ("--framework", "none", "--target", "runtime", "--push", *more)
    result = call("plan", *words, "--context", WORKSPACE)
    assert result.code == 2
    assert "names no registry" in result.err


def test_the_efa_image_can_be_pushed_like_its_base():
    made = make_plan(
        framework="none",
        target="runtime",
        make_efa=True,
        output="push",
        repository="r.example.com/d",
    )
    assert [image.output for image in made.images] == ["push", "push"]
    assert all(tag.startswith("r.example.com/") for image in made.images for tag in image.tags)


def test_efa_on_local_dev_comes_before_the_user():
    made = make_job(framework="none", target="local-dev", make_efa=True)
    *_, last = made.images
    from dynbuild.render.dockerfile import render

    text = render(last, TEMPLATES)
    names = [stage.name for stage in read(text)[1]]
    assert names.index("dev-aws") < names.index("local-dev-aws")
    assert "efa_installer.sh" in stage_of(text, "dev-aws")
    assert stage_of(text, "dev-aws").startswith("USER root")
    assert "USER dynamo" not in stage_of(text, "dev-aws")


def test_only_the_images_that_are_asked_for_are_tagged_and_put_out():
    made = make_plan(framework="none", target="local-dev", make_efa=True, cache_to=["type=inline"])
    below = next(image for image in made.images if image.target == "dev")
    assert (below.tags, below.output, below.cache_to) == ((), "none", ())


def test_the_efa_installer_is_pinned():
    image = make_job(framework="none", target="runtime", make_efa=True).images[-1]
    from dynbuild.render.dockerfile import render

    assert re.search(r"ADD --checksum=sha256:[0-9a-f]{64} .*efa", render(image, TEMPLATES))


def test_the_wheel_of_trtllm_comes_from_the_index_that_is_given():
    text = stage_of(text_of(framework="trtllm", target="runtime"), "framework")
    assert "pypi.nvidia.com" not in text
    assert '--index "${TENSORRTLLM_INDEX_URL}"' in text
    assert "unsafe" not in text


@pytest.mark.parametrize("cuda", ["12.9", "13.0"])
def test_the_ref_of_vllm_counts_on_every_cuda_version(cuda):
    text = stage_of(text_of(framework="vllm", target="framework", cuda_version=cuda), "framework")
    assert "${VLLM_REF" in text
    assert "0.14.1" not in text


@pytest.mark.parametrize("framework", ALL)
def test_no_index_is_asked_for_more_than_it_is_meant_for(framework):
    for target in ("runtime", "dev"):
        text = text_of(framework=framework, target=target)
        assert "unsafe-best-match" not in text
        assert "--extra-index-url" not in text


@pytest.mark.parametrize("framework", ALL)
def test_nothing_floats(framework):
    text = text_of(framework=framework, target="dev")
    assert ":latest" not in text
    arguments, found = read(text)
    for stage in found:
        if "/" in stage.base or "${" in stage.base:
            tagged = ":" in stage.base or stage.base.split("{")[-1].rstrip("}").endswith("IMAGE")
            assert tagged or stage.base.endswith("_${TARGETARCH}"), stage.base
    tags = {name: value for name, value in arguments.items() if name.endswith(("_TAG", "_REF"))}
    assert not [name for name, value in tags.items() if value in ("latest", "main", "master")]


@pytest.mark.parametrize("framework", ALL)
def test_dev_goes_on_from_its_tools_and_copies_no_system_folder(framework):
    text = text_of(framework=framework, target="local-dev")
    bases = {stage.name: stage.base for stage in read(text)[1]}
    assert bases["local-dev"] == "dev"
    assert bases["dev"] == "dynamo_tools"
    assert bases["dynamo_tools"] == "runtime"
    assert "--from=dynamo_tools" not in text
    assert not re.search(r"COPY --from=\S+ .*/(usr|lib|usr/share)/? /", stage_of(text, "dev"))


PEOPLES = ("runtime", "dev", "local-dev", "frontend")


@pytest.mark.parametrize("framework", ALL)
def test_no_tree_of_an_image_is_changed_recursively(framework):
    text = text_of(framework=framework, target="local-dev")
    for name in PEOPLES[:3]:
        assert not re.search(r"ch(own|mod) (-\S*R|--recursive)", stage_of(text, name))
    assert "cp -" not in stage_of(text, "local-dev")


@pytest.mark.parametrize("framework", ALL)
def test_no_file_is_shipped_twice(framework):
    args = {"ENABLE_MEDIA_FFMPEG": "true"}
    runtime = stage_of(text_of(framework=framework, target="runtime", args=args), "runtime")
    copies = [line for line in runtime.split("\n") if line.startswith("COPY --from")]
    assert len(copies) == len(set(copies))
    assert len(re.findall(r"COPY --from=nixl .*/opt/nvidia/nvda_nixl/$", runtime, re.M)) == 1
    assert runtime.count("COPY --from=wheel_builder") == 1
    assert "/opt/dynamo/target/" not in runtime
    assert runtime.count("COPY --from=pytorch_base /opt/hpcx") <= 1


def test_the_frontend_needs_no_gpu_image():
    image = make_image(framework="none", target="frontend")
    text = text_of(framework="none", target="frontend")
    names = [stage.name for stage in read(text)[1]]
    assert not {"runtime", "dynamo_base"} & set(names)
    assert image.build_args["FRONTEND_BASE_IMAGE_TAG"] == "noble-20250619"


def test_the_frontend_passes_no_command_to_the_picker_and_knows_its_commit():
    text = text_of(framework="none", target="frontend")
    assert 'ENTRYPOINT ["/epp"]\nCMD []\nARG DYNAMO_COMMIT_SHA\n' in text


def test_a_runtime_knows_where_its_libraries_are():
    for framework in ("none", "sglang"):
        runtime = stage_of(text_of(framework=framework, target="runtime"), "runtime")
        for folder in ("/usr/local/ucx/lib", "/opt/nvidia/nvda_nixl/lib64/plugins"):
            assert folder in runtime
        assert "ldconfig" in runtime


@pytest.mark.parametrize("framework", ALL)
def test_tests_and_linters_are_not_for_runtime_images(framework):
    texts = text_of(framework=framework, target="dev")
    assert "requirements.test" not in stage_of(texts, "runtime")
    assert "requirements.test" in stage_of(texts, "dev")


@pytest.mark.parametrize("framework", ALL)
def test_compile_jobs_are_bounded_everywhere(framework):
    text = text_of(framework=framework, target="dev", args={"ENABLE_MEDIA_FFMPEG": "true"})
    for line in re.findall(r"\b(?:make|ninja|cmake --build)\b[^\n]* -j\S*", text):
        assert "${BUILD_JOBS:-$(nproc)}" in line


@pytest.mark.parametrize("framework", ALL)
def test_no_step_sees_the_whole_build_context(framework):
    text = text_of(framework=framework, target="local-dev")
    for mount in re.findall(r"--mount=type=bind\S*", text):
        assert "source=" in mount or "from=" in mount, mount
        assert "source=.," not in mount


def test_a_component_does_not_wait_for_others():
    text = text_of(framework="vllm", target="runtime")
    bases = {stage.name: stage.base for stage in read(text)[1]}
    for name in ("gdrcopy", "ffmpeg", "ucx", "libfabric", "aws_sdk_cpp"):
        assert bases[name] == "build_tools"
    assert "ADD" in {keyword for keyword, _ in _instructions(text, "ucx_src")}


def _instructions(text, name):
    (stage,) = (stage for stage in read(text)[1] if stage.name == name)
    return stage.instructions


def test_a_dry_run_writes_nothing(tmp_path):
    tree = write_source_tree(tmp_path / "tree")
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    words = ("--framework", "none", "--target", "runtime", "--device", "cpu", "--dry-run")
    result = call("build", *words, "--context", tree)
    assert result.code == 0, result.err
    assert "docker buildx bake" in result.out
    assert sorted(str(path) for path in tmp_path.rglob("*")) == before


def test_a_dry_run_of_the_wheel_of_trtllm_shows_the_command(places):
    words = ("--framework", "trtllm", "--target", "runtime", "--tensorrtllm-commit", "v1.2.0")
    words += ("--tensorrtllm-git-url", "https://example.com/trt.git", "--dry-run")
    result = call("build", *words, "--context", places["@tree"])
    assert "build_trtllm_wheel.sh -o " in result.out
    assert '"trtllm_wheel": ' in result.out


def test_a_git_tag_that_is_no_image_tag(tmp_path):
    tree = repository(write_source_tree(tmp_path / "tree"))
    git(tree, "add", "--all")
    git(tree, "commit", "--quiet", "--message", "tree")
    git(tree, "tag", "v1/rc+x")
    words = ("--framework", "none", "--target", "runtime", "--format", "json")
    (image,) = json.loads(call("plan", *words, "--context", tree).out)["images"]
    assert image["tags"][0] == "dynamo:v1-rc-x-none-runtime"


def test_git_is_asked_in_the_source_tree_and_not_where_the_caller_is(tmp_path, places):
    elsewhere = repository(tmp_path / "elsewhere", "v7.7.7")
    words = ("plan", "--framework", "none", "--target", "runtime", "--format", "json")
    found = call(*words, "--context", places["@tree"], cwd=elsewhere)
    assert json.loads(found.out)["version"]["tag"] == "v0.9.0"


def test_two_builds_of_a_wheel_have_folders_of_their_own():
    asked = {"framework": "trtllm", "target": "runtime"}
    asked["tensorrtllm_git_url"] = "https://example.com/trt.git"
    folders = {
        make_plan(**asked, tensorrtllm_commit=commit, platform=[platform]).before[0].makes
        for commit in ("v1.2.0", "v1.1.0")
        for platform in ("amd64", "arm64")
    }
    assert len(folders) == 4
    assert all(Path(folder).is_relative_to(WORKSPACE) for folder in folders)
