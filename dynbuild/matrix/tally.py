"""How many steps the solves of a matrix ran and read, each step counted once."""

from __future__ import annotations

from dataclasses import dataclass, field

from dynbuild.build.events import Event, Retried, StepEnded, StepStarted
from dynbuild.build.result import Steps
from dynbuild.build.steps import StepName


@dataclass(slots=True)
class Tally:
    """Steps of solves side by side.

    BuildKit runs a step that several of them have once, and tells each of them that it ran.
    """

    _names: dict[str, StepName] = field(default_factory=dict)
    _ended: dict[str, dict[str, bool]] = field(default_factory=dict)

    def feed(self, solve: str, event: Event) -> None:
        """Note what happened in the solve called *solve*."""
        if isinstance(event, StepStarted):
            self._names.setdefault(event.digest, event.name)
        elif isinstance(event, StepEnded):
            # What is said last of a step holds: a run may turn out to have been a reading.
            self._ended.setdefault(solve, {})[event.digest] = event.cached
        elif isinstance(event, Retried):
            self._ended.pop(solve, None)

    def steps(self) -> Steps:
        """How many ran in any of the solves, and how many were read in all that have them."""
        told = self._ended.values()
        known = {digest for ended in told for digest in ended if self._is_instruction(digest)}
        ran = {digest for ended in told for digest, cached in ended.items() if not cached} & known
        return Steps(
            run=len(ran),
            cached=len(known - ran),
            run_instructions=sum(self._names[digest].is_run for digest in ran),
        )

    def _is_instruction(self, digest: str) -> bool:
        return digest in self._names and self._names[digest].is_instruction
