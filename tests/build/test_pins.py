"""What a source tree says of itself."""

from __future__ import annotations

import pytest

from dynbuild.build import pins
from tests.support import WORKSPACE

CONTEXT = """\
# A comment.
dynamo:
  cuda13.0:
    base_image: nvcr.io/nvidia/cuda-dl-base
    base_image_tag: 25.11-cuda13.0-devel-ubuntu24.04
  frontend:
    nixl_ref: v9.9.9
  frontend_image: nvcr.io/nvidia/base/ubuntu:noble
  python_version: "3.12"   # of every image
  enable_kvbm: "true"
vllm:
  cuda13.0:
    runtime_image: vllm/vllm-openai
    vllm_ref: v0.27.1
  cpu:
    base_image: ubuntu
  nixl_ref: v1.3.2
  modelexpress_version: "0.5.0"
trtllm:
  trtllm_wheel_image: nvcr.io/x:${TENSORRTLLM_PIP_WHEEL#*==}
"""


@pytest.fixture
def tree(tmp_path):
    def write(**files):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return tmp_path

    return write


def said(path):
    return {".".join(pin.path): (pin.value, pin.place) for pin in pins.read(path).pins}


def test_a_context_yaml_is_read_with_its_lines(tree):
    found = said(tree(**{"container/context.yaml": CONTEXT}))
    cuda = "frameworks.none.devices.cuda.cuda.13.0"
    assert found[f"{cuda}.BASE_IMAGE_TAG"] == (
        "25.11-cuda13.0-devel-ubuntu24.04",
        "container/context.yaml:5",
    )
    assert found["args.FRONTEND_BASE_IMAGE"][0] == "nvcr.io/nvidia/base/ubuntu"
    assert found["args.FRONTEND_BASE_IMAGE_TAG"][0] == "noble"
    assert found["args.PYTHON_VERSION"] == ("3.12", "container/context.yaml:9")
    assert found["frameworks.none.args.ENABLE_KVBM"][0] == "true"
    assert found["frameworks.vllm.devices.cuda.cuda.13.0.VLLM_REF"][0] == "v0.27.1"
    assert found["frameworks.vllm.devices.cpu.args.BASE_IMAGE"][0] == "ubuntu"
    assert found["frameworks.vllm.args.NIXL_REF"][0] == "v1.3.2"
    assert "args.NIXL_REF" not in found


def test_what_no_setting_stands_for_is_told_apart(tree):
    read = pins.read(tree(**{"container/context.yaml": CONTEXT}))
    assert [".".join(pin.path[1:]) for pin in read.unused] == [
        "dynamo.frontend.nixl_ref",
        "vllm.modelexpress_version",
        "trtllm.trtllm_wheel_image",
    ]
    assert read.frameworks == {"none", "vllm"}


def test_an_older_tree_says_it_in_its_script_and_its_dockerfiles(tree):
    files = {
        "container/build.sh": "NIXL_REF=0.9.0\n"
        'DEFAULT_TENSORRTLLM_PIP_WHEEL="tensorrt-llm==1.3.0rc1"\nVLLM_BASE_IMAGE="x/y"\nVLLM_BASE_IMAGE_TAG_CU13="25.11-cuda13.0-devel"\nNIXL_UCX_REF=$X\n',
        "container/Dockerfile": "ARG NIXL_REF=0.1\nARG ETCD_VERSION=v3.5.21\n",
    }
    found = said(tree(**files))
    assert found["args.NIXL_REF"] == ("0.9.0", "container/build.sh:1")
    assert found["args.TENSORRTLLM_PIP_WHEEL"][0] == "tensorrt-llm==1.3.0rc1"
    assert found["args.ETCD_VERSION"] == ("v3.5.21", "container/Dockerfile:2")
    assert found["frameworks.vllm.devices.cuda.cuda.13.0.BASE_IMAGE"][0] == "x/y"
    assert "args.NIXL_UCX_REF" not in found


def test_toolchain_features_and_engines(tree):
    wheels = "container/templates/wheel_builder.Dockerfile"
    files = {
        "rust-toolchain.toml": '[toolchain]\nchannel = "1.96.1"\n',
        wheels: 'RUN maturin build --release --features "media-ffmpeg,a" --out x\n'
        'RUN maturin build --release --features "a,b" --out x\n'
        'RUN KVBM_FEATURES="--features nccl"\n',
        "pyproject.toml": '[project]\nversion = "1.5.0"\n[project.optional-dependencies]\n'
        'vllm = ["vllm[otel,runai]==0.27.1"]\nsglang = ["sglang[diffusion]==0.5.17"]\n',
        "Cargo.toml": '[workspace]\nmembers = ["lib/llm"]\n',
        "container/deps/requirements.x.txt": "",
    }
    path = tree(**files)
    found, read = said(path), pins.read(path)
    assert found["args.RUST_VERSION"] == ("1.96.1", "rust-toolchain.toml:2")
    assert found["args.MATURIN_FEATURES"] == ("a,b", f"{wheels}:2")
    assert found["frameworks.none.devices.cuda.args.KVBM_FEATURES"] == ("nccl", f"{wheels}:3")
    assert found["args.VLLM_REF"] == ("v0.27.1", "pyproject.toml:4")
    assert found["args.VLLM_EXTRAS"][0] == "otel,runai"
    assert found["args.SGLANG_REF"][0] == "v0.5.17"
    assert (read.version, read.members) == ("1.5.0", ("lib/llm",))
    assert read.requirements == {"requirements.x.txt"}


def test_a_file_that_leads_out_of_the_tree_is_not_read(tree, tmp_path_factory):
    secret = tmp_path_factory.mktemp("outside") / "context.yaml"
    secret.write_text(CONTEXT)
    path = tree(**{"pyproject.toml": ""})
    (path / "container").mkdir()
    (path / "container" / "context.yaml").symlink_to(secret)
    assert said(path) == {}


@pytest.mark.parametrize("text", ["\0", "x" * (1 << 21), "dynamo: [", "- a\n- b\n", "[toolchain"])
def test_what_is_no_such_file_says_nothing(tree, text):
    path = tree(**{"container/context.yaml": text, "rust-toolchain.toml": text, "Cargo.toml": text})
    assert pins.read(path).pins == ()


def test_the_example_tree():
    assert said(WORKSPACE)["args.RUST_VERSION"] == ("1.90.0", "rust-toolchain.toml:3")
