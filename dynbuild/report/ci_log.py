"""The marks by which CI systems fold their log and show errors.  Pure.

GitHub: https://docs.github.com/actions/reference/workflow-commands-for-github-actions
GitLab: https://docs.gitlab.com/ci/jobs/job_logs/#custom-collapsible-sections
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from dynbuild.errors import one_line
from dynbuild.quick import dataclass
from dynbuild.report.display import Display

System = Literal["github", "gitlab"]


def system_of(env: Mapping[str, str]) -> System | None:
    """The CI system that a job with the variables *env* runs in, of those known here."""
    if env.get("GITHUB_ACTIONS") == "true":
        return "github"
    return "gitlab" if env.get("GITLAB_CI") == "true" else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """Lines that a log shows folded, below their title.

    Attributes:
        title: What is seen of it.
        mark: A word that nobody can guess.
        seconds: The time, in seconds of the epoch.
    """

    title: str
    mark: str
    seconds: int

    def begin(self, system: System) -> tuple[str, ...]:
        """The marks before the lines: from here on *system* takes none of them for a mark."""
        title = _visible(self.title)
        if system == "github":
            # What a step printed gives no commands to the runner.
            return f"::group::{title}", f"::stop-commands::{self.mark}"
        start = f"section_start:{self.seconds}:{self._name}[collapsed=true]"
        return (f"\x1b[0K{start}\r\x1b[0K{title}",)

    def end(self, system: System) -> tuple[str, ...]:
        """The marks after them."""
        if system == "github":
            return f"::{self.mark}::", "::endgroup::"
        return (f"\x1b[0Ksection_end:{self.seconds}:{self._name}\r\x1b[0K",)

    @property
    def _name(self) -> str:
        return f"{re.sub(r'[^A-Za-z0-9_.-]', '_', self.title)[:60]}_{self.mark}"


def error(system: System, title: str, text: str) -> tuple[str, ...]:
    """The mark of an error, where *system* has one."""
    if system != "github":
        return ()
    named = _escaped(title).replace(":", "%3A").replace(",", "%2C")
    return (f"::error title={named}::{_escaped(text)}",)


def _visible(text: str) -> str:
    """*text* in one line; what a terminal would obey in it is shown."""
    return Display().visible(one_line(text))


def _escaped(text: str) -> str:
    return Display().visible(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
