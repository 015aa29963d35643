"""Named build contexts: what each replaces is known, and what replaces nothing is told."""

from __future__ import annotations

import itertools
import re

import pytest

from dynbuild.plan import contexts, stages
from dynbuild.plan.trtllm.intent import CONTEXT
from tests.support import (
    CATALOG,
    NONE_CPU,
    NONE_RUNTIME,
    ROOT,
    load,
    make_image_job,
    make_plan,
    refusal,
)

IMAGE = "docker-image://registry.example.com/x:y"


def warned(contexts, **asked):
    plan = make_plan(**{**NONE_CPU, **asked}, contexts=contexts)
    return [text for text in plan.warnings if "the build context" in text]


def test_every_stage_of_every_dockerfile_is_known():
    there = set()
    for file in (ROOT / "dockerfiles").glob("*.Dockerfile"):
        there |= set(re.findall(r"^FROM .* AS (\S+)$", file.read_text(), re.MULTILINE))
    assert len(there) > 40
    assert there - contexts._every_stage(load()) == set()


def test_the_stages_are_those_of_all_lines_and_no_others():
    """Every stage that any cell can have, and those inside of a template."""
    there, inside = set(), {"manylinux_amd64", "manylinux_arm64", "trtllm_scripts", "dev-aws"}
    for line, published in itertools.product(("0.9.0", "1.0", "1.5"), (False, True)):
        wheels = {"dynamo_wheels": "index"} if published else {}
        entries = load(release_line=line).catalog.frameworks
        for framework, entry in entries.items():
            for device in entry.devices:
                asked = {"framework": framework, "device": device, "target": "runtime"}
                job = make_image_job(release_line=line, **wheels, **asked)
                there |= {stage.name for stage in stages._all(job.recipe) if not stage.subject}
                there |= {f"{stage.subject}-aws" for stage in stages._all(job.recipe)
                          if stage.template == "aws"}  # fmt: skip
    own = {*CATALOG["sources"], CONTEXT}
    assert there - own - set(contexts._STAGES) == set()
    assert set(contexts._STAGES) - there - inside == {"local-dev", "local-dev-aws"}


@pytest.mark.parametrize("name", ["nixll", "ucx_source", "basee", "x", "NIXL"])
def test_a_name_that_is_no_stage_is_refused(name):
    error = refusal(**NONE_CPU, contexts={name: IMAGE})
    assert error.message == f"there is no stage '{name}' that a build context could replace"
    assert error.origin == "flag --build-context"


def test_the_nearest_stage_is_named():
    assert "did you mean 'nixl'?" in refusal(**NONE_CPU, contexts={"nixll": IMAGE}).hint


@pytest.mark.parametrize(
    "name",
    [
        "base",
        "ucx_src",
        "runtime",
        "nats_download_amd64",
        "ubuntu:24.04",
        "docker.io/library/ubuntu:24.04",
    ],
)
def test_what_is_replaced_needs_no_word(name):
    assert warned({name: IMAGE}) == []


@pytest.mark.parametrize("name", ["vllm_src", "pytorch_base", "ubuntu:24.40", "a/b"])
def test_what_this_build_does_not_have_is_told(name):
    (text,) = warned({name: IMAGE})
    assert f"the build context {name} is not used" in text


def test_images_of_other_arguments_are_known():
    cuda = {"device": "cuda"}
    plan = make_plan(**NONE_RUNTIME)
    args = plan.images[0].build_args
    name = f"{args['MANYLINUX_IMAGE']}_x86_64:{args['MANYLINUX_TAG']}"
    assert warned({name: IMAGE}, **cuda) == []


@pytest.mark.parametrize("where", ["/somewhere", "https://git.example.com/nixl.git#main"])
def test_a_source_in_the_place_of_what_is_compiled_is_told(where):
    (text,) = warned({"nixl": where}, device="cuda")
    assert f"--source nixl={where} compiles that tree" in text
    assert warned({"nixl": IMAGE}, device="cuda") == []
    assert warned({"nixl_src": where}, device="cuda") == []


@pytest.mark.parametrize(
    "where", ["docker-image://", "docker-image://r.example.com/X", "docker-image://a b"]
)
def test_an_image_in_the_place_of_something_has_a_name_that_is_one(where):
    error = refusal(**NONE_CPU, contexts={"nixl_src": where})
    assert error.message.startswith("the build context nixl_src is no image: 'docker-image://")
    assert "docker-image://registry.example.com/name:tag" in error.hint
