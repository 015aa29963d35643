import json

import jsonschema
import pytest

from dynbuild.plan import document
from tests.support import DEMO, ROOT, WORKSPACE, call

pytestmark = pytest.mark.processes("git")

AIRGAP = ("--config", ROOT / "examples" / "airgap" / "dynbuild.toml")
CPU = ("--framework", "none", "--target", "runtime", "--device", "cpu", "--context", WORKSPACE)

PROTOC = (
    "https://git.example.com/protocolbuffers/protobuf/releases/download/v25.3/"
    "protoc-25.3-linux-x86_64.zip"
)


def offline(*argv, **more):
    return call("plan", "--offline", *argv, **more)


def test_a_site_that_names_everything_passes():
    result = offline(*CPU, *AIRGAP)
    assert result.code == 0, result.err
    assert "NOT COVERED" not in result.out
    assert "error" not in result.err


def test_one_public_place_is_an_error_that_names_its_key():
    result = offline(*CPU, *AIRGAP, "--source", "ucx=" + str(WORKSPACE))
    assert result.code == 0, result.err
    result = offline(*CPU, *AIRGAP, env={"DYNBUILD_MESON_PACKAGES": "/dev/null/absent"})
    assert result.code == 2
    assert "/dev/null/absent" in result.err


def test_public_places_are_counted_and_their_keys_named():
    result = offline(*CPU)
    assert result.code == 2
    count = result.out.count("NOT COVERED")
    assert f"error: {count} of {count} remote places are public ones" in result.err
    for key in ('[mirrors] "docker.io"', '"https://github.com"', "apt_mirror", "crates_index"):
        assert key in result.hint
    assert result.hint.count("apt_mirror") == 1
    assert "dnf_mirror" not in result.hint


@pytest.mark.parametrize("columns", [80, 60, None])
def test_the_places_are_grouped_by_stage_and_their_addresses_whole(columns):
    result = offline(*CPU, *AIRGAP, columns=columns)
    lines = result.out.splitlines()
    assert lines[0] == "none-runtime-cpu"
    at = lines.index("dynamo_base")
    assert lines[at + 1].split()[:2] == ["apt", "https://packages.example.com"]
    assert len([line for line in lines if line == "nixl"]) == 1
    assert any(line.split()[1:2] == [PROTOC] for line in lines)
    assert lines[-1] == "all 23 places covered"
    # Only an address may be wider than the terminal.
    assert all(len(line) <= (columns or 999) for line in lines if line.startswith(" " * 12))


def test_several_images_have_a_table_each():
    words = ("--framework", "none", "--target", "dev", "--make-efa", "--context", WORKSPACE)
    result = offline(*words, *AIRGAP)
    lines = result.out.splitlines()
    assert {"none-dev-cuda12.8", "none-dev-aws-cuda12.8", "dev-aws"} <= set(lines)


def test_json_has_the_plan_with_every_place():
    result = offline(*CPU, *AIRGAP, "--format", "json")
    assert result.code == 0, result.err
    printed = json.loads(result.out)
    jsonschema.validate(printed, document.schema())
    first = printed["remote"][0]
    assert first["image"] == "none-runtime-cpu"
    assert first["kind"] == "image"
    assert first["covered_by"].startswith("overlay ")
    assert first["covered_by"].endswith("(mirror of docker.io)")


def test_json_is_printed_whole_before_the_error():
    result = offline(*CPU, "--format", "json")
    assert result.code == 2
    places = json.loads(result.out)["remote"]
    assert {place["covered_by"] for place in places} == {""}
    assert f"error: {len(places)} of" in result.err


def test_a_plan_without_it_has_no_such_key():
    result = call("plan", *CPU, "--format", "json")
    assert "remote" not in json.loads(result.out)


def test_the_demo_needs_an_index_only():
    demo = ("--config", DEMO / "dynbuild.toml", "--context", DEMO)
    result = offline(*demo, env={"PIP_CONFIG_FILE": "/dev/null"})
    assert result.code == 2
    assert "these would: [site] index_url;" in result.hint
    own = "http://ada:hunter2@index.example.com/simple"
    result = offline(*demo, env={"PIP_INDEX_URL": own})
    assert result.code == 0, result.err
    assert "hunter2" not in result.out + result.err


def test_a_login_in_a_mirror_of_packages_is_not_shown():
    env = {"DYNBUILD_APT_MIRROR": "https://ada:hunter2@packages.example.com"}
    result = offline(*CPU, env=env)
    assert "packages.example.com" in result.out
    assert "hunter2" not in result.out + result.err
