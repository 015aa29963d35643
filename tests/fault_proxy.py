"""A reverse proxy on loopback that answers some requests with a fault, and hands on the others.

It stands in front of what a build reaches over HTTP: a registry, a package index, a mirror. A test
says which requests fail, how and how often; what came is noted.
"""

from __future__ import annotations

import http.client
import json
import socket
import struct
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TRANSIENT = ("reset", "timeout", "429", "500", "502", "503", "504", "half")
"""Faults that may be gone the next time."""

LASTING = ("401", "403", "404")
"""Faults that will not."""

HANDSHAKE = "handshake"
"""The fault of a connection that begins with TLS, of the method and path ``TLS``: it ends there."""

TOKEN = "/token"
"""The path of the server of tokens, where some paths are only for those who have one."""

SILENCE_SECONDS = 20.0
"""How long a ``timeout`` says nothing before it closes the connection; a client may go before."""

_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "expect"}
_CHUNK = 1 << 16
_TLS = b"\x16"
"""The first byte of a handshake, RFC 8446 section 5.1."""


@dataclass
class Rule:
    """Which requests fail.

    Attributes:
        path: A glob of their paths, with the query.
        fault: One of ``TRANSIENT`` or ``LASTING``.
        left: How many of them still fail.
        method: Of which method; empty for any.
        seconds: What ``Retry-After`` of a 429 or 503 says; how long a ``timeout`` is silent.
    """

    path: str
    fault: str
    left: int
    method: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Asked:
    """A request that came.

    Attributes:
        method: Its method.
        path: Its path, with the query.
        fault: How it failed; empty where it was handed on.
        at: When, in seconds of a monotonic clock.
    """

    method: str
    path: str
    fault: str
    at: float


