"""What the settings file of a tree is asked for; tests/cli/test_trust.py has the commands."""

import json
import stat

import pytest

from dynbuild.errors import NotReady
from dynbuild.run import options
from dynbuild.settings import consent, load, request_options, run_options, trust
from tests.support import TEMPLATES

TOP = 'format = 1\n[request]\nframework = "none"\n'


@pytest.fixture
def tree(tmp_path):
    folder = tmp_path / "tree"
    (folder / "inside").mkdir(parents=True)
    (folder / "out").symlink_to(tmp_path)
    (folder / "in").symlink_to(folder / "inside")
    (folder / "self").symlink_to("/proc/self/cwd")
    (folder / "round").symlink_to("round")
    return folder


def settings(tree, text, *, flags=None, env=None, given=()):
    (tree / "dynbuild.toml").write_text(text.replace("TREE", str(tree)))
    return load.load(
        templates=TEMPLATES,
        overlays=given,
        tree_file=load.own_file(tree, given),
        env=env or {},
        flags=flags or {},
    )


def asked(tree, text, **more):
    """What a build and a run ask for."""
    config = settings(tree, text, **more)
    run = trust.of_run(config, options.resolve(config).settings)
    return [one.setting for one in (*trust.of_build(config), *run)]


HARMLESS = [
    '[request]\nrepository = "x"\ntag = "y:z"\nframework = "none"\nplatform = ["linux/arm64"]',
    '[request]\noutput = "load"\nnetwork = "default"\nuse_sccache = "local"',
    '[request]\nbuild_epp = false\ncache = ""\ncache_from = []',
    '[contexts]\na = "docker-image://debian@sha256:' + "a" * 64 + '"',
    '[args]\nNIXL_REF = "0.9.1"\nSCCACHE_BUCKET = "bucket"',
    '[mirrors]\n"docker.io" = "registry.example.com/docker"',
    '[contexts]\na = "inside"\nb = "docker-image://x"\nc = "https://git.example.com/x"\nd = "in"',
    '[sources.ucx]\nkind = "context"\npath = "inside"',
    '[sources.ucx]\nkind = "git"\nrepo = "https://git.example.com/ucx"',
    '[sources.ucx]\nkind = "apt"\nsuite = "bookworm"',
    '[tools]\nuv.kind = "pypi"',
    '[site]\nindex_url = "https://index.example.com/simple"\nmeson_packages = "inside"',
    '[site]\napt_mirror = "https://a.example.com"\ndnf_mirror = "https://d.example.com"\n'
    'crates_index = "sparse+https://c.example.com/"',
    '[run]\nnetwork = "default"\nipc = "shareable"\nrestart = "no"\nruntime = "nvidia"',
    '[run]\nnetwork = "none"\nipc = "none"',
    '[run]\nnetwork = "bridge"\nipc = "private"\nruntime = "none"\nuser = "5"\nhf_home = "none"',
    '[run]\nenv = ["A=1", "HF_TOKEN"]\nport = ["127.0.0.1:80:80"]\nprivileged = false',
    '[run]\nprofile = "p"\n[run.profiles.p]\ngpus = "none"\nshm_size = "1g"',
    "[run.profiles.unused]\nprivileged = true",
    '[run]\nvolume = ["/x", "TREE:/x", "TREE/inside:/x:ro", "TREE/a:b:/x", "TREE/in:/y"]',
]


@pytest.mark.parametrize("text", HARMLESS)
def test_what_builds_and_runs_the_image_of_the_tree_is_its_own(tree, text):
    assert asked(tree, text) == []


