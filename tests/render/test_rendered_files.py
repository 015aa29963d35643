"""Rules over the text of every committed Dockerfile."""

from __future__ import annotations

import re
import runpy

import pytest

from tests.support import ROOT

FILES = sorted((ROOT / "dockerfiles").glob("*.Dockerfile"))


def test_all_that_is_committed_is_what_would_be_generated():
    wanted = dict(runpy.run_path(str(ROOT / "dockerfiles" / "generate.py"))["files"]())
    stale = [path.name for path, text in wanted.items() if path.read_text("utf-8") != text]
    assert not stale, "run: make generate"
    assert set(FILES) <= set(wanted)


def _recursive(text):
    """Commands that change the owner or the mode of whole trees."""
    for command in re.findall(r"\b(?:chown|chmod|chgrp)\b[^\n|&;]*", text):
        if any(re.fullmatch(r"--recursive|-[a-zA-Z]*R[a-zA-Z]*", word) for word in command.split()):
            yield command
    # usermod walks through the home folder when it changes the uid.
    yield from re.findall(r"^[^#\n]*\busermod\b.*", text, re.MULTILINE)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_ownership_and_modes_are_never_changed_recursively(path):
    """It would copy into a layer every file that it touches, and takes minutes."""
    assert list(_recursive(path.read_text())) == []


@pytest.mark.parametrize(
    "line",
    [
        "RUN chmod -R a+rX /tool", "RUN true && chown -hR dynamo:0 /home", "chgrp --recursive 0 /x",
        "RUN mkdir /x && usermod --uid 5 dynamo",
    ],
)  # fmt: skip
def test_the_rule_above_finds_what_it_is_for(line):
    assert len(list(_recursive(f"FROM base\n{line}\n"))) == 1


@pytest.mark.parametrize(
    "path",
    [path for path in FILES if re.match(r"sglang-(?!.*-aws-)", path.stem)],
    ids=lambda path: path.stem,
)
def test_vendor_s_engine_bounds_all_that_is_installed_beside_it(path):
    """It is outside of the venv, where uv does not look: uv would install its PyTorch anew."""
    text = path.read_text()
    assert "python3 -m venv --system-site-packages" in text
    installs = re.findall(r"(?:uv|python -m) pip install\b[^\n&;]*", text)
    assert len(installs) >= 3
    for command in map(str.strip, installs):
        # What uv may install needs nothing that an engine has.
        tool = re.fullmatch(r'uv pip install (?:"[a-z0-9]+(?:\[\w+\])?==\S+" ?\\?)+', command)
        assert tool or "-c /opt/dynamo/engine.txt" in command, command


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_step_that_installs_wheels_leaves_none_of_their_development_files(path):
    """A later one would hide them in a layer of its own, and the image be none the smaller."""
    steps = re.split(r"\n(?=[A-Z]+ |#)", path.read_text())
    wheels = [step for step in steps if "one 'ai_dynamo_runtime*.whl'" in step]
    for step in wheels:
        assert " pip install" in step
        assert step.rstrip().endswith('/include/site" "${VIRTUAL_ENV}/pkgconfig"')
    assert wheels or not re.search("-(?:runtime|frontend)-(?!aws-)", path.stem)
