"""What an engine keeps on its disk: images and build cache, and removing some of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from dynbuild import proc, units
from dynbuild.engine import images as known
from dynbuild.engine.model import Engine
from dynbuild.image_id import LABEL


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredImage:
    """An image of an engine.

    Attributes:
        id: Its digest.
        names: Its tags; none of one whose tags went to a newer one.
        bytes: What no other image shares: that goes with it.
        created: When it was made.
        used: Whether a container uses it.
        label: What dynbuild calls it; empty where dynbuild did not build it.
    """

    id: str
    names: tuple[str, ...]
    bytes: int
    created: datetime
    used: bool
    label: str = ""

    @property
    def name(self) -> str:
        """Its first tag, else the beginning of its digest."""
        return self.names[0] if self.names else self.id.removeprefix("sha256:")[:12]


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedStep:
    """An entry of the build cache.

    Attributes:
        kind: BuildKit's word for it: ``regular``, ``exec.cachemount``, ``source.local``.
        what: What made it.
        bytes: What goes with it; nothing of one that an image shares.
        last: When it was used last.
        used: Whether a build uses it.
    """

    kind: str
    what: str
    bytes: int
    last: datetime
    used: bool


@dataclass(frozen=True, slots=True)
class Usage:
    """What an engine keeps."""

    images: tuple[StoredImage, ...]
    cache: tuple[CachedStep, ...]


def usage(engine: Engine, env: Mapping[str, str]) -> Usage:
    """What *engine* keeps, images without dynbuild's labels.

    Raises:
        ToolFailed: It does not say.
    """
    argv = (engine.docker, "system", "df", "--verbose", "--format", "{{json .}}")
    said = json.loads(proc.run(argv, env=engine.env(env)).stdout)
    stored: dict[str, StoredImage] = {}
    for image in said.get("Images") or ():
        name = f"{image['Repository']}:{image['Tag']}"
        one = stored.get(image["ID"]) or StoredImage(
            id=image["ID"],
            names=(),
            bytes=units.parse_size(image["UniqueSize"]),
            created=moment(image["CreatedAt"]),
            used=image["Containers"] != "0",
        )
        names = one.names if "<none>" in name else (*one.names, name)
        stored[image["ID"]] = replace(one, names=names)
    cache = (
        CachedStep(
            kind=entry["CacheType"],
            what=entry["Description"],
            # What an image shares with the cache stays with the image.
            bytes=0 if entry["Shared"] == "true" else units.parse_size(entry["Size"]),
            last=moment(entry["LastUsedAt"] or entry["CreatedAt"]),
            used=entry["InUse"] != "false",
        )
        for entry in said.get("BuildCache") or ()
    )
    return Usage(tuple(stored.values()), tuple(cache))


def labelled(engine: Engine, env: Mapping[str, str], kept: Usage) -> tuple[StoredImage, ...]:
    """The images among those *kept* that dynbuild built, the newest first."""
    template = f'{{{{index .Config.Labels "{LABEL}"}}}}'
    ids = [image.id for image in kept.images]
    labels = known.inspect(engine, env, ids, template)
    ours = [
        replace(image, label=label)
        for image in kept.images
        if (label := labels.get(image.id, "").strip()) and label != "<no value>"
    ]
    return tuple(sorted(ours, key=lambda image: image.created, reverse=True))


def remove(
    engine: Engine, env: Mapping[str, str], images: Iterable[StoredImage]
) -> tuple[tuple[str, str], ...]:
    """Remove images under all their names; those that stay, each with the reason."""
    left = []
    for image in images:
        argv = (engine.docker, "image", "rm", *(image.names or (image.id,)))
        done = proc.run(argv, env=engine.env(env), check=False)
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["no reason is given"]
            left.append((image.name, lines[-1]))
    return tuple(left)


def prune_cache(engine: Engine, env: Mapping[str, str], older: timedelta | None) -> None:
    """Remove what of the build cache no build uses, and none has used since *older*."""
    until = () if older is None else (f"--filter=until={older.total_seconds():.0f}s",)
    words = ("buildx", "prune", "--builder=default", "--all", "--force", *until)
    proc.run((engine.docker, *words), env=engine.env(env))


def moment(text: str) -> datetime:
    """A moment as Docker writes it: ``2026-01-02 03:04:05.678901234 +0000 UTC``."""
    day, clock, zone, *_ = text.split()
    return datetime.fromisoformat(f"{day}T{clock.partition('.')[0]}{zone}")
