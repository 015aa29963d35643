"""Where the TensorRT-LLM wheel comes from: downloaded, given, or built from source.

``decide`` is pure; ``find_wheel`` and ``built_wheel`` look at a folder.  The rules are those
of the script this replaces (facts: TRT-LLM wheel intent), told before anything runs.
"""

from __future__ import annotations

import dataclasses
import filecmp
import hashlib
import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from dynbuild.errors import NotReady, RequestError
from dynbuild.settings.layers import Origin, Setting

CONTEXT = "trtllm_wheel"
"""Name of the build context that holds a given or built wheel."""

SCRIPT = "container/build_trtllm_wheel.sh"
"""The script that builds a wheel, below the build context."""

STAMP = "commit.txt"
"""What the script leaves beside the wheel: ``<arch>_<ref>``."""

ARGS = (
    "HAS_TRTLLM_CONTEXT",
    "TENSORRTLLM_PIP_WHEEL",
    "TENSORRTLLM_INDEX_URL",
    "TRTLLM_WHEEL_IMAGE",
    "GITHUB_TRTLLM_COMMIT",
)
"""The build arguments that ``decide`` may set."""

FLAGS = {
    "wheel_dir": "--tensorrtllm-pip-wheel-dir",
    "commit": "--tensorrtllm-commit",
    "pip_wheel": "--tensorrtllm-pip-wheel",
    "index_url": "--tensorrtllm-index-url",
    "git_url": "--tensorrtllm-git-url",
}
"""How each field of ``Wanted`` is written on the command line."""

_Field: TypeAlias = Literal["wheel_dir", "commit", "pip_wheel", "index_url", "git_url"]

_GROUPS = (
    f"to download: {FLAGS['pip_wheel']}, optionally with {FLAGS['index_url']}",
    f"to take a wheel: {FLAGS['wheel_dir']}, with {FLAGS['commit']}",
    f"to build one: {FLAGS['git_url']}, with {FLAGS['commit']}; "
    f"{FLAGS['wheel_dir']} is then where it goes",
)

_SEMVER = re.compile(r"v?(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*)){2}(?:[-+A-Za-z][0-9A-Za-z.-]+)?")
_COMMIT = re.compile("[0-9a-f]{7,64}")
_CREDENTIALS = re.compile(r"https?://[^/?#\s]*@|://[^/?#\s@:]*:[^/?#\s@]*@", re.IGNORECASE)
_SHELL_WORD = re.compile(r"[\w./:@%+=,~-]+", re.ASCII)
# https://packaging.python.org/specifications/binary-distribution-format: a version and a build
# tag start with a digit.
_WHEEL = re.compile(
    r"(?P<name>[^-]+)-(?P<version>[0-9][^-]*)(?:-(?P<build>[0-9][^-]*))?"
    r"-(?P<python>[^-]+)-(?P<abi>[^-]+)-(?P<platform>[^-]+)\.whl"
)
_DISTRIBUTION = "tensorrt_llm"
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What was asked for; an empty text was not given.

    Attributes:
        wheel_dir: Folder with the wheel; with *git_url* the folder to build in.
        commit: Commit, tag or branch of TensorRT-LLM.
        pip_wheel: Requirement that pip takes, such as ``tensorrt-llm==1.3.0``.
        index_url: Package index for it.
        git_url: Repository to build from.
        origins: Where each of these came from, by its name here.
    """

    wheel_dir: str = ""
    commit: str = ""
    pip_wheel: str = ""
    index_url: str = ""
    git_url: str = ""
    origins: Mapping[str, Origin] = field(default_factory=dict)

    def origin(self, name: str) -> Origin:
        """Where the field *name* came from; its flag, where nothing else is known."""
        return self.origins.get(name, Origin("flag", FLAGS[name]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What is done for the wheel.

    Attributes:
        kind: ``download``, ``install`` (a given wheel) or ``build`` (from source).
        arch: The architecture of a given or built wheel, amd64 or arm64; empty for download.
        ref: Git ref of TensorRT-LLM, normalised.
        args: Build arguments to set, a subset of ``ARGS``; no other of them is touched.
        context: Folder for the build context ``CONTEXT``; empty where there is none.
        command: The words that build the wheel; empty unless *kind* is ``build``.
        output: The folder that *command* writes to, which is also *context*.
        stamp: What ``STAMP`` says in *output* once the wheel is built.
        warnings: What was given and has no effect, and what may surprise.
    """

    kind: Literal["download", "install", "build"]
    arch: str = ""
    ref: str
    args: Mapping[str, Setting]
    context: str = ""
    command: tuple[str, ...] = ()
    output: str = ""
    stamp: str = ""
    warnings: tuple[str, ...] = ()


