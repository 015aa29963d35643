"""A matrix as JUnit's XML and as Markdown."""

from dataclasses import replace
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from dynbuild.build.result import Failure, Retry
from dynbuild.report import junit, matrix_markdown
from tests.report.test_matrix import DONE, FAILED, SKIPPED, ended

TEXT = st.text(max_size=30)


@given(TEXT, TEXT, st.lists(TEXT, max_size=3))
def test_whatever_a_step_printed_is_xml(step, message, lines):
    why = Failure(kind="user", step=step, message=message, lines=tuple(lines))
    failed = replace(FAILED, failure=why)
    root = ElementTree.fromstring(junit.render(ended(DONE, failed, SKIPPED)))
    (suite,) = root
    assert [case.get("name") for case in suite] == [DONE.id, FAILED.id, SKIPPED.id]
    assert (root.get("tests"), root.get("failures"), root.get("skipped")) == ("3", "1", "1")
    assert suite[1].find("failure").get("type") == "user"
    assert suite[2].find("skipped").get("message") == "skipped"


@given(TEXT, TEXT)
def test_whatever_a_step_printed_stays_in_its_cell_of_the_table(step, message):
    why = Failure(kind="user", step=step, message=message)
    text = matrix_markdown.render(ended(DONE, replace(FAILED, failure=why)))
    head, rule, done, failed, *_ = text.split("\n")[2:]
    assert head.startswith("| Cell |")
    assert rule == "|---|---|---|---|---|---|---|---|"
    assert done.startswith(f"| `{DONE.id}` | ✅ done | 1 min 1 s | 3 | 40 | 123 MB |")
    assert failed.startswith(f"| `{FAILED.id}` | ❌ failed |")


def test_a_failure_of_several_cells_is_told_once():
    other = replace(FAILED, id="none-dev-cpu")
    text = matrix_markdown.render(ended(FAILED, other))
    assert text.count("make: *** stop") == 1
    assert f"### `{FAILED.id}`, `none-dev-cpu`\n" in text


def test_warnings_are_told():
    result = replace(ended(DONE), warnings=("a *star*",))
    assert matrix_markdown.render(result).endswith("### Warnings\n\n- a \\*star\\*\n")


def test_what_was_tried_again_is_told():
    one = Retry(step="[a 1/2] RUN x", message="connection reset", waited=2.5)
    cell = replace(DONE, retries=(one,))
    result = replace(ended(cell), retries=(one,))
    text = matrix_markdown.render(result)
    assert f"- `{DONE.id}` `[a 1/2] RUN x` after 2.5 s: `connection reset`\n" in text
    assert "- for all `[a 1/2] RUN x`" in text
    (case,) = ElementTree.fromstring(junit.render(result))[0]
    assert case.find("system-out").text == "tried again: [a 1/2] RUN x: connection reset"
