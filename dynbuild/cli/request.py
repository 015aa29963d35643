"""The flags that describe what to build, shared by build, plan and render.

Each flag is declared once: its name, its help and the setting it sets. What it says
becomes the highest layer of settings; nothing goes around the layers.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from dynbuild import names
from dynbuild.errors import RequestError
from dynbuild.settings.layers import KeyPath, Origin, Setting

IMAGE = "What to build"
VALUES = "Values"
INPUTS = "Inputs"
CACHE = "Compile cache and build cache"
OUTPUT = "Output"


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag.

    Attributes:
        name: Parameter of the command.
        annotation: Its type with its ``typer.Option``.
        path: The setting it sets.
        spelling: How it is written.
        value: What a switch sets; ``None`` for flags that take a value.
    """

    name: str
    annotation: Any
    path: KeyPath
    spelling: str
    value: bool | None = None


def _text(spelling: str, path: KeyPath, help: str, panel: str, metavar: str, **more: Any) -> Flag:
    option = typer.Option(
        spelling,
        help=help,
        rich_help_panel=panel,
        metavar=metavar,
        show_default=False,
        callback=_no_flag,
        **more,
    )
    name = spelling.lstrip("-").replace("-", "_")
    return Flag(name, Annotated[str | None, option], path, spelling)


def _no_flag(value: str | None, param: typer.CallbackParam) -> str | None:
    """Refuse a flag that was taken for the value of the one before it."""
    if value is not None and value.startswith("--"):
        raise RequestError(
            f"{param.opts[0]} has no value: '{value}' comes after it",
            hint=f"a value that starts with dashes is written {param.opts[0]}={value}"
            if not value.removeprefix("--").replace("-", "").isalpha()
            else None,
        )
    return value


def _switch(
    spelling: str, path: KeyPath, help: str, panel: str, *, value: bool = True, hidden: bool = False
) -> Flag:
    option = typer.Option(
        spelling, help=help, rich_help_panel=panel, show_default=False, hidden=hidden
    )
    name = spelling.lstrip("-").replace("-", "_")
    return Flag(name, Annotated[bool, option], path, spelling, value)


def _both(spelling: str, path: KeyPath, help: str, panel: str) -> tuple[Flag, Flag]:
    """A switch and its opposite; the help has room for the one that changes the default."""
    no = f"--no-{spelling.removeprefix('--')}"
    if spelling.startswith("--no-"):
        yes = f"--{spelling.removeprefix('--no-')}"
        return (
            _switch(spelling, path, help, panel, value=False),
            _switch(yes, path, help, panel, hidden=True),
        )
    return (
        _switch(spelling, path, f"{help} (also --no-…)", panel),
        _switch(no, path, help, panel, value=False, hidden=True),
    )


def _list(spelling: str, path: KeyPath, help: str, panel: str, metavar: str) -> Flag:
    option = typer.Option(
        spelling, help=help, rich_help_panel=panel, metavar=metavar, show_default=False
    )
    name = spelling.lstrip("-").replace("-", "_")
    return Flag(name, Annotated[list[str] | None, option], path, spelling)


