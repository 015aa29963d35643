"""The layers of a run: how they combine, where each value came from, what is refused."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynbuild.errors import RequestError
from dynbuild.run import options
from dynbuild.settings import load as settings
from dynbuild.settings.layers import Origin, Setting
from dynbuild.settings.option import Option
from tests.support import TEMPLATES, call

FILE = """\
[run]
gpus = "1"
env = ["A=file"]
port = ["1:1"]
ulimit = ["nofile=1", "core=1"]

[run.profiles.p]
gpus = "2"
env = ["A=profile"]
ulimit = ["nofile=2"]
cap_add = ["KILL"]
"""


def resolved(*overlays, env=None, **flags):
    layer = {
        ("run", name): Setting(value, Origin("flag", f"--{name.replace('_', '-')}"))
        for name, value in flags.items()
    }
    config = settings.load(templates=TEMPLATES, overlays=overlays, env=env or {}, flags=layer)
    return options.resolve(config)


def told(found, name):
    return [(setting.value, str(setting.origin)) for setting in found.settings[name]]


def test_the_layers_in_their_order(overlay):
    path = overlay(FILE)
    env = {"DYNBUILD_RUN_GPUS": "3"}
    for found, value, origin in (
        (resolved(), "all", "catalog templates/catalog.toml:"),
        (resolved(path), "1", f"overlay {path}:2"),
        (resolved(path, profile="p"), "2", f"overlay {path}:8"),
        (resolved(path, profile="p", env=env), "3", "environment DYNBUILD_RUN_GPUS"),
        (resolved(path, profile="p", env=env, gpus="4"), "4", "flag --gpus"),
    ):
        assert found.text("gpus") == value
        assert found.origin("gpus").startswith(origin)


def test_lists_add_up_and_every_item_keeps_its_origin(overlay):
    path = overlay(FILE)
    env = {"DYNBUILD_RUN_ENV": "A=variable"}
    layer = {("run", "env"): Setting(["A=flag", "B"], Origin("flag", "--env"))}
    layer["run", "profile"] = Setting("p", Origin("flag", "--profile"))
    config = settings.load(templates=TEMPLATES, overlays=[path], env=env, flags=layer)
    found = options.resolve(config)
    assert told(found, "env") == [
        ("A=file", f"overlay {path}:3"),
        ("A=profile", f"overlay {path}:9"),
        ("A=variable", "environment DYNBUILD_RUN_ENV"),
        ("A=flag", "flag --env"),
        ("B", "flag --env"),
    ]


def test_limits_replace_those_of_their_name(overlay):
    path = overlay(FILE)
    found = resolved(path, profile="p", ulimit=["stack=3", "core=3"])
    assert told(found, "ulimit") == [
        ("nofile=2", f"overlay {path}:10"),
        ("core=3", "flag --ulimit"),
        ("stack=3", "flag --ulimit"),
    ]


def test_files_replace_each_other(overlay):
    below = overlay('[run]\nport = ["1:1"]\n', "below.toml")
    above = overlay('[run]\nport = ["2:2"]\n', "above.toml")
    assert resolved(below, above, port=["3:3"]).items("port") == ("2:2", "3:3")


@pytest.mark.parametrize(
    ("env", "text"),
    [({"DYNBUILD_RUN_PROFILE": "p"}, FILE), ({}, FILE.replace("[run]", '[run]\nprofile = "p"'))],
    ids=["variable", "file"],
)
def test_a_profile_may_be_chosen_without_a_flag(overlay, env, text):
    assert resolved(overlay(text), env=env).text("gpus") == "2"


def test_an_unknown_profile_is_told_with_its_origin(overlay):
    with pytest.raises(RequestError) as caught:
        resolved(overlay(FILE), env={"DYNBUILD_RUN_PROFILE": "q"})
    assert caught.value.message == "there is no profile 'q'"
    assert caught.value.origin == "environment DYNBUILD_RUN_PROFILE"


def test_a_profile_has_no_profile_of_its_own(overlay):
    with pytest.raises(RequestError, match=r"unknown key 'run.profiles.p.profile'"):
        resolved(overlay('[run.profiles.p]\nprofile = "q"\n'))


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("gpus", '"two"', "--gpus 'two' names no GPUs"),
        ("shm_size", '"much"', "'much' is no size"),
        ("memory", '"much"', "'much' is no size"),
        ("cpus", '"many"', "'many' is no number of processors"),
        ("user", '"1:2:3"', "--user '1:2:3' is no user"),
        ("image", '"A B"', "'A B' is not an image repository"),
        ("port", '["80:80", "x"]', "-p 'x' is no HOST:CONTAINER"),
        ("volume", '["/a:b"]', "-v '/a:b' is no SOURCE:TARGET"),
        ("ulimit", '["nofile"]', "'nofile' is no limit"),
        ("env", '["=x"]', "a variable has no name"),
    ],
)
def test_what_docker_would_refuse_is_told_with_its_line(overlay, key, value, said):
    path = overlay(f"[run]\n\n{key} = {value}\n")
    with pytest.raises(RequestError) as caught:
        resolved(path)
    assert caught.value.message.startswith(said)
    assert caught.value.origin == f"overlay {path}:3"


def test_everything_that_is_wrong_is_told_at_once(overlay):
    path = overlay('[run.profiles.p]\nshm_size = "much"\n')
    with pytest.raises(RequestError) as caught:
        resolved(path, profile="p", env={"DYNBUILD_RUN_PORT": "x,80:80"}, gpus="two")
    error = caught.value
    lines = [f"{error.origin}: {error.message}", *error.details]
    assert [line.partition(": ")[0] for line in lines] == [
        "flag --gpus",
        "environment DYNBUILD_RUN_PORT",
        f"overlay {path}:2",
    ]


def test_a_home_in_a_mount_is_replaced():
    env = {"HOME": "/home/ada", "DYNBUILD_RUN_VOLUME": "~/data:/data:ro"}
    assert "-v /home/ada/data:/data:ro " in call("run", "--dry-run", env=env).out


def test_a_home_in_a_long_mount_is_replaced_whichever_way_it_is_written():
    words = ("--mount", 'type=bind,"SRC=~/a,b",dst=/c', "--mount", "type=bind,Source=~,target=/d")
    said = call("run", "--dry-run", *words, env={"HOME": "/home/ada"}).out
    assert '"source=/home/ada/a,b",target=/c' in said
    assert "source=/home/ada,target=/d" in said


def test_a_link_in_the_place_of_the_workspaces_cache_is_not_followed(tmp_path):
    tree, outside = tmp_path / "tree", tmp_path / "outside"
    (tree / "container").mkdir(parents=True)
    outside.mkdir()
    (tree / "container/.cache").symlink_to(outside)
    refused = call("run", "--dry-run", "--mount-workspace", "--context", tree)
    assert (refused.code, refused.out) == (2, "")
    assert "outside of the tree, where a link leads" in refused.err
    words = ("run", "--dry-run", "--mount-workspace", "--context", tree, "--hf-home", outside)
    assert call(*words).code == 0


def test_a_folder_with_a_colon_is_mounted(tmp_path):
    tree = tmp_path / "a:b"
    tree.mkdir()
    words = ("--mount-workspace", "--context", tree, "--hf-home", "c:d", "-v", "/e:f:/g:ro")
    said = call("run", "--dry-run", *words, cwd=tmp_path).out.split()
    assert [after for word, after in pairwise(said) if word == "--mount"] == [
        "type=bind,source=/e:f,target=/g,readonly",
        f"type=bind,source={tree},target=/workspace",
        f"type=bind,source={tmp_path}/c:d,target=/home/dynamo/.cache/huggingface",
    ]


def test_a_variable_may_be_switched_off_again():
    env = {"DYNBUILD_RUN_GMS": "true", "DYNBUILD_RUN_PRIVILEGED": "1"}
    assert "-v /tmp:/tmp" in call("run", "--dry-run", env=env).out
    words = ("run", "--dry-run", "--no-gms", "--no-privileged")
    assert not {"/tmp:/tmp", "--privileged"} & set(call(*words, env=env).out.split())


# ---- the fold ------------------------------------------------------------------------------

items = st.lists(st.sampled_from(["a=1", "a=2", "b=1", "c"]), max_size=4)


def folded(merge, stack):
    option = Option(name="x", help="X.", kind="list", merge=merge)
    settings_ = [Setting(one, Origin("flag", str(n))) for n, one in enumerate(stack)]
    return [setting.value for setting in options.fold(option, settings_)]


@given(st.lists(items, max_size=4))
def test_how_lists_combine(stack):
    everything = [item for one in stack for item in one]
    assert folded("append", stack) == everything
    assert folded("replace", stack) == (stack[-1] if stack else [])
    by_key = folded("by-key", stack)
    keys = [item.partition("=")[0] for item in by_key]
    assert keys == list(dict.fromkeys(item.partition("=")[0] for item in everything))
    for item in by_key:
        same = [one for one in everything if one.partition("=")[0] == item.partition("=")[0]]
        assert item == same[-1]


@given(st.lists(st.text(), max_size=4))
def test_the_highest_of_single_values_counts(stack):
    option = Option(name="x", help="X.")
    found = options.fold(option, [Setting(one, Origin("flag", "")) for one in stack])
    assert [setting.value for setting in found] == stack[-1:]
