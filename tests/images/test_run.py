"""``dynbuild run`` on the engine: what the container really gets, and how it ends."""

from __future__ import annotations

import os
import pty
import select
import signal
import socket
import subprocess
import sys
import time
import uuid

import pytest

from tests.conftest import ROOT
from tests.session import NAME as RUN


@pytest.fixture
def run(dynbuild, base_image):
    """Run a shell line in a Debian container; the finished process."""

    def start(line: str, *flags: str, **more):
        image = ("--image", base_image, "--gpus", "none")
        where = () if "--workdir" in flags else ("--workdir", "/")
        return dynbuild("run", *image, *where, *flags, "--", "sh", "-c", line, **more)

    return start


def _said(done) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_user_keeps_group_0(run):
    assert _said(run("id -u; id -g; id -G", "--user", "4711:4712")).split("\n") == [
        "4711", "4712", "4712 0",
    ]  # fmt: skip
    assert _said(run("id -u; id -G", "--user", "root")) == "0\n0"


def test_a_number_without_a_name_is_its_name(run):
    assert _said(run("echo $USER $LOGNAME", "--user", "54321")) == "54321 54321"


def test_further_options_as_seen_inside(run, tmp_path):
    folder = tmp_path / "a:b"
    folder.mkdir()
    (tmp_path / "env").write_text("WORD=two words\n")
    flags = (
        "-v", f"{folder}:/data", "--env-file", str(tmp_path / "env"), "--network", "bridge",
        "--mount", "type=tmpfs,target=/t,tmpfs-size=8m", "--add-host", "store:10.0.0.7",
        "--group-add", "44", "--device", "/dev/null:/dev/mine", "--security-opt",
        "no-new-privileges", "--init", "--docker-arg=--hostname=me", "-it", "--strict",
    )  # fmt: skip
    line = (
        "touch /data/x; echo $WORD; grep -c store /etc/hosts; id -G; hostname; test -c /dev/mine;"
        " df -m /t | tail -1 | cut -c-5; grep NoNewPrivs /proc/self/status; cat /proc/1/comm"
    )
    done = run(line, *flags, "--ulimit", "nofile=64")
    assert _said(done).split() == [
        *("two", "words", "1", "0", "44", "me", "tmpfs", "NoNewPrivs:", "1", "docker-init"),
    ]  # fmt: skip
    assert (folder / "x").exists()
    assert "-t is left out" in done.stderr


def test_in_the_background(run, docker):
    name = f"{RUN}-{uuid.uuid4().hex[:12]}"
    try:
        started = run("sleep 60", "-d", "--restart", "on-failure:2", "--name", name)
        template = "{{.Id}} {{.HostConfig.RestartPolicy.Name}} {{.HostConfig.AutoRemove}}"
        found = docker("inspect", "--format", template, name)
        assert found == f"{_said(started)} on-failure false"
    finally:
        docker("rm", "--force", name)


def test_working_directory(run):
    assert _said(run("pwd", "--workdir", "/usr/share")) == "/usr/share"


