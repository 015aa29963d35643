# ruff: noqa: E501 - a command line of the table is one line
import json
import shlex

import pytest

from tests.support import call, spawn

# A command line, and below it the whole of what it starts. LIMITS, PTRACE and TAIL stand
# for the words that are always the same.
FIXED = {
    "LIMITS": "--shm-size=10G --ulimit memlock=-1 --ulimit stack=67108864 "
    "--ulimit nofile=65536:65536",
    "PTRACE": "--cap-add CAP_SYS_PTRACE",
    "HEAD": "--gpus all --rm --network host --runtime nvidia",
    "TAIL": "-w /workspace --cap-add CAP_SYS_PTRACE --ipc host",
}
TABLE = """
run
    docker run HEAD LIMITS TAIL dynamo:latest-vllm
run --target dev
    docker run HEAD LIMITS TAIL dynamo:latest-vllm
run --target runtime
    docker run HEAD LIMITS TAIL dynamo:latest-vllm-runtime
run --target local-dev
    docker run HEAD LIMITS TAIL dynamo:latest-vllm-local-dev
run --framework none --target frontend
    docker run HEAD LIMITS TAIL dynamo:latest-none-frontend
run --framework TRTLLM
    docker run HEAD LIMITS TAIL dynamo:latest-trtllm
run --framework sglang --target runtime-aws
    docker run HEAD LIMITS TAIL dynamo:latest-sglang-runtime-aws
run --repository reg.example.com/ai/dynamo --target runtime
    docker run HEAD LIMITS TAIL reg.example.com/ai/dynamo:latest-vllm-runtime
run --image reg.example.com:5000/x:y
    docker run HEAD LIMITS TAIL reg.example.com:5000/x:y
run --image x --framework none --target runtime
    docker run HEAD LIMITS TAIL x
run -it
    docker run --gpus all -it --rm --network host --runtime nvidia LIMITS TAIL dynamo:latest-vllm
run --no-rm
    docker run --gpus all --network host --runtime nvidia LIMITS TAIL dynamo:latest-vllm
run --rm -it
    docker run --gpus all -it --rm --network host --runtime nvidia LIMITS TAIL dynamo:latest-vllm
run --privileged
    docker run HEAD LIMITS TAIL --privileged dynamo:latest-vllm
run --no-privileged
    docker run HEAD LIMITS TAIL dynamo:latest-vllm
run --gpus 2
    docker run --gpus 2 --rm --network host --runtime nvidia LIMITS TAIL dynamo:latest-vllm
run --gpus '"device=0,1"'
    docker run --gpus '"device=0,1"' --rm --network host --runtime nvidia LIMITS TAIL dynamo:latest-vllm
run --gpus none
    docker run --rm --network host LIMITS TAIL dynamo:latest-vllm
run --gpus NONE
    docker run --rm --network host LIMITS TAIL dynamo:latest-vllm
run --gpus None
    docker run --rm --network host LIMITS TAIL dynamo:latest-vllm
run --gpus none --runtime runc
    docker run --rm --network host LIMITS TAIL dynamo:latest-vllm
run --runtime none
    docker run --gpus all --rm --network host LIMITS TAIL dynamo:latest-vllm
run --runtime crun
    docker run --gpus all --rm --network host --runtime crun LIMITS TAIL dynamo:latest-vllm
run --network bridge -p 8000:8000
    docker run --gpus all --rm --network bridge --runtime nvidia LIMITS -p 8000:8000 TAIL dynamo:latest-vllm
run --network bridge -p 8000:8000 --port 127.0.0.1:9000:9000/udp
    docker run --gpus all --rm --network bridge --runtime nvidia LIMITS -p 8000:8000 -p 127.0.0.1:9000:9000/udp TAIL dynamo:latest-vllm
run --network none
    docker run --gpus all --rm --network none --runtime nvidia LIMITS TAIL dynamo:latest-vllm
run --network container:other
    docker run --gpus all --rm --network container:other --runtime nvidia LIMITS TAIL dynamo:latest-vllm
run --network dynamo-net --gpus none
    docker run --rm --network dynamo-net LIMITS TAIL dynamo:latest-vllm
run -e A=1 -e B --env C=
    docker run HEAD LIMITS -e A=1 -e B -e C= TAIL dynamo:latest-vllm
run -e 'A=two words' -e 'B=$HOME *'
    docker run HEAD LIMITS -e 'A=two words' -e 'B=$HOME *' TAIL dynamo:latest-vllm
run -v /a:/b -v /c:/d:ro --volume '/my data:/data'
    docker run HEAD LIMITS -v /a:/b -v /c:/d:ro -v '/my data:/data' TAIL dynamo:latest-vllm
run --workdir /opt/dynamo
    docker run HEAD LIMITS -w /opt/dynamo PTRACE --ipc host dynamo:latest-vllm
run --user root
    docker run HEAD LIMITS TAIL --user root dynamo:latest-vllm
run -u 54321 -w /opt
    docker run HEAD LIMITS -e USER=54321 -e LOGNAME=54321 -w /opt PTRACE --ipc host --user 54321 --group-add 0 dynamo:latest-vllm
run --user 54321 -e USER=ada
    docker run HEAD LIMITS -e USER=ada -e LOGNAME=54321 TAIL --user 54321 --group-add 0 dynamo:latest-vllm
run --user 5:6 --group-add video --group-add 0
    docker run HEAD LIMITS -e USER=5 -e LOGNAME=5 TAIL --user 5:6 --group-add 0 --group-add video dynamo:latest-vllm
run -ti
    docker run --gpus all -it --rm --network host --runtime nvidia LIMITS TAIL dynamo:latest-vllm
run -i -t
    docker run --gpus all -it --rm --network host --runtime nvidia LIMITS TAIL dynamo:latest-vllm
run -dit
    docker run --gpus all -it -d --rm --network host --runtime nvidia LIMITS TAIL dynamo:latest-vllm
run -d --restart unless-stopped
    docker run --gpus all -d --restart unless-stopped --network host --runtime nvidia LIMITS TAIL dynamo:latest-vllm
run -t --restart no
    docker run --gpus all -t --rm --restart no --network host --runtime nvidia LIMITS TAIL dynamo:latest-vllm
run --gpus device=0,1
    docker run --gpus '"device=0,1"' --rm --network host --runtime nvidia LIMITS TAIL dynamo:latest-vllm
run --gpus device=0,1,driver=nvidia
    docker run --gpus '"device=0,1",driver=nvidia' --rm --network host --runtime nvidia LIMITS TAIL dynamo:latest-vllm
run --gpus nvidia.com/gpu=all
    docker run --device nvidia.com/gpu=all --rm --network host LIMITS TAIL dynamo:latest-vllm
run --gpus nvidia.com/gpu=0,nvidia.com/gpu=1 --runtime crun
    docker run --device nvidia.com/gpu=0 --device nvidia.com/gpu=1 --rm --network host --runtime crun LIMITS TAIL dynamo:latest-vllm
run --gpus none --device /dev/infiniband --device amd.com/gpu=0 --device /dev/a:/dev/b:r
    docker run --device /dev/infiniband --device amd.com/gpu=0 --device /dev/a:/dev/b:r --rm --network host LIMITS TAIL dynamo:latest-vllm
run --env-file /e.env --label a=1 --label a=2 --label b
    docker run HEAD LIMITS --env-file /e.env TAIL --label a=2 --label b dynamo:latest-vllm
run --mount type=bind,source=/a:b,target=/b,readonly -v /c:/d
    docker run HEAD LIMITS -v /c:/d --mount type=bind,source=/a:b,target=/b,readonly TAIL dynamo:latest-vllm
run -v /a:b:/c:ro
    docker run HEAD LIMITS --mount type=bind,source=/a:b,target=/c,readonly TAIL dynamo:latest-vllm
run --add-host store:10.0.0.7 --security-opt no-new-privileges --init
    docker run HEAD LIMITS --add-host store:10.0.0.7 -w /workspace PTRACE --security-opt no-new-privileges --ipc host --init=true dynamo:latest-vllm
run --docker-arg=--sysctl=kernel.msgmax=65536 --docker-arg --read-only
    docker run HEAD LIMITS TAIL --sysctl=kernel.msgmax=65536 --read-only dynamo:latest-vllm
run --user 0
    docker run HEAD LIMITS TAIL --user 0 dynamo:latest-vllm
run --user 0:0
    docker run HEAD LIMITS TAIL --user 0:0 dynamo:latest-vllm
run --user root:root
    docker run HEAD LIMITS TAIL --user root:root dynamo:latest-vllm
run --user 1000
    docker run HEAD LIMITS TAIL --user 1000 --group-add 0 dynamo:latest-vllm
run --user 1000:1000
    docker run HEAD LIMITS TAIL --user 1000:1000 --group-add 0 dynamo:latest-vllm
run --user dynamo
    docker run HEAD LIMITS TAIL --user dynamo --group-add 0 dynamo:latest-vllm
run --name me --entrypoint /bin/bash -it
    docker run --gpus all -it --rm --network host --runtime nvidia LIMITS TAIL --name me --entrypoint /bin/bash dynamo:latest-vllm
run --entrypoint ''
    docker run HEAD LIMITS TAIL --entrypoint '' dynamo:latest-vllm
run --hf-home /hf
    docker run HEAD LIMITS -v /hf:/home/dynamo/.cache/huggingface TAIL dynamo:latest-vllm
run --hf-cache /hf --user 1000
    docker run HEAD LIMITS -v /hf:/home/dynamo/.cache/huggingface TAIL --user 1000 --group-add 0 dynamo:latest-vllm
run --hf-home /hf --user root
    docker run HEAD LIMITS -v /hf:/root/.cache/huggingface TAIL --user root dynamo:latest-vllm
run --hf-home /hf --user 0:0
    docker run HEAD LIMITS -v /hf:/root/.cache/huggingface TAIL --user 0:0 dynamo:latest-vllm
run --mount-workspace --context /src
    docker run HEAD LIMITS -v /src:/workspace -v /tmp:/tmp -v /mnt/:/mnt -v /src/container/.cache/huggingface:/home/dynamo/.cache/huggingface TAIL dynamo:latest-vllm
run --mount-workspace --context /src --hf-home /hf
    docker run HEAD LIMITS -v /src:/workspace -v /tmp:/tmp -v /mnt/:/mnt -v /hf:/home/dynamo/.cache/huggingface TAIL dynamo:latest-vllm
run --mount-workspace --context /src --hf-home none
    docker run HEAD LIMITS -v /src:/workspace -v /tmp:/tmp -v /mnt/:/mnt TAIL dynamo:latest-vllm
run --mount-workspace --context /src --hf-home NONE -v /a:/b -e A=1
    docker run HEAD LIMITS -e A=1 -v /a:/b -v /src:/workspace -v /tmp:/tmp -v /mnt/:/mnt TAIL dynamo:latest-vllm
run --use-nixl-gds
    docker run HEAD LIMITS -v /run/udev:/run/udev:ro -v /tmp:/tmp -w /workspace PTRACE --cap-add=IPC_LOCK --ipc host dynamo:latest-vllm
run --use-nixl-gds --mount-workspace --context /src --hf-home none
    docker run HEAD LIMITS -v /src:/workspace -v /tmp:/tmp -v /mnt/:/mnt -v /run/udev:/run/udev:ro -w /workspace PTRACE --cap-add=IPC_LOCK --ipc host dynamo:latest-vllm
run --use-nixl-gds --hf-home /hf -v /a:/b
    docker run HEAD LIMITS -v /a:/b -v /hf:/home/dynamo/.cache/huggingface -v /run/udev:/run/udev:ro -v /tmp:/tmp -w /workspace PTRACE --cap-add=IPC_LOCK --ipc host dynamo:latest-vllm
run -- python -m dynamo.frontend --http-port 8000
    docker run HEAD LIMITS TAIL dynamo:latest-vllm python -m dynamo.frontend --http-port 8000
run --framework none --target runtime --gpus none -- bash -c 'echo "a b" | wc'
    docker run --rm --network host LIMITS TAIL dynamo:latest-none-runtime bash -c 'echo "a b" | wc'
run -it --image x -- a -- b
    docker run --gpus all -it --rm --network host --runtime nvidia LIMITS TAIL x a -- b
run --image x -- ''
    docker run HEAD LIMITS TAIL x ''
"""


