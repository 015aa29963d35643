"""S3 as it is asked: the client, its calls, and what its refusals mean."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from dynbuild import units
from dynbuild.findings import Finding
from dynbuild.sccache.cache import CompileCache
from dynbuild.sccache.s3 import credentials as aws
from dynbuild.sccache.s3 import messages
from dynbuild.sccache.s3.call import in_time
from dynbuild.sccache.s3.credentials import Credentials, aware

_T = TypeVar("_T")

Again = Callable[[str, float], None]
"""Told why a question was asked again, and after how many seconds."""

# A server that does not answer at all is given up after this.
_ANSWER_SECONDS = 3.0
# S3 refuses what is signed a quarter of an hour off.
_SKEW = timedelta(minutes=5)


@dataclass(slots=True)
class Service:
    """S3, and what its answers told beside what was asked."""

    cache: CompileCache
    client: Any
    source: str
    date: datetime | None = None
    region: str = ""
    again: Again | None = None
    _failed: tuple[str, float] | None = None

    def watch(self, client: Any, name: str) -> None:
        """Hear of what *client* of the service *name* asks again."""
        client.meta.events.register(f"needs-retry.{name}", self._note_failure)
        client.meta.events.register(f"before-send.{name}", self._note_again)

    def _note_failure(self, response: Any, caught_exception: Any, **_: Any) -> None:
        """Read why a try failed; boto3 decides whether there is another."""
        status = response[0].status_code if response else 0
        said = str(caught_exception or "")
        if status == 429 or status >= 500:
            said = f"{self.cache.address or 'AWS'} answered with HTTP {status}"
        self._failed = (said, time.monotonic()) if said else None

    def _note_again(self, **_: Any) -> None:
        """Tell of the try before, where this is another of the same."""
        failed, self._failed = self._failed, None
        if failed and self.again:
            self.again(failed[0], round(time.monotonic() - failed[1], 1))

    def note(self, response_dict: Mapping[str, Any], parsed_response: Any, **_: Any) -> None:
        """Read time and region off an answer; boto3 follows to another region by itself."""
        headers = (response_dict or {}).get("headers", {})
        with suppress(ValueError):
            self.date = aware(parsedate_to_datetime(headers.get("date", "")))
        error = (parsed_response or {}).get("Error", {})
        self.region = (
            self.region or headers.get("x-amz-bucket-region", "") or error.get("Region", "")
        )

    def ask(self, operation: str, **words: Any) -> Any:
        """One call.

        Raises:
            Unusable: It was refused, or not answered in time.
            Refused: The key lacks the right to it.
        """
        return self.in_time(
            lambda: getattr(self.client, operation)(Bucket=self.cache.bucket, **words)
        )

    def in_time(self, call: Callable[[], _T]) -> _T:
        """The result of *call*, with the errors of ``ask``."""
        self._failed = None
        return in_time(call, lambda error: _explain(error, self), self.finding("endpoint-hangs"))

    def finding(self, name: str, **more: object) -> Finding:
        """One of ``messages.MESSAGES``, about this bucket."""
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
        message, remedy = (text.format(**{**words, **more}) for text in messages.MESSAGES[name])
        return Finding(name, message, remedy)

    def skew(self, now: datetime) -> Finding | None:
        """The finding that this machine's clock is wrong, where it is."""
        if self.date is None or abs(now - self.date) < _SKEW:
            return None
        side = "ahead of" if now > self.date else "behind"
        minutes = units.format_minutes(abs(now - self.date).total_seconds())
        return self.finding("clock-skew", off=f"{minutes} {side}")

    @property
    def elsewhere(self) -> bool:
        """Whether an answer named another region than the cache's."""
        return bool(self.region) and self.cache.region not in (self.region, "auto")


def connect(cache: CompileCache, given: Credentials, again: Again | None = None) -> Service:
    """S3 for *cache*, asked with *given*; nothing is asked yet.

    Args:
        cache: The cache.
        given: Credentials for it.
        again: Told of what is asked again.

    Raises:
        Unusable: No client can be made of these.
    """
    service = Service(cache=cache, client=None, source=given.source, again=again)
    service.client = service.in_time(lambda: client_of(cache, given, "s3"))
    service.watch(service.client, "s3")
    service.client.meta.events.register("response-received.s3", service.note)
    return service


def client_of(cache: CompileCache, given: Credentials, name: str) -> Any:
    """boto3's client of the service *name*."""
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
        # Once more for a fault of the moment: all of a question has to end in nine seconds.
        "retries": {"total_max_attempts": 2, "mode": "standard"},
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


def _explain(error: Exception, service: Service) -> Finding:
    """What an error of boto3 means."""
    from botocore import exceptions  # type: ignore[import-untyped]

    if isinstance(error, exceptions.ProfileNotFound):
        return aws.explain(error)
    if isinstance(error, exceptions.ClientError):
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        name = messages.CODES.get(code) or messages.STATUS.get(status, "server-error")
        return service.finding(name, status=status)
    for kind, name in messages.ERRORS:
        if isinstance(error, getattr(exceptions, kind)):
            return service.finding(name)
    return service.finding("not-s3")
