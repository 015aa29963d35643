"""Questions to an engine over its socket: the answer of a client, without starting one."""

from __future__ import annotations

import json
import socket

ANSWER_SECONDS = 10.0
"""How long an engine may be silent."""
_PIECE = 1 << 16
_UNIX = "unix://"


def get(host: str | None, path: str) -> tuple[int, object]:
    """What the engine at *host* answers when it is asked for *path*.

    Args:
        host: Its address.
        path: Such as ``/version``, without a version of the API: the engine's newest is meant.

    Returns:
        The status of HTTP, and the value that came with it.

    Raises:
        OSError: Nobody listens there, or it is no socket of this machine (``TimeoutError``: who
            listens does not answer in time).
        ValueError: What came is no answer.
    """
    if not host or not host.startswith(_UNIX):
        raise OSError(f"{host or 'the default address'} is no socket of this machine")
    reply = bytearray()
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(ANSWER_SECONDS)
        link.connect(host.removeprefix(_UNIX))
        # HTTP/1.0: the answer ends where the engine closes, and comes in one piece.
        link.sendall(f"GET {path} HTTP/1.0\r\nHost: docker\r\n\r\n".encode())
        while piece := link.recv(_PIECE):
            reply += piece
    head, _, body = bytes(reply).partition(b"\r\n\r\n")
    words = head.split(maxsplit=2)
    if len(words) < 2 or not words[1].isdigit():
        raise ValueError("no answer of HTTP")
    return int(words[1]), json.loads(body)
