"""What downloads in a step gets over faults of the network by itself."""

from __future__ import annotations

import functools
import re

from dynbuild.render import graph
from tests import cells

CELLS = tuple(cell for cell in cells.cells() if cell.line in (cells.LINES[0], cells.LINES[-1]))

_OWN = {
    r"\bapt-get (?:-\S+ )*(?:update|install|source)\b": r"-oAcquire::Retries=5",
    r"\bpip download\b|-m pip install\b|/pip install\b": r"--retries 7",
    r"\bcurl --": r"--retry 5",
    r"\bdnf (?:-\S+ )*install\b": r"\bagain dnf install\b",
}
"""A command, and what has to stand in it as often."""

_VARIABLES = {
    r"\buv (?:pip install|build)\b": "UV_HTTP_RETRIES",
    r"\bmaturin build\b|\bcargo build\b": "CARGO_NET_RETRY",
    r"/rustup-init\b -y": "RUSTUP_MAX_RETRIES",
}


@functools.cache
def runs():
    """The distinct RUN steps of the oldest line and the newest."""
    found = {}
    for cell in CELLS:
        image, text = cells.rendered(cell)
        for key, step in graph.of(image.plan, text).steps.items():
            if step.is_run:
                found.setdefault(key, step)
    return tuple(found.values())


def text_of(step):
    return " ".join(f"{step.instruction.text} {step.instruction.body}".replace("\\\n", " ").split())


def test_apt_dnf_pip_and_curl_are_told_to_try_again():
    for command, option in _OWN.items():
        met = 0
        for step in runs():
            text = text_of(step)
            commands, options = len(re.findall(command, text)), len(re.findall(option, text))
            met += commands
            assert commands <= options, (step.stage, text)
        assert met, command


def test_uv_cargo_and_rustup_are_told_to_by_variables():
    for command, variable in _VARIABLES.items():
        met = 0
        for step in runs():
            text = text_of(step)
            if re.search(command, text):
                met += 1
                assert f"variable {variable}" in step.parts or f"{variable}=" in text, (
                    step.stage, text,
                )  # fmt: skip
        assert met, command


def test_no_image_keeps_them():
    """They are for the build: what runs in an image later has its own."""
    for cell in CELLS:
        if cell.target in ("runtime", "frontend", "planner"):
            _, text = cells.rendered(cell)
            last = text.rpartition("# ==== ")[2]
            for env in re.findall(r"^ENV (?:.*\\\n)*.*", last, re.M):
                assert not re.search(r"RETR(?:Y|IES)|LOW_SPEED", env), cell