FLAGS = (
    _text("--framework", ("request", "framework"), "vllm, trtllm, sglang or none.", IMAGE, "NAME"),
    _text(
        "--target",
        ("request", "target"),
        "Stage that becomes the image: runtime, dev, …",
        IMAGE,
        "STAGE",
    ),
    _text("--device", ("request", "device"), "cuda or cpu.", IMAGE, "NAME"),
    _text(
        "--release-line",
        ("request", "release_line"),
        "Versions of Dynamo's line: 0.9.0, next.",
        IMAGE,
        "NAME",
    ),
    _text(
        "--cuda-version",
        ("request", "cuda_version"),
        "CUDA version, such as 13.0.",
        IMAGE,
        "VERSION",
    ),
    _list(
        "--platform", ("request", "platform"), "linux/amd64, linux/arm64, or both.", IMAGE, "LIST"
    ),
    _text(
        "--repository",
        ("request", "repository"),
        "Name of the image, with its registry.",
        IMAGE,
        "NAME",
    ),
    _text(
        "--tag", ("request", "tag"), "Image reference in place of the derived one.", IMAGE, "REF"
    ),
    *_both("--no-tag-latest", ("request", "tag_latest"), "No latest-… tag.", IMAGE),
    *_both("--make-efa", ("request", "make_efa"), "Also the image with AWS's EFA.", IMAGE),
    *_both("--build-epp", ("request", "build_epp"), "Frontend: make its EPP first.", IMAGE),
    _text("--uid", ("request", "uid"), "User id of local-dev.", IMAGE, "NUMBER"),
    _text("--gid", ("request", "gid"), "Group id of local-dev.", IMAGE, "NUMBER"),
    _text("--base-image", ("args", "BASE_IMAGE"), "Base image.", VALUES, "NAME"),
    _text("--base-image-tag", ("args", "BASE_IMAGE_TAG"), "Its tag.", VALUES, "TAG"),
    _text("--nixl-ref", ("args", "NIXL_REF"), "Git ref of NIXL.", VALUES, "REF"),
    _text("--epp-image", ("args", "EPP_IMAGE"), "Endpoint picker of frontend.", VALUES, "REF"),
    _text("--efa-version", ("args", "EFA_VERSION"), "AWS EFA installer.", VALUES, "VERSION"),
    _text("--vllm-max-jobs", ("args", "MAX_JOBS"), "Compile jobs of vLLM.", VALUES, "NUMBER"),
    *_both("--enable-kvbm", ("args", "ENABLE_KVBM"), "KV cache block manager.", VALUES),
    *_both(
        "--enable-gpu-memory-service",
        ("args", "ENABLE_GPU_MEMORY_SERVICE"),
        "GPU memory service.",
        VALUES,
    ),
    *_both(
        "--enable-media-nixl",
        ("args", "ENABLE_MEDIA_NIXL"),
        "Media decoding into NIXL memory.",
        VALUES,
    ),
    *_both(
        "--enable-media-ffmpeg",
        ("args", "ENABLE_MEDIA_FFMPEG"),
        "Media decoding by FFmpeg.",
        VALUES,
    ),
    _text(
        "--tensorrtllm-pip-wheel",
        ("request", "tensorrtllm_pip_wheel"),
        "Download this wheel of TensorRT-LLM.",
        VALUES,
        "SPEC",
    ),
    _text(
        "--tensorrtllm-index-url",
        ("request", "tensorrtllm_index_url"),
        "Index that has it.",
        VALUES,
        "URL",
    ),
    _text(
        "--tensorrtllm-pip-wheel-dir",
        ("request", "tensorrtllm_pip_wheel_dir"),
        "Or install it from this folder.",
        VALUES,
        "DIR",
    ),
    _text(
        "--tensorrtllm-git-url",
        ("request", "tensorrtllm_git_url"),
        "Or build it from this repository.",
        VALUES,
        "URL",
    ),
    _text(
        "--tensorrtllm-commit",
        ("request", "tensorrtllm_commit"),
        "Git ref of that wheel.",
        VALUES,
        "REF",
    ),
    _list("--build-arg", ("args",), "Any build argument; repeatable.", VALUES, "NAME=VALUE"),
    _text(
        "--dynamo-wheels",
        ("request", "dynamo_wheels"),
        "'source', or published ones: index, index==0.9.0.",
        INPUTS,
        "WAY",
    ),
    _list(
        "--source",
        ("sources",),
        "Build a component from this tree; repeatable.",
        INPUTS,
        "NAME=PATH",
    ),
    _list(
        "--build-context", ("contexts",), "Named build context; repeatable.", INPUTS, "NAME=PATH"
    ),
    _text(
        "--use-sccache",
        ("request", "use_sccache"),
        "Compile cache: s3 (what the bare flag means) or local.",
        CACHE,
        "[=KIND]",
    ),
    _text("--sccache-bucket", ("args", "SCCACHE_BUCKET"), "Its bucket.", CACHE, "NAME"),
    _text("--sccache-region", ("args", "SCCACHE_REGION"), "The bucket's region.", CACHE, "NAME"),
    _text(
        "--sccache-endpoint",
        ("args", "SCCACHE_ENDPOINT"),
        "A server that is not AWS.",
        CACHE,
        "HOST:PORT",
    ),
    _text(
        "--sccache-prefix",
        ("args", "SCCACHE_PREFIX"),
        "Where in the bucket; the architecture follows.",
        CACHE,
        "TEXT",
    ),
    _switch(
        "--sccache-no-ssl",
        ("args", "SCCACHE_S3_USE_SSL"),
        "That server has no TLS.",
        CACHE,
        value=False,
    ),
    *_both(
        "--sccache-read-only",
        ("request", "sccache_read_only"),
        "Read it only.",
        CACHE,
    ),
    *_both(
        "--sccache-optional",
        ("request", "sccache_optional"),
        "Without it, build all the same.",
        CACHE,
    ),
    _text(
        "--cache",
        ("request", "cache"),
        "Build cache: registry[=REF], s3, local=DIR, gha.",
        CACHE,
        "KIND",
    ),
    _text("--network", ("request", "network"), "Of build steps: default or host.", OUTPUT, "NAME"),
    _switch("--no-cache", ("request", "no_cache"), "Run every step anew.", OUTPUT),
    _list("--cache-from", ("request", "cache_from"), "Cache to read; repeatable.", CACHE, "SPEC"),
    _list("--cache-to", ("request", "cache_to"), "Cache to write; repeatable.", CACHE, "SPEC"),
)

