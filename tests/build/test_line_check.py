"""A release line beside a source tree."""

from __future__ import annotations

import pytest

from dynbuild.build import line_check, pins
from tests.support import TEMPLATES, load


def said(*found, requirements=None):
    config = load(release_line="1.5").catalog.frameworks.values()
    every = {
        name
        for row in config
        for files in (row.requirements, row.dev_requirements, *row.target_requirements.values())
        for name in files
    }
    return pins.TreePins(
        version="1.5.0",
        pins=tuple(pins.Pin(tuple(path.split("/")), value, "tree:1") for path, value in found),
        unused=(),
        requirements=frozenset(every if requirements is None else requirements),
        frameworks=frozenset(),
        members=(),
    )


def differences(*found, line="1.5", **more):
    config = load(release_line=line)
    return list(line_check.differences(config, said(*found, **more), TEMPLATES))


def test_what_is_said_differently_is_told_with_both_places():
    (one,) = differences(("args/NATS_VERSION", "v9"), ("args/ETCD_VERSION", "v3.5.33"))
    assert (one.pin, one.line, one.tree) == ("args.NATS_VERSION", "v2.12.14", "v9")
    assert one.origin.startswith("templates/lines/1.5.toml:")
    assert (one.place, one.reason) == ("tree:1", "")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (
            "args/MATURIN_FEATURES",
            "request-trace-s3,mm-routing,aic-forward-pass,select-service,slot-tracker,kv-indexer",
        ),
        ("args/NIXL_REF", "1.0.1"),
        ("frameworks/vllm/args/ENABLE_MEDIA_FFMPEG", "false"),
        ("args/VLLM_REF", "v9"),
    ],
)
def test_what_means_the_same_is_no_difference(path, value):
    """A list in another order, a ref without v, what holds in general, what no image uses."""
    assert differences((path, value)) == []


def test_a_framework_a_device_or_a_version_that_the_line_has_not_is_one_difference():
    found = differences(
        ("frameworks/vllm/devices/npu/args/BASE_IMAGE", "a"),
        ("frameworks/vllm/devices/npu/args/BASE_IMAGE_TAG", "b"),
        ("frameworks/none/devices/cuda/cuda/14.0/BASE_IMAGE", "c"),
    )
    assert [one.pin for one in found] == [
        "frameworks.vllm.devices.npu",
        "frameworks.none.devices.cuda.cuda.14.0",
    ]


def test_a_file_of_requirements_that_the_tree_has_not():
    found = differences(requirements=["requirements.test.txt", "requirements.dev.txt"])
    assert ("frameworks.vllm.requirements", "requirements.vllm.txt") in [
        (one.pin, one.line) for one in found
    ]


def test_what_is_ours_on_purpose_says_why():
    (one,) = differences(("args/NIXL_GDRCOPY_REF", "v2.5.1"), line="0.9.0", requirements=[
        "requirements.txt", "requirements.test.txt",
    ])  # fmt: skip
    assert one.reason.startswith("the module of the tree's 2.5.1")
