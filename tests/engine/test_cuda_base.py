"""CUDA base images, on an engine that a test plays; the real one is in tests/images."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest

from dynbuild import proc
from dynbuild.engine import base, cuda_base
from dynbuild.engine.cuda_base import Toolkit
from dynbuild.engine.model import Engine
from dynbuild.errors import NotReady, RequestError, ToolFailed

ENGINE = Engine("system", "/bin/docker", None, None, "28", "0.29", containerd_store=True)
DEBIAN = "dynbuild/debian:trixie"


@pytest.fixture
def played(monkeypatch):
    """What the engine has, and how a build on it ends; every docker command with its input."""

    played = SimpleNamespace(has=(), fails=None, asked=[])

    def run(argv, *, env, input=None, **_):
        played.asked.append((tuple(argv[1:]), {"env": env, "input": input}))
        if "build" in argv and played.fails:
            raise played.fails
        out = "an id" if argv[-1] in played.has else ""
        return proc.Completed(argv=tuple(argv), returncode=0, stdout=out, stderr="")

    monkeypatch.setattr(proc, "run", run)
    return played


def make(version="13.0", *, engine=ENGINE, force=False, **more):
    toolkit = Toolkit(version=version, **more)
    return cuda_base.make(
        engine,
        {"DOCKER_CONTEXT": "mine"},
        toolkit,
        on=DEBIAN,
        platform="linux/amd64",
        force=force,
        say=lambda _line: None,
    )


def test_an_image_is_made_once(played):
    played.has = ("dynbuild/cuda:13.0-trixie",)
    assert make() == "dynbuild/cuda:13.0-trixie"
    assert [argv for argv, _ in played.asked if "build" in argv] == []
    assert make(force=True) == "dynbuild/cuda:13.0-trixie"
    ((argv, _),) = [one for one in played.asked if "build" in one[0]]
    assert {"--no-cache", "--builder=mine", "--platform=linux/amd64"} <= set(argv)


def test_certificates_and_index_are_secrets(played):
    make(ca_bundle="/site.pem", index_url="https://u:hush@index.example/simple")
    argv, more = played.asked[-1]
    assert "--secret=id=ca_bundle,src=/site.pem" in argv
    assert [word for word in argv if word.startswith("--secret")][1:] == [
        "--secret=id=ca_bundle_path,env=DYNBUILD_SECRET_CA_BUNDLE_PATH",
        "--secret=id=index_url,env=DYNBUILD_SECRET_INDEX_URL",
    ]
    assert "hush" not in " ".join(argv) + more["input"]
    assert more["env"]["DYNBUILD_SECRET_INDEX_URL"].endswith("index.example/simple")
    for name in ("ca_bundle", "ca_bundle_path", "index_url"):
        assert f"type=secret,id={name}," in more["input"]
    # Older pips read one of the variables, newer ones the other.
    for variable in ("SSL_CERT_FILE", "PIP_CERT"):
        assert f"id=ca_bundle_path,env={variable} " in more["input"]


def test_where_a_toolkit_comes_from(played):
    make("13.1")
    assert (
        '"cuda-toolkit[nvcc,cudart,cccl,crt,nvvm,nvml,nvtx]==13.1.*"'
        in played.asked[-1][1]["input"]
    )
    make("12.4")
    text = played.asked[-1][1]["input"]
    assert '"nvidia-cuda-toolkit=12.4.*"' in text
    assert "pip" not in text


@pytest.mark.parametrize("version", ["13.0", "12.4"])
def test_the_dockerfile_is_whole(version):
    text = cuda_base.dockerfile(Toolkit(version=version), on=DEBIAN)
    assert not re.search(r"@[A-Z]+@", text)
    assert text.count("FROM ") == 2
    for variable in ("LIBRARY_PATH", "CUDA_VERSION", "PATH"):
        assert re.search(rf"^(?:ENV|   ) {variable}=", text, re.MULTILINE)


def test_what_the_step_said_is_told(played):
    said = (
        "#9 1.2 E: Version '12.9.*' for 'nvidia-cuda-toolkit' was not found\n"
        "#9 1.3 E: Unable to find a package\nERROR: failed to solve: exit code: 100\n"
    )
    played.fails = ToolFailed("failed", returncode=1, stderr=said)
    with pytest.raises(NotReady, match="cannot be made") as caught:
        make("12.9")
    assert caught.value.details[0].startswith("E: Version '12.9.*'")
    assert "12.4" in str(caught.value.hint)


@pytest.mark.parametrize("version", ["", "13", "v13.0", "13.0.1", "13.0;x", "0.1", "13.0\n"])
def test_what_is_no_version(version):
    with pytest.raises(RequestError, match="not a version of CUDA"):
        Toolkit(version=version)


def test_the_debian_image_below_is_not_made_anew(played, monkeypatch):
    played.has = (DEBIAN,)
    monkeypatch.setattr(base, "_native", lambda _env: "amd64")
    monkeypatch.setattr(base, "_codename", lambda *_: "trixie")
    monkeypatch.setattr(
        base.packages,
        "main_source",
        lambda _env: base.packages.Source("http://m", "x", ("main",), None),
    )
    monkeypatch.setattr(base.emulation, "ensure", lambda *_: False)
    name = base.make_base(
        ENGINE, {}, toolkit=Toolkit(version="13.0"), force=True, say=lambda _line: None
    )
    assert name == "dynbuild/cuda:13.0-trixie"
    assert f"FROM {DEBIAN}" in played.asked[-1][1]["input"]
