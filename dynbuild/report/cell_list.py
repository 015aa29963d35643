"""Cells as a list: for people, and in the words of what builds one after the other."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from dynbuild.image_id import AWS
from dynbuild.plan.selection import Selected
from dynbuild.quick import dataclass
from dynbuild.report.display import Display


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A cell in the list.

    Attributes:
        id: The id of its image.
        bake_target: The id as a name of bake.
        framework: Likewise the others: what the flag of that name takes to build it.
    """

    id: str
    bake_target: str
    framework: str
    target: str
    device: str
    cuda_version: str
    release_line: str
    platforms: tuple[str, ...]

    @classmethod
    def of(cls, one: Selected) -> Row:
        """The row of a cell."""
        return cls(
            id=str(one.id),
            bake_target=one.id.bake_target,
            framework=one.id.framework,
            target=one.id.target,
            device=one.id.device,
            cuda_version=one.id.cuda,
            release_line=one.config.catalog.request.release_line,
            platforms=one.cell.platforms,
        )

    @property
    def place(self) -> tuple[str, ...]:
        """The target, and all that other targets of the same row have in common with it."""
        return (
            self.target, self.framework, self.device, self.cuda_version, self.release_line,
            ",".join(self.platforms), self.id.partition("+")[2],
        )  # fmt: skip

    def document(self) -> dict[str, Any]:
        """The row as a JSON object."""
        return {
            "id": self.id,
            "framework": self.framework,
            "target": self.target,
            "device": self.device,
            "cuda_version": self.cuda_version,
            "release_line": self.release_line,
            "platforms": list(self.platforms),
        }


def table(rows: Sequence[Row], display: Display) -> Iterator[str]:
    """The lines of the table."""
    yield from display.table(
        ("cell", "line", "platforms"),
        [(row.id, row.release_line, ", ".join(row.platforms)) for row in rows],
    )


def _names(rows: Sequence[Row]) -> str:
    return "\n".join(row.id for row in rows)


def _github(rows: Sequence[Row]) -> str:
    """One line for ``fromJSON`` in a job's ``strategy.matrix``.

    https://docs.github.com/actions/how-tos/write-workflows/choose-what-workflows-do/run-job-variations
    """
    return json.dumps(_jobs(rows), separators=(",", ":"))


def _jobs(rows: Sequence[Row]) -> dict[str, Any]:
    return {"include": [{**row.document(), "platforms": ",".join(row.platforms)} for row in rows]}


_BUILT_ON = {"local-dev": "dev", "dev": "runtime"}
"""The target whose steps those of another go on from."""


def levels(rows: Sequence[Row]) -> str:
    """One line for ``fromJSON``: a list of matrices, each of cells that the ones before lead to.

    A job for each level, after that of the level before, finds the steps of the images that its
    own go on from in the build cache.
    """
    by_place = {row.place: row for row in rows}
    depth: dict[str, int] = {}
    for row in rows:
        count, target = 0, row.target
        while target:
            aws = target.endswith(AWS)
            target = target.removesuffix(AWS) if aws else _BUILT_ON.get(target, "")
            count += (target, *row.place[1:]) in by_place
        depth[row.id] = count
    found = [[row for row in rows if depth[row.id] == level] for level in range(len(rows))]
    return json.dumps([_jobs(level) for level in found if level], separators=(",", ":"))


def _gitlab(rows: Sequence[Row]) -> str:
    """A child pipeline: a job for each cell, which extends ``.dynbuild``.

    Its variables are those that dynbuild reads, so the job's script needs no flags.
    https://docs.gitlab.com/ci/pipelines/downstream_pipelines/#dynamic-child-pipelines
    """
    jobs = {
        row.id: {
            "extends": ".dynbuild",
            "variables": {
                "DYNBUILD_FRAMEWORK": row.framework,
                "DYNBUILD_TARGET": row.target,
                "DYNBUILD_DEVICE": row.device,
                "DYNBUILD_CUDA_VERSION": row.cuda_version,
                "DYNBUILD_RELEASE_LINE": row.release_line,
            },
        }
        for row in rows
    }
    # JSON is YAML, https://yaml.org/spec/1.2.2/#13-terminology, and so is what GitLab reads.
    return json.dumps(jobs, indent=2)


def _bake(rows: Sequence[Row]) -> str:
    """A definition for ``docker buildx bake`` with a group for all and for each framework.

    It names targets; what they are made of is said by a definition beside it.
    """
    groups: dict[str, list[str]] = {"default": []}
    for row in rows:
        groups["default"].append(row.bake_target)
        groups.setdefault(row.framework, []).append(row.bake_target)
    targets = {
        row.bake_target: {
            "description": row.id,
            "target": row.target,
            "platforms": list(row.platforms),
        }
        for row in rows
    }
    group = {name: {"targets": names} for name, names in groups.items()}
    return json.dumps({"group": group, "target": targets}, indent=2)


FORMATS: Mapping[str, Callable[[Sequence[Row]], str]] = {
    "names": _names,
    "github": _github,
    "gitlab": _gitlab,
    "bake": _bake,
}
"""The formats for programs, besides JSON."""
