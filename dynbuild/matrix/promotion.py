"""Tags for the images of a run that was: which image gets which.  Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dynbuild import names
from dynbuild.build import record
from dynbuild.errors import RequestError
from dynbuild.image_id import AWS, ImageId
from dynbuild.matrix.result import CellResult, MatrixResult
from dynbuild.plan import tag_template

_SHORT = 12


@dataclass(frozen=True, slots=True)
class Promotion:
    """A tag that an image is to get.

    Attributes:
        cell: Id of the image.
        reference: ``REPOSITORY@DIGEST``, where it is.
        tag: The whole name that it gets.
    """

    cell: str
    reference: str
    tag: str


def of(result: MatrixResult, to: str, globs: Sequence[str] = ()) -> tuple[Promotion, ...]:
    """What each image of *result* is to be called.

    Args:
        result: The run.
        to: A word takes the place of the version in the first tag of each image; text with
            fields in braces is a template of tags (``dynbuild.plan.tag_template``).
        globs: Of the ids of the cells that are meant; all without any.

    Raises:
        RequestError: One of them is not pushed, or two would get one tag.
    """
    cells = _chosen(result, globs)
    lacking = [cell for cell in cells if cell.status != "done" or not cell.reference]
    if lacking:
        raise RequestError(
            f"{len(lacking)} of {len(cells)} images are not there: "
            + ", ".join(f"{cell.id} ({_why(cell)})" for cell in lacking[:3])
            + (", …" if lacking[3:] else ""),
            hint="`dynbuild matrix --resume` builds what is not done; --push sends images to a "
            "registry; --only promotes some",
        )
    found = [Promotion(cell.id, cell.reference, _tag(cell, result, to)) for cell in cells]
    for number, one in enumerate(found):
        for other in found[:number]:
            if one.tag == other.tag and one.reference != other.reference:
                raise RequestError(
                    f"{other.cell} and {one.cell} would both be {one.tag}",
                    origin="flag --to",
                    hint="with {suffix} in a template, no two have the same tag",
                )
    return tuple(found)


def _chosen(result: MatrixResult, globs: Sequence[str]) -> list[CellResult]:
    if not globs:
        return list(result.cells)
    cells = {cell.id: cell for cell in result.cells}
    known = [ImageId.parse(name) for name in cells]
    matched = {str(one) for glob in globs for one in _matching(glob, known)}
    return [cell for name, cell in cells.items() if name in matched]


def _matching(glob: str, known: Sequence[ImageId]) -> list[ImageId]:
    found = [one for one in known if one.matches(glob)]
    if not found:
        raise RequestError(
            f"the run has no cell '{glob}'",
            origin="flag --only",
            hint=names.did_you_mean(glob, map(str, known)),
        )
    return found


def _why(cell: CellResult) -> str:
    return cell.status if cell.status != "done" else "not pushed"


def _tag(cell: CellResult, result: MatrixResult, to: str) -> str:
    repository, _ = names.split_reference(cell.tags[0])
    return f"{repository}:{_filled(cell, result, to) if '{' in to else _renamed(cell, result, to)}"


def _renamed(cell: CellResult, result: MatrixResult, to: str) -> str:
    first = cell.tags[0].rpartition(":")[2]
    version = names.as_tag(result.version) if result.version else ""
    if not version or not first.startswith(version):
        raise RequestError(
            f"the tag {first} of {cell.id} does not begin with the version {result.version}",
            origin="flag --to",
            hint=f"say it with a template: --to '{to}-{{framework}}-{{target}}{{suffix}}'",
        )
    tag = f"{to}{first.removeprefix(version)}"
    names.check_reference(f"a:{tag}", origin="flag --to")
    return tag


def _filled(cell: CellResult, result: MatrixResult, template: str) -> str:
    image, begun = ImageId.parse(cell.id), record.begun(result.id)
    values = {
        "version": result.version,
        "framework": image.framework,
        "target": image.target.removesuffix(AWS),
        "device": image.device,
        "cuda": image.cuda,
        "line": cell.line,
        "suffix": image.tag_suffix(""),
        "commit": result.commit[:_SHORT],
        "date": f"{begun:%Y%m%d}" if begun else "",
    }
    end = AWS if image.target.endswith(AWS) else ""
    return tag_template.filled(template, values, dirty=False, end=end, origin="flag --to")
