"""What a bug report needs to know of the machine, without the secrets of its user.

A value is masked for its name (``GITHUB_TOKEN``), for what it holds (a login in a URL, a
PEM block, a token by its prefix, an assignment to a secret name) and for looking like
chance.  In case of doubt it is masked: a report that hides too much costs a question, one
that hides too little costs a key.
"""

from __future__ import annotations

import importlib.metadata
import platform
import re
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from dynbuild import __version__, masking, proc
from dynbuild.build import git
from dynbuild.engine import client
from dynbuild.errors import DynbuildError
from dynbuild.plan import version

Facts: TypeAlias = "dict[str, str | bool | None]"
"""What is known of one thing, by name; ``error`` where nothing is."""

_PATIENCE = 5.0
_TOOLS = {
    "docker": ("docker", "--version"),
    "git": ("git", "--version"),
    "nvcc": ("nvcc", "--version"),
    "nvidia-ctk": ("nvidia-ctk", "--version"),
    "sccache": ("sccache", "--version"),
    "uv": ("uv", "--version"),
}
_LIBRARIES = ("boto3", "jinja2", "psutil", "pydantic", "python-on-whales", "typer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """The environment of a command, fit to be shown to others.

    Attributes:
        dynbuild: Version of dynbuild.
        python: Version and implementation of Python.
        os: Name of the distribution.
        kernel: Kernel release and architecture.
        engine: What the engine says of itself, or ``error``.
        tools: Versions of the programs that were found.
        libraries: Versions of the Python packages dynbuild stands on.
        git: The build context: version and state, or ``error``.
        variables: All environment variables by name, secrets masked.
    """

    dynbuild: str
    python: str
    os: str
    kernel: str
    engine: Facts
    tools: dict[str, str]
    libraries: dict[str, str]
    git: Facts
    variables: dict[str, str]


def capture(env: Mapping[str, str], context: Path) -> Capture:
    """Gather everything; what cannot be found out is left out or says why.

    Args:
        env: The environment of the user.
        context: Folder of the build context.
    """
    with ThreadPoolExecutor(max_workers=len(_TOOLS) + 2) as pool:
        engine = pool.submit(_engine, env)
        git = pool.submit(_git, context, env)
        tools = {name: pool.submit(_tool, argv, env) for name, argv in _TOOLS.items()}
        return Capture(
            dynbuild=__version__,
            python=f"{platform.python_version()} ({platform.python_implementation()})",
            os=_os(),
            kernel=f"{platform.release()} {platform.machine()}",
            engine=engine.result(),
            tools={name: found for name, tool in tools.items() if (found := tool.result())},
            libraries=_libraries(),
            git=git.result(),
            variables=variables(env),
        )


def variables(env: Mapping[str, str]) -> dict[str, str]:
    """All of *env*, sorted by name, secrets masked."""
    return {masking.printable(name): masking.mask(name, env[name]) for name in sorted(env)}


def _os() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()


def _engine(env: Mapping[str, str]) -> Facts:
    # A report is most wanted where things are broken in ways nobody foresaw.
    try:
        found = client.find(env)
    except Exception as error:
        return {"error": _said(error)}
    return {
        "kind": found.kind,
        "version": found.version,
        "buildx": found.buildx,
        "containerd_store": found.containerd_store,
        "network": found.network,
        "host": None if found.host is None else masking.scrub(found.host),
    }


def _git(context: Path, env: Mapping[str, str]) -> Facts:
    try:
        facts = git.read(context, env)
        derived = version.derive(facts, env)
        if facts.fault:
            return {"error": masking.scrub("; ".join(facts.fault))}
    except Exception as error:
        return {"error": _said(error)}
    return {
        "version": derived.tag,
        "origin": derived.origin,
        "commit": derived.commit,
        "dirty": facts.dirty,
        "shallow": facts.shallow,
    }


def _said(error: Exception) -> str:
    if isinstance(error, DynbuildError):
        return masking.scrub("; ".join((error.message, *error.details)))
    return masking.scrub(repr(error))


def _tool(argv: tuple[str, ...], env: Mapping[str, str]) -> str:
    """The line of a program's output that holds its version; empty where there is none."""
    program = shutil.which(argv[0], path=env.get("PATH", ""))
    if program is None:
        return ""
    try:
        done = proc.run((program, *argv[1:]), env=env, check=False, timeout=_PATIENCE)
    except (DynbuildError, OSError) as error:
        return f"{program}: {error}"
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    # nvcc says its name, a copyright and a date before it comes to the point.
    telling = (line for line in lines if re.search(r"release|version|\d\.\d", line))
    return masking.scrub(next(telling, lines[0] if lines else f"status {done.returncode}"))


def _libraries() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
