"""Addresses, as people write them: where the login is, and the same address without it.  Pure.

Plans, records and definitions are read by many, so no address in them may hold a user name
with a password, or a token.  There is one rule for every address, and it knows the forms
that git, docker, pip and curl take, as well as those that only nearly are addresses:

    https://bob:secret@host/path     a URL; the password may hold / ? # @ unencoded
    https://ghp_TOKEN@host/path      a token in place of the user name
    git+https://bob:secret@host/x    with the prefixes of pip and go-getter (git::https://…)
    bob:secret@host/path             without a scheme, as proxies and registries are written
    //bob:secret@host, https:bob:secret@host, and the same with backslashes
    https://host/x?access_token=…    a secret as parameter (also signed addresses)
    https://host/ghp_TOKEN/x         a token of a known form, wherever it stands
    https%3A%2F%2Fbob%3Asecret%40h   the same with signs encoded, or in letters of full width
    git@host:path, ssh://git@host/x  a user name alone, where a key does the rest: no secret
    name:tag@sha256:…                an image by digest: no login at all
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterable
from typing import Literal

from dynbuild.quick import dataclass, regex

Kind = Literal["login", "token", "parameter"]

_SCHEME = regex(r"\s*(?:git::)?(?P<scheme>[a-z][a-z0-9+.-]*):(?P<slashes>[/\\]{1,3}|)", re.I)
# With these a user name is an account that a key opens; elsewhere it is a token or useless.
_BY_KEY = regex(r"(?:git\+|svn\+)?ssh|git|rsync|sftp", re.IGNORECASE)
_WEB = regex(r"(?:[a-z]+\+)?(?:https?|ftps?|s3|gs|socks\w*|docker|oci|docker-image)", re.I)
_EMBEDDED = regex(r"(?<![\w+.-])(?:[a-z][\w+.-]*:|:)//", re.IGNORECASE)
_DIGEST = regex(r"@[a-z0-9]+(?:[+._-][a-z0-9]+)*:[0-9a-fA-F]{32,}$", re.ASCII)
_HOST = regex(r"(?:\[[0-9a-fA-F:.%]+\]|[\w.-]+)(?::\d*)?", re.ASCII)
# Of an address inside of a text no more is looked at: a text may have thousands of them.
_LONGEST = 2048
_PARAMETER = regex(r"[?&;#](?P<name>[\w.%\[\]-]+)=(?P<value>[^&;#\s]+)", re.ASCII)
# What may be a token by its form, in a path or a tag: words, versions and commits are none.
# Looked for at the beginning of a word only: at each sign of a long one it would take minutes.
_RUN = regex(r"(?<![A-Za-z0-9])(?=[A-Za-z]*[0-9])(?=[0-9a-f]*[g-zA-Z])[A-Za-z0-9]{16,}")
_REFERENCE = regex(r"(?P<key>\w+)=\$\{(?P<name>[A-Za-z_]\w*)\}", re.ASCII)
_SIGNED = regex(r"(?:x-(?:amz|goog|ms|oss)-)?(?:signature|credential|security-token|sig)", re.I)


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret in an address.

    Attributes:
        kind: ``login``, a user name with a password; ``token``, one in place of the user
            name; ``parameter``, one behind a question mark.
        start: Where it begins in the text.
        end: Where it ends; for a login or token the ``@`` after it is not part of it.
    """

    kind: Kind
    start: int
    end: int

    @property
    def title(self) -> str:
        """What it is, for a sentence."""
        return "a secret parameter" if self.kind == "parameter" else "a user name or password"


@functools.lru_cache(maxsize=2048)
def secret_in(address: str) -> Secret | None:
    """The first secret that *address* holds, or ``None``.

    An address may stand in a longer text, as in the requirement ``x @ https://host/x.whl``.
    """
    found = _login(address) or _embedded(address) or _parameter(address) or _known(address)
    if found is None and (plain := _decoded(address)) != address:
        inner = secret_in(plain)
        # Where it is in the text as it was written is not known.
        return Secret(inner.kind, 0, len(address)) if inner else None
    return found


def public(address: str) -> str:
    """*address* without its login and without the values of secret parameters."""
    while (secret := secret_in(address)) is not None:
        if secret.kind == "parameter":
            # The name stays, so that a reader sees what was there; the pair no longer matches.
            address = f"{address[: secret.start].rstrip('=')}{address[secret.end :]}"
        else:
            rest = address[secret.end :]
            address = address[: secret.start] + rest.removeprefix("@")
    return address


