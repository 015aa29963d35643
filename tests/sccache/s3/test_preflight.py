import contextlib
import dataclasses
import http.server
import socket
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from dynbuild.sccache import cache as compile_cache
from dynbuild.sccache.cache import CompileCache
from dynbuild.sccache.s3 import bucket, call, preflight, service
from dynbuild.sccache.s3.call import Unusable
from dynbuild.sccache.s3.credentials import Credentials
from tests import fault_proxy
from tests.s3_server import BUCKET, REGION
from tests.sccache.s3.support import only

pytestmark = pytest.mark.network


def ask(cache, env, *, seconds=3600, now=None, again=None):
    now = now or datetime.now(UTC)
    return preflight.check(cache, env, expected_seconds=seconds, now=now, again=again)


# --- the preflight, with a real server


def test_a_good_cache_has_no_findings_and_is_left_as_it_was(s3, cache):
    assert ask(cache, s3.env()) == ()
    assert list(bucket.listing(cache, s3.env())) == []


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
    ask_really = service.Service.ask

    def noted(self, operation, **words):
        asked.append(operation)
        return ask_really(self, operation, **words)

    monkeypatch.setattr(service.Service, "ask", noted)
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


def test_an_endpoint_that_hangs(s3, cache, monkeypatch):
    # The usual time, for each of two tries, is within that of the whole call.
    assert 2 * service._ANSWER_SECONDS < call._CALL_SECONDS < 10
    monkeypatch.setattr(service, "_ANSWER_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hangs = dataclasses.replace(cache, endpoint=f"127.0.0.1:{silent.getsockname()[1]}")
        start = time.monotonic()
        found = only(ask(hangs, s3.env()))
        took = time.monotonic() - start
    assert (found.name, took < call._CALL_SECONDS) == ("endpoint-hangs", True)
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
    env = s3.env("reader") | {"AWS_CREDENTIAL_EXPIRATION": (now + timedelta(days=1)).isoformat()}
    found = ask(cache, env, seconds=90000 * 1.5, now=now - timedelta(hours=1))
    assert [one.name for one in found] == ["short-credentials", "clock-skew", "read-only-key"]


def test_reachable_asks_once_and_writes_nothing(s3, cache):
    assert preflight.reachable(cache, s3.env()) is None
    assert preflight.reachable(cache, s3.env("reader")) is None
    assert preflight.reachable(cache, s3.env("nobody")).name == "denied"


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
    assert preflight.reachable(at(stand_in(answer)), KEYS) == found


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
        connected = service.connect(at(f"127.0.0.1:{server.getsockname()[1]}"), given)
        monkeypatch.setattr(call, "_CALL_SECONDS", 0.6)
        with pytest.raises(Unusable) as caught:
            connected.ask("list_objects_v2")
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
    make = service.client_of

    def client(given_cache, given, name):
        """The client of S3 goes to the server of the tests, the one of STS to the stand-in."""
        return make(cache if name == "s3" else given_cache, given, name)

    monkeypatch.setattr(service, "client_of", client)
    monkeypatch.setattr(preflight, "client_of", client)
    for address in (f"http://{endpoint}", "http://127.0.0.1:9"):
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", address)
        of_aws = dataclasses.replace(cache, endpoint="")
        assert ask(of_aws, s3.env()) == ()
        assert only(ask(of_aws, s3.env("reader"))).name == "read-only-key"


def test_builds_do_not_know_the_endpoint_of_the_machine(s3, cache, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert ask(cache, s3.env()) == ()
    client = service.client_of(
        dataclasses.replace(cache, endpoint=""), Credentials(access_key="a", secret_key="b"), "s3"
    )
    assert client.meta.endpoint_url == "https://s3.amazonaws.com"


@pytest.mark.parametrize(
    ("endpoint", "loopback"),
    [
        ("127.0.0.1:8333", True), ("localhost:8333", True), ("LOCALHOST", True),
        ("s3.localhost:9000", True), ("[::1]:8333", True), ("127.1.2.3", True),
        ("0.0.0.0:9000", True), ("s3.example.com", False), ("10.0.0.1:9000", False),
        ("localhost.example.com", False), ("[fd00::1]:9000", False), ("", False),
    ],
)  # fmt: skip
def test_a_server_on_loopback_is_told_before_steps_look_for_it(endpoint, loopback):
    cache = CompileCache(bucket="objects", region="eu-1", endpoint=endpoint)
    assert cache.on_loopback == loopback
    if loopback:
        now = datetime.now(UTC)
        (found,) = preflight.check(cache, {}, expected_seconds=1, now=now, network="bridge")
        assert found.name == "loopback"
        assert "--network host" in found.remedy
        assert not found.note


# --- faults of the moment


@pytest.mark.parametrize("fault", ["reset", "429", "500", "502", "503", "504", "half"])
def test_a_fault_of_the_moment_is_got_over_and_told(s3, cache, fault):
    told = []
    with fault_proxy.before(s3.endpoint) as proxy:
        here = dataclasses.replace(cache, endpoint=proxy.address)
        proxy.fail("*", fault, 1)
        assert ask(here, s3.env(), again=lambda *said: told.append(said)) == ()
        assert len(proxy.failed()) == 1
    ((message, waited),) = told
    assert (f"HTTP {fault}" in message) if fault.isdigit() else message
    assert 0 <= waited < 10


@pytest.mark.parametrize("fault", ["401", "403", "404"])
def test_a_fault_that_lasts_is_asked_for_once(s3, cache, fault):
    with fault_proxy.before(s3.endpoint) as proxy:
        here = dataclasses.replace(cache, endpoint=proxy.address)
        proxy.fail("*", fault, 10**6)
        told = []
        assert ask(here, s3.env(), again=lambda *said: told.append(said))
        assert told == []
        asked = [(one.method, one.path) for one in proxy.asked]
        assert len(asked) == len(set(asked))
