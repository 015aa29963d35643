"""The build cache: what ``--cache KIND`` stands for in BuildKit's words.  Pure.

Every image has a cache of its own on every branch; what the main branch wrote is read as
well, so that the first build of a branch begins with it.  In a registry, where that is cheap, it
has one of every commit too: read are those of the commit, the branch, the commit where the branch
left main, and main, in this order.  Layers of all stages are kept (``mode=max``) and a cache that
cannot be written fails no build (``ignore-error``).
"""

from __future__ import annotations

import hashlib
import re

from dynbuild import names
from dynbuild.errors import RequestError, quote
from dynbuild.image_id import ImageId
from dynbuild.quick import dataclass
from dynbuild.settings import csv_fields

MAIN = "main"
KINDS = ("registry", "registry=REF", "s3", "local=DIR", "gha")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a cache is for.

    Attributes:
        image: What the cache is of.
        branch: Branch of the source tree; empty where git does not say.
        commit: Of the source tree; empty where it is not as that commit is.
        base: The last commit that it has in common with main; empty where git does not say.
        repository: Name of the image with its registry.
        bucket: Of S3.
        region: Of S3.
        endpoint: Of S3, with its scheme; empty for AWS.
    """

    image: ImageId
    branch: str
    repository: str
    commit: str = ""
    base: str = ""
    bucket: str = ""
    region: str = ""
    endpoint: str = ""


def expand(kind: str, subject: Subject, *, origin: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The ``cache-from`` and ``cache-to`` entries of *kind*.

    Args:
        kind: One of ``KINDS``.
        subject: What the cache is for.
        origin: Where *kind* came from, for messages.

    Raises:
        RequestError: *kind* is no such thing, or what it needs is missing.
    """
    word, equals, value = kind.partition("=")
    branch, main = (_scope(subject, _named(name)) for name in (subject.branch or MAIN, MAIN))
    scopes = tuple(dict.fromkeys((branch, main)))
    if word == "registry" and (value or not equals):
        commit, base = (
            _scope(subject, f"commit--{sha}") if sha else ""
            for sha in (subject.commit, subject.base)
        )
        chain = tuple(dict.fromkeys(filter(None, (commit, branch, base, main))))
        written = tuple(filter(None, (branch, commit)))
        return _registry(value, subject, chain, written, origin)
    if word == "local" and value:
        _check_home(value, kind, origin)
        folders = [f"{value.rstrip('/')}/{scope}" for scope in scopes]
        readable = tuple(f"type=local,src={folder}" for folder in folders)
        return readable, (f"type=local,dest={folders[0]},{_WRITE}",)
    if kind == "gha":
        return tuple(f"type=gha,scope={scope}" for scope in scopes), (
            f"type=gha,scope={scopes[0]},mode=max,ignore-error=true",
        )
    if kind == "s3":
        return _s3(subject, scopes, origin)
    raise RequestError(
        f"{quote(kind)} is no build cache", origin=origin, hint=f"there are: {', '.join(KINDS)}"
    )


def check(entry: str, key: str, *, origin: str) -> None:
    """Refuse an *entry* of *key*, ``cache_from`` or ``cache_to``, that BuildKit would refuse.

    Buildx says how it is read (``util/buildflags/cache.go``): a record of CSV, whose fields are
    ``NAME=VALUE``, or references of a registry alone.

    Raises:
        RequestError: It is malformed, of a kind that does not exist, or lacks what its kind needs;
            or it names a home folder by ``~``, which BuildKit takes for the name of a folder.
    """
    record = csv_fields.read(entry) or []
    if record and not any("=" in field for field in record):
        for reference in record:
            names.check_image(reference, origin=origin)
        return
    pairs = fields(entry)
    kind, written = pairs.get("type", ""), key == "cache_to"
    needed = {"registry": "ref", "local": "dest" if written else "src"}.get(kind, "type")
    if not record or not all("=" in field for field in record):
        problem = "is no list of NAME=VALUE with commas between"
    elif kind not in (*_PLACES, "inline"):
        kinds = ", ".join((*_PLACES, "inline"))
        problem = f"has no type that there is: {kinds}" if kind else "has no type=NAME"
    elif not pairs.get(needed):
        problem = f"has no {needed}=, which a cache of the type {kind} needs"
    else:
        _check_home(pairs.get("src", "") or pairs.get("dest", ""), entry, origin)
        return
    flag = "--cache-to" if written else "--cache-from"
    place = "ref=registry.example.com/cache"
    if kind == "local":
        place = f"{needed}=/var/cache/dynamo"
    such = f"type={'local' if kind == 'local' else 'registry'},{place}{',mode=max' * written}"
    raise RequestError(f"{quote(entry)} {problem}", origin=origin, hint=f"such as {flag} {such}")


