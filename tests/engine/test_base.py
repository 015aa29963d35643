"""Base images of several architectures, on an engine that a test plays."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import pytest

from dynbuild import proc
from dynbuild.engine import base
from dynbuild.engine.model import Engine
from dynbuild.errors import NotReady, RequestError, ToolFailed

ENGINE = Engine("system", "/bin/docker", None, None, "28", "0.29", containerd_store=True)
CLASSIC = dataclasses.replace(ENGINE, containerd_store=False)
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
BOTH = ("linux/amd64", "linux/arm64")


def silent(_line):
    pass


@pytest.fixture
def played(monkeypatch):
    """What the client answers, by the first two words after its name; what it was asked."""
    answers = {"buildx inspect": "Name: mine\nDriver: docker\n"}
    asked = []

    def run(argv, *, check=True, input=None, **_):
        asked.append((tuple(argv[1:]), input))
        answer = answers.get(" ".join(argv[1:3]), "")
        if isinstance(answer, Exception):
            if check:
                raise answer
            return proc.Completed(argv=tuple(argv), returncode=1, stdout="", stderr="")
        return proc.Completed(argv=tuple(argv), returncode=0, stdout=answer, stderr="")

    def make(*_args, arch, **_more):
        return f"dynbuild/debian:trixie{'-arm64' if arch == 'arm64' else ''}"

    monkeypatch.setattr(proc, "run", run)
    monkeypatch.setattr(base, "make_base", make)
    monkeypatch.setattr(base, "_native", lambda _env: "amd64")
    return SimpleNamespace(answers=answers, asked=asked)


def _join(engine=ENGINE, **more):
    more = {"archs": ("amd64", "arm64"), **more}
    return base.make_joined_base(engine, {"DOCKER_CONTEXT": "mine"}, say=silent, **more)


def test_images_are_joined_on_the_engine(played):
    assert _join() == "dynbuild/debian:trixie-multi"
    argv, dockerfile = played.asked[-1]
    assert argv[:3] == ("buildx", "build", "--quiet")
    assert {"--load", "--builder=mine", "--platform=linux/amd64,linux/arm64"} <= set(argv)
    assert dockerfile.splitlines() == [
        "ARG TARGETARCH",
        "FROM --platform=linux/amd64 dynbuild/debian:trixie AS amd64",
        "FROM --platform=linux/arm64 dynbuild/debian:trixie-arm64 AS arm64",
        "FROM ${TARGETARCH}",
    ]


@pytest.mark.parametrize("archs", [("arm64", "amd64"), ("arm64",), ("amd64", "amd64")])
def test_the_order_does_not_matter_to_the_name(played, archs):
    assert _join(archs=archs) == "dynbuild/debian:trixie-multi"
    assert len(played.asked[-1][1].splitlines()) == 2 + len(set(archs))


def test_images_are_pushed(played):
    assert _join(archs=(), push="127.0.0.1:5000/debian:trixie") == "127.0.0.1:5000/debian:trixie"
    argv, _ = played.asked[-1]
    assert {"--push", "--tag=127.0.0.1:5000/debian:trixie", "--platform=linux/amd64"} <= set(argv)


def test_a_push_that_fails_says_why(played):
    lines = ("#1 [internal]", "ERROR: connection refused")
    played.answers["buildx build"] = ToolFailed("failed", returncode=1, details=lines)
    with pytest.raises(NotReady, match=r"r\.example/a:b cannot be pushed") as caught:
        _join(push="r.example/a:b")
    assert caught.value.details == lines[1:]
    assert "log in" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("push", "message"),
    [
        ("debian:trixie", "names no registry"),
        ("team/debian:trixie", "names no registry"),
        ("r.example/debian", "names no tag"),
        ("r.example/Debian:x", "not an image repository"),
        ("r.example/debian:", "a tag that Docker refuses"),
    ],
)
def test_where_it_cannot_be_pushed_to(played, push, message):
    with pytest.raises(RequestError, match=message):
        _join(push=push)
    assert played.asked == []


def test_the_classic_store_cannot_join(played):
    with pytest.raises(NotReady, match="one platform an image") as caught:
        _join(CLASSIC)
    assert "containerd-snapshotter" in str(caught.value.hint)
    assert played.asked == []
