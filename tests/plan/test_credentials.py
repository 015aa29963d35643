"""No secret stands in an address of a plan, whoever sets it and in whatever form."""

import pytest

from dynbuild.errors import RequestError
from tests.support import NONE_CPU, call, load, make_job, make_plan, refusal, source_tree

# A plan asks git for the version.
pytestmark = pytest.mark.processes("git")

LOGIN = "https://ada:hunter2@git.example.com/ai/ucx.git"
PLACES = {
    "a named context": f'[contexts]\nucx_src = "{LOGIN}"\n',
    "the image that a context replaces": f'[contexts]\n"{LOGIN}" = "docker-image://alpine"\n',
    "the archives of meson": f'[site]\nmeson_packages = "{LOGIN}"\n',
    "a repository": f'[sources.ucx]\nkind = "git"\nrepo = "{LOGIN}"\nref = "NIXL_UCX_REF"\n',
    "a tarball": f'[sources.ucx]\nkind = "url"\nurl = "{LOGIN}"\n',
    "a download": f'[tools.etcd.url]\namd64 = "{LOGIN}"\n',
    "an image of a tool": '[tools.uv]\nimage = "ada:hunter2@registry.example.com/uv"\n',
    "an argument": f'[args]\nPYTORCH_INDEX_URL = "{LOGIN}"\n',
    "an argument of a framework": f'[frameworks.none.args]\nPYTORCH_INDEX_URL = "{LOGIN}"\n',
    "a cache that is read": (
        '[request]\ncache_from = ["type=registry,ref=ada:hunter2@registry.example.com/cache"]\n'
    ),
    "a cache that is written": (
        "[request]\n"
        'cache_to = ["type=s3,bucket=b,region=r,access_key_id=AKIA1,secret_access_key=hunter2"]\n'
    ),
    "a mirror": '[mirrors]\n"docker.io" = "https://ada:hunter2@registry.example.com"\n',
}


@pytest.mark.parametrize("text", PLACES.values(), ids=PLACES)
def test_a_settings_file_is_refused_with_its_line_and_without_the_secret(overlay, text):
    error = refusal(overlay(text), **NONE_CPU)
    said = " ".join((error.message, str(error.origin), str(error.hint), *error.details))
    assert "hunter2" not in said
    assert "in its" in error.message
    assert "dynbuild.toml" in str(error.origin)
    assert error.hint


FLAGS = {
    "a context": ("--build-context", f"ucx_src={LOGIN}"),
    "a base image": ("--base-image", "ada:hunter2@registry.example.com/debian"),
    "an image by digest": ("--epp-image", f"ada:hunter2@r.example.com/epp@sha256:{'0' * 64}"),
    "an argument": ("--build-arg", f"PYTORCH_INDEX_URL={LOGIN}"),
    "a token": ("--build-arg", "PYTORCH_INDEX_URL=https://ghp_0123456789abcdef0123@host/x"),
    "a signed address": ("--build-arg", "PYTORCH_INDEX_URL=https://host/x?X-Amz-Signature=hunter2"),
    "a cache": ("--cache-from", "type=registry,ref=https://ada:hunter2@registry.example.com/c"),
    "keys of a cache": ("--cache-to", "type=s3,bucket=b,region=r,secret_access_key=hunter2"),
    "a token of a cache": ("--cache-to", "type=gha,token=hunter2"),
    "a cache's registry": ("--cache", "registry=ada:hunter2@registry.example.com/cache"),
    "a repository": ("--repository", "ada:hunter2@registry.example.com/dynamo"),
}


@pytest.mark.parametrize(
    "command", [("plan",), ("plan", "--format", "json"), ("build", "--dry-run")]
)
@pytest.mark.parametrize("flag", FLAGS.values(), ids=FLAGS)
def test_a_flag_is_refused_and_its_secret_shown_nowhere(tmp_path, command, flag):
    tree = source_tree(tmp_path / "tree")
    words = ("--framework", "none", "--target", "runtime", "--device", "cpu", "--context", tree)
    result = call(*command, *words, *flag)
    assert result.code == 2
    assert "hunter2" not in result.out + result.err
    assert "ghp_" not in result.out + result.err
    assert result.hint


