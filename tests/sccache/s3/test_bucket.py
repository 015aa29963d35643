import dataclasses
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynbuild.errors import RequestError
from dynbuild.sccache.s3 import bucket
from dynbuild.sccache.s3.bucket import Entry
from dynbuild.sccache.s3.call import Unusable
from tests.s3_server import BUCKET

pytestmark = pytest.mark.network

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAY = timedelta(days=1)


DIGEST = "0f0503a8a5111d50490508824ebf07535dd1440a9d5efe06280001d5d6fb09"


def key(prefix, number):
    digest = f"{number:02x}{DIGEST}"
    return f"{prefix}/{digest[0]}/{digest[1]}/{digest[2]}/{digest}".lstrip("/")


def entry(prefix, number, days, size=10):
    return Entry(key=key(prefix, number), size=size, modified=NOW - days * DAY)


def test_figures_per_prefix_and_age():
    found = bucket.figures(
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
    assert bucket.figures([], "team", now=NOW) == ()


def gone(entries, prefix="team", **bounds):
    bounds = {"older_than": None, "max_size": None} | bounds
    return [one.key for one in bucket.to_delete(entries, prefix, now=NOW, **bounds)]


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
    found = bucket.to_delete(entries, prefix, older_than=days * DAY, max_size=size, now=NOW)
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
    monkeypatch.setattr(bucket, "_BATCH", 3)
    found = list(bucket.listing(cache, s3.env("reader")))
    assert sorted(one.key for one in found) == sorted([*ours, *others])
    assert {one.size for one in found} == {10}
    assert all(abs(datetime.now(UTC) - one.modified) < timedelta(minutes=5) for one in found)


def test_prune_deletes_in_batches_and_never_beside_the_prefix(s3, filled, monkeypatch):
    cache, ours, others, neighbours = filled
    monkeypatch.setattr(bucket, "_BATCH", 3)
    later = datetime.now(UTC) + 40 * DAY
    done = bucket.prune(cache, s3.env(), older_than=30 * DAY, now=later, dry_run=True)
    assert (done.deleted, done.freed, done.kept, done.left, done.others) == (8, 80, 0, 0, 2)
    assert keys_of(s3, f"{cache.prefix}/") == {*ours, *others}
    done = bucket.prune(cache, s3.env(), older_than=30 * DAY, now=later)
    assert (done.deleted, done.dry_run) == (8, False)
    assert keys_of(s3, cache.prefix) == {*others, *neighbours}


def test_prune_to_a_size(s3, filled):
    cache, ours, others, _ = filled
    done = bucket.prune(cache, s3.env(), max_size=35, now=datetime.now(UTC))
    assert (done.deleted, done.freed, done.kept, done.left) == (5, 50, 3, 30)
    left = keys_of(s3, f"{cache.prefix}/")
    assert set(others) <= left
    assert len(left & set(ours)) == 3


def test_prune_of_one_architecture(s3, filled):
    cache, ours, others, _ = filled
    one = dataclasses.replace(cache, prefix=f"{cache.prefix}/amd64")
    assert bucket.prune(one, s3.env(), max_size=0, now=datetime.now(UTC)).deleted == 4
    assert keys_of(s3, f"{cache.prefix}/") == {*others, *(k for k in ours if "/arm64/" in k)}


def test_prune_with_a_key_that_may_only_read(s3, filled):
    cache, ours, others, _ = filled
    with pytest.raises(Unusable) as caught:
        bucket.prune(cache, s3.env("reader"), max_size=0, now=datetime.now(UTC))
    assert caught.value.finding.name == "no-delete"
    assert keys_of(s3, f"{cache.prefix}/") == {*ours, *others}


def test_prune_needs_a_bound_and_a_prefix_or_consent(cache):
    whole = dataclasses.replace(cache, prefix="")
    with pytest.raises(RequestError, match="too old or too much"):
        bucket.prune(cache, {}, now=NOW)
    with pytest.raises(RequestError, match="every compile cache"):
        bucket.prune(whole, {}, max_size=0, now=NOW)


def test_prune_of_the_whole_bucket_with_consent(s3, filled):
    cache, ours, *_ = filled
    whole = dataclasses.replace(cache, prefix="")
    # Dry: other tests have their objects in the same bucket.
    done = bucket.prune(
        whole, s3.env(), max_size=0, all_prefixes=True, dry_run=True, now=datetime.now(UTC)
    )
    assert done.deleted >= len(ours) + 2
