"""The layer of settings that variables make: ``DYNBUILD_…``, sccache's, SOURCE_DATE_EPOCH.

Which variables there are, and what they hold, is read off the declarations of the options.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping

from dynbuild import names, paths
from dynbuild.errors import RequestError, quote
from dynbuild.settings import request_options, run_options
from dynbuild.settings.layers import KeyPath, Layer, Origin, Setting
from dynbuild.settings.option import ARG_PREFIX, ENV_PREFIX, Option

OTHER_VARIABLES = (
    *("DYNBUILD_HOME", "DYNBUILD_LOG", "DYNBUILD_PROGRESS", "DYNBUILD_TEMPLATES"),
    *("DYNBUILD_SECRET_", "DYNBUILD_VALUE_"),
)
"""Variables that are no settings: where the engine lives, how much is said, which templates,
and what BuildKit reads its secrets and arguments without a cache key from."""

SCCACHE_VARIABLES = {
    "SCCACHE_BUCKET": "SCCACHE_BUCKET",
    "SCCACHE_REGION": "SCCACHE_REGION",
    "SCCACHE_ENDPOINT": "SCCACHE_ENDPOINT",
    "SCCACHE_S3_USE_SSL": "SCCACHE_S3_USE_SSL",
    # BuildKit takes an argument with KEY in its name for a secret.
    "SCCACHE_S3_KEY_PREFIX": "SCCACHE_PREFIX",
}
"""Variables of sccache's own, and the build argument that each sets."""

EPOCH = "SOURCE_DATE_EPOCH"
"""The variable of reproducible builds, which buildx would take by itself."""

SWITCHED = {"1": True, "true": True, "yes": True, "on": True}
SWITCHED |= {"0": False, "false": False, "no": False, "off": False}
"""The words of a switch."""

_NUMBER = re.compile(r"[0-9]{1,30}")


@functools.cache
def variables() -> Mapping[str, Option]:
    """Every variable that sets an option, but those of build arguments."""
    declared = (
        *request_options.REQUEST,
        *request_options.SITE,
        run_options.PROFILE,
        *run_options.SETTINGS,
    )
    known: dict[str, Option] = {}
    for option in declared:
        if option.path and option.path[0] in ("request", "site", "run"):
            known.setdefault(option.variable, option)
    return known


def layer(env: Mapping[str, str], args: frozenset[str]) -> Layer:
    """What the variables of *env* say.

    Args:
        env: The environment.
        args: The names of the build arguments that there are.

    Raises:
        RequestError: A variable of dynbuild's is unknown, or its value no such value.
    """
    result: dict[KeyPath, Setting] = {}
    for name in sorted(env):
        origin = Origin("environment", name)
        if name in SCCACHE_VARIABLES:
            if env[name]:
                # The name with dynbuild's prefix is the more deliberate one.
                result.setdefault(("args", SCCACHE_VARIABLES[name]), Setting(env[name], origin))
        elif name == EPOCH:
            if env[name]:
                result.setdefault(("args", EPOCH), Setting(env[name], origin))
        elif name.startswith(ARG_PREFIX):
            result["args", _argument(name, args)] = Setting(env[name], origin)
        elif name.startswith(ENV_PREFIX) and not name.startswith(OTHER_VARIABLES):
            option = variables().get(name)
            if option is None:
                raise RequestError(
                    f"there is no setting for the variable {name}",
                    hint=names.did_you_mean(name, variables(), "docs/build.md"),
                )
            # CI systems set a variable to nothing to leave it out.
            if env[name]:
                result[option.path] = Setting(value(option, env[name], origin), origin)
    return result


def _argument(variable: str, args: frozenset[str]) -> str:
    name = variable.removeprefix(ARG_PREFIX)
    if name not in args:
        raise RequestError(
            f"there is no build argument '{name}'",
            origin=str(Origin("environment", variable)),
            hint=names.did_you_mean(name, args, "docs/arguments.md"),
        )
    return name


def value(option: Option, text: str, origin: Origin) -> str | int | bool | list[str]:
    """The value of *option* that *text* means.

    Raises:
        RequestError: It means none.
    """
    if option.kind == "switch" and all(isinstance(to, bool) for _, to in option.switches):
        if text.lower() not in SWITCHED:
            raise RequestError(f"{quote(text)} is neither true nor false", origin=str(origin))
        return SWITCHED[text.lower()]
    if option.kind == "list":
        return [item for part in re.split(option.separator, text) if (item := part.strip())]
    if option.kind == "integer":
        if not _NUMBER.fullmatch(text):
            raise RequestError(f"{quote(text)} is not a number", origin=str(origin))
        return int(text)
    if option.form == "path":
        return paths.local_or_address(text, origin=str(origin))
    return text
