"""Tags that are another image's: what a registry says, and what becomes of a push.

The docker client is a script.
"""

import json
import os

import pytest

from tests import fake_docker
from tests.support import DEMO, call

pytestmark = pytest.mark.processes("docker", "git")

PUSH = ("--push", "--repository", "127.0.0.1:9/dynamo", "--allow-unversioned")


def image(name):
    return {"architecture": "amd64", "config": {"Labels": {"dynbuild.image": name}}}


@pytest.fixture
def push(tmp_path):
    """Push with a client of whose registry this is the answer; what it was asked."""
    docker = fake_docker.make(tmp_path / "bin")
    docker.says(metadata="{}")
    tree = tmp_path / "tree"
    tree.mkdir()

    def run(*words, answer=None, **more):
        if answer is not None:
            docker.says(tag=answer if isinstance(answer, str) else json.dumps(answer))
        if more:
            docker.says(**more)
        path = f"{docker.path}{os.pathsep}{os.environ['PATH']}"
        flags = ("--config", DEMO / "dynbuild.toml", "--context", tree)
        done = call("build", *flags, *PUSH, *words, env={"PATH": path})
        return done, [line.split()[:2] for line in docker.asked]

    return run


def test_a_tag_that_is_not_there_is_free(push):
    done, asked = push()
    assert done.code == 0, done.err
    assert asked.count(["buildx", "imagetools"]) == 2


@pytest.mark.parametrize(
    "answer",
    [
        image("none-runtime-cpu+index"),
        {"linux/amd64": image("none-runtime-cpu+index"), "linux/arm64": {}},
        {"config": {"Labels": None}},
        {"config": {"Labels": {"maintainer": "ada"}}},
        *("null", "[1]", "{", '{"config": 3}', ""),
    ],
)
def test_the_same_image_and_what_is_nobodys_are_pushed_over(push, answer):
    assert push(answer=answer)[0].code == 0


@pytest.mark.parametrize(
    "answer",
    [image("none-dev-cpu"), {"linux/amd64": image("none-dev-cpu"), "linux/arm64": {}}],
)
def test_another_image_is_not_pushed_over(push, answer):
    done, asked = push("--tag", "127.0.0.1:9/dynamo:x", "--no-tag-latest", answer=answer)
    assert (done.code, done.out) == (2, "")
    assert "127.0.0.1:9/dynamo:x is none-dev-cpu, and would become none-runtime-cpu+index" in (
        done.err
    )
    assert "--retag moves the tag" in done.hint
    assert ["buildx", "bake"] not in asked
    done, asked = push("--retag", answer=answer)
    assert done.code == 0
    assert ["buildx", "imagetools"] in asked[:-1]  # of the first try


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        ("ERROR: 127.0.0.1:9/dynamo:x: not found", 0),
        ("ERROR: unexpected status from HEAD request to http://r/v2/x: 404 Not Found", 0),
        ("ERROR: pull access denied, repository does not exist or may require authorization", 0),
        ("ERROR: failed to authorize: failed to fetch anonymous token: 401 Unauthorized", 0),
        ("ERROR: dial tcp 127.0.0.1:9: connect: connection refused", 3),
        ("ERROR: unexpected status from HEAD request to http://r/v2/x: 503 Service Unavailable", 3),
    ],
)
def test_what_a_registry_answers_in_place_of_an_image(push, refusal, code):
    done, asked = push(refusal=refusal)
    assert done.code == code, done.err
    assert (["buildx", "bake"] in asked) == (code == 0)
    if code:
        assert "does not say whether" in done.err
        assert refusal in done.err


def test_a_registry_that_fails_for_a_moment_is_asked_again(push, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _: None)
    fault = "ERROR: unexpected status: 503 Service Unavailable\n"
    done, asked = push(**{"passing-inspect": fault})
    assert done.code == 0, done.err
    assert asked.count(["buildx", "imagetools"]) == 3
    assert "503 Service Unavailable: tried again in" in done.err
