import itertools
import json
import os
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from dynbuild import names
from dynbuild.errors import RequestError
from dynbuild.image_id import ImageId
from dynbuild.plan import document, secrets, stages
from dynbuild.plan.machine import Machine
from dynbuild.plan.version import Version
from tests.support import (
    CATALOG,
    DEMO,
    MACHINE,
    NONE_CPU,
    NONE_RUNTIME,
    ROOT,
    SWITCHES,
    VERSION,
    load,
    make_image,
    make_image_job,
    make_plan,
    refusal,
)

FRAMEWORKS = CATALOG["frameworks"]
PLATFORM_SETS = (["linux/amd64"], ["linux/arm64"], ["linux/amd64", "linux/arm64"])


def cells():
    """Every image there is: framework, target, device, CUDA, without the platform."""
    for framework, entry in FRAMEWORKS.items():
        for target, (device, row) in itertools.product(entry["targets"], entry["devices"].items()):
            for cuda in row.get("cuda", {}) or ("",):
                yield framework, target, device, cuda


CELLS = list(cells())


def asked(framework, target, device, cuda, **more):
    return {
        "framework": framework,
        "target": target,
        "device": device,
        "cuda_version": cuda,
        **more,
    }


# ---- the table of what there is ----------------------------------------------------------


@pytest.mark.parametrize("cell", CELLS, ids="-".join)
def test_every_cell_plans_on_every_platform(cell):
    framework, target, device, cuda = cell
    there = FRAMEWORKS[framework]["devices"][device]["platforms"]
    for platforms in PLATFORM_SETS:
        if not set(platforms) <= set(there):
            continue
        job = make_image_job(**asked(*cell, platform=platforms))
        image = job.plan
        assert image.id == ImageId(framework, target, device, cuda)
        assert image.name == str(image.id)
        assert (image.framework, image.target, image.stage) == (framework, target, target)
        assert (image.device, image.cuda_version) == (device, cuda or None)
        assert image.platforms == tuple(platforms)
        assert image.dockerfile == f"{image.name}.Dockerfile"
        assert set(image.build_args) == set(stages.args(stages.chain(job.recipe)))
        assert set(image.origins) == set(image.build_args)
        assert all(image.origins.values())


def test_every_cell_has_its_own_name_and_tags():
    images = [make_image(**asked(*cell)) for cell in CELLS]
    counted = sum(
        len(entry["targets"])
        * sum(len(row.get("cuda", {})) or 1 for row in entry["devices"].values())
        for entry in FRAMEWORKS.values()
    )
    assert len({image.name for image in images}) == len(images) == counted


def test_two_images_that_differ_in_more_than_the_cell_are_told_apart():
    """By their ids, their targets for bake and their build caches."""
    requests = [
        {"dynamo_wheels": wheels, "release_line": line}
        for wheels in ("source", "index", "index==0.9.1")
        for line in ("0.9.0", "1.0")
    ]
    images = [make_image(**NONE_CPU, **more, cache="gha") for more in requests]
    found = [image.name.removeprefix("none-runtime-cpu") for image in images]
    assert found == ["", "+1.0", *2 * ["+index", "+1.0+index"]]
    for of in (lambda image: image.id.bake_target, lambda image: image.cache_to):
        assert len({of(image) for image in images}) == len(set(found)) == 4
    assert [image.labels["dynbuild.image"] for image in images] == [i.name for i in images]
    assert [image.release_line for image in images] == ["0.9.0", "1.0"] * 3


TARGETS = sorted({target for entry in FRAMEWORKS.values() for target in entry["targets"]})
DEVICES = sorted({device for entry in FRAMEWORKS.values() for device in entry["devices"]})
CUDAS = sorted(
    {
        cuda
        for entry in FRAMEWORKS.values()
        for row in entry["devices"].values()
        for cuda in row.get("cuda", {})
    }
)
WRONG_TARGETS = [
    (framework, target)
    for framework, entry in FRAMEWORKS.items()
    for target in (*TARGETS, "runtime-aws", "Runtime")
    if target not in entry["targets"]
]
WRONG_DEVICES = [
    (framework, device)
    for framework, entry in FRAMEWORKS.items()
    for device in (*DEVICES, "xpu", "tpu")
    if device not in entry["devices"]
]
WRONG_CUDAS = [
    (framework, cuda)
    for framework, entry in FRAMEWORKS.items()
    for cuda in (*CUDAS, "11.8", "14", "12.80", "latest")
    if cuda not in entry["devices"]["cuda"]["cuda"]
]


@pytest.mark.parametrize("framework", ["vlm", "pytorch", "", "none "])
def test_a_framework_that_does_not_exist(framework):
    error = refusal(framework=framework)
    assert error.message == f"there is no framework '{framework}'"
    assert error.origin == "flag --framework"
    assert all(name in error.hint for name in FRAMEWORKS)


@pytest.mark.parametrize(("framework", "target"), WRONG_TARGETS, ids=str)
def test_a_target_that_the_framework_does_not_have(framework, target):
    error = refusal(framework=framework, target=target)
    assert error.message == f"there is no target '{target}' of {framework}"
    assert error.origin == "flag --target"
    assert all(name in error.hint for name in FRAMEWORKS[framework]["targets"])


