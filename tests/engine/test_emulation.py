"""Emulators, with a kernel and an apt that a test plays."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from dynbuild import proc
from dynbuild.engine import emulation, packages
from dynbuild.errors import NotReady, RequestError, ToolFailed

MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


def silent(_line):
    pass


@pytest.fixture
def env(tmp_path):
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "DYNBUILD_HOME": str(tmp_path)}


@pytest.mark.processes("chroot", "env")
def test_own_programs_run(env):
    own = next(name for name in MACHINES if name != emulation.other())
    assert emulation.runs(own, env)
    assert emulation.ensure(own, env, silent) is False
    assert list((Path(env["DYNBUILD_HOME"]) / "engine/emulators").iterdir()) == []


@pytest.mark.parametrize(("arch", "number"), [("amd64", 62), ("arm64", 183)])
def test_the_probe_is_an_elf_program(arch, number, tmp_path):
    file = tmp_path / "program"
    file.write_bytes(emulation._program(emulation._KINDS[arch]))
    data = file.read_bytes()
    assert data[:4] == b"\x7fELF"
    assert int.from_bytes(data[18:20], "little") == number
    assert len(data) == 120 + len(emulation._KINDS[arch].exits)


def test_another_architecture(env):
    for call in (emulation.ensure, lambda arch, env, _: emulation.remove(env, arch)):
        with pytest.raises(RequestError, match="'vax' is not one of amd64, arm64"):
            call("vax", env, silent)


# --- a kernel that a test plays


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    """A folder in place of binfmt_misc; ``runs`` says what the test says."""
    folder = tmp_path / "binfmt_misc"
    monkeypatch.setattr(emulation, "_BINFMT", folder)
    monkeypatch.setattr(emulation, "runs", lambda *_: False)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(packages, "ensure_emulator", lambda *_: None)
    return folder


def test_an_ordinary_user_is_told(kernel, env, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(NotReady, match="must be registered by root") as caught:
        emulation.ensure("arm64", env, silent)
    assert "dynbuild engine emulate arm64" in str(caught.value.hint)
    assert not kernel.exists()
    assert not (Path(env["DYNBUILD_HOME"]) / "emulation.json").exists()


def test_a_kernel_without_binfmt_misc(kernel, env, monkeypatch):
    asked = []
    done = proc.Completed(argv=(), returncode=1, stdout="", stderr="")
    monkeypatch.setattr(proc, "run", lambda argv, **_: asked.append(argv) or done)
    with pytest.raises(NotReady, match="this kernel has no binfmt_misc") as caught:
        emulation.ensure("arm64", env, silent)
    assert asked == [("modprobe", "binfmt_misc")]
    assert "modprobe binfmt_misc" in str(caught.value.hint)
    assert not kernel.exists()


def test_a_mount_that_is_refused(kernel, env, monkeypatch):
    def refuse(_argv, **_):
        raise ToolFailed("failed", returncode=32, stderr="", details=("permission denied",))

    kernel.mkdir()
    monkeypatch.setattr(proc, "run", refuse)
    with pytest.raises(NotReady, match="cannot be mounted here") as caught:
        emulation.ensure("arm64", env, silent)
    assert caught.value.details == ("permission denied",)


def test_what_was_mounted_is_unmounted_when_nobody_else_uses_it(kernel, env, monkeypatch):
    asked = []

    def run(argv, **_):
        asked.append(argv[0])
        if argv[0] == "mount":
            for name in ("register", "status"):
                (kernel / name).touch()
        return proc.Completed(argv=argv, returncode=0, stdout="", stderr="")

    kernel.mkdir()
    answers = iter((False, False, True))
    monkeypatch.setattr(proc, "run", run)
    monkeypatch.setattr(emulation, "runs", lambda *_: next(answers))
    assert emulation.ensure("arm64", env, silent) is True
    record = json.loads((Path(env["DYNBUILD_HOME"]) / "emulation.json").read_text())
    assert record["mounted"] is True
    fields = (kernel / "register").read_text().split(":")
    assert fields[:3] == ["", "dynbuild-arm64", "M"]
    assert fields[-1] == "OPF"
    assert fields[-2] == record["registered"]["arm64"]

    (kernel / "qemu-riscv64").touch()
    emulation.remove(env)
    assert asked == ["mount"]
    (kernel / "qemu-riscv64").unlink()
    emulation._write(emulation._Record(mounted=True), env)
    emulation.remove(env)
    assert asked == ["mount", "umount"]


def test_a_registration_that_the_kernel_refuses(kernel, env, monkeypatch):
    kernel.mkdir()
    (kernel / "register").mkdir()
    monkeypatch.setattr(proc, "run", None)
    with pytest.raises(NotReady, match="the kernel does not take the emulator"):
        emulation.ensure("arm64", env, silent)


# --- the download, against an apt that a test plays


@pytest.fixture
def apt(tmp_path, monkeypatch):
    """Plays apt and dpkg: what each suite's packages hold is for the test to say."""
    entry = tmp_path / "debian.list"
    entry.write_text("deb http://u:p@m.example/debian bookworm main\n")
    programs = {"stable": "qemu-aarch64", "bookworm": "qemu-aarch64-static"}

    def run(argv, *, cwd=None, **_):
        out = ""
        if "indextargets" in argv:
            out = f"http://u:p@m.example/debian\tbookworm\tmain\t{entry}:1\n"
        elif "pkgnames" in argv:
            out = "bash\nqemu-user\nqemu-user-static\n"
        elif "download" in argv:
            assert argv[-2:] == ("qemu-user", "qemu-user-static")
            suite = (cwd.parent / "sources.list").read_text().split()[2]
            (cwd / "all.deb").write_text(programs[suite])
        elif argv[:2] == ("dpkg", "-x"):
            folder = Path(argv[3], "usr/bin")
            folder.mkdir(parents=True)
            (folder / Path(argv[2]).read_text()).write_text(Path(argv[2]).read_text())
        elif argv[0] == "chroot" and "needs a library" in Path(argv[1], "emulator").read_text():
            raise ToolFailed("failed", returncode=127)
        return proc.Completed(argv=tuple(argv), returncode=0, stdout=out, stderr="")

    monkeypatch.setattr(proc, "run", run)
    monkeypatch.setattr(
        packages.platform, "freedesktop_os_release", lambda: {"VERSION_CODENAME": "bookworm"}
    )
    monkeypatch.setattr(packages.shutil, "which", lambda name, **_: f"/bin/{name}")
    return programs


