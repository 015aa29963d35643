"""Versions and git refs of TensorRT-LLM, and the version in a requirement."""

from __future__ import annotations

import re
from collections.abc import Collection

_SEMVER = re.compile(r"v?(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*)){2}(?:[-+A-Za-z][0-9A-Za-z.-]+)?")


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


def listed(version: str, known: Collection[str]) -> str:
    """The entry of *known* that *version* is; pip takes ``1.3.0-RC1`` for ``1.3.0rc1``.

    Empty where there is none.
    """

    def plain(text: str) -> str:
        return re.sub(r"[-_.]?([a-z]+)[-_.]?", r"\1", text.lower())

    return next((entry for entry in known if version and plain(entry) == plain(version)), "")
