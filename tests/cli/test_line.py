"""``dynbuild line``."""

from __future__ import annotations

import json

import pytest

from tests.support import ENV, WORKSPACE, call

pytestmark = pytest.mark.processes("git")


@pytest.fixture
def home(tmp_path):
    return {"DYNBUILD_HOME": str(tmp_path / "home")}


def test_the_lines_there_are(home):
    rows = json.loads(call("line", "list", "--format", "json", env=home).out)
    assert [row["line"] for row in rows] == ["0.9.0", "1.0", "1.5", "1.6"]
    assert rows[2]["file"].endswith("templates/lines/1.5.toml")
    assert call("line", "list", env=home).out.splitlines()[0].split()[0] == "line"


def test_a_line_of_one_s_own_is_there_like_the_others(home, tmp_path):
    done = call("line", "new", "1.7", "--from", str(WORKSPACE), env=home)
    file = tmp_path / "home/lines/1.7.toml"
    assert (done.code, done.err) == (0, f"wrote {file}\n")
    assert "# rust-toolchain.toml:3\n" in file.read_text()
    plan = call("plan", "--release-line", "1.7", "--framework", "none", "--target", "runtime",
                "--context", str(WORKSPACE), env=home)  # fmt: skip
    assert plan.code == 0, plan.err
    assert "none-runtime-cuda12.8+1.7" in plan.out
    assert call("line", "check", "1.7", "--tree", str(WORKSPACE), env=home).code == 0
    again = call("line", "new", "1.7", "--from", str(WORKSPACE), env=home)
    assert (again.code, "there is a release line 1.7 already" in again.err) == (2, True)


def test_two_lines_of_one_name_are_none(home, tmp_path):
    file = tmp_path / "home/lines/1.5.toml"
    file.parent.mkdir(parents=True)
    file.write_text("[args]\nNATS_VERSION = 'v9'\n")
    done = call(
        "plan", "--release-line", "1.5", "--framework", "none", "--target", "runtime", env=home
    )
    assert done.code == 2
    assert "there are two release lines 1.5" in done.err


def test_a_difference_is_an_exit_status(home):
    done = call("line", "check", "1.5", "--tree", str(WORKSPACE), "--format", "json", env=home)
    assert done.code == 1
    (rust,) = [one for one in json.loads(done.out) if one["pin"] == "args.RUST_VERSION"]
    assert (rust["line"], rust["tree"], rust["place"]) == (
        "1.96.1", "1.90.0", "rust-toolchain.toml:3",
    )  # fmt: skip
    assert (
        "rust-toolchain.toml:3"
        in call("line", "check", "1.5", "--tree", str(WORKSPACE), env=home).out
    )


def test_what_is_asked_for_wrongly(home, tmp_path):
    for words, text in (
        (("check", "1.55", "--tree", str(WORKSPACE)), "there is no release line '1.55'"),
        (("check", "1.5", "--tree", str(tmp_path)), "is no source tree of Dynamo"),
        (("new", "A B", "--from", str(WORKSPACE)), "is no name of a release line"),
        (("new", "1.5", "--from", str(WORKSPACE)), "there is a release line 1.5 already"),
        (("new", "x", "--from", str(WORKSPACE), "--like", "y"), "there is no release line 'y'"),
    ):
        done = call("line", *words, env=home)
        assert (done.code, text in done.err) == (2, True), done.err


def test_another_file_is_written_once(home, tmp_path):
    words = ("line", "new", "1.7", "--from", str(WORKSPACE), "-o", str(tmp_path / "x.toml"))
    assert call(*words, env=home).code == 0
    done = call(*words, env=home)
    assert (done.code, "is there already" in done.err) == (2, True)
    assert call(*words[:-1], "-", env=home).out == (tmp_path / "x.toml").read_text()
    assert ENV["HOME"] == "/dev/null/absent"
