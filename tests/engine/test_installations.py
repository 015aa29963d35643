"""An engine is not ended while another installation of dynbuild uses it."""

from __future__ import annotations

import sys

import pytest

from dynbuild.engine.private import installations
from dynbuild.engine.private.layout import layout_of


@pytest.fixture
def env(tmp_path):
    env = {"DYNBUILD_HOME": str(tmp_path / "home")}
    layout_of(env).root.mkdir(parents=True)
    return env


def test_the_last_one_leaves_nobody_behind(env, tmp_path, monkeypatch):
    other = tmp_path / "other"
    other.mkdir()
    installations.join(env)
    installations.join(env)
    monkeypatch.setattr(sys, "prefix", str(other))
    installations.join(env)
    assert layout_of(env).installations.read_text().count(str(other)) == 1
    monkeypatch.undo()
    assert installations.leave(env) == (str(other),)
    assert installations.leave(env) == (str(other),)
    other.rmdir()  # a checkout that was removed without a word
    assert installations.leave(env) == ()


def test_an_engine_that_nobody_made(tmp_path):
    env = {"DYNBUILD_HOME": str(tmp_path / "none")}
    installations.join(env)
    assert installations.leave(env) == ()
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("text", ["", "{", "{}", "[1]", "[" * 9999])
def test_a_note_that_is_broken_names_nobody(env, text):
    layout_of(env).installations.write_text(text)
    assert installations.leave(env) == ()
