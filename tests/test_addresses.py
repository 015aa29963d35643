import time

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dynbuild import addresses, masking
from tests import support  # noqa: F401 - the profile of the property tests

TOKEN = "ghp_0123456789abcdefABCDEF0123456789abcd"


@pytest.mark.parametrize(
    ("address", "kind", "public"),
    [
        ("https://bob:secret@host/x", "login", "https://host/x"),
        ("HTTPS://bob:secret@host", "login", "HTTPS://host"),
        ("https://bob:@host/x", "login", "https://host/x"),
        ("https://:secret@host/x", "login", "https://host/x"),
        ("https://bob:pa/ss?w#o@rd@host/x", "login", "https://host/x"),
        ("https://bob:p%40ss@host:8443/x", "login", "https://host:8443/x"),
        ("https://bob@host/x", "token", "https://host/x"),
        (f"https://{TOKEN}@host/x", "token", "https://host/x"),
        (f"ssh://{TOKEN}@host/x", "token", "ssh://host/x"),
        (f"{TOKEN}@host/x", "token", "host/x"),
        ("git+https://bob:secret@host/x.git@v1", "login", "git+https://host/x.git@v1"),
        ("git::https://bob:secret@host/x", "login", "git::https://host/x"),
        ("ssh://bob:secret@host/x", "login", "ssh://host/x"),
        ("docker-image://bob:secret@host/x:1", "login", "docker-image://host/x:1"),
        ("bob:secret@host/x", "login", "host/x"),
        ("bob:secret@host:5000/x:tag", "login", "host:5000/x:tag"),
        (
            "bob:secret@host/x@sha256:" + "0" * 64,
            "login",
            "host/x@sha256:" + "0" * 64,
        ),
        ("//bob:secret@host/x", "login", "//host/x"),
        ("https:bob:secret@host/x", "login", "https:host/x"),
        ("https:/bob:secret@host/x", "login", "https:/host/x"),
        ("https:\\\\bob:secret@host/x", "login", "https:\\\\host/x"),
        (" https://bob:secret@host/x", "login", " https://host/x"),
        ("socks5h://bob:secret@host:1080", "login", "socks5h://host:1080"),
        ("https://[::1]:80/x?token=abc&y=1", "parameter", "https://[::1]:80/x?token&y=1"),
        ("https://host/x?X-Amz-Signature=abc", "parameter", "https://host/x?X-Amz-Signature"),
        ("https://host/x?sv=1&sig=abc%3D", "parameter", "https://host/x?sv=1&sig"),
        ("https://host/x?%74oken=abc", "parameter", "https://host/x?%74oken"),
        ("https://host/x?private_token[]=abc", "parameter", "https://host/x?private_token[]"),
        ("https://host/x.git#main?token=abc", "parameter", "https://host/x.git#main?token"),
        ("git@host:x.git?token=abc", "parameter", "git@host:x.git?token"),
        ("bob:secret@github.com:org/x.git", "login", "github.com:org/x.git"),
        (f"{TOKEN}:x-oauth-basic@github.com:org/x.git", "login", "github.com:org/x.git"),
        ("git::ssh://git:secret@host/x", "login", "git::ssh://host/x"),
        ("https ://bob:secret@host/x", "login", "https ://host/x"),
        ("https://host/go?to=https://bob:secret@h2/", "login", "https://host/go?to=https://h2/"),
        (f"https://host/{TOKEN}/x.git", "token", "https://host//x.git"),
        (f"https://host/x?{TOKEN}", "token", "https://host/x?"),
        (f"docker.io/library/x:{TOKEN}", "token", "docker.io/library/x:"),
        ("https%3A%2F%2Fbob%3Asecret%40host/x", "login", ""),
        ("https://bob:secret\uff20host/x", "login", ""),
    ],
)
def test_secrets_are_found_and_left_out(address, kind, public):
    secret = addresses.secret_in(address)
    assert secret is not None
    assert secret.kind == kind
    assert addresses.public(address) == public


