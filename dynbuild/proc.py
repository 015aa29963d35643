"""The one place that starts processes.

Arguments are always a sequence, never a shell string.  A missing program, a non-zero
status and a time-out become errors of ``dynbuild.errors``.  The build itself is the
one exception to "the one place": ``dynbuild.build.drive`` starts it through python-on-whales.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from dynbuild.errors import NotReady, ToolFailed

_TAIL_LINES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """A finished process.

    Attributes:
        argv: The command as it was started.
        returncode: Exit status; negative for a signal.
        stdout: Decoded standard output, empty when it was not captured.
        stderr: Decoded standard error, empty when it was not captured.
    """

    argv: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str


def run(
    argv: Sequence[str],
    *,
    check: bool = True,
    capture: bool = True,
    input: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float | None = None,
    needs: str | None = None,
) -> Completed:
    """Run *argv* to its end.

    Args:
        argv: Program and arguments.
        check: Raise when the status is not zero.
        capture: Keep the output instead of letting it through to the terminal.
        input: Text for standard input; without it standard input is empty.
        env: The complete environment; ``None`` inherits it.
        cwd: Working directory.
        timeout: Seconds until the process is killed.
        needs: What to do when the program is missing (the hint of the error).

    Raises:
        NotReady: The program does not exist, or did not answer within *timeout*.
        ToolFailed: The status was not zero and *check* is set.
    """
    command = tuple(argv)
    try:
        done = subprocess.run(
            command,
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=capture,
            text=True,
            errors="replace",
            env=None if env is None else dict(env),
            cwd=cwd,
            timeout=timeout,
            check=False,
        )
    except (FileNotFoundError, PermissionError) as error:
        if cwd is not None and not cwd.is_dir():
            raise NotReady(f"the directory {cwd} does not exist") from error
        raise NotReady(f"the program '{command[0]}' cannot be started", hint=needs) from error
    except subprocess.TimeoutExpired as error:
        raise NotReady(f"'{command[0]}' did not answer within {timeout:g} s") from error
    result = Completed(
        argv=command,
        returncode=done.returncode,
        stdout=done.stdout or "",
        stderr=done.stderr or "",
    )
    if check and result.returncode != 0:
        raise ToolFailed(
            f"'{shlex.join(command)}' ended with status {result.returncode}",
            returncode=result.returncode,
            stderr=result.stderr,
            details=tuple(result.stderr.strip().splitlines()[-_TAIL_LINES:]),
        )
    return result


def stream(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    listen: Callable[[str], None],
) -> None:
    """Run *argv* to its end, handing every line of its output to *listen* as it comes.

    Raises:
        NotReady: The program does not exist.
        ToolFailed: The status was not zero.
    """
    command = tuple(argv)
    tail: deque[str] = deque(maxlen=_TAIL_LINES)
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=dict(env),
            cwd=cwd,
        )
    except (FileNotFoundError, PermissionError) as error:
        raise NotReady(f"the program '{command[0]}' cannot be started") from error
    with process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                tail.append(line.rstrip())
                listen(line.rstrip())
        except BaseException:
            process.terminate()
            raise
    if process.returncode != 0:
        raise ToolFailed(
            f"'{shlex.join(command)}' ended with status {process.returncode}",
            returncode=process.returncode,
            stderr="",
            details=tuple(tail),
        )


def start_daemon(argv: Sequence[str], *, log: Path, env: Mapping[str, str]) -> int:
    """Start *argv* in a session of its own, output appended to *log*; return its pid.

    Raises:
        NotReady: The program does not exist.
    """
    with log.open("ab") as stream:
        try:
            process = subprocess.Popen(
                tuple(argv),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                env=dict(env),
                start_new_session=True,
            )
        except (FileNotFoundError, PermissionError) as error:
            raise NotReady(f"the program '{argv[0]}' cannot be started") from error
    # The daemon is meant to live on; an object without a status would complain of that.
    process.returncode = 0
    return process.pid


def replace(argv: Sequence[str], *, env: Mapping[str, str]) -> NoReturn:
    """Replace this process by *argv*, so that signals, terminal and status are its own.

    Raises:
        NotReady: The program does not exist.
    """
    try:
        os.execvpe(argv[0], list(argv), dict(env))
    except FileNotFoundError as error:
        raise NotReady(f"the program '{argv[0]}' cannot be started") from error
