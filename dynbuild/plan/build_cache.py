"""The build cache: what ``--cache KIND`` stands for in BuildKit's words.  Pure.

Every image has a cache of its own on every branch; what the main branch wrote is read as
well, so that the first build of a branch begins with it.  Layers of all stages are kept
(``mode=max``) and a cache that cannot be written fails no build (``ignore-error``).
"""

from __future__ import annotations

import re

from dynbuild import names
from dynbuild.errors import RequestError, quote
from dynbuild.image_id import ImageId
from dynbuild.quick import dataclass

MAIN = "main"
KINDS = ("registry", "registry=REF", "s3", "local=DIR", "gha")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a cache is for.

    Attributes:
        image: What the cache is of.
        branch: Branch of the source tree; empty where git does not say.
        repository: Name of the image with its registry.
        bucket: Of S3.
        region: Of S3.
        endpoint: Of S3, with its scheme; empty for AWS.
    """

    image: ImageId
    branch: str
    repository: str
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
    scopes = tuple(dict.fromkeys((_scope(subject, subject.branch or MAIN), _scope(subject, MAIN))))
    if word == "registry" and (value or not equals):
        return _registry(value, subject, scopes, origin)
    if word == "local" and value:
        if value.startswith("~"):
            raise RequestError(
                f"no shell has replaced the ~ of {quote(kind)}",
                origin=origin,
                hint="write the folder in full, or $HOME in its place",
            )
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


_WRITE = "mode=max,compression=zstd,ignore-error=true"


def _scope(subject: Subject, branch: str) -> str:
    # A branch may have any name; a tag and a folder may not.
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", f"{branch}-{subject.image}").strip("-.")


def _registry(
    reference: str, subject: Subject, scopes: tuple[str, ...], origin: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    repository = names.check_repository(reference or subject.repository, origin=origin)
    if not names.is_qualified(f"{repository}:cache"):
        raise RequestError(
            f"'{repository}' names no registry, so it cannot hold a build cache",
            origin=origin,
            hint="--repository REGISTRY/dynamo, or --cache registry=REGISTRY/dynamo-cache",
        )
    references = [f"{repository}:{names.as_tag('cache', f'-{scope}')}" for scope in scopes]
    written = f"type=registry,ref={references[0]},image-manifest=true,oci-mediatypes=true,{_WRITE}"
    return tuple(f"type=registry,ref={reference}" for reference in references), (written,)


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
