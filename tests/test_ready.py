"""What the suite says of a machine that cannot run it, before anything is downloaded."""

import shutil
import sys

import pytest

from dynbuild import proc
from tests import ready

pytestmark = pytest.mark.processes("du", "python")


@pytest.fixture
def free(monkeypatch):
    """Set the bytes that are free on every disk."""

    def run(count):
        usage = shutil.disk_usage("/")._replace(free=count)
        monkeypatch.setattr(shutil, "disk_usage", lambda _place: usage)

    return run


@pytest.fixture
def complete(monkeypatch):
    """A machine with everything but disk."""
    monkeypatch.setattr(ready.os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda name, **_: f"/bin/{name}")


@pytest.mark.usefixtures("complete")
def test_a_disk_that_is_too_full(tmp_path, free):
    free(ready.GB)
    (told,) = ready.problems({"DYNBUILD_HOME": str(tmp_path / "new")})
    assert told.startswith("the tests need ")
    assert "and 1.0 GB are free" in told
    assert "DYNBUILD_HOME" in told


@pytest.mark.usefixtures("complete")
def test_what_is_there_counts(tmp_path, free):
    need = ready.ENGINE_BYTES + ready.FILES_BYTES + ready.TOOLS_BYTES
    free(need - ready.GB)
    env = {"DYNBUILD_HOME": str(tmp_path)}
    assert list(ready.problems(env))
    free(need)
    assert not list(ready.problems(env))


def test_each_disk_is_asked_for_what_lies_on_it(tmp_path, free):
    free(5)
    assert not list(ready.short_of_disk({tmp_path / "a" / "b": 2, tmp_path: 3}))
    (told,) = ready.short_of_disk({tmp_path / "a" / "b": 2, tmp_path: 4})
    assert str(tmp_path) in told


def test_an_ordinary_user_and_a_program_that_is_missing(tmp_path, free, monkeypatch):
    free(10**12)
    monkeypatch.setattr(ready.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(shutil, "which", lambda name, **_: None if name == "git" else name)
    assert list(ready.problems({"DYNBUILD_HOME": str(tmp_path)})) == [
        "the program git is needed",
        "root is needed: the tests start engines and mount file systems",
    ]


def test_it_needs_nothing_but_python(tmp_path):
    """Neither the virtual environment nor a library is there when it runs."""
    code = "import os, runpy; list(runpy.run_path('tests/ready.py')['problems'](os.environ))"
    argv = (sys.executable, "-I", "-S", "-c", code)
    done = proc.run(argv, cwd=ready.ROOT, env={"DYNBUILD_HOME": str(tmp_path)})
    assert done.stderr == ""
