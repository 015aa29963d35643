"""Base images of several architectures, on an engine that a test plays."""

from __future__ import annotations

import dataclasses
import json
from types import SimpleNamespace

import pytest

from dynbuild import proc
from dynbuild.build import bases
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
    answers = {"context show": "mine", "buildx inspect": "Name: mine\nDriver: docker\n"}
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
    return base.make_joined_base(engine, {}, say=silent, **{"archs": ("amd64", "arm64"), **more})


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


# --- an image of the engine that is for another platform


def _image(architecture="amd64", kind=MANIFEST):
    return json.dumps(
        {"Os": "linux", "Architecture": architecture, "Descriptor": {"mediaType": kind}}
    )


def _plan(platforms=BOTH, contexts=None, **args):
    image = SimpleNamespace(
        name="none-runtime-cpu",
        platforms=platforms,
        contexts=contexts or {},
        build_args=args or {"BASE_IMAGE": "dynbuild/debian", "BASE_IMAGE_TAG": "trixie"},
        origins={"BASE_IMAGE": "flag --base-image"},
    )
    return SimpleNamespace(images=(image,))


@pytest.mark.parametrize(
    ("has", "platforms", "missing"),
    [("amd64", BOTH, "arm64"), ("arm64", BOTH, "amd64"), ("amd64", ("linux/arm64",), "arm64")],
)
def test_a_base_for_another_platform_is_refused(played, has, platforms, missing):
    played.answers["image inspect"] = _image(has)
    with pytest.raises(RequestError) as caught:
        bases.check_bases(ENGINE, {}, _plan(platforms))
    assert caught.value.message == (
        f"the image dynbuild/debian:trixie on this engine is for linux/{has} only, and"
        f" none-runtime-cpu is wanted for linux/{missing}"
    )
    assert caught.value.origin == "flag --base-image"
    assert "dynbuild engine base --arch amd64 --arch arm64" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("answer", "plan"),
    [
        (_image(), _plan(("linux/amd64",))),
        # What an index lacks here may be in the registry, and BuildKit asks for it.
        (_image(kind="application/vnd.oci.image.index.v1+json"), _plan()),
        (_image(kind="application/vnd.docker.distribution.manifest.list.v2+json"), _plan()),
        (ToolFailed("no such image", returncode=1), _plan()),
        # Something else takes the place of the stage, or of the image.
        (_image(), _plan(contexts={"base": "docker-image://other"})),
        (_image(), _plan(contexts={"dynbuild/debian:trixie": "docker-image://other"})),
        (_image(), _plan(BASE_IMAGE="", BASE_IMAGE_TAG="")),
    ],
)
def test_what_is_not_refused(played, answer, plan):
    played.answers["image inspect"] = answer
    bases.check_bases(ENGINE, {}, plan)


def test_other_images_that_are_built_on_are_looked_at(played):
    played.answers["image inspect"] = _image()
    for arg in ("RUNTIME_IMAGE", "FRONTEND_BASE_IMAGE", "PYTORCH_BASE_IMAGE"):
        with pytest.raises(RequestError, match="the image a:b"):
            bases.check_bases(ENGINE, {}, _plan(**{arg: "a", f"{arg}_TAG": "b"}))


def test_builders_and_stores_that_do_not_take_it(played):
    played.answers["image inspect"] = _image()
    played.answers["buildx inspect"] = "Name: other\nDriver: docker-container\n"
    bases.check_bases(ENGINE, {}, _plan())
    played.asked.clear()
    bases.check_bases(CLASSIC, {}, _plan())
    assert played.asked == []


def test_the_arguments_of_bases_are_in_the_catalog():
    from tests.support import CATALOG

    known = set(CATALOG["args"])
    for arg in bases._BASES:
        assert {arg, f"{arg}_TAG"} <= known
