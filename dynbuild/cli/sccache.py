"""``dynbuild sccache``: the bucket of the compile cache."""

from __future__ import annotations

import dataclasses
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dynbuild import units
from dynbuild.cli import console
from dynbuild.errors import NotReady

if TYPE_CHECKING:
    from dynbuild.sccache.cache import CompileCache
    from dynbuild.sccache.s3.bucket import Figure

app = typer.Typer(
    add_completion=False,
    help="The compile cache in S3: check it, count it, delete what is old.\n\n"
    "Bucket and region come from flags, settings (SCCACHE_BUCKET, SCCACHE_REGION in [args]) and"
    " sccache's own variables, the rest from flags and those variables; credentials from the"
    " standard AWS chain.",
    no_args_is_help=True,
)

_Bucket = Annotated[
    str | None, typer.Option("--bucket", metavar="NAME", help="Bucket.", show_default=False)
]
_Region = Annotated[
    str | None, typer.Option("--region", metavar="NAME", help="Its region.", show_default=False)
]
_Endpoint = Annotated[
    str | None,
    typer.Option(
        "--endpoint", metavar="HOST:PORT", help="A server that is not AWS.", show_default=False
    ),
]
_Prefix = Annotated[
    str | None,
    typer.Option(
        "--prefix", metavar="PREFIX", help="Where in the bucket the cache is.", show_default=False
    ),
]
_NoSsl = Annotated[bool, typer.Option("--no-ssl", help="Ask the endpoint by plain HTTP.")]
_Context = Annotated[Path, typer.Option("--context", help="Folder whose dynbuild.toml counts.")]
_Config = Annotated[
    list[Path] | None,
    typer.Option("--config", metavar="FILE", help="Settings file; repeatable.", show_default=False),
]
_Format = Annotated[
    Literal["table", "json"], typer.Option("--format", help="For people, or for programs.")
]


@app.command()
def check(
    *,
    bucket: _Bucket = None,
    region: _Region = None,
    endpoint: _Endpoint = None,
    prefix: _Prefix = None,
    no_ssl: _NoSsl = False,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Write nothing; a key that may read is enough.")
    ] = False,
    expected: Annotated[
        str, typer.Option("--for", metavar="TIME", help="How long the credentials must last.")
    ] = "1h",
    context: _Context = Path(),
    config: _Config = None,
    format: _Format = "table",
) -> None:
    """Find out whether a build could use the cache: exit status 0, or 3 with what is wrong.

    Asks for the identity of the key, the bucket, its region, and writes, reads and deletes a
    small object below the prefix.  Clocks and the end of the credentials are compared too.

    Example: dynbuild sccache check --bucket ai-cache --region eu-central-1 --for 2h
    """
    from dynbuild.sccache.s3 import preflight

    cache = _cache(
        bucket=bucket,
        region=region,
        endpoint=endpoint,
        prefix=prefix,
        no_ssl=no_ssl,
        context=context,
        config=config,
        read_only=read_only,
    )
    seconds = units.parse_time(expected, origin="flag --for").total_seconds()
    findings = preflight.check(cache, os.environ, expected_seconds=seconds, now=datetime.now(UTC))
    if format == "json":
        console.out_json(
            {
                "schema": 1,
                "usable": not findings,
                "cache": dataclasses.asdict(cache),
                "findings": [dataclasses.asdict(finding) for finding in findings],
            }
        )
    if findings:
        first, *more = findings
        raise NotReady(
            first.message,
            hint=first.remedy,
            details=tuple(f"{finding.message} ({finding.remedy})" for finding in more),
        )
    if format == "table":
        done = "listed and read" if read_only else "listed, written, read and deleted from"
        console.out(f"{_name(cache)} can be {done}")


@app.command()
def stats(
    *,
    bucket: _Bucket = None,
    region: _Region = None,
    endpoint: _Endpoint = None,
    prefix: _Prefix = None,
    no_ssl: _NoSsl = False,
    context: _Context = Path(),
    config: _Config = None,
    format: _Format = "table",
) -> None:
    """Count objects and bytes in the bucket, by sub-prefix and age.

    Objects that are no entries of sccache are counted in the last line, as others.

    Example: dynbuild sccache stats --prefix team --format json
    """
    from dynbuild.sccache.s3 import bucket as objects

    cache = _cache(
        bucket=bucket,
        region=region,
        endpoint=endpoint,
        prefix=prefix,
        no_ssl=no_ssl,
        context=context,
        config=config,
    )
    now = datetime.now(UTC)
    found = objects.figures(objects.listing(cache, os.environ), cache.prefix, now=now)
    if format == "json":
        console.out_json(
            {
                "schema": 1,
                "cache": dataclasses.asdict(cache),
                "figures": [_plain(figure) for figure in found],
            }
        )
        return
    console.say(_name(cache))
    ages = [name for name, _ in objects.AGES]
    header = ("prefix", "objects", "size", *(f"< {name}" for name in ages), objects.OLDER)
    rows = [
        (
            (figure.prefix or ".") if figure.ours else "(others)",
            str(figure.objects),
            units.format_size(figure.bytes),
            *(units.format_size(figure.ages[name][1]) for name in (*ages, objects.OLDER)),
        )
        for figure in found
    ]
    if not rows:
        console.say("nothing is in it")
        return
    console.out_table(header, rows)


