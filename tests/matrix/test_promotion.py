"""Which image of a run gets which other tag."""

from dataclasses import replace

import pytest

from dynbuild.errors import RequestError
from dynbuild.matrix import promotion
from dynbuild.matrix.result import CellResult, MatrixResult


def cell(name, tag, **more):
    own = {"status": "done", "output": "push", "reference": f"r.example/ai/x@sha256:{name}"}
    return CellResult(id=name, tags=(f"r.example/ai/x:{tag}",), line="next", **own | more)


VLLM = cell("vllm-runtime-cuda13.0", "v1-vllm-runtime-cuda13.0")
DEV = cell("vllm-dev-cuda12.9", "v1-vllm")
AWS = cell("vllm-runtime-aws-cuda12.9+next", "v1-vllm-runtime-next-aws")


def run(*cells):
    return MatrixResult(
        id="20260102T030405-1-m", status="done", version="v1", commit="c" * 40, cells=cells
    )


def tags(to, *cells, only=()):
    return [one.tag for one in promotion.of(run(*cells), to, only)]


def test_a_word_takes_the_place_of_the_version():
    assert tags("stable", VLLM, AWS) == [
        "r.example/ai/x:stable-vllm-runtime-cuda13.0",
        "r.example/ai/x:stable-vllm-runtime-next-aws",
    ]


def test_a_template_makes_the_tag():
    assert tags("{framework}-{target}-{line}-{date}{suffix}", AWS) == [
        "r.example/ai/x:vllm-runtime-next-20260102-cuda12.9-next-aws"
    ]


def test_globs_choose_cells():
    assert len(tags("s", VLLM, AWS, only=("*-aws-*",))) == 1
    with pytest.raises(RequestError, match="no cell 'vlm"):
        tags("s", VLLM, only=("vlm-*",))


@pytest.mark.parametrize(
    ("to", "other", "message"),
    [
        (
            "all{framework}",
            cell("vllm-dev-cuda12.9", "v1-vllm"),
            "would both be r.example/ai/x:allvllm",
        ),
        ("s", replace(VLLM, tags=("r.example/ai/x:y",)), "does not begin"),
        ("a/b", AWS, "a/b"),
        ("{framwork}", AWS, "no field"),
        ("s", replace(AWS, status="failed"), "not there: .*failed"),
        ("s", replace(AWS, reference=""), "not pushed"),
    ],
)
def test_what_cannot_be_promoted(to, other, message):
    with pytest.raises(RequestError, match=message):
        tags(to, replace(VLLM, tags=("r.example/ai/x:v1-y",)), other)


def test_one_image_may_have_one_tag_twice():
    assert len(tags("all{framework}", VLLM, VLLM)) == 2
