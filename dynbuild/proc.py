"""The one place that starts processes.

Arguments are always a sequence, never a shell string.  A missing program, a non-zero
status and a time-out become errors of ``dynbuild.errors``.

``run`` is for short programs.  ``start`` is for long ones whose lines are read as they come:
several at once, in any thread, each with a ``Cancellation`` that ends it alone.
"""

from __future__ import annotations

import os
import pickle
import select
import shlex
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from math import ceil, inf
from pathlib import Path
from typing import BinaryIO, Generic, NoReturn, TypeVar

from dynbuild.errors import Interrupted, NotReady, ToolFailed
from dynbuild.quick import dataclass

_TAIL_LINES = 12
_GRACE_SECONDS = 15.0
_BEAT_SECONDS = 1.0
_NAP_SECONDS = 0.2
_READ_BYTES = 1 << 16


_T = TypeVar("_T")


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
            encoding="utf-8",
            errors="replace",
            env=None if env is None else dict(env),
            cwd=cwd,
            timeout=timeout,
            check=False,
        )
    except OSError as error:
        raise _unstartable(command, error, cwd=cwd, needs=needs) from error
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


class Cancellation:
    """Whether a piece of work was called off; calling it off ends its processes.

    ``cancel`` may be called from any thread, and from a handler of a signal: it waits for
    nothing and holds no lock.

    Attributes:
        cancelled: Whether the work was called off.
        late: Whether that was because it took longer than it may.
    """

    def __init__(self) -> None:
        self.cancelled = False
        self.late = False
        self._processes: set[Process] = set()
        self._parts: set[Cancellation] = set()
        self._observers = 0

    @property
    def observed(self) -> bool:
        """Whether the work looks at ``cancelled`` itself, and needs no exception to end."""
        return self._observers > 0

    @contextmanager
    def observe(self) -> Iterator[None]:
        """Promise to look at ``cancelled`` in the block, and to end soon where it is set."""
        self._observers += 1
        try:
            yield
        finally:
            self._observers -= 1

    def cancel(self) -> None:
        """Call the work off; a second time, its processes get no time to end by themselves."""
        again, self.cancelled = self.cancelled, True
        for process in tuple(self._processes):
            process.cancel(at_once=again)
        for part in tuple(self._parts):
            part.cancel()

    @contextmanager
    def part(self, seconds: float = 0.0) -> Iterator[Cancellation]:
        """A part of the work, which can be called off alone, and is with the whole.

        Args:
            seconds: How long it may take before it is called off; 0 is as long as it needs.
        """
        part = Cancellation()
        self._parts.add(part)
        if self.cancelled:
            part.cancel()
        clock = threading.Timer(seconds, part._end_late)
        clock.daemon = True
        if seconds:
            clock.start()
        try:
            yield part
        finally:
            clock.cancel()
            self._parts.discard(part)

    def _end_late(self) -> None:
        if not self.cancelled:
            self.late = True
            self.cancel()

    def sleep(self, seconds: float) -> None:
        """Wait so long, or until the work is called off."""
        end = time.monotonic() + seconds
        while not self.cancelled and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, _NAP_SECONDS))

    def attach(self, process: Process) -> None:
        """End *process* with the work, at once if that was called off already."""
        self._processes.add(process)
        if self.cancelled:
            process.cancel()

    def detach(self, process: Process) -> None:
        """Forget a process that has ended."""
        self._processes.discard(process)


class Process:
    """A running process whose output, standard error included, is read line by line.

    It has a session of its own: a terminal's Ctrl-C does not reach it, so it ends when it is
    told to and no sooner.  Leaving its ``with`` block ends it if it still runs.

    Attributes:
        argv: The command.
        pid: Its number, which is that of its process group as well.
    """

    def __init__(
        self,
        argv: tuple[str, ...],
        process: subprocess.Popen[bytes],
        cancellation: Cancellation,
        grace: float,
    ) -> None:
        assert process.stdout is not None
        self.argv = argv
        self.pid = process.pid
        self._process = process
        self._stdout = process.stdout
        self._cancellation = cancellation
        self._grace = grace
        self._deadline: float | None = None
        # Written to by ``cancel``, so that a reader that waits for output learns of it.
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._wake, False)
        self._poll = select.poll()
        self._poll.register(self._stdout, select.POLLIN | select.POLLHUP)
        self._poll.register(self._woken, select.POLLIN)
        self._rest = bytearray()
        self._closed = False
        cancellation.attach(self)

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def cancel(self, *, at_once: bool = False) -> None:
        """Interrupt it as Ctrl-C does; what still runs after a time of grace is killed.

        Args:
            at_once: Kill it now.
        """
        if self._closed:
            return
        # The group has its children: an old docker client passes no signal on to its plugin.
        self._signal(signal.SIGKILL if at_once else signal.SIGINT)
        if self._deadline is None:
            self._deadline = time.monotonic() + self._grace
        with suppress(OSError):
            os.write(self._wake, b"x")

    def lines(self) -> Iterator[str]:
        """Its lines without their ends, until its output is closed."""
        while piece := self._read():
            start = len(self._rest)
            self._rest += piece
            # A line may be megabytes long: what was looked through once is not again.
            end = self._rest.rfind(b"\n", start)
            if end >= 0:
                whole = bytes(self._rest[:end])
                del self._rest[: end + 1]
                yield from map(_text, whole.split(b"\n"))
        if self._rest:
            last, self._rest = bytes(self._rest), bytearray()
            yield _text(last)

    def wait(self) -> int:
        """Read its output to the end; its status, negative for a signal."""
        while self._read():
            pass
        # To close the output is not yet to end.
        while self._process.poll() is None:
            try:
                self._process.wait(min(_BEAT_SECONDS, self._left()))
            except subprocess.TimeoutExpired:
                if self._left() <= 0:
                    self._signal(signal.SIGKILL)
        return self._process.returncode

    def close(self) -> None:
        """End it if it still runs, and let go of what it used."""
        if self._closed:
            return
        if self._process.poll() is None:
            self.cancel()
            self.wait()
        self._closed = True
        self._cancellation.detach(self)
        self._stdout.close()
        os.close(self._woken)
        os.close(self._wake)

    def _left(self) -> float:
        """Seconds until it is killed; endless where it is not cancelled."""
        return inf if self._deadline is None else max(self._deadline - time.monotonic(), 0)

    def _read(self) -> bytes:
        """The next piece of output; empty at its end, and where it is killed."""
        while True:
            left = self._left()
            ready = dict(self._poll.poll(None if left == inf else ceil(left * 1000)))
            if self._woken in ready:
                os.read(self._woken, _READ_BYTES)
            if self._stdout.fileno() in ready:
                return os.read(self._stdout.fileno(), _READ_BYTES)
            if self._left() <= 0:
                self._signal(signal.SIGKILL)
                return b""

    def _signal(self, number: int) -> None:
        # Nobody else can have its number until it was waited for.
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, number)