def _plain(figure: Figure) -> dict[str, object]:
    return {
        **dataclasses.asdict(figure),
        "oldest": figure.oldest.isoformat(),
        "newest": figure.newest.isoformat(),
        "ages": {
            name: {"objects": objects, "bytes": size}
            for name, (objects, size) in figure.ages.items()
        },
    }


@app.command()
def prune(
    *,
    bucket: _Bucket = None,
    region: _Region = None,
    endpoint: _Endpoint = None,
    prefix: _Prefix = None,
    no_ssl: _NoSsl = False,
    older_than: Annotated[
        str | None,
        typer.Option(
            "--older-than", metavar="TIME", help="Delete what is older: 30d.", show_default=False
        ),
    ] = None,
    max_size: Annotated[
        str | None,
        typer.Option(
            "--max-size", metavar="SIZE", help="Keep so much, the newest: 200G.", show_default=False
        ),
    ] = None,
    all_prefixes: Annotated[
        bool,
        typer.Option("--all-prefixes", help="Without a prefix: every cache in the bucket."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be deleted.")
    ] = False,
    context: _Context = Path(),
    config: _Config = None,
    format: _Format = "table",
) -> None:
    """Delete old objects of the cache; never one outside the prefix, or not of sccache.

    Times are 45m, 12h, 30d or 4w; sizes are bytes, or 500M, 200G, 1.5T (powers of 1000).
    S3 does not know when an object was read last: the age is the one of its writing.

    Example: dynbuild sccache prune --prefix team --older-than 30d --max-size 200G --dry-run
    """
    from dynbuild.sccache.s3 import bucket as objects

    age, size = None, None
    if older_than is not None:
        age = units.parse_time(older_than, origin="flag --older-than")
    if max_size is not None:
        size = units.parse_size(max_size, origin="flag --max-size")
    cache = _cache(
        bucket=bucket,
        region=region,
        endpoint=endpoint,
        prefix=prefix,
        no_ssl=no_ssl,
        context=context,
        config=config,
    )
    done = objects.prune(
        cache,
        os.environ,
        older_than=age,
        max_size=size,
        dry_run=dry_run,
        all_prefixes=all_prefixes,
        now=datetime.now(UTC),
    )
    if format == "json":
        console.out_json(
            {"schema": 1, "cache": dataclasses.asdict(cache), **dataclasses.asdict(done)}
        )
        return
    verb = "would be deleted" if dry_run else "deleted"
    console.out(f"{_objects(done.deleted)} {verb}, {units.format_size(done.freed)}")
    others = f"; {_objects(done.others)} not of sccache" if done.others else ""
    console.out(f"{_objects(done.kept)} kept, {units.format_size(done.left)}{others}")


def _cache(
    *,
    bucket: str | None,
    region: str | None,
    endpoint: str | None,
    prefix: str | None,
    no_ssl: bool,
    context: Path,
    config: list[Path] | None,
    read_only: bool = False,
) -> CompileCache:
    """The cache that flags, settings and sccache's variables name, in this order."""
    from dynbuild.sccache import cache as compile_cache
    from dynbuild.settings import load

    loaded = load.load(
        templates=load.templates_dir(os.environ.get("DYNBUILD_TEMPLATES")),
        overlays=load.overlays_of(context.expanduser().resolve(), config or ()),
        env=os.environ,
        flags={},
    )
    return compile_cache.resolve(
        flags={"bucket": bucket, "region": region, "endpoint": endpoint, "prefix": prefix},
        use_ssl=False if no_ssl else None,
        args=loaded.catalog.args,
        env=os.environ,
        read_only=read_only,
    )


def _name(cache: CompileCache) -> str:
    where = f" at {cache.address}" if cache.endpoint else f" in {cache.region}"
    below = f", below {cache.prefix}/" if cache.prefix else ""
    return f"bucket {cache.bucket}{where}{below}"


def _objects(count: int) -> str:
    return "1 object" if count == 1 else f"{count} objects"