WIDE = [
    ('[request]\noutput = "push"', ["request.output"]),
    (
        '[request]\noutput = "push"\nrepository = "r.example.com/x"\ntag = "r.example.com/x:y"',
        ["request.output", "request.repository", "request.tag"],
    ),
    ('[request]\nnetwork = "host"', ["request.network"]),
    ("[request]\nbuild_epp = true", ["request.build_epp"]),
    ("[request]\nallow_unversioned = true", ["request.allow_unversioned"]),
    ('[request]\ntensorrtllm_git_url = "https://x"', ["request.tensorrtllm_git_url"]),
    ('[request]\ntensorrtllm_pip_wheel_dir = "../w"', ["request.tensorrtllm_pip_wheel_dir"]),
    ('[request]\ncache = "local=/root"', ["request.cache"]),
    ('[request]\ncache_to = ["type=local,dest=x"]', ["request.cache_to"]),
    ('[request]\ncache_from = ["type=gha,url=https://x"]', ["request.cache_from"]),
    (
        '[request]\nuse_sccache = "s3"\n[args]\nSCCACHE_ENDPOINT = "x"',
        ["request.use_sccache", "args.SCCACHE_ENDPOINT"],
    ),
    (
        '[request]\nuse_sccache = "s3"\n[frameworks.none.args]\nSCCACHE_BUCKET = "x"',
        ["request.use_sccache", "frameworks.none.args.SCCACHE_BUCKET"],
    ),
    ('[site]\nca_bundle = "/etc/passwd"', ["site.ca_bundle"]),
    ('[site]\nmeson_packages = "../x"', ["site.meson_packages"]),
    ('[site]\ngit_auth_token = ["x.example.com=GITHUB_TOKEN"]', ["site.git_auth_token"]),
    ('[site]\nnetrc = "inside"', ["site.netrc"]),
    ('[contexts]\na = "/etc"', ["contexts.a"]),
    ('[contexts]\na = ".."', ["contexts.a"]),
    ('[contexts]\na = "~"', ["contexts.a"]),
    ('[contexts]\na = "out"', ["contexts.a"]),
    ('[contexts]\na = "oci-layout:///etc"', ["contexts.a"]),
    ('[contexts]\na = "file:///etc"', ["contexts.a"]),
    ('[contexts]\na = "git@git.example.com:x/y"', ["contexts.a"]),
    ('[contexts]\n"a.b" = "/etc"', ["contexts.a.b"]),
    ('[sources.ucx]\nkind = "context"\npath = "inside/../.."', ["sources.ucx.path"]),
    ('[sources.ucx]\nrepo = "ssh://git@git.example.com/x"', ["sources.ucx.repo"]),
    ('[sources.ucx]\nrepo = "file:///root/x"', ["sources.ucx.repo"]),
    ('[mirrors]\n"https://github.com" = "ssh://git@x"', ["mirrors.https://github.com"]),
    ("[run]\nprivileged = true", ["run.privileged"]),
    ('[run]\ncap_add = ["KILL", "BPF"]', ["run.cap_add"] * 2),
    ('[run]\nnetwork = "container:x"', ["run.network"]),
    ('[run]\nipc = "container:x"', ["run.ipc"]),
    ('[run]\nruntime = "runc-odd"', ["run.runtime"]),
    ('[run]\nenv = ["A=1", "AWS_SECRET_ACCESS_KEY"]', ["run.env"]),
    ('[run]\nport = ["80:80", "127.0.0.1:81:81"]', ["run.port"]),
    ('[run]\nvolume = ["/:/host", "/x", "name:/x"]', ["run.volume"] * 2),
    ('[run]\nvolume = ["/var/run/docker.sock:/s"]', ["run.volume"]),
    ('[run]\nvolume = ["~/.aws:/s:ro"]', ["run.volume"]),
    ('[run]\nvolume = ["TREE/inside:/../../../etc:/host"]', ["run.volume"]),
    ('[run]\nvolume = ["TREE/inside:/x:/../../../etc:/host:ro"]', ["run.volume"]),
    ('[run]\nvolume = ["TREE/out:/x", "TREE/inside/../..:/x", "./x:/x"]', ["run.volume"] * 3),
    ('[run]\nvolume = ["/proc/self/cwd:/x", "TREE/self:/x", "TREE/round:/x"]', ["run.volume"] * 3),
    ('[run]\nhf_home = "/proc/thread-self/cwd/inside"', ["run.hf_home"]),
    ('[run]\nmount = ["type=bind,source=TREE/inside,target=/x"]', ["run.mount"]),
    ('[run]\nhf_home = "/"', ["run.hf_home"]),
    ('[run]\nimage = "x"', ["run.image"]),
    (
        "[run]\nmount_workspace = true\nuse_nixl_gds = true\ngms = true",
        ["run.mount_workspace", "run.use_nixl_gds", "run.gms"],
    ),
    ('[run]\nprofile = "p"\n[run.profiles.p]\nprivileged = true', ["run.privileged"]),
]


