"""``dynbuild matrix`` with a docker client that is a script: what it says, writes and resumes."""

import json
import os
import platform
import shutil
import signal
import subprocess
import sys
from xml.etree import ElementTree

import pytest

from dynbuild.build import archive, job_context
from tests import fake_docker
from tests.support import DEMO, ROOT, call

pytestmark = pytest.mark.processes("docker", "git", "python")

GOOD, BAD = "none-frontend-cpu+index", "none-wheel_builder-cpu+index"
CELLS = [GOOD, BAD, "none-dynamo_base-cpu+index"]
WORDS = ("--only", "none-frontend-cpu", "--only", "none-wheel_builder-cpu", "--only",
         "none-dynamo_base-cpu")  # fmt: skip
ERROR = 'process "/bin/sh -c make" did not complete successfully: exit code: 2'
PRINTED = "cc: <no> & \x1b[31mfile\x07\n::error::forged\nmake: | stop\n"


@pytest.fixture
def matrix(docker, tree):
    def run(*words, command="matrix", chosen=WORDS, columns=None, **env):
        path = f"{docker.path}{os.pathsep}{os.environ['PATH']}"
        flags = ("--config", DEMO / "dynbuild.toml", "--context", tree)
        given = {"PATH": path, "DYNBUILD_HOME": f"{tree}.home", **env}
        return call(command, *flags, *chosen, *words, env=given, columns=columns)

    return run


@pytest.fixture
def broken(docker):
    """One of the cells fails."""
    docker.says(
        **{
            "progress-none-wheel_builder-cpu--index": fake_docker.progress(ERROR, PRINTED),
            "status-none-wheel_builder-cpu--index": "1",
        }
    )


def test_every_cell_is_made(matrix, tmp_path):
    junit, summary = tmp_path / "out" / "junit.xml", tmp_path / "summary.md"
    done = matrix("--format", "json", "--junit", junit, "--summary", summary)
    assert done.code == 0, done.err
    said = json.loads(done.out)
    assert [(cell["id"], cell["status"]) for cell in said["cells"]] == [
        (name, "done") for name in CELLS
    ]
    root = ElementTree.parse(junit).getroot()
    assert (root.get("tests"), root.get("failures"), root.get("skipped")) == ("8", "0", "0")
    assert summary.read_text().startswith("## 3 of 3 images in ")
    assert "::" not in done.err


def test_a_cell_that_takes_too_long_is_failed(matrix, docker):
    docker.says(play="sleep 2")
    done = matrix("--timeout", "1s", "--format", "json")
    assert done.code == 1
    cells = json.loads(done.out)["cells"]
    assert {cell["status"] for cell in cells} == {"failed"}
    assert {cell["failure"]["message"] for cell in cells} == {
        "it took longer than 1 s, which --timeout allows"
    }


@pytest.mark.parametrize(("jobs", "records_of_common"), [("1", 1), ("3", 0)])
def test_what_is_taken_of_the_tree_is_read_once_for_all_solves(
    matrix, tree, monkeypatch, jobs, records_of_common
):
    readings = []
    reading = job_context.start_reading

    def noted(job, texts):
        readings.append(sorted(texts))
        return reading(job, texts)

    monkeypatch.setattr(job_context, "start_reading", noted)
    assert matrix("--jobs", jobs).code == 0
    (names,) = readings
    assert {name for name in names if "common" not in name} == set(CELLS)
    records = archive.records(tree)
    of_common = [one for one in records if one.of == "common"]
    assert (len(of_common), len(records)) == (records_of_common, records_of_common + 3)
    assert all(one.context.is_file() for one in records)


