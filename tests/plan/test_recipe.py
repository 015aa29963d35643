from dataclasses import replace

import pytest

from dynbuild.checked import adapter
from dynbuild.plan.recipe import Recipe
from dynbuild.settings.models import Catalog
from tests.support import CATALOG, make_image_job, make_job

CATALOG_MODEL = adapter(Catalog).validate_python(CATALOG)


def recipe(*, without=(), tools=None, **facts):
    """A recipe for the runtime of none on a GPU, but for *facts*."""
    sources = dict(CATALOG_MODEL.sources)
    for name in without:
        sources[name] = replace(sources[name], kind="none")
    kinds = {
        name: replace(tool, kind=(tools or {}).get(name, tool.kind))
        for name, tool in CATALOG_MODEL.tools.items()
    }
    plain = {
        "framework": "none",
        "target": "runtime",
        "device": "cuda",
        "builder": "manylinux",
        "cuda": "12.8",
        "dynamo_wheels": "source",
        "kvbm": False,
        "gms": False,
        "media_ffmpeg": False,
        "media_nixl": False,
    }
    return Recipe(**{**plain, **facts}, sources=sources, tools=kinds)


@pytest.mark.parametrize(
    ("facts", "components"),
    [
        ({}, ("gdrcopy", "ucx", "libfabric", "nixl")),
        ({"media_ffmpeg": True}, ("gdrcopy", "ffmpeg", "ucx", "libfabric", "nixl")),
        ({"framework": "vllm"}, ("gdrcopy", "ucx", "libfabric", "aws_sdk_cpp", "nixl")),
        ({"framework": "sglang"}, ("gdrcopy", "ucx", "libfabric", "nixl")),
        ({"device": "cpu"}, ("ucx", "nixl")),
        ({"device": "cpu", "framework": "vllm"}, ("ucx", "nixl")),
        ({"device": "cpu", "media_ffmpeg": True}, ("ffmpeg", "ucx", "nixl")),
        ({"without": ("nixl", "gdrcopy")}, ("ucx", "libfabric")),
        ({"device": "cpu", "without": ("nixl", "ucx")}, ()),
    ],
)
def test_native_components(facts, components):
    made = recipe(**facts)
    assert made.components == components
    assert [name for name in CATALOG["sources"] if made.has(name)] == sorted(
        components, key=list(CATALOG["sources"]).index
    )


@pytest.mark.parametrize(
    ("facts", "wheels"),
    [
        ({}, ("ai_dynamo_wheel", "ai_dynamo_runtime_wheel")),
        ({"kvbm": True}, ("ai_dynamo_wheel", "ai_dynamo_runtime_wheel", "kvbm_wheel")),
        ({"gms": True}, ("ai_dynamo_wheel", "ai_dynamo_runtime_wheel", "gms_wheel")),
        (
            {"kvbm": True, "gms": True},
            ("ai_dynamo_wheel", "ai_dynamo_runtime_wheel", "kvbm_wheel", "gms_wheel"),
        ),
        ({"dynamo_wheels": "index", "kvbm": True}, ("dynamo_wheels",)),
    ],
)
def test_wheels(facts, wheels):
    assert recipe(**facts).wheels == wheels


@pytest.mark.parametrize(
    ("facts", "distro", "brings_cuda"),
    [
        ({}, "dnf", True),
        ({"builder": "base"}, "apt", False),
        ({"device": "cpu", "cuda": "", "builder": "base"}, "apt", False),
        ({"device": "cpu", "cuda": "", "builder": "manylinux"}, "dnf", False),
    ],
)
def test_what_is_compiled_in(facts, distro, brings_cuda):
    made = recipe(**facts)
    assert (made.builder_distro, made.brings_cuda) == (distro, brings_cuda)


@pytest.mark.parametrize(
    ("kind", "staged", "packaged"),
    [
        ("image", True, False),
        ("url", True, False),
        ("pypi", True, False),
        ("apt", False, True),
        ("none", False, False),
    ],
)
def test_how_a_tool_comes_in(kind, staged, packaged):
    made = recipe(tools={"nats": kind})
    assert (made.staged("nats"), made.packaged("nats")) == (staged, packaged)


def test_packages_are_those_of_packaged_tools():
    made = recipe(tools={"nats": "apt", "etcd": "apt", "protoc": "url"})
    assert made.packages("nats", "protoc", "etcd") == ("nats-server", "etcd-server", "etcd-client")
    assert recipe().packages("nats", "etcd") == ()


@pytest.mark.parametrize(
    ("asked", "toolchain"),
    [
        ({}, "rust_tools"),
        ({"dynamo_wheels": "index"}, "python_tools"),
        ({"dynamo_wheels": "index", "device": "cpu"}, "python_tools"),
    ],
)
def test_the_richest_compilers_that_are_needed(asked, toolchain):
    assert make_image_job(framework="none", target="runtime", **asked).recipe.toolchain == toolchain


def test_a_layer_on_another_image_knows_the_stage_that_it_continues():
    job = make_job(framework="none", target="local-dev", make_efa=True)
    linked = {image.plan.target: image.recipe.linked for image in job.images}
    assert linked == {"dev": "", "local-dev": "", "local-dev-aws": "dev"}
