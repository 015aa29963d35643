"""Other addresses for what a build contacts: the table ``[mirrors]`` and its relatives.  Pure.

What the plan names itself (images, sources, tools, arguments) is rewritten here.  What build
steps find out by themselves, such as the package sources of a base image, follows a script
(``dynbuild.render.site``) that each of them gets as a secret: it is in no layer and no cache
key.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, replace

from dynbuild import names
from dynbuild.addresses import public, secret_in
from dynbuild.errors import RequestError
from dynbuild.plan.decision import Decision, Values
from dynbuild.quick import dataclass
from dynbuild.settings.layers import Origin, Setting
from dynbuild.settings.load import Settings
from dynbuild.settings.models import PASSED_THROUGH, Catalog, Source, Tool

LOCAL = "dynbuild/"
"""Repositories that ``dynbuild engine base`` makes; they are on no registry."""

SCRIPT = "site"
"""Id of the secret with the script."""

Table = Mapping[str, Setting]
"""What replaces a prefix, with its origin, by the prefix."""

KEPT = ("CUDA_REPO_URL", "DEVTOOLS_REPO_URL")
"""Arguments that the images' own package sources show: the script redirects these."""

_EMPTY_STAGE = "trtllm_wheel_image_empty"
_LISTS = ("apt_mirror", "dnf_mirror", "crates_index")


@dataclass(frozen=True, slots=True)
class Reach:
    """What the settings say of the outside.

    Attributes:
        table: The mirrors.
        tools: The tools with the mirrors applied.
        sources: The sources likewise.
        addresses: Origin of every address of a tool or source, by the address as rendered.
        release_image: Origin of the repository of TensorRT-LLM's release images.
        site: For each field of ``[site]`` that is set, its value without a password, and
            its origin.
    """

    table: Table
    tools: Mapping[str, Tool]
    sources: Mapping[str, Source]
    addresses: Mapping[str, Origin]
    release_image: Origin
    site: Mapping[str, tuple[str, Origin]]


def table(config: Settings) -> Table:
    """The mirrors of *config*.

    Raises:
        RequestError: An entry replaces an address by an image reference or the reverse, has
            a password, or characters that no address has.
    """
    found: dict[str, Setting] = {}
    for key, value in config.catalog.mirrors.items():
        origin = config.origin("mirrors", key)
        for text in (key, value):
            _check(text, f"the mirror of '{key}'", origin)
        if secret := secret_in(value):
            raise RequestError(
                f"the mirror of '{key}' has {secret.title} in its address",
                origin=str(origin),
                hint="addresses are seen by all: log in with docker login, or give git and curl "
                "their own credentials",
            )
        if ("://" in key) != ("://" in value):
            raise RequestError(
                f"the mirror of '{key}' is '{value}': one is an address, the other is none",
                origin=str(origin),
                hint='"nvcr.io" stands for images; "https://nvcr.io" for downloads',
            )
        found[key.rstrip("/")] = Setting(value.rstrip("/"), origin)
    return found


def address(text: str, mirrors: Table) -> tuple[str, str]:
    """*text*, an address with its scheme, as the mirrors have it, and the prefix that led there.

    The prefix is empty where none fits.
    """
    return _replaced(text, mirrors, "/?#")


def image(reference: str, mirrors: Table) -> tuple[str, str]:
    """The same for an image *reference*; one without a registry is of docker.io."""
    if not reference or reference.startswith(LOCAL):
        return reference, ""
    name, at, digest = qualified(reference).partition("@")
    repository, tag = names.split_reference(name)
    found, prefix = _replaced(repository, mirrors, "/")
    if not prefix:
        return reference, ""
    return f"{found}{f':{tag}' if tag else ''}{at}{digest}", prefix


def qualified(reference: str) -> str:
    """An image *reference* with its registry, as Docker completes it."""
    if names.is_qualified(reference):
        return reference
    return f"docker.io/{'' if '/' in reference else 'library/'}{reference}"


