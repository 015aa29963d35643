import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynbuild import names
from dynbuild.errors import RequestError
from dynbuild.image_id import ImageId
from dynbuild.plan import build_cache
from dynbuild.plan.build_cache import Subject
from tests.support import NONE_CPU, make_image, make_plan, refusal

REGISTRY = "reg.example.com/ai/dynamo"
PLACE = Subject(image="vllm-runtime-cuda12.9", branch="feature/x", repository=REGISTRY)
BRANCH = "feature-x--217d2bf51f16"


def expand(kind, subject=PLACE):
    return build_cache.expand(kind, subject, origin="flag --cache")


def entry(text):
    return dict(part.split("=", 1) for part in text.split(","))


@pytest.mark.processes("git")
def test_a_registry_cache_reads_its_own_branch_and_then_main():
    read, (written,) = expand("registry")
    assert [entry(text) for text in read] == [
        {"type": "registry", "ref": f"{REGISTRY}:cache-{BRANCH}-vllm-runtime-cuda12.9"},
        {"type": "registry", "ref": f"{REGISTRY}:cache-main-vllm-runtime-cuda12.9"},
    ]
    assert entry(written) == {
        "type": "registry",
        "ref": f"{REGISTRY}:cache-{BRANCH}-vllm-runtime-cuda12.9",
        "image-manifest": "true",
        "oci-mediatypes": "true",
        "mode": "max",
        "compression": "zstd",
        "ignore-error": "true",
    }


def test_a_registry_cache_reads_commit_branch_merge_base_and_main():
    subject = dataclasses.replace(PLACE, commit="c" * 40, base="b" * 40)
    read, written = expand("registry", subject)
    image = "vllm-runtime-cuda12.9"
    assert [entry(text)["ref"].rpartition(":cache-")[2] for text in read] == [
        f"commit--{'c' * 40}-{image}", f"{BRANCH}-{image}",
        f"commit--{'b' * 40}-{image}", f"main-{image}",
    ]  # fmt: skip
    assert [entry(text)["ref"] for text in written] == [
        entry(read[1])["ref"], entry(read[0])["ref"],
    ]  # fmt: skip


BRANCHES = st.text(alphabet="ab/-.+_A0 ", min_size=1, max_size=60)
IMAGES = st.sampled_from(
    ["none-runtime-cpu", "none-runtime-cpu+next", "none-runtime-cpu+next-index",
     "none-runtime-cpu+next+index", "none-runtime-aws-cpu", "vllm-runtime-cuda12.9"]
)  # fmt: skip


@given(BRANCHES, IMAGES, BRANCHES, IMAGES)
def test_no_two_branches_and_no_two_images_write_one_cache(one, image, other, theirs):
    for kind in ("registry", "local=/c", "gha"):
        first, second = (
            expand(kind, Subject(image=of, branch=name, repository=REGISTRY))[1]
            for name, of in ((one, image), (other, theirs))
        )
        same = build_cache.place(first[0]) == build_cache.place(second[0])
        assert same == ((one, image) == (other, theirs))


def test_branches_that_look_alike_have_caches_of_their_own():
    names = ["a/b", "a-b", "a--b", "a/-b", "-a-b", "a-b-", "A-b"]
    refs = {expand("registry", dataclasses.replace(PLACE, branch=name))[1] for name in names}
    assert len(refs) == len(names)


def test_a_registry_cache_may_have_a_repository_of_its_own():
    read, (written,) = expand("registry=reg.example.com/cache")
    assert entry(written)["ref"].startswith(f"reg.example.com/cache:cache-{BRANCH}-")
    assert all(entry(text)["ref"].startswith("reg.example.com/cache:") for text in read)


@pytest.mark.parametrize("branch", ["main", ""])
def test_main_and_an_unknown_branch_have_one_cache(branch):
    subject = Subject(image=ImageId("none", "dev", "cpu"), branch=branch, repository=REGISTRY)
    read, (written,) = expand("registry", subject)
    assert len(read) == 1
    assert entry(read[0])["ref"] == entry(written)["ref"] == f"{REGISTRY}:cache-main-none-dev-cpu"


