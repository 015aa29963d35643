"""Intel's GPUs: what is planned for them, and what is refused."""

from __future__ import annotations

import re
import subprocess

import pytest

from dynbuild.render.dockerfile import render
from tests.support import TEMPLATES, make_image_job, refusal

XPU = {"framework": "vllm", "device": "xpu", "release_line": "1.5"}
COMPILED = [
    {"framework": "vllm", "device": "xpu", "release_line": "1.0"},
    {"framework": "sglang", "device": "xpu", "release_line": "1.5"},
]
"""Engines that no vendor's image has for them."""


@pytest.mark.parametrize("target", ["runtime", "dev", "local-dev", "wheel_builder", "test"])
@pytest.mark.parametrize("asked", [XPU, *COMPILED], ids=lambda asked: asked["framework"])
def test_an_image_for_an_xpu(asked, target):
    image = make_image_job(**asked, target=target)
    framework, line = asked["framework"], asked["release_line"]
    assert str(image.id) == f"{framework}-{target}-xpu+{line}"
    assert any(tag.endswith(f"-{framework}-{target}-xpu-{line}") for tag in image.plan.tags)
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
    base = "intel/deep-learning-essentials" if asked in COMPILED else "vllm/vllm-openai-xpu"
    assert image.plan.build_args["BASE_IMAGE"] == base
    assert ("add-apt-repository" in text) == (asked in COMPILED)


def test_a_decoder_of_nvidia_s_is_for_cuda_alone():
    text = render(make_image_job(**XPU, target="runtime"), TEMPLATES)
    assert "sed '/^PyNvVideoCodec/Id' /deps/*.txt" in text
    cuda = render(make_image_job(**XPU | {"device": "cuda"}, target="runtime"), TEMPLATES)
    assert "PyNvVideoCodec" not in cuda


@pytest.mark.parametrize(
    ("asked", "version", "triton", "stages"),
    [
        (COMPILED[0], ("VLLM_REF", "v0.17.1"), "3.6.0", {"vllm_src", "oneccl_src"}),
        (COMPILED[1], ("SGLANG_REF", "v0.5.11"), "3.7.0", {"sglang_src", "sgl_kernel_src"}),
    ],
    ids=["vllm", "sglang"],
)
def test_an_engine_without_an_image_is_compiled(asked, version, triton, stages):
    image = make_image_job(**asked, target="runtime")
    text = render(image, TEMPLATES)
    assert image.plan.build_args[version[0]] == version[1]
    assert image.plan.build_args["TRITON_XPU_VERSION"] == triton
    assert set(re.findall(r"(?:vllm|sgl\w*|oneccl)_src", text)) == stages
    runtime = text.partition("# ==== runtime ")[2]
    # Whatever is installed beside it moves no PyTorch and brings no Triton for other GPUs.
    installs = re.findall(r"uv pip install (?!maturin)[^\n;]*", runtime)
    assert len(installs) == (3 if asked["framework"] == "vllm" else 2)
    for words in installs:
        own = "--overrides /opt/dynamo/overrides.txt -c /opt/dynamo/engine.txt"
        assert words.startswith(f"uv pip install {own}")
    assert "for name in triton " in text


@pytest.mark.processes("bash", "sed")
@pytest.mark.parametrize("asked", COMPILED, ids=["vllm", "sglang"])
def test_pytorch_is_the_one_that_the_engine_asks_for(asked, tmp_path):
    """By its own file, which is one of requirements or a table of TOML."""
    text = render(make_image_job(**asked, target="runtime"), TEMPLATES)
    (command,) = re.findall(r"sed -En (\".*\") /opt/\S+;", text)
    file = tmp_path / "file"
    file.write_text(
        "-r common.txt\ntriton==3\nsetuptools-torch\ntorch==2.10.0+xpu\ntorchaudio\n"
        "torchvision  # without a version\ntorchcodec>=1\n"
        '  "torch==2.11.0+xpu",\n  "torchaudio==2.11.0+xpu" ; linux,\n  "torchao==0.9",\n'
    )
    words = ["bash", "-c", f"sed -En {command} {file}"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    wanted = ["torch==2.10.0+xpu", "torchaudio", "torchvision"]
    wanted += ["torch==2.11.0+xpu", "torchaudio==2.11.0+xpu"]
    assert done.stdout.split() == [f"'{name}'," for name in wanted]


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ({"framework": "sglang", "release_line": "1.0"}, "there is no device 'xpu' of sglang"),
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
