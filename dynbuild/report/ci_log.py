"""The marks by which CI systems fold their log and show errors.  Pure.

GitHub: https://docs.github.com/actions/reference/workflow-commands-for-github-actions
GitLab: https://docs.gitlab.com/ci/jobs/job_logs/#custom-collapsible-sections
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

from dynbuild.quick import dataclass

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
        lines: Of anybody: no line of them is taken for a mark.
        mark: A word that nobody can guess.
        seconds: The time, in seconds of the epoch.
    """

    title: str
    lines: Iterable[str]
    mark: str
    seconds: int

    def of(self, system: System) -> Iterator[str]:
        """The lines with the marks of *system*."""
        if system == "github":
            yield f"::group::{_line(self.title)}"
            # What a step printed gives no commands to the runner.
            yield f"::stop-commands::{self.mark}"
            yield from self.lines
            yield f"::{self.mark}::"
            yield "::endgroup::"
            return
        name = f"{re.sub(r'[^A-Za-z0-9_.-]', '_', self.title)[:60]}_{self.mark}"
        start = f"section_start:{self.seconds}:{name}[collapsed=true]"
        yield f"\x1b[0K{start}\r\x1b[0K{_line(self.title)}"
        yield from (line.replace("\x1b[0K", "") for line in self.lines)
        yield f"\x1b[0Ksection_end:{self.seconds}:{name}\r\x1b[0K"


def error(system: System, title: str, text: str) -> Iterator[str]:
    """The mark of an error, where *system* has one."""
    if system == "github":
        named = _escaped(title).replace(":", "%3A").replace(",", "%2C")
        yield f"::error title={named}::{_escaped(text)}"


def _line(text: str) -> str:
    return " ".join(text.split())


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
