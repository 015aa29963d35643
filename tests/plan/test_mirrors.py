import os
import subprocess
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynbuild.errors import RequestError
from dynbuild.plan import mirrors, secrets
from dynbuild.settings.layers import Origin, Setting
from tests.support import CATALOG, MACHINE, load, make_image, make_plan, refusal

NONE_CPU = {"framework": "none", "target": "runtime", "device": "cpu"}
HERE = Origin("overlay", "site.toml:1")


TABLE = {
    "nvcr.io": Setting("registry.example.com/nv", HERE),
    "nvcr.io/nvidia/pytorch": Setting("registry.example.com/torch", HERE),
    "docker.io": Setting("registry.example.com/hub", HERE),
    "localhost": Setting("wrong.example.com", HERE),
    "https://github.com": Setting("https://git.example.com", HERE),
    "https://github.com/NVIDIA": Setting("https://git.example.com/nv", HERE),
}


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ("nvcr.io/nvidia/cuda", "registry.example.com/nv/nvidia/cuda"),
        ("nvcr.io/nvidia/cuda:12.9", "registry.example.com/nv/nvidia/cuda:12.9"),
        ("nvcr.io.example.com/x", "nvcr.io.example.com/x"),
        ("nvcr.io/nvidia/pytorch", "registry.example.com/torch"),
        ("nvcr.io/nvidia/pytorch:25.12-py3", "registry.example.com/torch:25.12-py3"),
        ("nvcr.io/nvidia/pytorch@sha256:12", "registry.example.com/torch@sha256:12"),
        ("nvcr.io/nvidia/pytorch-x", "registry.example.com/nv/nvidia/pytorch-x"),
        ("debian", "registry.example.com/hub/library/debian"),
        ("debian:trixie", "registry.example.com/hub/library/debian:trixie"),
        ("lmsysorg/sglang", "registry.example.com/hub/lmsysorg/sglang"),
        ("docker.io/lmsysorg/sglang", "registry.example.com/hub/lmsysorg/sglang"),
        ("localhost:5000/x", "localhost:5000/x"),
        ("dynbuild/debian", "dynbuild/debian"),
        ("", ""),
    ],
)
def test_images(reference, found):
    assert mirrors.image(reference, TABLE)[0] == found


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("https://github.com/openucx/ucx.git", "https://git.example.com/openucx/ucx.git"),
        ("https://github.com", "https://git.example.com"),
        ("https://github.com?x", "https://git.example.com?x"),
        ("https://github.community/x", "https://github.community/x"),
        ("https://github.com:8443/x", "https://github.com:8443/x"),
        ("http://github.com/x", "http://github.com/x"),
        ("https://github.com/NVIDIA/gdrcopy.git", "https://git.example.com/nv/gdrcopy.git"),
        ("https://github.com/NVIDIA-x/y", "https://git.example.com/NVIDIA-x/y"),
    ],
)
def test_addresses(address, found):
    assert mirrors.address(address, TABLE)[0] == found


@given(st.sampled_from(list(TABLE)), st.from_regex(r"(/[a-z]{1,3}){0,2}", fullmatch=True))
def test_what_was_replaced_once_is_not_replaced_again(prefix, rest):
    look = mirrors.address if "://" in prefix else mirrors.image
    found, used = look(prefix + rest, TABLE)
    assert used
    assert look(found, TABLE) == (found, "")


@pytest.fixture
def site(overlay):
    return overlay("""\
[mirrors]
"nvcr.io" = "registry.example.com/nv/"
"docker.io" = "registry.example.com/hub"
"quay.io" = "registry.example.com/quay"
"ghcr.io" = "registry.example.com/ghcr"
"https://github.com" = "https://git.example.com"
"https://static.rust-lang.org" = "https://files.example.com/rust"
"https://developer.download.nvidia.com" = "https://files.example.com/nvidia"
""")


def test_arguments_name_the_mirror_in_their_origin(site):
    image = make_image(site, framework="vllm", target="runtime")
    assert image.build_args["RUNTIME_IMAGE"] == "registry.example.com/nv/nvidia/cuda"
    assert image.origins["RUNTIME_IMAGE"] == f"overlay {site}:2 (mirror of nvcr.io)"
    assert image.build_args["MANYLINUX_IMAGE"].startswith("registry.example.com/quay/pypa/")
    assert image.build_args["RUSTUP_DIST_SERVER"] == "https://files.example.com/rust"
    assert image.build_args["PYTORCH_INDEX_URL"] == CATALOG["args"]["PYTORCH_INDEX_URL"]
    tag = image.origins["RUNTIME_IMAGE_TAG"]
    assert tag.startswith("catalog ")