def start(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    cancellation: Cancellation | None = None,
    grace: float = _GRACE_SECONDS,
) -> Process:
    """Start *argv*, whose lines are to be read.

    Args:
        argv: Program and arguments.
        env: The complete environment.
        cwd: Working directory.
        cancellation: What ends it, from another thread or a handler of a signal.
        grace: Seconds it has for ending by itself when it is cancelled.

    Raises:
        NotReady: The program does not exist.
    """
    command = tuple(argv)
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(env),
            cwd=cwd,
            bufsize=0,
            start_new_session=True,
        )
    except OSError as error:
        raise _unstartable(command, error, cwd=cwd) from error
    return Process(command, process, cancellation or Cancellation(), grace)


def stream(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    listen: Callable[[str], None],
    cancellation: Cancellation | None = None,
) -> None:
    """Run *argv* to its end, handing every line of its output to *listen* as it comes.

    Raises:
        NotReady: The program does not exist.
        ToolFailed: The status was not zero.
        Interrupted: It was cancelled.
    """
    cancellation = cancellation or Cancellation()
    tail: deque[str] = deque(maxlen=_TAIL_LINES)
    with (
        cancellation.observe(),
        start(argv, env=env, cwd=cwd, cancellation=cancellation) as process,
    ):
        for line in process.lines():
            tail.append(line.rstrip())
            listen(line.rstrip())
        status = process.wait()
    if cancellation.cancelled:
        raise Interrupted(f"interrupted; '{shlex.join(process.argv)}' is ended")
    if status != 0:
        raise ToolFailed(
            f"'{shlex.join(process.argv)}' ended with status {status}",
            returncode=status,
            stderr="",
            details=tuple(tail),
        )


def _text(line: bytes) -> str:
    return line.decode("utf-8", errors="replace").rstrip("\r")


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
        except OSError as error:
            raise _unstartable(argv, error) from error
    # The daemon is meant to live on; an object without a status would complain of that.
    process.returncode = 0
    return process.pid


class Aside(Generic[_T]):
    """A call in a fork of this process, for what keeps a processor busy: threads share one.

    It begins at once.  Where a fork is not to be had, or would be of a process with other
    threads, whose locks it would keep for ever, the call is made when its result is asked for.
    """

    def __init__(self, call: Callable[[], _T]) -> None:
        self._call = call
        self._answer: BinaryIO | None = None
        self._pid = 0
        if threading.active_count() > 1:
            return
        reader, writer = os.pipe()
        try:
            self._pid = os.fork()
        except OSError:
            os.close(reader)
            os.close(writer)
            return
        if not self._pid:
            os.close(reader)
            self._tell(writer)
        os.close(writer)
        self._answer = os.fdopen(reader, "rb")

    def _tell(self, writer: int) -> NoReturn:
        """The whole life of the fork."""
        try:
            # Whoever interrupts the command ends it; this is to say nothing of its own.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            with os.fdopen(writer, "wb") as file:
                try:
                    told = pickle.dumps((self._call(), None))
                except Exception as error:
                    told = pickle.dumps((None, error))
                file.write(told)
        finally:
            os._exit(0)

    def result(self) -> _T:
        """What the call returns, when it is there; what it raises is raised here."""
        told = b""
        if self._answer is not None:
            with self._answer as file:
                told = file.read()
            os.waitpid(self._pid, 0)
            self._answer = None
        if not told:
            return self._call()
        value, error = pickle.loads(told)  # noqa: S301 - by a fork of this very process
        if error is not None:
            raise error
        made: _T = value
        return made


def replace(argv: Sequence[str], *, env: Mapping[str, str]) -> NoReturn:
    """Replace this process by *argv*, so that signals, terminal and status are its own.

    Raises:
        NotReady: The program does not exist.
    """
    try:
        os.execvpe(argv[0], list(argv), dict(env))
    except OSError as error:
        raise _unstartable(argv, error) from error


def _unstartable(
    argv: Sequence[str], error: OSError, *, cwd: Path | None = None, needs: str | None = None
) -> NotReady:
    """What is wrong where *argv* could not be started."""
    if cwd is not None and not cwd.is_dir():
        return NotReady(f"the directory {cwd} does not exist")
    usual = isinstance(error, (FileNotFoundError, PermissionError))
    why = "" if usual else f": {error.strerror}"
    return NotReady(f"the program '{argv[0]}' cannot be started{why}", hint=needs)
