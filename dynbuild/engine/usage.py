"""What an engine keeps on its disk: images and build cache, and removing some of it."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from dynbuild import proc, units
from dynbuild.engine import builder
from dynbuild.engine import images as known
from dynbuild.engine.builder import Builder
from dynbuild.engine.model import Engine
from dynbuild.errors import NotReady
from dynbuild.image_id import LABEL


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredImage:
    """An image of an engine.

    Attributes:
        id: Its digest.
        names: Its tags, of some images only the first; none of one whose tags went to a newer one.
        bytes: What no other image shares, as far as that is known: that goes with it.
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
    done = proc.run(argv, env=engine.env(env), check=False)
    if done.returncode:
        return _in_parts(engine, env)
    said = json.loads(done.stdout)
    used = {image["ID"] for image in said.get("Images") or () if image["Containers"] != "0"}
    images = _images(said.get("Images") or (), "UniqueSize", used)
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
    return Usage(images, tuple(cache))


def _in_parts(engine: Engine, env: Mapping[str, str]) -> Usage:
    """What *engine* keeps, where it cannot count all at once.

    Docker fails to as soon as its cache names a snapshot that is not there any more, as in a
    build that ended meanwhile.  Here what images share is counted for each, and of the cache
    it is known when an entry was made, not when it was used last.
    """
    own = engine.env(env)

    def ask(*words: str) -> list[str]:
        return proc.run((engine.docker, *words), env=own).stdout.splitlines()

    containers = ask("container", "ls", "--all", "--quiet")
    used = ask("container", "inspect", "--format", "{{.Image}}", *containers) if containers else []
    listed = ask("image", "ls", "--no-trunc", "--format", "{{json .}}")
    images = _images([json.loads(line) for line in listed], "Size", set(used))
    du = ask("buildx", "du", f"--builder={builder.own_name(own)}", "--format", "json")
    cache = (
        CachedStep(
            kind=entry["Type"],
            what=entry["Description"],
            bytes=0 if entry["Shared"] else units.parse_size(entry["Size"]),
            last=moment(entry["CreatedAt"]),
            used=not entry["Reclaimable"],
        )
        for entry in map(json.loads, du)
    )
    return Usage(images, tuple(cache))


def made_by(where: Builder, env: Mapping[str, str], seconds: float) -> tuple[str, ...]:
    """What made each entry of the cache of a builder, in BuildKit's words.

    Args:
        where: The builder, of all its nodes.
        env: The caller's environment.
        seconds: How long it may take.

    Raises:
        NotReady: It does not say, or not in time.
    """
    argv = (*where.engine.buildx_argv, "du", "--format", "json")
    done = proc.run(argv, env=where.buildx_env(env), check=False, timeout=seconds)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise NotReady(f"{where} does not say what it keeps: {said[-1]}")
    try:
        return tuple(str(json.loads(line)["Description"]) for line in done.stdout.splitlines())
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise NotReady(f"{where} says of what it keeps nothing that is known") from error


def _images(
    listed: Iterable[Mapping[str, str]], size: str, used: Collection[str]
) -> tuple[StoredImage, ...]:
    """The images of a list that has a line for each name."""
    stored: dict[str, StoredImage] = {}
    for image in listed:
        name = f"{image['Repository']}:{image['Tag']}"
        one = stored.get(image["ID"]) or StoredImage(
            id=image["ID"],
            names=(),
            bytes=units.parse_size(image[size]),
            created=moment(image["CreatedAt"]),
            used=image["ID"] in used,
        )
        names = one.names if "<none>" in name else (*one.names, name)
        stored[image["ID"]] = replace(one, names=names)
    return tuple(stored.values())


def labelled(engine: Engine, env: Mapping[str, str], kept: Usage) -> tuple[StoredImage, ...]:
    """The images among those *kept* that dynbuild built, with all their names; the newest first."""
    ids = [image.id for image in kept.images]
    said = known.inspect(engine, env, ids, ("RepoTags", "Config.Labels"))
    ours = []
    for image in kept.images:
        names, labels = said.get(image.id, (None, None))
        label = str(labels.get(LABEL, "")).strip() if isinstance(labels, dict) else ""
        if label:
            known_as = map(str, names) if isinstance(names, list) else ()
            ours.append(replace(image, label=label, names=tuple(known_as)))
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
    own = engine.env(env)
    words = ("buildx", "prune", f"--builder={builder.own_name(own)}", "--all", "--force", *until)
    proc.run((engine.docker, *words), env=own)


def moment(text: str) -> datetime:
    """A moment as Docker writes it: ``2026-01-02 03:04:05.678901234 +0000 UTC``."""
    day, clock, zone, *_ = text.split()
    return datetime.fromisoformat(f"{day}T{clock.partition('.')[0]}{zone}")