@pytest.mark.usefixtures("broken")
def test_one_failure_in_every_form(matrix, tmp_path):
    junit, summary = tmp_path / "junit.xml", tmp_path / "summary.md"
    done = matrix("--format", "json", "--junit", junit, "--summary", summary)
    assert done.code == 1
    cells = {cell["id"]: cell for cell in json.loads(done.out)["cells"]}
    assert [cells[name]["status"] for name in CELLS] == ["done", "failed", "done"]
    assert cells[BAD]["failure"]["lines"][-1] == "make: | stop"
    suite = ElementTree.parse(junit).getroot()[0]
    assert [case.get("name") for case in suite.findall("*[@classname='dynbuild']")] == CELLS
    (why,) = suite.findall("*/failure")
    assert why.get("message").startswith("[ucx 2/2] RUN make: ")
    assert why.text.splitlines()[:3] == ["cc: <no> & file", "::error::forged", "make: | stop"]
    text = summary.read_text()
    assert text.startswith("## 2 of 3 images in ")
    assert f"### `{BAD}`" in text
    assert "```text\ncc: <no> & \x1b[31mfile\x07\n::error::forged\nmake: | stop\n" in text
    assert "error: 1 of 3 cells are not done" in done.err


@pytest.mark.usefixtures("broken")
@pytest.mark.parametrize("columns", [60, 80])
def test_the_table_of_a_failing_run_fits_a_terminal(matrix, columns):
    done = matrix(columns=columns)
    assert done.code == 1
    lines = done.out.splitlines()
    table = lines[: lines.index("")]
    assert max(map(len, table)) <= columns
    wide = [line for line in done.err.splitlines() if len(line) > columns]
    assert all(len(line.split()) <= 2 for line in wide), wide
    assert [line.split()[0] for line in (*table[2:4], table[5])] == CELLS
    assert table[4] == "  [ucx 2/2] RUN make"


@pytest.mark.usefixtures("broken")
@pytest.mark.parametrize("more", [{}, {"DYNBUILD_ARG_BUILD_JOBS": "3"}], ids=["same", "faster"])
def test_resuming_builds_what_failed_alone(matrix, docker, tree, more):
    assert matrix().code == 1
    docker.says(**{"status-none-wheel_builder-cpu--index": "0"})
    docker.says(**{"progress-none-wheel_builder-cpu--index": fake_docker.progress()})
    before = len(docker.asked)
    done = matrix("--resume", "last", "--format", "json", chosen=(), command="matrix")
    assert done.code == 2, "it takes no other options, such as --config"
    done = call(
        "matrix", "--resume", "last", "--context", tree, "--format", "json",
        env={
            "PATH": f"{docker.path}{os.pathsep}{os.environ['PATH']}",
            "DYNBUILD_HOME": f"{tree}.home", **more,
        },
    )  # fmt: skip
    assert done.code == 0, done.err
    assert {cell["status"] for cell in json.loads(done.out)["cells"]} == {"done"}
    solves = [line for line in docker.asked[before:] if line.startswith("buildx bake")]
    assert [line.split()[-1] for line in solves] == ["none-wheel_builder-cpu--index"]


@pytest.mark.usefixtures("broken")
def test_a_run_that_came_with_the_tree_does_not_go_on(matrix, docker, tree):
    """What it was asked for counts as flags do: with it the tree would consent to itself."""
    assert matrix().code == 1
    (own,) = (tree / ".dynbuild/matrices").iterdir()
    brought = own.with_name(f"9{own.name[1:]}")
    shutil.copytree(own, brought)
    asked = json.loads((own / "request.json").read_text())
    asked["flags"].append([["request", "output"], "push", "flag --output"])
    (brought / "request.json").write_text(json.dumps(asked))
    before = len(docker.asked)
    env = {**ENV, "DYNBUILD_HOME": f"{tree}.home"}
    done = call("matrix", "--resume", "last", "--context", tree, env=env)
    assert (done.code, done.out) == (2, "")
    assert f"the run {brought.name} was not begun on this machine, by you" in done.err
    assert len(docker.asked) == before
    done = call("matrix", "--resume", own.name, "--context", tree, "--dry-run", env=env)
    assert done.code == 0, done.err
    words = ("--resume", "last", "--context", tree, "--dry-run", "--trust")
    assert "names no commit, so it is not pushed" in call("matrix", *words, env=env).err


