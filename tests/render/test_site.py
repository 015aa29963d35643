"""The script of a site: its shell, and what it does to the programs of a step."""

import json
import os
import re
import shutil
import subprocess
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynbuild.errors import RequestError, TemplateError
from dynbuild.plan import secrets
from dynbuild.render import dockerfile, site
from tests.support import (
    CATALOG,
    MACHINE,
    TEMPLATES,
    load,
    make_image,
    make_image_job,
    make_job,
    make_plan,
)

NONE_CPU = {"framework": "none", "target": "runtime", "device": "cpu"}
EVERYTHING = """\
[site]
apt_mirror = "https://packages.example.com/apt"
dnf_mirror = "https://packages.example.com/dnf"
crates_index = "sparse+https://crates.example.com/"
[mirrors]
"https://github.com" = "https://git.example.com"
"""


@pytest.fixture
def everything(overlay, tmp_path):
    """A site with all there is."""
    (tmp_path / "netrc").write_text("machine files.example.com login ada password hunter2\n")
    netrc = f'netrc = "{tmp_path / "netrc"}"\n'
    return overlay(EVERYTHING.replace("[site]\n", f"[site]\n{netrc}"))


def checked(shell, text):
    return subprocess.run([shell, "-n"], input=text, capture_output=True, text=True, check=False)


@pytest.mark.processes("bash", "sh")
@pytest.mark.parametrize("shell", ["bash", "sh"])
@pytest.mark.parametrize("path", sorted((TEMPLATES / "site").glob("*.sh")), ids=lambda p: p.name)
def test_the_parts_are_shell(shell, path):
    done = checked(shell, path.read_text(encoding="utf-8"))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("path", sorted((TEMPLATES / "site").iterdir()), ids=lambda p: p.name)
def test_a_part_says_why(path):
    text = path.read_text(encoding="utf-8")
    assert text.endswith("\n")
    assert any(line.startswith("#") and not line.startswith("#!") for line in text.splitlines())


@pytest.mark.processes("bash", "sh")
@pytest.mark.parametrize("shell", ["bash", "sh"])
def test_the_whole_is_shell(everything, shell):
    text = site.script(load(everything), TEMPLATES)
    done = checked(shell, text)
    assert (done.returncode, done.stderr) == (0, "")
    for path in (TEMPLATES / "site").iterdir():
        if path.name != "exec.sh":  # what takes its place replaces addresses
            assert path.read_text(encoding="utf-8") in text, path.name


def test_a_folder_of_templates_without_it(overlay, tmp_path):
    copy = shutil.copytree(TEMPLATES, tmp_path / "templates")
    (copy / "site" / "apt.sh").unlink()
    with pytest.raises(TemplateError, match=r"site/apt\.sh") as caught:
        site.script(load(overlay(EVERYTHING)), copy)
    assert caught.value.hint


WORD = st.from_regex(
    r"https://[a-z.]{1,5}(/[A-Za-z0-9&#$.*+?|(){}\[\]\\^%=-]{0,6}){0,2}", fullmatch=True
)


@pytest.mark.processes("sed")
@given(
    st.dictionaries(WORD, WORD, min_size=1, max_size=3),
    st.from_regex("[a-z.]{1,4}", fullmatch=True),
)
def test_sed_replaces_what_it_is_told_and_nothing_else(pairs, other):
    """Whatever an address holds, sed's own signs among them."""
    lines = [f"deb {key} main" for key in pairs] + [f"deb ftp://{other} main"]
    done = subprocess.run(
        ["sed", "-E", site._sed(pairs)],
        input="\n".join(lines), capture_output=True, text=True, check=True,
    )  # fmt: skip
    longest = sorted(pairs, key=len, reverse=True)
    for line, key in zip(done.stdout.splitlines(), [*pairs, None], strict=True):
        if key is None:
            assert line == lines[-1]
        elif not any(key.startswith(one) and one != key for one in longest):
            assert line == f"deb {pairs[key]} main"


