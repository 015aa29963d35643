import json

import jsonschema
import pytest

from tests.run.test_export import DEVCONTAINER
from tests.support import CATALOG, call

FRAMEWORKS = sorted(CATALOG["frameworks"])


@pytest.fixture
def tree(tmp_path):
    """A source tree with the script that a new container runs."""
    (tmp_path / ".devcontainer").mkdir()
    (tmp_path / ".devcontainer" / "post-create.sh").write_text("#!/bin/bash\n")
    return tmp_path


def file_of(tree, framework="vllm"):
    return tree / ".devcontainer" / framework / "devcontainer.json"


def read(text):
    """The JSON below the comment."""
    comment = [line for line in text.splitlines() if line.startswith("//")]
    assert comment[0] == "// Made by `dynbuild devcontainer`."
    return json.loads("\n".join(text.splitlines()[len(comment) :]))


def write(tree, *flags, **more):
    result = call("devcontainer", "--context", tree, *flags, **more)
    assert (result.code, result.out) == (0, ""), result.err
    return result


def shown(tree, *flags, **more):
    """What the command prints, as JSON."""
    result = call("devcontainer", "--context", tree, "--output", "-", *flags, **more)
    assert result.code == 0, result.err
    return read(result.out)


def refused(tree, *flags, code=2, **more):
    result = call("devcontainer", "--context", tree, *flags, **more)
    assert result.code == code
    assert "Traceback" not in result.err
    assert result.out == ""
    return result


def test_a_link_of_the_tree_is_not_followed_out_of_it(tmp_path):
    tree, outside = tmp_path / "tree", tmp_path / "outside"
    tree.mkdir()
    (tree / ".devcontainer").symlink_to(outside)
    assert "where a link leads" in refused(tree, "--framework", "vllm").err
    assert not outside.exists()
    assert write(tree, "--framework", "vllm", "--output", tmp_path / "own.json").code == 0


# What it says


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_each_framework_has_its_file(tree, framework):
    result = write(tree, "--framework", framework)
    assert result.err == f"wrote {file_of(tree, framework)}\n"
    found = read(file_of(tree, framework).read_text())
    jsonschema.validate(found, DEVCONTAINER)
    assert found["name"] == f"Dynamo {framework.upper()} Dev Container"
    assert found["image"] == f"dynamo:latest-{framework}-local-dev"


def test_the_container_fits_the_local_dev_image(tree):
    found = shown(tree)
    assert found["remoteUser"] == "dynamo"
    assert found["updateRemoteUserUID"] is True
    assert found["workspaceFolder"] == "/workspace"
    assert found["workspaceMount"].startswith("source=${localWorkspaceFolder},target=/workspace,")
    assert found["mounts"] == [
        "source=dynamo-bashhistory,target=/home/dynamo/.commandhistory,type=volume",
        "source=dynamo-precommit-cache,target=/home/dynamo/.cache/pre-commit,type=volume",
        "source=/tmp/,target=/tmp/,type=bind",
    ]
    assert found["runArgs"] == [
        "--gpus=all",
        "--network=host",
        "--runtime=nvidia",
        "--shm-size=10G",
        "--ulimit=memlock=-1",
        "--ulimit=stack=67108864",
        "--ulimit=nofile=65536:65536",
        "--cap-add=CAP_SYS_PTRACE",
        "--ipc=host",
    ]


def test_no_token_of_the_host_comes_but_those_asked_for(tree):
    env = dict.fromkeys(("HF_TOKEN", "GITHUB_TOKEN", "HF_HOME"), "/secret")
    assert not {"remoteEnv", "containerEnv"} & set(shown(tree, env=env))
    assert "secret" not in json.dumps(shown(tree, env=env))
    asked = shown(tree, "-e", "HF_TOKEN", "-e", "A=1", env=env)
    assert asked["remoteEnv"] == {"HF_TOKEN": "${localEnv:HF_TOKEN}"}
    assert asked["containerEnv"] == {"A": "1"}


def test_a_secret_in_the_file_is_warned_of_once(tree):
    err = write(tree, "-e", "HF_TOKEN=hunter2").err
    assert err.count("warning") == 1
    assert "-e HF_TOKEN: looks like a secret" in err
    assert "hunter2" not in err


