"""The options of the compile cache and of the build cache: a part of those of a build."""

from __future__ import annotations

from dynbuild.settings.option import LINES, Option, on

CACHE = "Compile cache and build cache"

CACHE_SPECS = rf"{LINES}|,(?=type=|[^=,]+(?:,|$))"
"""What separates build caches: their own notation has commas too, before ``KEY=`` always."""

BUCKET = Option(
    name="sccache_bucket",
    flags=("--sccache-bucket",),
    path=("args", "SCCACHE_BUCKET"),
    help="Its bucket.",
    panel=CACHE,
    metavar="NAME",
    doc="the bucket of the compile cache",
)
REGION = Option(
    name="sccache_region",
    flags=("--sccache-region",),
    path=("args", "SCCACHE_REGION"),
    help="The bucket's region.",
    panel=CACHE,
    metavar="NAME",
    doc="the bucket's region",
)
ENDPOINT = Option(
    name="sccache_endpoint",
    flags=("--sccache-endpoint",),
    path=("args", "SCCACHE_ENDPOINT"),
    help="A server that is not AWS.",
    panel=CACHE,
    metavar="HOST:PORT",
    doc="a server that is not AWS",
)
PREFIX = Option(
    name="sccache_prefix",
    flags=("--sccache-prefix",),
    path=("args", "SCCACHE_PREFIX"),
    help="Where in the bucket; the architecture follows.",
    panel=CACHE,
    metavar="TEXT",
    doc="where in the bucket; the architecture follows",
)
NO_SSL = Option(
    name="sccache_no_ssl",
    kind="switch",
    switches=(("--sccache-no-ssl", "false"),),
    path=("args", "SCCACHE_S3_USE_SSL"),
    help="That server has no TLS.",
    panel=CACHE,
    doc="that server has no TLS",
)

CACHES = (
    Option(
        name="use_sccache",
        flags=("--use-sccache",),
        path=("request", "use_sccache"),
        bare="s3",
        help="Compile cache: s3 (what the bare flag means) or local.",
        panel=CACHE,
        metavar="[=KIND]",
        words=("s3", "local"),
        default="none",
        doc="the compile cache: s3, which the bare flag means, or local",
    ),
    BUCKET,
    REGION,
    ENDPOINT,
    PREFIX,
    NO_SSL,
    Option(
        name="sccache_read_only",
        kind="switch",
        switches=on("sccache_read_only"),
        path=("request", "sccache_read_only"),
        help="Read it only.",
        panel=CACHE,
        doc="the compile cache is not written",
    ),
    Option(
        name="sccache_optional",
        kind="switch",
        switches=on("sccache_optional"),
        path=("request", "sccache_optional"),
        help="Without it, build all the same.",
        panel=CACHE,
        doc="without the compile cache the build goes on",
    ),
    Option(
        name="cache",
        flags=("--cache",),
        path=("request", "cache"),
        help="Build cache: registry[=REF], s3, local=DIR, gha.",
        panel=CACHE,
        metavar="KIND",
        words=("registry", "s3", "local=", "gha"),
        default="none",
        doc="registry, local=DIR, s3, gha: see [caches](caches.md)",
    ),
    Option(
        name="cache_from",
        kind="list",
        flags=("--cache-from",),
        path=("request", "cache_from"),
        separator=CACHE_SPECS,
        help="Cache to read; repeatable.",
        panel=CACHE,
        metavar="SPEC",
        default="none",
        doc="cache to read, in BuildKit's own notation; repeatable",
    ),
    Option(
        name="cache_to",
        kind="list",
        flags=("--cache-to",),
        path=("request", "cache_to"),
        separator=CACHE_SPECS,
        help="Cache to write; repeatable.",
        panel=CACHE,
        metavar="SPEC",
        default="none",
        doc="cache to write, likewise",
    ),
)