@pytest.mark.parametrize(
    "variable",
    [
        {"DYNBUILD_ARG_PYTORCH_INDEX_URL": LOGIN},
        {"DYNBUILD_REPOSITORY": "ada:hunter2@registry.example.com/dynamo"},
        {"DYNBUILD_CACHE_FROM": "type=registry;ref=https://ada:hunter2@registry.example.com/c"},
    ],
    ids=lambda variable: next(iter(variable)),
)
def test_a_variable_is_refused_likewise(variable):
    with pytest.raises(RequestError) as caught:
        make_plan(env=variable, **NONE_CPU)
    error = caught.value
    assert "hunter2" not in " ".join((error.message, str(error.hint), *error.details))
    assert next(iter(variable)) in f"{error.origin} {error.message}"


@pytest.mark.parametrize("key", ["index_url", "apt_mirror", "dnf_mirror"])
def test_what_builds_get_as_a_secret_may_hold_a_login(overlay, key):
    site = overlay(f'[site]\n{key} = "https://ada:hunter2@site.example.com/simple"\n')
    job = make_plan(site, **NONE_CPU)
    assert "hunter2" not in str(job.document())
    assert "ada:hunter2" in getattr(load(site).catalog.site, key)


def test_a_proxy_is_handed_on_by_reference_and_may_hold_a_password():
    job = make_plan(**NONE_CPU, args={"HTTPS_PROXY": "http://ada:hunter2@proxy.example.com:3128"})
    assert "hunter2" not in str(job.document())


def test_all_are_told_at_once(overlay):
    text = PLACES["a repository"] + PLACES["an argument"]
    error = refusal(overlay(text), **NONE_CPU)
    assert len(error.details) == 1


def test_logins_of_git_hosts_are_secrets_by_the_names_that_buildkit_knows(overlay):
    text = '[site]\ngit_auth_token = ["git.example.com:8443=GIT_TOKEN"]\n'
    text += 'git_auth_header = ["other.example.com=GIT_HEADER"]\n'
    (image,) = make_job(overlay(text), **NONE_CPU).images
    assert {secret.id: secret.env for secret in image.secrets if "GIT" in secret.id} == {
        "GIT_AUTH_TOKEN.git.example.com:8443": "GIT_TOKEN",
        "GIT_AUTH_HEADER.other.example.com": "GIT_HEADER",
    }


@pytest.mark.parametrize(
    "entry", ["git.example.com=ghp_0123456789abcdef0123", "git.example.com", "https://h=X", "=X"]
)
def test_a_token_in_place_of_its_variable_is_refused_and_not_repeated(overlay, entry):
    error = refusal(overlay(f'[site]\ngit_auth_token = ["{entry}"]\n'), **NONE_CPU)
    assert error.message == "site.git_auth_token has an entry that is not HOST=VARIABLE"
    assert "ghp_" not in f"{error.hint} {error.origin} {error.details}"


@pytest.mark.parametrize("field", ["secret_access_key", "access_key_id", "session_token"])
def test_keys_of_a_cache_may_come_from_a_variable(field):
    spec = f"type=s3,bucket=b,{field}=${{MY_KEY}}"
    assert make_plan(**NONE_CPU, cache_to=[spec]).images[0].cache_to == (spec,)


@pytest.mark.parametrize("address", ["git@git.example.com:x.git#v1", "ssh://git@h/x.git", "a@h:x"])
def test_a_context_by_ssh_is_refused_before_buildkit_does(overlay, address):
    error = refusal(overlay(f'[contexts]\nucx_src = "{address}"\n'), **NONE_CPU)
    assert error.message.startswith("the context ucx_src is a repository by ssh")
    assert "[sources.NAME] repo" in error.hint


def test_an_index_without_an_address_is_refused_and_not_repeated(overlay):
    error = refusal(overlay('[site]\nindex_url = "ada:hunter2@pypi.example.com"\n'), **NONE_CPU)
    assert error.message == "site.index_url is no address"
    assert "hunter2" not in f"{error.hint} {error.origin} {error.details}"