@pytest.mark.usefixtures("broken")
def test_build_of_several_costs_the_one_that_fails_alone(matrix, docker, tree):
    words = ("--target", "frontend,wheel_builder,dynamo_base")
    done = matrix("--format", "json", chosen=words, command="build")
    assert done.code == 1
    said = json.loads(done.out)
    assert {cell["id"]: cell["status"] for cell in said["cells"]} == {
        name: "failed" if name == BAD else "done" for name in CELLS
    }
    docker.says(**{"status-none-wheel_builder-cpu--index": "0"})
    docker.says(**{"progress-none-wheel_builder-cpu--index": fake_docker.progress()})
    done = call(
        "matrix", "--resume", "last", "--context", tree, "--format", "json",
        env={
            "PATH": f"{docker.path}{os.pathsep}{os.environ['PATH']}",
            "DYNBUILD_HOME": f"{tree}.home",
        },
    )  # fmt: skip
    assert done.code == 0, done.err
    assert [cell["id"] for cell in json.loads(done.out)["cells"]] == [
        cell["id"] for cell in said["cells"]
    ]


# ---- CI ----------------------------------------------------------------------------------


@pytest.mark.usefixtures("broken")
def test_github_gets_a_summary_a_group_and_an_error(matrix, tmp_path):
    summary = tmp_path / "step"
    summary.write_text("before\n")
    done = matrix(GITHUB_ACTIONS="true", GITHUB_STEP_SUMMARY=str(summary))
    assert done.code == 1
    assert summary.read_text().startswith("before\n## 2 of 3 images in ")
    lines = done.err.splitlines()
    at = lines.index(f"::group::{BAD}: [ucx 2/2] RUN make")
    end = lines.index("::endgroup::")
    stop = lines[at + 1].removeprefix("::stop-commands::")
    assert lines[end - 1] == f"::{stop}::"
    assert any(line.endswith("::error::forged") for line in lines[at + 2 : end - 1])
    own = [line for line in lines[: at + 1] + lines[end:] if line.lstrip().startswith("::")]
    assert own[:2] == [lines[at], "::endgroup::"]
    assert own[2].startswith(f"::error title={BAD}::[ucx 2/2] RUN make%0Acc: ")
    assert len(own) == 3
    assert not any(line.lstrip().startswith("::") for line in done.out.splitlines())


@pytest.mark.usefixtures("broken")
def test_gitlab_gets_a_section(matrix):
    done = matrix(GITLAB_CI="true")
    assert done.code == 1
    starts = done.err.count("\x1b[0Ksection_start:")
    assert starts == done.err.count("\x1b[0Ksection_end:") == 1
    assert "[collapsed=true]\r\x1b[0Knone-wheel_builder-cpu+index: [ucx 2/2] RUN make" in done.err
    assert not any(
        line.startswith("::error") for line in done.err.splitlines() if "forged" not in line
    )


def test_a_file_that_cannot_be_written_is_told_before_anything_is_built(matrix, docker, tmp_path):
    (tmp_path / "file").touch()
    done = matrix("--junit", tmp_path / "file" / "junit.xml")
    assert (done.code, done.out) == (3, "")
    assert "junit.xml cannot be written" in done.err
    assert not docker.asked


def test_a_run_that_cannot_begin_leaves_no_empty_file(matrix, docker, tmp_path):
    docker.says(base="")
    done = matrix("--junit", tmp_path / "junit.xml", "--summary", tmp_path / "summary.md")
    assert done.code == 3
    assert not list(tmp_path.glob("*.xml")) + list(tmp_path.glob("*.md"))


def test_a_dry_run_writes_nothing(matrix, docker, tmp_path, tree):
    done = matrix("--dry-run", "--junit", tmp_path / "junit.xml")
    assert done.code == 0, done.err
    assert not (tmp_path / "junit.xml").exists()
    assert not any("bake" in line for line in docker.asked)
    assert list(tree.iterdir()) == []