def test_tools_and_sources_follow_and_keep_their_checksums(site):
    recipe = make_image(site, **NONE_CPU).recipe
    assert recipe.tools["uv"].image == "registry.example.com/ghcr/astral-sh/uv"
    url = recipe.tools["etcd"].url["arm64"]
    assert url.startswith("https://git.example.com/etcd-io/etcd/")
    assert "${VERSION}" in url
    assert recipe.tools["etcd"].sha256 == CATALOG["tools"]["etcd"]["sha256"]
    assert recipe.sources["ucx"].repo == "https://git.example.com/openucx/ucx.git"
    assert recipe.sources["ffmpeg"].url == CATALOG["sources"]["ffmpeg"]["url"]


def test_a_value_given_by_flag_follows_too(site):
    args = {"BASE_IMAGE": "ubuntu", "BASE_IMAGE_TAG": "24.04"}
    image = make_image(site, **NONE_CPU, args=args)
    assert image.build_args["BASE_IMAGE"] == "registry.example.com/hub/library/ubuntu"
    assert image.origins["BASE_IMAGE"].endswith("(mirror of docker.io)")


def test_a_mirror_of_itself_is_an_exception(overlay):
    path = overlay("""\
[mirrors]
"docker.io" = "registry.example.com/hub"
"docker.io/library/debian" = "docker.io/library/debian"
""")
    image = make_image(path, **NONE_CPU)
    assert image.build_args["BASE_IMAGE"] == "docker.io/library/debian"
    assert image.origins["BASE_IMAGE"].endswith("(mirror of docker.io/library/debian)")


def test_an_endpoint_picker_built_here_stays(site):
    made = make_plan(site, framework="none", target="frontend", device="cpu", build_epp=True)
    (image,) = made.images
    assert image.build_args["EPP_IMAGE"] == made.before[0].makes
    given_one = make_image(
        site, framework="none", target="frontend", device="cpu", args={"EPP_IMAGE": "own/epp:1"}
    )
    assert given_one.build_args["EPP_IMAGE"] == "registry.example.com/hub/own/epp:1"


def test_a_stage_is_no_image_and_a_release_image_is_one(site):
    spec = {"tensorrtllm_pip_wheel": "tensorrt-llm==1.2.0"}
    image = make_image(site, framework="trtllm", target="framework", **spec)
    assert image.build_args["TRTLLM_WHEEL_IMAGE"] == "trtllm_wheel_image_empty"
    image = make_image(site, framework="trtllm", target="framework")
    known = image.build_args["TRTLLM_WHEEL_IMAGE"]
    assert known == "registry.example.com/nv/nvidia/tensorrt-llm/release:1.3.0rc1"


def test_package_sources_that_stay_in_an_image_are_left_to_the_script(site):
    image = make_image(site, framework="trtllm", target="dev")
    for arg in mirrors.KEPT:
        assert image.build_args[arg] == CATALOG["args"][arg]


def test_a_proxy_is_no_address_to_replace(overlay):
    path = overlay('[mirrors]\n"http://proxy.example.com" = "http://other.example.com"\n')
    image = make_image(path, **NONE_CPU, args={"HTTP_PROXY": "http://proxy.example.com"})
    assert image.passed["HTTP_PROXY"] == "http://proxy.example.com"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('"nvcr.io" = ""', "empty"),
        ('"" = "x"', "empty"),
        ('"nvcr.io" = "a b"', "character"),
        ('"nvcr.io" = "https://x.example.com"', "one is an address"),
        ('"https://github.com" = "git.example.com"', "one is an address"),
        ('"https://github.com" = "https://ada:hunter2@git.example.com"', "password"),
        ('"https://github.com" = "https://x.example.com/\'"', "character"),
        ('"https://github.com" = "https://x.example.com/\\n"', "character"),
        ('"https://github.com" = "https://x.example.com/$(id)"', "character"),
    ],
)
def test_what_is_no_mirror_is_refused(overlay, line, message):
    error = refusal(overlay(f"[mirrors]\n{line}\n"), **NONE_CPU)
    assert message in error.message
    assert "dynbuild.toml:" in error.origin
    assert "hunter2" not in str(error)


