"""Emulators, registered with the kernel for real."""

from __future__ import annotations

import json
import os
import shutil

import pytest

from dynbuild.engine import emulation
from dynbuild.errors import NotReady

pytestmark = pytest.mark.engine

MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


def silent(_line):
    pass


@pytest.fixture
def env(tmp_path):
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "DYNBUILD_HOME": str(tmp_path)}


@pytest.fixture
def foreign(env):
    """The other architecture, with no emulator of dynbuild's; put back as it was."""
    arch = emulation.other()
    before = emulation.remove(os.environ, arch)
    if emulation.runs(arch, env):
        pytest.skip(f"somebody else's emulator for {arch} is registered, and is left alone")
    yield arch
    emulation.remove(env)
    if before:
        emulation.ensure(arch, os.environ, silent)


def test_a_life(foreign, env, tmp_path):
    lines = []
    assert emulation.ensure(foreign, env, lines.append) is True
    assert any("downloading QEMU" in line for line in lines)
    assert emulation.runs(foreign, env)
    entry = emulation._entry(foreign).read_text()
    assert f"interpreter {tmp_path}/engine/emulators/{MACHINES[foreign]}-binfmt-P\n" in entry
    # In containers there is no such file: the kernel keeps it open.
    assert "flags: POF" in entry
    assert foreign in json.loads((tmp_path / "emulation.json").read_text())["registered"]
    assert not (tmp_path / "engine/emulators/download").exists()

    lines.clear()
    assert emulation.ensure(foreign, env, lines.append) is False
    assert lines == []
    # Somebody else's: left alone, by ensure and by remove.
    other = env | {"DYNBUILD_HOME": str(tmp_path / "second")}
    assert emulation.ensure(foreign, other, silent) is False
    assert emulation.remove(other) == ()
    assert emulation.runs(foreign, env)

    # An entry that is dead, perhaps of a folder that is gone, is replaced; nothing is
    # downloaded again.
    dead = tmp_path / "dead"
    shutil.copy2("/bin/false", dead)
    emulation._register(foreign, dead)
    assert emulation.ensure(foreign, env, lines.append) is True
    assert lines == []
    assert str(dead) not in emulation._entry(foreign).read_text()

    assert emulation.remove(env, foreign) == (foreign,)
    assert not emulation.runs(foreign, env)
    assert not emulation._entry(foreign).exists()
    assert not (tmp_path / "emulation.json").exists()
    assert emulation.remove(env) == ()

    # Where the kernel forgot it, as after a restart, nothing is taken away.
    assert emulation.ensure(foreign, env, silent) is True
    emulation._entry(foreign).write_text("-1")
    assert emulation.remove(env) == ()
    assert not (tmp_path / "emulation.json").exists()


def test_what_does_not_emulate_is_not_left_registered(foreign, env, tmp_path):
    program = tmp_path / f"engine/emulators/{MACHINES[foreign]}-binfmt-P"
    program.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2("/bin/false", program)
    with pytest.raises(NotReady, match="does not use it"):
        emulation.ensure(foreign, env, silent)
    assert not emulation._entry(foreign).exists()
    assert not (tmp_path / "emulation.json").exists()