# ---- promote -----------------------------------------------------------------------------


def promote(docker, *words, **env):
    path = f"{docker.path}{os.pathsep}{os.environ['PATH']}"
    return call("promote", *words, env={"PATH": path, **env})


@pytest.fixture
def manifest(matrix, docker, tree):
    targets = [name.replace("+", "--") for name in CELLS]
    docker.says(metadata=json.dumps({name: {"containerimage.digest": f"sha256:{number:064}"}
                                     for number, name in enumerate(targets)}))  # fmt: skip
    done = matrix("--push", "--repository", "r.example/ai/x", "--allow-unversioned")
    assert done.code == 0, done.err
    (path,) = (tree / ".dynbuild" / "matrices").glob("*/result.json")
    return path


def test_a_run_that_was_pushed_is_promoted_by_digest(docker, manifest, tree):
    before = len(docker.asked)
    done = promote(docker, manifest, "--to", "stable", "--format", "json")
    assert done.code == 0, done.err
    said = json.loads(done.out)
    assert [one["id"] for one in said] == CELLS
    assert said[0]["tag"].startswith("r.example/ai/x:stable-none-frontend-cpu")
    created = [line.split() for line in docker.asked[before:] if "imagetools create" in line]
    assert [(words[-2], words[-1]) for words in created] == [
        (one["tag"], one["reference"]) for one in said
    ]
    words = ("last", "--context", tree, "--to", "stable", "--format", "json")
    again = promote(docker, *words, DYNBUILD_HOME=f"{tree}.home")
    assert json.loads(again.out) == said


def test_a_run_that_came_with_the_tree_is_not_promoted_by_its_id(docker, manifest, tree):
    """The tree would choose which images get the tag."""
    brought = manifest.parent.with_name(f"9{manifest.parent.name[1:]}")
    shutil.copytree(manifest.parent, brought)
    (brought / "request.json").write_text("{}")
    words = ("--context", tree, "--to", "stable", "--dry-run")
    home = {"DYNBUILD_HOME": f"{tree}.home"}
    done = promote(docker, "last", *words, **home)
    assert (done.code, done.out) == (2, "")
    assert f"the run {brought.name} was not begun on this machine, by you" in done.err
    assert f"{brought}/result.json" in done.err
    (brought / "request.json").unlink()
    assert promote(docker, "last", *words, **home).code == 2
    assert promote(docker, manifest.parent.name, *words, **home).code == 0
    assert promote(docker, brought / "result.json", *words, **home).code == 0


def test_nothing_is_promoted_where_one_is_missing(docker, manifest):
    before = len(docker.asked)
    (docker.path / "registry").unlink()
    done = promote(docker, manifest, "--to", "stable")
    assert (done.code, done.out) == (3, "")
    assert "no tag is moved" in done.err
    assert not any("imagetools create" in line for line in docker.asked[before:])


def test_no_tag_of_another_image_is_promoted_over(docker, manifest):
    docker.says(tag=json.dumps({"config": {"Labels": {"dynbuild.image": "none-dev-cpu"}}}))
    before = len(docker.asked)
    done = promote(docker, manifest, "--to", "stable")
    assert (done.code, done.out) == (2, "")
    assert "is none-dev-cpu, and would become none-frontend-cpu+index" in done.err
    assert not any("imagetools create" in line for line in docker.asked[before:])
    assert promote(docker, manifest, "--to", "stable", "--retag").code == 0


def test_a_dry_run_promotes_nothing(docker, manifest):
    before = len(docker.asked)
    assert promote(docker, manifest, "--to", "stable", "--dry-run").code == 0
    assert docker.asked[before:] == []


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_what_is_no_manifest(docker, tmp_path, text):
    (tmp_path / "file").write_text(text)
    done = promote(docker, tmp_path / "file", "--to", "stable")
    assert done.code == 2
    assert "is no result of a matrix" in done.err


# ---- tests in the images -------------------------------------------------------------------


