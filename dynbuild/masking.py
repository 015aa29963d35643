"""What looks like a secret, and the same text without it.  Pure.

The documents give no list of patterns (facts: environment, caches, logging), so the rules
here are dynbuild's own: names, known forms, and what looks like chance.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable

from dynbuild.quick import regex

_Span = tuple[int, int]

# Nobody reads a longer one, and it could keep the patterns below busy for long.
_LONGEST = 10_000


def mask(name: str, value: str) -> str:
    """*value* of the variable *name* without secrets."""
    if not value:
        return value
    if len(value) > _LONGEST or secret_value(name, value):
        return _masked(len(value))
    return scrub(value, hashes=any(map(_HASH_WORD.fullmatch, _words(name))))


def scrub(text: str, *, hashes: bool = False) -> str:
    """*text* without the secrets that can be told by what they look like.

    Args:
        text: A value, or a sentence that may quote one.
        hashes: Whether long hexadecimal numbers are expected and may stay.
    """
    if "-----BEGIN " in text:
        return _masked(len(text))
    spans = sorted(span for find in _FINDERS for span in find(text))
    return printable(_without(text, [*spans, *_chance(text, hashes)]))


def scrub_message(text: str) -> str:
    """*text*, a sentence for people, without the secrets that have a known form.

    What only looks like chance stays, since sentences quote paths, digests and file names, and
    so does what follows a word such as "token:", since sentences explain.
    """
    if "-----BEGIN " in text:
        return _masked(len(text))
    spans = [*_logins(text), *_known(text), *_assigned(text, _ASSIGNED[:1])]
    return _without(text, spans)


def tokens(text: str) -> list[tuple[int, int]]:
    """Where *text* has keys and tokens that are known by their form."""
    return [found.span() for found in _PREFIXED.finditer(text)]


def _without(text: str, spans: Iterable[_Span]) -> str:
    parts, end = [], 0
    if "<masked, " in text:
        # What was masked before stays as it is, with the quotes around it.
        done = [found.span() for found in _MASK.finditer(text)]
        spans = [
            one for one in spans if not any(a <= one[0] + 1 and one[1] <= b + 1 for a, b in done)
        ]
    for start, stop in _merged(spans):
        parts += [text[end:start], _masked(stop - start)]
        end = stop
    return "".join((*parts, text[end:]))


def printable(text: str) -> str:
    """*text* with the bytes that are no UTF-8 written out."""
    # A variable may hold any bytes; Python keeps foreign ones as lone surrogates.
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


_MASK = regex(r"<masked, \d+ characters?>")


def _masked(length: int) -> str:
    return f"<masked, {length} character{'' if length == 1 else 's'}>"


def _merged(spans: Iterable[_Span]) -> list[_Span]:
    merged: list[_Span] = []
    for start, stop in sorted(spans):
        if start >= stop:
            continue
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
        else:
            merged.append((start, stop))
    return merged


# --- masking for a name

_WORD = regex(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_SECRET_WORD = regex(
    "AUTHORIZATION|BEARER|CREDS?|DSNS|JWT|KEYS|OTP|PRIVATE|PW|SAS|SESSIONS|SIG|TOTP"
    "|.*(TOKEN(?!IZ)|SECRET|PASSWORD|PASSWD|PASSPHRASE|PASSCODE|CREDENTIAL|COOKIE|SIGNATURE"
    "|WEBHOOK|APIKEY|ACCESSKEY|PRIVATEKEY).*"
    "|.*(KEY|AUTH|PASS|PWD|SESSION|DSN)"
)
_SECRET_NAME = regex(r"CONN(ECTION)?[_.-]?STR(ING)?|(^|_)PAT$", re.IGNORECASE)
_HARMLESS_WORD = regex(
    "(ASK|BY|COM|ENCOM|SUR|TRES)PASS|(DON|HOC|HOT|JOC|MON|TUR|WHIS)KEY"  # words of English
)
_HARMLESS_NAME = regex(
    r"PWD|OLDPWD|SSH_AUTH_SOCK|DESKTOP_SESSION|GDMSESSION|SESSION_MANAGER|SESSIONNAME"
    r"|DBUS_SESSION_BUS_(ADDRESS|PID|WINDOWID)|XDG_SESSION_(CLASS|DESKTOP|ID|PATH|TYPE)"
    r"|TERM_SESSION_ID|ZELLIJ_SESSION_NAME|(?i:(.+_)?(MAX|MIN|NUM)_(.+_)?TOKENS(_.+)?)"
)
# Of AWS's variables these are settings; what is not among them may be a credential.
_AWS_NAME = regex(r"AWS_.+", re.IGNORECASE)
_OPEN_AWS = regex(
    r"AWS_(?:.*REGION|.*OUTPUT|PROFILE|ENDPOINT_URL\w*|EC2_METADATA_DISABLED|CA_BUNDLE)",
    re.IGNORECASE,
)
_PATH_NAME = regex(
    r".*(DIR|FILE|FILES|FOLDER|PATH|SOCK|SOCKET)|GOOGLE_APPLICATION_CREDENTIALS", re.IGNORECASE
)
_PATH = regex(r"(~|\.{1,2})?/[\w./+@-]*")
_HASH_WORD = regex("CHECKSUM|COMMIT|DIGEST|FINGERPRINT|HASH|ID|REF|REV|REVISION|SHA|UUID")


def _words(name: str) -> list[str]:
    """The words of ``SNAKE_CASE``, ``camelCase`` and ``dotted.names``, in capitals."""
    return [word.upper() for word in _WORD.findall(name)]


def secret_name(name: str) -> bool:
    """Whether what *name* stands for is a secret by its name."""
    if _HARMLESS_NAME.fullmatch(name):
        return False
    if _AWS_NAME.fullmatch(name) and not _OPEN_AWS.fullmatch(name):
        return True
    return bool(_SECRET_NAME.search(name)) or any(
        _SECRET_WORD.fullmatch(word) and not _HARMLESS_WORD.fullmatch(word) for word in _words(name)
    )


def secret_value(name: str, value: str) -> bool:
    """Whether *value* is a secret for the *name* it has.

    The path of a file with a secret is none.
    """
    if not secret_name(name):
        return False
    return not (_PATH_NAME.fullmatch(name) and _PATH.fullmatch(value))


def is_secret(name: str, value: str) -> bool:
    """Whether *value* of the variable *name* is a secret, by the name or by a known form."""
    return bool(value) and (secret_value(name, value) or scrub_message(value) != value)


# --- masking for what it holds

# The password ends at the last @: one that is not encoded may hold any of / ? # @.
# It is bounded, as each address of a text would be looked at to the end of the text.
_USERINFO = regex(r"://([^\s/?#@:]{0,2048}:\S{0,2048}|[^\s/?#]{0,2048})@")
_PLAIN_USER = regex(r"[a-z][a-z._-]{0,15}")
_BARE_LOGIN = regex(r"([^\s:@/]+:(?!//)[^\s@]+)@(?!sha\d)[\w.-]+(:\d+)?/?")
# In quotes a password may hold a slash; within a path or sentence it ends there, as PATH has none.
_QUOTED_LOGIN = regex(
    r"(?<=['\"=])([^\s:@/'\"=,]+:(?!//)[^\s@'\"]+)@(?!sha\d)[\w.-]+"
    r"|(?<=[\s(/\\])([^\s:@/\\'\"=,()]+:[^\s@/\\'\"]+)@(?!sha\d)[\w.-]+"
)
# Of GitLab's the whole words (https://docs.gitlab.com/security/tokens/): sglang-… is none.
_PREFIXED = regex(
    r"(?:gh[oprsu]_|github_pat_|gl(?:pat|oas|dt|rtr?|cbt|ptt|ft|imt|agent|soat|ffct|wt)-"
    r"|dckr_(?:pat|oat)_|hf_|npm_|pypi-|nvapi-|hv[bsr]\."
    r"|xox[a-z]-|xoxe\.|xapp-|ya29\.|GOCSPX-|AGE-SECRET-KEY-|dop_v1_|shp[a-z]{2}_|ATATT"
    r"|(?<![A-Za-z0-9])(?:sk|rk|pk)[-_](?=[\w-]{0,200}\d)|SG\.|AIza|lin_api_|figd_|tskey-)"
    r"[\w-]{10,}[\w.~+/=-]*"
    r"|A(?:KIA|SIA|BIA|CCA|GPA|IDA|NPA|ROA)[A-Z0-9]{12,}"
    r"|eyJ[\w-]{8,}(?:[.][\w=+/-]*)*"
)
_BEARER = regex(
    r"\b(?:bearer\s+(?P<token>\S{8,})|basic\s+(?P<login>(?=\S*[A-Z0-9=])[\w+/-]{8,}=*))",
    re.IGNORECASE,
)
# What AWS makes of secret keys; one in a hundred happens to read like words.
_AWS_SECRET = regex(
    r"(?<![\w/+.-])(?=\D{0,39}\d)(?=[^a-z]{0,39}[a-z])(?=[^A-Z]{0,39}[A-Z])"
    r"[A-Za-z0-9+][A-Za-z0-9/+]{39}(?![\w/+.-])"
)
_HOOK = regex(
    r"(?:hooks\.slack\.com/\w+|discord(?:app)?\.com/api/webhooks|\.webhook\.office\.com)/(\S+)"
)
_ASSIGNED = (
    regex(r"(?<![\w.-])(?P<name>[\w.-]++)\s?=\s?(?P<value>\"[^\"]*\"?|'[^']*'?|[^\s&;]+)"),
    regex(r"\"(?P<name>[^\"\\]+)\\?\"\s*:\s*\\?\"(?P<value>(?:[^\"\\]|\\[^\"])*)"),
    regex(r"'(?P<name>[^'\\]+)'\s*:\s*'(?P<value>[^']*)"),
    regex(r"(?<![\w.-])(?P<name>[\w.-]++):[ \t]+(?P<value>[^\n]+)"),
    regex(r"(?<![\w-])--(?P<name>[\w-]++)\s+(?P<value>[^\s-]\S*)"),
)


def _logins(text: str) -> Iterable[_Span]:
    for found in _USERINFO.finditer(text):
        if not _PLAIN_USER.fullmatch(found[1]):
            yield found.span(1)
    if bare := _BARE_LOGIN.fullmatch(text):
        yield bare.span(1)
    yield from (found.span(found.lastindex or 0) for found in _QUOTED_LOGIN.finditer(text))


def _known(text: str) -> Iterable[_Span]:
    for pattern in (_PREFIXED, _AWS_SECRET):
        yield from (found.span() for found in pattern.finditer(text))
    for found in _BEARER.finditer(text):
        yield found.span("login" if found["login"] else "token")
    yield from (found.span(1) for found in _HOOK.finditer(text))


def _assigned(text: str, patterns: tuple[re.Pattern[str], ...] = _ASSIGNED) -> Iterable[_Span]:
    for pattern in patterns:
        for found in pattern.finditer(text):
            if secret_value(found["name"], found["value"]):
                yield found.span("value")


_FINDERS: tuple[Callable[[str], Iterable[_Span]], ...] = (_logins, _known, _assigned)


# --- masking for looking like chance

_SHORTEST = 20
_SHORTEST_HEX = 32
_ENTROPY = 3.2
_HEX_ENTROPY = 2.5
_CHUNK = regex(r"[^\s,;:|\"'`<>(){}\[\]?&#=@$*]+={0,2}")
_COMPONENT = regex(r"[^/]+")
_HEX = regex(r"(0x)?([0-9a-f]+|[0-9A-F]+)")
# What looks like chance and is none: identities, digests of images, hashed folders of Nix.
_KNOWN_FORMS = regex(
    r"(?<![0-9A-Za-z])[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(?![0-9A-Za-z])"
    r"|\bsha(1|256|384|512)[:-][0-9a-f]{40,128}\b"
    r"|(?<=/nix/store/)[0-9a-z]{32}(?=-)",
    re.IGNORECASE,
)


def entropy(text: str) -> float:
    """Shannon entropy of the characters of *text*, in bits a character."""
    total = len(text)
    return -sum(n / total * math.log2(n / total) for n in Counter(text).values())


def _chance(text: str, hashes: bool) -> Iterable[_Span]:
    plain = _KNOWN_FORMS.sub(lambda found: " " * len(found[0]), text)
    for chunk in _CHUNK.finditer(plain):
        start = chunk.start()
        if not chunk[0].startswith(("/", "~", ".")):
            if _random(chunk[0], hashes):
                yield chunk.span()
            continue
        # Commits are common names of folders; in a URL such a number is rather a key.
        file = not chunk[0].startswith("//")
        for part in _COMPONENT.finditer(chunk[0]):
            if _random(part[0], hashes or file):
                yield start + part.start(), start + part.end()


def _random(piece: str, hashes: bool) -> bool:
    """Whether *piece* looks like characters drawn at random rather than written."""
    if len(piece) < _SHORTEST:
        return False
    if _HEX.fullmatch(piece):
        return not hashes and len(piece) >= _SHORTEST_HEX and entropy(piece) >= _HEX_ENTROPY
    parts = re.split(r"[-_./+~%\\=]", piece)
    odd = "".join(p for p in parts if not (_written(p) or (hashes and _HEX.fullmatch(p))))
    return len(odd) >= 16 and entropy(odd) >= _ENTROPY


def _written(part: str) -> bool:
    """Whether *part* of a name reads like words, a version or a short serial number."""
    if len(part) <= 10 and part.isalnum() and (part.islower() or part.isupper()):
        return True
    words = _WORD.findall(part)
    if not words or max(map(len, words)) > 24:
        return False
    # The longer it is, the less likely are long words by chance alone, and digits in one.
    mean = 3 if part.isalpha() else 4 if len(part) < 24 else 6
    return len(part) / len(words) >= mean
