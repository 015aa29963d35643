import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynbuild import names
from dynbuild.errors import RequestError
from tests import support  # noqa: F401 - the profile of hypothesis

DIGEST = "0" * 64


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("vlm", "vllm"),
        ("VLLM", "vllm"),
        ("trt", "trtllm"),
        ("sglnag", "sglang"),
        ("zebra", None),
        ("", None),
    ],
)
def test_nearest(word, found):
    assert names.nearest(word, ["vllm", "trtllm", "sglang", "none"]) == found


def test_nearest_answers_in_the_spelling_of_the_choice():
    assert names.nearest("nixl_reff", ["NIXL_REF", "NATS_VERSION"]) == "NIXL_REF"


def test_a_hint_lists_few_choices_and_only_the_nearest_of_many():
    few, many = ["alpha", "beta"], [f"key{number}" for number in range(40)]
    assert names.did_you_mean("alpah", few) == "did you mean 'alpha'? (there are: alpha, beta)"
    near = names.did_you_mean("key7", many, "a page")
    assert near == "did you mean 'key7', 'key37' or 'key27'? (a page lists all)"
    assert names.did_you_mean("zebra", many).startswith("the nearest of 40 are 'key")
    assert names.did_you_mean("zebra", many).count("'") == 6
    assert names.did_you_mean("zebra", few) == "there are: alpha, beta"


AMD, ARM = names.PLATFORMS


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (["linux/amd64"], (AMD,)),
        (["amd64"], (AMD,)),
        (["x86_64"], (AMD,)),
        (["linux/x86_64"], (AMD,)),
        (["arm64"], (ARM,)),
        (["aarch64"], (ARM,)),
        (["linux/arm64/v8"], (ARM,)),
        (["Linux/ARM64"], (ARM,)),
        (["linux/arm64,linux/amd64"], (AMD, ARM)),
        (["arm64", "amd64"], (AMD, ARM)),
        ([" amd64 , arm64 "], (AMD, ARM)),
        (["amd64", "x86_64", "linux/amd64"], (AMD,)),
    ],
)
def test_platforms(values, found):
    assert names.parse_platforms(values) == found


@pytest.mark.parametrize("value", ["linux/s390x", "windows/amd64", "", "amd64,", "amd64 arm64"])
def test_a_platform_that_does_not_exist(value):
    with pytest.raises(RequestError, match="there is no platform") as caught:
        names.parse_platforms([value])
    for platform in names.PLATFORMS:
        assert platform in caught.value.hint


def test_no_platform_at_all():
    with pytest.raises(RequestError, match="no platform is given") as caught:
        names.parse_platforms([])
    assert caught.value.hint == "there are: linux/amd64, linux/arm64"


SPELLINGS = st.sampled_from(["linux/amd64", "amd64", "x86_64", "linux/arm64", "arm64", "aarch64"])


@given(st.lists(SPELLINGS, min_size=1))
def test_platforms_come_in_one_order_and_once(values):
    found = names.parse_platforms(values)
    assert found == tuple(name for name in names.PLATFORMS if name in found)
    assert found == names.parse_platforms([",".join(values)]) == names.parse_platforms(found)


@given(st.lists(st.text(max_size=12), max_size=4))
def test_any_platform_is_taken_or_refused(values):
    with contextlib.suppress(RequestError):
        assert set(names.parse_platforms(values)) <= set(names.PLATFORMS)


GOOD_REFERENCES = [
    "dynamo",
    "dynamo:v0.9.0",
    "team/dynamo:latest-none-runtime",
    "registry.example.com/team/dynamo:v1",
    "registry.example.com:5000/dynamo",
    "localhost:5000/a/b_c/d__e/f--g:T.1_2-3",
    "[::1]:5000/dynamo:x",
    "Registry.Example.com/dynamo:x",
    "dynamo:_x",
    f"dynamo:{'x' * 128}",
]
BAD_TAGS = ["dynamo:", "dynamo:-x", "dynamo:.x", "dynamo:a/b:c+d", "dynamo:a b", "dynamo:ä"]
BAD_TAGS += [f"dynamo:{'x' * 129}", "dynamo:v1+cu", "dynamo:x\n"]
BAD_REPOSITORIES = ["", ":x", "Dynamo:x", "team/Dynamo:x", "a//b:x", "/a:x", "a/:x", "-a:x"]
BAD_REPOSITORIES += ["a..b:x", "a___b:x", "a.:x", "a b:x", f"dynamo@sha256:{DIGEST}", "dynamo\n"]


