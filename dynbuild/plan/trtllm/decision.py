"""Which way the TensorRT-LLM wheel comes, told before anything runs.

The rules are those of the script this replaces (facts: TRT-LLM wheel intent).
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

from dynbuild.addresses import secret_in
from dynbuild.errors import RequestError
from dynbuild.plan.trtllm import versions
from dynbuild.plan.trtllm.intent import FLAGS, SCRIPT, Intent, Kind, WheelRequest
from dynbuild.settings.layers import Origin, Setting

_Field: TypeAlias = Literal["wheel_dir", "commit", "pip_wheel", "index_url", "git_url"]

_GROUPS = (
    f"to download: {FLAGS['pip_wheel']}, optionally with {FLAGS['index_url']}",
    f"to take a wheel: {FLAGS['wheel_dir']}, with {FLAGS['commit']}",
    f"to build one: {FLAGS['git_url']}, with {FLAGS['commit']}; "
    f"{FLAGS['wheel_dir']} is then where it goes",
)


_COMMIT = re.compile("[0-9a-f]{7,64}")
_SHELL_WORD = re.compile(r"[\w./:@%+=,~-]+", re.ASCII)


def decide(
    request: WheelRequest,
    *,
    arch_list: Sequence[str],
    default_spec: Setting,
    default_index: Setting,
    nixl_ref: str,
    abi_incompatible: Collection[str],
    release_image: str,
    source: Path,
    builds: Path,
) -> Intent:
    """Tell the one intent that *request* means, with all that it needs.

    Args:
        request: What was asked for; local paths are absolute.
        arch_list: Architectures of the image, amd64 and arm64.
        default_spec: Requirement that is taken when nothing is asked for.
        default_index: Package index when none is asked for.
        nixl_ref: Git ref of NIXL, for the wheel script.
        abi_incompatible: Versions whose published wheels do not fit NGC's PyTorch; their
            wheels come from the release image.
        release_image: Repository of that image; the version is its tag.
        source: The build context, which has ``SCRIPT``.
        builds: Folder below which wheels are built when ``wheel_dir`` names none.

    Raises:
        RequestError: No intent or more than one, no git ref, more than one architecture
            for one wheel, or a value that is no such thing.
    """
    kind = _kind(request)
    _check_values(request)
    spec = default_spec
    if request.pip_wheel:
        spec = Setting(request.pip_wheel, request.origin("pip_wheel"))
    ref = _ref(request, kind, spec)
    if kind == "download":
        listed = versions.listed(versions.version_of(str(spec.value)), abi_incompatible)
        if listed:
            return _from_image(request, ref, spec, f"{release_image}:{listed}")
        return _from_index(request, ref, spec, default_index)
    source_flag: _Field = "git_url" if kind == "build" else "wheel_dir"
    intent = Intent(
        kind=kind,
        arch=_one_arch(request, source_flag, arch_list),
        ref=str(ref.value),
        args={
            "HAS_TRTLLM_CONTEXT": Setting("1", request.origin(source_flag)),
            "GITHUB_TRTLLM_COMMIT": ref,
        },
        context=request.wheel_dir,
        warnings=_index_unused(request, "nothing is downloaded"),
    )
    if kind == "install":
        return intent
    return _with_build(intent, request, nixl_ref=nixl_ref, source=source, builds=builds)


def _kind(request: WheelRequest) -> Kind:
    for name in ("git_url", "wheel_dir"):
        if request.pip_wheel and getattr(request, name):
            raise RequestError(
                f"{FLAGS[name]} and {FLAGS['pip_wheel']} exclude each other",
                origin=f"{request.origin(name)}, {request.origin('pip_wheel')}",
                details=_GROUPS,
                hint="drop one of them",
            )
    if request.git_url:
        return "build"
    if request.wheel_dir:
        return "install"
    if request.index_url and not request.pip_wheel:
        raise RequestError(
            f"{FLAGS['index_url']} says where to download from, but not what",
            origin=str(request.origin("index_url")),
            details=_GROUPS,
            hint=f"add {FLAGS['pip_wheel']} tensorrt-llm==VERSION",
        )
    return "download"


def _check_values(request: WheelRequest) -> None:
    for name, flag in FLAGS.items():
        value = getattr(request, name)
        if secret := secret_in(value):
            # The value itself is not repeated here.
            raise RequestError(
                f"{flag} has {secret.title} in its address",
                origin=str(request.origin(name)),
                hint="it would be seen by all: site.index_url is handed over as a secret, "
                "and git has credential helpers",
            )
        if value.startswith("-"):
            raise RequestError(
                f"{flag} has a value that starts with a dash: '{value}'",
                origin=str(request.origin(name)),
                hint="a program that gets it would take it for an option",
            )
    if request.index_url and not re.match("https?://", request.index_url):
        raise RequestError(
            f"'{request.index_url}' is no address of a package index",
            origin=str(request.origin("index_url")),
            hint="it starts with https://",
        )


def _ref(request: WheelRequest, kind: str, spec: Setting) -> Setting:
    if request.commit:
        return Setting(versions.normalise(request.commit), request.origin("commit"))
    if kind != "download":
        name: _Field = "git_url" if kind == "build" else "wheel_dir"
        raise RequestError(
            f"{FLAGS[name]} needs {FLAGS['commit']}: TensorRT-LLM's git ref is not known",
            origin=str(request.origin(name)),
            hint=f"add {FLAGS['commit']} with a commit, tag or branch",
        )
    version = versions.version_of(str(spec.value))
    if not version:
        raise RequestError(
            f"there is no version in '{spec.value}', so TensorRT-LLM's git ref is not known",
            origin=str(spec.origin),
            hint=f"write tensorrt-llm==VERSION, or add {FLAGS['commit']}",
        )
    return Setting(versions.normalise(version), Origin("derived", f"version in {spec.origin}"))


def _from_index(request: WheelRequest, ref: Setting, spec: Setting, index: Setting) -> Intent:
    if request.index_url:
        index = Setting(request.index_url, request.origin("index_url"))
    return Intent(
        kind="download",
        ref=str(ref.value),
        args={
            "HAS_TRTLLM_CONTEXT": Setting("0", spec.origin),
            "TENSORRTLLM_PIP_WHEEL": spec,
            "TENSORRTLLM_INDEX_URL": index,
            "GITHUB_TRTLLM_COMMIT": ref,
        },
    )


def _from_image(request: WheelRequest, ref: Setting, spec: Setting, image: str) -> Intent:
    return Intent(
        kind="download",
        ref=str(ref.value),
        args={
            "HAS_TRTLLM_CONTEXT": Setting("0", spec.origin),
            "TRTLLM_WHEEL_IMAGE": Setting(image, Origin("derived", f"ABI of {spec.value}")),
            "GITHUB_TRTLLM_COMMIT": ref,
        },
        warnings=_index_unused(request, f"the wheel that fits PyTorch comes from {image}"),
    )


def _index_unused(request: WheelRequest, reason: str) -> tuple[str, ...]:
    if not request.index_url:
        return ()
    return (f"{FLAGS['index_url']} ({request.origin('index_url')}) has no effect: {reason}",)


def _one_arch(request: WheelRequest, name: _Field, arch_list: Sequence[str]) -> str:
    if len(set(arch_list)) != 1:
        raise RequestError(
            f"{FLAGS[name]} gives a wheel for one architecture, but the image is for "
            f"{' and '.join(arch_list)}",
            origin=str(request.origin(name)),
            hint="build one platform after the other, or download the wheel",
        )
    return arch_list[0]


def _with_build(
    intent: Intent, request: WheelRequest, *, nixl_ref: str, source: Path, builds: Path
) -> Intent:
    # The same ref of another repository is another wheel.
    key = hashlib.sha256(f"{request.git_url}\n{intent.ref}".encode()).hexdigest()[:12]
    label = re.sub("[^0-9A-Za-z.]+", "-", intent.ref)[:40].strip("-.") or "ref"
    output = str(Path(request.wheel_dir or builds) / f"{intent.arch}-{label}-{key}")
    _check_script_word(FLAGS["commit"], intent.ref, request.origin("commit"))
    _check_script_word(FLAGS["git_url"], request.git_url, request.origin("git_url"))
    into = request.origin("wheel_dir") if request.wheel_dir else Origin("derived", "")
    _check_script_word("the folder to build the wheel in", output, into)
    warnings = intent.warnings
    if not (versions.is_version(intent.ref) or _COMMIT.fullmatch(intent.ref)):
        warnings += (
            f"'{intent.ref}' may be a branch, which moves on: a wheel that was built from it "
            f"before is taken again until {output} is removed",
        )
    words = {
        "-o": output,
        "-c": intent.ref,
        "-a": intent.arch,
        "-n": nixl_ref,
        "-u": request.git_url,
    }
    return dataclasses.replace(
        intent,
        context=output,
        command=(str(source / SCRIPT), *(word for pair in words.items() for word in pair)),
        output=output,
        stamp=f"{intent.arch}_{intent.ref}",
        warnings=warnings,
    )


def _check_script_word(name: str, value: str, origin: Origin) -> None:
    """Refuse what the script's own shell would split or expand: it has ``rm -rf $OUTPUT_DIR``."""
    if not _SHELL_WORD.fullmatch(value):
        raise RequestError(
            f"{SCRIPT} cannot handle {name} '{value}'",
            origin=str(origin),
            hint="it has a character that a shell would split or expand, such as a blank",
        )
