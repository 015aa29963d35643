import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynbuild.errors import RequestError
from dynbuild.sccache import cache as compile_cache

AWS = {"bucket": "cache", "region": "eu-central-1"}


@pytest.mark.parametrize(
    ("version", "obeys"),
    [("v0.8.2", False), ("0.15.0", False), ("v0.16.0", True), ("1.0.0", True), ("", False)],
)
def test_which_versions_obey_that_a_cache_is_only_read(version, obeys):
    assert compile_cache.obeys_read_only(version) is obeys


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"bucket": ""}, "no bucket"),
        ({"bucket": "s3://cache"}, "no name of a bucket"),
        ({"bucket": "cache/team"}, "no name of a bucket"),
        ({"region": ""}, "no region"),
        ({"region": "eu central"}, "no name of a region"),
        ({"endpoint": "ftp://x"}, "no endpoint"),
        ({"endpoint": "http://x/path"}, "no endpoint"),
        ({"endpoint": "x:port"}, "no endpoint"),
        ({"endpoint": "http://"}, "no endpoint"),
        ({"prefix": "a//b"}, "no prefix"),
        ({"prefix": "a/../b"}, "no prefix"),
        ({"prefix": "a b"}, "no prefix"),
    ],
)
def test_a_malformed_part_is_refused(more, said):
    with pytest.raises(RequestError, match=said) as caught:
        compile_cache.s3_cache(**{**AWS, **more})
    assert caught.value.hint


def test_a_password_in_the_endpoint_is_refused_and_not_shown():
    with pytest.raises(RequestError) as caught:
        compile_cache.s3_cache(**AWS, endpoint="https://ada:horse@s3.example.com")
    assert "horse" not in f"{caught.value} {caught.value.hint}"


def _resolve(flags=None, args=None, env=None, **more):
    return compile_cache.resolve(flags=flags or {}, args=args or {}, env=env or {}, **more)


def test_flags_come_before_settings_and_those_before_variables():
    env = {"SCCACHE_BUCKET": "from-env", "SCCACHE_REGION": "r", "SCCACHE_S3_KEY_PREFIX": "p"}
    assert _resolve(env=env).bucket == "from-env"
    args = {"SCCACHE_BUCKET": "from-args", "SCCACHE_REGION": ""}
    found = _resolve(args=args, env=env)
    assert (found.bucket, found.region, found.prefix) == ("from-args", "r", "p")
    found = _resolve({"bucket": "from-flag", "prefix": ""}, args, env)
    assert (found.bucket, found.prefix) == ("from-flag", "")


def test_the_region_of_the_machine_is_the_last_resort():
    env = {"SCCACHE_BUCKET": "cache", "AWS_DEFAULT_REGION": "d"}
    assert _resolve(env=env).region == "d"
    assert _resolve(env=env | {"AWS_REGION": "a"}).region == "a"
    assert _resolve(env=env | {"AWS_REGION": "a", "SCCACHE_REGION": "s"}).region == "s"
    with pytest.raises(RequestError, match="no region"):
        _resolve({"region": ""}, env=env)


@pytest.mark.parametrize(
    ("word", "use_ssl"), [("", True), ("on", True), ("1", True), ("OFF", False), ("false", False)]
)
def test_the_words_of_sccache_for_tls(word, use_ssl):
    env = {
        "SCCACHE_BUCKET": "cache",
        "SCCACHE_REGION": "r",
        "SCCACHE_ENDPOINT": "s3.example.com",
        "SCCACHE_S3_USE_SSL": word,
    }
    assert _resolve(env=env).use_ssl is use_ssl
    assert _resolve(env=env, use_ssl=False).use_ssl is False
    # The variable was set for another server than the one on the command line.
    assert _resolve({"endpoint": "other"}, env=env).use_ssl is True


def test_a_word_for_tls_that_sccache_refuses_is_refused():
    env = {"SCCACHE_BUCKET": "cache", "SCCACHE_REGION": "r", "SCCACHE_S3_USE_SSL": "no"}
    with pytest.raises(RequestError, match="neither true nor false"):
        _resolve(env=env)


# --- keys, as sccache 0.8.2 and 0.14.0 left them in a bucket

_HASH = "0f0503a8a5111d50490508824ebf07535dd1440a9d5efe06280001d5d6fb09d0"


@pytest.mark.parametrize(
    ("key", "prefix"),
    [
        (f"amd64/0/f/0/{_HASH}", "amd64"),
        (f"x/amd64/0/f/0/{_HASH}", "x/amd64"),
        (f"0/f/0/{_HASH}", ""),
        ("amd64/.sccache_check", None),
        (f"amd64/0/f/1/{_HASH}", None),
        (f"amd64/{_HASH}", None),
        (f"amd64/0/f/0/{_HASH}.txt", None),
        (f"amd64/0/f/0/{_HASH}/", None),
        ("amd64/0/f/0/0f0", None),
        (f"/0/f/0/{_HASH}", None),
        ("", None),
    ],
)
def test_the_keys_of_sccache(key, prefix):
    assert compile_cache.entry_prefix(key) == prefix


@given(st.text(alphabet="0af/.x", max_size=30), st.text(alphabet="0123456789abcdef", min_size=64))
def test_the_prefix_of_any_key_is_found_again(prefix, digest):
    key = f"{prefix}/{digest[0]}/{digest[1]}/{digest[2]}/{digest}"
    assert compile_cache.entry_prefix(key) == (prefix or None)


@pytest.mark.parametrize(
    ("endpoint", "use_ssl", "address"),
    [
        ("", None, ""),
        ("", False, ""),
        ("minio:9000", None, "https://minio:9000"),
        ("https://minio:9000", None, "https://minio:9000"),
        ("http://minio:9000", None, "http://minio:9000"),
        ("minio:9000", False, "http://minio:9000"),
        ("http://minio:9000", True, "https://minio:9000"),
        ("https://minio:9000", False, "http://minio:9000"),
    ],
)
def test_an_endpoint_is_asked_by_tls_unless_it_is_said_otherwise(endpoint, use_ssl, address):
    made = compile_cache.s3_cache(
        bucket="objects", region="eu-1", endpoint=endpoint, use_ssl=use_ssl
    )
    assert made.address == address
