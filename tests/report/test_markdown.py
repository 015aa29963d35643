"""The report as Markdown."""

from dynbuild.build import recording
from dynbuild.build.result import Failure
from dynbuild.report import document, markdown
from tests.report import builds


def text(tmp_path, lines=builds.LINES, **more):
    source = builds.recorded(tmp_path, lines=lines, ended=builds.result(**more))
    return markdown.render(document.of(recording.read(source)))


def test_what_is_odd_stays_in_its_place(tmp_path):
    why = Failure(
        kind="user",
        step="[x 1/1] RUN echo `a|b`",
        message="# not <b>a</b> heading",
        lines=("```", "<img src=x>"),
    )
    lines = (builds.vertex("a", "[x 1/1] RUN echo `a|b` ``", 0, 20),)
    said = text(tmp_path, lines, status="failed", failure=why, warnings=("*one*\ntwo",))
    assert "**\\# not \\<b\\>a\\</b\\> heading**" in said
    assert "````text\n```\n<img src=x>\n````" in said
    assert "| x: ``` RUN echo `a\\|b` `` ``` |" in said
    assert "- \\*one\\* two" in said


def test_tables_are_tables(tmp_path):
    rows = [line for line in text(tmp_path).splitlines() if line.startswith("|")]
    widths = {line.replace("\\|", "").count("|") for line in rows}
    assert widths == {3, 4}
