"""Command lines: every command, with any of its options, and values that are wrong or odd."""

from __future__ import annotations

import functools
from typing import Literal, NamedTuple, get_args, get_origin

from typer.main import get_command

from dynbuild.cli import commands
from dynbuild.settings.environment import variables
from tests.fuzz import hostile

IMAGE = ("--framework", "none", "--target", "runtime", "--device", "cpu")
STARTS = {
    "build": ((), (*IMAGE, "--dry-run"), ("--dry-run",)),
    "plan": ((), IMAGE, (*IMAGE, "--format", "json"), ("--framework", "vllm")),
    "render": ((), IMAGE),
    "matrix": (("--framework", "none", "--target", "runtime", "--dry-run"), ("--resume", "last")),
    "run": (("--image", "x:y", "--dry-run"), ("--image", "x:y", "--export", "k8s"), ()),
}
"""How a command may begin, so that what comes after it is read by more than the parser."""

RARE = ("matrix", "doctor")
"""Commands that take a second each."""


class Declared(NamedTuple):
    """An option: its spellings, the words it takes, and whether a value follows."""

    spellings: tuple[str, ...]
    words: tuple[str, ...]
    has_value: bool


@functools.cache
def known():
    """Every command by its words, with its options."""
    found = {}

    def walk(command, words):
        below = getattr(command, "commands", None)
        if below:
            for name in below:
                walk(below[name], (*words, name))
            return
        found[words] = tuple(
            Declared(
                (*param.opts, *param.secondary_opts),
                _choices(param.type_descriptor.annotation),
                not param.is_flag and not param.count,
            )
            for param in command.params
            if param.param_type_name == "option"
        )

    walk(get_command(commands.app), ())
    return found


def _choices(annotation):
    """The words of an annotation ``Literal[…]``."""
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def command_line(chance):
    """Words of a command line."""
    words = chance.choice(list(known()))
    if words[0] in RARE and chance.random() < 0.8:
        words = ("run",)
    begin = chance.choice(STARTS.get(words[0], ((),)))
    line = [*words, *begin]
    for _ in range(chance.choice((0, 1, 1, 1, 2, 2, 3, 5))):
        line += option(chance, chance.choice(known()[words]))
    for _ in range(chance.choice((0, 0, 0, 1, 2))):
        line.insert(chance.randrange(len(line) + 1), hostile.text(chance))
    if chance.random() < 0.1:
        del line[chance.randrange(len(line))]
    return line


def option(chance, declared):
    """The words of an option, mostly with a value."""
    spelling = chance.choice(declared.spellings)
    if not declared.has_value and chance.random() < 0.95:
        return [spelling]
    right = [word for one in declared.spellings for word in hostile.RIGHT.get(one, ())]
    value = hostile.text(chance, (*declared.words, *right))
    if spelling == "--build-arg" and chance.random() < 0.7:
        value = f"{chance.choice(('CUDA_VERSION', 'NIXL_REF', 'BUILD_JOBS', 'X'))}={value}"
    if chance.random() < 0.3:
        return [f"{spelling}={value}"]
    return [spelling, value] if chance.random() < 0.97 else [spelling]


OTHER = (
    *("HF_HOME", "HF_TOKEN", "HF_TOKEN_PATH", "HF_HUB_CACHE", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"),
    *(
        "HOME",
        "LANG",
        "LC_ALL",
        "TERM",
        "TZ",
        "USER",
        "CI",
        "GITHUB_ACTIONS",
        "NO_COLOR",
        "COLUMNS",
    ),
    *("DOCKER_HOST", "DOCKER_CONFIG", "DOCKER_CONTEXT", "BUILDX_BUILDER", "BUILDX_CONFIG"),
    *("DYNBUILD_LOG", "DYNBUILD_TEMPLATES", "DYNBUILD_ARG_NIXL_REF", "DYNBUILD_ARG_", "DYNBUILD_X"),
    *("SSL_CERT_FILE", "HTTPS_PROXY", "no_proxy", "UV_INDEX_URL", "PIP_INDEX_URL", "NETRC"),
    *("AWS_PROFILE", "AWS_REGION", "AWS_CONFIG_FILE", "SCCACHE_BUCKET", "SCCACHE_ENDPOINT"),
    *("SOURCE_DATE_EPOCH", "GIT_DIR", "GIT_CEILING_DIRECTORIES", "SSH_AUTH_SOCK"),
    *("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TIMEOUT", "CUDA_VISIBLE_DEVICES"),
)
"""Variables that something looks at; where the engine lives stays as the sandbox has it."""


def environment(chance):
    """A few variables that are odd; mostly none."""
    names = (*sorted(variables()), *OTHER)
    count = chance.choice((0, 0, 0, 1, 2))
    odd = {chance.choice(names): hostile.text(chance).replace("\0", "") for _ in range(count)}
    return {name: value for name, value in odd.items() if name != "DYNBUILD_HOME"}


def attempt(chance, folder, call):
    """Try one; the words and what came of them."""
    tree = folder / "trees" / "source"
    words = command_line(chance)
    # What a command line of the system can hold: bytes without NUL.
    words = [word.replace("\0", "") for word in words]
    columns = chance.choice((None, None, None, 1, 20, 80, 250))
    env = environment(chance)
    return [env, *words], call(*words, cwd=tree, columns=columns, env=env)