def _fetch(tmp_path):
    lines = []
    target = tmp_path / "emulator"
    packages.ensure_emulator("aarch64", target, tmp_path / "work", {}, lines.append)
    assert not (tmp_path / "work").exists()
    return target.read_text(), lines


def test_the_stable_suite_is_taken(apt, tmp_path):
    assert apt
    said = "downloading QEMU: suite stable of http://m.example/debian"
    assert _fetch(tmp_path) == ("qemu-aarch64", [said])
    assert _fetch(tmp_path) == ("qemu-aarch64", [])


@pytest.mark.parametrize("stable", ["qemu-arm", "qemu-aarch64 needs a library"])
def test_a_suite_whose_emulator_does_not_fit_is_passed_over(apt, tmp_path, stable):
    apt["stable"] = stable
    content, lines = _fetch(tmp_path)
    assert content == "qemu-aarch64-static"
    assert len(lines) == 2


def test_no_suite_has_an_emulator(apt, tmp_path):
    apt.update(stable="qemu-arm", bookworm="qemu-arm")
    with pytest.raises(NotReady, match="has an emulator for aarch64") as caught:
        _fetch(tmp_path)
    assert caught.value.details == tuple(
        f"{suite}: its packages contain no qemu-aarch64" for suite in ("stable", "bookworm")
    )
    assert not (tmp_path / "emulator").exists()
    assert not (tmp_path / "work").exists()
