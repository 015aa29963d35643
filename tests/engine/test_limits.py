"""Hard limits of an engine, read from what the kernel says of its process."""

from __future__ import annotations

import resource
import socket
from pathlib import Path

import pytest

from dynbuild.engine import limits

pytestmark = pytest.mark.network

TEXT = """\
Limit                     Soft Limit           Hard Limit           Units
Max stack size            8388608              unlimited            bytes
Max open files            1024                 20000                files
Max locked memory         8388608              8388608              bytes
Max realtime timeout      unlimited            unlimited            us
"""


def test_parse_keeps_bounded_limits_by_docker_name():
    assert limits.parse(TEXT) == {"nofile": 20000, "memlock": 8388608}


def test_engine_elsewhere_or_absent_bounds_nothing(tmp_path):
    assert limits.of_engine("tcp://127.0.0.1:9", {}) == {}
    assert limits.of_engine(f"unix://{tmp_path}/none.sock", {}) == {}


def test_limits_are_those_of_the_process_that_listens(tmp_path):
    """This process plays the engine: its own limits are what comes back."""
    path = str(tmp_path / "engine.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(path)
        server.listen()
        found = limits.of_engine(f"unix://{path}", {})
        assert found == limits.of_engine(None, {"DOCKER_HOST": f"unix://{path}"})
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    capabilities = Path("/proc/self/status").read_text().split("CapEff:")[1].split()[0]
    may_raise = int(capabilities, 16) >> 24 & 1
    assert found == {} if may_raise else found["nofile"] == hard
