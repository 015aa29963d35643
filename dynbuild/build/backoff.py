"""What is asked of a registry outside of a solve, asked again after a fault of the moment."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from dynbuild.build import failure, retry
from dynbuild.build.result import Failure, Retry
from dynbuild.engine.registry import Answer
from dynbuild.errors import DynbuildError, ToolFailed

_T = TypeVar("_T")

RETRIES = 4
"""How often a question is asked again: for half a minute."""

OnRetry = Callable[[Retry], None]


def query(
    question: Callable[[], _T],
    refusal: Callable[[_T], str],
    *,
    what: str,
    on_retry: OnRetry,
    sleep: Callable[[float], None] | None = None,
) -> _T:
    """The answer to *question*, or the last refusal.

    Args:
        question: Asks once.
        refusal: What was said in place of an answer; empty where there is one.
        what: What is asked for, for a person.
        on_retry: Told of each try that failed and is made again.
        sleep: Waits so many seconds.
    """
    for tried in range(1, RETRIES + 1):
        answer = question()
        said = refusal(answer).strip()
        known = failure.recognise(said) if said else None
        if known is None or known.kind != "transient":
            return answer
        message = said.splitlines()[-1]
        why = Failure(kind="transient", step=what, message=message, lines=tuple(said.splitlines()))
        waited = round(retry.delay(tried, why, random.Random()), 1)  # noqa: S311 - no secret
        on_retry(Retry(step=what, message=message, waited=waited))
        (sleep or time.sleep)(waited)
    return question()


def inspect(question: Callable[[], Answer], name: str, on_retry: OnRetry) -> Answer:
    """``query`` a registry a *question* about the image *name*."""
    return query(
        question, lambda answer: answer.refusal, what=f"looking at {name}", on_retry=on_retry
    )


def run(
    command: Callable[[], object],
    *,
    what: str,
    on_retry: OnRetry,
    sleep: Callable[[float], None] | None = None,
) -> None:
    """``query`` for a *command* that raises.

    Raises:
        ToolFailed: Its last try failed, or one for a lasting reason.
    """

    def once() -> DynbuildError | None:
        try:
            command()
        except ToolFailed as error:
            return error
        return None

    def said(error: DynbuildError | None) -> str:
        return "" if error is None else getattr(error, "stderr", "") or error.message

    error = query(once, said, what=what, on_retry=on_retry, sleep=sleep)
    if error is not None:
        raise error
