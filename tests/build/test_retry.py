"""Which failures are worth another try, and when."""

import random
import tomllib

import pytest

from dynbuild.build import failure, retry
from dynbuild.build.result import Failure
from tests.support import ROOT

SAMPLES = tomllib.loads((ROOT / "tests" / "data" / "failures.toml").read_text(encoding="utf-8"))


def made(kind="transient", message="connection reset", lines=()):
    return Failure(kind=kind, message=message, lines=lines)


@pytest.mark.parametrize(
    "text",
    [
        "unexpected status from HEAD request to https://r/v2/x: 503 Service Unavailable",
        "toomanyrequests: slow down",
        "net/http: TLS handshake timeout",
        "unexpected EOF",
        "Temporary failure resolving 'deb.example'",
        "unexpected status: 429 Too Many Requests",
    ],
)
def test_a_server_or_the_network_is_tried_again(text):
    assert retry.is_worth(made(failure.recognise(text).kind, text))


@pytest.mark.parametrize(
    "text",
    [
        "unexpected status from GET request to https://r/v2/x: 401 Unauthorized",
        "unexpected status: 403 Forbidden",
        "manifest unknown: 404 Not Found",
        "checksum mismatch: connection reset",
        "no space left on device",
        "x509: certificate signed by unknown authority",
    ],
)
def test_what_is_certain_to_happen_again_is_not(text):
    assert not retry.is_worth(made(failure.recognise(text).kind, text))


def test_waits_double_and_are_of_random_length():
    waits = [
        [retry.delay(tried, made(), random.Random(seed)) for seed in range(200)]
        for tried in (1, 2, 3, 4, 5, 6, 7)
    ]
    for number, each in enumerate(waits):
        longest = min(2.0 * 2**number, 60.0)
        assert longest / 2 <= min(each) < max(each) <= longest
        assert max(each) - min(each) > longest / 3


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("429 Too Many Requests; Retry-After: 17", 17),
        ('{"retry-after":"17"}', 17),
        ("retry after 17s", 17),
        ("Retry-After: 999999", 300),
        ("Retry-After: Wed, 21 Oct 2026 07:28:00 GMT", 0),
        ("Retry-After: 2026-10-21", 0),
        ("no word of it", 0),
    ],
)
def test_what_a_server_asks_for_is_waited_for(text, seconds):
    for one in (made(message=text), made(lines=("before", text))):
        assert seconds + 1 <= retry.delay(1, one, random.Random(1)) <= seconds + 2