def secret_field(spec: str) -> str | None:
    """The field of a cache, output or mount *spec* that holds a secret, by its name.

    Such a specification is a list of ``name=value`` with commas between, as BuildKit takes
    it; a field with blanks or commas is written in double quotes.  A key whose value is
    ``${NAME}`` is read from that variable, and is none here.
    """
    if spec.lstrip().startswith("{"):  # JSON, which no spec is
        spec = re.sub(r'"\s*:\s*"', "=", spec)
    fields = re.findall(r'(?:[^,"]|"(?:[^"]|"")*")+', spec)
    # Who writes it otherwise has a mistake in it, and a secret in that all the same.
    for field in (*fields, *re.split(r"[,;\n\"']+|(?<!\$)\{", spec)):
        name, equals, value = field.strip(" \t\r\n\"'").partition("=")
        name, value = (name.strip(" \t\"'"), value.strip()) if equals else ("", name)
        if _is_secret(name, value) or secret_in(value):
            if _REFERENCE.fullmatch(f"{name}={value}"):
                continue
            return name or "ref"
    return None


def variables_of(specs: Iterable[str]) -> tuple[str, ...]:
    """The variables that hold keys of *specs*: ``secret_access_key=${NAME}``."""
    pairs = (pair for spec in specs for pair in _REFERENCE.finditer(spec))
    return tuple(dict.fromkeys(pair["name"] for pair in pairs if _is_secret(pair["key"], "x")))


def _login(address: str) -> Secret | None:
    scheme = _SCHEME.match(address)
    name = scheme["scheme"] if scheme else ""
    if name == "pkg":
        return None  # a package URL: what follows its @ is a version
    if scheme and not (scheme["slashes"] or _WEB.fullmatch(name)):
        # "bob:" of bob:secret@host looks like a scheme, and localhost: of localhost:5000 too.
        scheme, name = None, ""
    start = scheme.end() if scheme else len(address) - len(address.lstrip(" \t/\\"))
    end = _userinfo_end(address, start)
    # In a sentence a colon and a sign of at are no login.
    if end is None or (not scheme and re.search(r"\s", address[start:end])):
        return None
    user, colon, password = address[start:end].partition(":")
    if colon:
        return Secret("login", start, end) if user or password else None
    if not user:
        return None
    if _BY_KEY.fullmatch(name) or not scheme:
        from dynbuild import masking

        return Secret("token", start, end) if masking.scrub(user) != user else None
    return Secret("token", start, end) if _WEB.fullmatch(name) else None


def _userinfo_end(address: str, start: int) -> int | None:
    """The ``@`` that ends user name and password; ``None`` where there is neither."""
    rest = address[start:]
    digest = _DIGEST.search(rest)
    if digest:
        rest = rest[: digest.start()]
    if "@" not in rest:
        return None
    authority = re.split(r"[/\\?#]", rest, maxsplit=1)[0]
    if "@" in authority:
        return start + authority.rindex("@")
    if len(authority) == len(rest) or _HOST.fullmatch(authority):
        return None
    # What stands before the first slash is no host with a port, so the slash is part of a
    # password that was not encoded, which ends at the last @.
    if ":" in authority:
        return start + rest.rindex("@")
    return None


def _embedded(address: str) -> Secret | None:
    """A login of an address inside of the text, also of one in a parameter of another."""
    for start in _EMBEDDED.finditer(address):
        at = start.start() + (1 if start[0].startswith(":") else 0)
        ahead = address[at : at + _LONGEST]
        if inner := _login(re.split(r"\s", ahead, maxsplit=1)[0]):
            return Secret(inner.kind, at + inner.start, at + inner.end)
    return None


def _parameter(address: str) -> Secret | None:
    for pair in _PARAMETER.finditer(address):
        name = _decoded(pair["name"]).strip("[]")
        if _is_secret(name, pair["value"]) or _SIGNED.fullmatch(name):
            return Secret("parameter", *pair.span("value"))
    return None


def _known(address: str) -> Secret | None:
    """A token of a known form, where no login and no parameter is."""
    if not _RUN.search(address):
        return None
    from dynbuild import masking

    for start, end in masking.tokens(address):
        token = re.split(r"[^\w-]", address[start:end], maxsplit=1)[0]
        if _RUN.search(token):
            return Secret("token", start, start + len(token))
    return None


def _decoded(text: str) -> str:
    """*text* with encoded signs written out, and letters of full width as usual ones."""
    if "%" in text:
        from urllib.parse import unquote

        text = unquote(text, errors="replace")
    return text if text.isascii() else unicodedata.normalize("NFKC", text)


def _is_secret(name: str, value: str) -> bool:
    # The patterns of masking take long to compile, and most addresses need none of them.
    from dynbuild import masking

    return masking.secret_value(name, value)
