"""Which cells a command means, in order, and the settings of each.  Pure.

A request names cells by its axes: framework, target, device, CUDA version, release line, each
with one value or several (``of_request``).  A matrix names them by its axes and by globs of ids,
and may have settings of its own for some of them (``of_matrix``).
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from dynbuild import names
from dynbuild.image_id import ImageId
from dynbuild.plan import matrix
from dynbuild.plan.matrix import Cell
from dynbuild.plan.named_matrix import AXES, NamedMatrix
from dynbuild.quick import dataclass
from dynbuild.settings import lines as release_lines
from dynbuild.settings import load
from dynbuild.settings.cell import means_cuda
from dynbuild.settings.layers import Origin
from dynbuild.settings.load import Settings
from dynbuild.settings.problems import Collector, Problem

_LINE = "release_line"
_AXES = tuple(axis for axis in AXES if axis != _LINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """A cell to decide on.

    Attributes:
        cell: What it is.
        config: Its settings; cells of one release line share them where none has its own.
        problems: What is wrong with it so far, to be told with what else is.
    """

    cell: Cell
    config: Settings
    problems: tuple[Problem, ...] = ()

    @property
    def id(self) -> ImageId:
        """What the image is called."""
        return self.cell.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Globs:
    """Which of some cells are meant, by globs of their ids.

    Attributes:
        only: Those that one of these means; all where there are none.
        skip: Those that one of these means are left out.
    """

    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()


# ---- by the axes of a request --------------------------------------------------------------


def of_request(configs: Sequence[Settings]) -> tuple[Selected, ...]:
    """The cells that a request names: every combination of its values that there is.

    Args:
        configs: The settings, once for each release line of the request.

    Raises:
        RequestError: A value is part of no cell.  All that is wrong is told at once.
    """
    problems = Collector()
    targets = values_of(configs[0], "target")
    no_user = () if "local-dev" in targets else matrix.ids_without_user(configs[0], targets)
    general = tuple(no_user)
    selected: dict[ImageId, Selected] = {}
    refused: list[tuple[set[tuple[str, str]], Collector]] = []
    used: set[tuple[str, str]] = set()
    for config in configs:
        for values in _combinations(config):
            own = Collector()
            cell = matrix.cell(config, *values, problems=own)
            parts = {(_LINE, config.catalog.request.release_line)}
            parts |= set(zip(_AXES, values, strict=True))
            if cell is None:
                refused.append((parts, own))
                continue
            used |= parts
            found = Selected(cell=cell, config=config, problems=(*own.problems, *general))
            selected.setdefault(cell.id, found)
    for parts, own in refused:
        if not parts <= used:
            problems.include(own)
    if problems.problems:
        problems.extend(general)
    problems.check()
    return tuple(selected.values())


def values_of(config: Settings, key: str) -> tuple[str, ...]:
    """The values of an axis of the request; one empty text where none is given."""
    text = str(getattr(config.catalog.request, key))
    if key in ("framework", "device"):
        text = text.lower()
    return names.items(text) or (("dev",) if key == "target" else ("",))


def _combinations(config: Settings) -> Iterator[tuple[str, ...]]:
    """Every combination of the values of the axes.

    Among several devices, one without CUDA has no CUDA version.
    """
    axes = [values_of(config, key) for key in _AXES]
    known = config.catalog.frameworks
    for framework, target, device, cuda in itertools.product(*axes):
        entry = known[framework].devices.get(device) if framework in known else None
        without = len(axes[2]) > 1 and entry is not None and not entry.cuda
        yield framework, target, device, "" if without else cuda


# ---- by a matrix ---------------------------------------------------------------------------


def of_matrix(
    lines: Mapping[str, Settings],
    chosen: Sequence[str],
    named: NamedMatrix,
    globs: Globs | None = None,
) -> tuple[Selected, ...]:
    """The cells of a matrix; what a flag or a variable says of an axis narrows it.

    Args:
        lines: The settings of every release line there is.
        chosen: The lines of the request.
        named: The matrix.
        globs: Which of its cells.

    Raises:
        RequestError: A value of an axis or a glob means no cell, or the settings of a cell are
            wrong.  All that is wrong is told at once.
    """
    problems, globs = Collector(), globs or Globs()
    config = lines[chosen[0]]
    if not _is_given(config, _LINE):
        chosen = _chosen(lines, named, problems) or chosen
    there = {one: line for line in chosen for one in matrix.every(lines[line])}
    known = matrix.Known(lines, chosen)
    cells = _by_axes(named, there, problems)
    for glob in named.include:
        # Another line's cells are meant by a glob that says so: its plus sign.
        if "+" in glob.value:
            others = {one: line for line in lines for one in matrix.every(lines[line])}
            there = {**there, **{one: others[one] for one in others if one.matches(glob.value)}}
        cells += [one for one in there if matrix.matches(glob.value, one)]
    for glob in named.exclude:
        cells = [one for one in cells if not matrix.matches(glob.value, one)]
    _check_globs(named, there, known, problems)
    cells = _narrowed(config, list(dict.fromkeys(cells)), problems)
    cells = _picked(cells, there, globs, problems)
    if not cells and not problems.problems:
        problems.add("no cell is left", hint="`dynbuild list` shows all there are")
    problems.check()
    settings = _Settings(lines, named)
    selected = []
    for one in cells:
        wrong = Collector()
        with problems.collected():
            own = settings.of(one, there[one])
            values = (one.framework, one.target, one.device, one.cuda)
            cell = matrix.cell(own, *values, problems=wrong)
            if cell is None:
                problems.include(wrong)
            else:
                selected.append(Selected(cell=cell, config=own, problems=tuple(wrong.problems)))
    problems.check()
    return tuple(selected)


def _is_given(config: Settings, key: str) -> bool:
    """Whether a command, and not a file, says what an axis of the request is."""
    return config.origin("request", key).layer in ("flag", "environment")


def _chosen(lines: Mapping[str, Settings], named: NamedMatrix, problems: Collector) -> list[str]:
    """The release lines that a matrix says it has."""
    said, known = named.axes.get(_LINE), tuple(lines)
    if said is None:
        return []
    for line in said.value:
        if line not in known:
            hint = release_lines.nearest(line, known)
            problems.add(f"there is no release line '{line}'", origin=said.origin, hint=hint)
    return [line for line in said.value if line in known]


def _part(one: ImageId, axis: str) -> str:
    return one.cuda if axis == "cuda_version" else str(getattr(one, axis))


def _fits(one: ImageId, axis: str, value: str) -> bool:
    """Whether a cell has that value of an axis."""
    part = _part(one, axis)
    if axis == "cuda_version":
        return bool(part) and means_cuda(value, part)
    return part == (value.lower() if axis in ("framework", "device") else value)


def _check_value(
    axis: str, value: str, among: Iterable[ImageId], origin: Origin, problems: Collector
) -> None:
    known = {_part(one, axis) for one in among} - {""}
    if not any(_fits(one, axis, value) for one in among):
        noun = "CUDA" if axis == "cuda_version" else axis
        hint = names.did_you_mean(value, known)
        problems.add(f"no cell has the {noun} '{value}'", origin=origin, hint=hint)


def _by_axes(named: NamedMatrix, there: Iterable[ImageId], problems: Collector) -> list[ImageId]:
    """The cells that the axes of a matrix name; the CUDA versions are those of CUDA's devices."""
    kept = list(there)
    for axis in _AXES:
        said = named.axes.get(axis)
        if said is None:
            continue
        for value in said.value:
            _check_value(axis, value, kept, said.origin, problems)
        kept = [
            one
            for one in kept
            if (axis == "cuda_version" and not one.cuda)
            or any(_fits(one, axis, value) for value in said.value)
        ]
    return kept


