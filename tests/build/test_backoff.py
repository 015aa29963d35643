"""What a registry is asked again, and what it is not."""

import pytest

from dynbuild.build import backoff
from dynbuild.errors import ToolFailed

BUSY = "ERROR: unexpected status from GET request to https://r/v2/x: 503 Service Unavailable"


class Registry:
    """One that says what is in *answers*, the last of it for ever."""

    def __init__(self, *answers):
        self.answers, self.asked = list(answers), 0
        self.told, self.slept = [], []

    def __call__(self):
        self.asked += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def ask(self):
        return backoff.query(
            self, lambda answer: answer, what="looking", on_retry=self.told.append,
            sleep=self.slept.append,
        )  # fmt: skip


def test_a_fault_of_the_moment_is_got_over_and_told():
    registry = Registry(BUSY, "read: connection reset by peer", "")
    assert registry.ask() == ""
    assert registry.asked == 3
    assert [one.message for one in registry.told] == [BUSY, "read: connection reset by peer"]
    assert [one.waited for one in registry.told] == registry.slept
    assert 1 <= registry.slept[0] <= 2 <= registry.slept[1] <= 4


def test_one_that_stays_is_given_up():
    registry = Registry(BUSY)
    assert registry.ask() == BUSY
    assert registry.asked == backoff.RETRIES + 1
    assert 15 <= sum(registry.slept) <= 30


@pytest.mark.parametrize(
    "said",
    [
        "", "401 Unauthorized", "unexpected status: 403 Forbidden", "x: not found",
        "manifest unknown", "nothing that is known",
    ],
)  # fmt: skip
def test_what_lasts_is_asked_once(said):
    registry = Registry(said)
    assert registry.ask() == said
    assert (registry.asked, registry.told, registry.slept) == (1, [], [])


def test_what_a_registry_asks_for_is_waited_for():
    registry = Registry("429 Too Many Requests, Retry-After: 7", "")
    registry.ask()
    assert 8 <= registry.slept[0] <= 9


def test_a_command_that_raises():
    def command():
        said = registry()
        if said:
            raise ToolFailed("no", returncode=1, stderr=said)

    registry = Registry(BUSY, "")
    backoff.run(command, what="x", on_retry=registry.told.append, sleep=registry.slept.append)
    assert (registry.asked, len(registry.told)) == (2, 1)
    registry = Registry("401 Unauthorized")
    with pytest.raises(ToolFailed):
        backoff.run(command, what="x", on_retry=registry.told.append, sleep=registry.slept.append)
    assert registry.asked == 1
