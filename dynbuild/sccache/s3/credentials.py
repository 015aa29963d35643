"""The credentials of the standard AWS chain, and when they end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from dynbuild import units
from dynbuild.findings import Finding
from dynbuild.sccache.s3 import messages
from dynbuild.sccache.s3.call import Unusable, in_time


@dataclass(frozen=True, slots=True, kw_only=True)
class WebIdentity:
    """Where the keys of a role come from that are had for a token of a web identity.

    sccache asks for such keys itself, again and again, where it has these in place of keys.

    Attributes:
        token_file: The file with the token, which whoever issues it keeps fresh: as it was named,
            since what a link in it leads to changes.
        role_arn: The role.
        session_name: What its sessions are called; empty for a name of the program's own.
    """

    token_file: str
    role_arn: str
    session_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """AWS credentials.  Their text form shows no part of them.

    Attributes:
        access_key: The id of the key.
        secret_key: The key.
        token: The session token of temporary credentials, empty for others.
        expires: When they end, ``None`` where that is not known.
        source: Where they came from: ``variables``, or the name boto3 has for it.
        web_identity: What they were had for, if it was a token of a web identity.
    """

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    token: str = field(default="", repr=False)
    expires: datetime | None = None
    source: str = "variables"
    web_identity: WebIdentity | None = None

    def variables(self) -> dict[str, str]:
        """The variables that programs read them from, for the secrets of a build."""
        found = {"AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key}
        return found | ({"AWS_SESSION_TOKEN": self.token} if self.token else {})


def find(env: Mapping[str, str]) -> Credentials:
    """The credentials of the standard AWS chain.

    Variables, profile, SSO, roles, web identity, containers and instances.  Where the files are
    and which profile is meant is read from *env*; the rarer variables of the other ways boto3
    reads from its process.

    Raises:
        Unusable: There are none, or they cannot be had.
    """
    key, secret = env.get("AWS_ACCESS_KEY_ID", ""), env.get("AWS_SECRET_ACCESS_KEY", "")
    if key or secret:
        if not (key and secret):
            there, missing = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"
            if secret:
                there, missing = missing, there
            raise Unusable(
                Finding(
                    "half-credentials",
                    f"{there} is set and {missing} is not",
                    f"set {missing} too, or unset both to use a profile",
                )
            )
        given = Credentials(
            access_key=key,
            secret_key=secret,
            token=env.get("AWS_SESSION_TOKEN") or env.get("AWS_SECURITY_TOKEN", ""),
            expires=_time(env.get("AWS_CREDENTIAL_EXPIRATION", "")),
        )
    else:
        given = in_time(lambda: _chain(env), explain, _SLOW_CREDENTIALS)
    for text in (given.access_key, given.secret_key, given.token):
        if not (text.isascii() and text.isprintable()) or " " in text:
            raise Unusable(
                Finding(
                    "malformed-credentials",
                    f"the AWS credentials from {given.source} hold a blank or a line end",
                    "set them anew, without what was copied along",
                )
            )
    return given


def _time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return aware(found)


def aware(time: datetime) -> datetime:
    """*time*, which is in UTC where it names no zone."""
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _chain(env: Mapping[str, str]) -> Credentials:
    from botocore import session as sessions  # type: ignore[import-untyped]

    session = sessions.Session()
    home = Path(env.get("HOME") or Path.home(), ".aws")
    for name, variable, file in (
        ("credentials_file", "AWS_SHARED_CREDENTIALS_FILE", "credentials"),
        ("config_file", "AWS_CONFIG_FILE", "config"),
    ):
        session.set_config_variable(name, env.get(variable) or str(home / file))
    profile = env.get("AWS_PROFILE") or env.get("AWS_DEFAULT_PROFILE")
    if profile and profile != session.get_config_variable("profile"):
        session.set_config_variable("profile", profile)
    resolver = session.get_component("credential_provider")
    if env.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        resolver.remove("iam-role")
    found = session.get_credentials()
    if found is None:
        raise Unusable(_NO_CREDENTIALS)
    frozen = found.get_frozen_credentials()
    renewed = found.method == _WEB_IDENTITY
    return Credentials(
        access_key=frozen.access_key,
        secret_key=frozen.secret_key,
        token=frozen.token or "",
        # There is no public name for it.
        expires=getattr(found, "_expiry_time", None),
        source=found.method,
        web_identity=_web_identity(env, session.get_scoped_config()) if renewed else None,
    )


_WEB_IDENTITY = "assume-role-with-web-identity"
"""boto3's name of that source."""


def _web_identity(env: Mapping[str, str], profile: Mapping[str, str]) -> WebIdentity:
    """What boto3 asked with: each part from its variable, else from the *profile*."""

    def part(name: str) -> str:
        return env.get(f"AWS_{name.upper()}") or profile.get(name, "")

    return WebIdentity(
        token_file=str(Path(part("web_identity_token_file")).absolute()),
        role_arn=part("role_arn"),
        session_name=part("role_session_name"),
    )


_NO_CREDENTIALS = Finding(
    "no-credentials",
    "there are no AWS credentials for the compile cache",
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or log in: aws sso login",
)


_SLOW_CREDENTIALS = Finding(
    "slow-credentials",
    "the AWS credentials for the compile cache did not come in time",
    "look at what the AWS profile asks for them: a program, a login, another machine",
)


def explain(error: Exception) -> Finding:
    """Why the chain gave nothing.  What the error says may be the output of a program."""
    name = type(error).__name__
    if name == "ProfileNotFound":
        return Finding(
            "no-profile",
            "the AWS profile that AWS_PROFILE names is in none of the AWS files",
            "aws configure list-profiles shows those that are; correct or unset AWS_PROFILE",
        )
    if name in ("UnauthorizedSSOTokenError", "SSOTokenLoadError", "TokenRetrievalError"):
        return Finding("sso-login", "the AWS login by SSO has ended", "aws sso login")
    return Finding(
        "no-credentials",
        f"the AWS credentials cannot be had ({name})",
        "correct the AWS profile, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    )


def ending(given: Credentials, expected_seconds: float, now: datetime) -> Iterator[Finding]:
    """What is wrong with the end of credentials that a build of so many seconds starts with.

    Those of a web identity are renewed while it runs: their end is none of the build.
    """
    if given.expires is None or given.web_identity:
        return
    left = (given.expires - now).total_seconds()
    if left <= 0:
        message, remedy = messages.MESSAGES["expired-credentials"]
        yield Finding("expired-credentials", message.format(source=given.source), remedy)
    elif left < expected_seconds:
        yield Finding(
            "short-credentials",
            f"the AWS credentials from {given.source} expire in {units.format_minutes(left)},"
            f" and the build may take {units.format_minutes(expected_seconds)}",
            "log in again before the build, or ask for a longer session",
        )
