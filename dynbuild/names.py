"""Small grammars: platforms, image references, near misses."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from dynbuild.errors import RequestError, quote
from dynbuild.quick import regex

PLATFORMS = ("linux/amd64", "linux/arm64")
"""Every platform an image can be built for (facts: amd64 and arm64, or both at once)."""

# https://github.com/distribution/reference: the grammar of what Docker accepts.
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_DOMAIN = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_REPOSITORY = regex(rf"(?:{_DOMAIN}/)?{_COMPONENT}(?:/{_COMPONENT})*")
_TAG_ONLY = regex(_TAG)
_LONGEST = 255
LONGEST_TAG = 128
"""Characters of a tag, at most."""


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """The choice that *word* was probably meant to be, or ``None``."""
    by_fold = {choice.casefold(): choice for choice in choices}
    found = difflib.get_close_matches(word.casefold(), by_fold, n=1, cutoff=0.6)
    return by_fold[found[0]] if found else None


_FEW = 12
"""So many names are read; of more, the nearest are told."""


def did_you_mean(word: str, choices: Iterable[str], where: str = "") -> str:
    """A hint that names the nearest choice, and all of them where they are few.

    Args:
        word: What was written.
        choices: What there is.
        where: What lists them, where they are many: a command, a page of the documentation.
    """
    known = sorted(set(choices))
    close = nearest(word, known)
    if len(known) <= _FEW:
        listed = f"there are: {', '.join(known)}"
        return listed if close is None else f"did you mean '{close}'? ({listed})"
    by_fold = {choice.casefold(): choice for choice in known}
    near = difflib.get_close_matches(word.casefold(), by_fold, n=3, cutoff=0.6 if close else 0.0)
    *first, last = (f"'{by_fold[one]}'" for one in near)
    named = f"{', '.join(first)} or {last}" if first else last
    said = f"did you mean {named}?" if close else f"the nearest of {len(known)} are {named}"
    return f"{said} ({where} lists all)" if where else said


def items(text: str) -> tuple[str, ...]:
    """The items of a list with commas, each once; what has no comma is one, as it is."""
    if text and "," not in text:
        return (text,)
    return tuple(dict.fromkeys(item for part in text.split(",") if (item := part.strip())))


def parse_platforms(values: Iterable[str]) -> tuple[str, ...]:
    """Platforms in Docker's spelling, in the order of ``PLATFORMS`` and without repeats.

    Accepts ``linux/amd64``, the short ``amd64``, the GNU names ``x86_64`` and
    ``aarch64``, and comma lists of them.

    Raises:
        RequestError: A platform no image exists for, or none at all.
    """
    alias = {"amd64": PLATFORMS[0], "x86_64": PLATFORMS[0], "arm64": PLATFORMS[1]}
    alias |= {"aarch64": PLATFORMS[1], "arm64/v8": PLATFORMS[1], "amd64/v1": PLATFORMS[0]}
    found = set()
    for value in values:
        for item in value.split(","):
            word = item.strip().lower()
            platform = alias.get(word.removeprefix("linux/"))
            if platform is None:
                whole, _, variant = word.rpartition("/")
                plain = alias.get(whole.removeprefix("linux/")) if variant[:1] == "v" else None
                raise RequestError(
                    f"there is no platform {quote(item.strip())}",
                    hint=f"images are for all of {plain}, not for a variant of it"
                    if plain
                    else did_you_mean(word, (*PLATFORMS, "amd64", "arm64")),
                )
            found.add(platform)
    if not found:
        raise RequestError("no platform is given", hint=f"there are: {', '.join(PLATFORMS)}")
    return tuple(platform for platform in PLATFORMS if platform in found)


def architecture(platform: str) -> str:
    """The architecture of a platform: ``arm64`` of ``linux/arm64``."""
    return platform.split("/")[1]


def check_repository(name: str, *, origin: str | None = None) -> str:
    """*name* if Docker takes it as a repository (an image name without tag).

    Raises:
        RequestError: It does not.
    """
    if len(name) > _LONGEST or not _REPOSITORY.fullmatch(name):
        raise RequestError(
            f"'{name}' is not an image repository that Docker accepts",
            origin=origin,
            hint="lower-case path components of letters, digits, '.', '_', '-', with an optional "
            "registry in front, 255 characters at most: dynamo, registry.example.com/team/dynamo",
        )
    return name


def split_reference(reference: str) -> tuple[str, str]:
    """An image reference as (repository, tag); the tag is empty when there is none."""
    slash = reference.rfind("/")
    colon = reference.rfind(":")
    return (reference[:colon], reference[colon + 1 :]) if colon > slash else (reference, "")


def check_reference(reference: str, *, origin: str | None = None) -> str:
    """*reference* if Docker takes it as ``repository[:tag]`` to name an image with.

    Raises:
        RequestError: It does not.
    """
    repository, tag = split_reference(reference)
    if reference.endswith(":") or (tag and not _TAG_ONLY.fullmatch(tag)):
        raise RequestError(
            f"'{reference}' has a tag that Docker refuses",
            origin=origin,
            hint="a tag has up to 128 letters, digits, '_', '.', '-', "
            "and starts with neither '.' nor '-'",
        )
    check_repository(repository, origin=origin)
    return reference


def is_qualified(reference: str) -> bool:
    """Whether *reference* names its registry, so that a push has a destination.

    Docker's own rule: the first path component has a dot or a colon, or is ``localhost``.
    """
    first, slash, _ = reference.partition("/")
    return bool(slash) and ("." in first or ":" in first or first == "localhost")


def is_address(context: str) -> bool:
    """Whether a build context is something other than a local path."""
    # The second form is git's short one for ssh; a folder of such a name is written ./a@b:c.
    return "://" in context or bool(re.match(r"[\w-]+@[\w.-]+:", context, re.ASCII))


def needs_ssh(address: str) -> bool:
    """Whether git goes to *address* by ssh, with a key of the caller's agent."""
    return is_address(address) and (
        "://" not in address or bool(re.match(r"(?:git\+)?ssh://", address, re.I))
    )


def as_tag(text: str, suffix: str = "") -> str:
    """*text* and *suffix* as a tag Docker takes.

    Characters it refuses become ``-``; where both are too long, *text* is cut.
    """
    end = re.sub(r"[^A-Za-z0-9_.-]", "-", suffix)
    clean = re.sub(r"[^A-Za-z0-9_.-]", "-", text)[: LONGEST_TAG - len(end)]
    return re.sub(r"^[.-]", "_", f"{clean}{end}") or "_"


def check_image(reference: str, *, origin: str | None = None) -> str:
    """*reference* if it names an image to run: ``repository[:tag][@digest]``.

    Raises:
        RequestError: It does not; a leading dash would be an option to docker.
    """
    name, _, digest = reference.partition("@")
    if digest and not re.fullmatch(r"[a-z0-9]+:[0-9a-fA-F]{32,}", digest):
        raise RequestError(f"'{reference}' has a malformed digest", origin=origin)
    if not re.fullmatch(r"(?:sha256:)?[0-9a-f]{12,64}", name):
        check_reference(name, origin=origin)
    return reference
