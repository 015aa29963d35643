"""What a run of a matrix was asked for, kept in its record so that it can go on."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dynbuild import paths
from dynbuild.cli import console, trust
from dynbuild.cli.request import BuildRequest, Cells
from dynbuild.errors import RequestError
from dynbuild.quick import dataclass
from dynbuild.settings.layers import Origin, Setting

if TYPE_CHECKING:
    from dynbuild.matrix.record import MatrixRecord
    from dynbuild.matrix.result import CellResult
    from dynbuild.plan.document import PlanDocument

_NAME = "request.json"


def write(now: MatrixRecord, request: BuildRequest) -> None:
    """Keep the *request* in the record *now*.

    Raises:
        NotReady: It cannot be written.
    """
    from dynbuild.build import record
    from dynbuild.settings import consent

    document = {
        "folder": str(Path.cwd()),
        "context": str(request.context),
        "configs": [str(path) for path in request.overlays],
        "templates": request.templates,
        "flags": [
            [list(path), setting.value, setting.origin.source]
            for path, setting in request.flags.items()
        ],
        "cells": request.cells
        and {
            "matrix": request.cells.matrix,
            "only": request.cells.only,
            "skip": request.cells.skip,
            "if_changed": request.cells.if_changed,
        },
    }
    try:
        record.Record(now.path).write_json(now.path / _NAME, document)
        consent.sign(trust.folder(), (now.path / _NAME).read_bytes())
    except OSError as error:
        raise record.unwritable(now.path, error) from error


@dataclass(frozen=True, slots=True)
class Resumption:
    """A run that another one goes on with.

    Attributes:
        request: What it was asked for.
        plan: What was decided then.
        done: The cells that it made.
    """

    request: BuildRequest
    plan: PlanDocument
    done: tuple[CellResult, ...]

    def unchanged(self, plan: PlanDocument) -> tuple[CellResult, ...]:
        """The cells that were made and that *plan* has as they were; others are warned of."""
        earlier = {image.name: image.keyed for image in self.plan.images}
        now = {image.name: image.keyed for image in plan.images}
        kept = []
        for cell in self.done:
            if cell.id in now and earlier.get(cell.id) == now[cell.id]:
                kept.append(cell)
            elif cell.id in now:
                console.warn(f"{cell.id} was done, but its plan is another now: it is built anew")
        return tuple(kept)


def read(context: Path, id: str, *, trusted: bool) -> Resumption:
    """The run *id*, or the last one where it is empty; the current folder becomes its own.

    Args:
        context: The tree that has its record.
        id: Which run.
        trusted: Whether the caller takes it for his own, wherever it came from.

    Raises:
        RequestError: There is no such run, its record is damaged, or came with the tree.
    """
    from dynbuild.matrix import record

    one = record.find(context, id)
    plan, ended = record.plan_of(one), record.result_of(one)
    try:
        content = paths.regular(one.path / _NAME).read_bytes()
        if not trusted:
            _check(
                one, context, content, lost="it cannot go on",
                hint="run the matrix anew, what is done comes from the cache; or take what it was "
                "asked for as your own word: --trust",
            )  # fmt: skip
        document: dict[str, Any] = json.loads(content)
        os.chdir(document["folder"])
        request = BuildRequest(
            flags={
                tuple(path): Setting(value, Origin("flag", source))
                for path, value, source in document["flags"]
            },
            context=Path(document["context"]),
            overlays=tuple(map(Path, document["configs"])),
            templates=document["templates"],
            cells=_cells(document["cells"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RequestError(
            f"the run {one.id} cannot go on: {one.path / _NAME} cannot be read",
            hint="run the matrix anew; what is done comes from the cache",
            details=(str(error),),
        ) from error
    done = tuple(cell for cell in ended.cells if cell.status == "done")
    return Resumption(request, plan, done)


def check_own(one: MatrixRecord, context: Path, *, lost: str, hint: str) -> None:
    """A run that came with the tree *context* must not pass for one of the caller's.

    Args:
        one: The run.
        context: The tree that has its record.
        lost: What is not done with another's, as the end of a sentence.
        hint: What to do.

    Raises:
        RequestError: It was not written here, by this user.
    """
    try:
        content = paths.regular(one.path / _NAME).read_bytes()
    except OSError:
        content = b""
    _check(one, context, content, lost=lost, hint=hint)


def _check(one: MatrixRecord, context: Path, content: bytes, *, lost: str, hint: str) -> None:
    """``check_own`` for the *content* of what was asked for, which counts as flags do."""
    from dynbuild.settings import consent

    if not consent.is_signed(trust.folder(), context, content):
        raise RequestError(
            f"the run {one.id} was not begun on this machine, by you: {lost}",
            origin=str(one.path / _NAME),
            hint=hint,
        )


def _cells(said: dict[str, Any] | None) -> Cells | None:
    if said is None:
        return None
    return Cells(
        matrix=said["matrix"],
        only=tuple(said["only"]),
        skip=tuple(said["skip"]),
        if_changed=bool(said.get("if_changed")),
    )
