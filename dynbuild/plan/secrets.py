"""The secrets that a build gets: their ids, and the values that BuildKit reads from variables."""

from __future__ import annotations

from dynbuild.plan import mirrors
from dynbuild.plan.job import Secret
from dynbuild.plan.machine import Machine
from dynbuild.settings.load import Settings
from dynbuild.settings.models import Catalog

AWS_SECRETS = {
    "aws-key-id": "DYNBUILD_SECRET_AWS_KEY_ID",
    "aws-secret-id": "DYNBUILD_SECRET_AWS_SECRET_ID",
    "aws-session-token": "DYNBUILD_SECRET_AWS_SESSION_TOKEN",
}
"""Secrets of the compile cache in S3 and the variables that BuildKit reads them from."""


def secret_sources(catalog: Catalog, machine: Machine) -> tuple[Secret, ...]:
    """Where each secret of a build comes from: site certificates, index, the mirrors' script."""
    bundle = catalog.site.ca_bundle or machine.ca_bundle
    index = catalog.site.index_url or machine.index_url
    found = []
    if bundle:
        found.append(Secret(id="ca_bundle", src=bundle))
        found.append(Secret(id="ca_bundle_path", env="DYNBUILD_SECRET_CA_BUNDLE_PATH"))
    if index:
        found.append(Secret(id="index_url", env="DYNBUILD_SECRET_INDEX_URL"))
    if mirrors.wanted(catalog):
        found.append(Secret(id=mirrors.SCRIPT, env="DYNBUILD_SECRET_SITE"))
    return tuple(found)


def secret_values(config: Settings, machine: Machine, site: str) -> dict[str, str]:
    """The values of the secrets that BuildKit reads from variables, by variable.

    Args:
        config: The settings.
        machine: The caller.
        site: The mirrors' script (``dynbuild.render.site``).
    """
    catalog = config.catalog
    values = {
        "DYNBUILD_SECRET_SITE": site,
        "DYNBUILD_SECRET_CA_BUNDLE_PATH": "/run/secrets/ca_bundle",
        "DYNBUILD_SECRET_INDEX_URL": catalog.site.index_url or machine.index_url,
    }
    wanted = {secret.env for secret in secret_sources(catalog, machine)}
    return {variable: value for variable, value in values.items() if variable in wanted}
