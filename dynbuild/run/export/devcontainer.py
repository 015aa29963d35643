"""A run request as a devcontainer.json (facts: .devcontainer; https://containers.dev)."""

from __future__ import annotations

import re

from dynbuild.run import launch
from dynbuild.run.export import common
from dynbuild.run.request import CONTAINER_HOME, RunRequest
from dynbuild.run.user import read
from dynbuild.settings import csv_fields
from dynbuild.settings.mounts import Mount

POST_CREATE = ".devcontainer/post-create.sh"
"""The script of the source tree that sets up a new container, below its top."""

WORKSPACE = "/workspace"
"""Where the tree is mounted."""

_USER = "dynamo"
_ELSEWHERE = ("-e", "-v", "-w", "--mount", "--entrypoint", "--rm", "-d", "-i", "-t", "-it")
_SUBSTITUTED = re.compile(
    r"\$\{(env|localEnv|containerEnv|localWorkspaceFolder|containerWorkspaceFolder|devcontainerId)"
)

_EXTENSIONS = ("ms-python.python", "ms-python.vscode-pylance", "rust-lang.rust-analyzer")
_SETTINGS = {
    "dev.containers.copyGitConfig": False,
    "terminal.integrated.defaultProfile.linux": "bash",
    "terminal.integrated.cwd": WORKSPACE,
    "python.defaultInterpreterPath": "/opt/dynamo/venv/bin/python",
    "rust-analyzer.memoryLimit": 4096,
    "rust-analyzer.checkOnSave": True,
    "rust-analyzer.check.command": "clippy",
    "rust-analyzer.cargo.targetDir": f"{WORKSPACE}/target",
    "rust-analyzer.linkedProjects": [
        "Cargo.toml",
        "lib/runtime/Cargo.toml",
        "lib/llm/Cargo.toml",
        "lib/tokens/Cargo.toml",
        "lib/bindings/python/Cargo.toml",
        "launch/dynamo-run/Cargo.toml",
    ],
    "files.trimTrailingWhitespace": True,
    "files.insertFinalNewline": True,
}


def render(
    request: RunRequest,
    *,
    framework: str,
    post_create: bool = True,
    made_by: str = "dynbuild run --export devcontainer",
) -> str:
    """The file, JSON after a comment.  No token of the host is passed but those asked for.

    Args:
        request: What to run and how.
        framework: For the display name; may be empty.
        post_create: Whether the tree has ``POST_CREATE``, to be run in a new container.
        made_by: The command that the comment names.

    Raises:
        RequestError: The request has a value Docker would refuse.
    """
    variables = common.variables(request)
    shown = f"{framework.upper()} " if framework else ""
    passed = {name: f"${{localEnv:{name}}}" for name, value in variables.items() if value is None}
    set_here = {name: value for name, value in variables.items() if value is not None}
    content: dict[str, object] = {
        "name": f"Dynamo {shown}Dev Container",
        "image": request.image,
        "remoteUser": read(request.user or _USER).name,
        # The ids of an image that its user built agree already, and then the tool does
        # nothing.  One that somebody else built gets the ids of who opens it.
        "updateRemoteUserUID": True,
        "runArgs": run_args(request),
        "workspaceFolder": request.workdir,
        "workspaceMount": (
            f"source=${{localWorkspaceFolder}},target={WORKSPACE},type=bind,consistency=cached"
        ),
        "mounts": _mounts(request),
        **({"containerEnv": set_here} if set_here else {}),
        **({"remoteEnv": passed} if passed else {}),
        "userEnvProbe": "interactiveShell",
        **({"postCreateCommand": f"/bin/bash {WORKSPACE}/{POST_CREATE}"} if post_create else {}),
        "customizations": {"vscode": {"extensions": _EXTENSIONS, "settings": _SETTINGS}},
    }
    lines = (f"Made by `{made_by}`.", *_notes(request))
    header = "".join(f"// {common.seen(line)}\n" for line in lines)
    return f"{header}{common.json_text(content, indent=2)}\n"


def run_args(request: RunRequest) -> list[str]:
    """The launcher's options but those that the file has keys for.

    The tool starts and removes the container itself, with a command of its own.
    """
    found: list[str] = []
    for name, *value in launch.options(request):
        if name not in _ELSEWHERE:
            found += [f"{name}={value[0]}"] if value and name.startswith("--") else [name, *value]
    return found


def _mounts(request: RunRequest) -> list[str]:
    fixed = [
        f"source=dynamo-bashhistory,target={CONTAINER_HOME}/.commandhistory,type=volume",
        f"source=dynamo-precommit-cache,target={CONTAINER_HOME}/.cache/pre-commit,type=volume",
        "source=/tmp/,target=/tmp/,type=bind",
    ]
    taken = {WORKSPACE, "/tmp"}  # noqa: S108 - mounted above
    asked = [mount for mount in common.mounts(request) if mount.target.rstrip("/") not in taken]
    return fixed + [_mount(mount) for mount in asked]


def _mount(mount: Mount) -> str:
    """The words of ``--mount``: a line of CSV."""
    source = mount.source
    if source.startswith("."):
        source = f"${{localWorkspaceFolder}}/{source}"
    said = [f"source={source}"] if source else []
    said += [f"target={mount.target}", f"type={mount.kind}"]
    said += ["readonly"] if mount.read_only else []
    return csv_fields.joined((*said, *mount.extra))


def _notes(request: RunRequest) -> list[str]:
    notes = []
    if request.entrypoint is not None:
        notes.append("--entrypoint: the tool starts the container with its own.")
    if request.command:
        notes.append("The command is left out: run it in a terminal.")
    if request.interactive or request.tty or request.detach:
        notes.append("-i, -t, -d: the tool brings the terminal.")
    if request.rm:
        notes.append("--rm: the tool keeps the container and removes it when it is rebuilt.")
    for mount in common.mounts(request):
        if left := [option for option in mount.options if option not in ("ro", "rw")]:
            notes.append(f"-v {mount.source}:{mount.target}: without {','.join(left)}.")
    if any(_SUBSTITUTED.search(word) for word in launch.argv(request)):
        notes.append("A value holds ${…} that the tool replaces; there is no way to escape it.")
    return [*notes, *common.secret_notes(request)]
