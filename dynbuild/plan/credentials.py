"""No secret stands in an address or a specification of a plan: one rule for all of them.  Pure.

A plan, its definition and its record are read by many, and images keep their arguments in the
history.  What needs a login has a way that shows nobody the secret; the hints name it.
"""

from __future__ import annotations

from collections.abc import Iterator

from dynbuild.addresses import public, secret_field, secret_in
from dynbuild.names import needs_ssh
from dynbuild.plan.decision import Values
from dynbuild.settings.layers import KeyPath, Origin
from dynbuild.settings.load import Settings
from dynbuild.settings.models import PASSED_THROUGH
from dynbuild.settings.problems import Problem

_ELSEWHERE = ("site", "mirrors", "run")
"""Tables that are no part of this: builds get ``[site]`` as a secret, ``[mirrors]`` are checked
where they are read, and a run is no build."""

_SITE_CONTEXT = ("site", "meson_packages")
"""What of ``[site]`` is a named context, and so no secret."""

_SPECIFICATIONS = ("cache_from", "cache_to")
_REGISTRY = "log in with docker login: BuildKit takes the credentials from docker's configuration"
_CACHE = (
    f"{_REGISTRY}; keys of S3 come from the variables AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY,"
    " and any key from one that you name: secret_access_key=${MY_KEY}"
)
_TREE = (
    "a token goes into a variable that site.git_auth_token names, a key into an ssh agent"
    " (git@HOST:PATH); or clone the tree, and give its folder: --source NAME=PATH"
)
_BY_SSH = (
    "name it in [sources.NAME] repo; or give an https address, with site.git_auth_token for a token"
)
_INDEX = "an index with a login is site.index_url, which builds get as a secret"
_DOWNLOAD = "have the file on a mirror that needs no login, and name that in [mirrors]"


def of_settings(config: Settings) -> Iterator[Problem]:
    """Every address and specification of the settings that holds a secret."""
    for path, text, origin in _texts(config):
        if path[-1] in _SPECIFICATIONS:
            field = secret_field(text)
            if field:
                name = f"request.{path[-1]}"
                yield Problem(f"{name} has a secret in its field '{field}'", str(origin), _CACHE)
        elif secret := secret_in(text) or secret_in(path[-1]):
            # What a context replaces is an address as well: that of an image.
            name = ".".join(map(public, path))
            yield Problem(f"{name} has {secret.title} in its address", str(origin), _hint(path))
        elif path[0] == "contexts" and needs_ssh(text):
            message = (
                f"the context {path[-1]} is a repository by ssh, which BuildKit takes of a source"
            )
            yield Problem(f"{message} only", str(origin), _BY_SSH)


def of_values(values: Values) -> Iterator[Problem]:
    """Every argument whose address holds a secret."""
    for arg, setting in values.items():
        # A proxy may need a password: such arguments are handed on by reference.
        if arg not in PASSED_THROUGH and (secret := secret_in(str(setting.value))):
            message = f"the argument {arg} has {secret.title} in its address"
            yield Problem(message, str(setting.origin), _hint(("args", arg)))


def _texts(config: Settings) -> Iterator[tuple[KeyPath, str, Origin]]:
    """The texts of the settings, without arguments, which depend on the image."""
    for layer in config.layers[1:]:
        for path, setting in layer.items():
            if (path[0] in _ELSEWHERE and path != _SITE_CONTEXT) or _is_argument(path):
                continue
            if config.origins.get(path) != setting.origin:
                continue  # a higher layer says something else
            for text in setting.value if isinstance(setting.value, list) else [setting.value]:
                if isinstance(text, str):
                    yield path, text, setting.origin


def _is_argument(path: KeyPath) -> bool:
    return path[0] == "args" or (path[0] == "frameworks" and len(path) > 2)


def _hint(path: KeyPath) -> str:
    if path[0] == "contexts" or path[-1] in ("repo", "tensorrtllm_git_url"):
        return _TREE
    if path[-1].upper().endswith(("INDEX_URL", "PIP_WHEEL")):
        return _INDEX
    if path[0] == "args" and path[-1].endswith("_URL"):
        return _DOWNLOAD
    if path[-1] in ("url", "amd64", "arm64"):
        return _DOWNLOAD
    return _REGISTRY
