"""What the names of a build stand for now: base images, git refs, addresses.

A name that stays may mean something else tomorrow.  What cannot be told is left out.
"""

from __future__ import annotations

import email.utils
import re
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from dynbuild.build import backoff, git
from dynbuild.build.backoff import OnRetry
from dynbuild.build.snapshot import FOLDER
from dynbuild.engine import images, registry
from dynbuild.engine.builder import Builder
from dynbuild.errors import DynbuildError, NotReady
from dynbuild.plan import build_cache
from dynbuild.plan.document import LINK
from dynbuild.render.graph import Graph, Pins

_AT_ONCE = 8
_SECONDS = 60.0
SOON = 10.0
"""Seconds that an answer may take before something is built."""

_MOST = 32
_NOT_THERE = re.compile(r"not found|unknown|\b404\b", re.I)
_OFFLINE = "--offline: nothing is asked over the network"
_IDENTITY = ("Id", "RepoDigests")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_NO_IMAGES = ("scratch", FOLDER)

Name = tuple[str, str]
"""An image and its platform, or an address and nothing."""


class _Asked(Mapping[Name, str]):
    """Pins that there are none of; it notes what is asked for."""

    def __init__(self) -> None:
        self.names: set[Name] = set()

    def __getitem__(self, key: Name) -> str:
        self.names.add(key)
        raise KeyError(key)

    def __iter__(self) -> Iterator[Name]:
        return iter(())

    def __len__(self) -> int:
        return 0