@pytest.mark.parametrize(
    ("flags", "image"),
    [
        ([], "dynamo:latest-vllm-local-dev"),
        (["--framework", "SGLANG"], "dynamo:latest-sglang-local-dev"),
        (["--repository", "reg.example.com/ai/dynamo"],
         "reg.example.com/ai/dynamo:latest-vllm-local-dev"),
        (["--image", "reg.example.com:5000/x:y"], "reg.example.com:5000/x:y"),
        (["--image", "x", "--repository", "y"], "x"),
    ],
)  # fmt: skip
def test_what_names_the_image(tree, flags, image):
    assert shown(tree, *flags)["image"] == image


def test_the_settings_give_the_defaults(tree):
    (tree / "dynbuild.toml").write_text(
        '[request]\nframework = "none"\nrepository = "team/dynamo"\n'
        '[run]\ngpus = "none"\nimage = "runs-something-else"\nenv = ["A=1"]\n'
        '[run.profiles.big]\nshm_size = "64G"\n[run.profiles.mine]\nimage = "mine"\n'
    )
    write(tree)
    found = read(file_of(tree, "none").read_text())
    assert found["image"] == "team/dynamo:latest-none-local-dev"
    assert "--gpus=all" not in found["runArgs"]
    assert found["containerEnv"] == {"A": "1"}
    assert "--shm-size=64G" in shown(tree, "--profile", "big")["runArgs"]
    assert shown(tree, "--profile", "big")["image"] == "team/dynamo:latest-none-local-dev"
    assert shown(tree, "--profile", "mine")["image"] == "mine"
    assert shown(tree, "--profile", "mine", "--image", "x")["image"] == "x"
    assert shown(tree, env={"DYNBUILD_FRAMEWORK": "trtllm"})["image"].endswith("trtllm-local-dev")


def test_a_settings_file_of_its_own(tree, overlay):
    file = overlay('[request]\nrepository = "other"\n', name="other.toml")
    assert shown(tree, "--config", file)["image"] == "other:latest-vllm-local-dev"


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        (["--gpus", "2"], "--gpus=2"),
        (["--runtime", "crun"], "--runtime=crun"),
        (["--network", "bridge"], "--network=bridge"),
        (["--network", "bridge", "-p", "8000:8000"], "8000:8000"),
        (["--shm-size", "1g"], "--shm-size=1g"),
    ],
)
def test_options_of_run(tree, flags, word):
    assert word in shown(tree, *flags)["runArgs"]
    assert word not in shown(tree)["runArgs"]


def test_mounts_are_added(tree):
    (tree / "hf").mkdir()
    found = shown(tree, "-v", "/data:/data:ro", "--hf-home", "hf", cwd=tree)["mounts"]
    assert found[3:] == [
        "source=/data,target=/data,type=bind,readonly",
        f"source={tree}/hf,target=/home/dynamo/.cache/huggingface,type=bind",
    ]


def test_a_cache_that_is_not_there_is_warned_of(tree):
    assert f"{tree}/hf does not exist here" in write(tree, "--hf-home", tree / "hf").err
    assert "exist" not in write(tree, "--hf-home", "none", "--force").err


def test_what_the_settings_say_for_run_alone_is_left_out(tree):
    (tree / "dynbuild.toml").write_text(
        '[run]\nuser = "4711"\nname = "worker"\nentrypoint = "sh"\nworkdir = "/app"\nnuma = "0"\n'
        'restart = "always"\n'
    )
    err = write(tree).err
    assert (
        "left out, as a dev container has its own: user, name, entrypoint, workdir, numa, restart"
        in err
    )
    text = file_of(tree).read_text()
    assert read(text)["remoteUser"] == "dynamo"
    assert read(text)["workspaceFolder"] == "/workspace"
    assert not [word for word in ("4711", "worker", "/app", "always") if word in text]


def test_the_request_itself_is_checked(tree):
    assert "-p has no effect with --network host" in write(tree, "-p", "80:80").err
    refused_ = refused(tree, "--gpus", "some", "--force").err
    assert "--gpus 'some' names no GPUs (from flag --gpus)" in refused_


# The script of a new container


def test_the_script_is_named_only_where_there_is_one(tree):
    script = tree / ".devcontainer" / "post-create.sh"
    command = "/bin/bash /workspace/.devcontainer/post-create.sh"
    result = write(tree)
    assert read(file_of(tree).read_text())["postCreateCommand"] == command
    assert "post-create" not in result.err
    script.unlink()
    result = write(tree, "--force")
    assert "postCreateCommand" not in read(file_of(tree).read_text())
    assert f"{tree} has no .devcontainer/post-create.sh" in result.err
    assert not script.exists()


