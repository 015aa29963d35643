import contextlib
import dataclasses
import http.server
import os
import re
import secrets
import socket
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynbuild.errors import RequestError
from dynbuild.sccache import cache as compile_cache
from dynbuild.sccache import s3 as s3s
from dynbuild.sccache.cache import CompileCache
from dynbuild.sccache.s3 import Credentials, Entry, Unusable
from tests.s3_server import BUCKET, REGION

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch):
    """boto3 reads some variables from its process; none of this machine's is to count."""
    for name in list(os.environ):
        if name.upper().startswith("AWS_") or name.upper().endswith("_PROXY"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def cache(s3):
    """A cache below a prefix of this test's own."""
    return compile_cache.s3_cache(
        bucket=BUCKET,
        region=REGION,
        endpoint=f"http://{s3.endpoint}",
        prefix=f"t{secrets.token_hex(6)}",
    )


def ask(cache, env, *, seconds=3600, now=None):
    return s3s.preflight(cache, env, expected_seconds=seconds, now=now or datetime.now(UTC))


def only(findings, env=None):
    """The one finding, which shows nothing of the credentials."""
    (found,) = findings
    assert found.message
    assert found.remedy
    assert not re.search(r"\. |\.$|\{", found.message)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        if env and env.get(name):
            assert env[name] not in str(found)
    return found


# --- credentials


def test_the_text_of_credentials_shows_none_of_them():
    given = Credentials(access_key="AKIDHORSE", secret_key="battery", token="staple", expires=NOW)
    for text in (repr(given), str(given), f"{given}", repr([given])):
        assert not re.search("HORSE|battery|staple", text)
    assert given.variables() == {
        "AWS_ACCESS_KEY_ID": "AKIDHORSE",
        "AWS_SECRET_ACCESS_KEY": "battery",
        "AWS_SESSION_TOKEN": "staple",
    }
    assert "AWS_SESSION_TOKEN" not in dataclasses.replace(given, token="").variables()


def test_credentials_of_variables():
    env = {
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_SESSION_TOKEN": "c",
        "AWS_CREDENTIAL_EXPIRATION": "2026-11-22T12:00:00Z",
    }
    assert s3s.credentials(env) == Credentials(
        access_key="a", secret_key="b", token="c", expires=NOW
    )


@pytest.fixture
def aws(tmp_path, monkeypatch):
    """Writes the files of AWS and returns the environment that leads to them."""

    def write(**files):
        for name, text in files.items():
            path = tmp_path / ".aws" / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        return {"HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true"}

    monkeypatch.setenv("HOME", "/nonexistent")
    return write


def test_credentials_of_a_profile(aws):
    env = aws(
        credentials="[default]\naws_access_key_id = a\naws_secret_access_key = b\n"
        "[ada]\naws_access_key_id = c\naws_secret_access_key = d\naws_session_token = e\n"
    )
    assert s3s.credentials(env).access_key == "a"
    found = s3s.credentials(env | {"AWS_PROFILE": "ada"})
    assert (found.access_key, found.secret_key, found.token) == ("c", "d", "e")
    assert found.source == "shared-credentials-file"


def test_credentials_of_a_program_end(aws, tmp_path):
    (tmp_path / "answer").write_text(
        '{"Version": 1, "AccessKeyId": "a", "SecretAccessKey": "b", "SessionToken": "c",'
        ' "Expiration": "2099-01-01T00:00:00Z"}'
    )
    env = aws(config=f"[default]\ncredential_process = cat {tmp_path}/answer\n")
    found = s3s.credentials(env)
    assert (found.token, found.expires) == ("c", datetime(2099, 1, 1, tzinfo=UTC))


def refused(env):
    with pytest.raises(Unusable) as caught:
        s3s.credentials(env)
    assert caught.value.exit_code == 3
    return only([caught.value.finding], env)


def test_no_credentials(aws):
    found = refused(aws())
    assert found.name == "no-credentials"
    assert "AWS_ACCESS_KEY_ID" in found.remedy


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_half_of_the_credentials(name):
    found = refused({name: "horse"})
    assert found.name == "half-credentials"
    assert found.message.startswith(f"{name} is set")


@pytest.mark.parametrize("blank", ["\n", " ", "\u00a0", "\x1b"])
def test_credentials_with_what_was_copied_along(blank):
    found = refused({"AWS_ACCESS_KEY_ID": "horse", "AWS_SECRET_ACCESS_KEY": f"battery{blank}"})
    assert found.name == "malformed-credentials"


def test_a_profile_that_is_not_there(aws):
    found = refused(aws(config="[default]\nregion = x\n") | {"AWS_PROFILE": "horse"})
    assert found.name == "no-profile"


def test_a_program_that_fails_is_not_quoted(aws):
    env = aws(config="[default]\ncredential_process = sh -c 'echo horse >&2; exit 1'\n")
    found = refused(env)
    assert found.name == "no-credentials"
    assert "horse" not in str(found)


def test_a_program_that_hangs(aws, monkeypatch):
    monkeypatch.setattr(s3s, "_CALL_SECONDS", 0.3)
    found = refused(aws(config="[default]\ncredential_process = sleep 2\n"))
    assert found.name == "slow-credentials"


def test_a_login_by_sso_that_has_ended(aws):
    env = aws(
        config="[default]\nsso_session = x\nsso_account_id = 1\nsso_role_name = r\n"
        "[sso-session x]\nsso_region = us-east-1\nsso_start_url = https://x.example.com\n"
    )
    found = refused(env)
    assert (found.name, found.remedy) == ("sso-login", "aws sso login")


# --- the preflight, with a real server


def test_a_good_cache_has_no_findings_and_is_left_as_it_was(s3, cache):
    assert ask(cache, s3.env()) == ()
    assert list(s3s.listing(cache, s3.env())) == []


def test_a_good_cache_in_a_whole_bucket(s3, cache):
    assert ask(dataclasses.replace(cache, prefix=""), s3.env()) == ()


def test_a_local_cache_needs_nothing():
    assert ask(CompileCache(kind="local"), {}) == ()


def test_no_credentials_are_found_by_the_preflight(cache, aws):
    assert only(ask(cache, aws())).name == "no-credentials"


def test_a_wrong_key(s3, cache):
    env = s3.env() | {"AWS_ACCESS_KEY_ID": "AKIDHORSE"}
    found = only(ask(cache, env), env)
    assert found.name == "wrong-key"
    assert "does not know the access key" in found.message


def test_a_token_of_another_key(s3, cache):
    env = s3.env() | {"AWS_SESSION_TOKEN": "horse"}
    found = only(ask(cache, env), env)
    assert found.name == "wrong-key"
    assert "AWS_SESSION_TOKEN" in found.remedy


def test_a_wrong_secret(s3, cache):
    env = s3.env() | {"AWS_SECRET_ACCESS_KEY": "battery"}
    found = only(ask(cache, env), env)
    assert found.name == "wrong-secret"
    assert "another secret" in found.message


def test_a_missing_bucket(s3, cache):
    found = only(ask(dataclasses.replace(cache, bucket="no-such"), s3.env()))
    assert found.name == "no-bucket"
    assert found.message == f"there is no bucket no-such at {cache.address}"


def test_a_key_that_may_only_read(s3, cache):
    found = only(ask(cache, s3.env("reader")))
    assert found.name == "read-only-key"
    assert "read-only" in found.remedy
    assert ask(dataclasses.replace(cache, read_only=True), s3.env("reader")) == ()


def test_a_cache_that_is_only_read_is_not_written_to(s3, cache, monkeypatch):
    asked = []
    ask_really = s3s._Service.ask

    def noted(self, operation, **words):
        asked.append(operation)
        return ask_really(self, operation, **words)

    monkeypatch.setattr(s3s._Service, "ask", noted)
    assert ask(dataclasses.replace(cache, read_only=True), s3.env()) == ()
    assert asked == ["list_objects_v2", "get_object"]


def test_a_key_without_rights(s3, cache):
    env = s3.env("nobody")
    assert only(ask(cache, env), env).name == "denied"
    assert only(ask(dataclasses.replace(cache, read_only=True), env), env).name == "denied"


def test_a_key_that_may_not_list(s3, cache):
    found = only(ask(cache, s3.env("blind")))
    assert (found.name, found.remedy) == ("no-list", "give it s3:ListBucket")


def test_an_endpoint_that_is_down(s3, cache):
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        down = dataclasses.replace(cache, endpoint=f"127.0.0.1:{unheard.getsockname()[1]}")
        found = only(ask(down, s3.env()))
    assert found.name == "endpoint-down"
    assert found.message == f"nothing answers at {down.address}"


def test_an_endpoint_that_hangs(s3, cache):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hangs = dataclasses.replace(cache, endpoint=f"127.0.0.1:{silent.getsockname()[1]}")
        start = time.monotonic()
        found = only(ask(hangs, s3.env()))
        took = time.monotonic() - start
    assert (found.name, took < 10) == ("endpoint-hangs", True)
    assert found.message == f"{hangs.address} did not answer in time"


def test_an_endpoint_without_tls(s3, cache):
    found = only(ask(dataclasses.replace(cache, use_ssl=True), s3.env()))
    assert found.name == "endpoint-tls"
    assert "http://" in found.remedy


@pytest.mark.parametrize(
    ("left", "name", "said"),
    [
        (-60, "expired-credentials", "have expired"),
        (600, "short-credentials", "expire in 10 min, and the build may take 1 h"),
        (7200, "", ""),
    ],
)
def test_credentials_that_end(s3, cache, left, name, said):
    now = datetime.now(UTC)
    end = now + timedelta(seconds=left)
    env = s3.env() | {"AWS_CREDENTIAL_EXPIRATION": end.isoformat()}
    findings = ask(cache, env, now=now)
    if not name:
        assert findings == ()
        return
    found = only(findings, env)
    assert found.name == name
    assert said in found.message


@pytest.mark.parametrize(("minutes", "side"), [(60, "ahead of"), (-60, "behind")])
def test_a_clock_that_is_wrong(s3, cache, minutes, side):
    now = datetime.now(UTC) + timedelta(minutes=minutes)
    found = only(ask(cache, s3.env(), now=now))
    assert found.name == "clock-skew"
    assert f"1 h {side} the one of {cache.address}" in found.message


def test_a_clock_that_is_a_little_wrong_is_fine(s3, cache):
    assert ask(cache, s3.env(), now=datetime.now(UTC) + timedelta(minutes=2)) == ()


def test_more_than_one_thing_is_told_at_once(s3, cache):
    now = datetime.now(UTC)
    env = s3.env("reader") | {"AWS_CREDENTIAL_EXPIRATION": (now + DAY).isoformat()}
    found = ask(cache, env, seconds=90000 * 1.5, now=now - timedelta(hours=1))
    assert [one.name for one in found] == ["short-credentials", "clock-skew", "read-only-key"]


def test_reachable_asks_once_and_writes_nothing(s3, cache):
    assert s3s.reachable(cache, s3.env()) is None
    assert s3s.reachable(cache, s3.env("reader")) is None
    assert s3s.reachable(cache, s3.env("nobody")).name == "denied"


# --- what the real server does not say: stand-ins that speak the answers of AWS


@pytest.fixture
def stand_in():
    """Starts an HTTP server that answers with what a function makes of each request."""
    servers = []

    def start(answer):
        def handle(request):
            request.rfile.read(int(request.headers.get("content-length", 0)))
            status, headers, body = answer(request)
            request.send_response(status)
            for name, value in headers.items():
                request.send_header(name, value)
            request.send_header("content-length", str(len(body)))
            request.end_headers()
            if request.command != "HEAD":
                request.wfile.write(body)

        verbs = {f"do_{verb}": handle for verb in ("GET", "HEAD", "PUT", "POST", "DELETE")}
        quiet = {"log_message": lambda *_: None}
        handler = type("Handler", (http.server.BaseHTTPRequestHandler,), verbs | quiet)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


KEYS = {"AWS_ACCESS_KEY_ID": "AKIDHORSE", "AWS_SECRET_ACCESS_KEY": "battery"}


def refusal(code, more=""):
    text = f"<Error><Code>{code}</Code><Message>AKIDHORSE battery</Message>{more}</Error>"
    return text.encode()


def at(endpoint, region=REGION):
    return compile_cache.s3_cache(bucket=BUCKET, region=region, endpoint=f"http://{endpoint}")


@pytest.mark.parametrize("status", [301, 400], ids=["redirect", "malformed"])
def test_a_wrong_region_with_a_stand_in_for_aws(stand_in, status):
    def answer(request):
        there = {"x-amz-bucket-region": "eu-west-1"}
        if "/eu-west-1/s3/" in request.headers["authorization"]:
            return 200, there, b"<ListBucketResult></ListBucketResult>"
        if status == 301:
            return 301, there, refusal("PermanentRedirect")
        region = "<Region>eu-west-1</Region>"
        return 400, {}, refusal("AuthorizationHeaderMalformed", region)

    found = only(ask(at(stand_in(answer)), KEYS), KEYS)
    assert found.name == "wrong-region"
    assert found.message == f"bucket {BUCKET} is in eu-west-1, not in {REGION}"
    assert "eu-west-1" in found.remedy
    assert s3s.reachable(at(stand_in(answer)), KEYS) == found


def test_a_region_that_is_not_told_with_a_stand_in_for_aws(stand_in):
    endpoint = stand_in(lambda _: (400, {}, refusal("AuthorizationHeaderMalformed")))
    found = only(ask(at(endpoint), KEYS), KEYS)
    assert found.name == "wrong-region"
    assert "another region" in found.message


@pytest.mark.parametrize(
    ("status", "code", "name"),
    [
        (403, "RequestTimeTooSkewed", "clock-skew"),
        (400, "ExpiredToken", "expired-credentials"),
        (400, "InvalidToken", "wrong-token"),
        (403, "InvalidAccessKeyId", "wrong-key"),
        (503, "SlowDown", "server-error"),
        (500, "InternalError", "server-error"),
        (404, "NoSuchBucket", "no-bucket"),
    ],
)
def test_a_refusal_with_a_stand_in_for_aws(stand_in, status, code, name):
    endpoint = stand_in(lambda _: (status, {}, refusal(code)))
    found = only(ask(at(endpoint), KEYS), KEYS)
    assert found.name == name


def test_the_skew_is_told_once_with_a_stand_in_for_aws(stand_in):
    endpoint = stand_in(lambda _: (403, {}, refusal("RequestTimeTooSkewed")))
    found = only(ask(at(endpoint), KEYS, now=datetime.now(UTC) - timedelta(minutes=30)), KEYS)
    assert "30 min behind" in found.message


@pytest.mark.parametrize(
    ("page", "name"), [(b"<p>welcome", "not-s3"), (b"<html>welcome</html>", "other-object")]
)
def test_a_page_that_is_not_of_s3_with_a_stand_in(stand_in, page, name):
    endpoint = stand_in(lambda _: (200, {"content-type": "text/html"}, page))
    assert only(ask(at(endpoint), KEYS)).name == name


def test_an_answer_that_drips_is_given_up_with_a_stand_in(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        # A loaded machine may give up before it connects.
        server.settimeout(10)

        def drip():
            with contextlib.suppress(OSError):
                connection, _ = server.accept()
                with connection:
                    for byte in b"HTTP/1.1 200 OK\r\nx: " + b"y" * 15:
                        connection.sendall(bytes([byte]))
                        time.sleep(0.05)

        thread = threading.Thread(target=drip)
        thread.start()
        given = Credentials(access_key="a", secret_key="b")
        service = s3s._service(at(f"127.0.0.1:{server.getsockname()[1]}"), given)
        monkeypatch.setattr(s3s, "_CALL_SECONDS", 0.6)
        with pytest.raises(Unusable) as caught:
            service.ask("list_objects_v2")
        thread.join()
    assert caught.value.finding.name == "endpoint-hangs"


@pytest.mark.parametrize(
    ("status", "code", "name"),
    [
        (403, "InvalidClientTokenId", "wrong-key"),
        (403, "SignatureDoesNotMatch", "wrong-secret"),
        (403, "ExpiredToken", "expired-credentials"),
    ],
)
def test_the_identity_with_a_stand_in_for_sts(stand_in, monkeypatch, status, code, name):
    asked = []

    def answer(request):
        asked.append(request.command)
        body = b"<ErrorResponse>" + refusal(code) + b"</ErrorResponse>"
        return status, {"content-type": "text/xml"}, body

    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"http://{stand_in(answer)}")
    cache = compile_cache.s3_cache(bucket=BUCKET, region=REGION)
    found = only(ask(cache, KEYS), KEYS)
    assert found.name == name
    assert asked == ["POST"]


def test_s3_is_asked_after_sts_agreed_or_is_out_of_reach(s3, cache, stand_in, monkeypatch):
    good = (
        b"<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn</Arn>"
        b"</GetCallerIdentityResult></GetCallerIdentityResponse>"
    )
    endpoint = stand_in(lambda _: (200, {"content-type": "text/xml"}, good))
    make = s3s._client

    def client(given_cache, given, name):
        """The client of S3 goes to the server of the tests, the one of STS to the stand-in."""
        return make(cache if name == "s3" else given_cache, given, name)

    monkeypatch.setattr(s3s, "_client", client)
    for address in (f"http://{endpoint}", "http://127.0.0.1:9"):
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", address)
        of_aws = dataclasses.replace(cache, endpoint="")
        assert ask(of_aws, s3.env()) == ()
        assert only(ask(of_aws, s3.env("reader"))).name == "read-only-key"


def test_builds_do_not_know_the_endpoint_of_the_machine(s3, cache, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert ask(cache, s3.env()) == ()
    client = s3s._client(
        dataclasses.replace(cache, endpoint=""), Credentials(access_key="a", secret_key="b"), "s3"
    )
    assert client.meta.endpoint_url == "https://s3.amazonaws.com"


# --- what is in the bucket

DIGEST = "0f0503a8a5111d50490508824ebf07535dd1440a9d5efe06280001d5d6fb09"


def key(prefix, number):
    digest = f"{number:02x}{DIGEST}"
    return f"{prefix}/{digest[0]}/{digest[1]}/{digest[2]}/{digest}".lstrip("/")


def entry(prefix, number, days, size=10):
    return Entry(key=key(prefix, number), size=size, modified=NOW - days * DAY)


def test_figures_per_prefix_and_age():
    found = s3s.figures(
        [
            entry("team/amd64", 1, 0.5),
            entry("team/amd64", 2, 3),
            entry("team/arm64", 3, 40),
            entry("team", 4, 10),
            Entry(key="team/.sccache_check", size=13, modified=NOW),
            Entry(key="team/notes.txt", size=5, modified=NOW - DAY),
        ],
        "team",
        now=NOW,
    )
    assert [(one.prefix, one.ours, one.objects, one.bytes) for one in found] == [
        ("", True, 1, 10),
        ("amd64", True, 2, 20),
        ("arm64", True, 1, 10),
        ("", False, 2, 18),
    ]
    amd64 = found[1]
    assert (amd64.oldest, amd64.newest) == (NOW - 3 * DAY, NOW - DAY / 2)
    assert amd64.ages == {
        "1 day": (1, 10),
        "7 days": (1, 10),
        "30 days": (0, 0),
        "older": (0, 0),
    }
    assert found[2].ages["older"] == (1, 10)


def test_figures_of_nothing():
    assert s3s.figures([], "team", now=NOW) == ()


def gone(entries, prefix="team", **bounds):
    bounds = {"older_than": None, "max_size": None} | bounds
    return [one.key for one in s3s.to_delete(entries, prefix, now=NOW, **bounds)]


def test_what_is_too_old_goes():
    entries = [entry("team/amd64", number, number) for number in range(10)]
    found = gone(entries, older_than=7 * DAY)
    assert found == [key("team/amd64", 9), key("team/amd64", 8)]


def test_what_is_too_much_goes_oldest_first():
    entries = [entry("team/amd64", number, number) for number in range(10)]
    assert gone(entries, max_size=80) == [key("team/amd64", 9), key("team/amd64", 8)]
    assert gone(entries, max_size=79)[-1] == key("team/amd64", 7)
    assert gone(entries, max_size=100) == []
    assert len(gone(entries, max_size=0)) == 10
    assert len(gone(entries, max_size=80, older_than=4 * DAY)) == 5


def test_only_entries_of_sccache_below_the_prefix_go():
    others = [
        entry("team-old/amd64", 1, 99),
        entry("teams", 2, 99),
        entry("", 3, 99),
        entry("other/team", 4, 99),
        Entry(key="team/.sccache_check", size=1, modified=NOW - 99 * DAY),
        Entry(key="team/amd64/backup.tar", size=1, modified=NOW - 99 * DAY),
        Entry(key=f"team/{DIGEST}", size=1, modified=NOW - 99 * DAY),
    ]
    ours = entry("team/amd64", 5, 99)
    assert gone([*others, ours], older_than=DAY, max_size=0) == [ours.key]


_ENTRIES = st.lists(
    st.builds(
        entry,
        st.sampled_from(["team", "team/amd64", "team-old", "", "x/team"]),
        st.integers(0, 255),
        st.integers(0, 60),
        st.integers(0, 100),
    ),
    unique_by=lambda one: one.key,
)


@given(_ENTRIES, st.integers(0, 60), st.integers(0, 500), st.sampled_from(["team", ""]))
def test_pruning_keeps_its_bounds_and_its_prefix(entries, days, size, prefix):
    found = s3s.to_delete(entries, prefix, older_than=days * DAY, max_size=size, now=NOW)
    inside = [one for one in entries if not prefix or one.key.startswith("team/")]
    assert set(found) <= set(inside)
    kept = set(inside) - set(found)
    assert sum(one.size for one in kept) <= size
    assert all(NOW - one.modified <= days * DAY for one in kept)
    # Nothing goes without need: putting the newest of them back breaks a bound.
    if found:
        last = found[-1]
        grown = sum(one.size for one in kept) + last.size
        assert grown > size or NOW - last.modified > days * DAY


@pytest.fixture
def filled(s3, cache):
    """Eight entries, two other objects, and two entries beside the prefix."""
    client = s3.client()
    neighbours = [key(f"{cache.prefix}-old/amd64", 1), key(f"{cache.prefix}x", 2)]
    ours = [key(f"{cache.prefix}/{'arm64' if n % 2 else 'amd64'}", n) for n in range(8)]
    others = [f"{cache.prefix}/.sccache_check", f"{cache.prefix}/notes.txt"]
    for name in (*neighbours, *ours, *others):
        client.put_object(Bucket=BUCKET, Key=name, Body=b"0123456789")
    return cache, ours, others, neighbours


def keys_of(s3, start):
    found = s3.client().list_objects_v2(Bucket=BUCKET, Prefix=start)
    return {one["Key"] for one in found.get("Contents", ())}


def test_a_listing_of_many_pages(s3, filled, monkeypatch):
    cache, ours, others, _ = filled
    monkeypatch.setattr(s3s, "_BATCH", 3)
    found = list(s3s.listing(cache, s3.env("reader")))
    assert sorted(one.key for one in found) == sorted([*ours, *others])
    assert {one.size for one in found} == {10}
    assert all(abs(datetime.now(UTC) - one.modified) < timedelta(minutes=5) for one in found)


def test_prune_deletes_in_batches_and_never_beside_the_prefix(s3, filled, monkeypatch):
    cache, ours, others, neighbours = filled
    monkeypatch.setattr(s3s, "_BATCH", 3)
    later = datetime.now(UTC) + 40 * DAY
    done = s3s.prune(cache, s3.env(), older_than=30 * DAY, now=later, dry_run=True)
    assert (done.deleted, done.freed, done.kept, done.left, done.others) == (8, 80, 0, 0, 2)
    assert keys_of(s3, f"{cache.prefix}/") == {*ours, *others}
    done = s3s.prune(cache, s3.env(), older_than=30 * DAY, now=later)
    assert (done.deleted, done.dry_run) == (8, False)
    assert keys_of(s3, cache.prefix) == {*others, *neighbours}


def test_prune_to_a_size(s3, filled):
    cache, ours, others, _ = filled
    done = s3s.prune(cache, s3.env(), max_size=35, now=datetime.now(UTC))
    assert (done.deleted, done.freed, done.kept, done.left) == (5, 50, 3, 30)
    left = keys_of(s3, f"{cache.prefix}/")
    assert set(others) <= left
    assert len(left & set(ours)) == 3


def test_prune_of_one_architecture(s3, filled):
    cache, ours, others, _ = filled
    one = dataclasses.replace(cache, prefix=f"{cache.prefix}/amd64")
    assert s3s.prune(one, s3.env(), max_size=0, now=datetime.now(UTC)).deleted == 4
    assert keys_of(s3, f"{cache.prefix}/") == {*others, *(k for k in ours if "/arm64/" in k)}


def test_prune_with_a_key_that_may_only_read(s3, filled):
    cache, ours, others, _ = filled
    with pytest.raises(Unusable) as caught:
        s3s.prune(cache, s3.env("reader"), max_size=0, now=datetime.now(UTC))
    assert caught.value.finding.name == "no-delete"
    assert keys_of(s3, f"{cache.prefix}/") == {*ours, *others}


def test_prune_needs_a_bound_and_a_prefix_or_consent(cache):
    whole = dataclasses.replace(cache, prefix="")
    with pytest.raises(RequestError, match="too old or too much"):
        s3s.prune(cache, {}, now=NOW)
    with pytest.raises(RequestError, match="every compile cache"):
        s3s.prune(whole, {}, max_size=0, now=NOW)


def test_prune_of_the_whole_bucket_with_consent(s3, filled):
    cache, ours, *_ = filled
    whole = dataclasses.replace(cache, prefix="")
    # Dry: other tests have their objects in the same bucket.
    done = s3s.prune(
        whole, s3.env(), max_size=0, all_prefixes=True, dry_run=True, now=datetime.now(UTC)
    )
    assert done.deleted >= len(ours) + 2
