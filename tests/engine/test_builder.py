"""Builders: found without asking where there is only the engine's own, else as buildx says."""

import dataclasses
import json
import re

import pytest

from dynbuild import proc
from dynbuild.engine import builder, registry, requirements, usage
from dynbuild.engine.builder import Builder, Node
from dynbuild.engine.model import Engine
from dynbuild.errors import NotReady
from dynbuild.matrix import pending
from tests import fake_docker
from tests.support import ROOT

pytestmark = pytest.mark.processes("docker")

ENGINE = Engine("system", "docker", None, None, "28.5.2+dfsg4", "0.29.1+ds1", containerd_store=True)

PLUGIN = dataclasses.replace(ENGINE, plugin="/p/docker-buildx")


@pytest.mark.parametrize(
    "ask",
    [
        lambda builder: registry.inspect(builder, {}, "r.example/x:1"),
        lambda builder: usage.made_by(builder, {}, 1.0),
        lambda builder: pending.check(builder, {}, "r.example/x:1", print),
    ],
    ids=["registry", "usage", "pending"],
)
def test_questions_to_buildx_go_to_its_plugin(monkeypatch, ask):
    asked = []

    def run(argv, *, env, **_):
        asked.append((argv[:2], env))
        return proc.Completed(argv=argv, returncode=0, stdout="", stderr="")

    monkeypatch.setattr(proc, "run", run)
    ask(Builder(name="default", driver="docker", nodes=(), engine=PLUGIN))
    client = {"DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND": "docker"}
    assert asked == [(("/p/docker-buildx", "buildx"), client)]


# As `docker buildx ls --format json` of buildx 0.29 says it, labels left out.
CONTAINER = json.dumps(
    {
        "Name": "farm",
        "Driver": "docker-container",
        "Dynamic": False,
        "LastActivity": "2026-11-27T05:51:37Z",
        "Nodes": [
            {
                "Name": "farm0",
                "Endpoint": "unix:///var/run/docker.sock",
                "Flags": ["--allow-insecure-entitlement=network.host"],
                "Status": "running",
                "Version": "v0.25.1",
                "IDs": ["sl1f9kz1yeeexrtipdzz8ykid"],
                "Platforms": ["linux/amd64", "linux/386"],
            },
            {
                "Name": "farm1",
                "Endpoint": "ssh://other",
                "Status": "inactive",
                "Version": "v0.23.0",
                "Platforms": ["linux/arm64"],
            },
            {"Name": "farm2", "Endpoint": "tcp://127.0.0.1:9", "Status": "inactive"},
        ],
    }
)
FARM = Builder(
    name="farm",
    driver="docker-container",
    nodes=(
        Node(
            "farm0",
            "unix:///var/run/docker.sock",
            "running",
            "v0.25.1",
            ("linux/amd64", "linux/386"),
        ),
        Node("farm1", "ssh://other", "inactive", "v0.23.0", ("linux/arm64",)),
        Node("farm2", "tcp://127.0.0.1:9", "inactive"),
    ),
    engine=ENGINE,
    flags="--allow-insecure-entitlement=network.host",
)


def own(**changes):
    """The engine's own builder, of an engine that is otherwise as ENGINE."""
    engine = dataclasses.replace(ENGINE, **changes)
    return Builder(name="default", driver="docker", nodes=(Node("default"),), engine=engine)


@pytest.fixture
def docker(tmp_path):
    return fake_docker.make(tmp_path / "bin")


@pytest.fixture
def find(docker, tmp_path):
    """Find the builder of a client whose state is in a folder of the test's own."""

    def run(**env):
        engine = dataclasses.replace(ENGINE, docker=str(docker.path / "docker"))
        return builder.find(engine, {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), **env})

    return run


def choose(tmp_path, text):
    state = tmp_path / ".docker" / "buildx"
    state.mkdir(parents=True)
    (state / "current").write_text(text)
    return state


@pytest.mark.parametrize("text", ["", '{"Key":"unix:///x.sock","Name":"","Global":false}'])
def test_the_engines_own_builder_is_known_without_asking(find, docker, tmp_path, text):
    if text:
        choose(tmp_path, text)
    made = find()
    assert (made.name, made.driver, made.in_engine) == ("default", "docker", True)
    assert find(BUILDX_BUILDER="default").in_engine
    assert docker.asked == []


