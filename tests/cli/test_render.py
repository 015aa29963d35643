import shutil

import pytest

from tests.support import DEMO, GOLDEN, ROOT, TEMPLATES, WORKSPACE, call, spawn

pytestmark = pytest.mark.processes("git", "python")

CPU = ("--framework", "none", "--target", "runtime", "--device", "cpu")
HERE = ("--context", WORKSPACE)


@pytest.fixture
def templates(tmp_path):
    return shutil.copytree(TEMPLATES, tmp_path / "templates")


def refused(templates):
    result = call("render", *CPU, *HERE, "--templates", templates)
    assert (result.code, result.out) == (2, "")
    assert "Traceback" not in result.err
    return result


@pytest.mark.parametrize(
    ("device", "name"),
    [("cuda", "none-runtime-cuda12.8.Dockerfile"), ("cpu", "none-runtime-cpu.Dockerfile")],
)
def test_the_dockerfile_goes_to_stdout_and_nothing_else(device, name):
    argv = ("--framework", "none", "--target", "runtime", "--device", device)
    result = call("render", *argv, *HERE)
    assert (result.code, result.err) == (0, "")
    assert result.out == (ROOT / "dockerfiles" / name).read_text(encoding="utf-8")


def test_the_demo():
    result = call("render", "--context", DEMO)
    assert result.out == (GOLDEN / "demo.Dockerfile").read_text(encoding="utf-8")


def test_into_a_folder(tmp_path):
    result = call("render", *CPU, *HERE, "--output", tmp_path)
    path = tmp_path / "none-runtime-cpu.Dockerfile"
    assert (result.code, result.out, result.err) == (0, "", f"wrote {path}\n")
    assert path.read_text(encoding="utf-8") == call("render", *CPU, *HERE).out


def test_into_a_file(tmp_path):
    path = tmp_path / "Dockerfile"
    assert call("render", *CPU, *HERE, "-o", path).code == 0
    assert path.read_text(encoding="utf-8").startswith("# none-runtime-cpu: ")


def test_into_a_place_that_is_not_there(tmp_path):
    result = call("render", *CPU, *HERE, "--output", tmp_path / "none" / "Dockerfile")
    assert result.code == 3
    assert "cannot be written: No such file or directory" in result.err


def test_into_a_folder_that_is_not_there(tmp_path):
    call("render", *CPU, *HERE, "--output", f"{tmp_path}/new/")
    assert not (tmp_path / "new").is_file()


def test_as_a_process():
    result = spawn("render", "--context", DEMO, env={"PYTHONHASHSEED": "7"})
    assert (result.code, result.err) == (0, "")
    assert result.out == (GOLDEN / "demo.Dockerfile").read_text(encoding="utf-8")


def test_a_missing_template(templates):
    (templates / "ucx.Dockerfile.j2").unlink()
    result = refused(templates)
    assert "error: the stage 'ucx' of none-runtime-cpu has no template" in result.err
    assert f"(from {templates}/ucx.Dockerfile.j2)" in result.err
    assert "--templates" in result.hint


def test_a_malformed_template(templates):
    path = templates / "ucx.Dockerfile.j2"
    path.write_text("# UCX\n{% for %}\n", encoding="utf-8")
    result = refused(templates)
    assert "error: the template of the stage 'ucx' is malformed: " in result.err
    assert f"(from {path}:2)" in result.err


def test_a_template_that_disagrees_with_the_stage_table(templates):
    path = templates / "ucx.Dockerfile.j2"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("WORKDIR", "ARG BUILD_JOB\nWORKDIR"), encoding="utf-8")
    result = refused(templates)
    assert "the stage 'ucx' and its template disagree on arguments" in result.err
    assert result.hint.endswith(": BUILD_JOB")


def test_compiled_templates_are_kept_in_a_home_that_is_there(tmp_path):
    words = ("render", "--context", DEMO)
    assert call(*words, env={"HOME": str(tmp_path / "none")}).code == 0
    assert list(tmp_path.iterdir()) == []
    first = call(*words, env={"HOME": str(tmp_path)})
    kept = tmp_path / ".cache/dynbuild/templates"
    assert list(kept.iterdir())
    assert call(*words, env={"HOME": str(tmp_path)}) == first
    other = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "other")}
    assert call(*words, env=other) == first
    assert len(list((tmp_path / "other/dynbuild/templates").iterdir())) == len(list(kept.iterdir()))


def test_several_dockerfiles_go_to_a_folder(tmp_path):
    words = ("render", *HERE, "--framework", "none", "--device", "cpu", "--target", "runtime,dev")
    at_once = call(*words, "--output", tmp_path / "Dockerfile")
    assert (at_once.code, "2 Dockerfiles are for one file" in at_once.err) == (2, True)
    assert call(*words, "--output", f"{tmp_path}/").code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "none-dev-cpu.Dockerfile", "none-runtime-cpu.Dockerfile",
    ]  # fmt: skip
