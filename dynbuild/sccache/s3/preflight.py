"""What keeps sccache from using a bucket, asked before a build."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime

from dynbuild.findings import Finding
from dynbuild.sccache.cache import CompileCache
from dynbuild.sccache.s3 import credentials
from dynbuild.sccache.s3.call import Refused, Unusable
from dynbuild.sccache.s3.credentials import Credentials
from dynbuild.sccache.s3.service import Again, Service, client_of, connect

_LOOPBACK = "--network host gives them this machine's network; or give an address that others reach"
_PROBE = ".dynbuild_check-"


def check(
    cache: CompileCache,
    env: Mapping[str, str],
    *,
    expected_seconds: float,
    now: datetime,
    network: str = "host",
    again: Again | None = None,
) -> tuple[Finding, ...]:
    """What keeps sccache from using *cache*; empty where nothing does.

    Args:
        cache: The cache; one that is ``local`` needs nothing.
        env: Where the credentials come from.
        expected_seconds: How long the build may take, for credentials that end.
        now: This machine's time.
        network: That of the steps that will use it; ``host`` is the one that is asked from.
        again: Told of what is asked again.
    """
    if cache.kind == "local":
        return ()
    if cache.on_loopback and network != "host":
        message = f"{cache.endpoint} is on this machine's loopback, which build steps do not see"
        return (Finding(name="loopback", message=message, remedy=_LOOPBACK),)
    found: list[Finding] = []
    try:
        given = credentials.find(env)
        found += credentials.ending(given, expected_seconds, now)
        if any(finding.name == "expired-credentials" for finding in found):
            return tuple(found)
        if not cache.endpoint:
            _identity(cache, given, again)
        service = connect(cache, given, again)
        try:
            _bucket(service)
            if service.elsewhere:
                raise Unusable(service.finding("wrong-region"))
            _objects(service)
        finally:
            skew = service.skew(now)
            if skew is not None:
                found.append(skew)
    except Unusable as error:
        if error.finding.name not in {finding.name for finding in found}:
            found.append(error.finding)
    return tuple(found)


def reachable(cache: CompileCache, env: Mapping[str, str]) -> Finding | None:
    """Whether the bucket can be asked at all, with one call that writes nothing.

    Returns:
        ``None``, or the first thing that is wrong.
    """
    try:
        service = connect(cache, credentials.find(env))
        _bucket(service)
    except Unusable as error:
        return error.finding
    if service.elsewhere:
        return service.finding("wrong-region")
    return None


def _identity(cache: CompileCache, given: Credentials, again: Again | None) -> None:
    """Ask AWS whose key it is.  Servers that are not AWS have no such service."""
    service = Service(cache=cache, client=None, source=given.source, again=again)
    try:
        client = service.in_time(lambda: client_of(cache, given, "sts"))
        service.watch(client, "sts")
        service.in_time(client.get_caller_identity)
    except Unusable as error:
        # Where only S3 can be reached, S3 itself says what it thinks of the key.
        if error.finding.name not in ("endpoint-down", "endpoint-hangs", "server-error"):
            raise


def _bucket(service: Service) -> None:
    """The bucket answers and may be listed."""
    prefix = service.cache.prefix
    try:
        # A listing, because the answer to HEAD says of a refusal its status only.
        service.ask("list_objects_v2", MaxKeys=1, **({"Prefix": f"{prefix}/"} if prefix else {}))
    except Refused:
        if _may_read(service, ".sccache_check"):
            raise Unusable(service.finding("no-list")) from None
        raise


def _may_read(service: Service, name: str) -> bool:
    try:
        service.ask("get_object", Key=_key(service.cache, name))
    except Refused:
        return False
    except Unusable as error:
        # A missing object has the status of a missing bucket.
        if error.finding.name != "no-bucket":
            raise
    return True


def _objects(service: Service) -> None:
    """An object can be written, read and deleted; of a read-only cache, one can be read."""
    name = f"{_PROBE}{secrets.token_hex(8)}"
    if service.cache.read_only:
        if not _may_read(service, name):
            raise Unusable(service.finding("no-read"))
        return
    key, body = _key(service.cache, name), secrets.token_bytes(16)
    try:
        service.ask("put_object", Key=key, Body=body)
    except Refused:
        raise Unusable(service.finding("read-only-key")) from None
    try:
        answer = service.ask("get_object", Key=key)
        same = service.in_time(answer["Body"].read) == body
    except Refused:
        raise Unusable(service.finding("no-read")) from None
    finally:
        _remove(service, key)
    if not same:
        raise Unusable(service.finding("other-object"))


def _remove(service: Service, key: str) -> None:
    try:
        service.ask("delete_object", Key=key)
    except Refused:
        raise Unusable(service.finding("no-delete")) from None


def _key(cache: CompileCache, name: str) -> str:
    return f"{cache.prefix}/{name}" if cache.prefix else name
