"""Tags: no two cells share one; the template; what is marked, warned of and refused."""

import itertools
import re
from dataclasses import replace

import hypothesis
import hypothesis.strategies as st
import pytest

from dynbuild import masking, names
from dynbuild.image_id import ImageId
from dynbuild.plan import tag_template
from tests import cells as matrix
from tests.support import (
    MACHINE,
    NONE_CPU,
    NONE_RUNTIME,
    VERSION,
    make_image,
    make_plan,
    refusal,
)  # fmt: skip

REGISTRY = {"repository": "reg.example.com/dynamo", "output": "push"}
DIRTY = replace(VERSION, dirty=True)


def tags(**asked):
    return make_image(**asked).tags


def test_no_two_cells_share_a_tag():
    """Of both lines, all targets, all devices; from source and from published wheels."""
    owners = {}
    for cell in matrix.cells():
        if cell.variant not in ("default", "published"):
            continue
        for image in make_plan(**cell.asked).images:
            for tag in image.tags:
                assert owners.setdefault(tag, image.name) == image.name
                assert names.check_reference(tag) == tag
                assert masking.scrub_message(f"{image.name} {tag}") == f"{image.name} {tag}"
    ids = set(owners.values())
    assert len(ids) > 150
    assert len(owners) == 2 * len(ids)


@pytest.mark.parametrize(
    ("asked", "end"),
    [
        ({"framework": "vllm", "cuda_version": "12.9"}, "vllm-runtime"),
        ({"framework": "vllm", "cuda_version": "13.0"}, "vllm-runtime-cuda13.0"),
        ({"framework": "none", "device": "cpu"}, "none-runtime-cpu"),
        ({"framework": "vllm", "release_line": "1.0"}, "vllm-runtime-1.0"),
        (
            {"framework": "vllm", "release_line": "1.0", "cuda_version": "13.0"},
            "vllm-runtime-cuda13.0-1.0",
        ),
        (
            {"framework": "none", "device": "cpu", "dynamo_wheels": "index==0.9.0"},
            "none-runtime-cpu-index",
        ),
    ],
)
def test_what_is_not_the_default_is_at_the_end(asked, end):
    assert tags(**asked, target="runtime") == (f"dynamo:v0.9.0-{end}", f"dynamo:latest-{end}")


def test_the_layer_of_aws_is_last():
    _, aws = make_plan(framework="vllm", target="dev", cuda_version="13.0", make_efa=True).images
    assert aws.tags == ("dynamo:v0.9.0-vllm-dev-cuda13.0-aws", "dynamo:latest-vllm-cuda13.0-aws")


def test_several_tags_are_given():
    asked = {"tag": ["a/b:1", "c:2", "a/b:1"], "tag_latest": False}
    assert tags(**NONE_RUNTIME, **asked) == ("a/b:1", "c:2")
    assert tags(framework="none", target="dev", **asked) == ("a/b:1-dev", "c:2-dev")


def test_one_tag_of_two_images_is_refused_and_both_are_named():
    error = refusal(framework="vllm", target="runtime", cuda_version="12.9,13.0", tag="x:1")
    assert error.message == (
        "vllm-runtime-cuda12.9 and vllm-runtime-cuda13.0 would both be tagged x:1"
    )
    error = refusal(
        framework="vllm,sglang,none", target="runtime", tag_template="{version}", tag_latest=False
    )
    assert "vllm-runtime-cuda12.9 and sglang-runtime-cuda12.9" in error.message
    assert len(error.details) == 1


# ---- the template ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "tag"),
    [
        ("{date}-{framework}-{device}{cuda}", "20261122-vllm-cuda13.0"),
        ("{commit}", "0123abc0123a"),
        ("nightly-{line}-{target}{suffix}", "nightly-0.9.0-runtime-cuda13.0"),
    ],
)
def test_the_template_of_the_version_tag(template, tag):
    asked = {"framework": "vllm", "target": "runtime", "cuda_version": "13.0"}
    machine = replace(MACHINE, date="20261122")
    first, latest = tags(**asked, tag_template=template, machine=machine)
    assert (first, latest) == (f"dynamo:{tag}", "dynamo:latest-vllm-runtime-cuda13.0")