@pytest.mark.parametrize(("framework", "device"), WRONG_DEVICES, ids=str)
def test_a_device_that_the_framework_does_not_have(framework, device):
    error = refusal(framework=framework, device=device)
    assert error.message == f"there is no device '{device}' of {framework}"
    assert all(name in error.hint for name in FRAMEWORKS[framework]["devices"])


@pytest.mark.parametrize(("framework", "cuda"), WRONG_CUDAS, ids=str)
def test_a_cuda_version_that_the_framework_does_not_have(framework, cuda):
    error = refusal(framework=framework, cuda_version=cuda)
    assert error.message == f"there is no CUDA {cuda} for {framework}"
    assert error.origin == "flag --cuda-version"
    assert all(name in error.hint for name in FRAMEWORKS[framework]["devices"]["cuda"]["cuda"])


def test_cuda_on_a_device_without():
    error = refusal(**NONE_CPU, cuda_version="12.8")
    assert "device cpu has no CUDA" in error.message
    assert "--device cuda" in error.hint


@pytest.mark.parametrize("platform", ["linux/s390x", "amd46", "windows/amd64"])
def test_a_platform_that_does_not_exist(platform):
    error = refusal(**NONE_RUNTIME, platform=[platform])
    assert error.message == f"there is no platform '{platform}'"
    assert error.origin == "flag --platform"
    assert "linux/amd64" in error.hint


def test_a_platform_that_the_device_does_not_have(tmp_path):
    overlay = tmp_path / "a.toml"
    overlay.write_text('[frameworks.none.devices.cpu]\nplatforms = ["linux/amd64"]\n')
    error = refusal(overlay, **NONE_CPU, platform=["linux/arm64"])
    assert error.message == "there is no platform 'linux/arm64' of none on cpu"
    assert "linux/amd64" in error.hint


@pytest.mark.parametrize(
    ("framework", "given", "cuda"),
    [
        ("vllm", "", "12.9"),
        ("vllm", "12.9.1", "12.9"),
        ("vllm", "13", "13.0"),
        ("vllm", "12", "12.9"),
        ("trtllm", "", "13.1"),
        ("sglang", "13.0.2", "13.0"),
        ("none", "", "12.8"),
    ],
)
def test_spellings_of_a_cuda_version(framework, given, cuda):
    assert make_image(framework=framework, cuda_version=given).cuda_version == cuda


@pytest.mark.parametrize("spelling", ["VLLM", "Vllm", "vllm"])
def test_the_case_of_a_framework_does_not_matter(spelling):
    assert make_image(framework=spelling).name == "vllm-dev-cuda12.9"


def test_no_target_means_dev():
    assert make_image(target="").target == make_image().target == "dev"


# ---- figures -----------------------------------------------------------------------------

DL = "nvcr.io/nvidia/cuda-dl-base"


@pytest.mark.parametrize(
    ("framework", "cuda", "base", "runtime"),
    [
        (
            "vllm",
            "12.9",
            f"{DL}:25.06-cuda12.9-devel-ubuntu24.04",
            "nvcr.io/nvidia/cuda:12.9.1-runtime-ubuntu24.04",
        ),
        (
            "vllm",
            "13.0",
            f"{DL}:25.11-cuda13.0-devel-ubuntu24.04",
            "nvcr.io/nvidia/cuda:13.0.2-runtime-ubuntu24.04",
        ),
        (
            "sglang",
            "12.9",
            f"{DL}:25.06-cuda12.9-devel-ubuntu24.04",
            "lmsysorg/sglang:v0.5.8-runtime",
        ),
        (
            "sglang",
            "13.0",
            f"{DL}:25.11-cuda13.0-devel-ubuntu24.04",
            "lmsysorg/sglang:v0.5.8-cu130-runtime",
        ),
        (
            "trtllm",
            "13.1",
            "nvcr.io/nvidia/pytorch:25.12-py3",
            f"{DL}:25.12-cuda13.1-runtime-ubuntu24.04",
        ),
        ("none", "12.8", f"{DL}:25.01-cuda12.8-devel-ubuntu24.04", None),
    ],
)
def test_base_and_runtime_images(framework, cuda, base, runtime):
    args = make_image(framework=framework, target="runtime", cuda_version=cuda).build_args
    assert f"{args['BASE_IMAGE']}:{args['BASE_IMAGE_TAG']}" == base
    if runtime is None:
        assert "RUNTIME_IMAGE" not in args
    else:
        assert f"{args['RUNTIME_IMAGE']}:{args['RUNTIME_IMAGE_TAG']}" == runtime


