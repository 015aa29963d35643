"""The values of a cell's arguments: those of the settings, and the simple decisions.  Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterator

from dynbuild.plan import stages
from dynbuild.plan.decision import Decision, Values
from dynbuild.plan.matrix import Cell, Wheels
from dynbuild.plan.version import Version
from dynbuild.settings import environment, load
from dynbuild.settings.layers import Origin, Setting
from dynbuild.settings.load import Settings
from dynbuild.settings.models import PASSED_THROUGH
from dynbuild.settings.problems import Problem

SWITCHES = (
    "ENABLE_KVBM",
    "ENABLE_GPU_MEMORY_SERVICE",
    "ENABLE_MEDIA_NIXL",
    "ENABLE_MEDIA_FFMPEG",
)
"""Arguments that are true or false."""


def of(config: Settings, cell: Cell) -> Values:
    """Every argument as the settings have it for *cell*."""
    return load.args_of(config, cell.id.framework, cell.id.device, cell.id.cuda)


def of_wheels(wheels: Wheels) -> Decision:
    """The version of published wheels, where ``--dynamo-wheels`` gives one."""
    given = {"DYNAMO_VERSION": Setting(wheels.version, wheels.origin)} if wheels.version else {}
    return Decision("request", given)


def of_commit(version: Version) -> Decision:
    """The commit that images are labelled with."""
    return Decision("fill", {"DYNAMO_COMMIT_SHA": Setting(version.commit, version.commit_origin)})


def of_base(values: Values) -> Decision:
    """NVIDIA's PyTorch is the base of trtllm as well: given one of them, the other follows."""
    follows = {
        f"PYTORCH_{arg}": Setting(values[arg].value, Origin("derived", arg))
        for arg in stages.BASE
        if values[arg].origin.layer != "catalog"
        and values[f"PYTORCH_{arg}"].origin.layer == "catalog"
    }
    return Decision("fix", follows)


def of_switches(values: Values) -> Decision:
    """Switches in the one spelling that the templates' shells know."""
    spelled = {
        arg: Setting(str(values[arg].value).lower() or "false", values[arg].origin)
        for arg in SWITCHES
    }
    return Decision("fix", spelled)


def problems(values: Values) -> Iterator[Problem]:
    """What is wrong with values."""
    for arg in SWITCHES:
        if values[arg].value not in ("true", "false"):
            yield Problem(
                f"{arg} is '{values[arg].value}'",
                str(values[arg].origin),
                "it is 'true' or 'false'",
            )
    for arg, setting in values.items():
        # Control characters, line and paragraph separators, lone surrogates.
        if any(unicodedata.category(char) in ("Cc", "Zl", "Zp", "Cs") for char in setting.value):
            yield Problem(
                f"the value of {arg} has a line break or a control character", str(setting.origin)
            )
            continue
        composed = unicodedata.normalize("NFC", setting.value)
        if setting.value != composed.removeprefix("\ufeff"):
            yield Problem(
                f"the value of {arg} has characters that docker buildx bake would change",
                str(setting.origin),
                "write it in Unicode's composed form (NFC), without a byte order mark",
            )


def unused(values: Values, used: Collection[str]) -> list[str]:
    """Warn of arguments that were set for this build and reach no stage of it."""
    return [
        f"{arg} ({setting.origin}) is used by no stage of this image"
        for arg, setting in values.items()
        if setting.origin.layer in ("flag", "environment")
        and arg not in used
        and arg not in PASSED_THROUGH
        and setting.origin.source not in environment.SCCACHE_VARIABLES
    ]
