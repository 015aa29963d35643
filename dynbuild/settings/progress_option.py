"""The option that says how a build is shown while it runs."""

from __future__ import annotations

from dynbuild.settings.option import ENV_PREFIX, Option

PROGRESS = Option(
    name="progress",
    flags=("--progress",),
    choices=("auto", "live", "plain", "json", "quiet"),
    env=f"{ENV_PREFIX}PROGRESS",
    help="How it is shown while it runs: live on a terminal, else plain lines; JSON; nothing.",
    panel="How it runs",
    default="auto",
)