ALL = tuple(FRAMEWORKS)
FIGURES = [
    (ALL, "PYTHON_VERSION", "3.12"),
    (ALL, "RUST_VERSION", "1.90.0"),
    (ALL, "RUSTUP_VERSION", "1.28.1"),
    (ALL, "NATS_VERSION", "v2.10.28"),
    (ALL, "ETCD_VERSION", "v3.5.21"),
    (ALL, "PROTOC_VERSION", "25.3"),
    (ALL, "GCC_TOOLSET", "14"),
    (ALL, "CARGO_BUILD_JOBS", "16"),
    (ALL, "NIXL_REF", "0.9.0"),
    (ALL, "NIXL_UCX_REF", "1.20.0"),
    (ALL, "NIXL_GDRCOPY_REF", "v2.5.2"),
    (ALL, "NIXL_LIBFABRIC_REF", "v2.3.0"),
    (ALL, "MANYLINUX_IMAGE", "quay.io/pypa/manylinux_2_28"),
    (("vllm", "trtllm", "sglang"), "FFMPEG_VERSION", "7.1"),
    (("vllm", "trtllm", "sglang"), "ENABLE_MEDIA_NIXL", "true"),
    (("vllm", "trtllm", "sglang"), "ENABLE_MEDIA_FFMPEG", "true"),
    (("none",), "ENABLE_MEDIA_NIXL", "false"),
    (("none",), "ENABLE_MEDIA_FFMPEG", "false"),
    (("vllm", "trtllm"), "ENABLE_KVBM", "true"),
    (("sglang", "none"), "ENABLE_KVBM", "false"),
    (("vllm", "sglang"), "ENABLE_GPU_MEMORY_SERVICE", "true"),
    (("trtllm", "none"), "ENABLE_GPU_MEMORY_SERVICE", "false"),
    (("vllm",), "AWS_SDK_CPP_VERSION", "1.11.581"),
    (("vllm",), "VLLM_REF", "v0.14.1"),
    (("vllm",), "FLASHINF_REF", "v0.5.3"),
    (("vllm",), "LMCACHE_REF", "0.3.12"),
    (("vllm",), "DEEPGEMM_REF", ""),
    (("vllm",), "MAX_JOBS", "16"),
    (("vllm",), "CUDA_VERSION", "12.9"),
    (("trtllm",), "PYTORCH_BASE_IMAGE", "nvcr.io/nvidia/pytorch"),
    (("trtllm",), "PYTORCH_BASE_IMAGE_TAG", "25.12-py3"),
    (("trtllm",), "TENSORRTLLM_PIP_WHEEL", "tensorrt-llm==1.3.0rc1"),
    (("trtllm",), "HAS_TRTLLM_CONTEXT", "0"),
    (("trtllm",), "TORCH_VER", "2.10.0a0+b4e4ee81d3.nv25.12"),
    (("trtllm",), "TORCHVISION_VER", "0.25.0a0+ca221243"),
    (("trtllm",), "TORCHAO_VER", "0.15.0+git01374eb5"),
    (("trtllm",), "TORCHDATA_VER", "0.11.0"),
    (("trtllm",), "TORCHTITAN_VER", "0.2.0"),
    (("trtllm",), "TORCH_TENSORRT_VER", "2.10.0a0"),
    (("trtllm",), "PYTORCH_TRITON_VER", "3.5.1+gitbfeb0668.nv25.12"),
    (("trtllm",), "JINJA2_VER", "3.1.6"),
    (("trtllm",), "SYMPY_VER", "1.14.0"),
    (("trtllm",), "FLASH_ATTN_VER", "2.7.4.post1+25.12"),
    (("trtllm",), "TRITON_VER", "3.5.1"),
    (("trtllm",), "CUDA_PYTHON_VER", "13.0.2"),
    (("trtllm",), "FLASHINFER_PYTHON_VER", "0.6.1"),
]


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_versions(framework):
    args = make_image(framework=framework, target="runtime").build_args
    figures = {name: text for owners, name, text in FIGURES if framework in owners}
    assert {name: args.get(name) for name in figures} == figures


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("DYNAMO_VERSION", "0.9.0"),
        ("EFA_VERSION", "1.45.1"),
        ("SCCACHE_VERSION", "v0.8.2"),
        ("FFMPEG_VERSION", "7.1"),
        ("NSIGHT_SYSTEMS_VERSION", "2025.5.1"),
        ("WORKSPACE_DIR", "/workspace"),
        ("FRONTEND_BASE_IMAGE", "nvcr.io/nvidia/base/ubuntu"),
        ("FRONTEND_BASE_IMAGE_TAG", "noble-20250619"),
    ],
)
def test_versions_that_few_images_use(name, text):
    assert CATALOG["args"][name] == text


@pytest.mark.parametrize(("cuda", "text"), [("12.9", "12.9.1"), ("13.0", "13.0.1")])
def test_the_cuda_version_of_sglang_has_three_parts(cuda, text):
    row = FRAMEWORKS["sglang"]["devices"]["cuda"]["cuda"][cuda]
    assert row["CUDA_VERSION"] == text


# ---- tags --------------------------------------------------------------------------------

BUILT = "v0.9.0.dev.1a2b3c4"


def tags(framework, target, built=BUILT, **more):
    version = Version(tag=built, python="", commit="", dirty=False, origin="")
    return make_image(framework=framework, target=target, version=version, **more).tags


