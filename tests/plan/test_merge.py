"""Several cells in one job, and everything that is wrong with a request at once."""

import pytest

from dynbuild.errors import RequestError
from dynbuild.image_id import ImageId
from dynbuild.plan import planner, selection
from tests.support import MACHINE, NONE_CPU, VERSION, WORKSPACE, load, make_job, refusal

LOCAL = {"framework": "none", "target": "local-dev", "device": "cpu", "make_efa": True}


def shared(**asked):
    return planner.Shared(config=load(**asked), version=VERSION, context=WORKSPACE, machine=MACHINE)


def decided(**asked):
    about = shared(**asked)
    (job,) = planner.decide_all(selection.of_request([about.config]), about)
    return job


def merged(*requests):
    return planner.merge([decided(**asked) for asked in requests], shared(**requests[0]))


def test_one_cell_is_what_a_request_makes():
    assert merged(LOCAL) == make_job(**LOCAL)


def test_cells_in_one_job():
    others = [{**NONE_CPU, "target": "frontend"}, {"framework": "vllm", "target": "runtime"}]
    job = merged(NONE_CPU, *others)
    names = ["none-runtime-cpu", "none-frontend-cpu", "vllm-runtime-cuda12.9"]
    assert [str(one.id) for one in job.images] == [one.name for one in job.plan.images] == names


@pytest.mark.parametrize("order", [1, -1])
def test_an_image_that_is_below_one_cell_and_asked_for_by_another_is_there_once(order):
    """It is tagged and put out, whichever comes first."""
    dev = {"framework": "none", "target": "dev", "device": "cpu", "tag_latest": False}
    local = {**LOCAL, "tag_latest": False}
    job = merged(*[local, dev][::order])
    assert sorted(str(one.id) for one in job.images) == [
        "none-dev-cpu", "none-local-dev-aws-cpu", "none-local-dev-cpu",
    ]  # fmt: skip
    below = next(one.plan for one in job.images if one.id == ImageId("none", "dev", "cpu"))
    assert (below.tags, below.output) == (("dynamo:v0.9.0-none-dev-cpu",), "load")


def test_the_same_cell_twice_is_one_image():
    assert len(merged(NONE_CPU, NONE_CPU).images) == 1


def test_two_different_images_of_one_id_are_refused():
    with pytest.raises(RequestError) as caught:
        merged(NONE_CPU, {**NONE_CPU, "args": {"BUILD_JOBS": "3"}})
    error = caught.value
    assert error.message == "two different images are called none-runtime-cpu"
    assert "BUILD_JOBS: ''" in error.details[0]
    assert "'3' (flag --build-arg BUILD_JOBS)" in error.details[0]


def test_commands_of_two_cells_run_once():
    front = {"framework": "none", "target": "frontend", "device": "cpu", "build_epp": True}
    job = merged(front, front)
    assert [step.what for step in job.plan.before] == ["epp"]


def test_a_wheel_that_is_built_is_found_by_what_makes_it():
    asked = {
        "framework": "trtllm", "target": "runtime",
        "tensorrtllm_git_url": "https://example.com/t.git", "tensorrtllm_commit": "v1.2.0",
    }  # fmt: skip
    job = merged(asked)
    (step,) = job.plan.before
    assert job.wheels[step.makes].intent.output == step.makes
    assert job.wheels[step.makes].python_version == "3.12"


# ---- all that is wrong at once -----------------------------------------------------------


def said(error):
    return "\n".join((error.message, *error.details))


def test_everything_that_is_wrong_with_a_request_is_told_at_once():
    error = refusal(
        **NONE_CPU,
        platform=["linux/s390x"],
        uid=7,
        tag="Foo:x",
        cache="typo",
        use_sccache="s3",
        make_efa=True,
        args={"ENABLE_KVBM": "yes", "ETCD_VERSION": "v3.6.0", "NIXL_REF": "a\nb"},
    )
    assert error.exit_code == 2
    text = said(error)
    for message in (
        "there is no platform 'linux/s390x'", "--uid is only for the target local-dev",
        "ENABLE_KVBM is 'yes'", "NIXL_REF has a line break", "the compile cache in S3 needs",
        "'Foo' is not an image repository", "'typo' is no build cache",
        "ETCD_VERSION is changed to v3.6.0",
    ):  # fmt: skip
        assert text.count(message) == 1, message
    assert "flag --build-arg ETCD_VERSION: " in text


def test_every_part_of_a_cell_that_does_not_exist_is_told():
    error = refusal(
        framework="none", target="runtyme", device="cdua", platform=["x86"], dynamo_wheels="pip"
    )
    assert error.message == "there is no target 'runtyme' of none"
    for message in ("no device 'cdua'", "'pip' is no way", "no platform 'x86'"):
        assert message in said(error)


def test_a_problem_is_told_once_for_all_images_of_a_cell():
    error = refusal(**LOCAL, args={"ETCD_VERSION": "v3.6.0"})
    assert said(error).count("checksum of etcd") == 1
