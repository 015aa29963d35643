"""What a caller can get wrong beside the words: each ends in one sentence and the right status."""

import json
import os
import re
import sys

import pytest

from tests.support import DEMO, call, spawn

pytestmark = pytest.mark.processes("env", "git", "python", "sh")

IMAGE = ("--framework", "none", "--target", "runtime", "--device", "cpu", "--dynamo-wheels")
PLAN = ("plan", *IMAGE, "index==0.9.0")
DIGITS = "9" * 5000


def refused(result, code=2):
    """The one sentence of a command that was refused."""
    assert result.code == code, result
    assert result.out == ""
    first, *more = result.err.splitlines()
    assert first.startswith("error: ")
    assert all(line.startswith(("hint: ", "  ")) for line in more)
    assert "Traceback" not in result.err
    assert "bug" not in result.err
    return first.removeprefix("error: ")


def tree(folder, text):
    """A folder with *text*, which may be bytes, as its settings."""
    folder.mkdir(exist_ok=True)
    (folder / "dynbuild.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


# ---- settings files ----------------------------------------------------------------------

DEEP = {
    "lists": f"x = {'[' * 3000}{']' * 3000}",
    "inline tables": f"x = {'{a = ' * 3000}1{'}' * 3000}",
    "dotted keys": f"{'.'.join(['a'] * 3000)} = 1",
    "headers": f"[{'.'.join(['a'] * 3000)}]\nb = 1",
    "a list where a text stands": f"[args]\nNIXL_REF = {'[' * 300}{']' * 300}",
}


@pytest.mark.parametrize("text", DEEP.values(), ids=DEEP)
def test_settings_that_are_nested_deeply(tmp_path, text):
    refused(call(*PLAN, "--context", tree(tmp_path / "tree", text)))


def test_settings_that_begin_with_a_byte_order_mark(tmp_path):
    text = '\N{ZERO WIDTH NO-BREAK SPACE}[args]\nNIXL_REF = "9.9"\n'
    result = call(*PLAN, "--context", tree(tmp_path / "tree", text), "--format", "json")
    assert json.loads(result.out)["images"][0]["build_args"]["NIXL_REF"] == "9.9"
    assert json.loads(result.out)["images"][0]["origins"]["NIXL_REF"].endswith("dynbuild.toml:2")


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_settings_in_another_encoding(tmp_path, encoding):
    text = '\n[args]\n# caf\xe9\nNIXL_REF = "x"\n'.encode(encoding)
    said = refused(call(*PLAN, "--context", tree(tmp_path / "tree", text)))
    assert re.search("line [13] is not in UTF-8", said)


NULS = {
    "value": '[args]\nNIXL_REF = "a\\u0000b"',
    "path": '[contexts]\nx = "a\\u0000b"',
    "key": '[contexts]\n"a\\u0000b" = "x"',
    "list": '[run]\nvolume = ["/a\\u0000b:/x"]',
}


@pytest.mark.parametrize("text", NULS.values(), ids=NULS)
def test_a_nul_in_settings(tmp_path, text):
    refused(call(*PLAN, "--context", tree(tmp_path / "tree", text)))


@pytest.mark.parametrize("number", [DIGITS, f"{DIGITS}.5", "9" * 4000])
@pytest.mark.parametrize("key", ["[request]\nuid", "[args]\nNIXL_REF"], ids=["uid", "NIXL_REF"])
def test_numbers_of_many_digits_in_settings(tmp_path, key, number):
    said = refused(call(*PLAN, "--context", tree(tmp_path / "tree", f"{key} = {number}")))
    assert len(said) < 800


# ---- words and variables -----------------------------------------------------------------


@pytest.mark.parametrize("name", ["DYNBUILD_UID", "SUDO_UID", "DYNBUILD_CUDA_VERSION"])
def test_numbers_of_many_digits_in_variables(name):
    assert len(refused(call(*PLAN, "--context", DEMO, env={name: DIGITS}))) < 800


@pytest.mark.parametrize("flag", ["--uid", "--gid", "--cuda-version", "--platform"])
def test_numbers_of_many_digits_in_flags(flag):
    assert len(refused(call(*PLAN, "--context", DEMO, flag, DIGITS))) < 800


@pytest.mark.parametrize(
    "words",
    [
        (*PLAN, "--context", "~nosuchuser"),
        (*PLAN, "--context", DEMO, "--config", "~nosuchuser/x.toml"),
        (*PLAN, "--context", DEMO, "--source", "ucx=~nosuchuser/ucx"),
        (*PLAN, "--context", DEMO, "--build-context", "ucx_src=~nosuchuser/ucx"),
        ("doctor", "--context", "~nosuchuser"),
        ("env", "--context", "~nosuchuser"),
    ],
    ids=lambda words: " ".join(str(word) for word in words if "demo" not in str(word)),
)
def test_a_home_of_nobody(words):
    assert "'~nosuchuser'" in refused(call(*words))


@pytest.mark.parametrize("table", ["[contexts]\nx =", "[sources.ucx]\nkind = 'context'\npath ="])
def test_a_home_of_nobody_in_settings(tmp_path, table):
    overlay = tree(tmp_path / "tree", f"{table} '~nosuchuser/x'")
    assert "'~nosuchuser'" in refused(call(*PLAN, "--context", overlay))


def test_a_home_of_nobody_for_dynbuild():
    result = call("engine", "env", env={"DYNBUILD_HOME": "~nosuchuser/x"})
    assert "'~nosuchuser/x'" in refused(result)


def test_without_a_home():
    for words in ((*PLAN, "--context", DEMO), ("run", "--dry-run", "--image", "x")):
        result = spawn(program=("env", "-u", "HOME", *program(*words)))
        assert result.code == 0, result.err


def program(*words):
    return (sys.executable, "-m", "dynbuild", *map(str, words))


# ---- streams -----------------------------------------------------------------------------

RESULTS = {
    "help": ("--help",),
    "help of a command": ("plan", "--help"),
    "version": ("--version",),
    "table": (*PLAN, "--context", DEMO),
    "json": (*PLAN, "--context", DEMO, "--format", "json"),
    "Dockerfile": ("render", *IMAGE, "index==0.9.0", "--context", DEMO),
    "completion": ("--show-completion", "bash"),
}


def shell(redirection, *words, env=None):
    line = f'exec "$@" {redirection}'
    # Which shell the tests run below is not theirs to know: the completion's is named.
    named = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    return spawn(program=("sh", "-c", line, "sh", *program(*words)), env={**named, **(env or {})})


@pytest.mark.parametrize("stdout", [">&-", ">/dev/full"])
@pytest.mark.parametrize("words", RESULTS.values(), ids=RESULTS)
def test_standard_output_that_takes_nothing(words, stdout):
    said = refused(shell(stdout, *words), code=3)
    assert said.startswith("the result cannot be written to standard output: ")


@pytest.mark.parametrize("stderr", ["2>&-", "2>/dev/full", "<&- 2>&-"])
@pytest.mark.parametrize("words", [RESULTS["table"], RESULTS["Dockerfile"]], ids=["plan", "render"])
def test_standard_error_that_takes_nothing(words, stderr):
    result = shell(stderr, *words)
    assert (result.code, result.err) == (0, "")
    assert result.out == shell("", *words).out
    failed = shell(stderr, "plan", "--framework", "vlm")
    assert (failed.code, failed.out, failed.err) == (2, "", "")


def test_all_streams_closed():
    assert shell("<&- >&- 2>&-", *RESULTS["table"]).code == 3


def test_a_file_that_is_written_is_no_stream_of_anybody(tmp_path):
    """A file does not get the number of a stream that is closed, nor what is meant for it."""
    path = tmp_path / "Dockerfile"
    result = shell(
        ">&- 2>&-", "render", *IMAGE, "index==0.9.0", "--context", DEMO, "--output", path
    )
    assert result.code == 0
    assert path.read_text().startswith("# none-runtime-cpu")
    assert "wrote" not in path.read_text()


@pytest.mark.parametrize(
    "env",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
    ids=str,
)
def test_streams_of_other_encodings(tmp_path, env):
    overlay = tree(tmp_path / "tree", '[args]\nNIXL_REF = "caf\xe9"')
    helped = shell("", "plan", "--help", env=env)
    assert helped.code == 0, helped.err
    assert "runtime, dev, ..." in helped.out
    words = (*PLAN, "--context", overlay)
    assert re.search(r"NIXL_REF +caf(\xe9|\udce9|\\xe9)", shell("", *words, env=env).out)
    text = shell("", *words, "--format", "json", env=env).out
    assert json.loads(text)["images"][0]["build_args"]["NIXL_REF"] == "caf\xe9"


def test_names_that_are_no_text(tmp_path):
    folder = os.fsencode(tmp_path) + b"/\xe9"
    os.mkdir(folder)  # noqa: PTH102
    result = shell("", *PLAN, "--context", os.fsdecode(folder))
    assert (result.code, "\\udce9" in result.out) == (0, True)
