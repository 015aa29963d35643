"""What a new version of Dynamo's wheels moves: themselves, and not what they ask for."""

from __future__ import annotations

import re

import pytest

from dynbuild.render.dockerfile import render
from tests.render.test_dockerfile import read
from tests.support import TEMPLATES, make_image_job

ENGINES = ["none", "vllm", "sglang", "trtllm"]


def steps(*file, **asked):
    """The steps of the last stage that install wheels or what they ask for, in order."""
    image = make_image_job(*file, **asked)
    stage = read(render(image, TEMPLATES))[1][-1]
    assert stage.name == asked["target"]
    return [
        f"{keyword} {rest}"
        for keyword, rest in stage.instructions
        if "from=dynamo_requirements" in rest or "from=wheel_builder" in rest
    ]


@pytest.mark.parametrize("framework", ENGINES)
def test_published_wheels_are_installed_after_what_they_ask_for(framework):
    """They stay in no image: it would hold them twice, and where they came from they still are."""
    asked, own = steps(framework=framework, target="runtime", dynamo_wheels="index==0.9.1")
    assert re.search(r"^RUN .* install .*-r /deps/requirements.txt", asked, re.DOTALL)
    assert "target=/opt/dynamo/wheelhouse" in own
    assert re.search(r"^RUN .* install .*\"\$@\"", own, re.DOTALL)
    assert "wheelhouse" not in asked


def test_the_frontend_does_as_the_runtime_images_do():
    asked, own = steps(framework="none", target="frontend", dynamo_wheels="index")
    assert "-r /deps/requirements.txt" in asked
    assert "target=/opt/dynamo/wheelhouse" in own


@pytest.mark.parametrize(
    ("line", "framework", "apart"),
    [
        ("0.9.0", "none", True),  # the image takes no requirements of the tree
        ("0.9.0", "vllm", False),
        ("1.0", "none", False),
        ("1.0", "sglang", True),  # its tree has none
        ("1.5", "sglang", False),  # the engine's image has them all
    ],
)
def test_built_wheels_come_after_the_requirements_of_the_tree(line, framework, apart):
    found = steps(framework=framework, target="runtime", release_line=line)
    assert found.pop().startswith("COPY --from=wheel_builder")
    assert ["from=dynamo_requirements" in step for step in found] == [True] * apart


@pytest.mark.parametrize("framework", ENGINES)
def test_published_nixl_is_with_what_wheels_ask_for(framework, overlay):
    """It is as heavy as Dynamo's own, and what is installed after it must not change it."""
    file = overlay('sources.nixl.kind = "pypi"\n')
    found = steps(file, framework=framework, target="runtime", dynamo_wheels="index")
    assert all("--no-deps" in step and '"nixl==' in step for step in found)


@pytest.mark.parametrize("wheels", ["source", "index"])
def test_the_planner_takes_dynamo_apart_from_the_rest_of_its_venv(wheels):
    """Each file is in one of two layers."""
    asked = {"framework": "none", "target": "planner", "release_line": "1.0"}
    image = make_image_job(**asked, dynamo_wheels=wheels)
    builder, planner = (
        "\n".join(rest for _, rest in stage.instructions)
        for stage in read(render(image, TEMPLATES))[1]
        if stage.name in ("planner_builder", "planner")
    )
    rest, own = re.findall(r"--from=planner_builder (.*) /opt/dynamo/venv/$", planner, re.MULTILINE)
    left_out = re.findall(r"--exclude=(\S+)", rest)
    assert own.endswith(" /out/dynamo/")
    assert f"cp --recursive --parents {' '.join(left_out)} /out/dynamo/" in builder
