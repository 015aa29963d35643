"""Programs from the distribution, against an apt that a test plays."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dynbuild import proc
from dynbuild.engine import base, packages
from dynbuild.errors import NotReady, RequestError, ToolFailed


def silent(_line):
    pass


class Apt:
    """Plays the programs of the distribution.

    Attributes:
        calls: What was run.
        broken: Words of a command that make it fail, with what it then says.
    """

    targets = "http://u:p@m.example/debian\tbookworm\tmain\t{entry}\n"

    def __init__(self, tmp_path):
        entry = tmp_path / "debian.sources"
        entry.write_text("# comment\nTypes: deb\nSigned-By: /k.gpg\n")
        self.listing = self.targets.format(entry=f"{entry}:1")
        self.calls = []
        self.broken = {}

    def __call__(self, argv, *, check=True, cwd=None, **_):
        argv = tuple(argv)
        self.calls.append(argv)
        out = ""
        for word, message in self.broken.items():
            if word in " ".join(argv):
                if not check:
                    return proc.Completed(argv=argv, returncode=1, stdout="", stderr=message)
                raise ToolFailed("failed", returncode=100, stderr=message)
        if "indextargets" in argv:
            out = self.listing
        elif "pkgnames" in argv:
            out = "docker-cli\n"
        elif "download" in argv:
            line = (cwd.parent / "sources.list").read_text()
            (cwd / "all.deb").write_text(line)
        elif argv[:2] == ("dpkg", "-x"):
            root = Path(argv[3])
            for name in ("sbin/dockerd", "bin/docker", "bin/containerd", "bin/docker-buildx"):
                (root / "usr" / name).parent.mkdir(parents=True, exist_ok=True)
                (root / "usr" / name).write_text(Path(argv[2]).read_text())
        return proc.Completed(argv=argv, returncode=0, stdout=out, stderr="")


@pytest.fixture
def apt(tmp_path, monkeypatch):
    played = Apt(tmp_path)
    monkeypatch.setattr(proc, "run", played)
    monkeypatch.setattr(
        packages.platform, "freedesktop_os_release", lambda: {"VERSION_CODENAME": "bookworm"}
    )
    monkeypatch.setattr(packages.shutil, "which", lambda name, **_: f"/bin/{name}")
    return played


def test_the_newest_suite_is_taken(apt, tmp_path):
    root, work = tmp_path / "root", tmp_path / "work"
    lines = []
    packages.ensure_engine(root, work, {}, lines.append)
    taken = (root / "usr/sbin/dockerd").read_text()
    assert taken == "deb [signed-by=/k.gpg] http://u:p@m.example/debian testing main\n"
    assert lines == ["downloading the Docker engine: suite testing of http://m.example/debian"]
    assert not work.exists()

    apt.calls.clear()
    packages.ensure_engine(root, work, {}, lines.append)
    assert apt.calls == []


def test_whatever_the_machines_apt_lets_pass_must_be_signed(apt, tmp_path, monkeypatch):
    written = []

    def run(argv, **options):
        if "-c" in argv:
            written.append(Path(argv[argv.index("-c") + 1]).read_text())
        return apt(argv, **options)

    monkeypatch.setattr(proc, "run", run)
    packages.ensure_engine(tmp_path / "root", tmp_path / "work", {}, silent)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(packages.shutil, "which", lambda *_, **__: None)
    with pytest.raises(NotReady):
        packages.ensure_programs(("runc",), {}, silent)
    install = next(call for call in apt.calls if "install" in call)
    for key in ("APT::Get::AllowUnauthenticated", "Acquire::AllowInsecureRepositories"):
        assert len(written) == 3
        assert all(f'{key} "false";' in text for text in written)
        assert f"{key}=false" in install


def test_an_engine_that_does_not_run_here_is_not_taken(apt, tmp_path, monkeypatch):
    def run(argv, **options):
        if argv[0].endswith("dockerd") and "testing" in Path(argv[0]).read_text():
            raise ToolFailed("GLIBC too old", returncode=1)
        return apt(argv, **options)

    monkeypatch.setattr(proc, "run", run)
    packages.ensure_engine(tmp_path / "root", tmp_path / "work", {}, silent)
    assert " stable " in (tmp_path / "root/usr/sbin/dockerd").read_text()


def test_no_suite_has_an_engine(apt, tmp_path):
    apt.broken["update"] = "Reading…\nE: Failed to fetch http://u:p@m.example/x  404\n"
    with pytest.raises(NotReady, match=r"no suite of http://m\.example/debian") as caught:
        packages.ensure_engine(tmp_path / "root", tmp_path / "work", {}, silent)
    assert caught.value.details == tuple(
        f"{suite}: E: Failed to fetch http://m.example/x  404"
        for suite in ("testing", "stable", "bookworm")
    )
    assert not (tmp_path / "root").exists()
    assert not (tmp_path / "work").exists()


def test_no_apt_at_all(tmp_path, monkeypatch):
    monkeypatch.setattr(packages.shutil, "which", lambda *_, **__: None)
    with pytest.raises(NotReady, match="there is no apt-get here"):
        packages.ensure_engine(tmp_path / "root", tmp_path / "work", {}, silent)


def test_apt_names_no_source(apt):
    apt.listing = ""
    with pytest.raises(NotReady, match="names no package source"):
        packages.main_source({})


def test_missing_programs_are_installed(apt, monkeypatch):
    installed = set()

    def run(argv, **_):
        apt.calls.append(tuple(argv))
        if "update" in argv:
            installed.add("lists")
        elif "lists" not in installed:
            raise ToolFailed("failed", returncode=100, stderr="E: Unable to locate package runc")
        else:
            installed.update(argv)
        return proc.Completed(argv=tuple(argv), returncode=0, stdout="", stderr="")

    def which(name, path=None):
        assert "/usr/sbin" in path
        return f"/bin/{name}" if name in installed or name == "iptables" else None

    monkeypatch.setattr(proc, "run", run)
    monkeypatch.setattr(packages.shutil, "which", which)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    lines = []
    packages.ensure_programs(("runc", "iptables"), {"PATH": "/bin"}, lines.append)
    assert lines == ["installing runc with apt-get"]
    assert ["install" in call for call in apt.calls] == [True, False, True]
    assert "iptables" not in apt.calls[-1]

    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    installed.clear()
    with pytest.raises(NotReady, match="runc must be installed") as caught:
        packages.ensure_programs(("runc",), {"PATH": "/bin"}, silent)
    assert caught.value.hint == "as root: apt-get install runc"


def test_keyrings_of_both_kinds_of_source(tmp_path):
    old = tmp_path / "a.list"
    old.write_text("# old\ndeb [arch=amd64 signed-by=/k/a.gpg] http://m.example x main\ndeb y\n")
    assert packages._signed_by(f"{old}:2") == "/k/a.gpg"
    assert packages._signed_by(f"{old}:3") is None
    new = tmp_path / "b.sources"
    new.write_text("Types: deb\nSigned-By: /k/1.gpg\n\nTypes: deb\nSigned-By: /k/2.gpg\n")
    assert packages._signed_by(f"{new}:2") == "/k/2.gpg"


# --- base image


def test_a_suite_that_is_no_name():
    with pytest.raises(RequestError, match="not the name of a suite"):
        base.make_base(None, {}, suite="../x", say=silent)
    with pytest.raises(RequestError, match="is not one of amd64, arm64"):
        base.make_base(None, {}, arch="vax", say=silent)


def test_a_suite_that_the_mirror_lacks(apt):
    apt.broken["dists/woody"] = "Err:1 … 404  Not Found"
    with pytest.raises(RequestError, match="has no suite 'woody'"):
        base.make_base(None, {}, suite="woody", say=silent)
    apt.broken = {"dists/sid": "Err:1 … Could not connect"}
    with pytest.raises(NotReady, match=r"http://m\.example/debian does not answer"):
        base.make_base(None, {}, suite="sid", say=silent)
