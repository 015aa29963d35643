import json
import secrets

import pytest

from dynbuild.sccache import cache as compile_cache
from tests.s3_server import BUCKET, REGION
from tests.support import call

pytestmark = pytest.mark.network

HASH = "0f0503a8a5111d50490508824ebf07535dd1440a9d5efe06280001d5d6fb09d0"


@pytest.fixture
def place(s3):
    """The flags for a prefix of this test's own, and that prefix."""
    prefix = f"t{secrets.token_hex(6)}"
    flags = ("--bucket", BUCKET, "--region", REGION, "--endpoint", s3.endpoint, "--no-ssl")
    return (*flags, "--prefix", prefix), prefix


@pytest.fixture
def run(s3, tmp_path):
    """Run the command in an empty folder, as one of the server's identities."""

    def run(*words, who="full", **env):
        done = call("sccache", *words, env=s3.env(who) | env, cwd=tmp_path)
        for secret in s3.keys[who]:
            assert secret not in done.out + done.err
        return done

    return run


@pytest.fixture
def filled(s3, place):
    """Two entries of sccache and its own check, in the place of the test."""
    _, prefix = place
    for name in (f"amd64/0/f/0/{HASH}", f"arm64/0/f/0/{HASH}", "amd64/.sccache_check"):
        s3.client().put_object(Bucket=BUCKET, Key=f"{prefix}/{name}", Body=b"x" * 1500)


def test_check_of_a_good_cache(run, place, s3):
    flags, prefix = place
    done = run("check", *flags)
    assert (done.code, done.err) == (0, "")
    assert done.out == (
        f"bucket {BUCKET} at http://{s3.endpoint}, below {prefix}/ can be listed, written, read"
        " and deleted from\n"
    )


def test_check_of_a_key_that_may_only_read(run, place):
    flags, _ = place
    done = run("check", *flags, who="reader")
    assert (done.code, done.out) == (3, "")
    assert "error: the key from variables may read bucket cache but not write" in done.err
    assert "s3:PutObject" in done.hint
    assert run("check", *flags, "--read-only", who="reader").code == 0


def test_check_without_credentials(run, place):
    done = run("check", *place[0], AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="")
    assert done.code == 3
    assert "there are no AWS credentials" in done.err


def test_check_tells_all_that_is_wrong(run, place):
    env = {"AWS_CREDENTIAL_EXPIRATION": "2999-01-01T00:00:00Z"}
    assert run("check", *place[0], "--for", "4w", **env).code == 0
    env = {"AWS_CREDENTIAL_EXPIRATION": "2000-01-01T00:00:00Z"}
    done = run("check", *place[0], **env)
    assert done.code == 3
    assert "have expired" in done.err


def test_check_for_programs(run, place):
    flags, prefix = place
    done = run("check", *flags, "--format", "json", who="nobody")
    assert done.code == 3
    found = json.loads(done.out)
    assert (found["schema"], found["usable"]) == (1, False)
    assert found["cache"]["prefix"] == prefix
    assert [one["name"] for one in found["findings"]] == ["denied"]
    done = run("check", *flags, "--format", "json")
    assert (done.code, json.loads(done.out)["usable"]) == (0, True)


@pytest.mark.usefixtures("filled")
def test_stats(run, place):
    flags, _ = place
    done = run("stats", *flags)
    assert done.code == 0, done.err
    header, _, *rows = done.out.splitlines()
    assert header.split()[:3] == ["prefix", "objects", "size"]
    assert [row.split()[:4] for row in rows[:2]] == [
        ["amd64", "1", "1.5", "kB"],
        ["arm64", "1", "1.5", "kB"],
    ]
    assert rows[2].startswith("(others)")
    assert all(len(line) <= 80 for line in done.out.splitlines())


def test_stats_of_an_empty_cache(run, place):
    done = run("stats", *place[0])
    assert (done.code, done.out) == (0, "")
    assert "nothing is in it" in done.err


@pytest.mark.usefixtures("filled")
def test_stats_for_programs(run, place):
    done = run("stats", *place[0], "--format", "json", who="reader")
    found = json.loads(done.out)["figures"]
    assert [(one["prefix"], one["ours"], one["objects"], one["bytes"]) for one in found] == [
        ("amd64", True, 1, 1500),
        ("arm64", True, 1, 1500),
        ("", False, 1, 1500),
    ]
    assert found[0]["ages"]["1 day"] == {"objects": 1, "bytes": 1500}
    assert found[0]["newest"].startswith("20")


