import json
from dataclasses import replace

import pytest

from dynbuild.plan.machine import Machine
from dynbuild.render import bake
from tests.support import NONE_CPU, NONE_RUNTIME, make_job, with_values


def target(made):
    """The one target of the definition of a plan."""
    (image,) = made.images
    document = bake.definition(made, {image.name: "/record/Dockerfile"})
    return document["target"][image.id.bake_target]


def test_a_definition():
    made = make_job(**NONE_RUNTIME, contexts={"ucx_src": "/src/ucx"})
    (image,) = made.images
    document = bake.definition(made, {image.name: "/record/Dockerfile"})
    assert document["group"] == {"default": {"targets": ["none-runtime-cuda12_8"]}}
    assert list(document["target"]) == ["none-runtime-cuda12_8"]
    assert target(made) == {
        "context": made.plan.context,
        "dockerfile": "/record/Dockerfile",
        "target": "runtime",
        "args": image.plan.keyed_args,
        "tags": list(image.plan.tags),
        "labels": image.plan.labels,
        "platforms": ["linux/amd64"],
        "output": ["type=docker"],
        "attest": ["type=provenance,disabled=true"],
        "contexts": {"ucx_src": "/src/ucx"},
        "secret": [{"id": "CARGO_BUILD_JOBS", "env": bake.holder("CARGO_BUILD_JOBS", "16")}],
    }


def test_a_definition_is_json():
    made = make_job(**NONE_CPU)
    document = bake.definition(made, {made.images[0].name: "/x"})
    assert json.loads(json.dumps(document)) == document


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        (NONE_CPU, "none-runtime-cpu"),
        ({"framework": "vllm", "target": "runtime"}, "vllm-runtime-cuda12_9"),
        ({**NONE_CPU, "dynamo_wheels": "index"}, "none-runtime-cpu--index"),
        ({**NONE_RUNTIME, "release_line": "1.0"}, "none-runtime-cuda12_9--1_0"),
    ],
)
def test_a_target_is_named_after_the_id(asked, name):
    made = make_job(**asked)
    assert made.images[0].id.bake_target == name
    document = bake.definition(made, {made.images[0].name: "/x"})
    assert list(document["target"]) == document["group"]["default"]["targets"] == [name]


def test_an_image_is_linked_by_the_name_of_its_target():
    asked = {**NONE_CPU, "dynamo_wheels": "index", "make_efa": True}
    made = make_job(**asked)
    document = bake.definition(made, {image.name: "/x" for image in made.images})
    aws = document["target"]["none-runtime-aws-cpu--index"]
    assert aws["contexts"] == {"runtime": "target:none-runtime-cpu--index"}


@pytest.mark.parametrize(
    ("output", "spec", "attest"),
    [
        ("load", "type=docker", "type=provenance,disabled=true"),
        ("none", "type=cacheonly", "type=provenance,disabled=true"),
        ("push", "type=registry", "type=provenance,mode=min"),
    ],
)
def test_outputs(output, spec, attest):
    found = target(make_job(**NONE_CPU, output=output, repository="localhost:5000/dynamo"))
    assert (found["output"], found["attest"]) == ([spec], [attest])


@pytest.mark.parametrize(
    ("compression", "output", "spec"),
    [
        ("zstd", "load", "type=docker"),
        ("zstd", "none", "type=cacheonly"),
        ("zstd", "push", "type=registry,compression=zstd,oci-mediatypes=true"),
        ("none", "load", "type=docker,compression=uncompressed"),
        ("none", "none", "type=cacheonly"),
        ("none", "push", "type=registry,compression=uncompressed"),
    ],
)
def test_layers_are_packed_as_asked_where_that_can_be(compression, output, spec):
    asked = {"output": output, "repository": "localhost:5000/dynamo", "compression": compression}
    assert target(make_job(**NONE_CPU, **asked))["output"] == [spec]


def test_what_is_not_asked_for_is_not_there():
    found = target(make_job(**NONE_CPU, dynamo_wheels="index"))
    assert not {"contexts", "secret", "cache-from", "cache-to", "no-cache"} & set(found)


