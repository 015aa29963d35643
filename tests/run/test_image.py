import pytest

from dynbuild.run import image
from dynbuild.run.image import ImageKind
from tests import support


def conventional_name(framework, target):
    kind = ImageKind(framework=framework, target=target, repository="dynamo")
    return kind.conventional_name


@pytest.mark.parametrize(
    ("framework", "target", "name"),
    [
        ("vllm", "", "dynamo:latest-vllm"),
        ("vllm", "dev", "dynamo:latest-vllm"),
        ("VLLM", "runtime", "dynamo:latest-vllm-runtime"),
        ("none", "frontend", "dynamo:latest-none-frontend"),
        ("trtllm", "local-dev", "dynamo:latest-trtllm-local-dev"),
    ],
)
def test_the_conventional_name_of_an_image(framework, target, name):
    assert conventional_name(framework, target) == name


@pytest.mark.parametrize("framework", list(support.CATALOG["frameworks"]))
def test_run_finds_what_build_tags(framework):
    for target in support.CATALOG["frameworks"][framework]["targets"]:
        _, latest = support.make_image(framework=framework, target=target).tags
        assert conventional_name(framework, target) == latest


FRAMEWORKS = tuple(support.CATALOG["frameworks"])


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_target_is_read_off_every_tag(framework):
    for target in support.CATALOG["frameworks"][framework]["targets"]:
        to_run = target if target in ("dev", "local-dev", "runtime", "frontend") else None
        for tag in support.make_image(framework=framework, target=target).tags:
            assert image.target_of(tag, FRAMEWORKS) == to_run
            assert image.target_of(f"{tag}-aws@sha256:{'0' * 64}", FRAMEWORKS) == to_run


@pytest.mark.parametrize(
    ("reference", "user"),
    [
        ("dynamo:latest-vllm", "root"),
        ("reg:5000/a/dynamo:v1-vllm-dev-aws", "root"),
        ("dynamo:latest-vllm-runtime", "dynamo"),
        ("dynamo:latest-none-frontend", "dynamo"),
        ("dynamo:latest-vllm-local-dev", None),
        ("reg:5000/dynamo", None),
        ("dynamo:mine", None),
        (f"dynamo@sha256:{'0' * 64}", None),
    ],
)
def test_who_usually_runs_in_an_image(reference, user):
    assert image.usual_user(reference, FRAMEWORKS) == user


@pytest.mark.parametrize(
    ("reference", "label", "ids", "found"),
    [
        ("x", "vllm-local-dev-aws-cuda12.9", "1234:77", "1234:77"),
        (f"x@sha256:{'0' * 64}", "vllm-local-dev-cpu", "1234:77", "1234:77"),
        ("mine:latest-vllm-local-dev", "vllm-runtime-cpu", "", "1000:0"),
        ("dynamo:latest-vllm-local-dev-aws", "", "", ""),
        ("dynamo:latest-vllm-local-dev", "no id", "", ""),
        ("dynamo:latest-vllm", "", "", "1000:0"),
    ],
)
def test_the_numbers_of_dynamo_in_an_image(reference, label, ids, found):
    user = image.user_of(reference, "dynamo", label, ids, FRAMEWORKS)
    assert (user.name, user.ids) == ("dynamo", found)
