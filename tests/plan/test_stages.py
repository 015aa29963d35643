import pytest

from dynbuild.errors import RequestError
from dynbuild.plan import stages
from tests.plan.test_recipe import recipe
from tests.support import CATALOG, NONE_CPU, NONE_RUNTIME, TEMPLATES, make_image_job, make_job

CELLS = [
    {"framework": framework, "target": target, "device": device}
    for framework, entry in CATALOG["frameworks"].items()
    for target in entry["targets"]
    for device in entry["devices"]
]
LATER = [
    {"framework": "none", "target": "planner", "release_line": "1.5"},
    {"framework": "vllm", "target": "test", "release_line": "1.5"},
    {"framework": "sglang", "target": "test", "device": "xpu", "release_line": "1.5"},
]


def cell_id(cell):
    return "-".join(cell.values())


@pytest.fixture(params=CELLS, ids=cell_id)
def chain(request):
    return stages.chain(make_image_job(**request.param).recipe)


def names(chain):
    return [stage.name for stage in chain]


def test_each_stage_comes_after_those_it_needs_and_once(chain):
    seen = set()
    for stage in chain:
        assert set(stage.needs) <= seen
        assert stage.name not in seen
        seen.add(stage.name)


def test_there_is_no_stage_that_the_target_does_not_need(chain):
    *_, target = chain
    needed, wanted = set(), [target.name]
    by_name = {stage.name: stage for stage in chain}
    while wanted:
        name = wanted.pop()
        needed.add(name)
        wanted += by_name[name].needs
    assert needed == set(by_name)


def test_every_argument_of_a_stage_is_one_of_the_catalog(chain):
    assert set(stages.args(chain)) <= set(CATALOG["args"])


@pytest.mark.parametrize("cell", CELLS, ids=cell_id)
def test_the_target_is_the_last_stage(cell):
    assert names(stages.chain(make_image_job(**cell).recipe))[-1] == cell["target"]


def test_arguments_come_once_in_the_order_of_their_first_use():
    found = stages.args(
        [
            stages.Stage("a", "a", ("ONE", "TWO")),
            stages.Stage("b", "b", ("TWO", "THREE")),
            stages.Stage("c", "c", ("ONE",)),
        ]
    )
    assert found == ("ONE", "TWO", "THREE")


def test_the_commit_reaches_no_stage_but_the_last(chain):
    *below, _ = chain
    if "dev" not in names(chain):
        assert not [stage.name for stage in below if "DYNAMO_COMMIT_SHA" in stage.args]


def test_components_are_stages_side_by_side():
    by_name = {stage.name: stage for stage in stages.chain(recipe(media_ffmpeg=True))}
    assert "ucx" not in by_name["ffmpeg"].needs
    assert "ffmpeg" not in by_name["ucx"].needs
    assert {"ucx", "libfabric", "gdrcopy"} <= set(by_name["nixl"].needs)
    for component in ("gdrcopy", "ffmpeg", "ucx", "libfabric", "nixl"):
        assert f"{component}_src" in by_name[component].needs
        assert component in by_name["wheel_builder"].needs


def test_a_cpu_image_has_no_gpu_stage():
    found = names(stages.chain(make_image_job(**NONE_CPU).recipe))
    assert not {"gdrcopy", "libfabric", "aws_sdk_cpp", "gms_wheel"} & set(found)


def test_a_component_without_a_source_has_no_stage():
    found = names(stages.chain(recipe(without=("nixl",))))
    assert not [name for name in found if name.startswith("nixl")]


def test_published_wheels_need_no_rust():
    found = names(stages.chain(recipe(dynamo_wheels="index")))
    assert "dynamo_wheels" in found
    assert not [name for name in found if name.startswith(("rust", "protoc", "ai_dynamo"))]


@pytest.mark.parametrize(
    ("kind", "template"),
    [
        ("image", "tool.image"),
        ("url", "tool.url"),
        ("pypi", "tool.pypi"),
        ("apt", ""),
        ("none", ""),
    ],
)
def test_a_tool_has_a_stage_of_its_kind(kind, template):
    found = {stage.name: stage for stage in stages.chain(recipe(tools={"uv": kind}))}
    if template:
        assert found["uv_tool"].template == template
        assert found["uv_tool"].subject == "uv"
        assert "uv_tool" in found["dynamo_base"].needs
    else:
        assert "uv_tool" not in found


def test_a_stage_that_does_not_exist():
    with pytest.raises(RequestError, match="there is no stage 'frontend' for vllm"):
        stages.chain(recipe(framework="vllm", target="frontend"))


def test_every_stage_of_none_has_a_template():
    for cell in (NONE_RUNTIME, NONE_CPU, {**NONE_RUNTIME, "target": "wheel_builder"}):
        for stage in stages.chain(make_image_job(**cell).recipe):
            assert (TEMPLATES / f"{stage.template}.Dockerfile.j2").is_file()


def test_every_template_is_used_by_a_stage():
    kinds = {"tool.image", "tool.url", "tool.pypi"}
    kinds |= {f"source.{kind}" for kind in ("git", "url", "apt", "context")}
    kinds |= {
        "framework.wheel",
        "runtime.wheel",
        "dynamo_requirements",
    }  # tests/render/test_wheel_engine.py
    used = set(kinds)
    for cell in CELLS + LATER:
        switches = {"ENABLE_KVBM": "true", "ENABLE_GPU_MEMORY_SERVICE": "true"}
        switches["ENABLE_MEDIA_FFMPEG"] = "true"
        for wheels in ("source", "index"):
            args = switches if wheels == "source" else {"ENABLE_GPU_MEMORY_SERVICE": "false"}
            image = make_image_job(**cell, args=args, dynamo_wheels=wheels)
            used |= {stage.template for stage in stages.chain(image.recipe)}
    wheel = {"HAS_TRTLLM_CONTEXT": "1"}
    site = {"env": {"DYNBUILD_MESON_PACKAGES": "/x"}, "use_sccache": "local"}
    for more in ({"make_efa": True}, {"args": wheel}, site):
        made = make_job(framework="trtllm", target="runtime", **more)
        for image in made.images:
            used |= {stage.template for stage in stages.chain(image.recipe)}
    there = {path.name.removesuffix(".Dockerfile.j2") for path in TEMPLATES.glob("*.Dockerfile.j2")}
    assert there <= used
