"""The compile cache that a build is asked for, and the arguments that it sets.  Pure."""

from __future__ import annotations

from dynbuild.errors import RequestError
from dynbuild.plan.decision import Decision, Values
from dynbuild.sccache import cache as sccache
from dynbuild.sccache.cache import CompileCache
from dynbuild.settings.layers import Setting
from dynbuild.settings.load import Settings


def of(config: Settings, values: Values) -> CompileCache | None:
    """The compile cache that is asked for; ``None`` where none is.

    Raises:
        RequestError: Its bucket, or another part, is missing or malformed.
    """
    request = config.catalog.request
    if not request.use_sccache:
        return None
    if request.use_sccache == "local":
        return CompileCache(kind="local", optional=request.sccache_optional)
    flags = (("--sccache-bucket", "SCCACHE_BUCKET"), ("--sccache-region", "SCCACHE_REGION"))
    missing = [flag for flag, arg in flags if not values[arg].value]
    if missing:
        raise RequestError(
            f"the compile cache in S3 needs {' and '.join(missing)}",
            origin=str(config.origin("request", "use_sccache")),
            hint="or --use-sccache=local keeps it in this engine",
        )
    return sccache.resolve(
        flags={},
        args={arg: str(setting.value) for arg, setting in values.items()},
        env={},
        read_only=request.sccache_read_only,
        optional=request.sccache_optional,
    )


def of_cache(config: Settings, values: Values, cache: CompileCache) -> Decision:
    """The arguments of a compile cache, in sccache's own words."""
    used = {"USE_SCCACHE": Setting("true", config.origin("request", "use_sccache"))}
    if cache.kind == "local":
        return Decision("fix", used)
    # An endpoint may have been written with its scheme; sccache wants them apart.
    ssl = "" if not cache.endpoint else "on" if cache.use_ssl else "off"
    parts = {
        "SCCACHE_ENDPOINT": Setting(cache.endpoint, values["SCCACHE_ENDPOINT"].origin),
        "SCCACHE_S3_USE_SSL": Setting(ssl, values["SCCACHE_S3_USE_SSL"].origin),
        "SCCACHE_PREFIX": Setting(cache.prefix, values["SCCACHE_PREFIX"].origin),
    }
    if cache.read_only:
        origin = config.origin("request", "sccache_read_only")
        parts["SCCACHE_S3_RW_MODE"] = Setting("READ_ONLY", origin)
    return Decision("fix", used | parts)


def unheeded_read_only(cache: CompileCache | None, values: Values) -> list[str]:
    """The warning that this sccache does not heed a read-only cache, if that is so."""
    version = values["SCCACHE_VERSION"].value
    if not (cache and cache.read_only and cache.kind == "s3") or sccache.obeys_read_only(version):
        return []
    return [
        f"sccache {version} knows no read-only S3 and writes what the key may: "
        "use a key that may only read, or SCCACHE_VERSION 0.16 or newer"
    ]
