"""Base images that an engine has for another platform than the plan's, on a played engine."""

from __future__ import annotations

import dataclasses
import json
from types import SimpleNamespace

import pytest

from dynbuild import proc
from dynbuild.build import base_images
from dynbuild.engine.builder import Builder
from dynbuild.engine.model import Engine
from dynbuild.errors import NotReady, RequestError
from tests.support import CATALOG

ENGINE = Engine("system", "/bin/docker", None, None, "28", "0.29", containerd_store=True)
CLASSIC = dataclasses.replace(ENGINE, containerd_store=False)
BUILDER = Builder(name="default", driver="docker", nodes=(), engine=ENGINE)
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
BOTH = ("linux/amd64", "linux/arm64")


@pytest.fixture
def played(monkeypatch):
    """What ``docker image inspect`` answers, empty for an image that is not there."""
    state = SimpleNamespace(answer="", asked=[])

    def run(argv, *, check, env):
        assert (argv[1:3], check, env) == (("image", "inspect"), False, {})
        state.asked.append(argv)
        status = 0 if state.answer else 1
        return proc.Completed(argv=argv, returncode=status, stdout=state.answer, stderr="")

    monkeypatch.setattr(proc, "run", run)
    return state


def _image(architecture="amd64", kind=MANIFEST):
    return json.dumps(["linux", architecture, {"mediaType": kind}])


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
    played.answer = _image(has)
    with pytest.raises(RequestError) as caught:
        base_images.check_bases(BUILDER, {}, _plan(platforms))
    assert caught.value.message == (
        f"the image dynbuild/debian:trixie on this engine is for linux/{has} only, and"
        f" none-runtime-cpu is wanted for linux/{missing}"
    )
    assert caught.value.origin == "flag --base-image"
    archs = "--arch amd64 --arch arm64" if platforms == BOTH else "--arch"
    command = "dynbuild engine base --suite trixie"
    assert (f"{command} {archs}" in str(caught.value.hint)) == (platforms == BOTH)
    assert command in str(caught.value.hint)


@pytest.mark.parametrize(
    ("answer", "plan"),
    [
        (_image(), _plan(("linux/amd64",))),
        # What an index lacks here may be in the registry, and BuildKit asks for it.
        (_image(kind="application/vnd.oci.image.index.v1+json"), _plan()),
        (_image(kind="application/vnd.docker.distribution.manifest.list.v2+json"), _plan()),
        ("", _plan(BASE_IMAGE="debian", BASE_IMAGE_TAG="trixie")),
        # Something else takes the place of the stage, or of the image.
        (_image(), _plan(contexts={"base": "docker-image://other"})),
        (_image(), _plan(contexts={"dynbuild/debian:trixie": "docker-image://other"})),
        (_image(), _plan(BASE_IMAGE="", BASE_IMAGE_TAG="")),
    ],
)
def test_what_is_not_refused(played, answer, plan):
    played.answer = answer
    base_images.check_bases(BUILDER, {}, plan)


def test_other_images_that_are_built_on_are_looked_at(played):
    played.answer = _image()
    for arg in ("RUNTIME_IMAGE", "FRONTEND_BASE_IMAGE", "PYTORCH_BASE_IMAGE"):
        with pytest.raises(RequestError, match="the image a:b"):
            base_images.check_bases(BUILDER, {}, _plan(**{arg: "a", f"{arg}_TAG": "b"}))


def test_builders_and_stores_that_do_not_take_it(played):
    played.answer = _image()
    other = _plan(BASE_IMAGE="debian", BASE_IMAGE_TAG="trixie")
    base_images.check_bases(dataclasses.replace(BUILDER, driver="docker-container"), {}, other)
    assert played.asked == []
    base_images.check_bases(dataclasses.replace(BUILDER, engine=CLASSIC), {}, _plan())


@pytest.mark.parametrize(
    ("tag", "platforms", "command"),
    [
        ("trixie", ("linux/amd64",), "dynbuild engine base --suite trixie"),
        ("bookworm-arm64", ("linux/arm64",), "dynbuild engine base --suite bookworm --arch arm64"),
        ("sid-multi", BOTH, "dynbuild engine base --suite sid --arch amd64 --arch arm64"),
        ("sid", BOTH, "dynbuild engine base --suite sid --arch amd64 --arch arm64"),
    ],
)
@pytest.mark.parametrize("engine", [ENGINE, CLASSIC])
@pytest.mark.usefixtures("played")
def test_an_image_of_our_own_that_is_not_there_has_the_command_that_makes_it(
    engine, tag, platforms, command
):
    plan = _plan(platforms, BASE_IMAGE="dynbuild/debian", BASE_IMAGE_TAG=tag)
    with pytest.raises(NotReady, match=f"there is no image dynbuild/debian:{tag} on") as caught:
        base_images.check_bases(dataclasses.replace(BUILDER, engine=engine), {}, plan)
    assert caught.value.hint == f"make it: {command}"
    assert caught.value.origin == "flag --base-image"


def test_a_builder_beside_the_engine_has_none_of_its_images(played):
    played.answer = _image()
    builder = dataclasses.replace(BUILDER, name="farm", driver="docker-container")
    with pytest.raises(NotReady, match="for the builder farm") as caught:
        base_images.check_bases(builder, {}, _plan(("linux/amd64",)))
    assert "engine base --suite trixie --push REGISTRY/NAME:TAG" in str(caught.value.hint)


def test_the_arguments_of_bases_are_in_the_catalog():
    known = set(CATALOG["args"])
    for arg in base_images._BASES:
        assert {arg, f"{arg}_TAG"} <= known