# The file on the disk


def test_an_identical_file_is_left(tree):
    write(tree)
    before = file_of(tree).stat()
    assert write(tree).err == f"{file_of(tree)} is up to date\n"
    assert file_of(tree).stat().st_mtime_ns == before.st_mtime_ns


def test_another_file_is_kept_and_the_message_says_what_differs(tree):
    write(tree)
    text = file_of(tree).read_text()
    result = refused(tree, "--gpus", "none", "-e", "HF_TOKEN")
    assert file_of(tree).read_text() == text
    assert f"{file_of(tree)} is there and differs" in result.err
    assert '\n  -    "--gpus=all",\n' in result.err
    assert '\n  +    "HF_TOKEN": "${localEnv:HF_TOKEN}"\n' in result.err
    assert '"--ipc=host"' not in result.err
    assert "--force" in result.hint


def test_force_writes_over_another_file(tree):
    write(tree)
    write(tree, "--gpus", "none", "--force")
    assert "--gpus=all" not in read(file_of(tree).read_text())["runArgs"]


def test_a_long_difference_is_cut_and_secrets_in_it_are_masked(tree):
    file_of(tree).parent.mkdir()
    file_of(tree).write_text('"HF_TOKEN": "hunter2hunter2"\n' + "mine\n" * 100)
    result = refused(tree)
    assert "hunter2" not in result.err
    assert len(result.err.splitlines()) < 30
    assert "lines more" in result.err


def test_a_difference_in_the_ends_of_lines(tree):
    write(tree)
    file_of(tree).write_bytes(file_of(tree).read_bytes().replace(b"\n", b"\r\n"))
    assert "only the ends of lines" in refused(tree).err


def test_it_is_printed_and_nothing_is_written(tree):
    assert shown(tree)["image"]
    assert not file_of(tree).parent.exists()


def test_another_place(tree):
    out = tree / "a" / "b.json"
    assert write(tree, "--output", out).err == f"wrote {out}\n"
    assert read(out.read_text())["image"]
    assert not file_of(tree).parent.exists()
    assert "is there and differs" in refused(tree, "-o", out, "--gpus", "2").err


def test_the_tree_is_the_folder_one_is_in(tree):
    result = call("devcontainer", cwd=tree)
    assert (result.code, file_of(tree).is_file()) == (0, True)


def test_a_place_that_cannot_be_written(tree):
    (tree / "file").touch()
    assert "cannot be written" in refused(tree, "--output", tree / "file" / "x", code=3).err
    assert "cannot be written" in refused(tree, "--output", tree, code=3).err


@pytest.mark.parametrize(
    ("flags", "message", "hint"),
    [
        (["--framework", "vlm"], "there is no framework 'vlm'", "did you mean 'vllm'?"),
        (["--framework", "../x", "--image", "x"], "there is no framework '../x'", "vllm"),
        (["--repository", "A B"], "'A B' is not an image repository", "lower-case"),
        (["--image", "--privileged"], "--privileged", ""),
        (["--image=--privileged"], "is not an image repository", ""),
        (["--profile", "x"], "there is no profile 'x'", "run.profiles.x"),
        (["--shm-size", "much"], "'much' is no size", ""),
        (["-v", "a:b:c:d"], "-v 'a:b:c:d' is no SOURCE:TARGET", ""),
        (["-v", "/\udcff:/a"], "no UTF-8 text", ""),
        (["extra"], "unexpected extra argument", ""),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_request_that_is_wrong(tree, flags, message, hint):
    result = refused(tree, *flags)
    assert message in result.err
    assert hint in result.hint
    assert not file_of(tree).parent.exists()


def test_a_framework_of_the_settings_that_is_none_is_told_with_its_line(tree):
    (tree / "dynbuild.toml").write_text('[request]\nframework = "vlm"\n')
    assert f"(from overlay {tree}/dynbuild.toml:2)" in refused(tree).err


def test_the_export_of_run_names_the_script_only_where_there_is_one(tree):
    def found():
        return call("run", "--context", tree, "--export", "devcontainer")

    assert "postCreateCommand" in found().out
    (tree / ".devcontainer" / "post-create.sh").unlink()
    assert (found().code, "postCreateCommand" in found().out) == (0, False)
