"""What the machine says: who calls, which certificates and which index it uses."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from pathlib import Path

from dynbuild.errors import RequestError, quote
from dynbuild.plan.machine import Machine

_SYSTEM_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
_SITE_CERTIFICATES = Path("/usr/local/share/ca-certificates")


def read(env: Mapping[str, str]) -> Machine:
    """The facts of this machine that a plan depends on."""
    return Machine(
        uid=_id(env, "SUDO_UID", os.getuid()),
        gid=_id(env, "SUDO_GID", os.getgid()),
        ca_bundle=_ca_bundle(env),
        index_url=_index_url(env),
        ecr_hostname=env.get("ECR_HOSTNAME", ""),
        date=_date(env),
    )


def _id(env: Mapping[str, str], variable: str, own: int) -> int:
    """The id of who called sudo, else *own*."""
    text = env.get(variable, "")
    if not text:
        return own
    if not re.fullmatch("[0-9]{1,10}", text):
        raise RequestError(
            f"the variable {variable} is {quote(text)}, which is no id of a user or group",
            hint="sudo sets it; unset it where no sudo is involved",
        )
    return int(text)


def _date(env: Mapping[str, str]) -> str:
    """The day of the build, or that of SOURCE_DATE_EPOCH, which stands for it.

    https://reproducible-builds.org/specs/source-date-epoch/
    """
    text = env.get("SOURCE_DATE_EPOCH", "")
    seconds = int(text) if re.fullmatch("[0-9]{1,11}", text) else None
    return time.strftime("%Y%m%d", time.gmtime(seconds))


def _ca_bundle(env: Mapping[str, str]) -> str:
    """The bundle that SSL_CERT_FILE names, else the system's where a site added to it."""
    named = env.get("SSL_CERT_FILE", "")
    if named and Path(named).is_file():
        return str(Path(named).absolute())
    site = _SITE_CERTIFICATES.is_dir() and any(_SITE_CERTIFICATES.rglob("*.crt"))
    return str(_SYSTEM_BUNDLE) if site and _SYSTEM_BUNDLE.is_file() else ""


def _index_url(env: Mapping[str, str]) -> str:
    """The index that pip is configured with; empty for its default.

    A local folder is no use inside a build, so only http and https count.
    """
    if env.get("PIP_CONFIG_FILE") == os.devnull:
        return ""  # pip's own way of saying: no configuration at all
    found = env.get("PIP_INDEX_URL", "")
    home = Path(env.get("HOME", "/root"))
    files = (
        Path("/etc/xdg/pip/pip.conf"),
        Path("/etc/pip.conf"),
        home / ".pip/pip.conf",
        Path(env.get("XDG_CONFIG_HOME") or home / ".config") / "pip/pip.conf",
        *([Path(env["PIP_CONFIG_FILE"])] if env.get("PIP_CONFIG_FILE") else []),
    )
    for path in filter(Path.is_file, () if found else files):
        import configparser  # few have such a file

        parser = configparser.RawConfigParser()
        try:
            parser.read(path, encoding="utf-8")
        except (configparser.Error, OSError, UnicodeDecodeError):
            continue
        found = parser.get("global", "index-url", fallback=found)
    return found if found.startswith(("http://", "https://")) else ""
