"""The frontend's endpoint picker: taken as an image, or built by the source tree first.  Pure."""

from __future__ import annotations

from pathlib import Path

from dynbuild.errors import RequestError
from dynbuild.plan.decision import Decision, Values
from dynbuild.plan.document import Preparation
from dynbuild.plan.machine import Machine
from dynbuild.plan.matrix import Cell
from dynbuild.plan.version import Version
from dynbuild.settings.layers import Setting
from dynbuild.settings.load import Settings

FOLDER = "deploy/inference-gateway/epp"
"""Where the source tree builds the endpoint picker (facts: frontend / EPP flow)."""


def preparation(
    config: Settings,
    cell: Cell,
    values: Values,
    *,
    version: Version,
    context: Path,
    machine: Machine,
) -> Preparation | None:
    """The tree's own build of the endpoint picker; ``None`` where it is not asked for.

    Raises:
        RequestError: The image has none, or another one is given as well.
    """
    if not config.catalog.request.build_epp:
        return None
    origin = config.origin("request", "build_epp")
    if cell.id.target != "frontend":
        raise RequestError(
            f"the endpoint picker is part of the frontend, not of {cell.id.target}",
            origin=str(origin),
            hint="add --target frontend, or drop --build-epp",
        )
    if values["EPP_IMAGE"].origin.layer == origin.layer == "flag":
        raise RequestError(
            "--build-epp and --epp-image exclude each other: one endpoint picker is needed",
            origin=f"{origin}, {values['EPP_IMAGE'].origin}",
            hint="drop one of them",
        )
    # What the Makefile is told (facts: frontend / EPP flow).
    host = machine.ecr_hostname
    proxy = (f"DOCKER_PROXY={host}/dockerhub/",) if host else ()
    argv = ("make", "-C", FOLDER, "all", f"DYNAMO_DIR={context}", *proxy)
    return Preparation(
        what="epp", argv=argv, makes=f"dynamo/dynamo-epp:{version.described or 'dev'}"
    )


def of_preparation(config: Settings, built: Preparation) -> Decision:
    """The image that the tree builds, as the argument that names it."""
    origin = config.origin("request", "build_epp")
    return Decision("fix", {"EPP_IMAGE": Setting(built.makes, origin)})