def rows():
    lines = TABLE.strip().splitlines()
    for asked, started in zip(lines[::2], lines[1::2], strict=True):
        words = []
        for word in shlex.split(started):
            words += shlex.split(FIXED[word]) if word in FIXED else [word]
        yield pytest.param(shlex.split(asked), words, id=asked)


ROWS = list(rows())


def dry(*argv, **more):
    """The words that a command line would start."""
    result = call("run", "--dry-run", *argv, **more)
    assert result.code == 0
    # What it may do to the machine is told, and nothing else.
    assert bool(result.err) is ("--privileged" in argv)
    line, *rest = result.out.splitlines()
    assert rest == []
    return shlex.split(line)


@pytest.mark.parametrize(("asked", "started"), ROWS)
def test_what_a_command_line_starts(asked, started):
    assert dry(*asked[1:]) == started


def test_there_are_at_least_forty_command_lines():
    assert len({row.id for row in ROWS}) == len(ROWS) >= 40


@pytest.mark.parametrize(("asked", "started"), ROWS[::7])
def test_the_same_for_programs(asked, started):
    result = call("run", "--dry-run", "--format", "json", *asked[1:])
    assert json.loads(result.out) == {"argv": started}


# ---- the environment ---------------------------------------------------------------------


def test_a_token_is_passed_by_its_name_and_only_where_it_is_set():
    argv = ("--mount-workspace", "--context", "/src", "--hf-home", "none")
    words = dry(*argv, env={"HF_TOKEN": "hunter2"})
    assert words[words.index("-e") + 1] == "HF_TOKEN"
    assert "hunter2" not in " ".join(words)
    assert "HF_TOKEN" not in dry(*argv)
    assert "HF_TOKEN" not in dry(env={"HF_TOKEN": "hunter2"})


