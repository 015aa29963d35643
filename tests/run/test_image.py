import pytest

from dynbuild.run.image import ImageKind
from tests import support


def conventional_name(framework, target):
    kind = ImageKind(framework=framework, target=target, repository="dynamo")
    return kind.conventional_name


@pytest.mark.parametrize(
    ("framework", "target", "image"),
    [
        ("vllm", "", "dynamo:latest-vllm"),
        ("vllm", "dev", "dynamo:latest-vllm"),
        ("VLLM", "runtime", "dynamo:latest-vllm-runtime"),
        ("none", "frontend", "dynamo:latest-none-frontend"),
        ("trtllm", "local-dev", "dynamo:latest-trtllm-local-dev"),
    ],
)
def test_the_conventional_name_of_an_image(framework, target, image):
    assert conventional_name(framework, target) == image


@pytest.mark.parametrize("framework", list(support.CATALOG["frameworks"]))
def test_run_finds_what_build_tags(framework):
    for target in support.CATALOG["frameworks"][framework]["targets"]:
        _, latest = support.make_image(framework=framework, target=target).tags
        assert conventional_name(framework, target) == latest