def _narrowed(config: Settings, cells: list[ImageId], problems: Collector) -> list[ImageId]:
    """Those of *cells* that have what the command says of the axes."""
    given = {axis: values_of(config, axis) for axis in _AXES if _is_given(config, axis)}
    for axis, values in given.items():
        for value in values:
            _check_value(axis, value, cells, config.origin("request", axis), problems)
        # A device without CUDA stays beside a CUDA version where it is asked for by name.
        cells = [
            one
            for one in cells
            if any(_fits(one, axis, value) for value in values)
            or (axis == "cuda_version" and not one.cuda and one.device in given.get("device", ()))
        ]
    return cells


def _check_globs(
    named: NamedMatrix, there: Collection[ImageId], known: matrix.Known, problems: Collector
) -> None:
    """A glob of a matrix means a cell, be it one of a line that is not asked for now."""
    globs: list[tuple[str, Origin | None]] = [
        (glob.value, glob.origin) for glob in (*named.include, *named.exclude)
    ]
    for pattern, layer in named.cells.items():
        written = next(iter(layer.values()), None)
        globs.append((pattern, written.origin if written else None))
    for glob, origin in globs:
        if not (any(matrix.matches(glob, one) for one in there) or known.has(glob)):
            problems.add(f"there is no cell '{glob}'", origin=origin, hint=known.hint(glob))


def _meant(glob: str, there: Iterable[ImageId], problems: Collector) -> list[ImageId]:
    """Those of the cells *there* that a *glob* of the command means; none is a problem."""
    meant = [one for one in there if matrix.matches(glob, one)]
    if not meant:
        hint = names.did_you_mean(glob, map(str, there), "`dynbuild list`")
        problems.add(f"there is no cell '{glob}'", hint=hint)
    return meant


def _picked(
    cells: list[ImageId], there: Iterable[ImageId], globs: Globs, problems: Collector
) -> list[ImageId]:
    only = {one for glob in globs.only for one in _meant(glob, cells, problems)}
    skip = {one for glob in globs.skip for one in _meant(glob, there, problems)}
    return [one for one in cells if (not globs.only or one in only) and one not in skip]


class _Settings:
    """The settings of the cells of a matrix: made once for all that have the same."""

    def __init__(self, lines: Mapping[str, Settings], named: NamedMatrix) -> None:
        self._lines, self._named = lines, named
        self._made: dict[tuple[str, ...], Settings] = {}

    def of(self, one: ImageId, line: str) -> Settings:
        """The settings of a cell.

        Raises:
            RequestError: Those that the matrix has for it are wrong.
        """
        globs = tuple(glob for glob in self._named.cells if matrix.matches(glob, one))
        if not globs:
            return self._lines[line]
        if (line, *globs) not in self._made:
            layer = {
                path: setting for glob in globs for path, setting in self._named.cells[glob].items()
            }
            self._made[line, *globs] = load.with_layer(self._lines[line], layer)
        return self._made[line, *globs]
