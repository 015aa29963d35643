"""``dynbuild list``: each format, and what the words of others are worth."""

import json

import pytest

from dynbuild.image_id import ImageId
from tests.support import WORKSPACE, call

pytestmark = pytest.mark.processes("git")


def listed(*words, **given):
    result = call("list", *words, **given)
    assert (result.code, result.err) == (0, "")
    return result.out


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "pyproject.toml").write_text('version = "0.9.0"\n')
    (tmp_path / "dynbuild.toml").write_text(
        "[matrix.release]\nframeworks = ['vllm', 'none']\ntargets = ['runtime']\n"
    )
    return tmp_path


def test_names_are_ids_of_every_line(tree):
    names = listed("--format", "names", cwd=tree).split()
    assert [str(ImageId.parse(name)) for name in names] == names
    assert {"none-runtime-cpu", "none-runtime-cpu+1.0"} <= set(names)
    assert listed("none-runtime-cpu", "--format", "names", cwd=tree) == "none-runtime-cpu\n"


def test_the_table_fits_a_terminal(tree):
    lines = listed(columns=80, cwd=tree).splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == ["cell", "line", "platforms"]


def test_a_matrix_of_the_settings(tree):
    names = listed("--matrix", "release", "--format", "names", cwd=tree).split()
    assert names == [
        "vllm-runtime-cuda12.9", "vllm-runtime-cuda13.0", "none-runtime-cuda12.8",
        "none-runtime-cpu",
    ]  # fmt: skip
    result = call("list", "--matrix", "relase", cwd=tree)
    assert (result.code, result.hint.splitlines()[0]) == (
        2, "did you mean 'release'? (there are: release)",
    )  # fmt: skip


def test_what_a_job_of_a_ci_system_gets_builds_its_cell(tree):
    words = ("--matrix", "release")
    include = json.loads(listed(*words, "--format", "github", cwd=tree))["include"]
    jobs = json.loads(listed(*words, "--format", "gitlab", cwd=tree))
    assert [row["id"] for row in include] == list(jobs)
    for row in include:
        axes = ("framework", "target", "device", "cuda_version", "release_line")
        by_flags = [f"--{axis.replace('_', '-')}={row[axis]}" for axis in axes if row[axis]]
        variables = jobs[row["id"]]["variables"]
        for plan in (
            call("plan", *by_flags, "--format=json", cwd=WORKSPACE),
            call("plan", "--format=json", cwd=WORKSPACE, env=variables),
        ):
            assert json.loads(plan.out)["images"][0]["name"] == row["id"]


def test_bake_has_a_target_for_each_cell(tree):
    found = json.loads(listed("--matrix", "release", "--format", "bake", cwd=tree))
    assert list(found["target"]) == found["group"]["default"]["targets"]
    assert found["group"]["none"]["targets"] == ["none-runtime-cuda12_8", "none-runtime-cpu"]
    assert found["target"]["none-runtime-cpu"]["description"] == "none-runtime-cpu"


def test_an_id_that_is_none_has_its_nearest(tmp_path):
    result = call("list", "vllm-runtme-cuda12.9", cwd=tmp_path)
    assert result.code == 2
    assert result.hint.startswith("did you mean 'vllm-runtime-cuda12.9',")
    assert result.hint.endswith("(`dynbuild list` lists all)")


def test_levels_follow_what_goes_on_from_what(tmp_path):
    words = ("none-*", "--format", "github", "--levels", "--release-line", "0.9.0")
    levels = json.loads(listed(*words, cwd=tmp_path))
    place = {row["id"]: number for number, level in enumerate(levels) for row in level["include"]}
    for device in ("cpu", "cuda12.8"):
        assert place[f"none-runtime-{device}"] == 0
        assert place[f"none-dev-{device}"] == 1
        assert place[f"none-local-dev-{device}"] == 2
    assert place["none-frontend-cpu"] == 0
    flat = json.loads(listed(*(word for word in words if word != "--levels"), cwd=tmp_path))
    assert len(place) == len(flat["include"])
    (only,) = json.loads(listed("none-local-dev-cpu", *words[1:], cwd=tmp_path))
    assert len(only["include"]) == 1
    result = call("list", "--levels", cwd=tmp_path)
    assert (result.code, "--format github" in result.err) == (2, True)