@pytest.mark.parametrize(
    ("framework", "target", "given", "first", "latest"),
    [
        ("vllm", "dev", "", f"dynamo:{BUILT}-vllm-dev", "dynamo:latest-vllm"),
        ("vllm", "", "", f"dynamo:{BUILT}-vllm-dev", "dynamo:latest-vllm"),
        ("vllm", "local-dev", "", f"dynamo:{BUILT}-vllm-local-dev", "dynamo:latest-vllm-local-dev"),
        ("trtllm", "runtime", "", f"dynamo:{BUILT}-trtllm-runtime", "dynamo:latest-trtllm-runtime"),
        ("none", "frontend", "", f"dynamo:{BUILT}-none-frontend", "dynamo:latest-none-frontend"),
        ("vllm", "framework", "", f"dynamo:{BUILT}-vllm-framework", "dynamo:latest-vllm-framework"),
        (
            "sglang",
            "wheel_builder",
            "",
            f"dynamo:{BUILT}-sglang-wheel_builder",
            "dynamo:latest-sglang-wheel_builder",
        ),
        ("vllm", "dev", "foo:bar", "foo:bar-dev", "dynamo:latest-vllm"),
        ("vllm", "dev", "foo:bar-dev", "foo:bar-dev", "dynamo:latest-vllm"),
        ("vllm", "dev", "foo:bar-runtime", "foo:bar-dev", "dynamo:latest-vllm"),
        ("vllm", "dev", "foo:bar-local-dev", "foo:bar-dev", "dynamo:latest-vllm"),
        (
            "vllm",
            "local-dev",
            "foo:bar-runtime",
            "foo:bar-local-dev",
            "dynamo:latest-vllm-local-dev",
        ),
        (
            "vllm",
            "local-dev",
            "foo:bar-local-dev",
            "foo:bar-local-dev",
            "dynamo:latest-vllm-local-dev",
        ),
        (
            "vllm",
            "local-dev",
            "foo:bar-dev-runtime",
            "foo:bar-local-dev",
            "dynamo:latest-vllm-local-dev",
        ),
        ("vllm", "dev", "foo:bar-dev-dev", "foo:bar-dev-dev", "dynamo:latest-vllm"),
        ("vllm", "runtime", "foo:bar-dev", "foo:bar-dev", "dynamo:latest-vllm-runtime"),
        ("none", "frontend", "foo:bar", "foo:bar", "dynamo:latest-none-frontend"),
        ("vllm", "framework", "foo:bar-runtime", "foo:bar-runtime", "dynamo:latest-vllm-framework"),
    ],
)
def test_tags(framework, target, given, first, latest):
    assert tags(framework, target, tag=given) == (first, latest)
    assert tags(framework, target, tag=given, tag_latest=False) == (first,)


def test_the_repository_is_that_of_both_tags():
    assert tags("none", "runtime", repository="reg.example.com/ai/dynamo") == (
        f"reg.example.com/ai/dynamo:{BUILT}-none-runtime",
        "reg.example.com/ai/dynamo:latest-none-runtime",
    )


def test_one_tag_is_not_given_twice():
    given = "dynamo:latest-none-runtime"
    assert tags("none", "runtime", tag=given) == (given,)


@pytest.mark.parametrize("built", ["vrelease/1.0", "v1.0+cu12", "v1.0~x y", "v" + "9" * 200])
def test_a_version_becomes_a_tag_that_docker_takes(built):
    first, _ = tags("none", "runtime", built=built)
    assert names.check_reference(first) == first


def test_two_targets_never_have_the_same_tag():
    long = "v" + "9" * 200
    assert not set(tags("none", "runtime", built=long)) & set(tags("none", "dev", built=long))


@pytest.mark.parametrize("tag", ["foo:", "foo:-x", "foo:a+b", "Foo:x", "foo bar:x", "foo@sha256:0"])
def test_a_given_tag_that_docker_refuses(tag):
    error = refusal(**NONE_RUNTIME, tag=tag)
    assert error.message.startswith(f"'{tag.partition(':')[0]}")
    assert error.origin == "flag --tag"
    assert error.hint


def test_a_repository_that_docker_refuses():
    error = refusal(**NONE_RUNTIME, repository="Team/Dynamo")
    assert error.message.startswith("'Team/Dynamo' is not an image repository")
    assert error.origin == "flag --repository"


# ---- output ------------------------------------------------------------------------------


@pytest.mark.parametrize("output", ["load", "none"])
def test_what_stays_here_needs_no_registry(output):
    assert make_image(**NONE_RUNTIME, output=output).output == output


def test_a_push_needs_a_registry():
    error = refusal(**NONE_RUNTIME, output="push")
    assert "names no registry" in error.message
    assert error.origin == "flag --output"
    assert "--repository REGISTRY/dynamo" in error.hint


def test_a_push_never_sends_an_unqualified_latest_tag():
    tag = "reg.example.com/dynamo:v1"
    error = refusal(**NONE_RUNTIME, output="push", tag=tag)
    assert "'dynamo:latest-none-runtime' names no registry" in error.message
    assert "--no-tag-latest" in error.hint
    image = make_image(**NONE_RUNTIME, output="push", tag=tag, tag_latest=False)
    assert image.tags == (tag,)


@pytest.mark.parametrize("tag", ["", "localhost:5000/x:mine"])
def test_a_version_without_a_commit_is_not_pushed(tag):
    asked = {**NONE_CPU, "output": "push", "repository": "localhost:5000/x", "tag": tag}
    guess = replace(VERSION, tag="v0.0.1.dev.nogit", guess=True, warning="git is gone")
    with pytest.raises(RequestError, match=r"v0\.0\.1\.dev\.nogit names no commit") as raised:
        make_plan(**asked, version=guess)
    assert "--allow-unversioned" in raised.value.hint
    assert raised.value.details == ("git is gone",)
    assert make_plan(**asked, version=guess, allow_unversioned=True).warnings[0] == "git is gone"
    assert make_plan(**{**asked, "output": "load"}, version=guess).images


