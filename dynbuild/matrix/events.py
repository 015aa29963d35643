"""What happens while a matrix runs, as frozen values; its runner and its reports meet here."""

from __future__ import annotations

from dataclasses import dataclass

from dynbuild.build.events import Event
from dynbuild.matrix.result import CellResult


@dataclass(frozen=True, slots=True, kw_only=True)
class SolveStarted:
    """A solve began.

    Attributes:
        solve: Its name: the images it is of, or that it is of the common steps.
        cells: The cells that it makes.
    """

    solve: str
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SolveEvent:
    """Something happened in a solve."""

    solve: str
    event: Event


@dataclass(frozen=True, slots=True)
class SolveEnded:
    """A solve ended."""

    solve: str


@dataclass(frozen=True, slots=True)
class CellEnded:
    """It is known what became of a cell; its tags may still have to move."""

    cell: CellResult


@dataclass(frozen=True, slots=True)
class TagsMoved:
    """The tags of a cell are on its image in the registry."""

    cell: str
    tags: tuple[str, ...]


MatrixEvent = SolveStarted | SolveEvent | SolveEnded | CellEnded | TagsMoved
