"""The log of a build as a person reads it: lines made from events."""

from __future__ import annotations

from collections.abc import Iterator

from dynbuild.build.events import Event, LogLine, Message, Retried, StepEnded, StepStarted, Warned
from dynbuild.build.steps import StepName


class Log:
    """Turns events into lines, and keeps the names of the steps for it."""

    def __init__(self) -> None:
        """Start with no step."""
        self._names: dict[str, StepName] = {}

    def lines(self, event: Event) -> Iterator[str]:
        """The lines that say *event*; none for what is told again without taking its time."""
        match event:
            case StepStarted(digest=digest, name=name, again=again):
                self._names[digest] = name
                if not again:
                    yield f"==> {name}"
            case StepEnded() if event.is_news:
                yield f"<== {self._name(event.digest)} ({_end(event)})"
            case LogLine(digest=digest, text=text):
                yield f"{self._name(digest).label} | {text}"
            case Warned(text=text) | Message(text=text):
                yield text
            case Retried(message=message, seconds=seconds, tried=tried):
                yield f"=== try {tried} failed: {message}; the next in {seconds:.1f} s"
            case _:
                pass

    def _name(self, digest: str) -> StepName:
        return self._names.get(digest) or StepName(instruction=digest)


def _end(ended: StepEnded) -> str:
    if ended.error:
        return f"failed: {ended.error}"
    return "cached" if ended.cached else f"{ended.seconds:.1f} s"
