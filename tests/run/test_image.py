import itertools

import pytest

from dynbuild.run import image
from tests import support


def conventional_name(framework, target, **asked):
    settings = support.load(framework=framework, target=target, **asked)
    return image.kind_of(settings).conventional_name


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
    entry = support.CATALOG["frameworks"][framework]
    cells = [
        {"device": device, **({"cuda_version": said} if cuda else {})}
        for device, row in entry["devices"].items()
        for cuda in row.get("cuda", {"": {}})
        for said in {cuda, f"{cuda}.1", cuda.partition(".")[0]}
    ]
    for target in entry["targets"]:
        for asked in ({}, *cells, {"release_line": "1.0"}):
            _, latest = support.make_image(framework=framework, target=target, **asked).tags
            assert conventional_name(framework, target, **asked) == latest


FRAMEWORKS = tuple(support.CATALOG["frameworks"])


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_target_is_read_off_every_tag(framework):
    for target, cuda in itertools.product(
        support.CATALOG["frameworks"][framework]["targets"],
        next(iter(support.CATALOG["frameworks"][framework]["devices"].values()))["cuda"],
    ):
        to_run = target if target in ("dev", "local-dev", "runtime", "frontend") else None
        for tag in support.make_image(framework=framework, target=target, cuda_version=cuda).tags:
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


@pytest.mark.parametrize(
    ("image_id", "asked", "fits"),
    [
        ("none-runtime-cpu", {}, True),
        ("none-runtime-cpu", {"device": "cpu"}, True),
        ("none-runtime-cuda12.8", {"device": "cpu"}, False),
        ("none-runtime-cuda12.8", {"cuda_version": "12"}, True),
        ("none-runtime-cuda12.8", {"cuda_version": "12.8.1"}, True),
        ("none-runtime-cpu", {"cuda_version": "12.8"}, False),
        ("none-runtime-cpu+index", {}, True),
        ("none-runtime-cpu+1.0", {}, True),
        ("none-runtime-cpu+1.0+index", {"release_line": "1.0"}, True),
        ("none-runtime-cpu+index", {"release_line": "1.0"}, False),
        ("none-runtime-cpu+1.0", {"release_line": "0.9.0"}, False),
        ("none-runtime-aws-cuda12.8", {}, False),
        ("none-dev-cpu", {}, False),
        ("what", {}, False),
    ],
)
def test_which_image_fits(image_id, asked, fits):
    settings = support.load(**support.NONE_RUNTIME, **asked)
    assert image.fits(image_id, image.kind_of(settings), settings) == fits