@pytest.mark.parametrize(("text", "names"), WIDE)
def test_what_reaches_further_is_asked_for(tree, text, names, monkeypatch):
    """Also from within the tree, where this process has another /proc/self/cwd than docker."""
    monkeypatch.chdir(tree)
    if '"./x:' in text:
        names = names[1:]
    assert sorted(asked(tree, text)) == sorted(names)


FREE_OF_REQUEST = {
    *("release_line", "framework", "target", "device", "cuda_version", "platform", "repository"),
    *("tag", "tag_latest", "make_efa", "dynamo_wheels", "no_cache", "uid", "gid"),
    *("sccache_read_only", "sccache_optional", "tag_template", "require_clean"),
    *("tensorrtllm_commit", "tensorrtllm_pip_wheel", "tensorrtllm_index_url"),
}
FREE_OF_RUN = {
    *("rm", "name", "entrypoint", "workdir", "user", "gpus", "numa", "profile"),
    *("shm_size", "ulimit", "memory", "cpus", "init", "label"),
    *("interactive", "tty", "detach", "add_host"),
}


@pytest.mark.parametrize(
    "path",
    sorted(
        option.path
        for option in (*request_options.REQUEST, *run_options.SETTINGS, run_options.PROFILE)
        if option.path[:1] in (("request",), ("run",))
    ),
    ids=".".join,
)
def test_a_setting_that_nobody_called_harmless_is_asked_for(tree, path):
    free = path[1] in (FREE_OF_REQUEST if path[0] == "request" else FREE_OF_RUN)
    assert bool(trust._right(".".join(path), "/odd:/odd", tree)) is not free


def test_the_callers_own_words_are_not_asked_for(tree):
    wide = TOP + 'output = "push"\n[run]\nprivileged = true\nvolume = ["/:/host"]\n'
    assert asked(tree, wide, given=(tree / "dynbuild.toml",)) == []
    other = tree / "other.toml"
    other.write_text(wide)
    assert asked(tree, TOP, given=(other,)) == []
    env = {"DYNBUILD_OUTPUT": "push", "DYNBUILD_RUN_PRIVILEGED": "1"}
    assert asked(tree, TOP, env=env) == []
    # What the caller says instead counts, and is his.
    said = {"DYNBUILD_OUTPUT": "load", "DYNBUILD_RUN_PRIVILEGED": "0"}
    assert asked(tree, wide, env=said) == ["run.volume"]


def test_all_that_a_file_asks_for_is_told_with_its_lines(tree):
    text = '[request]\nnetwork = "host"\n[run.profiles.p]\nprivileged = true\ncap_add = ["X"]\n'
    file = tree / "dynbuild.toml"
    assert list(map(str, trust.of_file(settings(tree, text)))) == [
        f"{file}:2: request.network = host: build steps get this machine's network",
        f"{file}:4: run.privileged: the container gets all privileges on this machine",
        f"{file}:5: run.cap_add = X: the container gets a capability",
    ]


@pytest.mark.parametrize("key", ["git_auth_token", "git_auth_header"])
def test_who_gets_which_variable_is_told(tree, key):
    text = f'[site]\n{key} = ["x.example.com:8443=AWS_SECRET_ACCESS_KEY"]\n'
    (one,) = trust.of_file(settings(tree, text))
    assert one.right == "x.example.com:8443 gets what your variable AWS_SECRET_ACCESS_KEY holds"


@pytest.mark.parametrize("volume", ["TREE/in:side", "TREE:/x:/y:/z:ro:z", "../x", "~nobody:/x"])
def test_what_is_no_mount_may_be_one_for_docker(tree, volume):
    config = settings(tree, f'[run.profiles.p]\nvolume = ["{volume}"]\n')
    assert [one.setting for one in trust.of_file(config)] == ["run.volume"]


