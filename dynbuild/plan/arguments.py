"""The values of an image's arguments: layers, and what the request makes of them.  Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping
from pathlib import Path

from dynbuild import names
from dynbuild.errors import RequestError
from dynbuild.plan import stages
from dynbuild.plan.matrix import Choice, dynamo_wheels
from dynbuild.plan.trtllm import decision
from dynbuild.plan.trtllm.intent import FLAGS, Intent, WheelRequest
from dynbuild.plan.version import Version
from dynbuild.sccache import cache as compile_cache
from dynbuild.sccache.cache import CompileCache
from dynbuild.settings import environment, layers, load
from dynbuild.settings.layers import Origin, Setting
from dynbuild.settings.load import Settings
from dynbuild.settings.models import PASSED_THROUGH

SWITCHES = (
    "ENABLE_KVBM",
    "ENABLE_GPU_MEMORY_SERVICE",
    "ENABLE_MEDIA_NIXL",
    "ENABLE_MEDIA_FFMPEG",
)
"""Arguments that are true or false."""


ROOT = "0"


IMAGE_UID = "1000"
"""The uid of dynamo in every image (facts: runtime rules)."""


def of(
    config: Settings, choice: Choice, version: Version, *, uid: int, gid: int
) -> dict[str, Setting]:
    """Every argument's value for the images of *choice*.

    Args:
        config: The settings.
        choice: What is asked for.
        version: What git says.
        uid: The caller's user id.
        gid: The caller's group id.

    Raises:
        RequestError: A value cannot be used, or two flags contradict each other.
    """
    values = load.args_of(config, choice.framework, choice.device, choice.cuda)
    _, number = dynamo_wheels(config)
    if number:
        origin = config.origin("request", "dynamo_wheels")
        _replace(values, "DYNAMO_VERSION", Setting(number, origin))
    if not values["DYNAMO_COMMIT_SHA"].value:
        values["DYNAMO_COMMIT_SHA"] = Setting(version.commit, version.commit_origin)
    _identity(config, values, uid, gid)
    _follow_base(values)
    for arg in SWITCHES:
        values[arg] = Setting(_switch(arg, values[arg]), values[arg].origin)
    for arg, setting in values.items():
        # Control characters, line and paragraph separators, lone surrogates.
        if any(unicodedata.category(char) in ("Cc", "Zl", "Zp", "Cs") for char in setting.value):
            raise RequestError(
                f"the value of {arg} has a line break or a control character",
                origin=str(setting.origin),
            )
        composed = unicodedata.normalize("NFC", setting.value)
        if setting.value != composed.removeprefix("\ufeff"):
            raise RequestError(
                f"the value of {arg} has characters that docker buildx bake would change",
                origin=str(setting.origin),
                hint="write it in Unicode's composed form (NFC), without a byte order mark",
            )
    return values


def _identity(config: Settings, values: dict[str, Setting], uid: int, gid: int) -> None:
    """The user of local-dev: as given, else the caller; root's own uid can be nobody else's."""
    request = config.catalog.request
    for key, arg, own in (("uid", "USER_UID", uid), ("gid", "USER_GID", gid)):
        given = getattr(request, key)
        if given is not None:
            _replace(values, arg, Setting(str(given), config.origin("request", key)))
        elif not values[arg].value:
            values[arg] = Setting(str(own), Origin("machine", f"{key} of the caller"))
        if not re.fullmatch(r"0|[1-9][0-9]{0,9}", values[arg].value):
            raise RequestError(
                f"{arg} is '{values[arg].value}', which is no {key}",
                origin=str(values[arg].origin),
            )
    chosen = values["USER_UID"]
    if chosen.value != ROOT:
        return
    if chosen.origin.layer != "machine":
        raise RequestError(
            "uid 0 is root's: the user of local-dev cannot have it",
            origin=str(chosen.origin),
            hint="give the uid of the person who will use the image",
        )
    values["USER_UID"] = Setting(IMAGE_UID, Origin("machine", "the caller is root"))


def _follow_base(values: dict[str, Setting]) -> None:
    """NVIDIA's PyTorch is the base of trtllm as well: given one of them, the other follows."""
    for arg in stages.BASE:
        base, pytorch = values[arg], values[f"PYTORCH_{arg}"]
        if base.origin.layer != "catalog" and pytorch.origin.layer == "catalog":
            values[f"PYTORCH_{arg}"] = Setting(base.value, Origin("derived", arg))


def _switch(arg: str, setting: Setting) -> str:
    """``true`` or ``false``: the templates' shells know no other spelling."""
    text = str(setting.value).lower() or "false"
    if text not in ("true", "false"):
        raise RequestError(
            f"{arg} is '{setting.value}'",
            origin=str(setting.origin),
            hint="it is 'true' or 'false'",
        )
    return text


