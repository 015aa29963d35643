"""``dynbuild sccache``: the bucket of the compile cache."""

from __future__ import annotations

import dataclasses
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer

from dynbuild import units
from dynbuild.cli import console, trust
from dynbuild.cli.parameters import Invocation, with_options
from dynbuild.cli.request import settings_of
from dynbuild.errors import NotReady
from dynbuild.settings import cache_options, request_options
from dynbuild.settings.option import Option, long

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

_FORMAT = Option(
    name="format",
    flags=("--format",),
    help="For people, or for programs.",
    choices=("table", "json"),
    default="table",
)


def _of_build(option: Option, name: str, help: str) -> Option:
    """An option of ``build`` under a shorter name; an empty one counts, so it is no setting."""
    return dataclasses.replace(option, name=name, flags=(long(name),), path=(), help=help, panel="")


_BUCKET = (
    _of_build(cache_options.BUCKET, "bucket", "Bucket."),
    _of_build(cache_options.REGION, "region", "Its region."),
    _of_build(cache_options.ENDPOINT, "endpoint", "A server that is not AWS."),
    _of_build(cache_options.PREFIX, "prefix", "Where in the bucket the cache is."),
    Option(
        name="no_ssl",
        kind="switch",
        switches=(("--no-ssl", True),),
        help="Ask the endpoint by plain HTTP.",
    ),
)
_PLACE = (
    dataclasses.replace(
        request_options.CONTEXT, help="Folder whose dynbuild.toml counts.", panel=""
    ),
    dataclasses.replace(request_options.CONFIG, help="Settings file; repeatable.", panel=""),
    trust.TRUST,
    _FORMAT,
)
_CHECK = (
    Option(
        name="read_only",
        kind="switch",
        switches=(("--read-only", True),),
        help="Write nothing; a key that may read is enough.",
    ),
    Option(
        name="expected",
        flags=("--for",),
        help="How long the credentials must last (default 1h).",
        metavar="TIME",
        default="1h",
    ),
)
_PRUNE = (
    Option(
        name="older_than",
        flags=("--older-than",),
        help="Delete what is older: 30d.",
        metavar="TIME",
    ),
    Option(
        name="max_size",
        flags=("--max-size",),
        help="Keep so much, the newest: 200G.",
        metavar="SIZE",
    ),
    Option(
        name="all_prefixes",
        kind="switch",
        switches=(("--all-prefixes", True),),
        help="Without a prefix: every cache in the bucket.",
    ),
    Option(
        name="dry_run",
        kind="switch",
        switches=(("--dry-run", True),),
        help="Only say what would be deleted.",
    ),
)


@app.command()
@with_options((*_BUCKET, *_CHECK, *_PLACE))
def check(invocation: Invocation) -> None:
    """Find out whether a build could use the cache: exit status 0, or 3 with what is wrong.

    Asks for the identity of the key, the bucket, its region, and writes, reads and deletes a
    small object below the prefix.  Clocks and the end of the credentials are compared too.

    Example: dynbuild sccache check --bucket ai-cache --region eu-central-1 --for 2h
    """
    from dynbuild.sccache.s3 import preflight

    cache = _cache(invocation)
    lasting = units.parse_time(invocation.text("expected") or "1h", origin="flag --for")
    findings = preflight.check(
        cache, os.environ, expected_seconds=lasting.total_seconds(), now=datetime.now(UTC)
    )
    if invocation.text("format") == "json":
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
    if invocation.text("format") == "table":
        done = (
            "listed and read"
            if invocation.switch("read_only")
            else "listed, written, read and deleted from"
        )
        console.out(f"{_name(cache)} can be {done}")


@app.command()
@with_options((*_BUCKET, *_PLACE))
def stats(invocation: Invocation) -> None:
    """Count objects and bytes in the bucket, by sub-prefix and age.

    Objects that are no entries of sccache are counted in the last line, as others.

    Example: dynbuild sccache stats --prefix team --format json
    """
    from dynbuild.sccache.s3 import bucket as objects

    cache = _cache(invocation)
    now = datetime.now(UTC)
    found = objects.figures(objects.listing(cache, os.environ), cache.prefix, now=now)
    if invocation.text("format") == "json":
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
@with_options((*_BUCKET, *_PRUNE, *_PLACE))
def prune(invocation: Invocation) -> None:
    """Delete old objects of the cache; never one outside the prefix, or not of sccache.

    Times are 45m, 12h, 30d or 4w; sizes are bytes, or 500M, 200G, 1.5T (powers of 1000).
    S3 does not know when an object was read last: the age is the one of its writing.

    Example: dynbuild sccache prune --prefix team --older-than 30d --max-size 200G --dry-run
    """
    from dynbuild.sccache.s3 import bucket as objects

    age, size = None, None
    if (text := invocation.text("older_than")) is not None:
        age = units.parse_time(text, origin="flag --older-than")
    if (text := invocation.text("max_size")) is not None:
        size = units.parse_size(text, origin="flag --max-size")
    cache = _cache(invocation)
    done = objects.prune(
        cache,
        os.environ,
        older_than=age,
        max_size=size,
        dry_run=invocation.switch("dry_run"),
        all_prefixes=invocation.switch("all_prefixes"),
        now=datetime.now(UTC),
    )
    if invocation.text("format") == "json":
        console.out_json(
            {"schema": 1, "cache": dataclasses.asdict(cache), **dataclasses.asdict(done)}
        )
        return
    verb = "would be deleted" if invocation.switch("dry_run") else "deleted"
    console.out(f"{_objects(done.deleted)} {verb}, {units.format_size(done.freed)}")
    others = f"; {_objects(done.others)} not of sccache" if done.others else ""
    console.out(f"{_objects(done.kept)} kept, {units.format_size(done.left)}{others}")


def _cache(invocation: Invocation) -> CompileCache:
    """The cache that flags, settings and sccache's variables name, in this order."""
    from dynbuild.sccache import cache as compile_cache

    parts = ("bucket", "region", "endpoint", "prefix")
    settings = settings_of(invocation)
    if settings.tree_file is not None:
        from dynbuild.settings.trust import of_build

        given = {f"args.SCCACHE_{part.upper()}" for part in parts if invocation.text(part)}
        asked = [
            one
            for one in of_build(settings, cache=True)
            if one.setting.startswith("args.SCCACHE_") and one.setting not in given
        ]
        trust.check(settings, asked, trust=invocation.switch("trust"))
    return compile_cache.resolve(
        flags={part: invocation.text(part) for part in parts},
        use_ssl=False if invocation.switch("no_ssl") else None,
        args=settings.catalog.args,
        env=os.environ,
        read_only=invocation.switch("read_only"),
    )


def _name(cache: CompileCache) -> str:
    where = f" at {cache.address}" if cache.endpoint else f" in {cache.region}"
    below = f", below {cache.prefix}/" if cache.prefix else ""
    return f"bucket {cache.bucket}{where}{below}"


def _objects(count: int) -> str:
    return "1 object" if count == 1 else f"{count} objects"