@pytest.mark.usefixtures("filled")
def test_prune(run, place, s3):
    flags, prefix = place
    done = run("prune", *flags, "--older-than", "30d", "--max-size", "2k", "--dry-run")
    assert done.code == 0, done.err
    assert done.out == (
        "1 object would be deleted, 1.5 kB\n1 object kept, 1.5 kB; 1 object not of sccache\n"
    )
    done = run("prune", *flags, "--max-size", "0", "--format", "json")
    found = json.loads(done.out)
    assert (found["deleted"], found["freed"], found["kept"], found["dry_run"]) == (
        2,
        3000,
        0,
        False,
    )
    left = s3.client().list_objects_v2(Bucket=BUCKET, Prefix=f"{prefix}/")["Contents"]
    assert [one["Key"] for one in left] == [f"{prefix}/amd64/.sccache_check"]


def test_prune_needs_a_bound_and_a_prefix(run, place):
    flags, _ = place
    done = run("prune", *flags)
    assert (done.code, "--older-than" in done.hint) == (2, True)
    done = run("prune", *flags[:-2], "--older-than", "30d")
    assert (done.code, "--all-prefixes" in done.hint) == (2, True)
    done = run("prune", *flags[:-2], "--older-than", "999999w", "--all-prefixes")
    assert (done.code, done.out.splitlines()[0]) == (0, "0 objects deleted, 0 B")


def test_prune_with_a_key_that_may_only_read_when_nothing_is_to_go(run, place):
    done = run("prune", *place[0], "--older-than", "30d", who="reader")
    assert (done.code, done.out.splitlines()[0]) == (0, "0 objects deleted, 0 B")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("prune", "--older-than", "30"), "'30' is no time"),
        (("prune", "--older-than", "-1d"), "'-1d' is no time"),
        (("prune", "--max-size", "much"), "'much' is no size"),
        (("prune", "--max-size", "5i"), "'5i' is no size"),
        (("check", "--for", "long"), "'long' is no time"),
        (("check", "--bucket", "s3://cache"), "no name of a bucket"),
        (("stats", "--prefix", "a//b"), "no prefix"),
        (("stats", "--endpoint", "http://x/y"), "no endpoint"),
        (("stats", "--bucket", ""), "no bucket"),
        (("stats", "--region", ""), "no region"),
    ],
)
def test_a_malformed_word_is_refused(words, said):
    command, *rest = words
    env = {"SCCACHE_BUCKET": "cache", "SCCACHE_REGION": "us-east-1"}
    done = call("sccache", command, *rest, env=env, cwd="/")
    assert done.code == 2
    assert said in done.err
    assert done.hint


@pytest.mark.parametrize(
    ("text", "count"),
    [("10", 10), ("2k", 2000), ("1.5M", 1_500_000), ("200G", 200 * 10**9), ("1 GiB", 2**30)],
)
def test_sizes(text, count, run, place, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "dynbuild.sccache.s3.bucket.to_delete",
        lambda *_, max_size, **__: asked.append(max_size) or (),
    )
    assert run("prune", *place[0], "--max-size", text).code == 0
    assert asked == [count]


def seen(monkeypatch, *words, env=None, cwd="/"):
    """The cache that a command looked at."""
    caches = []
    monkeypatch.setattr(
        "dynbuild.sccache.s3.preflight.check", lambda cache, *_, **__: caches.append(cache) or ()
    )
    done = call("sccache", "check", *words, env=env or {}, cwd=cwd)
    assert done.code == 0, done.err
    return caches[0]


def test_where_the_cache_is_comes_from_the_settings(
    monkeypatch, overlay, tmp_path, tmp_path_factory
):
    home = {"DYNBUILD_HOME": str(tmp_path_factory.mktemp("home"))}
    overlay('[args]\nSCCACHE_BUCKET = "own"\nSCCACHE_REGION = "r1"\n')
    assert seen(monkeypatch, "--trust", cwd=tmp_path, env=home).bucket == "own"
    assert seen(monkeypatch, "--context", tmp_path, env=home).bucket == "own"
    more = overlay('[args]\nSCCACHE_BUCKET = "more"\n', "more.toml")
    found = seen(monkeypatch, "--context", tmp_path, "--config", more, env=home)
    assert (found.bucket, found.region) == ("more", "r1")
    env = home | {"DYNBUILD_ARG_SCCACHE_BUCKET": "of-env", "SCCACHE_BUCKET": "sccache-own"}
    assert seen(monkeypatch, cwd=tmp_path, env=env).bucket == "of-env"
    assert seen(monkeypatch, "--bucket", "flag", cwd=tmp_path, env=env).bucket == "flag"


def test_where_the_cache_is_comes_from_the_variables_of_sccache(monkeypatch):
    env = {
        "SCCACHE_BUCKET": "cache",
        "SCCACHE_REGION": "eu-central-1",
        "SCCACHE_ENDPOINT": "s3.example.com:9000",
        "SCCACHE_S3_KEY_PREFIX": "team/",
        "SCCACHE_S3_USE_SSL": "off",
    }
    assert seen(monkeypatch, env=env) == compile_cache.s3_cache(
        bucket="cache",
        region="eu-central-1",
        endpoint="http://s3.example.com:9000",
        prefix="team",
    )
