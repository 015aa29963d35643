"""What is decided of settings once, whatever their cells."""

import pytest

from dynbuild.errors import RequestError
from dynbuild.plan import mirrors, planner, selection
from dynbuild.plan.named_matrix import named
from tests.plan.test_selection import lines_of
from tests.support import MACHINE, VERSION, WORKSPACE, load, refusal

ASKED = {"framework": "vllm,none", "target": "runtime,dev"}
WRONG = '[mirrors]\n"nvcr.io" = "https://mirror.example.com"\n'


def decide(selected):
    shared = planner.Shared(
        config=selected[0].config, version=VERSION, context=WORKSPACE, machine=MACHINE
    )
    return planner.decide_all(selected, shared)


def test_settings_are_looked_at_once_for_all_cells_that_have_them(monkeypatch):
    asked = []
    table = mirrors.table
    monkeypatch.setattr(mirrors, "table", lambda config: asked.append(config) or table(config))
    jobs = decide(selection.of_request([load(**ASKED), load(**ASKED, release_line="1.0")]))
    assert len(jobs) > 4
    assert len(asked) == 2
    assert len({id(image.reach) for job in jobs for image in job.images}) == 2


def test_what_is_wrong_with_settings_is_told_once_and_of_no_cell(overlay):
    """Though only some cells have those settings, and another thing is wrong with some."""
    path = overlay(
        f'{WRONG}[matrix.m]\nframeworks = ["vllm", "none"]\ntargets = ["runtime"]\n'
        '[matrix.m.cells."none-*"]\nargs.CARGO_BUILD_JOBS = "many"\n'
    )
    lines = lines_of(path)
    with pytest.raises(RequestError) as caught:
        decide(selection.of_matrix(lines, lines.chosen, named(lines[lines.chosen[0]], "m")))
    text = "\n".join((caught.value.message, *caught.value.details))
    assert caught.value.message == (
        "the mirror of 'nvcr.io' is 'https://mirror.example.com': one is an address, "
        "the other is none"
    )
    assert text.count("nvcr.io") == 1
    assert "none-runtime-cpu" in text
    assert "CARGO_BUILD_JOBS" in text


def test_wrong_mirrors_hide_nothing_else_that_is_wrong(overlay):
    error = refusal(overlay(WRONG), **ASKED, args={"ETCD_VERSION": "v3.6.0"})
    assert error.message.startswith("the mirror of 'nvcr.io'")
    assert sum("checksum of etcd" in line for line in error.details) == 1
