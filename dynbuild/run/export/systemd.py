"""A run request as a systemd service (systemd.service(5), systemd.syntax(7))."""

from __future__ import annotations

import dataclasses
import re

from dynbuild.run import launch
from dynbuild.run.export import common
from dynbuild.run.request import RunRequest

_PLAIN_WORD = re.compile(r"[A-Za-z0-9_@+=:,./%$-]+")
_STOP_STATUS = 143  # of a container that SIGTERM ended


def render(request: RunRequest) -> str:
    """The unit; it keeps the container running until it succeeds or is stopped.

    Raises:
        RequestError: The request has a value Docker would refuse.
    """
    name = request.name or common.dns_name(request)
    alone = dataclasses.replace(
        request, interactive=False, tty=False, detach=False, restart="", name=name
    )
    words = launch.argv(alone)
    passed = [key for key, value in common.variables(request).items() if value is None]
    file = f"/etc/dynbuild/{common.dns_name(request)}.env"
    source = [f"EnvironmentFile=-{file}"] if passed else []
    lines = [
        "[Unit]",
        f"Description=Dynamo container {common.dns_name(request)}",
        "Requires=docker.service",
        "Wants=network-online.target",
        "After=docker.service network-online.target",
        "",
        "[Service]",
        "Type=exec",
        *source,
        # A container that a crash of the machine left would keep its name taken.
        f"ExecStartPre=-docker rm --force {quoted(name)}",
        f"ExecStart={_command(words)}",
        f"ExecStop=docker stop {quoted(name)}",
        f"Restart={_restart(request)}",
        "RestartSec=5",
        f"SuccessExitStatus={_STOP_STATUS}",
        "TimeoutStartSec=infinity",
        "",
        "[Install]",
        "WantedBy=multi-user.target",
    ]
    notes = _notes(request, passed, file)
    return common.header("systemd", notes) + "".join(f"{line}\n" for line in lines)


def _restart(request: RunRequest) -> str:
    """Systemd starts the container again, and not docker beside it."""
    policy = request.restart.partition(":")[0]
    return {"": "on-failure", "unless-stopped": "always"}.get(policy, policy)


def quoted(word: str) -> str:
    r"""*word* as one word of ``ExecStart=``: quotes, ``\``, ``%`` and ``$`` mean themselves."""
    text = word.replace("%", "%%").replace("$", "$$")
    if _PLAIN_WORD.fullmatch(text):
        return text
    text = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + re.sub("[\x00-\x1f\x7f]", lambda found: f"\\x{ord(found[0]):02x}", text) + '"'


def _command(words: tuple[str, ...]) -> str:
    """The words on one logical line, a new one on paper before each option."""
    text = ""
    for word in words:
        # Only a dash starts a line: a # or ; there would make it a comment.
        text += (" \\\n  " if word.startswith("-") else " " if text else "") + quoted(word)
    return text


def _notes(request: RunRequest, passed: list[str], file: str) -> list[str]:
    notes = []
    if request.interactive or request.tty:
        notes.append("-i, -t: left out; a service has no terminal and no input.")
    if request.detach:
        notes.append("-d: left out; a service is in the background, and systemd follows it.")
    if ":" in request.restart:
        notes.append(f"--restart {request.restart}: without the number; StartLimitBurst= is one.")
    if request.env_files:
        notes.append("--env-file: the file must be there on the machine of the service.")
    if passed:
        notes.append(f"{', '.join(passed)}: from {file}, lines of NAME=VALUE, mode 0600.")
    if not request.rm and not request.restart:
        notes.append("--no-rm: the container stays until the service starts again.")
    if any(mount.source.startswith(".") for mount in common.mounts(request)):
        notes.append("-v: a relative path starts at /; make it absolute.")
    return [*notes, *common.secret_notes(request)]
