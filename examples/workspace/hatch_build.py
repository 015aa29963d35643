"""Build hook: records in the wheel which commit it was built from."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CommitHook(BuildHookInterface):
    """Adds ``dynamo/hello/_build.py`` to the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the module outside the tree and include it.

        Args:
            version: ``standard`` or ``editable``.
            build_data: What the builder is told; the module is added to it.
        """
        if version == "editable":
            return
        # The environment and not git: a build context carries no repository.
        commit = os.environ.get("DYNAMO_COMMIT_SHA", "unknown")
        self._folder = tempfile.TemporaryDirectory()
        module = Path(self._folder.name, "_build.py")
        module.write_text(f'"""Written by hatch_build.py."""\n\nCOMMIT = {commit!r}\n')
        build_data["force_include"][str(module)] = "dynamo/hello/_build.py"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the temporary folder."""
        if version != "editable":
            self._folder.cleanup()
