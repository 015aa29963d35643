"""Processes that are read line by line and ended one by one."""

import functools
import os
import signal
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from dynbuild import proc
from dynbuild.errors import Interrupted, NotReady, ToolFailed

pytestmark = pytest.mark.processes("python", "such", "text", "program", "loop", "true")

FOREVER = "import time\nprint('ready', flush=True)\ntime.sleep(3600)"
DEAF = f"import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n{FOREVER}"
CHILD = """
import signal, subprocess, sys
child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(3600)'])
print(child.pid, flush=True)
child.wait()
"""


def start(script, *words, **more):
    return proc.start([sys.executable, "-c", script, *words], env=dict(os.environ), **more)


def ended(process):
    """Whether nothing of the group of *process* is left but what waits to be reaped."""
    left = (
        other
        for other in psutil.process_iter(["status"])
        if other.info["status"] != psutil.STATUS_ZOMBIE
    )
    return all(_group(other.pid) != process.pid for other in left)


def _group(pid):
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def test_lines_of_both_streams_and_the_status():
    script = "import sys\nprint('one', flush=True)\nprint('two', file=sys.stderr)\nsys.exit(3)"
    with start(script) as process:
        assert list(process.lines()) == ["one", "two"]
        assert process.wait() == 3


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"\n", [""]),
        (b"a\r\n\nb", ["a", "", "b"]),
        (b"a\n" + b"x" * 300_000 + b"\nend\n", ["a", "x" * 300_000, "end"]),
        (b"\xff\xc3\xa9\n", ["\ufffd\u00e9"]),
    ],
)
def test_lines_whatever_they_hold(data, lines, tmp_path):
    file = tmp_path / "data"
    file.write_bytes(data)
    script = "import pathlib, sys\nsys.stdout.buffer.write(pathlib.Path(sys.argv[1]).read_bytes())"
    with start(script, str(file)) as process:
        assert list(process.lines()) == lines
        assert process.wait() == 0


def test_a_process_that_is_not_read_to_its_end_is_ended():
    with start(FOREVER) as process:
        assert next(process.lines()) == "ready"
    assert ended(process)


def test_an_error_of_the_reader_ends_the_process():
    running = []

    def read():
        with start(FOREVER) as process:
            running.append(process)
            for _ in process.lines():
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        read()
    assert ended(running[0])


def test_one_of_several_is_cancelled_from_another_thread():
    tokens = [proc.Cancellation() for _ in range(3)]
    running = [start(FOREVER, cancellation=token) for token in tokens]
    readers = [process.lines() for process in running]
    assert [next(reader) for reader in readers] == ["ready"] * 3
    thread = threading.Thread(target=tokens[1].cancel)
    thread.start()
    list(readers[1])
    assert running[1].wait() != 0
    thread.join()
    assert [token.cancelled for token in tokens] == [False, True, False]
    assert not ended(running[0])
    assert not ended(running[2])
    for process in running:
        process.close()
        assert ended(process)


def test_other_children_of_ours_live_on():
    with start(FOREVER) as other:
        assert next(other.lines()) == "ready"
        token = proc.Cancellation()
        with start(FOREVER, cancellation=token) as process:
            next(process.lines())
            token.cancel()
            list(process.lines())
        assert not ended(other)


def test_children_of_a_process_end_with_it():
    token = proc.Cancellation()
    with start(CHILD, cancellation=token) as process:
        lines = process.lines()
        child = psutil.Process(int(next(lines)))
        token.cancel()
        list(lines)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_what_does_not_hear_the_interrupt_is_killed_after_the_time_of_grace():
    token = proc.Cancellation()
    with start(DEAF, cancellation=token, grace=0.2) as process:
        lines = process.lines()
        next(lines)
        token.cancel()
        assert list(lines) == []
        assert process.wait() == -signal.SIGKILL


def test_output_that_is_closed_early_is_no_end_and_no_way_out():
    script = f"{DEAF.replace('time.sleep', 'import os; os.close(1); os.close(2); time.sleep')}"
    token = proc.Cancellation()
    with start(script, cancellation=token, grace=0.2) as process:
        assert list(process.lines()) == ["ready"]
        token.cancel()
        assert process.wait() == -signal.SIGKILL


def test_a_second_time_gives_no_grace():
    token = proc.Cancellation()
    with start(DEAF, cancellation=token, grace=3600) as process:
        next(process.lines())
        token.cancel()
        token.cancel()
        assert process.wait() == -signal.SIGKILL


def test_work_that_was_called_off_before_starts_nothing_that_lasts():
    token = proc.Cancellation()
    token.cancel()
    with start("import time; time.sleep(3600)", cancellation=token) as process:
        assert process.wait() != 0