def test_cells_of_a_matrix_are_asked_for_as_all_others(tree):
    text = '[matrix.m.cells."none-*".request]\nnetwork = "host"\nno_cache = true\n'
    config = settings(tree, text)
    assert [one.setting for one in trust.of_file(config)] == ["request.network"]
    assert trust.of_build(config) == ()
    path = ("matrix", "m", "cells", "none-*", "request", "network")
    laid = load.with_layer(config, {path[4:]: config.layers[1][path]})
    assert [one.setting for one in trust.of_build(laid)] == ["request.network"]


# ---- consent -----------------------------------------------------------------------------

HOST = TOP + 'network = "host"\nbuild_epp = true\n'


def test_a_consent_is_for_one_content_of_one_tree(tree, tmp_path):
    store, file = tmp_path / "store", tree / "dynbuild.toml"
    wide = trust.of_build(settings(tree, HOST))
    assert consent.missing(store, file, wide) == wide
    consent.grant(store, file, wide[:1])
    assert consent.missing(store, file, wide) == wide[1:]
    consent.grant(store, file, wide)
    assert consent.missing(store, file, wide) == ()
    (kept,) = store.iterdir()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(store.stat().st_mode) == 0o700
    assert json.loads(kept.read_text())["tree"] == str(tree)
    file.write_text(HOST + "# more\n")
    assert consent.missing(store, file, wide) == wide
    file.write_text(HOST)
    assert consent.missing(store, file, wide) == ()
    moved = tree.rename(tmp_path / "moved")
    assert consent.missing(store, moved / "dynbuild.toml", wide) == wide


def test_another_makefile_is_another_consent(tree, tmp_path):
    store, file = tmp_path / "store", tree / "dynbuild.toml"
    makefile = tree / "deploy/inference-gateway/epp/Makefile"
    makefile.parent.mkdir(parents=True)
    makefile.write_text("all:\n")
    consent.grant(store, file, trust.of_build(settings(tree, HOST)))
    assert consent.missing(store, file, trust.of_build(settings(tree, HOST))) == ()
    makefile.write_text("all: other\n")
    (left,) = consent.missing(store, file, trust.of_build(settings(tree, HOST)))
    assert left.setting == "request.build_epp"


def test_a_link_that_leads_elsewhere_is_another_consent(tree, tmp_path):
    store, file = tmp_path / "store", tree / "dynbuild.toml"
    text = '[contexts]\na = "out"\n'
    consent.grant(store, file, trust.of_build(settings(tree, text)))
    assert consent.missing(store, file, trust.of_build(settings(tree, text))) == ()
    (tree / "out").unlink()
    (tree / "out").symlink_to("/etc")
    load.files._parsed.cache_clear()
    assert consent.missing(store, file, trust.of_build(settings(tree, text)))


@pytest.mark.parametrize("mode", [0o777, 0o720])
def test_a_folder_that_others_can_write_in_holds_no_consent(tree, tmp_path, mode):
    store, file = tmp_path / "store", tree / "dynbuild.toml"
    wide = trust.of_build(settings(tree, HOST))
    consent.grant(store, file, wide)
    store.chmod(mode)
    assert consent.missing(store, file, wide) == wide
    with pytest.raises(NotReady, match="cannot be kept"):
        consent.grant(store, file, wide)


def test_a_tree_brings_no_consent_along(tree, tmp_path):
    file = tree / "dynbuild.toml"
    wide = trust.of_build(settings(tree, HOST))
    consent.grant(tmp_path / "store", file, wide)
    (tmp_path / "store").rename(tree / "store")
    assert consent.missing(tree / "store", file, wide) == wide
    with pytest.raises(NotReady, match="cannot be kept"):
        consent.grant(tree / "store", file, wide)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"granted": 1}', '{"granted": [1]}', "\0"])
def test_a_damaged_consent_is_none(tree, tmp_path, content):
    store, file = tmp_path / "store", tree / "dynbuild.toml"
    wide = trust.of_build(settings(tree, HOST))
    consent.grant(store, file, wide)
    (kept,) = store.iterdir()
    kept.write_text(content)
    assert consent.missing(store, file, wide) == wide