def test_a_prefix_without_quotes_is_told_so(overlay):
    error = refusal(overlay('[mirrors]\nnvcr.io = "registry.example.com"\n'), **NONE_CPU)
    assert "mirrors.nvcr" in error.message
    assert "quotes" in error.hint


class TestScript:
    """The script that build steps source, run here on files of a test."""

    def test_nobody_gets_one_without_asking(self, overlay):
        path = overlay('[mirrors]\n"nvcr.io" = "registry.example.com"\n')
        assert mirrors.script(load(path)) == ""
        image = make_image(path, **NONE_CPU)
        assert "site" not in image.secrets
        assert not image.recipe.site

    def test_it_is_a_secret(self, overlay):
        path = overlay('[site]\napt_mirror = "https://ada:hunter2@packages.example.com"\n')
        image = make_image(path, **NONE_CPU)
        assert "site" in image.secrets
        assert "hunter2" not in make_plan(path, **NONE_CPU).model_dump_json()
        values = secrets.secret_values(load(path, **NONE_CPU), MACHINE)
        assert "hunter2" in values["DYNBUILD_SECRET_SITE"]

    @pytest.mark.parametrize("field", ["apt_mirror", "dnf_mirror", "crates_index"])
    @pytest.mark.parametrize(
        "value", ["packages.example.com", "https://x.example.com/'", "a://b c"]
    )
    def test_what_is_no_address_is_refused(self, overlay, field, value):
        config = load(overlay(f'[site]\n{field} = "{value}"\n'))
        with pytest.raises(RequestError, match=f"site.{field}") as caught:
            mirrors.script(config)
        assert caught.value.origin.endswith(":2")

    @pytest.fixture
    def run(self, overlay, tmp_path):
        """Source the script of a settings file and run a command, with stand-in programs."""

        def call(text, command, files=None):
            root, real = tmp_path / "root", tmp_path / "real"
            real.mkdir(parents=True, exist_ok=True)
            for name in ("apt-get", "apt", "dnf", "cargo", "curl", "wget"):
                stand_in = real / name
                stand_in.write_text('#!/bin/sh\nprintf "%s|" "${0##*/}" "$@"\necho\n')
                stand_in.chmod(0o755)
            for name, content in (files or {}).items():
                path = root / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(content)
            script = mirrors.script(load(overlay(text)))
            for folder in ("/run/site", "/etc/apt", "/etc/yum.repos.d"):
                script = script.replace(folder, f"{root}{folder}")
            (tmp_path / "site").write_text(script)
            done = subprocess.run(
                ["sh", "-ec", f". {tmp_path}/site && . {tmp_path}/site && {command}"],
                env={"PATH": f"{real}:{os.defpath}"},
                capture_output=True,
                text=True,
                check=False,
                cwd=tmp_path,
            )
            assert done.returncode == 0, done.stderr
            assert done.stderr == ""
            return done.stdout.replace(str(root), ""), root

        return call

    LISTS: ClassVar = {
        "etc/apt/sources.list": "deb [signed-by=/k.gpg] http://old.example.org/debian x main\n",
        "etc/apt/sources.list.d/a.sources": (
            "Types: deb\nURIs: http://a.example.org/ubuntu/ https://b.example.org/ports\n"
            "Signed-By: /usr/share/keyrings/x.gpg\n"
        ),
        "etc/apt/sources.list.d/cuda.list": (
            "deb https://developer.download.nvidia.com/compute/cuda /\n"
            "deb https://own.example.com/cuda /\n"
            "deb https://packages.example.com/apt/there x main\n"
        ),
    }
    SITE = """\
[site]
apt_mirror = "https://packages.example.com/apt/"
[mirrors]
"https://developer.download.nvidia.com" = "https://files.example.com/nvidia"
[args]
DEVTOOLS_REPO_URL = "https://own.example.com/cuda"
"""

    def test_apt_reads_the_base_s_lists_with_other_hosts(self, run):
        out, root = run(self.SITE, "apt-get update -q", self.LISTS)
        assert out == "apt-get|update|-q|\n"
        new = root / "run/site/apt"
        assert (new / "sources.list").read_text() == (
            "deb [signed-by=/k.gpg] https://packages.example.com/apt/debian x main\n"
        )
        assert (new / "a.sources").read_text() == (
            "Types: deb\nURIs: https://packages.example.com/apt/ubuntu/ "
            "https://packages.example.com/apt/ports\nSigned-By: /usr/share/keyrings/x.gpg\n"
        )
        assert (new / "cuda.list").read_text() == (
            "deb https://files.example.com/nvidia/compute/cuda /\n"
            "deb https://own.example.com/cuda /\n"
            "deb https://packages.example.com/apt/there x main\n"
        )
        for name, content in self.LISTS.items():
            assert (root / name).read_text() == content
        assert 'SourceParts "' in (root / "run/site/apt.conf").read_text()

    def test_a_list_that_a_step_brings_counts_for_its_next_command(self, run):
        added = "printf 'deb http://new.example.org/x y z\\n' > root/etc/apt/sources.list.d/b.list"
        _, root = run(
            self.SITE,
            f"apt-get update && {added} && apt update",
            self.LISTS,
        )
        text = (root / "run/site/apt/b.list").read_text()
        assert text == "deb https://packages.example.com/apt/x y z\n"

    def test_dnf_reads_its_lists_with_a_base_address(self, run):
        repo = """\
[baseos]
mirrorlist=https://mirrors.example.org/mirrorlist/$releasever/baseos
# baseurl=https://repo.example.org/almalinux/$releasever/BaseOS/$basearch/os/
gpgkey=file:///etc/pki/key
"""
        out, root = run(
            '[site]\ndnf_mirror = "https://packages.example.com"\n',
            "dnf install -y x && dnf config-manager --set-enabled y",
            {"etc/yum.repos.d/base.repo": repo},
        )
        assert out == (
            "dnf|--setopt=reposdir=/run/site/dnf|install|-y|x|\n"
            "dnf|config-manager|--set-enabled|y|\n"
        )
        assert (root / "run/site/dnf/base.repo").read_text() == (
            "[baseos]\n"
            "baseurl=https://packages.example.com/almalinux/$releasever/BaseOS/$basearch/os/\n"
            "gpgkey=file:///etc/pki/key\n"
        )
        assert (root / "etc/yum.repos.d/base.repo").read_text() == repo

    def test_downloads_of_other_projects_scripts_follow(self, run):
        out, _ = run(
            '[mirrors]\n"https://github.com" = "https://git.example.com"\n',
            "curl -fSL 'https://github.com/a b' -o 'x y' && sh -c 'wget https://github.community/x'",
        )
        assert out == (
            "curl|-fSL|https://git.example.com/a b|-o|x y|\nwget|https://github.community/x|\n"
        )

    def test_git_follows(self, run):
        out, _ = run(
            '[mirrors]\n"https://github.com/own" = "https://git.example.com/x"\n',
            "git ls-remote --get-url https://github.com/own/one.git"
            " && git ls-remote --get-url https://github.com/ownother/one.git",
        )
        assert out.split() == [
            "https://git.example.com/x/one.git",
            "https://github.com/ownother/one.git",
        ]

    def test_cargo_gets_its_registry(self, run):
        out, root = run(
            '[site]\ncrates_index = "sparse+https://crates.example.com/"\n',
            "cargo build && cargo +nightly test -q",
        )
        assert out == (
            "cargo|--config|/run/site/cargo.toml|build|\n"
            "cargo|+nightly|--config|/run/site/cargo.toml|test|-q|\n"
        )
        text = (root / "run/site/cargo.toml").read_text()
        assert 'replace-with = "site"' in text
        assert 'registry = "sparse+https://crates.example.com/"' in text
        assert "git-fetch-with-cli" not in text


def test_meson_packages_are_a_build_context(overlay, tmp_path):
    path = overlay('[site]\nmeson_packages = "archives"\n')
    image = make_image(path, framework="none", target="runtime", device="cpu")
    assert image.contexts["meson_packages"] == str(tmp_path / "archives")
    assert "meson_packages" not in make_image(**NONE_CPU).contexts
