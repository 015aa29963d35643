"""The names of an image: version tag and latest tag."""

from __future__ import annotations

from dynbuild import names
from dynbuild.errors import RequestError
from dynbuild.plan.matrix import AWS, Cell
from dynbuild.plan.version import Version
from dynbuild.settings.load import Settings

_DEV_SUFFIXES = ("-runtime", "-local-dev", "-dev")


def of(config: Settings, cell: Cell, version: Version) -> tuple[str, ...]:
    """Version tag and latest tag (facts: the tag rules of the replaced script).

    A given tag loses the suffix of another target and gets that of dev and local-dev; dev
    is the one target without a suffix in its latest tag.
    """
    request = config.catalog.request
    origin = str(config.origin("request", "repository"))
    repository = names.check_repository(request.repository, origin=origin)
    target = cell.id.target.removesuffix(AWS)
    aws = cell.id.target.removeprefix(target)
    if request.tag:
        first = request.tag
        if target in ("dev", "local-dev"):
            for suffix in _DEV_SUFFIXES:
                first = first.removesuffix(suffix)
            first = f"{first}-{target}"
        names.check_reference(f"{first}{aws}", origin=str(config.origin("request", "tag")))
    else:
        first = f"{repository}:{names.as_tag(version.tag, f'-{cell.id.framework}-{target}')}"
    tags = [f"{first}{aws}"]
    if request.tag_latest:
        suffix = "" if target == "dev" else f"-{target}"
        tags.append(f"{repository}:latest-{cell.id.framework}{suffix}{aws}")
    if request.output == "push":
        _check_version(config, version)
        for tag in tags:
            if not names.is_qualified(tag):
                raise RequestError(
                    f"'{tag}' names no registry, so it cannot be pushed",
                    origin=str(config.origin("request", "output")),
                    hint="name the registry: --repository REGISTRY/dynamo"
                    + (
                        ", and --no-tag-latest or a --repository for the latest tag"
                        if request.tag
                        else ""
                    ),
                )
    return tuple(dict.fromkeys(tags))


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
