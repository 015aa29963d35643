"""What the private engine asks of a machine, without one that runs.

Those that only root can ask are marked with the ones that need an engine.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from dynbuild import paths
from dynbuild.engine import packages, private
from dynbuild.engine.private import network, processes, start
from dynbuild.engine.private.layout import layout_of, make_private_directory
from dynbuild.errors import NotReady, RequestError

REPO = Path(__file__).parents[2]


def silent(_line):
    pass


def test_home():
    assert paths.home({"DYNBUILD_HOME": "/a/b", "HOME": "/c"}) == Path("/a/b")
    assert paths.home({"XDG_DATA_HOME": "/d", "HOME": "/c"}) == Path("/d/dynbuild")
    assert paths.home({"HOME": "/c"}) == Path("/c/.local/share/dynbuild")


def test_an_ordinary_user_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(NotReady, match="must be started by root"):
        private.up({"DYNBUILD_HOME": str(tmp_path)}, silent)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.engine
def test_a_confined_root_is_told(tmp_path):
    code = (
        f"from dynbuild.engine import private; private.up({{'DYNBUILD_HOME': '{tmp_path}'}}, print)"
    )
    done = subprocess.run(
        ("setpriv", "--bounding-set=-sys_admin", sys.executable, "-c", code),
        cwd=REPO,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "CAP_SYS_ADMIN" in done.stderr.splitlines()[-1]


@pytest.mark.engine
def test_a_path_that_overlayfs_cannot_take(tmp_path):
    with pytest.raises(RequestError, match="contains ':'"):
        private.up({"DYNBUILD_HOME": str(tmp_path / "a:b")}, silent)


@pytest.mark.engine
def test_a_place_that_cannot_be_written():
    with pytest.raises(NotReady, match="/proc/x/engine cannot be made"):
        private.up({"DYNBUILD_HOME": "/proc/x"}, silent)
    assert private.down({"DYNBUILD_HOME": "/proc/x"}) is False


@pytest.mark.engine
def test_a_full_disk(tmp_path, monkeypatch):
    def fail(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(packages, "ensure_engine", fail)
    with pytest.raises(NotReady, match="No space left on device"):
        private.up({"DYNBUILD_HOME": str(tmp_path)}, silent)


def test_a_directory_of_somebody_else(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(NotReady, match="not a directory of this user"):
        make_private_directory(tmp_path / "link")


@pytest.mark.processes("dockerd", "unshare")
def test_an_engine_is_seen_by_its_network(tmp_path, monkeypatch):
    place = layout_of({"DYNBUILD_HOME": str(tmp_path)})
    daemon = tmp_path / "dockerd"
    shutil.copy(Path("/bin/sh").resolve(), daemon)

    def seen(*before):
        with subprocess.Popen(
            (*before, daemon, "-c", "echo; read line"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as process:
            assert process.stdout
            process.stdout.readline()
            others = [psutil.Process(process.pid)]
            monkeypatch.setattr(psutil, "process_iter", lambda: others)
            return network.has_neighbour(place)

    assert seen()
    if os.geteuid() == 0:
        assert not seen("unshare", "--net")


@pytest.mark.processes("cat")
def test_a_program_that_has_no_command_line_yet_is_not_dead(tmp_path, monkeypatch):
    place = layout_of({"DYNBUILD_HOME": str(tmp_path)})
    monkeypatch.setattr(start, "processes_of", lambda _place: [])
    looks = iter((False, False, True))
    with subprocess.Popen(("cat",), stdin=subprocess.PIPE) as process:
        start._wait_until(
            lambda: next(looks), place, processes.program_name(process.pid), process.pid
        )
    with pytest.raises(NotReady, match="cat ended"):
        start._wait_until(lambda: False, place, "cat", process.pid)


def test_names_of_bridges():
    names = {layout_of({"DYNBUILD_HOME": home}).bridge for home in ("/a", "/b", "/c" * 99)}
    assert len(names) == 3
    assert all(len(name) <= 15 for name in names)


@pytest.mark.engine
def test_a_bridge_that_cannot_be_made():
    code = "from dynbuild.engine.private import network; network.add_bridge('dynbuild-test')"
    done = subprocess.run(
        ("setpriv", "--bounding-set=-net_admin", sys.executable, "-c", code),
        cwd=REPO,
        capture_output=True,
        text=True,
        check=False,
    )
    last = done.stderr.splitlines()[-1]
    assert "the network bridge dynbuild-test cannot be made" in last
