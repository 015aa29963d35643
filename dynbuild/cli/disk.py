"""``dynbuild df`` and ``dynbuild clean``: what dynbuild takes on the disk."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dynbuild import units
from dynbuild.cli import console, tree
from dynbuild.cli.prompt import DryRun, Yes, age, confirm
from dynbuild.cli.report import Context
from dynbuild.errors import NotReady

if TYPE_CHECKING:
    from dynbuild.build.archive import Entry
    from dynbuild.engine.model import Engine
    from dynbuild.engine.usage import CachedStep, StoredImage


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """What there is on the disk.

    Attributes:
        engine: Whose images and cache they are; ``None`` where none answers.
        images: Images that dynbuild built.
        cache: Entries of the build cache.
        records: Records of the tree, of builds and of matrices.
        why: Why no engine answers.
        hint: What can be done about it.
    """

    engine: Engine | None
    images: tuple[StoredImage, ...] = ()
    cache: tuple[CachedStep, ...] = ()
    records: tuple[Entry, ...] = ()
    why: str = ""
    hint: str = ""

    @property
    def rows(self) -> list[tuple[str, int, int, int]]:
        """For each kind its name, its number, its bytes, and those of what nobody uses."""
        free = [image.bytes for image in self.images if not image.used]
        cache = [entry.bytes for entry in self.cache if not entry.used]
        kinds: list[tuple[str, Sequence[StoredImage | CachedStep | Entry], list[int]]] = []
        if self.engine:
            kinds = [("images", self.images, free), ("build cache", self.cache, cache)]
        for name, kind in (("records", "build"), ("matrices", "matrix")):
            own = [entry for entry in self.records if entry.kind == kind]
            kinds.append((name, own, [entry.bytes for entry in own if entry.finished]))
        return [
            (name, len(all_), sum(one.bytes for one in all_), sum(unused))
            for name, all_, unused in kinds
        ]


def _kept(context: str | None, *, engine: bool = True) -> _Kept:
    from dynbuild.matrix import record

    records = tuple(record.entries(tree.context(context)))
    if not engine:
        return _Kept(engine=None, records=records)
    from dynbuild.engine import client, usage

    try:
        found = client.find(os.environ)
        kept = usage.usage(found, os.environ)
    except NotReady as error:
        return _Kept(engine=None, records=records, why=error.message, hint=error.hint or "")
    images = usage.labelled(found, os.environ, kept)
    return _Kept(engine=found, images=images, cache=kept.cache, records=records)


def df(
    format: Annotated[
        Literal["table", "json"], typer.Option("--format", help="For people, or for programs.")
    ] = "table",
    context: Context = None,
) -> None:
    """Show what dynbuild takes on the disk: images, build cache, records.

    Images are those with dynbuild's label, and an image made from one of them has it too.
    The build cache is the whole one of the engine.  What images share is counted for none of
    them; with -v each image and the kinds of cache are listed.

    [bold]Examples[/bold]

      dynbuild df

      dynbuild df -v --context ~/dynamo
    """
    kept = _kept(context)
    if kept.why:
        console.warn(f"images and build cache are not counted: {kept.why}")
    if format == "json":
        console.out_json({"schema": 1, "usage": _json(kept), "images": _image_rows(kept.images)})
        return
    rows = [
        (name, str(count), units.format_size(size), units.format_size(free))
        for name, count, size, free in kept.rows
    ]
    console.out_table(("what", "number", "size", "unused"), rows)
    if console.verbosity() >= 1 and kept.engine:
        console.out("")
        now = datetime.now(UTC)
        images = [
            (image.name, image.label, units.format_size(image.bytes), _age(now - image.created))
            for image in kept.images
        ]
        console.out_table(("image", "id", "size", "age"), images)
        console.out("")
        console.out_table(("build cache", "number", "size"), _kinds(kept.cache))


def _json(kept: _Kept) -> dict[str, object]:
    return {
        name: {"number": count, "bytes": size, "unused": free}
        for name, count, size, free in kept.rows
    }


def _image_rows(images: Iterable[StoredImage]) -> list[dict[str, object]]:
    return [
        {
            "id": image.label,
            "digest": image.id,
            "tags": image.names,
            "bytes": image.bytes,
            "created": image.created.isoformat(),
            "used": image.used,
        }
        for image in images
    ]


def _kinds(cache: Iterable[CachedStep]) -> list[tuple[str, str, str]]:
    sizes: dict[str, list[int]] = {}
    for entry in cache:
        sizes.setdefault(entry.kind, []).append(entry.bytes)
    ordered = sorted(sizes.items(), key=lambda item: -sum(item[1]))
    return [(kind, str(len(each)), units.format_size(sum(each))) for kind, each in ordered]


def _age(age: timedelta) -> str:
    return units.format_time(max(0.0, age.total_seconds()))


_Image = Annotated[
    str,
    typer.Option(
        "--image",
        help="Of images only those whose id or tag fits the pattern.",
        metavar="GLOB",
        show_default=False,
    ),
]
_OlderThan = Annotated[
    str | None,
    typer.Option(
        "--older-than",
        help="Only what was made, or used last (cache), longer ago: 12h, 7d, 4w.",
        metavar="TIME",
        show_default=False,
    ),
]
_Keep = Annotated[
    int,
    typer.Option(
        "--keep",
        min=0,
        help="Of each image id, of the records of builds, and of those of matrices, so many"
        " of the newest stay.",
        show_default=False,
    ),
]


def clean(
    images: Annotated[bool, typer.Option("--images", help="Images.")] = False,
    cache: Annotated[bool, typer.Option("--cache", help="The engine's build cache.")] = False,
    records: Annotated[
        bool, typer.Option("--records", help="Records of builds and of matrices.")
    ] = False,
    image: _Image = "*",
    older_than: _OlderThan = None,
    *,
    keep: _Keep = 0,
    dry_run: DryRun = False,
    yes: Yes = False,
    context: Context = None,
) -> None:
    """Remove images, build cache and records, after asking.

    Without --images, --cache or --records it is all three.  What a container or a build uses
    stays.  An image made from one of dynbuild's has its label, and is listed with them.

    [bold]Examples[/bold]

      dynbuild clean --dry-run

      dynbuild clean --images --image "vllm-*" --keep 1

      dynbuild clean --cache --older-than 7d --yes
    """
    named = images or cache or image != "*"
    which = _which(images=images or image != "*", cache=cache, records=records)
    older = age(older_than)
    kept = _kept(context, engine=which.images or which.cache)
    if kept.why and named:
        raise NotReady(kept.why, hint=f"{kept.hint}; --records needs no engine")
    if kept.why:
        console.warn(f"images and build cache stay: {kept.why}")
    gone = _chosen(kept, which, older=older, keep=keep, image=image)
    _tell(gone)
    total = sum(size for _, _, size, _ in gone.rows)
    if dry_run or not (gone.images or gone.cache or gone.records):
        console.say(f"about {units.format_size(total)} would go")
        return
    confirm(f"Remove that, about {units.format_size(total)}?", yes=yes)
    _remove(gone, older)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Which:
    images: bool
    cache: bool
    records: bool


def _which(*, images: bool, cache: bool, records: bool) -> _Which:
    """The kinds that are named; all where none is."""
    every = not (images or cache or records)
    return _Which(images=every or images, cache=every or cache, records=every or records)


def _chosen(kept: _Kept, which: _Which, *, older: timedelta | None, keep: int, image: str) -> _Kept:
    """What of that which is *kept* is to go."""
    from dynbuild.build import archive

    now = datetime.now(UTC)
    last = now - (older or timedelta(0))
    seen: dict[str, int] = {}
    images = []
    for one in kept.images if which.images else ():
        seen[one.label] = seen.get(one.label, 0) + 1
        fits = any(fnmatch.fnmatchcase(name, image) for name in (one.label, *one.names))
        if fits and not one.used and one.created <= last and seen[one.label] > keep:
            images.append(one)
    cache = [
        one for one in (kept.cache if which.cache else ()) if not one.used and one.last <= last
    ]
    records = (
        archive.outdated(kept.records, now=now, older=older, keep=keep) if which.records else ()
    )
    return _Kept(
        engine=kept.engine, images=tuple(images), cache=tuple(cache), records=tuple(records)
    )


def _tell(gone: _Kept) -> None:
    rows = [(f"image {one.label}", units.format_size(one.bytes), one.name) for one in gone.images]
    rows += [
        (f"cache {kind}", size, f"{count} entries") for kind, count, size in _kinds(gone.cache)
    ]
    rows += [
        (f"record of a {one.kind}", units.format_size(one.bytes), one.record.id)
        for one in gone.records
    ]
    if rows:
        console.out_table(("what", "size", "name"), rows)


def _remove(gone: _Kept, older: timedelta | None) -> None:
    """Remove what is chosen; what stays against that is said.

    Raises:
        NotReady: A record cannot be removed.
    """
    from dynbuild.build import archive
    from dynbuild.engine import usage

    if gone.engine and gone.images:
        for name, why in usage.remove(gone.engine, os.environ, gone.images):
            console.warn(f"{name} stays: {why}")
    if gone.engine and gone.cache:
        usage.prune_cache(gone.engine, os.environ, older)
    archive.remove(gone.records)
    counts = (f"{len(gone.images)} images", f"{len(gone.records)} records")
    console.say(f"removed {' and '.join(counts)}{', and build cache' if gone.cache else ''}")