def of_args(
    config: Settings, mirrors: Table, values: Values, *, made: Collection[str] = ()
) -> Decision:
    """Arguments whose addresses a mirror takes the place of; images in *made* are built here."""
    moved: dict[str, Setting] = {}
    for arg, setting in values.items():
        value = str(setting.value)
        if value in made or value == _EMPTY_STAGE or arg in (*KEPT, *PASSED_THROUGH):
            continue
        if config.catalog.arguments[arg].kind in ("image", "reference"):
            found, prefix = image(value, mirrors)
        elif "://" in value:
            found, prefix = address(value, mirrors)
        else:
            continue
        if prefix:
            moved[arg] = Setting(found, _origin(prefix, mirrors))
    return Decision("fix", moved)


def _tools(config: Settings, mirrors: Table) -> dict[str, Tool]:
    return {
        name: replace(
            tool,
            image=image(tool.image, mirrors)[0],
            url={arch: address(url, mirrors)[0] for arch, url in tool.url.items()},
        )
        for name, tool in config.catalog.tools.items()
    }


def _sources(config: Settings, mirrors: Table) -> dict[str, Source]:
    return {
        name: replace(
            source,
            repo=address(source.repo, mirrors)[0],
            url=address(source.url, mirrors)[0],
        )
        for name, source in config.catalog.sources.items()
    }


def reach(config: Settings, mirrors: Table) -> Reach:
    """What *config* says of the outside, with *mirrors* in the place of what they replace."""
    addresses: dict[str, Origin] = {}

    def add(text: str, path: tuple[str, ...], *, of_image: bool = False) -> str:
        found, prefix = (image if of_image else address)(text, mirrors)
        addresses[found] = _origin(prefix, mirrors) if prefix else config.origin(*path)
        return found

    for name, tool in config.catalog.tools.items():
        add(tool.image, ("tools", name, "image"), of_image=True)
        for arch, url in tool.url.items():
            found = add(url, ("tools", name, "url", arch))
            rendered = found.replace("${VERSION}", f"${{{tool.version}}}")
            addresses[rendered] = addresses[found]
    for name, source in config.catalog.sources.items():
        for key in ("repo", "url"):
            add(getattr(source, key), ("sources", name, key))
    addresses.pop("", None)
    site = {
        field: (public(value), config.origin("site", field))
        for field, value in asdict(config.catalog.site).items()
        if isinstance(value, str) and value
    }
    return Reach(
        mirrors,
        _tools(config, mirrors),
        _sources(config, mirrors),
        addresses,
        config.origin("tensorrt_llm", "release_image"),
        site,
    )


def needs_script(catalog: Catalog) -> bool:
    """Whether build steps need the script."""
    listed = any(getattr(catalog.site, field) for field in _LISTS)
    return listed or bool(catalog.site.netrc) or any("://" in key for key in catalog.mirrors)


def check_site(config: Settings) -> None:
    """Refuse addresses of ``[site]`` that are none.

    Raises:
        RequestError: One of them.
    """
    for field in _LISTS:
        value = getattr(config.catalog.site, field)
        origin = config.origin("site", field)
        if value and "://" not in value:
            raise RequestError(f"site.{field} is no address: '{value}'", origin=str(origin))
        if value:
            _check(value, f"site.{field}", origin)


def _check(text: str, what: str, origin: Origin) -> None:
    if not re.fullmatch(r"[\w.:/@%+=,~\[\]-]+", text, re.ASCII):
        raise RequestError(
            f"{what} is empty, or has a character that no address has",
            origin=str(origin),
        )


def _replaced(text: str, mirrors: Table, boundary: str) -> tuple[str, str]:
    for prefix in sorted(mirrors, key=len, reverse=True):
        rest = text.removeprefix(prefix)
        if text.startswith(prefix) and (not rest or rest[0] in boundary):
            return f"{mirrors[prefix].value}{rest}", prefix
    return text, ""


def _origin(prefix: str, mirrors: Table) -> Origin:
    origin = mirrors[prefix].origin
    return replace(origin, mirror=prefix)
