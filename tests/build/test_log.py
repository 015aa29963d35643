import pytest

from dynbuild.build.events import LogLine, Message, StepEnded, StepStarted, Transfer, Warned
from dynbuild.build.log import Log
from dynbuild.build.steps import StepName


def logged(*events):
    log = Log()
    return [line for event in events for line in log.lines(event)]


def started(text, **more):
    return StepStarted(digest="a", name=StepName.parse(text), **more)


@pytest.mark.parametrize(
    ("end", "text"),
    [
        (StepEnded(digest="a", seconds=2.54), "2.5 s"),
        (StepEnded(digest="a", cached=True), "cached"),
        (StepEnded(digest="a", seconds=1, error="exit code: 1"), "failed: exit code: 1"),
    ],
)
def test_the_life_of_a_step(end, text):
    name = "[linux/arm64 ucx 2/2] RUN make"
    assert logged(started(name), LogLine(digest="a", text="CC x.o"), end) == [
        f"==> {name}",
        "linux/arm64 ucx | CC x.o",
        f"<== {name} ({text})",
    ]


def test_a_step_that_is_only_looked_at_again_is_not_told_again():
    name = "[a 1/2] FROM x"
    assert logged(
        started(name),
        StepEnded(digest="a"),
        started(name, again=True),
        StepEnded(digest="a", again=True, cached=True),
        started(name, again=True),
        StepEnded(digest="a", again=True, seconds=60),
    ) == [f"==> {name}", f"<== {name} (0.0 s)", f"<== {name} (60.0 s)"]


def test_what_belongs_to_no_step():
    events = (Warned(text="old"), Message("ERROR: no"), Transfer(digest="a", id="layer"))
    assert logged(*events) == ["old", "ERROR: no"]
