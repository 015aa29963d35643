"""The secrets that a build gets: their ids, and the values that BuildKit reads from variables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from dynbuild.plan import mirrors
from dynbuild.plan.job import ImageJob, Job, Secret
from dynbuild.plan.machine import Machine
from dynbuild.settings.load import Settings
from dynbuild.settings.models import Catalog
from dynbuild.settings.problems import Problem

AWS_SECRETS = {
    "aws-key-id": "DYNBUILD_SECRET_AWS_KEY_ID",
    "aws-secret-id": "DYNBUILD_SECRET_AWS_SECRET_ID",
    "aws-session-token": "DYNBUILD_SECRET_AWS_SESSION_TOKEN",
}
"""Secrets of the compile cache in S3 and the variables that BuildKit reads them from."""

AWS_ROLE = {
    "aws-role-arn": "DYNBUILD_SECRET_AWS_ROLE_ARN",
    "aws-role-session-name": "DYNBUILD_SECRET_AWS_ROLE_SESSION_NAME",
}
"""Those that come in their place with the token of a web identity, likewise."""

WEB_IDENTITY = "aws-web-identity-token"
"""That token.  It is a file: BuildKit reads it anew for each step that mounts it."""


GIT = ("git_auth_token", "git_auth_header")
"""Settings of ``[site]`` with logins of git hosts, by the name of BuildKit's own secret."""

_HOST_AND_VARIABLE = re.compile(r"[A-Za-z0-9.-]+(?::[0-9]{1,5})?=[A-Z_][A-Z0-9_]*", re.ASCII)


def of(catalog: Catalog, machine: Machine) -> tuple[Secret, ...]:
    """Where each secret of a build comes from: site certificates, index, the mirrors' script."""
    bundle = catalog.site.ca_bundle or machine.ca_bundle
    index = catalog.site.index_url or machine.index_url
    secrets = []
    if bundle:
        secrets.append(Secret(id="ca_bundle", src=bundle))
        secrets.append(Secret(id="ca_bundle_path", env="DYNBUILD_SECRET_CA_BUNDLE_PATH"))
    if index:
        secrets.append(Secret(id="index_url", env="DYNBUILD_SECRET_INDEX_URL"))
    if mirrors.needs_script(catalog):
        secrets.append(Secret(id=mirrors.SCRIPT, env="DYNBUILD_SECRET_SITE"))
    for kind in GIT:
        for text in getattr(catalog.site, kind):
            host, _, variable = text.partition("=")
            secrets.append(Secret(id=f"{kind.upper()}.{host}", env=variable))
    return tuple(secrets)


def with_web_identity(job: Job, token_file: str) -> Job:
    """*job*, the steps of which get a web identity where they would get the keys of S3.

    Args:
        job: What is to be built.
        token_file: The file with the token.
    """
    role = (
        Secret(id=WEB_IDENTITY, src=token_file),
        *(Secret(id=name, env=env) for name, env in AWS_ROLE.items()),
    )

    def of_image(image: ImageJob) -> ImageJob:
        others = tuple(secret for secret in image.secrets if secret.id not in AWS_SECRETS)
        if len(others) == len(image.secrets):
            return image
        used = others + role
        plan = replace(image.plan, secrets=tuple(secret.id for secret in used))
        return replace(image, secrets=used, plan=plan)

    return job.with_images(map(of_image, job.images))


def problems(config: Settings) -> Iterator[Problem]:
    """Logins of git hosts in another form than ``HOST=VARIABLE``; an index without an address."""
    if (index := config.catalog.site.index_url) and "://" not in index:
        # Not repeated: it may have a login.
        yield Problem(
            "site.index_url is no address",
            str(config.origin("site", "index_url")),
            "such as https://pypi.example.com/simple",
        )
    for kind in GIT:
        for text in getattr(config.catalog.site, kind):
            if not _HOST_AND_VARIABLE.fullmatch(text):
                # Not repeated: it may be the token itself.
                yield Problem(
                    f"site.{kind} has an entry that is not HOST=VARIABLE",
                    str(config.origin("site", kind)),
                    "it names the variable that holds the secret, in capitals:"
                    " git.example.com=GIT_TOKEN",
                )


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
    used = {secret.env for secret in of(catalog, machine)}
    return {variable: value for variable, value in values.items() if variable in used}