@pytest.mark.parametrize("name", ["plain", "with space", "ünïcode", "quote'd", "-dash"])
def test_mounts_are_writable_or_not_as_asked(run, tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    (folder / "in").write_text("from outside")
    line = "cat /data/in; echo from inside > /data/out && echo written"
    assert _said(run(line, "-v", f"{folder}:/data")) == "from outsidewritten"
    assert (folder / "out").read_text() == "from inside\n"
    assert run(line, "-v", f"{folder}:/data:ro").returncode != 0


def test_environment_by_value_and_by_name(run):
    flags = ("-e", "GIVEN=a value with = and 'quotes'", "-e", "PASSED", "-e", "EMPTY=")
    shown = run('printf "%s|%s|%s" "$GIVEN" "$PASSED" "${EMPTY-unset}"', *flags,
                env={"PASSED": "mine"})  # fmt: skip
    assert _said(shown) == "a value with = and 'quotes'|mine|"


def test_a_thousand_variables(run):
    flags = [word for n in range(1000) for word in ("-e", f"V{n}=$HOME {n}")]
    assert _said(run('env | grep -c "^V[0-9]*=.HOME "', *flags)) == "1000"


def test_network_none_has_only_loopback(run):
    assert _said(run("ls /sys/class/net", "--network", "none")) == "lo"


def test_port_under_a_bridge(docker, base_image):
    """A server inside is reached from outside through the published port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    name = f"{RUN}-{uuid.uuid4().hex[:12]}"
    # perl is part of Debian's minimal system.
    server = (
        "use IO::Socket::INET; my $s = IO::Socket::INET->new(LocalPort => 80, Listen => 1); "
        "my $c = $s->accept; print $c qq(hello from inside\\n); close $c;"
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "dynbuild", "run", "--image", base_image, "--gpus", "none",
         "--workdir", "/", "--network", "bridge", "--name", name,
         "-p", f"127.0.0.1:{port}:80", "--", "perl", "-e", server],
        cwd=ROOT,
    )  # fmt: skip
    try:
        assert _answer(port) == b"hello from inside\n"
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
        process.wait(timeout=30)
        docker("rm", "--force", name, check=False)


def _answer(port):
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
                if answer := client.recv(100):
                    return answer
        except OSError:
            pass
        time.sleep(0.2)
    return b""


def test_limits_and_shared_memory_as_seen_inside(run):
    flags = ("--ipc", "private", "--shm-size", "64m", "--ulimit", "nofile=1000:2000")
    line = "ulimit -Sn; ulimit -Hn; df -k /dev/shm | tail -1 | awk '{print $2}'; ulimit -Hs"
    assert _said(run(line, *flags)).split() == ["1000", "2000", "65536", "65536"]


def test_memory_is_bounded(run):
    line = (
        "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || :"
    )
    assert _said(run(line, "--memory", "64m")) == str(64 << 20)


@pytest.mark.parametrize(
    ("line", "status"), [("exit 0", 0), ("exit 7", 7), ("kill -INT $$; sleep 1", 130)]
)
def test_exit_status_is_the_container_s(run, line, status):
    # A shell of its own: the first process of a container ignores signals it does not catch.
    assert run(f'sh -c "{line.replace("$", chr(92) + "$")}"').returncode == status


def test_standard_input_is_piped_in(base_image):
    done = subprocess.run(
        [sys.executable, "-m", "dynbuild", "run", "--image", base_image, "--gpus", "none",
         "--workdir", "/", "-i", "--", "tr", "a-z", "A-Z"],
        input="through the pipe", capture_output=True, text=True, cwd=ROOT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == "THROUGH THE PIPE"


def test_terminal_session(base_image):
    """A person types into a shell: echo, prompt and exit status come back."""
    argv = [
        sys.executable, "-m", "dynbuild", "run", "--image", base_image, "--gpus", "none",
        "--workdir", "/", "-it", "--", "sh",
    ]  # fmt: skip
    pid, master = pty.fork()
    if pid == 0:  # pragma: no cover - the child becomes the program
        os.chdir(ROOT)
        os.execv(sys.executable, argv)
    seen = _until(master, b"# ")
    os.write(master, b"test -t 0 && echo it is a $((40+2))-tty\n")
    seen += _until(master, b"it is a 42-tty")
    os.write(master, b"exit 5\n")
    _drain(master)
    _, status = os.waitpid(pid, 0)
    os.close(master)
    assert os.waitstatus_to_exitcode(status) == 5, seen


def _until(master, text, seconds=60):
    seen = b""
    end = time.monotonic() + seconds
    while text not in seen and time.monotonic() < end:
        if select.select([master], [], [], 1)[0]:
            try:
                seen += os.read(master, 4096)
            except OSError:
                break
    assert text in seen, seen
    return seen


def _drain(master):
    while select.select([master], [], [], 10)[0]:
        try:
            if not os.read(master, 4096):
                return
        except OSError:
            return


def test_sigterm_reaches_the_process_and_nothing_is_left(docker, base_image):
    name = f"{RUN}-{uuid.uuid4().hex[:12]}"
    process = subprocess.Popen(
        [sys.executable, "-m", "dynbuild", "run", "--image", base_image, "--gpus", "none",
         "--workdir", "/", "--name", name, "--", "sh", "-c",
         "trap 'echo got it; exit 42' TERM; echo ready; while :; do sleep 0.1; done"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    with process:
        try:
            assert process.stdout.readline() == "ready\n"
            process.send_signal(signal.SIGTERM)
            out, _ = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 42
    assert out == "got it\n"
    assert docker("ps", "--all", "--quiet", "--filter", f"name={name}") == ""


def test_container_stays_where_it_is_not_to_be_removed(run, docker):
    name = f"{RUN}-{uuid.uuid4().hex[:12]}"
    try:
        assert run("exit 3", "--no-rm", "--name", name).returncode == 3
        assert docker("ps", "--all", "--quiet", "--filter", f"name={name}") != ""
    finally:
        docker("rm", "--force", name)