def _check_home(value: str, said: str, origin: str) -> None:
    if value.startswith("~"):
        raise RequestError(
            f"no shell has replaced the ~ of {quote(said)}",
            origin=origin,
            hint="write the folder in full, or $HOME in its place",
        )


_WRITE = "mode=max,compression=zstd,ignore-error=true"


_LONGEST, _HEX = 50, 12


def _scope(subject: Subject, which: str) -> str:
    """The name of the cache of an image and of *which* state of the tree.

    No two images have the same: an id has no ``--``.
    """
    return f"{which}-{str(subject.image).replace('+', '--')}"


def _named(branch: str) -> str:
    """*branch* as a part of a tag and of a folder, which may have fewer characters.

    No two branches have the same: what is not as it was, or has ``--`` itself, ends in ``--`` and
    a checksum.
    """
    clean = re.sub(r"[^A-Za-z0-9_.-]+", "-", branch).strip("-.")[:_LONGEST]
    if clean == branch and "--" not in branch:
        return branch
    return f"{clean}--{hashlib.sha256(branch.encode()).hexdigest()[:_HEX]}".lstrip("-.")


def fields(entry: str) -> dict[str, str]:
    """The fields of an *entry* of ``cache-from`` or ``cache-to``, by their names."""
    record = csv_fields.read(entry) or entry.split(",")
    pairs = (part.partition("=") for part in record)
    return {key.strip().lower(): value for key, _, value in pairs}


def place(entry: str) -> tuple[str, ...] | None:
    """What tells the cache that a ``cache-to`` *entry* writes from others; ``None``: nothing.

    The last is one that goes with its image.
    """
    pairs = fields(entry)
    kind = pairs.get("type", "registry")
    keys = _PLACES.get(kind)
    if keys is None:
        return None
    found = tuple(pairs.get(key, "") for key in keys)
    return (kind, *(found if any(found) else (entry,)))


_PLACES = {
    "registry": ("ref",),
    "local": ("dest",),
    "gha": ("scope",),
    "s3": ("bucket", "prefix", "name"),
    "azblob": ("account_url", "prefix", "name"),
}
"""Keys by which BuildKit tells caches of a kind apart."""


def _registry(
    reference: str,
    subject: Subject,
    read: tuple[str, ...],
    written: tuple[str, ...],
    origin: str,
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    repository = names.check_repository(reference or subject.repository, origin=origin)
    if not names.is_qualified(f"{repository}:cache"):
        raise RequestError(
            f"'{repository}' names no registry, so it cannot hold a build cache",
            origin=origin,
            hint="--repository REGISTRY/dynamo, or --cache registry=REGISTRY/dynamo-cache",
        )

    def named(scope: str) -> str:
        return f"type=registry,ref={repository}:{names.as_tag('cache', f'-{scope}')}"

    how = f"image-manifest=true,oci-mediatypes=true,{_WRITE}"
    return tuple(map(named, read)), tuple(f"{named(scope)},{how}" for scope in written)


def _s3(
    subject: Subject, scopes: tuple[str, ...], origin: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if not (subject.bucket and subject.region):
        raise RequestError(
            "a build cache in S3 needs a bucket and its region",
            origin=origin,
            hint="--sccache-bucket NAME --sccache-region NAME; the compile cache uses the same",
        )
    where = f"type=s3,bucket={subject.bucket},region={subject.region},prefix=buildkit/"
    if subject.endpoint:
        where += f",endpoint_url={subject.endpoint},use_path_style=true"
    return tuple(f"{where},name={scope}" for scope in scopes), (
        f"{where},name={scopes[0]},mode=max,ignore-error=true",
    )