def test_a_push_to_a_registry():
    image = make_image(**NONE_RUNTIME, output="push", repository="localhost:5000/dynamo")
    assert all(tag.startswith("localhost:5000/dynamo:") for tag in image.tags)


@pytest.mark.parametrize("key", ["uid", "gid"])
@pytest.mark.parametrize("target", ["dev", "runtime"])
def test_a_user_is_only_for_local_dev(key, target):
    error = refusal(framework="none", target=target, **{key: 1000})
    assert error.message == f"--{key} is only for the target local-dev, not for {target}"
    assert "--target local-dev" in error.hint


def test_the_user_of_local_dev():
    image = make_image(framework="none", target="local-dev", uid=7)
    assert (image.build_args["USER_UID"], image.build_args["USER_GID"]) == ("7", "5678")
    assert image.origins["USER_UID"] == "flag --uid"
    assert image.origins["USER_GID"] == "machine gid of the caller"


# ---- values and where they come from -----------------------------------------------------


def test_a_value_under_the_four_layers(overlay):
    path = overlay('[args]\nENABLE_KVBM = "false"\n')
    env = {"DYNBUILD_ARG_ENABLE_KVBM": "true"}
    stack = [
        ((), {}, {}, "true", "catalog templates/catalog.toml:"),
        ((path,), {}, {}, "false", f"overlay {path}:2"),
        ((path,), env, {}, "true", "environment DYNBUILD_ARG_ENABLE_KVBM"),
        ((path,), env, {"ENABLE_KVBM": "false"}, "false", "flag --build-arg ENABLE_KVBM"),
    ]
    for overlays, variables, args, text, origin in stack:
        asked = {"framework": "vllm", "target": "runtime", "env": variables, "args": args}
        job = make_image_job(*overlays, **asked)
        image = job.plan
        assert image.build_args["ENABLE_KVBM"] == text
        assert image.origins["ENABLE_KVBM"].startswith(origin)
        assert job.recipe.kvbm is (text == "true")


def test_a_base_image_given_by_hand_holds_on_every_cuda_version():
    args = {"BASE_IMAGE": "mine", "BASE_IMAGE_TAG": "v1"}
    for cuda in FRAMEWORKS["vllm"]["devices"]["cuda"]["cuda"]:
        image = make_image(framework="vllm", target="runtime", cuda_version=cuda, args=args)
        assert {name: image.build_args[name] for name in args} == args


def test_every_value_of_the_catalog_has_its_line():
    image = make_image(framework="vllm", target="runtime")
    for name, origin in image.origins.items():
        if name != "DYNAMO_COMMIT_SHA":
            assert origin.startswith("catalog templates/catalog.toml:")


def test_the_commit_is_that_of_the_version():
    image = make_image(**NONE_RUNTIME)
    assert image.build_args["DYNAMO_COMMIT_SHA"] == VERSION.commit
    assert image.origins["DYNAMO_COMMIT_SHA"] == "git HEAD"
    assert image.labels["org.opencontainers.image.revision"] == VERSION.commit


def test_the_label_and_the_argument_name_the_same_commit():
    image = make_image(**NONE_RUNTIME, args={"DYNAMO_COMMIT_SHA": "f" * 40})
    assert image.labels["org.opencontainers.image.revision"] == "f" * 40


def test_the_label_of_local_dev_says_who_its_user_is():
    images = make_plan(target="local-dev", uid=1234, gid=77, make_efa=True).images
    users = {image.target: image.labels.get("dynbuild.user") for image in images}
    assert users.pop("local-dev") == users.pop("local-dev-aws") == "1234:77"
    assert set(users.values()) <= {None}


def test_labels():
    labels = make_image(**NONE_CPU).labels
    assert labels == {
        "org.opencontainers.image.title": "dynamo none runtime",
        "org.opencontainers.image.version": "v0.9.0",
        "org.opencontainers.image.revision": VERSION.commit,
        "dynbuild.dirty": "false",
        "dynbuild.image": "none-runtime-cpu",
    }


def test_a_dirty_tree_is_told():
    version = Version(tag="v1", python="1", commit="", dirty=True, origin="")
    made = make_plan(**NONE_CPU, version=version)
    assert made.images[0].labels["dynbuild.dirty"] == "true"
    assert any("uncommitted changes" in warning for warning in made.warnings)
    assert "org.opencontainers.image.revision" not in made.images[0].labels


@pytest.mark.parametrize("text", ["a\nb", "a\tb", "\x00", "\x7f", "a\rb", "\x1b[0m"])
def test_a_value_with_a_control_character(text):
    error = refusal(**NONE_RUNTIME, args={"NIXL_REF": text})
    assert "NIXL_REF" in error.message
    assert "control character" in error.message
    assert error.origin == "flag --build-arg NIXL_REF"


@pytest.mark.parametrize("char", ["\x85", "\u2028", "\u2029"], ids=ascii)
def test_a_value_with_another_line_break(char):
    refusal(**NONE_RUNTIME, args={"NIXL_REF": f"a{char}b"})