@pytest.mark.parametrize("text", ['{"Key":"","Name":"farm","Global":true}', "{", "[]"])
def test_a_builder_that_was_chosen_is_asked_for(find, docker, tmp_path, text):
    choose(tmp_path, text)
    docker.says(builder=CONTAINER)
    assert find().name == "farm"
    assert docker.asked[0] == "buildx inspect"


def test_a_builder_that_is_the_default_of_an_address_is_asked_for(find, docker, tmp_path):
    state = choose(tmp_path, '{"Key":"","Name":"","Global":false}')
    (state / "defaults").mkdir()
    (state / "defaults" / "0a1b").write_text("farm")
    docker.says(builder=CONTAINER)
    assert find().name == "farm"


def test_a_builder_by_variable(find, docker):
    docker.says(builder=CONTAINER)
    made = find(BUILDX_BUILDER="farm")
    assert docker.asked[0] == "buildx inspect farm"
    assert made.env({})["BUILDX_BUILDER"] == "farm"


def test_a_builder_that_is_not_there(find):
    with pytest.raises(NotReady, match="the builder 'nosuch' does not answer") as caught:
        find(BUILDX_BUILDER="nosuch")
    assert caught.value.origin == "BUILDX_BUILDER"
    assert "docker buildx ls" in caught.value.hint


def test_what_buildx_says_is_read(find, docker):
    docker.says(builder=CONTAINER)
    made = find(BUILDX_BUILDER="farm")
    assert dataclasses.replace(made, engine=ENGINE) == FARM
    assert made.version == (0, 23), "the oldest counts"
    assert made.allows_host_network
    assert (made.can_load(1), made.can_load(2)) == (True, False)


@pytest.mark.parametrize("text", ["", "null", "{", '{"Name": 3}', '{"Name": "other"}'])
def test_whatever_buildx_says(find, docker, text):
    docker.says(builder=text)
    with pytest.raises(NotReady, match="does not answer"):
        find(BUILDX_BUILDER="farm")


@pytest.mark.parametrize(
    ("engine", "version"),
    [
        ("28.5.2+dfsg4", (0, 25)), ("28.4.0", (0, 24)), ("28.3.1-ce", (0, 23)), ("30.1", (0, 25)),
        ("27.3.1", (0, 16)), ("20.10.24", (0, 8)), ("5.2.1", None), ("dev", None), ("", None),
    ],
)  # fmt: skip
def test_buildkit_inside_of_an_engine(engine, version):
    assert own(version=engine).version == version


def test_what_an_engine_can_load_and_where_it_builds():
    assert own().can_load(2)
    assert not own(containerd_store=False).can_load(2)
    assert own(network="host").network == "host"
    assert dataclasses.replace(own(network="host"), driver="remote").network == "bridge"
    assert str(own()) == "the system engine 28.5.2+dfsg4"
    assert str(FARM) == "the builder farm (docker-container)"


# ---- versions ----------------------------------------------------------------------------

TEXT = """\
FROM a
COPY --link --from=b --exclude=c / /
ADD --checksum=sha256:0 --unpack=true https://example.com/x.tgz /
RUN --mount=type=secret,id=x,env=X y
COPY --chmod=755 <<'EOF' /x
EOF
"""


def lacking(made, text=TEXT, network="bridge"):
    return {need.what for need in requirements.missing(made, [text], network=network)}


def test_a_new_builder_lacks_nothing():
    assert lacking(own(), network="host") == set()
    requirements.check(own(), [TEXT], network="host")


@pytest.mark.parametrize(
    ("engine", "expected"),
    [
        ("28.5.0", set()),
        ("28.4.0", {"COPY --exclude"}),
        ("28.2.0", {"COPY --exclude", "ADD --unpack"}),
        ("dev", set()),
    ],
)
def test_only_what_a_dockerfile_uses_is_needed(engine, expected):
    assert lacking(own(version=engine)) == expected
    assert lacking(own(version=engine), "FROM a\nRUN b --exclude=c\n") == set()


def test_an_old_engine_lacks_everything_that_is_used():
    git = "ADD https://example.com/x.git#${REF} /\n"
    assert lacking(own(version="20.10.0"), TEXT + git) == {
        need.what for need in requirements.NEEDS if need.program == "BuildKit"
    }


