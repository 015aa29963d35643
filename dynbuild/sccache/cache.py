"""The compile cache: where it is and how sccache is told.  Pure.

What is said here of sccache was looked up in, and tried with, the versions 0.8.2 and 0.14.0.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Literal

from dynbuild.errors import RequestError
from dynbuild.quick import dataclass

Kind = Literal["s3", "local"]

_TRUE, _FALSE = ("true", "on", "1"), ("false", "off", "0")
# Text, which re compiles and keeps where it is used: most plans have no compile cache.
_BUCKET = r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]"
_REGION = r"[A-Za-z0-9-]+"
_SEGMENT = r"[A-Za-z0-9._=+@-]+"
_ENDPOINT = r"(?i:(https?)://)?((?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?)/?"
_ENTRY = r"(?:(.+)/)?([0-9a-f])/([0-9a-f])/([0-9a-f])/\2\3\4[0-9a-f]{29,}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CompileCache:
    """Where compiled objects are kept.  Holds no secret.

    Attributes:
        kind: ``s3``, or ``local`` for a cache mount of BuildKit.
        bucket: Name of the bucket; empty for ``local``.
        region: Its region; empty for ``local``.
        endpoint: Host and port of a server that is not AWS, without a scheme.
        prefix: Where in the bucket, without slashes at the ends; empty is the whole bucket.
        use_ssl: Whether *endpoint* is asked by TLS.  AWS always is.
        read_only: Whether nothing may be written.
        optional: Whether a build goes on without the cache when the preflight fails.
    """

    kind: Kind = "s3"
    bucket: str = ""
    region: str = ""
    endpoint: str = ""
    prefix: str = ""
    use_ssl: bool = True
    read_only: bool = False
    optional: bool = False

    @property
    def address(self) -> str:
        """The URL of the endpoint; empty for AWS."""
        return f"{'https' if self.use_ssl else 'http'}://{self.endpoint}" if self.endpoint else ""

    @property
    def on_loopback(self) -> bool:
        """Whether the endpoint is this machine's own, which steps see on its network only."""
        host = re.sub(r":\d+$", "", self.endpoint).strip("[]").rstrip(".").lower()
        if host == "localhost" or host.endswith(".localhost"):
            return True
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        return address.is_loopback or address.is_unspecified


def s3_cache(
    *,
    bucket: str,
    region: str,
    endpoint: str = "",
    prefix: str = "",
    use_ssl: bool | None = None,
    read_only: bool = False,
    optional: bool = False,
) -> CompileCache:
    """A cache in S3, its parts checked.

    Args:
        bucket: Name of the bucket.
        region: Region of the bucket.
        endpoint: ``host``, ``host:port`` or ``http://host:port``; empty for AWS.
        prefix: Where in the bucket; slashes at the ends do not matter.
        use_ssl: ``None`` takes the scheme of *endpoint*, and TLS where it has none.
        read_only: See ``CompileCache``.
        optional: See ``CompileCache``.

    Raises:
        RequestError: A part is missing or malformed.
    """
    if not bucket:
        raise RequestError(
            "the compile cache has no bucket", hint="--bucket NAME, or SCCACHE_BUCKET"
        )
    if not re.fullmatch(_BUCKET, bucket):
        raise RequestError(
            f"'{bucket}' is no name of a bucket",
            hint="only the name is meant, without s3:// and without a path",
        )
    if not region:
        raise RequestError(
            f"the compile cache in bucket {bucket} has no region",
            hint="--region NAME, or SCCACHE_REGION; a server without regions takes us-east-1",
        )
    if not re.fullmatch(_REGION, region):
        raise RequestError(f"'{region}' is no name of a region", hint="such as us-east-1")
    host, scheme = _endpoint(endpoint)
    if use_ssl is None:
        use_ssl = scheme != "http"
    prefix = prefix.strip("/")
    for segment in prefix.split("/") if prefix else ():
        if not re.fullmatch(_SEGMENT, segment) or segment in (".", ".."):
            raise RequestError(
                f"'{prefix}' is no prefix of a compile cache",
                hint="names of letters, digits and . _ = + @ - with single slashes between them",
            )
    return CompileCache(
        bucket=bucket,
        region=region,
        endpoint=host,
        prefix=prefix,
        use_ssl=use_ssl,
        read_only=read_only,
        optional=optional,
    )