def test_a_folder():
    read, (written,) = expand("local=/var/cache/build")
    assert entry(read[0]) == {
        "type": "local",
        "src": f"/var/cache/build/{BRANCH}-vllm-runtime-cuda12.9",
    }
    assert entry(read[1])["src"] == "/var/cache/build/main-vllm-runtime-cuda12.9"
    assert entry(written)["dest"] == f"/var/cache/build/{BRANCH}-vllm-runtime-cuda12.9"
    assert entry(written)["mode"] == "max"
    assert entry(written)["ignore-error"] == "true"


def test_the_cache_of_github_actions():
    read, (written,) = expand("gha")
    assert [entry(text)["scope"] for text in read] == [
        f"{BRANCH}-vllm-runtime-cuda12.9",
        "main-vllm-runtime-cuda12.9",
    ]
    assert entry(written) == {
        "type": "gha",
        "scope": f"{BRANCH}-vllm-runtime-cuda12.9",
        "mode": "max",
        "ignore-error": "true",
    }


def test_s3():
    subject = Subject(
        image=ImageId("none", "dev", "cpu"),
        branch="main",
        repository="dynamo",
        bucket="builds",
        region="eu-central-1",
        endpoint="http://127.0.0.1:8333",
    )
    _, (written,) = expand("s3", subject)
    assert entry(written) == {
        "type": "s3",
        "bucket": "builds",
        "region": "eu-central-1",
        "prefix": "buildkit/",
        "endpoint_url": "http://127.0.0.1:8333",
        "use_path_style": "true",
        "name": "main-none-dev-cpu",
        "mode": "max",
        "ignore-error": "true",
    }


@pytest.mark.parametrize(
    ("kind", "message", "hint"),
    [
        ("redis", "'redis' is no build cache", "registry"),
        ("local", "'local' is no build cache", "local=DIR"),
        ("local=", "'local=' is no build cache", "local=DIR"),
        ("gha=x", "'gha=x' is no build cache", "gha"),
        ("registry=", "'registry=' is no build cache", "registry=REF"),
        ("s3", "needs a bucket", "--sccache-bucket"),
        ("registry=dynamo", "names no registry", "--repository"),
    ],
)
def test_what_is_no_cache(kind, message, hint):
    with pytest.raises(RequestError) as caught:
        expand(kind)
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert caught.value.origin == "flag --cache"


@given(st.text(max_size=300))
def test_any_branch_gives_a_reference_and_a_folder(branch):
    subject = Subject(image="vllm-runtime-cuda12.9", branch=branch, repository=REGISTRY)
    read, written = expand("registry", subject)
    for text in (*read, *written):
        names.check_reference(entry(text)["ref"])
    for text in expand("local=/c", subject)[0]:
        assert "/" not in entry(text)["src"].removeprefix("/c/")
        assert entry(text)["src"].removeprefix("/c/") not in ("", ".", "..")


# ---- in a plan ---------------------------------------------------------------------------


def test_a_plan_adds_it_to_what_is_given_by_hand():
    image = make_image(
        framework="none",
        target="runtime",
        repository=REGISTRY,
        cache="registry",
        cache_from=["type=local,src=/x"],
    )
    assert image.cache_from[0] == "type=local,src=/x"
    assert entry(image.cache_from[-1])["ref"] == f"{REGISTRY}:cache-main-none-runtime-cuda12.8"
    assert entry(image.cache_to[0])["mode"] == "max"


def test_a_plan_refuses_a_cache_that_does_not_exist():
    error = refusal(framework="none", target="runtime", cache="redis")
    assert error.message == "'redis' is no build cache"
    assert error.origin == "flag --cache"


@pytest.mark.parametrize(
    "entry",
    [
        "type=registry,ref=r.example/c:x",
        "r.example/c:x",
        "type=local,dest=/c",
        "type=gha",
        "type=s3,name=x",
    ],
)
def test_two_images_write_no_cache_in_common(entry):
    asked = {"framework": "none", "target": "wheel_builder,runtime", "device": "cpu"}
    error = refusal(**asked, cache_to=[entry])
    assert f"would both write the build cache {entry}" in error.message
    assert "none-wheel_builder-cpu" in error.message


def test_a_cache_inside_of_the_image_is_each_ones_own():
    asked = {"framework": "none", "target": "wheel_builder,runtime", "device": "cpu"}
    assert len(make_plan(**asked, cache_to=["type=inline"]).images) == 2
    assert len(make_plan(**asked, cache="gha").images) == 2


