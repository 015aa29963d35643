"""A real S3 server on loopback: SeaweedFS, one for all workers of a test run."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

BUCKET = "cache"
REGION = "us-east-1"

IDENTITIES = {
    "full": ("Admin", "Read", "Write", "List", "Tagging"),
    "reader": ("Read", "List"),
    "blind": ("Read", "Write"),
    "nobody": (),
}
"""Who there is, and what each may do."""

# None of its ports is the one of a service; gRPC would take each port + 10000.
_PORTS = ("master", "volume", "filer", "s3")
# The server ends by itself when the tests were killed.
_LIFE_SECONDS = 1800


@dataclass(frozen=True)
class Server:
    """A server that runs.

    Attributes:
        pid: Leader of its process group.
        endpoint: Its host and port.
        ports: All of its ports.
        keys: Access key and secret of each identity.
    """

    pid: int
    endpoint: str
    ports: list[int]
    keys: dict[str, list[str]]

    def env(self, who: str = "full") -> dict[str, str]:
        """The variables that make one of ``IDENTITIES``, and nothing of this machine."""
        key, secret = self.keys[who]
        return {
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self) -> Any:
        """A client that may do everything."""
        import boto3
        from botocore.config import Config

        key, secret = self.keys["full"]
        return boto3.client(
            "s3",
            endpoint_url=f"http://{self.endpoint}",
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            region_name=REGION,
            config=Config(retries={"total_max_attempts": 8}),
        )


@contextlib.contextmanager
def shared(directory: Path) -> Iterator[Server]:
    """The server of all processes that name the same directory; the last one stops it."""
    directory.mkdir(parents=True, exist_ok=True)
    state = directory / "state.json"
    with (directory / "lock").open("a") as lock, (directory / "users").open("a") as users:
        with _held(lock):
            if _only_user(users):
                state.write_text(json.dumps(asdict(start(directory))))
            fcntl.flock(users, fcntl.LOCK_SH)
            server = Server(**json.loads(state.read_text()))
        try:
            yield server
        finally:
            with _held(lock):
                if _only_user(users):
                    stop(server)


@contextlib.contextmanager
def _held(lock: Any) -> Iterator[None]:
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(lock, fcntl.LOCK_UN)


def _only_user(users: Any) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def start(directory: Path) -> Server:
    """Start a server with the bucket ``BUCKET`` and its files below *directory*."""
    directory.mkdir(parents=True, exist_ok=True)
    keys = {who: [secrets.token_hex(10).upper(), secrets.token_hex(20)] for who in IDENTITIES}
    config = {
        "identities": [
            {
                "name": who,
                "credentials": [{"accessKey": keys[who][0], "secretKey": keys[who][1]}],
                "actions": actions,
            }
            for who, actions in IDENTITIES.items()
        ]
    }
    log = directory / "log"
    for attempt in range(3):
        # Another process may take a port between the choice and the start.
        place = directory / f"data{secrets.token_hex(4)}"
        place.mkdir()
        (place / "s3.json").write_text(json.dumps(config))
        ports = _free_ports(2 * len(_PORTS))
        pid = _spawn(place, ports, log)
        server = Server(pid, f"127.0.0.1:{ports[3]}", ports, keys)
        if _answers(server):
            client = server.client()
            client.create_bucket(Bucket=BUCKET)
            # The first object makes the server allot room, which may fail once; boto3 repeats.
            client.put_object(Bucket=BUCKET, Key="room", Body=b"x")
            client.delete_object(Bucket=BUCKET, Key="room")
            return server
        stop(server)
        print(f"attempt {attempt}: the S3 server did not start")
    raise AssertionError(f"the S3 server does not start: {log.read_text()[-2000:]}")


def _spawn(place: Path, ports: list[int], log: Path) -> int:
    weed = Path(sys.executable).parent / "weed"
    argv = [
        "timeout", "--signal=KILL", str(_LIFE_SECONDS), str(weed), "-logtostderr=true", "server",
        f"-dir={place}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false",
        # The sockets are named from the working directory: a path of one has 107 bytes at most.
        "-filer", "-filer.localSocket=filer.sock",
        "-s3", f"-s3.config={place}/s3.json", "-s3.localSocket=s3.sock",
        "-s3.port.iceberg=0", "-s3.port.lance=0",
        "-volume.max=32", "-master.volumeSizeLimitMB=32",
        *(f"-{name}.port={port}" for name, port in zip(_PORTS, ports[:4], strict=True)),
        *(f"-{name}.port.grpc={port}" for name, port in zip(_PORTS, ports[4:], strict=True)),
    ]  # fmt: skip
    with log.open("a") as out:
        process = subprocess.Popen(
            argv,
            cwd=place,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    process.returncode = 0  # another worker may stop it: nobody waits for it here
    return process.pid


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        found = []
        for _ in range(count):
            one = stack.enter_context(socket.socket())
            one.bind(("127.0.0.1", 0))
            found.append(one.getsockname()[1])
        return found


def _answers(server: Server, patience: float = 60) -> bool:
    """Whether S3 refuses an unknown caller, which is what it does once it is up."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if os.waitpid(server.pid, os.WNOHANG)[0]:
            return False
        try:
            urllib.request.urlopen(f"http://{server.endpoint}/", timeout=2)
        except urllib.error.HTTPError as error:
            with error:
                return True
        except OSError:
            time.sleep(0.05)
    return False


def stop(server: Server) -> None:
    """End it at once: asked politely, it waits for minutes for parts that have ended already."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(server.pid, 0)
    for port in server.ports:
        for socket_file in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
            socket_file.unlink(missing_ok=True)
