"""The user of local-dev: as given, else the caller.  Pure."""

from __future__ import annotations

from collections.abc import Collection

from dynbuild.errors import RequestError
from dynbuild.plan.decision import Decision, Values
from dynbuild.plan.machine import Machine
from dynbuild.settings.layers import Origin, Setting
from dynbuild.settings.load import Settings

ROOT = "0"

IMAGE_UID = "1000"
"""The uid of dynamo in every image (facts: runtime rules)."""

_CALLER_IS_ROOT = Origin("machine", "the caller is root")


def given(config: Settings) -> Decision:
    """The ids that were asked for."""
    request = config.catalog.request
    ids = (("uid", "USER_UID", request.uid), ("gid", "USER_GID", request.gid))
    return Decision(
        "request",
        {
            arg: Setting(str(number), config.origin("request", key))
            for key, arg, number in ids
            if number is not None
        },
    )


def caller(machine: Machine) -> Decision:
    """The caller's ids, where none were asked for."""
    ids = (("uid", "USER_UID", machine.uid), ("gid", "USER_GID", machine.gid))
    return Decision(
        "fill",
        {
            arg: Setting(str(own), Origin("machine", f"{key} of the caller"))
            for key, arg, own in ids
        },
    )


def not_root(values: Values) -> Decision:
    """Another uid where the caller's is root's own, which can be nobody else's.

    Raises:
        RequestError: Root's was asked for.
    """
    chosen = values["USER_UID"]
    if chosen.value != ROOT:
        return Decision("fix")
    if chosen.origin.layer != "machine":
        raise RequestError(
            "uid 0 is root's: the user of local-dev cannot have it",
            origin=str(chosen.origin),
            hint="give the uid of the person who will use the image",
        )
    return Decision("fix", {"USER_UID": Setting(IMAGE_UID, _CALLER_IS_ROOT)})


def kept(values: Values, used: Collection[str]) -> list[str]:
    """The warning that the user of local-dev is not the caller, if that is so."""
    if values["USER_UID"].origin != _CALLER_IS_ROOT or "USER_UID" not in used:
        return []
    return [f"the caller is root, so dynamo keeps the uid {IMAGE_UID}; --uid gives another"]
