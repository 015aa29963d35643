"""Which engine a build takes, and when a private one is offered."""

from __future__ import annotations

import pytest

from dynbuild.cli import prompt, solving
from dynbuild.engine import client, private
from dynbuild.engine.model import Engine
from dynbuild.engine.private.network import Trouble
from dynbuild.errors import NotReady

ENGINE = Engine("system", "docker", None, None, "28.5.2", "0.29", containerd_store=True)
PRIVATE = Engine("private", "docker", "unix:///x", None, "28.5.2", "0.29", containerd_store=True)


@pytest.fixture
def machine(monkeypatch):
    """A machine without an engine, at whose terminal somebody says yes; changed by a test."""
    said = {"engine": NotReady("no Docker engine answers"), "terminal": True, "answer": True}
    started = []

    def find(_env):
        if isinstance(said["engine"], BaseException):
            raise said["engine"]
        return said["engine"]

    def up(_env, _say):
        started.append(PRIVATE)
        return PRIVATE

    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setattr(client, "find", find)
    monkeypatch.setattr(private, "up", up)
    monkeypatch.setattr(prompt, "is_interactive", lambda: said["terminal"])
    monkeypatch.setattr("typer.confirm", lambda *_, **__: said["answer"])
    return said, started


NO_NETWORK = Trouble("bridge", "the bridge is gone")


def test_the_network_is_looked_at_beside_the_planning(machine, monkeypatch):
    said, _ = machine
    looked = []

    def trouble(engine, _env):
        looked.append(engine)
        return NO_NETWORK

    monkeypatch.setattr(private, "network_trouble", trouble)
    said["engine"] = PRIVATE
    search = solving.Search()
    assert search.network_trouble(PRIVATE) is NO_NETWORK
    assert looked == [PRIVATE], "once"
    # One that was started meanwhile is looked at by itself.
    said["engine"] = NotReady("no Docker engine answers")
    assert solving.Search().network_trouble(PRIVATE) is NO_NETWORK
    assert looked == [PRIVATE] * 2


def engine():
    return solving.engine_of(solving.Search())


def test_the_engine_that_answers_is_taken(machine):
    said, started = machine
    said["engine"] = ENGINE
    assert engine() is ENGINE
    assert not started


def test_a_private_one_is_offered_where_none_answers(machine):
    _, started = machine
    assert engine() is PRIVATE
    assert started == [PRIVATE]


@pytest.mark.parametrize(
    "change", [{"terminal": False}, {"answer": False}, {"engine": RuntimeError("no Docker")}]
)
def test_it_is_not_started_unasked(machine, change):
    said, started = machine
    said.update(change)
    with pytest.raises((NotReady, RuntimeError), match="no Docker"):
        engine()
    assert not started


def test_an_engine_that_was_named_is_never_replaced(machine, monkeypatch):
    _, started = machine
    monkeypatch.setenv("DOCKER_HOST", "unix:///gone")
    with pytest.raises(NotReady):
        engine()
    assert not started
