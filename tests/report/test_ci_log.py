"""The marks of CI systems."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynbuild.report.ci_log import Fold, error, system_of
from dynbuild.report.display import Display

TEXT = st.text(max_size=40)


@pytest.mark.parametrize(
    ("env", "system"),
    [
        ({}, None),
        ({"CI": "true"}, None),
        ({"GITHUB_ACTIONS": "true", "CI": "true"}, "github"),
        ({"GITHUB_ACTIONS": ""}, None),
        ({"GITLAB_CI": "true"}, "gitlab"),
    ],
)
def test_the_system_is_known_by_its_variable(env, system):
    assert system_of(env) == system


@given(TEXT)
def test_github_takes_no_line_of_a_fold_for_a_command(title):
    fold = Fold(title=title, mark="m", seconds=1)
    start, stop = fold.begin("github")
    assert start.startswith("::group::")
    assert len(start.splitlines()) == 1
    assert (stop, *fold.end("github")) == ("::stop-commands::m", "::m::", "::endgroup::")


@given(TEXT, TEXT)
def test_an_error_is_one_line(title, text):
    (line,) = error("github", title, text)
    assert len(line.split("\n")) == len(line.split("\r")) == 1
    head, said = line.removeprefix("::error title=").split("::", 1)
    assert "," not in head
    back = said.replace("%0A", "\n").replace("%0D", "\r").replace("%25", "%")
    assert back == Display().visible(text)


def test_gitlab_has_sections_and_no_errors():
    fold = Fold(title="a b+c", mark="m", seconds=7)
    (start,), (end,) = fold.begin("gitlab"), fold.end("gitlab")
    assert start == "\x1b[0Ksection_start:7:a_b_c_m[collapsed=true]\r\x1b[0Ka b+c"
    assert end == "\x1b[0Ksection_end:7:a_b_c_m\r\x1b[0K"
    assert error("gitlab", "a", "b") == ()