@pytest.mark.parametrize(
    "address",
    [
        "",
        "debian",
        "debian:trixie-slim",
        "localhost:5000/team/dynamo:v1",
        "[::1]:5000/dynamo:v1",
        "nvcr.io/nvidia/cuda@sha256:" + "0" * 64,
        "nvcr.io/nvidia/cuda:13.0@sha256:" + "0" * 64,
        "localhost:5000/x@sha256:" + "0" * 64,
        "docker-image://debian:trixie@sha256:" + "0" * 64,
        "https://github.com/ai-dynamo/nixl.git#v0.9.0:sub",
        "https://host:8080/path@v1/file",
        "https://host/@scope/package",
        "https://host/a:b@c",
        "git+https://host/x.git@v1.0",
        "git@github.com:ai-dynamo/nixl.git",
        "ssh://git@github.com/ai-dynamo/nixl.git",
        "git+ssh://git@github.com/ai-dynamo/nixl.git",
        "ssh://git@github.com:22/x",
        "oci-layout:///srv/layout:tag",
        "target:none-dev-cpu",
        "../ucx",
        "/home/ada@work/ucx",
        "/home/ada/a:b@c",
        "~/ucx",
        "file:///srv/x",
        "https://host/x?version=1&key_file=/etc/key",
        "sparse+https://crates.example.com/index/",
        "pkg:docker/dynbuild/debian@trixie?platform=linux%2Famd64",
        "${UCX_URL}/ucx-${NIXL_UCX_REF}.tar.gz",
        "ssh://deploy@host:2222/x",
        "svn+ssh://deploy@host/x",
        "sftp://deploy@host/x",
        "rsync://deploy@host/x",
        "git://deploy@host/x",
        "user@host:/srv/x.git",
        "https://host/hf_transfer-0.1.9-cp38-abi3-manylinux_2_17_x86_64.whl",
        "https://host/glibc-headers-static-2.31-1ubuntu0.20.04.tar.gz",
        "https://host/x.git#0123456789abcdef0123456789abcdef01234567",
        "https://host/a%20b/x%40v1",
        "https://host/x?max_tokens=5",
    ],
)
def test_addresses_without_a_secret(address):
    assert addresses.secret_in(address) is None
    assert addresses.public(address) == address


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ("type=s3,bucket=b,region=r,access_key_id=AKIA123,secret_access_key=x", "access_key_id"),
        ("type=s3,bucket=b,session_token=x", "session_token"),
        ("type=gha,token=x", "token"),
        ("type=azblob,name=x,secret_access_key=y", "secret_access_key"),
        ("type=registry,ref=bob:secret@host/cache", "ref"),
        ("bob:secret@host/cache", "ref"),
        ('type=s3,"secret_access_key=a,b"', "secret_access_key"),
        ("type=s3,endpoint_url=https://bob:secret@host", "endpoint_url"),
        ('type=s3,"secret_access_key"=x', "secret_access_key"),
        ("type=s3,'secret_access_key'=x", "secret_access_key"),
        ("type=s3, SECRET_ACCESS_KEY = x", "SECRET_ACCESS_KEY"),
        ("type=s3\nsecret_access_key=x", "secret_access_key"),
        ("type=s3;secret_access_key=x", "type"),
        ('type=s3,"name=a,secret_access_key=x"', "secret_access_key"),
        ('{"type":"s3","secret_access_key":"x"}', "secret_access_key"),
        (f"type=s3,name={TOKEN}", "name"),
        ("type=registry,ref=host:5000/cache:main,mode=max,compression=zstd", None),
        ("type=s3,bucket=b,region=r,prefix=buildkit/,name=main-vllm-runtime-cuda12.9", None),
        ("type=local,dest=/srv/cache,mode=max", None),
        ("type=gha,scope=main-none-runtime-cpu", None),
        ("host:5000/cache:main", None),
        ("", None),
    ],
)
def test_secrets_in_specifications_of_caches(spec, field):
    assert addresses.secret_field(spec) == field


HOSTS = st.from_regex(r"[a-z][a-z0-9-]{0,8}(\.[a-z]{2,5}){0,2}(:[0-9]{1,5})?", fullmatch=True)
PATHS = st.from_regex(r"(/[a-z0-9._-]{1,8}){0,3}", fullmatch=True)
PREFIXES = st.sampled_from(
    ["https://", "http://", "git+https://", "ssh://", "docker-image://", "//", "", "ftp://"]
)


@given(
    PREFIXES,
    st.from_regex(r"[a-z][a-z0-9._-]{0,8}", fullmatch=True),
    st.text(st.characters(codec="ascii", categories=("L", "N", "P", "S")), min_size=1, max_size=12),
    HOSTS,
    PATHS,
)
def test_any_password_is_found_whole(prefix, user, password, host, path):
    # Digits alone before a slash read as a port, and then the rest as a path.
    assume(not password[0].isdigit() and password[0] not in "/\\?#")
    address = f"{prefix}{user}:{password}@{host}{path}"
    secret = addresses.secret_in(address)
    assert secret is not None
    left = addresses.public(address)
    assert left.endswith(f"{host}{path}")
    assert f"{password}@" not in left


@given(PREFIXES, HOSTS, PATHS)
def test_an_address_without_a_login_stays_as_it_is(prefix, host, path):
    assert addresses.public(f"{prefix}{host}{path}") == f"{prefix}{host}{path}"


@given(st.text(max_size=60))
def test_any_text_is_taken_and_the_public_form_holds_no_secret(text):
    assert addresses.secret_in(addresses.public(text)) is None


@pytest.mark.parametrize("unit", ["a", "a1", "://", "a://", "://a:", "a:a@", "sk-", "?a=", "%25"])
@pytest.mark.parametrize("look", [addresses.secret_field, addresses.public, masking.scrub_message])
def test_a_long_text_is_looked_through_in_time(look, unit):
    """In seconds of the processor; what looks at each place to the end takes minutes."""
    begun = time.process_time()
    look(unit * (50_000 // len(unit)))
    assert time.process_time() - begun < 6