def test_own_variables_come_before_the_token():
    argv = ("--mount-workspace", "--context", "/src", "-e", "A=1")
    words = dry(*argv, env={"HF_TOKEN": "x"})
    assert [words[i + 1] for i, word in enumerate(words) if word == "-e"] == ["A=1", "HF_TOKEN"]


@pytest.mark.parametrize(
    ("argv", "env", "mounted"),
    [
        ([], {"HF_HOME": "/env"}, "/env"),
        (["--hf-home", "/flag"], {"HF_HOME": "/env"}, "/flag"),
        (["--hf-home", "none"], {"HF_HOME": "/env"}, None),
        ([], {"HF_HOME": "None"}, None),
        ([], {"HF_HOME": ""}, None),
        (["--mount-workspace", "--context", "/src"], {"HF_HOME": "/env"}, "/env"),
        (["--mount-workspace", "--context", "/src"], {}, "/src/container/.cache/huggingface"),
        (["--hf-home", "~/hf"], {"HOME": "/home/ada"}, "/home/ada/hf"),
    ],
)
def test_the_cache_of_hugging_face(argv, env, mounted):
    found = [word for word in dry(*argv, env=env) if word.endswith("/.cache/huggingface")]
    assert found == ([f"{mounted}:/home/dynamo/.cache/huggingface"] if mounted else [])


