"""The source tree, and what one logs in to: the cache in S3, Hugging Face."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from dynbuild import paths
from dynbuild.build import git as tree
from dynbuild.doctor.model import Answer, absent, ok, warning
from dynbuild.doctor.probe import Probe
from dynbuild.errors import RequestError
from dynbuild.plan import version
from dynbuild.sccache import cache as compile_cache
from dynbuild.sccache.s3 import preflight


def git(probe: Probe) -> Answer:
    """The source tree has a commit and a tag to derive versions from."""
    facts = tree.read(probe.context, probe.env)
    derived = version.derive(facts, probe.env)
    value = f"{derived.tag} ({derived.origin})"
    if facts.dirty:
        value += ", with changes that are not committed"
    if facts.shallow:
        return warning(value, "versions come from tags: git fetch --unshallow --tags")
    if facts.fault:
        return warning(f"{value}: {facts.fault.message}", facts.fault.remedy)
    if facts.state:
        return absent(value, "the version is a guess: --tag names images otherwise")
    return ok(value)


def s3(probe: Probe) -> Answer:
    """Credentials for a compile cache in S3, and its bucket where one is named."""
    source = _aws(probe.env)
    bucket = probe.env.get("SCCACHE_BUCKET")
    if bucket:
        trouble, remedy = _bucket(probe.env)
        if trouble:
            return warning(trouble, remedy)
        return ok(f"bucket {bucket} answers, credentials from {source or 'the machine'}")
    if source:
        return ok(f"AWS credentials from {source}")
    return absent("no AWS credentials; only a cache in S3 needs them")


def _bucket(env: Mapping[str, str]) -> tuple[str, str]:
    """What is wrong with the bucket of the compile cache, and the remedy; empty when nothing.

    The variables are those of sccache; nothing is written.
    """
    try:
        cache = compile_cache.resolve(flags={}, args={}, env=env)
    except RequestError as error:
        return error.message, error.hint or ""
    found = preflight.reachable(cache, env)
    return (found.message, found.remedy) if found else ("", "")


_AWS_KEYS = frozenset(
    ("aws_access_key_id", "credential_process", "role_arn", "sso_session", "sso_start_url")
)
_AWS_VARIABLES = (
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)


def _aws(env: Mapping[str, str]) -> str:
    """Where AWS credentials would come from; nothing is contacted, and no program asked."""
    if env.get("AWS_ACCESS_KEY_ID") and env.get("AWS_SECRET_ACCESS_KEY"):
        return "variables"
    from botocore import configloader, exceptions  # type: ignore[import-untyped]

    home = Path(env.get("HOME") or Path.home(), ".aws")
    profile = env.get("AWS_PROFILE") or env.get("AWS_DEFAULT_PROFILE") or "default"
    credentials = env.get("AWS_SHARED_CREDENTIALS_FILE") or str(home / "credentials")
    config = env.get("AWS_CONFIG_FILE") or str(home / "config")
    for file, read in (
        (credentials, configloader.raw_config_parse),
        (config, lambda name: configloader.load_config(name)["profiles"]),
    ):
        try:
            keys = read(file).get(profile, {})
        except (exceptions.ConfigNotFound, exceptions.ConfigParseError):
            continue
        if not _AWS_KEYS.isdisjoint(keys):
            return f"profile {profile} in {file}"
    return next((f"variable {name}" for name in _AWS_VARIABLES if env.get(name)), "")


def _hf_home(env: Mapping[str, str]) -> Path:
    cache = env.get("XDG_CACHE_HOME") or Path(env.get("HOME") or Path.home(), ".cache")
    return paths.expanded(env.get("HF_HOME") or f"{cache}/huggingface", origin="HF_HOME")


def hf_token(probe: Probe) -> Answer:
    """A token of Hugging Face that containers get."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if probe.env.get(name):
            return ok(f"present (variable {name})")
    own = probe.env.get("HF_TOKEN_PATH")
    file = paths.expanded(own, origin="HF_TOKEN_PATH") if own else _hf_home(probe.env) / "token"
    if file.is_file():
        return absent(f"only in {file}", "containers get the variable HF_TOKEN: export it")
    return absent("none; only gated models need one (variable HF_TOKEN)")


def hf_cache(probe: Probe) -> Answer:
    """The cache of Hugging Face can be written."""
    own = probe.env.get("HF_HUB_CACHE")
    place = paths.expanded(own, origin="HF_HUB_CACHE") if own else _hf_home(probe.env) / "hub"
    there = place
    while not there.exists() and there != there.parent:
        there = there.parent
    if not os.access(there, os.W_OK | os.X_OK):
        return warning(f"{place} cannot be written", "set HF_HOME to a folder of yours")
    if there != place:
        return absent(f"{place} is not there yet", f"mkdir -p {place}")
    return ok(f"{place} can be written")
