"""The names of an image: version tags and latest tag.  Pure.

For the default cell of a framework, on its default CUDA version and the default release line,
they are those of the replaced script.  Every other cell has what sets it apart at the end of
them (``ImageId.tag_suffix``), so that no two cells share a tag.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from dynbuild import names
from dynbuild.errors import RequestError
from dynbuild.image_id import AWS, ImageId
from dynbuild.plan import matrix, tag_template
from dynbuild.plan.matrix import Cell
from dynbuild.plan.version import Version
from dynbuild.settings.cell import default_cuda
from dynbuild.settings.load import Settings
from dynbuild.settings.problems import Problem

_DEV_SUFFIXES = ("-runtime", "-local-dev", "-dev")


def of(config: Settings, cell: Cell, version: Version, date: str) -> tuple[str, ...]:
    """Version tags and latest tag (facts: the tag rules of the replaced script).

    What is there only because another image is built on it has none.

    A given tag loses the suffix of another target and gets that of dev and local-dev; dev
    is the one target without a suffix in its latest tag.  AWS's layer is marked at the end.

    Args:
        config: The settings.
        cell: What the names are of.
        version: What git says.
        date: Of the build, as eight digits.

    Raises:
        RequestError: A name is none that Docker takes, or cannot be pushed.
    """
    request, image = config.catalog.request, cell.id
    if not cell.requested:
        return ()
    repository = names.check_repository(
        request.repository, origin=str(config.origin("request", "repository"))
    )
    if request.tag:
        tags = [_given(config, tag, image) for tag in request.tag]
    else:
        tags = [f"{repository}:{_made(config, image, version, date)}"]
    if request.tag_latest:
        tags.append(f"{repository}:{image.latest_tag(default_cuda(config, image.framework))}")
    for tag in tags:
        names.check_reference(tag, origin=str(config.origin("request", "repository")))
    if request.output == "push":
        _check_version(config, version)
        _check_registry(config, tags)
    return tuple(dict.fromkeys(tags))


def _given(config: Settings, tag: str, image: ImageId) -> str:
    target = image.target.removesuffix(AWS)
    if target in ("dev", "local-dev"):
        for suffix in _DEV_SUFFIXES:
            tag = tag.removesuffix(suffix)
        tag = f"{tag}-{target}"
    tag += image.target.removeprefix(target)
    return names.check_reference(tag, origin=str(config.origin("request", "tag")))


def _made(config: Settings, image: ImageId, version: Version, date: str) -> str:
    """The tag that the template makes."""
    request = config.catalog.request
    target = image.target.removesuffix(AWS)
    aws = image.target.removeprefix(target)
    suffix = image.tag_suffix(default_cuda(config, image.framework))
    values = {
        "version": version.tag,
        "framework": image.framework,
        "target": target,
        "device": image.device,
        "cuda": image.cuda,
        "line": request.release_line,
        "suffix": suffix,
        "commit": version.commit[:_SHORT],
        "date": date,
    }
    # What is pushed is seen by others, who have to know that no commit is like it.
    dirty = version.dirty and request.output == "push"
    origin = str(config.origin("request", "tag_template"))
    return tag_template.filled(request.tag_template, values, dirty=dirty, end=aws, origin=origin)


_SHORT = 12
"""How many digits of a commit are in a tag."""


def _check_version(config: Settings, version: Version) -> None:
    """Nobody can tell later from what an image was made whose version has no commit."""
    if version.guess and not config.catalog.request.allow_unversioned:
        raise RequestError(
            f"the version {version.tag} names no commit, so it is not pushed",
            origin=version.origin,
            details=(version.warning,) if version.warning else (),
            hint="set the variables current_tag and DYNAMO_COMMIT_SHA, "
            "or push it all the same: --allow-unversioned",
        )


def _check_registry(config: Settings, tags: list[str]) -> None:
    """A push goes to the registry that a name begins with."""
    given = config.catalog.request.tag
    more = ", and --no-tag-latest or a --repository for the latest tag" if given else ""
    for tag in tags:
        if not names.is_qualified(tag):
            raise RequestError(
                f"'{tag}' names no registry, so it cannot be pushed",
                origin=str(config.origin("request", "output")),
                hint=f"name the registry: --repository REGISTRY/dynamo{more}",
            )


def unclean(config: Settings, version: Version) -> Iterator[Problem]:
    """A tree that is not as its commit, where ``--require-clean`` asks for one that is."""
    if config.catalog.request.require_clean and (version.dirty or not version.commit):
        yield Problem(
            "the source tree has uncommitted changes"
            if version.dirty
            else "there is no commit that the source tree could be compared with",
            str(config.origin("request", "require_clean")),
            "commit them, or leave --require-clean out" if version.dirty else None,
        )


def shared(config: Settings, version: Version, date: str) -> Mapping[str, tuple[ImageId, ...]]:
    """The cells that share a tag by a template of the settings' own, by that tag.

    Those that other settings tell apart from the cells of these are among them.

    Raises:
        RequestError: The template is none.
    """
    template = config.catalog.request.tag_template
    if template == config.lowest("request", "tag_template") or config.catalog.request.tag:
        return {}
    found: dict[str, list[ImageId]] = {}
    there = tuple(matrix.every(config))
    for one in dict.fromkeys((*there, *(replace(one, variant="") for one in there))):
        found.setdefault(_made(config, one, version, date), []).append(one)
    return {tag: tuple(cells) for tag, cells in found.items() if len(cells) > 1}


def ambiguous(image: ImageId, shared: Mapping[str, tuple[ImageId, ...]]) -> Iterator[str]:
    """Warn of another cell that has the tag of *image*, among those that are *shared*."""
    own = replace(image, target=image.target.removesuffix(AWS))
    for tag, cells in shared.items():
        if own in cells:
            other = next(one for one in cells if one != own)
            yield (
                f"tag_template gives {own} and {other} the same tag, {tag}: "
                "with {suffix} in it, no two cells have the same"
            )