def test_cache_and_platforms():
    found = target(
        make_job(
            **NONE_CPU,
            no_cache=True,
            cache_from=["type=registry,ref=a", "type=local,src=b"],
            cache_to=["type=inline"],
            platform=["arm64", "amd64"],
        )
    )
    assert found["no-cache"] is True
    assert found["cache-from"] == ["type=registry,ref=a", "type=local,src=b"]
    assert found["cache-to"] == ["type=inline"]
    assert found["platforms"] == ["linux/amd64", "linux/arm64"]


def secrets(bundle, index=""):
    machine = Machine(uid=1, gid=1, ca_bundle=bundle, index_url=index)
    found = target(make_job(**NONE_CPU, machine=machine))["secret"]
    return [one for one in found if not one.get("env", "").startswith("DYNBUILD_VALUE_")]


def test_secrets_are_files_and_variables_and_never_values():
    found = secrets("/etc/ca.pem", "https://user:hunter2@mirror.example.com/simple")
    assert found == [
        {"id": "ca_bundle", "src": "/etc/ca.pem"},
        {"id": "ca_bundle_path", "env": "DYNBUILD_SECRET_CA_BUNDLE_PATH"},
        {"id": "index_url", "env": "DYNBUILD_SECRET_INDEX_URL"},
    ]


def test_a_secret_file_with_a_comma():
    """As an object: buildx splits the short form at commas."""
    assert secrets("/a,b/ca.pem")[0] == {"id": "ca_bundle", "src": "/a,b/ca.pem"}


HCL = ["${HOME}", "a${b}c", "%{if x}", "$${kept}"]


def evaluate(text):
    """What bake makes of a string in its JSON: a template of HCL, where ``$${`` is ``${``."""
    assert not [mark for mark in ("${", "%{") if mark in text.replace("$${", "").replace("%%{", "")]
    return text.replace("$${", "${").replace("%%{", "%{")


@pytest.mark.parametrize("text", HCL)
def test_a_value_is_not_evaluated_by_bake(text):
    made = with_values(make_job(**NONE_CPU, context=f"/src/{text}"), {"NIXL_REF": text})
    found = target(made)
    assert evaluate(found["args"]["NIXL_REF"]) == text
    assert evaluate(found["context"]) == f"/src/{text}"


@pytest.mark.parametrize("text", ["$HOME", "100%", "a$b{c}", "}"])
def test_a_value_with_harmless_signs_stays_as_it_is(text):
    made = with_values(make_job(**NONE_CPU), {"NIXL_REF": text})
    assert target(made)["args"]["NIXL_REF"] == text


def unkeyed(made):
    """What steps of the one image get that is in no cache key."""
    held = bake.handed(made.plan)
    found = {one["id"]: held[one["env"]] for one in target(made).get("secret", ())}
    assert len(found) == len(held)
    return found


def test_an_argument_that_is_unkeyed_goes_by_a_variable():
    made = make_job(**NONE_CPU, args={"BUILD_JOBS": "3"})
    assert unkeyed(made) == {"BUILD_JOBS": "3", "CARGO_BUILD_JOBS": "16"}
    assert not {"BUILD_JOBS", "CARGO_BUILD_JOBS"} & set(target(made)["args"])


def test_no_value_of_it_is_in_the_definition():
    made = make_job(**NONE_CPU, args={"BUILD_JOBS": "3917"})
    assert "3917" not in json.dumps(target(made))


@pytest.mark.parametrize("text", [*HCL, "$HOME", "a=b,c", "ä ö", " "])
def test_it_reaches_the_step_as_it_is(text):
    assert unkeyed(with_values(make_job(**NONE_CPU), {"BUILD_JOBS": text}))["BUILD_JOBS"] == text


def test_without_a_value_there_is_no_secret():
    """BuildKit sets the variable to nothing then."""
    assert "BUILD_JOBS" not in unkeyed(make_job(**NONE_CPU))


def test_images_of_one_bake_have_values_of_their_own():
    jobs = [make_job(**NONE_CPU, args={"BUILD_JOBS": jobs}) for jobs in ("2", "3", "3")]
    held = [
        {one["env"] for one in target(job)["secret"] if one["id"] == "BUILD_JOBS"} for job in jobs
    ]
    assert held[0] != held[1] == held[2]
    assert len({*bake.handed(jobs[0].plan), *bake.handed(jobs[1].plan)}) == 3


