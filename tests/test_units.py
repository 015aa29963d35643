"""Sizes and times: every spelling, exact numbers, and the one way they are shown."""

import contextlib
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynbuild import units
from dynbuild.errors import RequestError
from dynbuild.units import BINARY, DECIMAL

UNITS = {"": 0, "k": 1, "M": 2, "g": 3, "T": 4, "p": 5, "E": 6}
LONG = "9" * 5000


@pytest.mark.parametrize(
    ("text", "base", "count"),
    [
        ("0", DECIMAL, 0),
        ("512", BINARY, 512),
        ("512b", BINARY, 512),
        ("2k", DECIMAL, 2000),
        ("2k", BINARY, 2048),
        ("1.5M", DECIMAL, 1_500_000),
        ("10.g", BINARY, 10 << 30),
        (" 64 GB ", BINARY, 64 << 30),
        ("200G", DECIMAL, 200 * 10**9),
        ("1 GiB", DECIMAL, 1 << 30),
        ("1gib", BINARY, 1 << 30),
        ("0.1k", DECIMAL, 100),
        ("1.9999", DECIMAL, 1),
        ("9007199254740993", DECIMAL, 2**53 + 1),
        ("9223372036854775807", DECIMAL, 2**63 - 1),
        ("7E", BINARY, 7 << 60),
    ],
)
def test_sizes_that_are_written(text, base, count):
    assert units.parse_size(text, base=base) == count


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "much", "-1", "+1", "5i", "5ib", "1.2.3", "1e3", ".5g", "1 000", "1g 2", "g"),
        *(
            "8E",
            "9223372036854775808",
            "٣g",
            "1_000",
            "0x10",
            "1\n2",
            LONG,
            f"{LONG}g",
            f"1.{LONG}",
        ),
    ],
)
@pytest.mark.parametrize("base", [BINARY])
def test_what_is_no_size(text, base):
    with pytest.raises(RequestError, match="is no size") as caught:
        units.parse_size(text, base=base, origin="flag --memory")
    assert caught.value.origin == "flag --memory"
    assert caught.value.hint
    assert len(caught.value.message) < 80
    assert "\n" not in caught.value.message


@given(
    st.integers(0, 10**6), st.text("0123456789", max_size=9), st.sampled_from(sorted(UNITS)),
    st.sampled_from((BINARY, DECIMAL)), st.booleans(),
)  # fmt: skip
def test_a_size_is_exact(whole, fraction, prefix, base, binary):
    suffix = f"{prefix}i" if prefix and binary else prefix
    kilo = BINARY if prefix and binary else base
    exact = (int(f"{whole}{fraction}") * kilo ** UNITS[prefix]) // 10 ** len(fraction)
    if exact < 2**63:
        assert units.parse_size(f"{whole}.{fraction}{suffix}", base=base) == exact


@given(st.text(), st.sampled_from((BINARY, DECIMAL)))
def test_any_text_is_a_size_or_refused(text, base):
    with contextlib.suppress(RequestError):
        assert 0 <= units.parse_size(text, base=base) < 2**63


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (1500, "1.5 kB"),
        (999_499, "999 kB"),
        (999_500, "1 MB"),
        (88_000_000, "88 MB"),
        (3_200_000_000, "3.2 GB"),
        (1_023_456_789, "1.02 GB"),
        (9_994_999_999, "9.99 GB"),
        (9_995_000_000, "10 GB"),
        (99_950_000_000, "100 GB"),
        (10**21, "1000 EB"),
    ],
)
def test_sizes_that_are_shown(count, text):
    assert units.format_size(count) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (8_160_437_862, "7.6 GiB"),
        (1010 << 30, "1010 GiB"),
    ],
)
def test_sizes_of_memory_that_are_shown(count, text):
    assert units.format_size(count, base=BINARY) == text


@given(st.integers(0, 2**62), st.sampled_from((BINARY, DECIMAL)))
def test_what_is_shown_is_the_size(count, base):
    text = units.format_size(count, base=base)
    assert len(text) <= len("1023 GiB")
    shown = units.parse_size(text, base=base)
    assert abs(shown - count) * 199 <= count, text


@given(st.integers(0, 2**63), st.integers(0, 2**63), st.sampled_from((BINARY, DECIMAL)))
def test_equal_sizes_look_equal_and_rounding_is_to_the_nearest(one, other, base):
    if units.format_size(one, base=base) == units.format_size(other, base=base):
        assert abs(one - other) * 99 <= max(one, other)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("45m", 2700),
        ("12h", 43200),
        ("30d", 2592000),
        ("4W", 2419200),
        (" 1 h ", 3600),
    ],
)
def test_times_that_are_written(text, seconds):
    assert units.parse_time(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text", ["", "30", "-1d", "long", "1.5h", "1h30m", "٣d", "1y", "1234567d", LONG, f"{LONG}s"]
)
def test_what_is_no_time(text):
    with pytest.raises(RequestError, match="is no time") as caught:
        units.parse_time(text, origin="flag --for")
    assert caught.value.origin == "flag --for"
    assert caught.value.hint
    assert len(caught.value.message) < 80


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (7.44, "7.4 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min"),
        (61, "1 min 1 s"),
        (200, "3 min 20 s"),
        (3599.7, "1 h"),
        (7260, "2 h 1 min"),
        (172_799, "47 h 59 min"),
        (180_000, "2 days"),
    ],
)
def test_times_that_are_shown(seconds, text):
    assert units.format_time(seconds) == text


@pytest.mark.parametrize(("seconds", "text"), [(0, "1 min"), (571, "10 min"), (3599.2, "1 h")])
def test_times_to_the_minute(seconds, text):
    assert units.format_minutes(seconds) == text


@given(st.floats(0, 10**9), st.floats(0, 10**9))
def test_a_shown_time_never_has_sixty_of_a_unit(one, other):
    for seconds in (one, other, abs(one - other)):
        assert "60" not in units.format_time(seconds).split()[:3:2] or "days" in units.format_time(
            seconds
        )


@pytest.mark.parametrize("text", ["1", "64", " 8 ", "+3", "064"])
def test_integers(text):
    assert units.parse_integer(text, low=1, high=64) == int(text)


@pytest.mark.parametrize("text", ["", "0", "65", "-3", "abc", "1.0", "٣", "1_0", LONG, f"-{LONG}"])
def test_what_is_no_integer(text):
    with pytest.raises(RequestError, match="is no whole number from 1 to 64") as caught:
        units.parse_integer(text, low=1, high=64, origin="flag --jobs")
    assert caught.value.origin == "flag --jobs"
    assert len(caught.value.message) < 110