def test_a_value_that_is_not_text():
    refusal(**NONE_RUNTIME, args={"NIXL_REF": "a\udcffb"})


@pytest.mark.parametrize("name", SWITCHES)
@pytest.mark.parametrize("text", ["yes", "1", "on", "truee"])
def test_a_switch_that_is_neither_true_nor_false(name, text):
    error = refusal(**NONE_RUNTIME, args={name: text})
    assert error.message == f"{name} is '{text}'"
    assert error.origin == f"flag --build-arg {name}"
    assert error.hint == "it is 'true' or 'false'"


@pytest.mark.parametrize("name", SWITCHES)
def test_a_switch_means_the_same_to_the_plan_and_to_the_build(name):
    try:
        image = make_image(**NONE_RUNTIME, args={name: "TRUE"})
    except RequestError:
        return
    assert image.build_args[name] == "true"


def test_an_argument_that_no_stage_uses_is_told():
    made = make_plan(**NONE_RUNTIME, args={"VLLM_REF": "v1"})
    assert "VLLM_REF (flag --build-arg VLLM_REF) is used by no stage of this image" in made.warnings
    assert "VLLM_REF" not in made.images[0].build_args


def test_an_unknown_argument_gets_the_nearest_name():
    error = refusal(**NONE_RUNTIME, args={"NIXL_REFF": "x"})
    assert error.message == "unknown key 'args.NIXL_REFF'"
    assert error.origin == "flag --build-arg NIXL_REFF"
    assert error.hint.startswith("did you mean 'NIXL_REF', ")


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "no_proxy", "SOURCE_DATE_EPOCH"])
def test_an_argument_that_buildkit_knows_itself(name):
    job = make_image_job(**NONE_RUNTIME, args={name: "1"})
    image = job.plan
    assert image.passed_args == (name,)
    assert job.passed == {name: "1"}
    # It is no ARG of the Dockerfile, and a proxy's address may hold a password.
    assert name not in image.build_args
    assert not hasattr(image, "passed")


def test_the_date_of_the_environment_stands_in_the_plan():
    plan = make_plan(env={"SOURCE_DATE_EPOCH": "1700000000"}, **NONE_RUNTIME)
    image = plan.images[0]
    assert image.passed_by == {"SOURCE_DATE_EPOCH": "environment SOURCE_DATE_EPOCH"}
    assert any("every step anew" in warning for warning in plan.warnings)
    given = make_plan(
        env={"SOURCE_DATE_EPOCH": "1"}, **NONE_RUNTIME, args={"SOURCE_DATE_EPOCH": "2"}
    )
    assert given.images[0].passed_by == {"SOURCE_DATE_EPOCH": "flag --build-arg SOURCE_DATE_EPOCH"}
    assert not any("every step anew" in warning for warning in given.warnings)


def test_a_date_that_is_none_is_told_with_its_variable():
    with pytest.raises(RequestError, match="no time in seconds") as caught:
        make_plan(env={"SOURCE_DATE_EPOCH": "yesterday"}, **NONE_RUNTIME)
    assert caught.value.origin == "environment SOURCE_DATE_EPOCH"


@pytest.mark.parametrize("arg", ["BUILDKIT_MULTI_PLATFORM", "BUILDKIT_INLINE_CACHE"])
def test_a_switch_of_buildkit_is_one(arg):
    with pytest.raises(RequestError, match=f"{arg} is 'x'"):
        make_plan(**NONE_CPU, args={arg: "x"})
    assert make_plan(**NONE_CPU, args={arg: "1"}).images[0].passed_by == {
        arg: f"flag --build-arg {arg}"
    }


# ---- Dynamo's wheels ---------------------------------------------------------------------


def test_published_wheels_of_a_version():
    image = make_image(**NONE_CPU, dynamo_wheels="index==0.9.1")
    assert image.build_args["DYNAMO_VERSION"] == "0.9.1"
    assert image.origins["DYNAMO_VERSION"] == "flag --dynamo-wheels"


def test_published_wheels_of_the_version_in_the_catalog():
    image = make_image(**NONE_CPU, dynamo_wheels="index")
    assert image.build_args["DYNAMO_VERSION"] == CATALOG["args"]["DYNAMO_VERSION"]


@pytest.mark.parametrize("text", ["", "index==", "source==0.9.0", "pypi", "index=0.9.0"])
def test_no_way_to_get_wheels(text):
    error = refusal(**NONE_CPU, dynamo_wheels=text)
    assert error.message == f"'{text}' is no way to get Dynamo's wheels"
    assert "index==VERSION" in error.hint


def test_there_is_no_published_gpu_memory_service():
    error = refusal(**NONE_CPU, dynamo_wheels="index", args={"ENABLE_GPU_MEMORY_SERVICE": "true"})
    assert "no published wheel" in error.message
    assert "--no-enable-gpu-memory-service" in error.hint


