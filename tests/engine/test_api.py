"""What an engine on a socket is asked without a client, and when a client is asked after all."""

from __future__ import annotations

import json
import socket
import threading

import pytest

from dynbuild import proc
from dynbuild.engine import api, images
from dynbuild.engine.model import Engine

pytestmark = pytest.mark.network

IMAGE = {"Id": "sha256:1", "Size": 5, "RootFS": {"Layers": ["sha256:2", "sha256:3"]}}
FIELDS = ("Id", "Size", "RootFS.Layers", "Descriptor")
SAID = ("sha256:1", 5, ["sha256:2", "sha256:3"], None)


class Served:
    """An engine that answers each path with a status and a text; 404 for all others."""

    def __init__(self, path):
        self.answers, self.asked = {}, []
        self.host = f"unix://{path}"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        while True:
            try:
                link, _ = self._listener.accept()
            except OSError:
                return
            with link:
                path = link.recv(4096).decode().split()[1]
                self.asked.append(path)
                head, text = self.answers.get(path, ("HTTP/1.0 404 Not Found", "{}"))
                link.sendall(f"{head}\r\nContent-Type: x\r\n\r\n{text}".encode())

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


@pytest.fixture
def served(tmp_path_factory):
    engine = Served(tmp_path_factory.mktemp("s") / "s")
    yield engine
    engine.close()


@pytest.fixture
def client(monkeypatch):
    """What was asked of a client, which has one image and its first two fields."""
    asked = []

    def run(argv, *, env, check):
        del env, check
        asked.append(argv)
        text = json.dumps(SAID) + "\n"
        return proc.Completed(argv=argv, returncode=0, stdout=text, stderr="")

    monkeypatch.setattr(proc, "run", run)
    return asked


def engine(host):
    return Engine("private", "docker", host, None, "28", "0.29", containerd_store=True)


def test_an_answer_is_a_status_and_a_value(served):
    served.answers["/version"] = ("HTTP/1.0 200 OK", '{"Version": "28"}')
    assert api.get(served.host, "/version") == (200, {"Version": "28"})
    assert api.get(served.host, "/nothing") == (404, {})


@pytest.mark.parametrize("answer", [("SSH-2.0", "x"), ("HTTP/1.0 200 OK", "<html>")])
def test_what_is_no_answer(served, answer):
    served.answers["/version"] = answer
    with pytest.raises(ValueError, match=r"no answer|Expecting"):
        api.get(served.host, "/version")


@pytest.mark.parametrize("host", [None, "tcp://e:2376", "unix:///nobody/listens"])
def test_an_engine_that_is_not_on_a_socket_of_this_machine(host):
    with pytest.raises(OSError, match=r"socket|No such file"):
        api.get(host, "/version")


def test_images_are_asked_for_without_a_client(served, client):
    served.answers["/images/r.example%3A5/a%40sha256%3A0/json"] = (
        "HTTP/1.0 200 OK",
        json.dumps(IMAGE),
    )
    found = images.inspect(engine(served.host), {}, ["r.example:5/a@sha256:0", "b"], FIELDS)
    assert found == {"r.example:5/a@sha256:0": SAID}
    assert not client


def test_a_client_is_asked_where_the_socket_says_nothing(served, client):
    served.answers["/images/a/json"] = ("HTTP/1.0 500 Oh", "{}")
    for host in (served.host, None):
        assert images.inspect(engine(host), {}, ["a"], FIELDS) == {"a": SAID}
    template = "[{{json .Id}},{{json .Size}},{{json .RootFS.Layers}},{{json .Descriptor}}]"
    assert client == [("docker", "image", "inspect", "--format", template, "a")] * 2