def tagged(docker):
    return [line.split()[2:] for line in docker.asked if line.startswith("image tag")]


def test_tests_run_before_an_image_has_its_tags(matrix, docker, tree, tmp_path):
    (tree / "dynbuild.toml").write_text(
        "[[test]]\nname = 'serves'\ncommand = 'serve'\ncells = ['none-frontend-*']\n"
    )
    docker.says(**{"run-serve": "no port\n"})
    junit = tmp_path / "junit.xml"
    done = matrix("--format", "json", "--junit", junit)
    assert done.code == 1, done.err
    cells = {cell["id"]: cell for cell in json.loads(done.out)["cells"]}
    bad = cells[GOOD]
    assert (bad["status"], bad["failure"]["step"]) == ("failed", "test serves")
    assert bad["failure"]["lines"] == ["no port"]
    assert [(one["name"], one["status"]) for one in bad["tests"]] == [
        ("starts", "passed"), ("wheels", "passed"), ("serves", "failed"),
    ]  # fmt: skip
    assert not any(f"pending-{GOOD.replace('+', '-')}" in words[0] for words in tagged(docker))
    assert {cell["status"] for name, cell in cells.items() if name != GOOD} == {"done"}
    assert len(tagged(docker)) == sum(len(cell["tags"]) for cell in cells.values()) == 4
    runs = [line.split() for line in docker.asked if line.startswith("run ")]
    assert all(words[words.index("--network") + 1] == "none" for words in runs)
    assert not any("--volume" in words or "--privileged" in words for words in runs)
    suite = ElementTree.parse(junit).getroot()[0]
    assert {case.get("name") for case in suite.findall("testcase[failure]")} == {
        GOOD, f"{GOOD}: serves",
    }  # fmt: skip


def test_a_test_that_fails_has_a_row_of_its_own(matrix, docker, tree):
    (tree / "dynbuild.toml").write_text("[[test]]\nname = 'serves'\ncommand = 'serve'\n")
    docker.says(**{"run-serve": "no port\n"})
    done = matrix("--only", "none-frontend-cpu", chosen=(), columns=80)
    assert done.code == 1
    lines = [" ".join(line.split()[:2]) for line in done.out.splitlines()]
    assert [f"{GOOD} failed", "test serves", "serves failed", "exit status"] == lines[2:6]
    assert "tests   1 failed, 2 passed" in done.out


KILLED = """\
case "$*" in *"imagetools create"*)
    echo >> "$(dirname "$0")/moves"
    [ "$(wc -l < "$(dirname "$0")/moves")" -ne {number} ] || {{ kill -KILL $PPID; exit 1; }} ;;
esac
"""