def test_what_goes_by_a_variable_is_beside_the_secrets():
    machine = Machine(uid=1, gid=1, ca_bundle="/etc/ca.pem")
    found = target(make_job(**NONE_CPU, machine=machine))["secret"]
    assert [one["id"] for one in found] == ["ca_bundle", "ca_bundle_path", "CARGO_BUILD_JOBS"]


def test_the_command():
    made = make_job(**NONE_RUNTIME).plan
    assert bake.argv(made, bake_file="/r/bake.json", metadata_file="/r/metadata.json") == (
        *("docker", "buildx", "bake", "--progress", "rawjson", "--file", "/r/bake.json"),
        *("--metadata-file", "/r/metadata.json", "none-runtime-cuda12_8"),
    )


def test_variables_of_buildx_change_nothing_of_the_plan():
    env = {"SOURCE_DATE_EPOCH": "1", "BUILDX_GIT_LABELS": "full", "PATH": "/bin", "HOME": "/root"}
    assert bake.caller(env) == {"PATH": "/bin", "HOME": "/root"}


def test_keys_of_a_cache_are_read_by_bake_from_variables():
    spec = "type=azblob,name=${X},account_url=https://x,secret_access_key=${AZURE_KEY}"
    job = make_job(**NONE_RUNTIME, cache_to=[spec])
    (image,) = job.images
    written = bake.definition(job, {image.name: "/r/Dockerfile"})
    assert written["variable"] == {"AZURE_KEY": {"default": ""}}
    assert written["target"][image.id.bake_target]["cache-to"] == [
        "type=azblob,name=$${X},account_url=https://x,secret_access_key=${AZURE_KEY}"
    ]


@pytest.mark.parametrize(
    ("address", "ssh"),
    [
        ("git@git.example.com:ai/ucx.git", True),
        ("deploy@git.example.com:ai/ucx.git", True),
        ("ssh://git@git.example.com:22/ai/ucx.git", True),
        ("https://git.example.com/ai/ucx.git", False),
    ],
)
def test_git_by_ssh_gets_the_agent_and_is_allowed_to(overlay, address, ssh):
    source = f'[sources.ucx]\nkind = "git"\nrepo = "{address}"\nref = "NIXL_UCX_REF"\n'
    job = make_job(overlay(source), **NONE_RUNTIME)
    (image,) = job.images
    target = bake.definition(job, {image.name: "/r/Dockerfile"})["target"]
    assert target[image.id.bake_target].get("ssh") == (["default"] if ssh else None)
    assert ("--allow=ssh" in bake.targets(job.plan)) == ssh


def test_a_repository_that_a_context_replaces_needs_no_agent(overlay, tmp_path):
    text = '[sources.ucx]\nkind = "git"\nrepo = "git@h:x.git"\nref = "NIXL_UCX_REF"\n'
    text += f'[contexts]\nucx_src = "{tmp_path}"\n'
    (image,) = make_job(overlay(text), **NONE_RUNTIME).images
    assert not image.plan.ssh


def test_steps_on_the_host_s_network():
    made = make_job(**NONE_CPU)
    files = {image.name: "/x" for image in made.images}
    (host,) = bake.definition(made, files, network="host")["target"].values()
    (own,) = bake.definition(made, files)["target"].values()
    assert host == {**own, "network": "host"}
    assert "network" not in own
    allowed = [bake.targets(made.plan, network=name)[0] for name in ("host", "bridge")]
    assert allowed == ["--allow=network.host", "none-runtime-cpu"]
    words = bake.argv(made.plan, bake_file="b", metadata_file="m", network="host")
    assert words[-2:] == ("--allow=network.host", "none-runtime-cpu")


@pytest.mark.parametrize(
    ("asked", "engine", "network"),
    [("", "bridge", "bridge"), ("", "host", "host"), ("host", "bridge", "host")],
)
def test_the_network_is_the_one_that_is_asked_for_or_what_there_is(asked, engine, network):
    plan = replace(make_job(**NONE_CPU).plan, network=asked)
    assert bake.network_of(plan, engine) == network