@pytest.mark.parametrize(
    ("key", "entry"),
    [
        ("cache_to", "type=local,dest=~/x"),
        ("cache_from", "type=local,src=~ada/x"),
        ("cache", "local=~/x"),
    ],
)
def test_a_home_that_no_shell_replaced_is_refused(key, entry):
    given = entry if key == "cache" else [entry]
    error = refusal(**NONE_CPU, **{key: given})
    assert error.message == f"no shell has replaced the ~ of '{entry}'"
    assert error.hint == "write the folder in full, or $HOME in its place"


@pytest.mark.parametrize(
    ("key", "entry", "problem"),
    [
        ("cache_to", "type=nope", "has no type that there is: registry, local, gha, s3, azblob"),
        ("cache_from", "type=gha2", "has no type that there is"),
        ("cache_from", "ref=r.example.com/c", "has no type=NAME"),
        ("cache_to", "type=local", "has no dest="),
        ("cache_to", "type=local,src=/x", "has no dest="),
        ("cache_from", "type=local,dest=/x", "has no src="),
        ("cache_from", "type=registry", "has no ref="),
        ("cache_to", "type=registry,ref=", "has no ref="),
        ("cache_to", "type=registry,ref=r.example.com/c,max", "is no list of NAME=VALUE"),
        ("cache_to", 'type=local,dest="/x', "is no list of NAME=VALUE"),
    ],
)
def test_a_specification_that_buildkit_refuses_is_refused(key, entry, problem):
    error = refusal(**NONE_CPU, **{key: [entry]})
    assert problem in error.message
    example = error.hint.split()[-1]
    build_cache.check(example, key, origin="")
    assert ("type=local" in example) == entry.startswith("type=local")


@pytest.mark.parametrize(
    ("key", "entry"),
    [
        ("cache_to", 'type=local,"dest=/a folder, with more"'),
        ("cache_to", "TYPE=gha"),
        ("cache_from", "type=s3,name=x"),
        ("cache_from", "registry.example.com/cache:main"),
        ("cache_from", "a/b,c/d"),
    ],
)
def test_a_specification_that_buildkit_takes_is_taken(key, entry):
    (image,) = make_plan(**NONE_CPU, **{key: [entry]}).images
    assert getattr(image, key) == (entry,)


def test_a_reference_in_the_place_of_a_specification_is_one():
    assert "'Foo'" in refusal(**NONE_CPU, cache_from=["Foo"]).message


@pytest.mark.parametrize(
    ("entry", "other", "same"),
    [
        ("type=gha,scope=a,mode=max", "type=gha,scope=a", True),
        ("type=gha,scope=a", "type=gha,scope=b", False),
        ("type=s3,bucket=b,name=x,mode=max", "type=s3,bucket=b,name=x", True),
        ("type=s3,bucket=b,prefix=p,name=x", "type=s3,bucket=b,name=x", False),
        ("type=registry,ref=r/x:c,mode=min", "type=registry,ref=r/x:c", True),
        ("type=local,dest=/c,mode=max", "type=local,dest=/c", True),
        ("type=gha,mode=max", "type=gha,mode=max", True),
        ("type=gha,mode=max", "type=s3,mode=max", False),
        ("r.example.com/x:a", "r.example.com/x:b", False),
        ("r.example.com/x:a", "type=registry,ref=r.example.com/x:a", True),
    ],
)
def test_caches_are_told_apart_by_where_they_are(entry, other, same):
    assert (build_cache.place(entry) == build_cache.place(other)) is same


@pytest.mark.parametrize(
    ("endpoint", "tls", "address"),
    [
        ("s3.example.com:9000", "", "https://s3.example.com:9000"),
        ("s3.example.com:9000", "on", "https://s3.example.com:9000"),
        ("10.0.0.1:9000", "off", "http://10.0.0.1:9000"),
        ("10.0.0.1:9000", "false", "http://10.0.0.1:9000"),
        ("http://10.0.0.1:9000", "on", "http://10.0.0.1:9000"),
    ],
)
def test_a_cache_in_s3_is_at_the_endpoint_of_the_compile_cache(endpoint, tls, address):
    args = {"SCCACHE_BUCKET": "b", "SCCACHE_REGION": "r", "SCCACHE_ENDPOINT": endpoint}
    args |= {"SCCACHE_S3_USE_SSL": tls} if tls else {}
    (image,) = make_plan(framework="none", target="runtime", cache="s3", args=args).images
    assert all(f"endpoint_url={address}," in entry for entry in image.cache_to)
    assert image.cache_to