class Proxy:
    """The proxy while it runs.

    Attributes:
        address: Its host and port.
        token: What opens the paths that are guarded.
        asked: The requests that came, in their order.
    """

    def __init__(self, upstream: str) -> None:
        """Listen, to hand on requests to *upstream*, a host and a port."""
        self.upstream = upstream
        self.asked: list[Asked] = []
        self.token = uuid.uuid4().hex
        self._rules: list[Rule] = []
        self._guarded: list[str] = []
        self._lock = threading.RLock()
        self._server = _Server(("127.0.0.1", 0), self)
        self.address = "{}:{}".format(*self._server.server_address[:2])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def fail(
        self, path: str, fault: str, times: int = 1, *, method: str = "", seconds: float = 0.0
    ) -> None:
        """Let the next *times* requests of the paths that fit the glob *path* fail."""
        assert fault in (*TRANSIENT, *LASTING, HANDSHAKE), fault
        with self._lock:
            self._rules.append(Rule(path, fault, times, method, seconds))

    def guard(self, path: str) -> None:
        """Answer requests of the paths that fit the glob *path* with a token only.

        Who has none is told where to get one, for nothing: at ``TOKEN`` of the proxy itself
        (https://distribution.github.io/distribution/spec/auth/token/).
        """
        with self._lock:
            self._guarded.append(path)

    def wants_token(self, path: str, authorization: str) -> bool:
        """Whether a request gets nothing but the address of the server of tokens."""
        with self._lock:
            guarded = any(fnmatchcase(path, glob) for glob in self._guarded)
        return guarded and authorization != f"Bearer {self.token}"

    def heal(self) -> None:
        """Fail no more, and forget what came."""
        with self._lock:
            self._rules.clear()
            self.asked.clear()

    def failed(self) -> list[Asked]:
        """The requests that failed."""
        with self._lock:
            return [one for one in self.asked if one.fault]

    def decide(self, method: str, path: str) -> Rule | None:
        """How a request fails; ``None`` where it does not."""
        with self._lock:
            for rule in self._rules:
                if rule.left and rule.method in ("", method) and fnmatchcase(path, rule.path):
                    rule.left -= 1
                    self.note(method, path, rule.fault)
                    return rule
            self.note(method, path, "")
            return None

    def note(self, method: str, path: str, fault: str) -> None:
        """Note that a request came."""
        with self._lock:
            self.asked.append(Asked(method, path, fault, time.monotonic()))

    def start(self) -> None:
        """Answer from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Answer no more."""
        self._server.over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def before(upstream: str) -> Iterator[Proxy]:
    """A proxy in front of *upstream*, a host and a port."""
    proxy = Proxy(upstream)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.stop()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], proxy: Proxy) -> None:
        self.proxy = proxy
        self.over = threading.Event()
        super().__init__(address, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that go away."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        """Write nothing."""

    def handle(self) -> None:
        """Answer a connection; one that begins as TLS does has no end of its handshake.

        It is told that it came to the wrong place, in plain text as other servers do: then a
        client of registries asks without TLS.
        """
        if self.connection.recv(1, socket.MSG_PEEK) == _TLS:
            self.connection.recv(_CHUNK)
            if self.server.proxy.decide("TLS", "TLS") is None:
                self.connection.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
            return
        super().handle()

    def _any(self) -> None:
        proxy = self.server.proxy
        if proxy.wants_token(self.path, self.headers.get("Authorization", "")):
            proxy.note(self.command, self.path, "")
            self._challenge()
            return
        rule = proxy.decide(self.command, self.path)
        token = self.path.partition("?")[0] == TOKEN
        if token and (rule is None or rule.fault == "half"):
            self._give_token(half=rule is not None)
        elif rule is None:
            self._forward(half=False)
        elif rule.fault == "half":
            self._forward(half=True)
        elif rule.fault == "reset":
            self._reset()
        elif rule.fault == "timeout":
            self.server.over.wait(rule.seconds or SILENCE_SECONDS)
            self.close_connection = True
        else:
            self._refuse(int(rule.fault), rule.seconds)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _any  # noqa: N815

    def _challenge(self) -> None:
        repository = self.path.removeprefix("/v2/").rpartition("/")[0].rpartition("/")[0]
        action = "pull" if self.command in ("GET", "HEAD") else "pull,push"
        scope = f"repository:{repository.removesuffix('/blobs')}:{action}"
        self.send_response(401)
        self.send_header(
            "WWW-Authenticate",
            f'Bearer realm="http://{self.server.proxy.address}{TOKEN}",service="x",scope="{scope}"',
        )
        self.send_header("Content-Length", "0")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        self._drain()

    def _give_token(self, *, half: bool) -> None:
        for _ in self._body():
            pass
        body = json.dumps({"token": self.server.proxy.token}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if half else body)
        self.close_connection = half

    def _reset(self) -> None:
        # Closed without lingering, a connection ends with a reset.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def _refuse(self, status: int, seconds: float) -> None:
        # What is not read of the body would be taken for the next request.
        self.close_connection = True
        body = f"{status} by the fault proxy\n".encode()
        self.send_response(status)
        if status in (429, 503) and seconds:
            self.send_header("Retry-After", f"{seconds:.0f}")
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()
        self._drain()

    def _drain(self) -> None:
        """Take what the client still sends: closed with it unread, it would see a reset."""
        self.connection.settimeout(2.0)
        for _ in self._body():
            pass

    def _body(self) -> Iterator[bytes]:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            while size := int(self.rfile.readline().split(b";")[0], 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return
        left = int(self.headers.get("Content-Length") or 0)
        while left > 0:
            data = self.rfile.read(min(left, _CHUNK))
            if not data:
                return
            left -= len(data)
            yield data

    def _forward(self, *, half: bool) -> None:
        chunked = "chunked" in self.headers.get("Transfer-Encoding", "")
        with _connection(self.server.proxy.upstream) as upstream:
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in _HOP:
                    upstream.putheader(name, value)
            if chunked:
                upstream.putheader("Transfer-Encoding", "chunked")
            upstream.endheaders()
            for data in self._body():
                upstream.send(b"%x\r\n%s\r\n" % (len(data), data) if chunked else data)
            if chunked:
                upstream.send(b"0\r\n\r\n")
            self._answer(upstream.getresponse(), half=half)

    def _answer(self, answer: http.client.HTTPResponse, *, half: bool) -> None:
        whole = b"" if self.command == "HEAD" else answer.read()
        if half and not whole:
            self._reset()
            return
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in (*_HOP, "content-length"):
                self.send_header(name, value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(whole))
        if length is not None and answer.status not in (204, 304):
            self.send_header("Content-Length", length)
        if half:
            self.send_header("Connection", "close")
        self.end_headers()
        if half:
            self.wfile.write(whole[: len(whole) // 2])
            self.wfile.flush()
            self.close_connection = True
        elif whole:
            self.wfile.write(whole)


@contextmanager
def _connection(address: str) -> Iterator[http.client.HTTPConnection]:
    host, _, port = address.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=120)
    try:
        yield connection
    finally:
        connection.close()