def _replace(values: dict[str, Setting], arg: str, setting: Setting) -> None:
    """Let a request stand for the argument it sets, unless a higher layer set that itself.

    Raises:
        RequestError: Both are flags, and they differ.
    """
    own = values[arg]
    if layers.rank(own.origin) > layers.rank(setting.origin):
        return
    both = own.origin.layer == setting.origin.layer == "flag"
    if both and own.value != setting.value:
        raise RequestError(
            f"{arg} is given twice: '{own.value}' and '{setting.value}'",
            origin=f"{own.origin}, {setting.origin}",
            hint="drop one of them",
        )
    values[arg] = setting


def compile_cache_of(config: Settings, values: dict[str, Setting]) -> CompileCache | None:
    """The compile cache that is asked for; its arguments go into *values*."""
    request = config.catalog.request
    kind = request.use_sccache
    origin = config.origin("request", "use_sccache")
    if not kind:
        return None
    values["USE_SCCACHE"] = Setting("true", origin)
    if kind == "local":
        return CompileCache(kind="local", optional=request.sccache_optional)
    missing = [
        flag
        for flag, arg in (
            ("--sccache-bucket", "SCCACHE_BUCKET"),
            ("--sccache-region", "SCCACHE_REGION"),
        )
        if not values[arg].value
    ]
    if missing:
        raise RequestError(
            f"the compile cache in S3 needs {' and '.join(missing)}",
            origin=str(origin),
            hint="or --use-sccache=local keeps it in this engine",
        )
    cache = compile_cache.resolve(
        flags={},
        args={arg: str(setting.value) for arg, setting in values.items()},
        env={},
        read_only=request.sccache_read_only,
        optional=request.sccache_optional,
    )
    # An endpoint may have been written with its scheme; sccache wants them apart.
    own = values["SCCACHE_ENDPOINT"].origin
    values["SCCACHE_ENDPOINT"] = Setting(cache.endpoint, own)
    ssl = "" if not cache.endpoint else "on" if cache.use_ssl else "off"
    values["SCCACHE_S3_USE_SSL"] = Setting(ssl, values["SCCACHE_S3_USE_SSL"].origin)
    values["SCCACHE_PREFIX"] = Setting(cache.prefix, values["SCCACHE_PREFIX"].origin)
    if cache.read_only:
        read_only = config.origin("request", "sccache_read_only")
        values["SCCACHE_S3_RW_MODE"] = Setting("READ_ONLY", read_only)
    return cache


def unheeded_read_only(values: Mapping[str, Setting]) -> list[str]:
    """The warning that this sccache does not heed a read-only cache, if that is so."""
    version = values["SCCACHE_VERSION"].value
    if compile_cache.obeys_read_only(version):
        return []
    return [
        f"sccache {version} knows no read-only S3 and writes what the key may: "
        "use a key that may only read, or SCCACHE_VERSION 0.16 or newer"
    ]


def trtllm_wheel(
    config: Settings, asked: Choice, context: Path, values: dict[str, Setting]
) -> Intent | None:
    """Where TensorRT-LLM's wheel comes from; what that sets goes into *values*."""
    request = config.catalog.request
    given = {
        name: (
            getattr(request, f"tensorrtllm_{field}"),
            config.origin("request", f"tensorrtllm_{field}"),
        )
        for name, field in (
            ("wheel_dir", "pip_wheel_dir"),
            ("commit", "commit"),
            ("pip_wheel", "pip_wheel"),
            ("index_url", "index_url"),
            ("git_url", "git_url"),
        )
    }
    if asked.framework != "trtllm" or config.catalog.frameworks["trtllm"].engine != "stage":
        for name, (value, origin) in given.items():
            if value and origin.layer == "flag":
                raise RequestError(
                    f"{FLAGS[name]} is for the framework trtllm, not for {asked.framework}",
                    origin=str(origin),
                    hint="add --framework trtllm, or drop it",
                )
        return None
    wheel = WheelRequest(
        origins={name: origin for name, (value, origin) in given.items() if value},
        **{name: value for name, (value, _) in given.items()},
    )
    intent = decision.decide(
        wheel,
        arch_list=[names.architecture(platform) for platform in asked.platforms],
        default_spec=values["TENSORRTLLM_PIP_WHEEL"],
        default_index=values["TENSORRTLLM_INDEX_URL"],
        nixl_ref=str(values["NIXL_REF"].value),
        abi_incompatible=config.catalog.tensorrt_llm.abi_incompatible,
        release_image=config.catalog.tensorrt_llm.release_image,
        source=context,
        builds=context / ".dynbuild" / "trtllm-wheels",
    )
    for arg, setting in intent.args.items():
        # What follows from the intent gives way to what a higher layer set by name.
        own = values[arg].origin
        if own.layer == "catalog" or layers.rank(setting.origin) >= layers.rank(own):
            values[arg] = setting
    return intent


def unused(values: Mapping[str, Setting], used: Collection[str]) -> list[str]:
    """Warn of arguments that were set for this build and reach no stage of it."""
    return [
        f"{arg} ({setting.origin}) is used by no stage of this image"
        for arg, setting in values.items()
        if setting.origin.layer in ("flag", "environment")
        and arg not in used
        and arg not in PASSED_THROUGH
        and setting.origin.source not in environment.SCCACHE_VARIABLES
    ]
