"""Which image a run takes where none is given: its framework, target and repository.  Pure."""

from __future__ import annotations

from dynbuild import names
from dynbuild.errors import RequestError, quote
from dynbuild.quick import dataclass
from dynbuild.settings.load import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageKind:
    """What names an image that is not given itself.

    Attributes:
        framework: The framework in it.
        target: The stage that it is.
        repository: The name before its tag.
    """

    framework: str
    target: str
    repository: str

    @property
    def conventional_name(self) -> str:
        """What ``dynbuild build`` tags as the latest image of this kind.

        The dev image has no suffix, and no target means dev.
        """
        suffix = "" if self.target in ("", "dev") else f"-{self.target}"
        return f"{self.repository}:latest-{self.framework.lower()}{suffix}"


def kind_of(settings: Settings, *, target: str | None = None) -> ImageKind:
    """The kind that the settings ask for, of *target* where that is given."""
    request = settings.catalog.request
    return ImageKind(
        framework=request.framework.lower(),
        target=target or request.target,
        repository=request.repository,
    )


def check_framework(kind: ImageKind, settings: Settings, *, target: str | None = None) -> None:
    """Refuse a framework that there is not, or that does not have *target*.

    Raises:
        RequestError: It is one.
    """
    known = settings.catalog.frameworks
    fitting = [name for name, row in known.items() if target is None or target in row.targets]
    if kind.framework not in fitting:
        raise RequestError(
            f"there is no framework {quote(kind.framework)}"
            if kind.framework not in known
            else f"{kind.framework} has no target {target}",
            origin=str(settings.origin("request", "framework")),
            hint=names.did_you_mean(kind.framework, fitting),
        )
