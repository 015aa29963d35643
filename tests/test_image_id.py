import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynbuild.errors import RequestError
from dynbuild.image_id import ImageId, variant_of
from tests import support  # noqa: F401 - the profile of hypothesis

WORDS = st.from_regex("[a-z0-9_]{1,8}", fullmatch=True)
MARKS = st.from_regex(r"[a-z0-9]{1,4}([.-][a-z0-9]{1,3}){0,2}", fullmatch=True)
IDS = st.builds(
    ImageId,
    framework=WORDS,
    target=st.lists(WORDS, min_size=1, max_size=3).map("-".join),
    device=st.from_regex("[a-z0-9_]{0,4}[a-z_]", fullmatch=True),
    cuda=st.from_regex(r"([0-9]{1,3}(\.[0-9]{1,2}){0,2})?", fullmatch=True),
    variant=st.lists(MARKS, max_size=3).map("+".join),
)


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        (("vllm", "runtime", "cuda", "12.9"), "vllm-runtime-cuda12.9"),
        (("none", "local-dev", "cuda", "12.8"), "none-local-dev-cuda12.8"),
        (("none", "local-dev-aws", "cpu"), "none-local-dev-aws-cpu"),
        (("none", "wheel_builder", "cpu", ""), "none-wheel_builder-cpu"),
        (("none", "runtime", "cpu", "", "index"), "none-runtime-cpu+index"),
        (("none", "runtime", "cpu", "", "1.5+index"), "none-runtime-cpu+1.5+index"),
        (("vllm", "dev", "cuda", "13.0", "1.0"), "vllm-dev-cuda13.0+1.0"),
    ],
)
def test_an_id_and_its_text(parts, text):
    assert str(ImageId(*parts)) == text
    assert ImageId.parse(text) == ImageId(*parts)


@given(IDS)
def test_an_id_is_read_back_from_its_text(one):
    assert ImageId.parse(str(one)) == one


@given(IDS, IDS)
def test_no_two_ids_have_the_same_bake_target(one, other):
    assert re.fullmatch("[a-zA-Z0-9_-]+", one.bake_target)
    assert (one.bake_target == other.bake_target) == (one == other)


@given(st.text(alphabet="ab1.-+_/ A", max_size=20))
def test_a_text_is_an_id_or_refused(text):
    try:
        one = ImageId.parse(text)
    except RequestError:
        return
    assert str(one) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "none", "none-runtime", "none--cpu", "none-runtime-", "-runtime-cpu"),
        *("None-runtime-cpu", "none-runtime-cpu+", "none-runtime-cpu+a_b", "none-runtime-12.9"),
        *("none-runtime-cpu ", "none-run time-cpu", "none-runtime-cuda12.", "a/b-runtime-cpu"),
    ],
)
def test_what_is_no_id(text):
    with pytest.raises(RequestError) as caught:
        ImageId.parse(text)
    assert caught.value.message == f"'{text}' is no id of an image"


def test_a_part_that_no_id_can_have():
    with pytest.raises(RequestError) as caught:
        ImageId("none", "runtime", "cpu", "", "Next_1")
    assert caught.value.message == "'Next_1' cannot be the variant in the id of an image"


def test_a_variant_has_the_marks_there_are():
    assert variant_of("", "") == ""
    assert variant_of("", "index") == "index"
    assert variant_of("1.0", "index") == "1.0+index"


KNOWN = [
    ImageId.parse(text)
    for text in (
        *("vllm-runtime-cuda12.9", "vllm-runtime-cuda13.0", "vllm-dev-cuda12.9"),
        *("none-runtime-cpu", "none-runtime-cpu+index", "none-runtime-cpu+1.0"),
    )
]


@pytest.mark.parametrize(
    ("glob", "found"),
    [
        ("none-runtime-cpu", ["none-runtime-cpu"]),
        ("none-runtime-cpu*", [str(one) for one in KNOWN[3:]]),
        ("*-cuda13.0", ["vllm-runtime-cuda13.0"]),
        ("*+1.0", ["none-runtime-cpu+1.0"]),
        ("vllm-*-cuda12.?", ["vllm-runtime-cuda12.9", "vllm-dev-cuda12.9"]),
        ("*", [str(one) for one in KNOWN]),
    ],
)
def test_ids_by_a_pattern(glob, found):
    assert [str(one) for one in KNOWN if one.matches(glob)] == found