def test_relative_folders_are_made_absolute(tmp_path):
    (tmp_path / "src").mkdir()
    words = dry("--mount-workspace", "--context", "src", "--hf-home", "hf", cwd=tmp_path)
    assert f"{tmp_path}/src:/workspace" in words
    assert f"{tmp_path}/hf:/home/dynamo/.cache/huggingface" in words


def test_other_variables_do_not_leak_in():
    env = dict.fromkeys(("FRAMEWORK", "TARGET", "NAME", "ENTRYPOINT", "RM"), "x")
    assert dry(env=env) == dry()


def test_a_dry_run_touches_nothing(tmp_path):
    dry("--mount-workspace", "--hf-home", tmp_path / "hf", cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_printed_command_can_be_pasted():
    texts = ["two words", "quote'", 'quote"', "$HOME", "*", ";", "\u00e4", "line\nbreak"]
    argv = [word for text in texts for word in ("-e", f"A={text}")]
    line = call("run", "--dry-run", *argv, "--", *texts).out.removesuffix("\n")
    words = shlex.split(line)
    assert words[-len(texts) :] == texts
    assert [words[i + 1] for i, word in enumerate(words) if word == "-e"] == argv[1::2]


# ---- requests that are wrong -------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "message", "hint"),
    [
        (["--framework", "vlm"], "there is no framework 'vlm'", "did you mean 'vllm'?"),
        (["bash"], "'bash' is no flag of dynbuild run", "after --"),
        (["--gpus", "none", "bash", "--", "ls"], "'bash' is no flag of dynbuild run", "after --"),
        (["--framwork", "none"], "No such option: --framwork", ""),
        (["--name"], "'--name' requires an argument", ""),
        (["--format", "yaml"], "'yaml' is not one of", ""),
        (["--rm", "FALSE"], "'FALSE' is no flag of dynbuild run", "--rm is a switch: --no-rm"),
        (["--privileged", "TRUE", "--", "x"], "'TRUE' is no flag", "is a switch: --privileged"),
        (["--gms", "false"], "'false' is no flag", "--gms is a switch: --no-gms"),
        (["--rm=FALSE"], "Option '--rm' does not take a value", "--rm is a switch: --no-rm"),
        (["--gpus", "all\n"], "--gpus 'all\\n' names no GPUs", ""),
        (["--rm", "--restart", "always"], "--rm and --restart always exclude", "--no-rm"),
        (["--restart", "often"], "--restart 'often' is no policy", "unless-stopped"),
        (["--device", "gpu0"], "there is no device 'gpu0' of", "VENDOR/CLASS=NAME"),
        (["--add-host", "a:b"], "--add-host 'a:b' is no NAME:ADDRESS", "store:10.0.0.7"),
        (["--docker-arg", "ubuntu"], "--docker-arg 'ubuntu' is no option", "one word"),
        (["--group-add", "a:b"], "--group-add 'a:b' is no group", "GID"),
        (["--mount", "/a:/b"], "--mount '/a:/b': '/a:/b' has no value", "type=bind"),
        (["--name", "a\nb"], "--name 'a\\nb' is no name", "letters"),
        (["--network", "a\nb"], "'a\\nb' is no word", ""),
        (["--workdir", "src"], "--workdir 'src' is no absolute path", ""),
        (["-e", "A B=1"], "-e 'A B': a name has no blanks", ""),
        (["--label", "=1"], "'' is no word", ""),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_request_that_is_wrong(argv, message, hint):
    result = call("run", "--dry-run", *argv)
    assert result.code == 2
    assert message in result.err
    assert hint in result.hint
    assert "Traceback" not in result.err


def test_a_flag_that_swallows_the_dashes():
    assert call("run", "--dry-run", "--name", "--", "--").code in (0, 2)


def test_a_framework_is_not_looked_at_where_the_image_is_given():
    assert dry("--image", "x", "--framework", "mine")[-1] == "x"


def test_an_image_that_looks_like_a_flag():
    assert call("run", "--dry-run", "--image=--privileged").code == 2


def test_ports_on_the_network_of_the_host_are_warned_of():
    assert "warning" in call("run", "--dry-run", "-p", "8000:8000").err
    assert call("run", "--dry-run", "-p", "8000:8000", "--network", "bridge").err == ""


@pytest.mark.processes("python")
def test_as_a_process():
    result = spawn("run", "--dry-run", "--image", "x", "--", "echo", "two words")
    assert (result.code, result.err) == (0, "")
    assert result.out.endswith(" x echo 'two words'\n")