def decide(
    wanted: Wanted,
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
    """Tell the one intent that *wanted* means, with all that it needs.

    Args:
        wanted: What was asked for; local paths are absolute.
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
    kind = _kind(wanted)
    _check_values(wanted)
    spec = default_spec
    if wanted.pip_wheel:
        spec = Setting(wanted.pip_wheel, wanted.origin("pip_wheel"))
    ref = _ref(wanted, kind, spec)
    if kind == "download":
        index = default_index
        if wanted.index_url:
            index = Setting(wanted.index_url, wanted.origin("index_url"))
        listed = _listed(version_of(str(spec.value)), abi_incompatible)
        if listed:
            return _from_image(wanted, ref, spec, f"{release_image}:{listed}")
        args = {
            "HAS_TRTLLM_CONTEXT": Setting("0", spec.origin),
            "TENSORRTLLM_PIP_WHEEL": spec,
            "TENSORRTLLM_INDEX_URL": index,
            "GITHUB_TRTLLM_COMMIT": ref,
        }
        return Intent(kind=kind, ref=str(ref.value), args=args)
    source_flag: _Field = "git_url" if kind == "build" else "wheel_dir"
    intent = Intent(
        kind=kind,
        arch=_one_arch(wanted, source_flag, arch_list),
        ref=str(ref.value),
        args={
            "HAS_TRTLLM_CONTEXT": Setting("1", wanted.origin(source_flag)),
            "GITHUB_TRTLLM_COMMIT": ref,
        },
        context=wanted.wheel_dir,
        warnings=_index_unused(wanted, "nothing is downloaded"),
    )
    if kind == "install":
        return intent
    return _with_build(intent, wanted, nixl_ref=nixl_ref, source=source, builds=builds)


def is_version(ref: str) -> bool:
    """Whether *ref* looks like a semantic version, with or without ``v``."""
    return _SEMVER.fullmatch(ref) is not None


def normalise(ref: str) -> str:
    """*ref* with a ``v`` in front if it is a version; anything else as it is."""
    return f"v{ref}" if is_version(ref) and not ref.startswith("v") else ref


def version_of(spec: str) -> str:
    """The version in a requirement, without ``v``: what follows the last ``==``.

    Empty where that does not look like a version.
    """
    _, equals, rest = spec.rpartition("==")
    found = re.match(r"\s*([0-9A-Za-z.-]*)", rest)
    version = found[1] if equals and found else ""
    return version.removeprefix("v") if is_version(version) else ""


def find_wheel(folder: Path, *, arch: str, python_version: str) -> Path:
    """The one wheel of TensorRT-LLM below *folder* that fits.

    Copies of one file count once, the one nearest to *folder*: the wheel script leaves two.

    Args:
        folder: Searched at any depth, without following links.
        arch: amd64 or arm64.
        python_version: Such as ``3.12``.

    Raises:
        RequestError: No such folder, no fitting wheel, or several.
        NotReady: A folder cannot be read.
    """
    if not folder.is_dir():
        raise RequestError(
            f"there is no folder {folder} with a TensorRT-LLM wheel",
            hint=f"{FLAGS['wheel_dir']} names one",
        )
    python = re.match(r"([0-9]+)\.([0-9]+)", python_version)
    if python is None:
        raise RequestError(
            f"'{python_version}' is no version of Python that a wheel could be for",
            hint="PYTHON_VERSION is one such as 3.12",
        )
    wanted = (int(python[1]), int(python[2]))
    reasons = {path: _misfit(path, arch, wanted) for path in _wheels(folder)}
    fitting = _without_copies([path for path, reason in reasons.items() if not reason])
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise RequestError(
            f"{len(fitting)} wheels below {folder} fit {arch} and Python {python_version}",
            details=tuple(str(path.relative_to(folder)) for path in fitting),
            hint=f"leave one there, or let {FLAGS['wheel_dir']} name the folder of one",
        )
    raise RequestError(
        f"no TensorRT-LLM wheel below {folder} fits {arch} and Python {python_version}",
        details=tuple(f"{path.relative_to(folder)}: {reason}" for path, reason in reasons.items())
        or ("there is no .whl file at all",),
        hint=f"{FLAGS['git_url']} builds one, {FLAGS['pip_wheel']} downloads one",
    )


def built_wheel(intent: Intent, *, python_version: str) -> Path | None:
    """The wheel that an earlier build of the same *intent* left; ``None`` where none did.

    None is also the answer for an intent that builds nothing.  ``STAMP`` is the last thing
    that the script writes, so a folder without the right one holds no complete build.

    Raises:
        RequestError: The build is complete but has no fitting wheel, or several.
        NotReady: The folder cannot be read.
    """
    if not intent.output:
        return None
    folder = Path(intent.output)
    try:
        stamp = (folder / STAMP).read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise NotReady(f"{folder / STAMP} cannot be read: {error.strerror}") from error
    if stamp.strip() != intent.stamp:
        return None
    return find_wheel(folder, arch=intent.arch, python_version=python_version)


def _kind(wanted: Wanted) -> Literal["download", "install", "build"]:
    for name in ("git_url", "wheel_dir"):
        if wanted.pip_wheel and getattr(wanted, name):
            raise RequestError(
                f"{FLAGS[name]} and {FLAGS['pip_wheel']} exclude each other",
                origin=f"{wanted.origin(name)}, {wanted.origin('pip_wheel')}",
                details=_GROUPS,
                hint="drop one of them",
            )
    if wanted.git_url:
        return "build"
    if wanted.wheel_dir:
        return "install"
    if wanted.index_url and not wanted.pip_wheel:
        raise RequestError(
            f"{FLAGS['index_url']} says where to download from, but not what",
            origin=str(wanted.origin("index_url")),
            details=_GROUPS,
            hint=f"add {FLAGS['pip_wheel']} tensorrt-llm==VERSION",
        )
    return "download"


def _check_values(wanted: Wanted) -> None:
    for name, flag in FLAGS.items():
        value = getattr(wanted, name)
        if _CREDENTIALS.search(value):
            # The value itself is not repeated here.
            raise RequestError(
                f"{flag} has a user name or password in its address",
                origin=str(wanted.origin(name)),
                hint="it would be seen by all: site.index_url is handed over as a secret, "
                "and git has credential helpers",
            )
        if value.startswith("-"):
            raise RequestError(
                f"{flag} has a value that starts with a dash: '{value}'",
                origin=str(wanted.origin(name)),
                hint="a program that gets it would take it for an option",
            )
    if wanted.index_url and not re.match("https?://", wanted.index_url):
        raise RequestError(
            f"'{wanted.index_url}' is no address of a package index",
            origin=str(wanted.origin("index_url")),
            hint="it starts with https://",
        )


def _ref(wanted: Wanted, kind: str, spec: Setting) -> Setting:
    if wanted.commit:
        return Setting(normalise(wanted.commit), wanted.origin("commit"))
    if kind != "download":
        name: _Field = "git_url" if kind == "build" else "wheel_dir"
        raise RequestError(
            f"{FLAGS[name]} needs {FLAGS['commit']}: TensorRT-LLM's git ref is not known",
            origin=str(wanted.origin(name)),
            hint=f"add {FLAGS['commit']} with a commit, tag or branch",
        )
    version = version_of(str(spec.value))
    if not version:
        raise RequestError(
            f"there is no version in '{spec.value}', so TensorRT-LLM's git ref is not known",
            origin=str(spec.origin),
            hint=f"write tensorrt-llm==VERSION, or add {FLAGS['commit']}",
        )
    return Setting(normalise(version), Origin("derived", f"version in {spec.origin}"))


def _from_image(wanted: Wanted, ref: Setting, spec: Setting, image: str) -> Intent:
    return Intent(
        kind="download",
        ref=str(ref.value),
        args={
            "HAS_TRTLLM_CONTEXT": Setting("0", spec.origin),
            "TRTLLM_WHEEL_IMAGE": Setting(image, Origin("derived", f"ABI of {spec.value}")),
            "GITHUB_TRTLLM_COMMIT": ref,
        },
        warnings=_index_unused(wanted, f"the wheel that fits PyTorch comes from {image}"),
    )


def _index_unused(wanted: Wanted, reason: str) -> tuple[str, ...]:
    if not wanted.index_url:
        return ()
    return (f"{FLAGS['index_url']} ({wanted.origin('index_url')}) has no effect: {reason}",)


def _listed(version: str, known: Collection[str]) -> str:
    """The entry of *known* that *version* is; pip takes ``1.3.0-RC1`` for ``1.3.0rc1``."""

    def plain(text: str) -> str:
        return re.sub(r"[-_.]?([a-z]+)[-_.]?", r"\1", text.lower())

    return next((entry for entry in known if version and plain(entry) == plain(version)), "")


def _one_arch(wanted: Wanted, name: _Field, arch_list: Sequence[str]) -> str:
    if len(set(arch_list)) != 1:
        raise RequestError(
            f"{FLAGS[name]} gives a wheel for one architecture, but the image is for "
            f"{' and '.join(arch_list)}",
            origin=str(wanted.origin(name)),
            hint="build one platform after the other, or download the wheel",
        )
    return arch_list[0]


def _with_build(
    intent: Intent, wanted: Wanted, *, nixl_ref: str, source: Path, builds: Path
) -> Intent:
    # The same ref of another repository is another wheel.
    key = hashlib.sha256(f"{wanted.git_url}\n{intent.ref}".encode()).hexdigest()[:12]
    label = re.sub("[^0-9A-Za-z.]+", "-", intent.ref)[:40].strip("-.") or "ref"
    output = str(Path(wanted.wheel_dir or builds) / f"{intent.arch}-{label}-{key}")
    _check_script_word(FLAGS["commit"], intent.ref, wanted.origin("commit"))
    _check_script_word(FLAGS["git_url"], wanted.git_url, wanted.origin("git_url"))
    into = wanted.origin("wheel_dir") if wanted.wheel_dir else Origin("derived", "")
    _check_script_word("the folder to build the wheel in", output, into)
    warnings = intent.warnings
    if not (is_version(intent.ref) or _COMMIT.fullmatch(intent.ref)):
        warnings += (
            f"'{intent.ref}' may be a branch, which moves on: a wheel that was built from it "
            f"before is taken again until {output} is removed",
        )
    words = {
        "-o": output,
        "-c": intent.ref,
        "-a": intent.arch,
        "-n": nixl_ref,
        "-u": wanted.git_url,
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


def _wheels(folder: Path) -> list[Path]:
    """Every ``.whl`` below *folder*, those nearest to it first."""

    def fail(error: OSError) -> None:
        raise NotReady(f"{error.filename} cannot be read: {error.strerror}") from error

    found = [
        Path(parent, name)
        for parent, _, files in os.walk(folder, onerror=fail)
        for name in files
        if name.endswith(".whl")
    ]
    return sorted(found, key=lambda path: (len(path.parts), path))


def _misfit(path: Path, arch: str, wanted: tuple[int, int]) -> str:
    """Why the wheel at *path* does not fit; empty if it does."""
    if path.is_symlink():
        return "a link, which a build does not follow"
    parts = _WHEEL.fullmatch(path.name)
    if parts is None:
        return "not named like a wheel"
    if re.sub("[-_.]+", "_", parts["name"]).lower() != _DISTRIBUTION:
        return "another package"
    if not any(_platform_fits(tag, arch) for tag in parts["platform"].split(".")):
        return f"for {parts['platform']}"
    abis = parts["abi"].split(".")
    for python in parts["python"].split("."):
        if any(_python_fits(python, abi, wanted) for abi in abis):
            return ""
    return f"for {parts['python']}-{parts['abi']}"


def _platform_fits(tag: str, arch: str) -> bool:
    if tag == "any":
        return True
    # The images have glibc, so musllinux is as far away as another system.
    return tag.startswith(("linux_", "manylinux")) and tag.endswith(f"_{_MACHINES[arch]}")


def _python_fits(python: str, abi: str, wanted: tuple[int, int]) -> bool:
    tag = re.fullmatch("(cp|py)([0-9])([0-9]*)", python)
    if tag is None or int(tag[2]) != wanted[0]:
        return False
    same = tag[3] != "" and int(tag[3]) == wanted[1]
    older = tag[3] != "" and int(tag[3]) < wanted[1]
    if tag[1] == "py":
        return abi == "none" and (same or older or tag[3] == "")
    return (same and abi in (python, "none")) or ((same or older) and abi == "abi3")


def _without_copies(paths: list[Path]) -> list[Path]:
    kept: list[Path] = []
    for path in paths:
        twins = [other for other in kept if other.name == path.name]
        try:
            copied = any(filecmp.cmp(path, twin, shallow=False) for twin in twins)
        except OSError as error:
            raise NotReady(f"{error.filename} cannot be read: {error.strerror}") from error
        if not copied:
            kept.append(path)
    return kept