@pytest.mark.parametrize("reference", GOOD_REFERENCES)
def test_a_reference_that_docker_takes(reference):
    assert names.check_reference(reference) == reference


@pytest.mark.parametrize("reference", BAD_TAGS)
def test_a_tag_that_docker_refuses(reference):
    with pytest.raises(RequestError) as caught:
        names.check_reference(reference, origin="flag --tag")
    assert reference in caught.value.message
    assert caught.value.origin == "flag --tag"
    assert caught.value.hint


@pytest.mark.parametrize("reference", BAD_REPOSITORIES)
def test_a_repository_that_docker_refuses(reference):
    with pytest.raises(RequestError, match="not an image repository") as caught:
        names.check_reference(reference, origin="flag --tag")
    assert caught.value.origin == "flag --tag"
    assert "lower-case" in caught.value.hint


@pytest.mark.parametrize("domain", ["a..example.com", "a.-b.example.com", "a-.example.com"])
def test_a_registry_that_docker_refuses(domain):
    with pytest.raises(RequestError):
        names.check_repository(f"{domain}/dynamo")


def test_a_repository_that_is_too_long():
    with pytest.raises(RequestError):
        names.check_repository("/".join(["x" * 60] * 5))


@pytest.mark.parametrize(
    ("reference", "repository", "tag"),
    [
        ("dynamo", "dynamo", ""),
        ("dynamo:v1", "dynamo", "v1"),
        ("localhost:5000/dynamo", "localhost:5000/dynamo", ""),
        ("localhost:5000/dynamo:v1", "localhost:5000/dynamo", "v1"),
        ("dynamo:", "dynamo", ""),
    ],
)
def test_split_reference(reference, repository, tag):
    assert names.split_reference(reference) == (repository, tag)


@pytest.mark.parametrize(
    ("reference", "qualified"),
    [
        ("dynamo:v1", False),
        ("team/dynamo:v1", False),
        ("localhost/dynamo", True),
        ("localhost:5000/dynamo:v1", True),
        ("registry.example.com/dynamo", True),
        ("host:5000/dynamo", True),
        ("dynamo:5000", False),
    ],
)
def test_whether_a_push_has_a_destination(reference, qualified):
    assert names.is_qualified(reference) is qualified


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("v0.9.0-none-runtime", "v0.9.0-none-runtime"),
        ("vrelease/1.0+cu12", "vrelease-1.0-cu12"),
        ("a b\tc", "a-b-c"),
        (".hidden", "_hidden"),
        ("-x", "_x"),
        ("/x", "_x"),
        ("é", "_"),
        ("", "_"),
    ],
)
def test_as_tag(text, tag):
    assert names.as_tag(text) == tag


@given(st.text())
def test_every_text_becomes_a_tag_that_docker_takes(text):
    tag = names.as_tag(text)
    assert names.check_reference(f"dynamo:{tag}") == f"dynamo:{tag}"
    assert names.as_tag(tag) == tag


@given(st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", fullmatch=True))
def test_a_good_tag_stays_as_it_is(tag):
    assert names.as_tag(tag) == tag
    assert names.split_reference(f"host:1/dynamo:{tag}") == ("host:1/dynamo", tag)


@given(st.text(max_size=30))
def test_any_reference_is_taken_as_it_is_or_refused(text):
    with contextlib.suppress(RequestError):
        assert names.check_reference(text) == text
        assert re.fullmatch(r"[\w./:\[\]-]+", text, re.ASCII)
