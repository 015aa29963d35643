"""What is in the bucket: its objects, their figures, and deleting the old ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from dynbuild.errors import RequestError
from dynbuild.findings import Finding
from dynbuild.sccache.cache import CompileCache, entry_prefix
from dynbuild.sccache.s3 import credentials
from dynbuild.sccache.s3.call import Refused, Unusable
from dynbuild.sccache.s3.service import Service, connect

_BATCH = 1000

AGES = (("1 day", timedelta(days=1)), ("7 days", timedelta(days=7)), ("30 days", timedelta(30)))
"""Upper ends of the classes of age that ``figures`` counts; what is older is a class too."""

OLDER = "older"
"""The name of the last class of age."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One object.

    Attributes:
        key: Its whole key.
        size: Bytes.
        modified: When it was written.  S3 does not know when it was read.
    """

    key: str
    size: int
    modified: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What lies below one sub-prefix, usually an architecture.

    Attributes:
        prefix: The sub-prefix, relative to the cache's; empty for the cache's own.
        ours: Whether these are entries of sccache; other objects are counted apart.
        objects: How many.
        bytes: Their size.
        oldest: When the first of them was written.
        newest: When the last was.
        ages: Objects and bytes for each class of age: those of ``AGES``, then ``OLDER``.
    """

    prefix: str
    ours: bool
    objects: int
    bytes: int
    oldest: datetime
    newest: datetime
    ages: Mapping[str, tuple[int, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What ``prune`` did, or would do.

    Attributes:
        deleted: Objects deleted.
        freed: Their bytes.
        kept: Objects of sccache that stay.
        left: Their bytes.
        others: Objects that are no entries of sccache; they are never touched.
        dry_run: Whether nothing was deleted.
    """

    deleted: int
    freed: int
    kept: int
    left: int
    others: int
    dry_run: bool


def listing(cache: CompileCache, env: Mapping[str, str]) -> Iterator[Entry]:
    """Every object below the prefix, page by page.

    Raises:
        Unusable: The bucket cannot be listed.
    """
    return _listing(connect(cache, credentials.find(env)))


def _listing(service: Service) -> Iterator[Entry]:
    prefix = service.cache.prefix
    # With its slash, so that amd64 is not the beginning of amd64-old.
    words = {"Prefix": f"{prefix}/"} if prefix else {}
    while True:
        page = service.ask("list_objects_v2", MaxKeys=_BATCH, **words)
        for found in page.get("Contents", ()):
            yield Entry(key=found["Key"], size=found["Size"], modified=found["LastModified"])
        if not page.get("IsTruncated") or not page.get("NextContinuationToken"):
            return
        words["ContinuationToken"] = page["NextContinuationToken"]


@dataclass(slots=True)
class _Count:
    """What ``figures`` has seen of one sub-prefix: objects and bytes by class of age."""

    oldest: datetime
    newest: datetime
    ages: dict[str, tuple[int, int]] = field(default_factory=dict)

    def add(self, entry: Entry, now: datetime) -> None:
        """Count *entry* in."""
        self.oldest = min(self.oldest, entry.modified)
        self.newest = max(self.newest, entry.modified)
        age = now - entry.modified
        name = next((name for name, end in AGES if age < end), OLDER)
        objects, size = self.ages.get(name, (0, 0))
        self.ages[name] = (objects + 1, size + entry.size)


def figures(entries: Iterable[Entry], prefix: str, *, now: datetime) -> tuple[Figure, ...]:
    """Count objects and bytes per sub-prefix and age.  Pure.

    Args:
        entries: Objects below *prefix*.
        prefix: That of the cache.
        now: The time that ages are counted to.

    Returns:
        Sorted by sub-prefix; last, in one figure, what sccache did not write.
    """
    counts: dict[tuple[bool, str], _Count] = {}
    for entry in entries:
        whole = entry_prefix(entry.key)
        ours = whole is not None and _below(entry.key, prefix)
        sub = whole.removeprefix(prefix).strip("/") if ours and whole is not None else ""
        counts.setdefault((not ours, sub), _Count(entry.modified, entry.modified)).add(entry, now)
    names = [*(name for name, _ in AGES), OLDER]
    return tuple(
        Figure(
            prefix=sub,
            ours=not foreign,
            objects=sum(objects for objects, _ in count.ages.values()),
            bytes=sum(size for _, size in count.ages.values()),
            oldest=count.oldest,
            newest=count.newest,
            ages={name: count.ages.get(name, (0, 0)) for name in names},
        )
        for (foreign, sub), count in sorted(counts.items(), key=lambda item: item[0])
    )


def _below(key: str, prefix: str) -> bool:
    return not prefix or key.startswith(f"{prefix}/")


def to_delete(
    entries: Iterable[Entry],
    prefix: str,
    *,
    older_than: timedelta | None,
    max_size: int | None,
    now: datetime,
) -> tuple[Entry, ...]:
    """The objects to delete, oldest first.  Pure.

    Only what sccache wrote below *prefix* is ever among them.

    Args:
        entries: Objects.
        prefix: That of the cache, without slashes at the ends; empty is the whole bucket.
        older_than: What is older goes; ``None`` is no bound.
        max_size: Bytes that may stay, the newest; ``None`` is no bound.
        now: The time that ages are counted to.
    """
    ours = [
        entry
        for entry in entries
        if entry_prefix(entry.key) is not None and _below(entry.key, prefix)
    ]
    ours.sort(key=lambda entry: (entry.modified, entry.key))
    stays = sum(entry.size for entry in ours)
    gone = []
    for entry in ours:
        old = older_than is not None and now - entry.modified > older_than
        if not old and (max_size is None or stays <= max_size):
            break
        stays -= entry.size
        gone.append(entry)
    return tuple(gone)


def prune(
    cache: CompileCache,
    env: Mapping[str, str],
    *,
    older_than: timedelta | None = None,
    max_size: int | None = None,
    dry_run: bool = False,
    all_prefixes: bool = False,
    now: datetime,
) -> Pruned:
    """Delete what sccache wrote below the prefix and is too old or too much, oldest first.

    Args:
        cache: The cache.
        env: Where the credentials come from.
        older_than: See ``to_delete``.
        max_size: See ``to_delete``; bytes.
        dry_run: Only say what would be deleted.
        all_prefixes: Consent to an empty prefix, which is every cache in the bucket.
        now: This machine's time.

    Raises:
        RequestError: No bound is given; or the prefix is empty, without consent.
        Unusable: The bucket refuses.
    """
    if older_than is None and max_size is None:
        raise RequestError(
            "prune needs to know what is too old or too much",
            hint="--older-than 30d, --max-size 200G, or both",
        )
    if not cache.prefix and not all_prefixes:
        raise RequestError(
            f"without a prefix every compile cache in bucket {cache.bucket} would be pruned",
            hint="--prefix NAME for one of them, --all-prefixes for all",
        )
    service = connect(cache, credentials.find(env))
    entries = list(_listing(service))
    gone = to_delete(entries, cache.prefix, older_than=older_than, max_size=max_size, now=now)
    ours = [entry for entry in entries if entry_prefix(entry.key) is not None]
    if not dry_run:
        for start in range(0, len(gone), _BATCH):
            _delete(service, gone[start : start + _BATCH])
    freed = sum(entry.size for entry in gone)
    return Pruned(
        deleted=len(gone),
        freed=freed,
        kept=len(ours) - len(gone),
        left=sum(entry.size for entry in ours) - freed,
        others=len(entries) - len(ours),
        dry_run=dry_run,
    )


def _delete(service: Service, batch: Sequence[Entry]) -> None:
    objects = [{"Key": entry.key} for entry in batch]
    try:
        answer = service.ask("delete_objects", Delete={"Objects": objects, "Quiet": True})
    except Refused:
        raise Unusable(service.finding("no-delete")) from None
    refused = answer.get("Errors", ())
    if any(error.get("Code") == "AccessDenied" for error in refused):
        raise Unusable(service.finding("no-delete"))
    if refused:
        raise Unusable(
            Finding(
                "server-error",
                f"{len(refused)} of {len(batch)} objects were not deleted",
                "prune again",
            )
        )