@pytest.mark.parametrize(
    ("template", "message", "hint"),
    [
        ("{versoin}", "no field '{versoin}'", "did you mean 'version'?"),
        ("{version", "is no template of tags", "a field stands in braces"),
        ("}", "is no template of tags", "a field stands in braces"),
        ("{}", "no field '{}'", "there are: commit"),
        ("{version!r}", "has a format", "version"),
        ("{version:>3}", "has a format", "version"),
        ("{version.__class__}", "no field", "version"),
        ("a/b-{version}", "a character that no tag has", "letters, digits"),
        ("", "makes no tag", "1 to 128 characters"),
        ("{version}" + "x" * 128, "makes no tag", "1 to 128 characters"),
        ("{version}{version}", "twice", None),
    ],
)
def test_a_template_that_is_none(template, message, hint):
    error = refusal(**NONE_CPU, tag_template=template)
    assert message in error.message
    assert error.origin == "flag --tag-template"
    assert hint is None or hint in error.hint


def test_a_commit_that_there_is_not():
    nothing = replace(VERSION, commit="")
    error = refusal(**NONE_CPU, tag_template="{commit}", version=nothing)
    assert error.message == "the tag is to have the commit, but there is none"


def shared(**asked):
    return [said for said in make_plan(**asked).warnings if "the same tag" in said]


def test_a_template_that_does_not_tell_cells_apart_is_warned_of():
    asked = {"framework": "vllm", "target": "runtime"}
    (warning,) = shared(**asked, tag_template="{version}-{framework}-{target}")
    assert "vllm-runtime-cuda12.9 and vllm-runtime-cuda13.0 the same tag" in warning
    enough = "{version}-{framework}-{target}-{device}{cuda}"
    assert not shared(**asked, tag_template=enough)
    (warning,) = shared(**asked, release_line="1.0", tag_template=enough)
    assert "vllm-runtime-cuda12.9+1.0 and vllm-runtime-cuda12.9 the same tag" in warning


PARTS = st.lists(
    st.sampled_from([*(f"{{{field}}}" for field in tag_template.FIELDS), "-", ".", "x", "_"]),
    min_size=1, unique=True,
)  # fmt: skip


@hypothesis.given(PARTS, st.text(max_size=200), st.booleans(), st.sampled_from(["", "-aws"]))
def test_what_a_template_makes_is_a_tag(parts, version, dirty, end):
    values = dict.fromkeys(tag_template.FIELDS, "v") | {"version": version}
    hypothesis.assume(version or parts != ["{version}"])
    made = tag_template.filled("".join(parts), values, dirty=dirty, end=end, origin="here")
    assert names.check_reference(f"x:{made}")
    assert made.endswith(end)
    assert ("-dirty" in made) >= dirty


# ---- the tree ----------------------------------------------------------------------------


def test_a_dirty_tree_is_marked_where_others_see_it():
    asked = {**NONE_RUNTIME, **REGISTRY}
    first, latest = tags(**asked, version=DIRTY)
    assert first == "reg.example.com/dynamo:v0.9.0-dirty-none-runtime"
    assert latest == "reg.example.com/dynamo:latest-none-runtime"
    assert tags(**asked)[0] == "reg.example.com/dynamo:v0.9.0-none-runtime"
    assert tags(**NONE_RUNTIME, version=DIRTY)[0] == "dynamo:v0.9.0-none-runtime"
    long = replace(DIRTY, tag="v" + "9" * 200)
    assert "9-dirty-none-runtime" in tags(**asked, version=long)[0]
    for template, tag in (
        ("{commit}{suffix}", "0123abc0123a-dirty"),
        ("{target}", "runtime-dirty"),
    ):
        made = tags(**asked, version=DIRTY, tag_template=template)[0]
        assert made == f"reg.example.com/dynamo:{tag}"


def test_a_clean_tree_may_be_required():
    assert make_plan(**NONE_CPU, require_clean=True).images
    error = refusal(**NONE_CPU, require_clean=True, version=DIRTY)
    assert error.message == "the source tree has uncommitted changes"
    assert error.origin == "flag --require-clean"
    error = refusal(**NONE_CPU, require_clean=True, version=replace(VERSION, commit=""))
    assert "there is no commit" in error.message


# ---- by the id ---------------------------------------------------------------------------

IDS = st.builds(
    ImageId,
    framework=st.sampled_from(["vllm", "none"]),
    target=st.sampled_from(["runtime", "dev", "local-dev", "dev-aws"]),
    device=st.sampled_from(["cuda", "cpu", "xpu"]),
    cuda=st.sampled_from(["", "12.9", "13.0"]),
    variant=st.sampled_from(["", "1.0", "index", "1.0+index"]),
).filter(lambda one: bool(one.cuda) == (one.device == "cuda"))


@hypothesis.given(st.sets(IDS, min_size=2))
def test_latest_tags_of_different_ids_differ(ids):
    for one, other in itertools.combinations(ids, 2):
        assert one.latest_tag("12.9") != other.latest_tag("12.9")
    assert all(re.fullmatch(r"[\w.-]+", one.latest_tag("12.9")) for one in ids)
