"""A call beside other work: its result, or what it raises, when somebody wants it."""

from __future__ import annotations

import threading

import pytest

from dynbuild.build.background import Background


def test_it_begins_at_once_and_its_result_is_waited_for():
    begun, go = threading.Event(), threading.Event()

    def call():
        begun.set()
        return go.wait(10)

    one = Background(call)
    assert begun.wait(10)
    go.set()
    assert one.result()
    assert one.result()


def test_what_it_raises_is_raised_where_it_is_wanted():
    def call():
        raise ValueError("not this")

    one = Background(call)
    for _ in range(2):
        with pytest.raises(ValueError, match="not this"):
            one.result()
