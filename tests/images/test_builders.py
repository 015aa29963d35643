"""A builder that is not the engine's own: a cell is built, pushed and tested with one.

An engine serves BuildKit behind its socket, after an upgrade of the connection; a bridge on
loopback makes that the address of a ``remote`` builder of buildx.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator

import pytest

from dynbuild.engine import builder
from dynbuild.plan.image_tests import ImageTest
from tests.images.lab import SMALL, Lab, Set, status, status_names
from tests.session import NAME

UPGRADE = b"POST /grpc HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"


def _pipe(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    for one in (source, target):
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)


def _connect(client: socket.socket, path: str) -> None:
    with client, socket.socket(socket.AF_UNIX) as engine:
        engine.connect(path)
        engine.sendall(UPGRADE)
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += engine.recv(1)
        back = threading.Thread(target=_pipe, args=(engine, client), daemon=True)
        back.start()
        _pipe(client, engine)
        back.join()


def _serve(listener: socket.socket, path: str) -> None:
    with contextlib.suppress(OSError):
        while True:
            client, _ = listener.accept()
            threading.Thread(target=_connect, args=(client, path), daemon=True).start()


@pytest.fixture
def remote(engine, docker) -> Iterator[str]:
    """The name of a remote builder, which is the engine's BuildKit by another way."""
    if not (engine.host or "").startswith("unix://"):
        pytest.skip("the bridge takes an engine's socket")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        path = engine.host.removeprefix("unix://")
        threading.Thread(target=_serve, args=(listener, path), daemon=True).start()
        name = f"{NAME}-remote"
        port = listener.getsockname()[1]
        docker("buildx", "create", "--name", name, "--driver", "remote", f"tcp://127.0.0.1:{port}")
        try:
            yield name
        finally:
            docker("buildx", "rm", name)


def test_a_remote_builder_builds_and_pushes_a_cell(
    engine, remote, base_image, registry, *, docker, tmp_path
):
    base = f"{registry}/base/remote:trixie"
    docker("image", "tag", base_image, base)
    docker("push", "--quiet", base)
    docker("image", "rm", base)
    lab = Lab(engine, {**os.environ, "BUILDX_BUILDER": remote}, base)
    assert builder.find(engine, lab.env).driver == "remote"
    cell = next(one for one in SMALL if one.framework == "none" and one.target == "dynamo_base")
    many = Set(lab, tmp_path, [cell], output="push", repository=f"{registry}/remote")
    (name,) = status_names(many)
    result = many.run(tests={name: (ImageTest(name="starts", argv=("true",)),)})
    assert status(result) == {name: "done"}, result.cells[0].failure
    (made,) = result.cells
    assert made.moved
    assert [one.status for one in made.tests] == ["passed"]
    for tag in made.tags:
        assert made.digest in docker("buildx", "imagetools", "inspect", tag)