@pytest.mark.parametrize("framework", ["vllm", "sglang"])
def test_what_is_not_published_is_off_where_nobody_asked_for_it(framework):
    plan = make_plan(framework=framework, target="runtime", dynamo_wheels="index==0.9.0")
    (image,) = plan.images
    assert image.build_args["ENABLE_GPU_MEMORY_SERVICE"] == "false"
    assert "no published wheel" in image.origins["ENABLE_GPU_MEMORY_SERVICE"]
    assert "the GPU memory service is left out: it has no published wheel" in plan.warnings
    assert "left out" not in "".join(make_plan(framework=framework, target="runtime").warnings)


@pytest.mark.parametrize(
    ("target", "wheels", "told"),
    [
        ("planner", "index", "published wheels bring nothing of the tree's requirements.planner"),
        ("test", "index", "published wheels bring nothing of the tree's requirements.test.txt"),
        *((target, "source", "") for target in ("planner", "test")),
        ("runtime", "index", ""),
    ],
)
def test_what_is_for_requirements_of_a_tree_is_told_to_have_none(target, wheels, told):
    asked = {"framework": "none", "release_line": "1.5", "target": target}
    said = make_plan(**asked, dynamo_wheels=wheels).warnings
    found = [text for text in said if text.startswith("published wheels bring nothing")]
    assert [text[: len(told)] for text in found] == ([told] if told else [])


@pytest.mark.parametrize("line", ["0.9.0", "1.0", "1.5"])
def test_without_a_gpu_there_is_a_python_that_the_trees_requirements_support(line):
    """SciPy below 1.14, which the planner wants, has no wheel for 3.13."""
    for target in load(release_line=line).catalog.frameworks["none"].targets:
        (image,) = make_plan(**NONE_CPU | {"target": target}, release_line=line).images
        assert image.build_args.get("PYTHON_VERSION", "3.12") == "3.12"
        assert image.build_args.get("BASE_IMAGE", "ubuntu") == "ubuntu"


# ---- the date of what requirements leave open ---------------------------------------------


def date_of(**asked):
    (image,) = make_plan(framework="none", target="runtime", **asked).images
    return image.build_args["UV_EXCLUDE_NEWER"], image.origins["UV_EXCLUDE_NEWER"]


@pytest.mark.parametrize("line", ["0.9.0", "1.0", "1.5", "1.6"])
def test_every_line_has_a_date(line):
    date, origin = date_of(release_line=line)
    assert date.startswith("2026-")
    assert f"{'catalog' if line == '0.9.0' else f'lines/{line}'}.toml:" in origin


def test_a_date_says_nothing_to_an_index_of_the_site(overlay):
    """uv takes no file whose date an index does not tell."""
    machine = replace(MACHINE, index_url="https://index.example.com/simple")
    assert date_of(machine=machine) == ("", "derived the site's index may tell no dates")
    site = overlay('site.index_url = "https://index.example.com/simple"\n')
    (image,) = make_plan(site, framework="none", target="runtime").images
    assert image.build_args["UV_EXCLUDE_NEWER"] == ""
    given = {"UV_EXCLUDE_NEWER": "2026-03-01T00:00:00Z"}
    assert date_of(machine=machine, args=given)[0] == given["UV_EXCLUDE_NEWER"]


def test_a_line_s_date_is_for_its_own_versions():
    assert date_of(dynamo_wheels="index==0.9.0")[0]
    date, origin = date_of(dynamo_wheels="index==0.9.1")
    assert (date, origin) == ("", "derived DYNAMO_VERSION is not the line's own, 0.9.0")


# ---- downloads ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "subject", "table"),
    [
        ("ETCD_VERSION", "etcd", "tools"),
        ("RUSTUP_VERSION", "rust", "tools"),
        ("PROTOC_VERSION", "protoc", "tools"),
    ],
)
def test_a_checksum_of_another_version_is_refused(name, subject, table):
    error = refusal(**NONE_RUNTIME, args={name: "v3.6.0"})
    assert f"{name} is changed to v3.6.0" in error.message
    assert f"checksum of {subject}" in error.message
    assert error.origin == f"flag --build-arg {name}"
    assert f"{table}.{subject}.sha256" in error.hint


def test_a_source_with_the_checksum_of_another_version_is_refused():
    error = refusal(**NONE_RUNTIME, args={"FFMPEG_VERSION": "7.0", "ENABLE_MEDIA_FFMPEG": "true"})
    assert "checksum of ffmpeg" in error.message
    assert "sources.ffmpeg.sha256" in error.hint


def test_another_rust_needs_no_other_checksum():
    image = make_image(**NONE_RUNTIME, args={"RUST_VERSION": "1.91.0"})
    assert image.build_args["RUST_VERSION"] == "1.91.0"


def test_the_version_of_the_catalog_may_be_given_by_hand():
    make_image(**NONE_RUNTIME, args={"ETCD_VERSION": CATALOG["args"]["ETCD_VERSION"]})


def test_a_new_version_with_its_checksum(overlay):
    sums = f'{{ amd64 = "{"0" * 64}", arm64 = "{"1" * 64}" }}'
    path = overlay(f'[args]\nETCD_VERSION = "v3.6.0"\n[tools.etcd]\nsha256 = {sums}\n')
    assert make_image(path, **NONE_RUNTIME).build_args["ETCD_VERSION"] == "v3.6.0"


