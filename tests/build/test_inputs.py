import shutil

import pytest

from dynbuild.build import inputs
from dynbuild.errors import NotReady, RequestError
from tests.support import NONE_CPU, WORKSPACE, make_job, source_tree


@pytest.fixture
def tree(tmp_path):
    return source_tree(tmp_path / "tree")


def refused(**asked):
    with pytest.raises(RequestError) as caught:
        inputs.check(make_job(**NONE_CPU, **asked))
    return caught.value


def test_a_source_tree(tree):
    inputs.check(make_job(**NONE_CPU, context=tree))


def test_the_example_workspace_is_one():
    inputs.check(make_job(**NONE_CPU, context=WORKSPACE))


def test_a_context_that_is_not_there(tmp_path):
    error = refused(context=tmp_path / "none")
    assert error.message == f"the build context {tmp_path}/none does not exist"
    assert "--context" in error.hint


def test_a_context_that_is_a_file(tmp_path):
    (tmp_path / "file").touch()
    assert str(tmp_path / "file") in refused(context=tmp_path / "file").message


@pytest.mark.parametrize("entry", inputs.SOURCE_TREE)
def test_a_tree_that_lacks_something(tree, entry):
    path = tree / entry
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    error = refused(context=tree)
    assert (
        error.message == f"the build context {tree} has no {entry}: it is not Dynamo's source tree"
    )
    assert "--dynamo-wheels index" in error.hint
    assert error.details == ()


def test_a_folder_that_is_no_tree_at_all(tmp_path):
    error = refused(context=tmp_path)
    assert "has no pyproject.toml" in error.message
    assert error.details == (f"missing: {', '.join(inputs.SOURCE_TREE)}",)


@pytest.mark.parametrize(
    ("asked", "file"),
    [
        ({"framework": "vllm", "target": "runtime"}, "container/deps/requirements.txt"),
        ({"framework": "sglang", "target": "dev"}, "container/deps/requirements.txt"),
        ({**NONE_CPU, "target": "dev"}, "container/deps/requirements.test.txt"),
        ({**NONE_CPU, "target": "frontend"}, "container/launch_message/frontend.txt"),
        ({"framework": "vllm", "target": "runtime"}, "container/launch_message/runtime.txt"),
    ],
)
def test_a_file_that_a_step_installs_from_is_looked_for_by_the_plan(tree, asked, file):
    inputs.check(make_job(**asked, context=tree))
    (tree / file).unlink()
    with pytest.raises(RequestError, match=f"has no {file}, which .* installs from"):
        inputs.check(make_job(**asked, context=tree))


def test_of_several_files_each_is_told_once(tree):
    names = ("container/deps/requirements.txt", "container/deps/requirements.test.txt")
    for name in names:
        (tree / name).unlink()
    with pytest.raises(RequestError) as caught:
        inputs.check(make_job(framework="vllm", target="dev", context=tree))
    assert caught.value.details == (f"missing: {', '.join(names)}",)


def test_an_image_without_an_engine_needs_no_requirements(tree):
    shutil.rmtree(tree / "container")
    inputs.check(make_job(**NONE_CPU, context=tree))


def test_published_wheels_need_no_tree(tmp_path):
    inputs.check(make_job(**NONE_CPU, context=tmp_path, dynamo_wheels="index"))


def test_a_source_path_that_is_not_there(tree):
    error = refused(context=tree, contexts={"ucx_src": "/nowhere/ucx"})
    assert error.message == "the source path of 'ucx_src' is not there: /nowhere/ucx"
    assert "--source ucx=PATH" in error.hint


def test_a_source_path_that_is_a_file(tree):
    path = str(tree / "LICENSE")
    assert path in refused(context=tree, contexts={"ucx_src": path}).message


@pytest.mark.parametrize(
    "where",
    [
        "docker-image://debian:trixie",
        "https://example.com/ucx.git#v1",
        "oci-layout:///nowhere",
    ],
)
def test_a_remote_context_is_not_looked_for(tree, where):
    inputs.check(make_job(**NONE_CPU, context=tree, contexts={"ucx_src": where}))


def test_a_bundle_of_certificates_that_is_not_there(tree, tmp_path):
    overlay = tmp_path / "a.toml"
    overlay.write_text('[site]\nca_bundle = "/nowhere/ca.pem"\n')
    with pytest.raises(RequestError):
        inputs.check(make_job(overlay, **NONE_CPU, context=tree))


def test_logins_are_looked_for_before_the_build(overlay):
    text = '[site]\ngit_auth_token = ["git.example.com=GIT_TOKEN"]\n'
    job = make_job(overlay(text), **NONE_CPU, cache_to=["type=s3,secret_access_key=${MY_KEY}"])
    with pytest.raises(NotReady, match="GIT_TOKEN, from which none-runtime-cpu gets a login, is"):
        inputs.check_logins(job, {"MY_KEY": "k"})
    with pytest.raises(NotReady, match=r"MY_KEY, .* has a comma") as caught:
        inputs.check_logins(job, {"GIT_TOKEN": "x,y", "MY_KEY": "hunter,2"})
    assert "hunter" not in str(caught.value)
    inputs.check_logins(job, {"GIT_TOKEN": "x,y", "MY_KEY": "k"})


def test_git_by_ssh_needs_an_agent(overlay, tmp_path):
    job = make_job(overlay('[sources.ucx]\nrepo = "git@git.example.com:x.git"\n'), **NONE_CPU)
    for env in ({}, {"SSH_AUTH_SOCK": str(tmp_path / "gone")}, {"SSH_AUTH_SOCK": str(tmp_path)}):
        with pytest.raises(NotReady, match="no ssh agent runs") as caught:
            inputs.check_logins(job, env)
    assert "ssh-add" in caught.value.hint


@pytest.mark.parametrize(
    ("spec", "env", "lacking"),
    [
        ("type=gha,scope=x", {}, "ACTIONS_RUNTIME_TOKEN and ACTIONS_RESULTS_URL or"),
        ("scope=x,type=gha", {"ACTIONS_RUNTIME_TOKEN": "t"}, "ACTIONS_RESULTS_URL or"),
        ("type=gha,url=http://x", {}, "the variables ACTIONS_RUNTIME_TOKEN,"),
        ("type=gha,url=http://x,token=${T}", {"T": "t"}, ""),
        ("type=gha", {"ACTIONS_RUNTIME_TOKEN": "t", "ACTIONS_CACHE_URL": "u"}, ""),
        ("type=registry,ref=x/type=gha", {}, ""),
    ],
)
def test_the_cache_of_github_actions_needs_its_variables(spec, env, lacking):
    job = make_job(**NONE_CPU, cache_from=[spec])
    if not lacking:
        inputs.check_logins(job, env)
        return
    with pytest.raises(NotReady, match=lacking) as caught:
        inputs.check_logins(job, env)
    assert "crazy-max/ghaction-github-runtime" in caught.value.hint
