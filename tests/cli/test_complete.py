"""What a shell offers, asked for as the shells' own functions ask for it."""

import json
import shlex
import sys
from pathlib import Path

import pytest

from dynbuild.cli import complete
from dynbuild.cli.commands import COMMANDS
from dynbuild.settings import request_options, run_options
from tests.support import CATALOG, DEMO, TEMPLATES, call, spawn

pytestmark = pytest.mark.processes("bash", "python")

SETTINGS = """
[matrix.release]
targets = ["runtime"]

[run.profiles.small]
gpus = "none"

[frameworks.none]
targets = ["runtime", "mine"]
"""


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "dynbuild.toml").write_text(SETTINGS)
    record = tmp_path / ".dynbuild/builds/1/result.json"
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps({"images": [{"tags": ["dynamo:mine", "dynamo:latest"]}]}))
    return tmp_path


def offered(line, *, cwd=DEMO, env=None):
    """The words that bash is offered for the last word of *line*."""
    words = ["dynbuild", *shlex.split(line)]
    if line.endswith(" ") or not line:
        words.append("")
    env = {
        "_DYNBUILD_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(words),
        "COMP_CWORD": str(len(words) - 1),
        **(env or {}),
    }
    result = call(env=env, cwd=cwd)
    assert (result.code, result.err) == (0, "")
    return result.out.split()


TRTLLM = CATALOG["frameworks"]["trtllm"]
FRAMEWORKS = list(CATALOG["frameworks"])
LINES = [
    ("", list(COMMANDS)),
    ("pl", ["plan"]),
    ("engine ", ["up", "down", "status", "env", "prune", "base", "emulate"]),
    ("plan --fra", ["--framework"]),
    ("plan --framework ", FRAMEWORKS),
    ("run --framework ", FRAMEWORKS),
    ("-v plan --framework s", ["sglang"]),
    ("plan --framework=v", ["vllm"]),
    ("plan --framework trtllm --cuda-version ", list(TRTLLM["devices"]["cuda"]["cuda"])),
    ("plan --framework vllm --target ", CATALOG["frameworks"]["vllm"]["targets"]),
    ("plan --framework none --device ", list(CATALOG["frameworks"]["none"]["devices"])),
    ("plan --release-line ", ["0.9.0", "1.0", "1.5", "1.6"]),
    ("plan --release-line 1.0 --framework vllm --device ", ["cuda", "xpu", "cpu"]),
    ("plan --platform ", ["linux/amd64", "linux/arm64"]),
    ("plan --platform linux/amd64,", ["linux/amd64,linux/amd64", "linux/amd64,linux/arm64"]),
    ("plan --framework vllm,n", ["vllm,none"]),
    ("plan --framework vllm --framework none --device ", ["cuda", "cpu"]),
    ("plan --framework vllm,trtllm --cuda-version 13", ["13.0", "13.1"]),
    ("list --only none-runtime", ["none-runtime-cuda12.8", "none-runtime-cpu"]),
    ("list --framework none --device cpu --skip none-d", ["none-dev-cpu", "none-dynamo_base-cpu"]),
    ("list trtllm-r", ["trtllm-runtime-cuda13.1"]),
    ("list --format g", ["github", "gitlab"]),
    ("plan --build-arg NIXL_R", ["NIXL_REF="]),
    ("plan --source u", ["ucx="]),
    ("plan --source ucx=", []),
    ("plan --build-context ucx", ["ucx_src="]),
    ("plan --cache ", ["registry", "s3", "local=", "gha"]),
    ("plan --network ", ["default", "host"]),
    ("plan --dynamo-wheels ", ["source", "index"]),
    ("plan --format ", ["table", "json"]),
    ("plan --config ", []),
    ("plan --nixl-ref ", []),
    ("run --network b", ["bridge"]),
    ("run --export ", ["compose", "k8s", "devcontainer", "systemd"]),
]  # fmt: skip


@pytest.mark.parametrize(("line", "words"), LINES, ids=[line for line, _ in LINES])
def test_words(line, words):
    assert offered(line) == words


