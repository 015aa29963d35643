"""The compile cache in a plan: its arguments, its secrets, what is refused and warned of."""

import os
import re
import subprocess

import pytest

from dynbuild.plan import secrets
from dynbuild.render import bake
from dynbuild.render.dockerfile import render
from tests.support import (
    NONE_RUNTIME,
    TEMPLATES,
    load,
    make_image_job,
    make_job,
    make_plan,
    refusal,
)

S3 = {"SCCACHE_BUCKET": "ai-cache", "SCCACHE_REGION": "eu-central-1"}
AWS = ["aws-key-id", "aws-secret-id", "aws-session-token"]


def cached(args=None, **asked):
    return make_image_job(**NONE_RUNTIME, use_sccache="s3", args={**S3, **(args or {})}, **asked)


def test_without_it_nothing_of_it_is_there():
    image = make_image_job(**NONE_RUNTIME)
    assert not any("SCCACHE" in arg for arg in image.plan.build_args)
    assert not set(AWS) & set(image.plan.secrets)
    assert "sccache" not in render(image, TEMPLATES)


def test_in_s3():
    image = cached()
    assert image.plan.build_args["USE_SCCACHE"] == "true"
    assert image.plan.build_args["SCCACHE_BUCKET"] == "ai-cache"
    assert image.plan.build_args["SCCACHE_REGION"] == "eu-central-1"
    assert image.plan.build_args["SCCACHE_ENDPOINT"] == ""
    assert image.plan.build_args["SCCACHE_S3_USE_SSL"] == ""
    assert [name for name in image.plan.secrets if name.startswith("aws-")] == AWS
    assert image.plan.origins["USE_SCCACHE"] == "flag --use-sccache"


ROLE = ["aws-web-identity-token", "aws-role-arn", "aws-role-session-name"]


def test_a_web_identity_comes_in_place_of_the_keys():
    job = make_job(**NONE_RUNTIME, use_sccache="s3", args=S3)
    found = secrets.with_web_identity(job, "/var/run/token")
    (image,) = found.images
    assert [one.id for one in image.secrets if one.id.startswith("aws-")] == ROLE
    assert image.plan.secrets == tuple(one.id for one in image.secrets)
    assert found.plan.images == (image.plan,)
    (target,) = bake.definition(found, {image.name: "Dockerfile"})["target"].values()
    assert {"id": ROLE[0], "src": "/var/run/token"} in target["secret"]
    assert render(image, TEMPLATES) == render(job.images[0], TEMPLATES)


def test_a_build_without_the_compile_cache_gets_no_web_identity():
    job = make_job(**NONE_RUNTIME)
    assert secrets.with_web_identity(job, "/var/run/token") == job


@pytest.mark.processes("sh")
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_SESSION_TOKEN": ""},
         {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SESSION_TOKEN": "",
          "AWS_ROLE_ARN": "r", "AWS_ROLE_SESSION_NAME": "", "token": "horse"},
         {"AWS_ROLE_ARN": "r", "AWS_WEB_IDENTITY_TOKEN_FILE": "{}/aws-web-identity-token",
          "AWS_STS_REGIONAL_ENDPOINTS": "regional"}),
    ],
)  # fmt: skip
def test_sccache_is_told_of_keys_or_of_a_web_identity(given, expected, tmp_path):
    """An empty variable is what BuildKit makes of a secret that there is none of."""
    text = render(cached(), TEMPLATES)
    script = re.search(r"<<'EOF' /use\n(.*?)^EOF$", text, re.DOTALL | re.MULTILINE)[1]
    script = script.replace("/run/secrets", str(tmp_path))
    script = script.replace("/opt/sccache/sccache", str(tmp_path / "sccache"))
    (tmp_path / "sccache").write_text(f"#!/bin/sh\nenv >>{tmp_path}/said\n")
    (tmp_path / "sccache").chmod(0o755)
    (tmp_path / "aws-web-identity-token").write_text(given.get("token", ""))
    env = {"PATH": os.environ["PATH"], "TARGETARCH": "amd64", "SCCACHE_SECTION": "ucx"}
    env |= {name: value for name, value in given.items() if name != "token"}
    subprocess.run(["sh", "-euc", script], env=env, check=True)
    said = dict(line.split("=", 1) for line in (tmp_path / "said").read_text().splitlines())
    assert {name: value for name, value in said.items() if name.startswith("AWS_")} == {
        name: value.format(tmp_path) for name, value in expected.items()
    }


def test_on_the_engine_itself():
    image = make_image_job(**NONE_RUNTIME, use_sccache="local")
    assert image.plan.build_args["USE_SCCACHE"] == "true"
    assert "SCCACHE_BUCKET" not in image.plan.build_args
    assert not set(AWS) & set(image.plan.secrets)
    assert "type=cache,id=sccache-${TARGETARCH}" in render(image, TEMPLATES)


def test_a_bucket_that_is_known_besides_is_none_of_a_local_cache():
    image = make_image_job(**NONE_RUNTIME, use_sccache="local", args=S3)
    assert not any("SCCACHE_BUCKET" in arg for arg in image.plan.build_args)