def test_a_download_without_a_checksum_is_told(overlay):
    path = overlay('[args]\nETCD_VERSION = "v3.6.0"\n[tools.etcd.sha256]\namd64 = ""\narm64 = ""\n')
    warnings = make_plan(path, **NONE_RUNTIME).warnings
    assert any("etcd is downloaded without a checksum" in text for text in warnings)


def test_a_packaged_tool_has_no_checksum_to_check(overlay):
    path = overlay('[tools]\netcd.kind = "apt"\n')
    made = make_plan(path, **NONE_RUNTIME, args={"ETCD_VERSION": "v3.6.0"})
    assert "ETCD_VERSION" not in made.images[0].build_args


# ---- contexts, secrets, cache ------------------------------------------------------------


def test_a_source_from_a_folder_is_a_named_context(overlay):
    path = overlay('[sources.ucx]\nkind = "context"\npath = "/src/ucx"\n')
    image = make_image(path, **NONE_RUNTIME)
    assert image.contexts == {"ucx_src": "/src/ucx"}
    assert "NIXL_UCX_REF" not in image.build_args


def test_a_path_in_an_overlay_is_next_to_the_overlay(overlay):
    path = overlay('[sources.ucx]\nkind = "context"\npath = "../ucx"\n')
    expected = os.path.normpath(path.parent / "../ucx")
    assert make_image(path, **NONE_RUNTIME).contexts == {"ucx_src": expected}


def test_a_source_that_is_not_needed_is_no_context(overlay):
    path = overlay('[sources.ffmpeg]\nkind = "context"\npath = "/src/ffmpeg"\n')
    assert make_image(path, **NONE_RUNTIME).contexts == {}


def test_named_contexts():
    given = {"base": "docker-image://debian:trixie", "ucx_src": "/src/ucx"}
    assert make_image(**NONE_RUNTIME, contexts=given).contexts == given


def test_secrets_have_ids_and_no_values():
    index = "https://user:hunter2@mirror.example.com/simple"
    machine = Machine(uid=1, gid=1, ca_bundle="/etc/ca.pem", index_url=index)
    made = make_plan(**NONE_CPU, machine=machine)
    assert made.images[0].secrets == ("ca_bundle", "ca_bundle_path", "index_url")
    assert "hunter2" not in json.dumps(made.document())
    values = secrets.secret_values(load(**NONE_CPU), machine, "")
    assert values["DYNBUILD_SECRET_INDEX_URL"] == index


def test_the_site_wins_over_the_machine(overlay):
    path = overlay('[site]\nca_bundle = "/site.pem"\nindex_url = "https://site.example.com/"\n')
    machine = Machine(uid=1, gid=1, ca_bundle="/machine.pem", index_url="https://m.example.com/")
    bundle, *_ = make_image_job(path, **NONE_CPU, machine=machine).secrets
    assert (bundle.id, bundle.src) == ("ca_bundle", "/site.pem")
    values = secrets.secret_values(load(path), machine, "")
    assert values["DYNBUILD_SECRET_INDEX_URL"] == "https://site.example.com/"


def test_no_secrets_on_a_plain_machine():
    job = make_image_job(**NONE_CPU)
    assert (job.plan.secrets, job.secrets) == ((), ())


def test_cache_flags_pass():
    image = make_image(
        **NONE_CPU, no_cache=True, cache_from=["type=registry,ref=a"], cache_to=["type=inline"]
    )
    assert image.no_cache
    assert (image.cache_from, image.cache_to) == (("type=registry,ref=a",), ("type=inline",))


# ---- the plan as a document --------------------------------------------------------------

SCHEMA = ROOT / "docs" / "plan.schema.json"


def test_the_committed_schema_is_the_one_of_the_models():
    assert json.loads(SCHEMA.read_text(encoding="utf-8")) == document.schema(), "run: make generate"


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(document.schema())


@pytest.mark.parametrize("cell", CELLS, ids="-".join)
def test_documents_follow_the_schema(cell):
    document = json.loads(json.dumps(make_plan(**asked(*cell)).document()))
    jsonschema.validate(document, json.loads(SCHEMA.read_text(encoding="utf-8")))


def test_the_schema_refuses_what_is_no_plan():
    good = make_plan(**NONE_CPU).document()
    for bad in ({}, {**good, "schema": 2}, {**good, "more": 1}, {**good, "images": {}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(bad, document.schema())


def test_the_keys_of_a_document():
    document = make_plan(**NONE_CPU).document()
    assert document["schema"] == 1
    assert set(document["version"]) == {"tag", "python", "commit", "dirty", "origin"}
    promised = "name framework target stage device cuda_version platforms dockerfile tags "
    promised += "build_args origins secrets contexts cache_from cache_to output no_cache depends_on"
    assert set(promised.split()) <= set(document["images"][0])
    assert Path(document["context"]).is_absolute()


def test_the_same_request_makes_the_same_plan():
    assert make_plan(**NONE_CPU).document() == make_plan(**NONE_CPU).document()


def test_the_demo_plans():
    image = make_image(DEMO / "dynbuild.toml")
    assert image.name == "none-runtime-cpu+index"
    assert image.tags == (
        "dynamo-demo:v0.9.0-none-runtime-cpu-index",
        "dynamo-demo:latest-none-runtime-cpu-index",
    )
    assert not {"NIXL_REF", "RUST_VERSION", "NATS_VERSION"} & set(image.build_args)