def test_words_of_the_tree(tree):
    (tree / "lib").mkdir()
    for cwd in (tree, tree / "lib"):
        assert offered("run --profile ", cwd=cwd) == ["small"]
        assert offered("run --image ", cwd=cwd) == ["dynamo:mine", "dynamo:latest"]
        assert offered("plan --framework none --target m", cwd=cwd) == ["mine"]
    assert offered(f"run --context {tree} --profile ") == ["small"]
    assert offered(f"plan --config {tree / 'dynbuild.toml'} --target m") == ["mine"]


def test_words_of_other_templates(tmp_path):
    (tmp_path / "catalog.toml").write_text('[frameworks.other]\ntargets = ["x"]\n')
    env = {"DYNBUILD_TEMPLATES": str(tmp_path)}
    assert offered("plan --framework ", env=env) == ["other"]
    assert offered(f"plan --templates {tmp_path} --target ") == ["x"]
    assert offered("plan --release-line ", env={"DYNBUILD_TEMPLATES": str(TEMPLATES)}) == [
        "0.9.0",
        "1.0",
        "1.5",
        "1.6",
    ]


BROKEN = {
    "no TOML": b"[[[",
    "other shapes": b"frameworks = 3\nargs = []\nsources = 'x'\n[run]\nprofiles = 1\n",
    "another encoding": b"\xff\xfe\x00",
    "deep": b"x = " + b"[" * 5000 + b"]" * 5000,
}


@pytest.mark.parametrize("settings", BROKEN.values(), ids=BROKEN)
def test_what_cannot_be_read_offers_nothing_and_says_nothing(tmp_path, settings):
    (tmp_path / "dynbuild.toml").write_bytes(settings)
    assert offered("plan --cuda-version 99", cwd=tmp_path) == []
    assert offered("run --profile ", cwd=tmp_path) == []
    for option in (*request_options.REQUEST, *run_options.OPTIONS):
        for word in complete.words(option, {"context": str(tmp_path)}, ""):
            assert isinstance(word, str)


@pytest.mark.parametrize("line", ["plan --context ~nosuchuser --target r", "plan --tag --uid --u"])
def test_a_line_that_is_wrong_says_nothing(line):
    env = {"_DYNBUILD_COMPLETE": "complete_bash", "COMP_WORDS": f"dynbuild {line}"}
    result = call(env={**env, "COMP_CWORD": str(len(line.split()))})
    assert result.err == ""
    assert "error" not in result.out


def test_zsh():
    env = {"_DYNBUILD_COMPLETE": "complete_zsh"}
    shown = call(env={**env, "_TYPER_COMPLETE_ARGS": "dynbuild plan --framework v"}, cwd=DEMO)
    assert shown.out == "_arguments '*: :((\"vllm\"))'\n"
    shown = call(env={**env, "_TYPER_COMPLETE_ARGS": "dynbuild rende"})
    assert shown.out == '_arguments \'*: :(("render":"Print the Dockerfile, or write it."))\'\n'
    assert call(env={**env, "_TYPER_COMPLETE_ARGS": "dynbuild plan --config "}).out == "_files\n"


def test_fish():
    env = {"_DYNBUILD_COMPLETE": "complete_fish", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    shown = call(env={**env, "_TYPER_COMPLETE_ARGS": "dynbuild plan --framework v"}, cwd=DEMO)
    assert shown.out == "vllm\n"
    shown = call(env={**env, "_TYPER_COMPLETE_ARGS": "dynbuild rende"})
    assert shown.out == "render\tPrint the Dockerfile, or write it.\n"


NO_DETECTION = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_function_of_a_shell(shell):
    result = spawn("--show-completion", shell, env=NO_DETECTION)
    assert result.code == 0, result.err
    assert f"_DYNBUILD_COMPLETE=complete_{shell}" in result.out


def test_bash_itself():
    script = """
eval "$1"
COMP_WORDS=("$2" plan --framework v) COMP_CWORD=3
_dynbuild_completion "$2"
echo "${COMPREPLY[@]}"
"""
    function = spawn("--show-completion", "bash", env=NO_DETECTION).out
    installed = str(Path(sys.executable).parent / "dynbuild")
    result = spawn(program=("bash", "-c", script, "bash", function, installed))
    assert (result.out, result.err) == ("vllm\n", "")
