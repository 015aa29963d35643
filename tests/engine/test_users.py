"""An engine is not ended while another installation of dynbuild uses it."""

from __future__ import annotations

import sys

import pytest

from dynbuild.engine.private import users
from dynbuild.engine.private.place import place_of


@pytest.fixture
def env(tmp_path):
    env = {"DYNBUILD_HOME": str(tmp_path / "home")}
    place_of(env).root.mkdir(parents=True)
    return env


def test_the_last_one_leaves_nobody_behind(env, tmp_path, monkeypatch):
    other = tmp_path / "other"
    other.mkdir()
    users.join(env)
    users.join(env)
    monkeypatch.setattr(sys, "prefix", str(other))
    users.join(env)
    assert place_of(env).users.read_text().count(str(other)) == 1
    monkeypatch.undo()
    assert users.leave(env) == (str(other),)
    assert users.leave(env) == (str(other),)
    other.rmdir()  # a checkout that was removed without a word
    assert users.leave(env) == ()


def test_an_engine_that_nobody_made(tmp_path):
    env = {"DYNBUILD_HOME": str(tmp_path / "none")}
    users.join(env)
    assert users.leave(env) == ()
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("text", ["", "{", "{}", "[1]", "[" * 9999])
def test_a_note_that_is_broken_names_nobody(env, text):
    place_of(env).users.write_text(text)
    assert users.leave(env) == ()