PLACES = [
    {"SCCACHE_BUCKET": "other"},
    {"SCCACHE_REGION": "us-east-1"},
    {"SCCACHE_ENDPOINT": "http://127.0.0.1:8333"},
    {"SCCACHE_PREFIX": "team"},
    {"SCCACHE_S3_RW_MODE": "READ_ONLY"},
]


@pytest.mark.parametrize("place", PLACES)
def test_the_same_is_built_wherever_the_cache_is(place):
    one, other = cached(), cached(place)
    assert one.plan.handed_args != other.plan.handed_args
    assert one.plan.keyed_args == other.plan.keyed_args
    assert render(one, TEMPLATES) == render(other, TEMPLATES)


def test_the_same_is_built_with_a_cache_in_s3_and_on_the_engine():
    local = make_image_job(**NONE_RUNTIME, use_sccache="local")
    assert cached().plan.keyed_args == local.plan.keyed_args
    assert render(cached(), TEMPLATES) == render(local, TEMPLATES)


def test_credentials_are_no_unkeyed_arguments():
    """Both are secrets of BuildKit's; only values that everybody may see are arguments."""
    image = cached()
    assert not {one.id for one in image.secrets} & set(image.plan.unkeyed_args)
    assert set(image.plan.unkeyed_args) <= set(image.plan.build_args)
    assert not set(image.plan.unkeyed_args) & set(image.plan.secrets)


@pytest.mark.parametrize(
    ("given", "endpoint", "ssl"),
    [
        ({"SCCACHE_ENDPOINT": "http://127.0.0.1:8333"}, "127.0.0.1:8333", "off"),
        ({"SCCACHE_ENDPOINT": "127.0.0.1:8333"}, "127.0.0.1:8333", "on"),
        ({"SCCACHE_ENDPOINT": "https://s3.example.com/"}, "s3.example.com", "on"),
        ({"SCCACHE_ENDPOINT": "h:1", "SCCACHE_S3_USE_SSL": "false"}, "h:1", "off"),
    ],
)
def test_an_endpoint_is_told_apart_as_sccache_wants_it(given, endpoint, ssl):
    image = cached(given)
    assert image.plan.build_args["SCCACHE_ENDPOINT"] == endpoint
    assert image.plan.build_args["SCCACHE_S3_USE_SSL"] == ssl


def test_slashes_around_a_prefix_do_not_matter():
    image = cached({"SCCACHE_PREFIX": "/team/x/"})
    assert image.plan.build_args["SCCACHE_PREFIX"] == "team/x"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({}, "the compile cache in S3 needs --sccache-bucket and --sccache-region"),
        ({"SCCACHE_BUCKET": "ai-cache"}, "the compile cache in S3 needs --sccache-region"),
        ({"SCCACHE_REGION": "eu-west-1"}, "the compile cache in S3 needs --sccache-bucket"),
    ],
)
def test_what_is_missing_is_named(args, message):
    error = refusal(**NONE_RUNTIME, use_sccache="s3", args=args)
    assert error.message == message
    assert "--use-sccache=local" in error.hint


def test_a_bucket_that_is_none():
    error = refusal(**NONE_RUNTIME, use_sccache="s3", args={**S3, "SCCACHE_BUCKET": "s3://x/y"})
    assert "is no name of a bucket" in error.message


def test_sccache_s_own_variables_count_and_are_no_reproach_without_it():
    env = {"SCCACHE_BUCKET": "from-env", "SCCACHE_REGION": "us-east-1"}
    config = load(env=env, **NONE_RUNTIME, use_sccache="s3")
    assert config.catalog.args["SCCACHE_BUCKET"] == "from-env"
    both = load(env={**env, "DYNBUILD_ARG_SCCACHE_BUCKET": "chosen"}, **NONE_RUNTIME)
    assert both.catalog.args["SCCACHE_BUCKET"] == "chosen"


def test_a_read_only_cache_warns_where_sccache_does_not_heed_it():
    args = {**S3, "SCCACHE_VERSION": "v0.8.2"}
    asked = {**NONE_RUNTIME, "use_sccache": "s3", "sccache_read_only": True}
    made = make_plan(**asked, args=args)
    assert made.images[0].build_args["SCCACHE_S3_RW_MODE"] == "READ_ONLY"
    assert any("knows no read-only S3" in warning for warning in made.warnings)


def test_every_stage_that_compiles_has_it():
    text = render(cached({"ENABLE_KVBM": "true", "ENABLE_GPU_MEMORY_SERVICE": "true"}), TEMPLATES)
    found = {
        line.split("SCCACHE_SECTION=")[1].split(" ")[0]
        for line in text.splitlines()
        if "SCCACHE_SECTION=" in line
    }
    assert found >= {"ucx", "libfabric", "nixl", "nixl_wheel", "kvbm_wheel", "gms_wheel"}
    assert "ai_dynamo_runtime_wheel" in found


def test_vllm_compiles_its_kernels_through_it():
    image = make_image_job(framework="vllm", target="runtime", use_sccache="s3", args=S3)
    text = render(image, TEMPLATES)
    assert "SCCACHE_SECTION=deepgemm" in text
    assert "SCCACHE_SECTION=ep_kernels" in text
    assert "SCCACHE_SECTION=aws_sdk_cpp" in text