_PLACES = (
    (
        "context",
        Annotated[
            Path,
            typer.Option("--context", help="Folder of Dynamo's source.", rich_help_panel=INPUTS),
        ],
        Path(),
    ),
    (
        "config",
        Annotated[
            list[Path] | None,
            typer.Option(
                "--config",
                help="Settings file laid over the catalog; repeatable.",
                rich_help_panel=INPUTS,
                metavar="FILE",
                show_default=False,
            ),
        ],
        None,
    ),
    (
        "templates",
        Annotated[
            str | None,
            typer.Option(
                "--templates",
                help="Folder of templates in place of dynbuild's.",
                rich_help_panel=INPUTS,
                metavar="DIR",
                show_default=False,
                envvar="DYNBUILD_TEMPLATES",
            ),
        ],
        None,
    ),
    (
        "load",
        Annotated[
            bool | None,
            typer.Option(
                "--load/--no-load",
                help="Load the image into the engine (default).",
                rich_help_panel=OUTPUT,
                show_default=False,
            ),
        ],
        None,
    ),
    (
        "push",
        Annotated[
            bool,
            typer.Option(
                "--push",
                help="Push the image to its registry instead.",
                rich_help_panel=OUTPUT,
                show_default=False,
            ),
        ],
        False,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the command line says.

    Attributes:
        flags: The layer of settings it makes.
        context: The build context.
        overlays: Files given by ``--config``.
        templates: Folder given by ``--templates``.
    """

    flags: Mapping[KeyPath, Setting]
    context: Path
    overlays: tuple[Path, ...]
    templates: str | None


def with_request(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give *command* all request flags; it gets them as one ``Asked``, its first argument."""
    own = inspect.signature(command, eval_str=True)
    kept = list(own.parameters.values())[1:]
    keyword = inspect.Parameter.KEYWORD_ONLY
    shared = [
        inspect.Parameter(
            flag.name,
            keyword,
            default=None if flag.value is None else False,
            annotation=flag.annotation,
        )
        for flag in FLAGS
    ]
    places = [
        inspect.Parameter(name, keyword, default=default, annotation=annotation)
        for name, annotation, default in _PLACES
    ]

    @functools.wraps(command)
    def wrapper(**given: Any) -> Any:
        asked = _asked({p.name: given.pop(p.name) for p in (*shared, *places)})
        return command(asked, **given)

    parameters = [*shared, *places, *(p.replace(kind=keyword) for p in kept)]
    wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {p.name: p.annotation for p in parameters}
    del wrapper.__wrapped__
    return wrapper


def _asked(given: Mapping[str, Any]) -> Asked:
    layer: dict[KeyPath, Setting] = {}
    for flag in FLAGS:
        value = given[flag.name]
        if value is None or value is False or value == []:
            continue
        if flag.value is not None:
            value = flag.value
        first = flag.spelling
        origin = Origin("flag", first)
        if flag.path[0] == "args":
            if isinstance(value, list):
                for item in value:
                    name, text = _pair(item, first)
                    layer["args", name] = Setting(text, Origin("flag", f"{first} {name}"))
            else:
                text = str(value).lower() if isinstance(value, bool) else value
                layer[flag.path] = Setting(text, origin)
        elif flag.path == ("sources",):
            for item in value:
                name, path = _pair(item, first)
                layer["sources", name, "kind"] = Setting("context", origin)
                layer["sources", name, "path"] = Setting(absolute(path), origin)
        elif flag.path == ("contexts",):
            for item in value:
                name, path = _pair(item, first)
                layer["contexts", name] = Setting(absolute(path), origin)
        elif flag.path[-1] == "tensorrtllm_pip_wheel_dir":
            layer[flag.path] = Setting(absolute(value), origin)
        elif flag.path[-1] in ("uid", "gid"):
            layer[flag.path] = Setting(_number(value, first), origin)
        else:
            layer[flag.path] = Setting(value, origin)
    output = _output(given["load"], push=given["push"])
    if output is not None:
        layer["request", "output"] = Setting(output[0], Origin("flag", output[1]))
    return Asked(
        flags=layer,
        context=given["context"],
        overlays=tuple(given["config"] or ()),
        templates=given["templates"],
    )


def _output(load: bool | None, *, push: bool) -> tuple[str, str] | None:
    if push and load:
        raise RequestError(
            "--push and --load exclude each other",
            hint="build twice: the second time everything comes from the cache",
        )
    if push:
        return "push", "--push"
    if load is None:
        return None
    return ("load", "--load") if load else ("none", "--no-load")


def _pair(text: str, flag: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise RequestError(f"{flag} takes NAME=VALUE, not '{text}'")
    return name, value


def _number(text: str, flag: str) -> int:
    if not text.isdecimal():
        raise RequestError(f"{flag} takes a number, not '{text}'")
    return int(text)


def absolute(path: str) -> str:
    """A local *path* made absolute; an address stays as it is."""
    return path if names.is_address(path) else os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111