def test_what_is_there_what_is_needed_and_how_to_get_it():
    with pytest.raises(NotReady) as caught:
        requirements.check(own(version="27.3.1"), [TEXT], network="bridge")
    error = caught.value
    assert error.message == (
        "BuildKit 0.16 of the system engine 27.3.1 is too old: this build needs BuildKit 0.25 for"
        " COPY --exclude"
    )
    assert error.details == ("it needs BuildKit 0.23 for ADD --unpack",)
    for way in ("Docker 28.5 or newer", "dynbuild engine up", "image=moby/buildkit:v0.25.0"):
        assert way in error.hint


def test_an_old_buildx():
    old = own(buildx="0.12.1")
    with pytest.raises(NotReady, match=r"buildx 0.12.1 is too old: .* buildx 0.13 for progress"):
        requirements.check(old, [], network="bridge")
    with pytest.raises(NotReady, match=r"buildx 0.17 for bake --allow"):
        requirements.check(own(buildx="v0.16.2"), [], network="host")
    requirements.check(own(buildx="v0.16.2"), [], network="bridge")
    requirements.check(own(buildx=""), [], network="host")


def test_a_builder_that_forbids_the_network_of_the_host():
    made = dataclasses.replace(FARM, flags="--debug")
    requirements.check(made, [], network="bridge")
    with pytest.raises(NotReady, match="does not let steps use the host's network") as caught:
        requirements.check(made, [], network="host")
    assert "--allow-insecure-entitlement network.host" in caught.value.hint


def test_every_need_has_a_remedy_for_every_builder():
    for need in requirements.NEEDS:
        for made in (own(), FARM):
            assert requirements.remedy(made, need)


KNOWN = {"from", "chown", "chmod", "exclude", "link", "checksum", "unpack", "mount", "network"}
"""Flags that are in the table, or in every BuildKit that has what is in it."""


def test_the_templates_use_no_flag_that_the_table_does_not_know():
    flags = set()
    for file in (ROOT / "dockerfiles").glob("*.Dockerfile"):
        for line in file.read_text().splitlines():
            if words := re.match(r"(?:COPY|ADD|RUN|FROM)((?: --\w[\w-]*(?:=\S*)?)+)", line):
                flags |= set(re.findall(r"--(\w[\w-]*)", words[1]))
    assert {"from", "mount"} <= flags <= KNOWN | {"platform"}


# ---- variables of the docker client ------------------------------------------------------

OTHER = CONTAINER.replace("farm", "other").replace("docker-container", "docker")


def test_the_engines_own_builder_has_the_name_of_its_context(find, docker, tmp_path):
    assert find(DOCKER_CONTEXT="good", BUILDX_BUILDER="good").in_engine
    assert find(DOCKER_CONTEXT="good").in_engine
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker" / "config.json").write_text('{"currentContext": "good"}')
    assert find(BUILDX_BUILDER="good").in_engine
    assert docker.asked == []


@pytest.mark.parametrize(
    ("env", "name"),
    [
        ({"BUILDX_BUILDER": "other"}, "other"),
        ({"DOCKER_CONTEXT": "good", "BUILDX_BUILDER": "default"}, "default"),
        (
            {"DOCKER_HOST": "unix:///x", "DOCKER_CONTEXT": "other", "BUILDX_BUILDER": "other"},
            "other",
        ),
    ],
)
def test_a_builder_that_is_another_engine_is_refused(find, docker, env, name):
    docker.says(builder=OTHER.replace("other", name))
    with pytest.raises(NotReady, match="is another engine than the one that is used") as caught:
        find(**env)
    assert "unset BUILDX_BUILDER" in caught.value.hint


def test_a_private_engine_knows_its_own_builders_only(tmp_path):
    engine = dataclasses.replace(
        ENGINE, kind="private", docker="/e/usr/bin/docker", host="unix:///e", config=tmp_path
    )
    foreign = {"BUILDX_BUILDER": "farm", "BUILDX_CONFIG": "/ci/buildx", "DOCKER_CONTEXT": "ci"}
    assert not engine.heeds_builder(foreign)
    assert sorted(engine.env(foreign)) == ["DOCKER_CONFIG", "DOCKER_HOST", "PATH"]
    assert builder.find(engine, foreign).in_engine
    (tmp_path / "buildx" / "instances").mkdir(parents=True)
    (tmp_path / "buildx" / "instances" / "farm").touch()
    assert engine.heeds_builder(foreign)
    assert engine.env(foreign)["BUILDX_BUILDER"] == "farm"
    assert not engine.heeds_builder({"BUILDX_BUILDER": "../instances/farm"})