def _endpoint(text: str) -> tuple[str, str]:
    """Host with port, and scheme."""
    if not text:
        return "", ""
    if "@" in text:
        # The text is not shown: it may hold a password.
        raise RequestError(
            "the endpoint of the compile cache must not hold credentials",
            hint="they come from the standard AWS chain",
        )
    found = re.fullmatch(_ENDPOINT, text)
    if not found:
        raise RequestError(
            f"'{text}' is no endpoint of a compile cache",
            hint="HOST, HOST:PORT or http://HOST:PORT, without a path",
        )
    return found[2].lower(), (found[1] or "").lower()


def resolve(
    *,
    flags: Mapping[str, str | None],
    args: Mapping[str, str],
    env: Mapping[str, str],
    use_ssl: bool | None = None,
    read_only: bool = False,
    optional: bool = False,
) -> CompileCache:
    """The cache in S3 that flags, build arguments and sccache's own variables name.

    Args:
        flags: ``bucket``, ``region``, ``endpoint``, ``prefix``; ``None`` or missing is unsaid.
        args: The build arguments; an empty one is unsaid, unlike an empty flag.
        env: The environment.
        use_ssl: What the command line says, ``None`` for nothing.
        read_only: See ``CompileCache``.
        optional: See ``CompileCache``.

    Raises:
        RequestError: A part is missing or malformed.
    """
    names = {
        "bucket": ("SCCACHE_BUCKET", "SCCACHE_BUCKET"),
        "region": ("SCCACHE_REGION", "SCCACHE_REGION"),
        "endpoint": ("SCCACHE_ENDPOINT", "SCCACHE_ENDPOINT"),
        "prefix": ("SCCACHE_PREFIX", "SCCACHE_S3_KEY_PREFIX"),
    }
    found = {
        part: said if (said := flags.get(part)) is not None else args.get(arg) or env.get(own, "")
        for part, (arg, own) in names.items()
    }
    if not found["region"] and flags.get("region") is None:
        found["region"] = env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION", "")
    # An endpoint on the command line is not the one that the variable was set for.
    if use_ssl is None and not flags.get("endpoint"):
        use_ssl = _ssl(args.get("SCCACHE_S3_USE_SSL") or env.get("SCCACHE_S3_USE_SSL", ""))
    return s3_cache(**found, use_ssl=use_ssl, read_only=read_only, optional=optional)


def _ssl(word: str) -> bool | None:
    if not word:
        return None
    if word.lower() not in (*_TRUE, *_FALSE):
        raise RequestError(
            f"'{word}' is neither true nor false",
            origin="SCCACHE_S3_USE_SSL",
            hint=f"sccache takes {', '.join((*_TRUE, *_FALSE))}",
        )
    return word.lower() in _TRUE


def obeys_read_only(version: str) -> bool:
    """Whether an sccache of this version (``v0.8.2``) writes nothing to a read-only S3 cache.

    The mode came with 0.16.0.  Those before it write if the key may; there only a key that may
    not makes a cache read-only, and each miss is counted as a write error.
    """
    found = re.match(r"v?(\d+)\.(\d+)", version)
    return found is not None and (int(found[1]), int(found[2])) >= (0, 16)


def entry_prefix(key: str) -> str | None:
    """The prefix that sccache had when it wrote *key*; ``None`` for what it did not write.

    Its objects are ``PREFIX/a/b/c/abc…``: three single letters of a hash, then the hash.
    """
    found = re.fullmatch(_ENTRY, key)
    return (found[1] or "") if found else None
