"""The bucket of the compile cache: credentials, preflight, figures, and deleting old objects.

The one place that talks to S3.  No call takes ten seconds, none is repeated, and no message
holds anything of the credentials: of what a library or server says only the kind is passed on.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, TypeVar

from dynbuild import units
from dynbuild.errors import NotReady, RequestError
from dynbuild.findings import Finding
from dynbuild.sccache.cache import CompileCache, entry_prefix

_T = TypeVar("_T")

# A server that does not answer at all is given up after the first; one that answers a byte at a
# time, a name server or a helper program that is silent, after the second.
_ANSWER_SECONDS = 3.0
_CALL_SECONDS = 9.0
# S3 refuses what is signed a quarter of an hour off.
_SKEW = timedelta(minutes=5)
_BATCH = 1000
_PROBE = ".dynbuild_check-"

AGES = (("1 day", timedelta(days=1)), ("7 days", timedelta(days=7)), ("30 days", timedelta(30)))
"""Upper ends of the classes of age that ``figures`` counts; what is older is a class too."""

OLDER = "older"
"""The name of the last class of age."""


class Unusable(NotReady):
    """The cache cannot be used.

    Attributes:
        finding: Why, and what to do about it.
    """

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.message, hint=finding.remedy)
        self.finding = finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """AWS credentials.  Their text form shows no part of them.

    Attributes:
        access_key: The id of the key.
        secret_key: The key.
        token: The session token of temporary credentials, empty for others.
        expires: When they end, ``None`` where that is not known.
        source: Where they came from: ``variables``, or the name boto3 has for it.
    """

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    token: str = field(default="", repr=False)
    expires: datetime | None = None
    source: str = "variables"

    def variables(self) -> dict[str, str]:
        """The variables that programs read them from, for the secrets of a build."""
        found = {"AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key}
        return found | ({"AWS_SESSION_TOKEN": self.token} if self.token else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One object.

    Attributes:
        key: Its whole key.
        size: Bytes.
        modified: When it was written.  S3 does not know when it was read.
    """

    key: str
    size: int
    modified: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What lies below one sub-prefix, usually an architecture.

    Attributes:
        prefix: The sub-prefix, relative to the cache's; empty for the cache's own.
        ours: Whether these are entries of sccache; other objects are counted apart.
        objects: How many.
        bytes: Their size.
        oldest: When the first of them was written.
        newest: When the last was.
        ages: Objects and bytes for each class of age: those of ``AGES``, then ``OLDER``.
    """

    prefix: str
    ours: bool
    objects: int
    bytes: int
    oldest: datetime
    newest: datetime
    ages: Mapping[str, tuple[int, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What ``prune`` did, or would do.

    Attributes:
        deleted: Objects deleted.
        freed: Their bytes.
        kept: Objects of sccache that stay.
        left: Their bytes.
        others: Objects that are no entries of sccache; they are never touched.
        dry_run: Whether nothing was deleted.
    """

    deleted: int
    freed: int
    kept: int
    left: int
    others: int
    dry_run: bool


# --- credentials


def credentials(env: Mapping[str, str]) -> Credentials:
    """The credentials of the standard AWS chain.

    Variables, profile, SSO, roles, web identity, containers and instances.  Where the files are
    and which profile is meant is read from *env*; the rarer variables of the other ways boto3
    reads from its process.

    Raises:
        Unusable: There are none, or they cannot be had.
    """
    key, secret = env.get("AWS_ACCESS_KEY_ID", ""), env.get("AWS_SECRET_ACCESS_KEY", "")
    if key or secret:
        if not (key and secret):
            there, missing = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"
            if secret:
                there, missing = missing, there
            raise Unusable(
                Finding(
                    "half-credentials",
                    f"{there} is set and {missing} is not",
                    f"set {missing} too, or unset both to use a profile",
                )
            )
        given = Credentials(
            access_key=key,
            secret_key=secret,
            token=env.get("AWS_SESSION_TOKEN") or env.get("AWS_SECURITY_TOKEN", ""),
            expires=_time(env.get("AWS_CREDENTIAL_EXPIRATION", "")),
        )
    else:
        given = _in_time(lambda: _chain(env), _no_credentials, _SLOW_CREDENTIALS)
    for text in (given.access_key, given.secret_key, given.token):
        if not (text.isascii() and text.isprintable()) or " " in text:
            raise Unusable(
                Finding(
                    "malformed-credentials",
                    f"the AWS credentials from {given.source} hold a blank or a line end",
                    "set them anew, without what was copied along",
                )
            )
    return given