def open_names(graph_of: Callable[[Pins], Graph]) -> frozenset[Name]:
    """The names of an image that may stand for something else tomorrow.  Pure.

    Args:
        graph_of: Makes its graph, where names stand for what it is given.
    """
    pins = _Asked()
    graph, asked = graph_of(pins), pins.names
    found = {
        (name, platform)
        for name, platform in asked
        if platform
        and name not in _NO_IMAGES
        and not name.startswith(LINK)
        and "@sha256:" not in name
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
    builder: Builder, env: Mapping[str, str], names: Iterable[Name], on_retry: OnRetry
) -> dict[Name, str]:
    """What each of *names* stands for now; nothing of one that cannot be told.

    Args:
        builder: Who would build: its engine's images come first, as they do in a build.
        env: The caller's environment.
        names: Those to look at.
        on_retry: Told of what is asked again.
    """

    def one(name: Name) -> str:
        try:
            if name[1]:
                return _image(builder, env, name[0], on_retry)
            return git.remote_ref(name[0], env) if "#" in name[0] else _address(name[0])
        except (DynbuildError, OSError, ValueError):
            return ""

    wanted = sorted(set(names))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = dict(zip(wanted, pool.map(one, wanted), strict=True))
    return {name: digest for name, digest in found.items() if digest}


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What names stand for now, beside what they stood for then.

    Attributes:
        pins: What those stand for that have another meaning now.
        unknown: Why nobody says it of the others, by the name.
    """

    pins: Mapping[Name, str]
    unknown: Mapping[Name, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """Whom names are asked of.

    Attributes:
        builder: Who would build; ``None`` where there is no engine.
        env: The caller's environment.
        offline: Whether nothing is asked over the network.
    """

    builder: Builder | None
    env: Mapping[str, str]
    offline: bool = False

    def moved(self, then: Mapping[Name, str], since: datetime | None) -> Moved:
        """Which of the names *then* have another meaning now.

        Each is asked for once and for a short time: a build that goes on asks more patiently.

        Args:
            then: What they stood for.
            since: When that was so, if it is known.
        """
        here = self._here(sorted({name for name, platform in then if platform}))

        def one(name: Name) -> str:
            return self._now(name, then[name], here.get(name[0], ()), since)

        pins, unknown = {}, {}
        with ThreadPoolExecutor(_MOST) as pool:
            asked = {name: pool.submit(one, name) for name in sorted(then)}
            for name, answer in asked.items():
                try:
                    now = answer.result()
                except (DynbuildError, OSError, ValueError) as error:
                    unknown[name] = str(getattr(error, "message", error))
                    continue
                if now != then[name]:
                    pins[name] = now
        return Moved(pins=pins, unknown=unknown)

    def absent(self, specification: str) -> str:
        """What was said of a cache that would be imported and is not there; else nothing.

        Raises:
            NotReady: Nobody says whether it is there.
        """
        fields = build_cache.fields(specification)
        reference = fields.get("ref", "" if "=" in specification else specification)
        if fields.get("type", "registry") != "registry" or not reference:
            raise NotReady("only a build that goes on asks it")
        said = self._registry(reference)
        if not said.refusal:
            return ""
        if not _NOT_THERE.search(said.refusal):
            raise NotReady(said.refusal.splitlines()[-1])
        return f"{reference}: {said.refusal.splitlines()[-1]}"

    def _here(self, names: list[str]) -> Mapping[str, tuple[str, ...]]:
        """What the engine's own images of these names are; a builder beside it takes none."""
        if self.builder is None or not self.builder.in_engine:
            return {}
        said = images.inspect(self.builder.engine, self.env, names, _IDENTITY)
        found = {}
        for name, (own, digests) in said.items():
            pulled = digests if isinstance(digests, list) else ()
            found[name] = (str(own), *(str(one).rpartition("@")[2] for one in pulled))
        return found

    def _now(self, name: Name, then: str, here: Sequence[str], since: datetime | None) -> str:
        """What *name* stands for; *then* if that is the same, in other words even.

        Raises:
            NotReady: Nobody says it.
            OSError: The same.
        """
        if here:
            # One that was pulled has the digest of its registry beside its own.
            return then if then in here else here[0]
        if name[1]:
            said = self._registry(name[0])
            if said.refusal:
                raise NotReady(said.refusal.splitlines()[-1])
            return said.digest
        if self.offline:
            raise NotReady(_OFFLINE)
        if then.startswith("sha1:"):
            commits = [f"sha1:{one}" for one in git.remote_commits(name[0], self.env, SOON)]
            return then if then in commits else commits[0]
        if since is None or _changed_after(name[0], since):
            raise NotReady("only a build downloads it")
        return then

    def _registry(self, name: str) -> registry.Answer:
        if self.offline:
            raise NotReady(_OFFLINE)
        if self.builder is None:
            raise NotReady("there is no engine to ask with")
        return registry.inspect(self.builder, self.env, name, SOON)


def _changed_after(address: str, moment: datetime) -> bool:
    """Whether what is at *address* may have changed after a *moment*, by what a server says."""
    with urllib.request.urlopen(_question(address), timeout=SOON) as answer:  # noqa: S310
        said = answer.headers.get("Last-Modified")
    return not said or email.utils.parsedate_to_datetime(said) >= moment


def _image(builder: Builder, env: Mapping[str, str], name: str, on_retry: OnRetry) -> str:
    if builder.in_engine:
        here = images.inspect(builder.engine, env, [name], ("Id",)).get(name)
        if here:
            return str(here[0])
    return backoff.inspect(lambda: registry.inspect(builder, env, name), name, on_retry).digest


def _address(address: str) -> str:
    with urllib.request.urlopen(_question(address), timeout=_SECONDS) as answer:  # noqa: S310
        headers = answer.headers
        # BuildKit goes by the same two.
        return headers.get("ETag") or headers.get("Last-Modified") or ""


def _question(address: str) -> urllib.request.Request:
    """The question for the headers of what is at an http(s) address.

    Raises:
        NotReady: It is another one.
    """
    if not address.startswith(("http://", "https://")):
        raise NotReady(f"{address} is not asked for its headers")
    return urllib.request.Request(address, method="HEAD")  # noqa: S310 - http(s) only
