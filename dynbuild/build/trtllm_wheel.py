"""The TensorRT-LLM wheel in a folder: the one that fits an image, or that a build left."""

from __future__ import annotations

import filecmp
import os
import re
from pathlib import Path

from dynbuild.errors import NotReady, RequestError
from dynbuild.plan.trtllm.intent import FLAGS, STAMP, Intent

# https://packaging.python.org/specifications/binary-distribution-format: a version and a build
# tag start with a digit.
_WHEEL = re.compile(
    r"(?P<name>[^-]+)-(?P<version>[0-9][^-]*)(?:-(?P<build>[0-9][^-]*))?"
    r"-(?P<python>[^-]+)-(?P<abi>[^-]+)-(?P<platform>[^-]+)\.whl"
)
_DISTRIBUTION = "tensorrt_llm"
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


def find(folder: Path, *, arch: str, python_version: str) -> Path:
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
    number = (int(python[1]), int(python[2]))
    reasons = {path: _misfit(path, arch, number) for path in _wheels(folder)}
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


def built(intent: Intent, *, python_version: str) -> Path | None:
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
    return find(folder, arch=intent.arch, python_version=python_version)


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


def _misfit(path: Path, arch: str, number: tuple[int, int]) -> str:
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
        if any(_python_fits(python, abi, number) for abi in abis):
            return ""
    return f"for {parts['python']}-{parts['abi']}"


def _platform_fits(tag: str, arch: str) -> bool:
    if tag == "any":
        return True
    # The images have glibc, so musllinux is as far away as another system.
    return tag.startswith(("linux_", "manylinux")) and tag.endswith(f"_{_MACHINES[arch]}")


def _python_fits(python: str, abi: str, number: tuple[int, int]) -> bool:
    tag = re.fullmatch("(cp|py)([0-9])([0-9]*)", python)
    if tag is None or int(tag[2]) != number[0]:
        return False
    same = tag[3] != "" and int(tag[3]) == number[1]
    older = tag[3] != "" and int(tag[3]) < number[1]
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