def _time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return _aware(found)


def _aware(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _chain(env: Mapping[str, str]) -> Credentials:
    from botocore import session as sessions  # type: ignore[import-untyped]

    session = sessions.Session()
    home = Path(env.get("HOME") or Path.home(), ".aws")
    for name, variable, file in (
        ("credentials_file", "AWS_SHARED_CREDENTIALS_FILE", "credentials"),
        ("config_file", "AWS_CONFIG_FILE", "config"),
    ):
        session.set_config_variable(name, env.get(variable) or str(home / file))
    profile = env.get("AWS_PROFILE") or env.get("AWS_DEFAULT_PROFILE")
    if profile and profile != session.get_config_variable("profile"):
        session.set_config_variable("profile", profile)
    resolver = session.get_component("credential_provider")
    if env.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        resolver.remove("iam-role")
    found = session.get_credentials()
    if found is None:
        raise Unusable(_NO_CREDENTIALS)
    frozen = found.get_frozen_credentials()
    return Credentials(
        access_key=frozen.access_key,
        secret_key=frozen.secret_key,
        token=frozen.token or "",
        # There is no public name for it.
        expires=getattr(found, "_expiry_time", None),
        source=found.method,
    )


_NO_CREDENTIALS = Finding(
    "no-credentials",
    "there are no AWS credentials for the compile cache",
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or log in: aws sso login",
)


_SLOW_CREDENTIALS = Finding(
    "slow-credentials",
    "the AWS credentials for the compile cache did not come in time",
    "look at what the AWS profile asks for them: a program, a login, another machine",
)


def _no_credentials(error: Exception) -> Finding:
    """Why the chain gave nothing.  What the error says may be the output of a program."""
    name = type(error).__name__
    if name == "ProfileNotFound":
        return Finding(
            "no-profile",
            "the AWS profile that AWS_PROFILE names is in none of the AWS files",
            "aws configure list-profiles shows those that are; correct or unset AWS_PROFILE",
        )
    if name in ("UnauthorizedSSOTokenError", "SSOTokenLoadError", "TokenRetrievalError"):
        return Finding("sso-login", "the AWS login by SSO has ended", "aws sso login")
    return Finding(
        "no-credentials",
        f"the AWS credentials cannot be had ({name})",
        "correct the AWS profile, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    )


# --- asking


@dataclass(slots=True)
class _Service:
    """S3, and what its answers told beside what was asked."""

    cache: CompileCache
    client: Any
    source: str
    date: datetime | None = None
    region: str = ""

    def note(self, response_dict: Mapping[str, Any], parsed_response: Any, **_: Any) -> None:
        """Read time and region off an answer; boto3 follows to another region by itself."""
        headers = (response_dict or {}).get("headers", {})
        with suppress(ValueError):
            self.date = _aware(parsedate_to_datetime(headers.get("date", "")))
        error = (parsed_response or {}).get("Error", {})
        self.region = (
            self.region or headers.get("x-amz-bucket-region", "") or error.get("Region", "")
        )

    def ask(self, operation: str, **words: Any) -> Any:
        """One call.

        Raises:
            Unusable: It was refused, or not answered in time.
            _Refused: The key lacks the right to it.
        """
        return self.in_time(
            lambda: getattr(self.client, operation)(Bucket=self.cache.bucket, **words)
        )

    def in_time(self, call: Callable[[], _T]) -> _T:
        """The result of *call*, with the errors of ``ask``."""
        return _in_time(call, lambda error: _explain(error, self), self.finding("endpoint-hangs"))

    def finding(self, name: str, **more: object) -> Finding:
        """One of ``_MESSAGES``, about this bucket."""
        region = self.region if self.region != self.cache.region else ""
        words = {
            "where": self.cache.address or "AWS",
            "source": self.source,
            "bucket": self.cache.bucket,
            "prefix": self.cache.prefix,
            "region": self.cache.region,
            "right": region or "another region",
            "target": region or "the bucket's",
            "off": "not",
        }
        message, remedy = (text.format(**{**words, **more}) for text in _MESSAGES[name])
        return Finding(name, message, remedy)

    def skew(self, now: datetime) -> Finding | None:
        """The finding that this machine's clock is wrong, where it is."""
        if self.date is None or abs(now - self.date) < _SKEW:
            return None
        side = "ahead of" if now > self.date else "behind"
        minutes = _minutes(abs(now - self.date).total_seconds())
        return self.finding("clock-skew", off=f"{minutes} {side}")

    @property
    def elsewhere(self) -> bool:
        """Whether an answer named another region than the cache's."""
        return bool(self.region) and self.cache.region not in (self.region, "auto")


class _Refused(Unusable):
    """The credentials are good, and lack a right."""


def _service(cache: CompileCache, given: Credentials) -> _Service:
    service = _Service(cache=cache, client=None, source=given.source)
    service.client = service.in_time(lambda: _client(cache, given, "s3"))
    service.client.meta.events.register("response-received.s3", service.note)
    return service


def _client(cache: CompileCache, given: Credentials, name: str) -> Any:
    import boto3  # type: ignore[import-untyped]
    from botocore.config import Config  # type: ignore[import-untyped]

    session = boto3.session.Session(
        aws_access_key_id=given.access_key,
        aws_secret_access_key=given.secret_key,
        aws_session_token=given.token or None,
        region_name=cache.region,
    )
    options: dict[str, Any] = {
        "connect_timeout": _ANSWER_SECONDS,
        "read_timeout": _ANSWER_SECONDS,
        "retries": {"total_max_attempts": 1},
        # Servers that are not AWS refuse newer checksums.
        "request_checksum_calculation": "when_required",
        "response_checksum_validation": "when_required",
    }
    if name == "s3":
        # As sccache asks, and nobody else: builds do not get AWS_ENDPOINT_URL.
        options |= {"s3": {"addressing_style": "path"}, "ignore_configured_endpoint_urls": True}
    return session.client(
        name,
        endpoint_url=(cache.address or None) if name == "s3" else None,
        config=Config(**options),
    )


def _in_time(
    call: Callable[[], _T], explain: Callable[[Exception], Finding], silent: Finding
) -> _T:
    """The result of *call*, which is given up after a while; errors become findings."""
    done: list[_T] = []
    failed: list[Exception] = []

    def work() -> None:
        try:
            done.append(call())
        except Exception as error:
            failed.append(error)

    # A daemon: a name server that never answers must not hold up the end of the program.
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(_CALL_SECONDS)
    if done:
        return done[0]
    if not failed:
        raise Unusable(silent)
    if isinstance(failed[0], NotReady):
        raise failed[0]
    finding = explain(failed[0])
    raise (_Refused if finding.name == "denied" else Unusable)(finding) from None


_ACCESS = "give the key s3:ListBucket, s3:GetObject, s3:PutObject and s3:DeleteObject there"

_MESSAGES = {
    "wrong-key": (
        "{where} does not know the access key from {source}",
        "check AWS_ACCESS_KEY_ID or the profile, and that AWS_SESSION_TOKEN belongs to it",
    ),
    "wrong-secret": (
        "{where} knows the access key from {source}, but another secret for it",
        "set AWS_SECRET_ACCESS_KEY anew",
    ),
    "wrong-token": (
        "{where} refuses the session token from {source}",
        "set AWS_SESSION_TOKEN anew, or unset it for a key that has none",
    ),
    "expired-credentials": (
        "the AWS credentials from {source} have expired",
        "log in again with aws sso login, or set new ones with their AWS_SESSION_TOKEN",
    ),
    "denied": ("the key from {source} has no rights in bucket {bucket}", _ACCESS),
    "no-list": (
        "the key from {source} may not list bucket {bucket}, and without that right S3 answers"
        " with an error where nothing is in the cache yet",
        "give it s3:ListBucket",
    ),
    "no-read": ("the key from {source} may not read bucket {bucket}", "give it s3:GetObject"),
    "no-delete": (
        "the key from {source} may not delete objects of bucket {bucket}",
        "give it s3:DeleteObject",
    ),
    "read-only-key": (
        "the key from {source} may read bucket {bucket} but not write below '{prefix}/'",
        "give it s3:PutObject, or use the cache read-only",
    ),
    "no-bucket": (
        "there is no bucket {bucket} at {where}",
        "create it, or correct its name or the endpoint",
    ),
    "wrong-region": (
        "bucket {bucket} is in {right}, not in {region}",
        "set the region of the compile cache to {target}",
    ),
    "clock-skew": (
        "the clock of this machine is {off} the one of {where}, and S3 refuses more than 15 min",
        "set the clock of this machine: timedatectl set-ntp true",
    ),
    "endpoint-down": (
        "nothing answers at {where}",
        "start the server, or correct the endpoint or the region",
    ),
    "endpoint-hangs": (
        "{where} did not answer in time",
        "check the server, the endpoint, the network and the proxy",
    ),
    "endpoint-tls": (
        "{where} cannot be asked by TLS",
        "write http:// before one that speaks plain HTTP; else set AWS_CA_BUNDLE to its authority",
    ),
    "proxy-down": ("the proxy on the way to {where} does not answer", "correct HTTPS_PROXY"),
    "other-object": (
        "{where} returns another object than was written",
        "look at the server, and at proxies on the way",
    ),
    "not-s3": ("{where} does not answer as S3 does", "correct the endpoint"),
    "server-error": (
        "{where} answers with status {status}",
        "try again later; if it stays, look at the server or correct the endpoint",
    ),
}

_CODES = {
    "InvalidAccessKeyId": "wrong-key",
    "InvalidClientTokenId": "wrong-key",
    "SignatureDoesNotMatch": "wrong-secret",
    "ExpiredToken": "expired-credentials",
    "ExpiredTokenException": "expired-credentials",
    "TokenRefreshRequired": "expired-credentials",
    "InvalidToken": "wrong-token",
    "RequestTimeTooSkewed": "clock-skew",
    "RequestExpired": "clock-skew",
    "NoSuchBucket": "no-bucket",
    "PermanentRedirect": "wrong-region",
    "AuthorizationHeaderMalformed": "wrong-region",
    # What boto3 makes of a page that is no XML; S3's own has a word for its code.
    "500": "not-s3",
}
_STATUS = {301: "wrong-region", 307: "wrong-region", 403: "denied", 404: "no-bucket"}
# The first that fits counts: some are kinds of others.
_ERRORS = (
    ("ConnectTimeoutError", "endpoint-hangs"),
    ("ReadTimeoutError", "endpoint-hangs"),
    ("SSLError", "endpoint-tls"),
    ("ProxyConnectionError", "proxy-down"),
    ("ConnectionError", "endpoint-down"),
    ("HTTPClientError", "endpoint-down"),
)


def _explain(error: Exception, service: _Service) -> Finding:
    """What an error of boto3 means."""
    from botocore import exceptions

    if isinstance(error, exceptions.ProfileNotFound):
        return _no_credentials(error)
    if isinstance(error, exceptions.ClientError):
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        name = _CODES.get(code) or _STATUS.get(status, "server-error")
        return service.finding(name, status=status)
    for kind, name in _ERRORS:
        if isinstance(error, getattr(exceptions, kind)):
            return service.finding(name)
    return service.finding("not-s3")


# --- preflight


def preflight(
    cache: CompileCache, env: Mapping[str, str], *, expected_seconds: float, now: datetime
) -> tuple[Finding, ...]:
    """What keeps sccache from using *cache*; empty where nothing does.

    Args:
        cache: The cache; one that is ``local`` needs nothing.
        env: Where the credentials come from.
        expected_seconds: How long the build may take, for credentials that end.
        now: This machine's time.
    """
    if cache.kind == "local":
        return ()
    found: list[Finding] = []
    try:
        given = credentials(env)
        found += _ends(given, expected_seconds, now)
        if any(finding.name == "expired-credentials" for finding in found):
            return tuple(found)
        if not cache.endpoint:
            _identity(cache, given)
        service = _service(cache, given)
        try:
            _bucket(service)
            if service.elsewhere:
                raise Unusable(service.finding("wrong-region"))
            _objects(service)
        finally:
            skew = service.skew(now)
            if skew is not None:
                found.append(skew)
    except Unusable as error:
        if error.finding.name not in {finding.name for finding in found}:
            found.append(error.finding)
    return tuple(found)


def reachable(cache: CompileCache, env: Mapping[str, str]) -> Finding | None:
    """Whether the bucket can be asked at all, with one call that writes nothing.

    Returns:
        ``None``, or the first thing that is wrong.
    """
    try:
        service = _service(cache, credentials(env))
        _bucket(service)
    except Unusable as error:
        return error.finding
    if service.elsewhere:
        return service.finding("wrong-region")
    return None


def _ends(given: Credentials, expected_seconds: float, now: datetime) -> Iterator[Finding]:
    if given.expires is None:
        return
    left = (given.expires - now).total_seconds()
    if left <= 0:
        message, remedy = _MESSAGES["expired-credentials"]
        yield Finding("expired-credentials", message.format(source=given.source), remedy)
    elif left < expected_seconds:
        yield Finding(
            "short-credentials",
            f"the AWS credentials from {given.source} expire in {_minutes(left)},"
            f" and the build may take {_minutes(expected_seconds)}",
            "log in again before the build, or ask for a longer session",
        )


def _minutes(seconds: float) -> str:
    return units.format_time(60 * max(1, round(seconds / 60)))


def _identity(cache: CompileCache, given: Credentials) -> None:
    """Ask AWS whose key it is.  Servers that are not AWS have no such service."""
    service = _Service(cache=cache, client=None, source=given.source)
    try:
        service.in_time(lambda: _client(cache, given, "sts").get_caller_identity())
    except Unusable as error:
        # Where only S3 can be reached, S3 itself says what it thinks of the key.
        if error.finding.name not in ("endpoint-down", "endpoint-hangs", "server-error"):
            raise


def _bucket(service: _Service) -> None:
    """The bucket answers and may be listed."""
    prefix = service.cache.prefix
    try:
        # A listing, because the answer to HEAD says of a refusal its status only.
        service.ask("list_objects_v2", MaxKeys=1, **({"Prefix": f"{prefix}/"} if prefix else {}))
    except _Refused:
        if _may_read(service, ".sccache_check"):
            raise Unusable(service.finding("no-list")) from None
        raise


def _may_read(service: _Service, name: str) -> bool:
    try:
        service.ask("get_object", Key=_key(service.cache, name))
    except _Refused:
        return False
    except Unusable as error:
        # A missing object has the status of a missing bucket.
        if error.finding.name != "no-bucket":
            raise
    return True


def _objects(service: _Service) -> None:
    """An object can be written, read and deleted; of a read-only cache, one can be read."""
    name = f"{_PROBE}{secrets.token_hex(8)}"
    if service.cache.read_only:
        if not _may_read(service, name):
            raise Unusable(service.finding("no-read"))
        return
    key, body = _key(service.cache, name), secrets.token_bytes(16)
    try:
        service.ask("put_object", Key=key, Body=body)
    except _Refused:
        raise Unusable(service.finding("read-only-key")) from None
    try:
        answer = service.ask("get_object", Key=key)
        same = service.in_time(answer["Body"].read) == body
    except _Refused:
        raise Unusable(service.finding("no-read")) from None
    finally:
        _remove(service, key)
    if not same:
        raise Unusable(service.finding("other-object"))


def _remove(service: _Service, key: str) -> None:
    try:
        service.ask("delete_object", Key=key)
    except _Refused:
        raise Unusable(service.finding("no-delete")) from None


def _key(cache: CompileCache, name: str) -> str:
    return f"{cache.prefix}/{name}" if cache.prefix else name


# --- what is in the bucket


def listing(cache: CompileCache, env: Mapping[str, str]) -> Iterator[Entry]:
    """Every object below the prefix, page by page.

    Raises:
        Unusable: The bucket cannot be listed.
    """
    return _listing(_service(cache, credentials(env)))


def _listing(service: _Service) -> Iterator[Entry]:
    prefix = service.cache.prefix
    # With its slash, so that amd64 is not the beginning of amd64-old.
    words = {"Prefix": f"{prefix}/"} if prefix else {}
    while True:
        page = service.ask("list_objects_v2", MaxKeys=_BATCH, **words)
        for found in page.get("Contents", ()):
            yield Entry(key=found["Key"], size=found["Size"], modified=found["LastModified"])
        if not page.get("IsTruncated") or not page.get("NextContinuationToken"):
            return
        words["ContinuationToken"] = page["NextContinuationToken"]


def figures(entries: Iterable[Entry], prefix: str, *, now: datetime) -> tuple[Figure, ...]:
    """Count objects and bytes per sub-prefix and age.  Pure.

    Args:
        entries: Objects below *prefix*.
        prefix: That of the cache.
        now: The time that ages are counted to.

    Returns:
        Sorted by sub-prefix; last, in one figure, what sccache did not write.
    """
    groups: dict[tuple[bool, str], list[Any]] = {}
    for entry in entries:
        whole = entry_prefix(entry.key)
        ours = whole is not None and _below(entry.key, prefix)
        sub = whole.removeprefix(prefix).strip("/") if ours and whole is not None else ""
        group = groups.setdefault((not ours, sub), [0, 0, entry.modified, entry.modified, {}])
        group[0] += 1
        group[1] += entry.size
        group[2] = min(group[2], entry.modified)
        group[3] = max(group[3], entry.modified)
        age = now - entry.modified
        name = next((name for name, end in AGES if age < end), OLDER)
        objects, size = group[4].get(name, (0, 0))
        group[4][name] = (objects + 1, size + entry.size)
    names = [*(name for name, _ in AGES), OLDER]
    return tuple(
        Figure(
            prefix=sub,
            ours=not foreign,
            objects=objects,
            bytes=size,
            oldest=oldest,
            newest=newest,
            ages={name: ages.get(name, (0, 0)) for name in names},
        )
        for (foreign, sub), (objects, size, oldest, newest, ages) in sorted(groups.items())
    )


def _below(key: str, prefix: str) -> bool:
    return not prefix or key.startswith(f"{prefix}/")


def to_delete(
    entries: Iterable[Entry],
    prefix: str,
    *,
    older_than: timedelta | None,
    max_size: int | None,
    now: datetime,
) -> tuple[Entry, ...]:
    """The objects to delete, oldest first.  Pure.

    Only what sccache wrote below *prefix* is ever among them.

    Args:
        entries: Objects.
        prefix: That of the cache, without slashes at the ends; empty is the whole bucket.
        older_than: What is older goes; ``None`` is no bound.
        max_size: Bytes that may stay, the newest; ``None`` is no bound.
        now: The time that ages are counted to.
    """
    ours = [
        entry
        for entry in entries
        if entry_prefix(entry.key) is not None and _below(entry.key, prefix)
    ]
    ours.sort(key=lambda entry: (entry.modified, entry.key))
    stays = sum(entry.size for entry in ours)
    gone = []
    for entry in ours:
        old = older_than is not None and now - entry.modified > older_than
        if not old and (max_size is None or stays <= max_size):
            break
        stays -= entry.size
        gone.append(entry)
    return tuple(gone)


def prune(
    cache: CompileCache,
    env: Mapping[str, str],
    *,
    older_than: timedelta | None = None,
    max_size: int | None = None,
    dry_run: bool = False,
    all_prefixes: bool = False,
    now: datetime,
) -> Pruned:
    """Delete what sccache wrote below the prefix and is too old or too much, oldest first.

    Args:
        cache: The cache.
        env: Where the credentials come from.
        older_than: See ``to_delete``.
        max_size: See ``to_delete``; bytes.
        dry_run: Only say what would be deleted.
        all_prefixes: Consent to an empty prefix, which is every cache in the bucket.
        now: This machine's time.

    Raises:
        RequestError: No bound is given; or the prefix is empty, without consent.
        Unusable: The bucket refuses.
    """
    if older_than is None and max_size is None:
        raise RequestError(
            "prune needs to know what is too old or too much",
            hint="--older-than 30d, --max-size 200G, or both",
        )
    if not cache.prefix and not all_prefixes:
        raise RequestError(
            f"without a prefix every compile cache in bucket {cache.bucket} would be pruned",
            hint="--prefix NAME for one of them, --all-prefixes for all",
        )
    service = _service(cache, credentials(env))
    entries = list(_listing(service))
    gone = to_delete(entries, cache.prefix, older_than=older_than, max_size=max_size, now=now)
    ours = [entry for entry in entries if entry_prefix(entry.key) is not None]
    if not dry_run:
        for start in range(0, len(gone), _BATCH):
            _delete(service, gone[start : start + _BATCH])
    freed = sum(entry.size for entry in gone)
    return Pruned(
        deleted=len(gone),
        freed=freed,
        kept=len(ours) - len(gone),
        left=sum(entry.size for entry in ours) - freed,
        others=len(entries) - len(ours),
        dry_run=dry_run,
    )


def _delete(service: _Service, batch: Sequence[Entry]) -> None:
    objects = [{"Key": entry.key} for entry in batch]
    try:
        answer = service.ask("delete_objects", Delete={"Objects": objects, "Quiet": True})
    except _Refused:
        raise Unusable(service.finding("no-delete")) from None
    refused = answer.get("Errors", ())
    if any(error.get("Code") == "AccessDenied" for error in refused):
        raise Unusable(service.finding("no-delete"))
    if refused:
        raise Unusable(
            Finding(
                "server-error",
                f"{len(refused)} of {len(batch)} objects were not deleted",
                "prune again",
            )
        )