def test_a_part_that_takes_longer_than_it_may_is_called_off_alone():
    token = proc.Cancellation()
    with token.part(0.05) as part, start(FOREVER, cancellation=part) as process:
        list(process.lines())
        assert process.wait() != 0
    assert (part.cancelled, part.late) == (True, True)
    assert not token.cancelled
    with token.part(0.05) as part:
        token.cancel()
        time.sleep(0.1)
    assert (part.cancelled, part.late) == (True, False), "it was called off before"


def test_a_part_that_ends_in_time_is_called_off_by_nobody():
    with proc.Cancellation().part(0.05) as part:
        pass
    time.sleep(0.1)
    assert (part.cancelled, part.late) == (False, False)


def test_a_terminal_does_not_reach_the_process():
    with start("import os; print(os.getsid(0))") as process:
        assert list(process.lines()) == [str(process.pid)]


def test_nothing_is_left_open():
    def count():
        return len(list(Path("/proc/self/fd").iterdir()))

    before = count()
    for _ in range(3):
        with start("print('x')") as process:
            list(process.lines())
    assert count() == before


def test_a_program_that_is_not_there(tmp_path):
    with pytest.raises(NotReady, match="the program '/no/such' cannot be started"):
        proc.start(["/no/such"], env={})
    with pytest.raises(NotReady, match=r"the directory .* does not exist"):
        proc.start([sys.executable], env={}, cwd=tmp_path / "none")


def test_stream_tells_lines_and_the_failure(tmp_path):
    told = []
    argv = [sys.executable, "-c", "print('a ')\nprint('b')\nraise SystemExit(4)"]
    with pytest.raises(ToolFailed, match="ended with status 4") as caught:
        proc.stream(argv, env=dict(os.environ), cwd=tmp_path, listen=told.append)
    assert told == ["a", "b"]
    assert (caught.value.returncode, caught.value.details) == (4, ("a", "b"))


def test_a_stream_that_is_called_off_is_interrupted(tmp_path):
    token = proc.Cancellation()
    argv = [sys.executable, "-c", FOREVER]
    with pytest.raises(Interrupted):
        proc.stream(
            argv,
            env=dict(os.environ),
            cwd=tmp_path,
            listen=lambda _: token.cancel(),
            cancellation=token,
        )


def test_the_handler_of_a_signal_wakes_a_reader():
    """The reader is the main thread itself, as it is in the command line."""
    token = proc.Cancellation()
    with start(FOREVER, cancellation=token) as process:
        lines = process.lines()
        next(lines)
        before = signal.signal(signal.SIGUSR1, lambda *_: token.cancel())
        try:
            threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR1)).start()
            list(lines)
            assert process.wait() != 0
        finally:
            signal.signal(signal.SIGUSR1, before)


def test_a_program_that_is_none_is_told_with_the_reason(tmp_path):
    text = tmp_path / "text"
    text.write_text("neither a program nor a script\n")
    text.chmod(0o755)
    with pytest.raises(NotReady, match="cannot be started: Exec format error"):
        proc.run([str(text)])
    with pytest.raises(NotReady, match="cannot be started: Not a directory"):
        proc.run([str(text / "program")])
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(NotReady, match="cannot be started: Too many levels of symbolic links"):
        proc.run([str(loop)])


def test_arguments_that_are_too_long_are_told():
    with pytest.raises(NotReady, match="cannot be started: Argument list too long"):
        proc.run(["/bin/true", "x" * (1 << 22)])


@pytest.fixture
def alone(monkeypatch):
    """As in a command, whose process has one thread here."""
    monkeypatch.setattr(threading, "active_count", lambda: 1)


@pytest.mark.usefixtures("alone")
@pytest.mark.processes("")
def test_a_call_aside_is_made_in_a_fork():
    aside = proc.Aside(os.getpid)
    assert aside.result() not in (0, os.getpid())
    with pytest.raises(ChildProcessError):
        os.waitpid(aside._pid, 0)


@pytest.mark.usefixtures("alone")
@pytest.mark.processes("")
def test_what_a_call_aside_raises_is_raised_here():
    with pytest.raises(ValueError, match="'x'"):
        proc.Aside(functools.partial(int, "x")).result()


@pytest.mark.usefixtures("alone")
@pytest.mark.processes("")
def test_a_fork_that_says_nothing_is_done_without():
    here = os.getpid()
    aside = proc.Aside(lambda: os.getpid() if os.getpid() == here else os._exit(9))
    assert aside.result() == here


def test_there_is_no_fork_of_a_process_with_threads(monkeypatch):
    monkeypatch.setattr(threading, "active_count", lambda: 2)
    calls = []
    aside = proc.Aside(lambda: calls.append(1))
    assert calls == []
    aside.result()
    assert calls == [1]


@pytest.mark.usefixtures("alone")
def test_where_a_fork_is_not_to_be_had_the_call_is_made_here(monkeypatch):
    def fork():
        raise OSError(11, "no more processes")

    monkeypatch.setattr(os, "fork", fork)
    assert proc.Aside(os.getpid).result() == os.getpid()