@pytest.mark.processes("sh")
class TestScript:
    """The script that build steps source, run here on files of a test."""

    def test_nobody_gets_one_without_asking(self, overlay):
        path = overlay('[mirrors]\n"nvcr.io" = "registry.example.com"\n')
        assert site.script(load(path), TEMPLATES) == ""
        image = make_image_job(path, **NONE_CPU)
        assert "site" not in image.plan.secrets
        assert not image.recipe.site

    def test_it_is_a_secret(self, overlay):
        path = overlay('[site]\napt_mirror = "https://ada:hunter2@packages.example.com"\n')
        image = make_image(path, **NONE_CPU)
        assert "site" in image.secrets
        assert "hunter2" not in json.dumps(make_plan(path, **NONE_CPU).document())
        script = site.script(load(path), TEMPLATES)
        values = secrets.secret_values(load(path, **NONE_CPU), MACHINE, script)
        assert "hunter2" in values["DYNBUILD_SECRET_SITE"]

    @pytest.mark.parametrize("field", ["apt_mirror", "dnf_mirror", "crates_index"])
    @pytest.mark.parametrize(
        "value", ["packages.example.com", "https://x.example.com/'", "a://b c"]
    )
    def test_what_is_no_address_is_refused(self, overlay, field, value):
        config = load(overlay(f'[site]\n{field} = "{value}"\n'))
        with pytest.raises(RequestError, match=f"site.{field}") as caught:
            site.script(config, TEMPLATES)
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
            script = site.script(load(overlay(text)), TEMPLATES)
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

    def test_logins_reach_git_curl_wget_and_what_uses_requests(self, run, tmp_path):
        (tmp_path / "logins").write_text("machine h login ada password hunter2\n")
        netrc = f'[site]\nnetrc = "{tmp_path / "logins"}"\n'
        out, root = run(netrc, 'curl -s x && wget y && cat "$NETRC" && echo "$HOME"')
        lines = out.splitlines()
        assert lines[:3] == [
            "curl|--netrc-optional|-s|x|", "wget|y|", "machine h login ada password hunter2"
        ]  # fmt: skip
        assert not lines[3].endswith("/run/site/home"), "the step's own home stays"
        out, _ = run(netrc, "git config --get-all user.home || git -c alias.h='!echo $HOME' h")
        assert out.strip().endswith("/run/site/home")
        out, root = run(netrc, "apt-get update")
        assert "Dir::Etc::netrc" in (root / "run/site/apt.conf").read_text()


def test_logins_that_cannot_be_read_are_told_with_their_origin(overlay):
    settings = load(overlay('[site]\nnetrc = "gone"\n'))
    with pytest.raises(RequestError, match=r"site\.netrc cannot be read") as caught:
        site.script(settings, TEMPLATES)
    assert "dynbuild.toml" in caught.value.origin


# ---- steps that download -----------------------------------------------------------------

CERTIFICATES = (
    "SSL_CERT_FILE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "PIP_CERT", "REQUESTS_CA_BUNDLE",
    "CARGO_HTTP_CAINFO",
)  # fmt: skip


def _runs(text):
    """Every step of a Dockerfile, its lines joined."""
    joined = text.replace("\\\n", " ")
    return [line for line in joined.splitlines() if line.startswith("RUN ")]


@pytest.mark.processes("git")
@pytest.mark.parametrize("framework", CATALOG["frameworks"])
@pytest.mark.parametrize("wheels", ["source", "index==0.9.0"])
def test_every_step_that_has_the_script_begins_with_it(overlay, framework, wheels):
    settings = overlay(EVERYTHING + '[tools.uv]\nkind = "pypi"\n')
    asked = {"framework": framework, "target": "local-dev", "dynamo_wheels": wheels}
    gms = {"ENABLE_GPU_MEMORY_SERVICE": "false"}
    steps = 0
    for image in make_job(settings, **asked, make_efa=True, args=gms).images:
        for run in _runs(dockerfile.render(image, TEMPLATES)):
            if "id=site," in run:
                steps += 1
                assert ". /run/secrets/site && " in run, run
            for variable in CERTIFICATES if "id=ca_bundle_path,env=PIP_CERT" in run else ():
                assert f"id=ca_bundle_path,env={variable}" in run
    assert steps > 5


@pytest.mark.processes("git")
def test_rustup_has_one_server_wherever_it_may_be_called():
    image = make_image_job(framework="none", target="dev", device="cpu")
    text = dockerfile.render(image, TEMPLATES)
    for stage in re.split(r"^# ==== ", text, flags=re.M):
        if "RUSTUP_HOME=" in stage and stage.split()[0] != "rust_tool":
            assert "RUSTUP_DIST_SERVER=${RUSTUP_DIST_SERVER}" in stage, stage.split()[0]
            assert "RUSTUP_UPDATE_ROOT=${RUSTUP_DIST_SERVER}/rustup" in stage
