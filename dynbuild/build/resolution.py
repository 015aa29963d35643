"""What the names of a build stand for now: base images, git refs, addresses.

A name that stays may mean something else tomorrow.  What cannot be told is left out.
"""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from dynbuild.build import backoff, git
from dynbuild.build.backoff import Told
from dynbuild.build.snapshot import FOLDER
from dynbuild.engine import images, registry
from dynbuild.engine.builder import Builder
from dynbuild.errors import DynbuildError
from dynbuild.render.graph import Graph

_AT_ONCE = 8
_SECONDS = 60.0
_COMMIT = re.compile(r"[0-9a-f]{40}")
_NO_IMAGES = ("scratch", FOLDER)

Name = tuple[str, str]
"""An image and its platform, or an address and nothing."""


def open_names(graph: Graph, asked: Iterable[Name]) -> frozenset[Name]:
    """The names that may stand for something else tomorrow.  Pure.

    Args:
        graph: Of the image that is built.
        asked: What its stages start from, each with its platform.
    """
    found = {
        (name, platform)
        for name, platform in asked
        if platform and name not in _NO_IMAGES and "@sha256:" not in name
    }
    for step in graph.steps.values():
        if step.instruction.keyword == "ADD" and not step.instruction.flag("checksum"):
            words = step.parts["expanded"].split()
            addresses = (word for word in words if "://" in word or ".git#" in word)
            found |= {(word, "") for word in addresses if not _is_pinned(word)}
    return frozenset(found)


def _is_pinned(address: str) -> bool:
    return _COMMIT.fullmatch(address.rpartition("#")[2]) is not None


def of(
    builder: Builder, env: Mapping[str, str], names: Iterable[Name], told: Told
) -> dict[Name, str]:
    """What each of *names* stands for now; nothing of one that cannot be told.

    Args:
        builder: Who would build: its engine's images come first, as they do in a build.
        env: The caller's environment.
        names: Those to look at.
        told: Told of what is asked again.
    """

    def one(name: Name) -> str:
        try:
            if name[1]:
                return _image(builder, env, name[0], told)
            return git.remote_ref(name[0], env) if "#" in name[0] else _address(name[0])
        except (DynbuildError, OSError, ValueError):
            return ""

    wanted = sorted(set(names))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = dict(zip(wanted, pool.map(one, wanted), strict=True))
    return {name: digest for name, digest in found.items() if digest}


def _image(builder: Builder, env: Mapping[str, str], name: str, told: Told) -> str:
    if builder.in_engine:
        here = images.inspect(builder.engine, env, [name], "{{.Id}}").get(name)
        if here:
            return here
    return backoff.look(lambda: registry.digest(builder, env, name), name, told).digest


def _address(address: str) -> str:
    if not address.startswith(("http://", "https://")):
        return ""
    request = urllib.request.Request(address, method="HEAD")  # noqa: S310 - http(s) only
    with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310
        headers = answer.headers
        # BuildKit goes by the same two.
        return headers.get("ETag") or headers.get("Last-Modified") or ""
