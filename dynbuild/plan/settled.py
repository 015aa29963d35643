"""What settings come to, whatever the cell: decided once for all cells that have them.  Pure."""

from __future__ import annotations

from collections.abc import Mapping

from dynbuild.image_id import ImageId
from dynbuild.plan import contexts, credentials, mirrors, secrets, tags, values
from dynbuild.plan.mirrors import Reach
from dynbuild.plan.version import Version
from dynbuild.quick import dataclass
from dynbuild.settings.load import Settings
from dynbuild.settings.models import Argument
from dynbuild.settings.problems import Collector, Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What one set of settings comes to.

    Attributes:
        reach: What they say of the outside.
        arguments: What each argument is.
        tagged: The cells that share a tag by the template of the settings, by that tag.
        problems: What is wrong with the settings.
    """

    reach: Reach
    arguments: Mapping[str, Argument]
    tagged: Mapping[str, tuple[ImageId, ...]]
    problems: tuple[Problem, ...]


def of(config: Settings, version: Version, date: str) -> Settled:
    """What *config* comes to.

    Args:
        config: The settings.
        version: What git says.
        date: Of the build, as eight digits.
    """
    problems = Collector()
    table: mirrors.Table = {}
    tagged: Mapping[str, tuple[ImageId, ...]] = {}
    problems.extend(credentials.of_settings(config))
    problems.extend(secrets.problems(config))
    problems.extend(tags.unclean(config, version))
    with problems.collected():
        table = mirrors.table(config)
    problems.extend(contexts.problems(config))
    with problems.collected():
        tagged = tags.shared(config, version, date)
    return Settled(
        reach=mirrors.reach(config, table),
        arguments=values.declarations(config),
        tagged=tagged,
        problems=tuple(problems.problems),
    )