@pytest.mark.parametrize("number", [1, 2, 3])
def test_what_is_killed_between_its_tags_is_completed(docker, tree, number):
    """The process itself, with no time to write anything."""
    made = {name.replace("+", "--"): {"containerimage.digest": DIGEST} for name in CELLS}
    docker.says(digest=json.dumps({"digest": DIGEST}), metadata=json.dumps(made))
    program = docker.path / "docker"
    text = program.read_text()
    program.write_text(text.replace("#!/bin/sh\n", f"#!/bin/sh\n{KILLED.format(number=number)}", 1))
    env = {**os.environ, "PATH": f"{docker.path}{os.pathsep}{os.environ['PATH']}"}
    env["DYNBUILD_HOME"] = f"{tree}.home"
    argv = [sys.executable, "-m", "dynbuild", "matrix", "--config", DEMO / "dynbuild.toml"]
    words = ("--context", tree, *WORDS, "--push", "--repository", "r.example/ai/x",
             "--allow-unversioned", "--no-tests")  # fmt: skip
    killed = subprocess.run([*argv, *words], env=env, cwd=ROOT, check=False, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    program.write_text(text)
    before, lines = bakes(docker), len(docker.asked)
    again = call("matrix", "--resume", "last", "--context", tree, "--format", "json", env=env)
    assert again.code == 0, again.err
    assert bakes(docker) == before
    assert all(cell["moved"] for cell in json.loads(again.out)["cells"])
    moved = [line for line in docker.asked[lines:] if "imagetools create" in line]
    assert len(moved) == len(CELLS) - number + 1


def test_what_is_pushed_is_tested_by_its_digest_and_no_tag_moves(matrix, docker, tree):
    (tree / "dynbuild.toml").write_text("[[test]]\nname = 'serves'\ncommand = 'serve'\n")
    docker.says(**{"run-serve": "no port\n"}, metadata=json.dumps(
        {GOOD.replace("+", "--"): {"containerimage.digest": f"sha256:{1:064}"}}))  # fmt: skip
    words = ("--push", "--repository", "r.example/ai/x", "--allow-unversioned", "--only",
             "none-frontend-cpu")  # fmt: skip
    assert matrix(*words, chosen=()).code == 1
    runs = [line for line in docker.asked if line.startswith("run ")]
    assert all(f" r.example/ai/x@sha256:{1:064}" in line for line in runs)
    assert not any("imagetools create" in line for line in docker.asked)
    (docker.path / "run-serve").unlink()
    assert matrix(*words, chosen=()).code == 0
    assert any("imagetools create" in line for line in docker.asked)


def test_build_of_one_image_runs_the_tests_of_the_settings(matrix, docker, tree):
    (tree / "dynbuild.toml").write_text("[[test]]\nname = 'serves'\ncommand = 'serve'\n")
    docker.says(**{"run-serve": "no port\n"})
    build = {"command": "build", "chosen": ("--target", "frontend")}
    done = matrix("--format", "json", **build)
    assert done.code == 1
    (cell,) = json.loads(done.out)["cells"]
    assert (cell["failure"]["step"], cell["moved"]) == ("test serves", False)
    assert tagged(docker) == []
    done = matrix("--no-tests", "--format", "json", **build)
    assert done.code == 0, done.err
    assert [image["id"] for image in json.loads(done.out)["images"]] == [cell["id"]]
    (docker.path / "run-serve").unlink()
    assert matrix(**build).code == 0
    assert tagged(docker)


def test_build_of_one_image_runs_no_test_that_is_not_of_the_settings(matrix, docker, tree):
    (tree / "dynbuild.toml").write_text(
        "[[test]]\nname = 'serves'\ncommand = 'serve'\ncells = ['none-dev-cpu']\n"
    )
    done = matrix("--format", "json", command="build", chosen=("--target", "frontend"))
    assert done.code == 0, done.err
    assert "images" in json.loads(done.out)
    assert not any(line.startswith("run ") for line in docker.asked)


def test_tags_are_moved_again_after_a_fault_of_the_moment(matrix, docker, monkeypatch, tmp_path):
    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.setattr("dynbuild.proc.Cancellation.sleep", lambda *_: None)
    docker.says(metadata=json.dumps(
        {GOOD.replace("+", "--"): {"containerimage.digest": f"sha256:{1:064}"}}))  # fmt: skip
    docker.says(**{"passing-create": "502 Bad Gateway\n"})
    summary = tmp_path / "summary.md"
    words = ("--push", "--repository", "r.example/ai/x", "--allow-unversioned", "--no-tests",
             "--only", "none-frontend-cpu", "--format", "json", "--summary", summary)  # fmt: skip
    done = matrix(*words, chosen=())
    assert done.code == 0, done.err
    (cell,) = json.loads(done.out)["cells"]
    assert cell["moved"]
    assert [one["message"] for one in cell["retries"]] == ["502 Bad Gateway"]
    assert sum("imagetools create" in line for line in docker.asked) == 2
    assert "502 Bad Gateway: tried again in" in done.err
    assert "### Tried again" in summary.read_text()


def test_an_image_that_this_machine_cannot_run_is_not_tested(matrix, docker):
    docker.says(**dict.fromkeys(("run-here",), "exec /bin/true: exec format error\n"))
    script = docker.path / "docker"
    script.write_text(script.read_text().replace("run-$last", "run-here"))
    words = ("--only", "none-frontend-cpu", "--format", "json")
    other = ("linux/arm64", "linux/amd64")[platform.machine() == "aarch64"]
    docker.says(base=json.dumps([*other.split("/"), {}]))
    done = matrix(*words, "--platform", other, chosen=())
    assert done.code == 0, done.err
    (cell,) = json.loads(done.out)["cells"]
    assert {one["status"] for one in cell["tests"]} == {"skipped"}
    assert cell["tests"][0]["message"] == f"this machine does not run {other}"
    docker.says(base=json.dumps(["linux", ("amd64", "arm64")[other == "linux/amd64"], {}]))
    assert matrix(*words, chosen=()).code == 1, "what this machine runs has to run"


def test_without_tests_nothing_is_run(matrix, docker):
    assert matrix("--no-tests").code == 0
    assert not any(line.startswith("run ") for line in docker.asked)
    assert tagged(docker) == []


def test_shards_are_all_of_it_and_are_resumed_as_they_were(matrix, tree):
    made = []
    for number in (1, 2):
        done = matrix("--shard", f"{number}/2", "--format", "json")
        assert done.code == 0, done.err
        made += [cell["id"] for cell in json.loads(done.out)["cells"]]
        assert f"shard {number}/2: " in done.err
    assert sorted(made) == sorted(CELLS)
    again = call("matrix", "--context", tree, "--resume", "last", "--dry-run",
                 env={**ENV, "DYNBUILD_HOME": f"{tree}.home"})  # fmt: skip
    assert "shard" not in again.err
    assert again.code == 0, again.err


def test_a_shard_that_is_none(matrix):
    assert "hint: the second of three is written 2/3" in matrix("--shard", "4/3").err
    done = matrix("--shard", "9/9")
    assert (done.code, "ask for fewer shards" in done.err) == (2, True)


ENV = {"PATH": os.environ["PATH"]}


PUSH = ("--push", "--repository", "r.example/ai/x", "--allow-unversioned", "--no-tests",
        "--format", "json", "--if-changed")  # fmt: skip
DIGEST = f"sha256:{1:064}"


@pytest.fixture
def pushing(matrix, docker):
    """Push with --if-changed; what came of it, and the labels that the images got."""
    made = {name.replace("+", "--"): {"containerimage.digest": DIGEST} for name in CELLS}
    docker.says(digest=json.dumps({"digest": DIGEST}), metadata=json.dumps(made))

    def run(*words):
        done = matrix(*PUSH, *words)
        assert done.code == 0, done.err
        return done, {cell["id"]: cell for cell in json.loads(done.out)["cells"]}

    return run


def labels(tree):
    """The content labels of the last definitions, by image."""
    found = {}
    for path in sorted((tree / ".dynbuild" / "builds").glob("*/bake.json")):
        for target in json.loads(path.read_text())["target"].values():
            if content := target["labels"].get("dynbuild.content"):
                found[target["labels"]["dynbuild.image"]] = content
    return found


def bakes(docker):
    return sum(line.startswith("buildx bake") for line in docker.asked)


def test_a_matrix_that_is_in_the_registry_ends_without_a_solve(pushing, docker, tree, tmp_path):
    _, cells = pushing("--only", "none-frontend-cpu", "--skip", "none-[wd]*")
    assert not cells[GOOD]["unchanged"]
    made = labels(tree)
    assert list(made) == [GOOD]
    before, lines = bakes(docker), len(docker.asked)
    config = {"Labels": {"dynbuild.image": GOOD, "dynbuild.content": made[GOOD]}}
    docker.says(tag=json.dumps({"config": config}))
    junit, summary = tmp_path / "junit.xml", tmp_path / "summary.md"
    words = ("--only", "none-frontend-cpu", "--skip", "none-[wd]*", "--junit", junit)
    done, cells = pushing(*words, "--summary", summary)
    assert bakes(docker) == before
    assert (cells[GOOD]["status"], cells[GOOD]["unchanged"]) == ("done", True)
    assert (cells[GOOD]["digest"], cells[GOOD]["moved"]) == (DIGEST, True)
    assert cells[GOOD]["reference"] == f"r.example/ai/x@{DIGEST}"
    assert f"{GOOD} is unchanged: r.example/ai/x@{DIGEST}" in done.err
    assert 'message="unchanged"' in junit.read_text()
    assert "| ✅ unchanged |" in summary.read_text()
    assert not any("imagetools create" in line for line in docker.asked[lines:])
    asked = [line for line in docker.asked[lines:] if "imagetools inspect" in line]
    assert len(asked) == len(set(asked)), "nothing is asked of the registry twice"
    # Another base image behind the same name.
    docker.says(image=f"sha256:{2:064} 1\n")
    _, cells = pushing("--only", "none-frontend-cpu", "--skip", "none-[wd]*")
    assert not cells[GOOD]["unchanged"]
    assert bakes(docker) == before + 1


@pytest.mark.parametrize("when", ["all", "each"])
def test_a_new_version_of_the_same_content_gets_its_tag_without_a_solve(
    pushing, docker, tree, when
):
    words = ("--only", "none-frontend-cpu", "--skip", "none-[wd]*", "--tag-when", when)
    _, cells = pushing(*words)
    version, latest = cells[GOOD]["tags"]
    config = {"Labels": {"dynbuild.image": GOOD, "dynbuild.content": labels(tree)[GOOD]}}
    docker.says(**{f"tag-{latest.rpartition(':')[2]}": json.dumps({"config": config})})
    before, lines = bakes(docker), len(docker.asked)
    _, cells = pushing(*words)
    assert bakes(docker) == before
    assert (cells[GOOD]["unchanged"], cells[GOOD]["moved"]) == (True, True)
    (moved,) = (line for line in docker.asked[lines:] if "imagetools create" in line)
    assert f"--tag {version}" in moved
    assert moved.endswith(f"r.example/ai/x@{DIGEST}")


def test_a_commit_that_is_no_change_gets_its_tag_without_a_solve_where_no_tag_stays(
    pushing, docker, tree
):
    words = ("--only", "none-frontend-cpu", "--skip", "none-[wd]*", "--no-tag-latest")
    pushing(*words)
    (first,) = (line for line in docker.asked if "imagetools create" in line)
    kept = f"current-{GOOD}".replace("+", "-")
    assert f"--tag r.example/ai/x:{kept}" in first
    config = {"Labels": {"dynbuild.image": GOOD, "dynbuild.content": labels(tree)[GOOD]}}
    docker.says(**{f"tag-{kept}": json.dumps({"config": config})})
    before, lines = bakes(docker), len(docker.asked)
    done, cells = pushing(*words, "--tag-template", "other{suffix}")
    assert bakes(docker) == before
    assert (cells[GOOD]["unchanged"], cells[GOOD]["moved"]) == (True, True)
    assert f"{GOOD} is unchanged: r.example/ai/x@{DIGEST}" in done.err
    (moved,) = (line for line in docker.asked[lines:] if "imagetools create" in line)
    assert "--tag r.example/ai/x:other" in moved
    assert cells[GOOD]["tags"] == [tag for tag in moved.split() if ":other" in tag]


def test_a_push_without_a_content_id_moves_no_more_tags(matrix, docker):
    made = {name.replace("+", "--"): {"containerimage.digest": DIGEST} for name in CELLS}
    docker.says(digest=json.dumps({"digest": DIGEST}), metadata=json.dumps(made))
    words = [word for word in PUSH if word != "--if-changed"]
    assert matrix(*words, "--only", "none-frontend-cpu", "--skip", "none-[wd]*").code == 0
    assert not any("current-" in line for line in docker.asked)


def test_what_is_not_pushed_cannot_be_unchanged(matrix):
    done = matrix("--if-changed")
    assert (done.code, "flag --if-changed" in done.err) == (2, True)
