import dataclasses
import itertools
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynbuild.run import launch
from dynbuild.run.request import RunRequest, is_root

LIMITS = "--shm-size=10G --ulimit memlock=-1 --ulimit stack=67108864 --ulimit nofile=65536:65536"

# The command lines of ``dynbuild run`` are in tests/cli/test_run.py.


def test_the_plain_command():
    assert shlex.join(launch.argv(RunRequest(image="x:y"))) == (
        f"docker run --gpus all --rm --network host --runtime nvidia {LIMITS} "
        "-w /workspace --cap-add CAP_SYS_PTRACE --ipc host x:y"
    )


def test_everything_at_once_in_its_order():
    request = RunRequest(
        image="x:y",
        command=("python", "-c", "print(1)"),
        gpus="device=0",
        runtime="crun",
        network="container:other",
        shm_size="2G",
        interactive=True,
        tty=True,
        rm=True,
        privileged=True,
        env=("A=1", "B"),
        volumes=("/a:/b:ro",),
        ports=("8000:8000",),
        workdir="/opt",
        user="1000:0",
        name="me",
        entrypoint="/bin/sh",
        workspace="/src",
        hf_home="/hf",
        hf_token=True,
        nixl_gds=True,
        ulimits=("core=0",),
    )
    assert shlex.join(launch.argv(request)) == (
        "docker run --gpus device=0 -it --rm --network container:other --runtime crun "
        "--shm-size=2G --ulimit core=0 -e A=1 -e B -e HF_TOKEN -v /a:/b:ro -v /src:/workspace "
        "-v /tmp:/tmp -v /mnt/:/mnt -v /hf:/home/dynamo/.cache/huggingface "
        "-v /run/udev:/run/udev:ro -p 8000:8000 -w /opt --cap-add CAP_SYS_PTRACE "
        "--cap-add=IPC_LOCK --ipc host --privileged --user 1000:0 --group-add 0 --name me "
        "--entrypoint /bin/sh x:y python -c 'print(1)'"
    )


@pytest.mark.parametrize("word", ["none", "NONE", "None"])
def test_no_gpu_takes_its_runtime_along(word):
    words = launch.argv(RunRequest(image="x", gpus=word))
    assert not {"--gpus", "--runtime"} & set(words)
    words = launch.argv(RunRequest(image="x", runtime=word))
    assert "--gpus" in words
    assert "--runtime" not in words


@pytest.mark.parametrize(
    ("user", "root"),
    [
        ("root", True),
        ("0", True),
        ("0:0", True),
        ("root:root", True),
        ("0:1000", True),
        ("1000", False),
        ("1000:0", False),
        ("dynamo", False),
        ("rootless", False),
        ("00", False),
        ("", False),
        (None, False),
    ],
)
def test_who_is_root(user, root):
    assert is_root(user) is root


@pytest.mark.parametrize("user", ["root", "0", "0:0", "root:root", "1000", "dynamo:0"])
def test_root_means_the_same_for_the_group_and_the_cache(user):
    words = launch.argv(RunRequest(image="x", user=user, hf_home="/hf"))
    root = is_root(user)
    assert ("--group-add" not in words) is root
    assert ("/hf:/root/.cache/huggingface" in words) is root


# ---- any text ----------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1)


def _is_plain(text):
    return ":" not in text


FIELDS = {
    "image": TEXT,
    "command": st.lists(TEXT, max_size=3).map(tuple),
    "network": TEXT,
    "env": st.lists(TEXT, max_size=2).map(tuple),
    "volumes": st.lists(TEXT.filter(_is_plain), max_size=2).map(
        lambda texts: tuple(f"/{text}:/x" for text in texts)
    ),
    "ports": st.lists(TEXT, max_size=2).map(tuple),
    "workdir": TEXT,
    "user": st.none() | TEXT,
    "name": st.none() | TEXT,
    "entrypoint": st.none() | TEXT,
    "workspace": st.none() | TEXT.map("/{}".format),
    "hf_home": st.none() | TEXT.map("/{}".format),
}


@given(st.fixed_dictionaries(FIELDS))
def test_every_value_stays_one_word(values):
    request = RunRequest(**values)
    words = launch.argv(request)
    assert tuple(shlex.split(shlex.join(words))) == words
    assert words[:2] == ("docker", "run")
    end = len(words) - len(request.command)
    assert words[end:] == request.command
    assert words[end - 1] == request.image
    pairs = list(itertools.pairwise(words))
    for item in request.env:
        assert ("-e", item) in pairs
    for item in request.volumes:
        assert ("-v", item) in pairs
    assert ("-w", request.workdir) in pairs


@given(st.lists(TEXT, max_size=4))
def test_the_number_of_words_does_not_depend_on_what_they_hold(values):
    plain = dataclasses.replace(RunRequest(image="x"), env=tuple("x" for _ in values))
    odd = dataclasses.replace(plain, env=tuple(values))
    assert len(launch.argv(plain)) == len(launch.argv(odd))
