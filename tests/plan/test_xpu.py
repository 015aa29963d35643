"""Intel's GPUs: what is planned for them, and what is refused."""

from __future__ import annotations

import pytest

from dynbuild.render.dockerfile import render
from tests.support import TEMPLATES, make_image_job, refusal

XPU = {"framework": "vllm", "device": "xpu", "release_line": "1.5"}


@pytest.mark.parametrize("target", ["runtime", "dev", "local-dev", "wheel_builder", "test"])
def test_an_image_for_an_xpu(target):
    image = make_image_job(**XPU, target=target)
    assert str(image.id) == f"vllm-{target}-xpu+1.5"
    assert any(tag.endswith(f"-vllm-{target}-xpu-1.5") for tag in image.plan.tags)
    text = render(image, TEMPLATES)
    assert "--with-ze --without-cuda" in text
    assert "name=nixl-xpu" in text
    for word in (
        "--from=base /usr/local/cuda",
        "NVIDIA_DRIVER",
        "gdrcopy",
        "libfabric_src",
        "gms_wheel",
        "nsight",
    ):
        assert word not in text, word
    assert image.plan.build_args["BASE_IMAGE"] == "vllm/vllm-openai-xpu"


def test_a_decoder_of_nvidia_s_is_for_cuda_alone():
    text = render(make_image_job(**XPU, target="runtime"), TEMPLATES)
    assert "sed '/^PyNvVideoCodec/Id' /deps/*.txt" in text
    cuda = render(make_image_job(**XPU | {"device": "cuda"}, target="runtime"), TEMPLATES)
    assert "PyNvVideoCodec" not in cuda


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ({"cuda_version": "13.0"}, "device xpu has no CUDA, but CUDA 13.0 is asked for"),
        ({"platform": ["linux/arm64"]}, "there is no platform 'linux/arm64' of vllm on xpu"),
        ({"make_efa": True}, "there is no EFA layer for the device xpu"),
        ({"framework": "trtllm"}, "there is no device 'xpu' of trtllm"),
        ({"framework": "none"}, "there is no device 'xpu' of none"),
        ({"release_line": "0.9.0"}, "there is no device 'xpu' of vllm"),
        ({"target": "frontend"}, "there is no target 'frontend' of vllm"),
    ],
)
def test_what_an_xpu_has_not(asked, text):
    error = refusal(**{**XPU, "target": "runtime", **asked})
    assert text in f"{error.message} {' '.join(error.details)}"
