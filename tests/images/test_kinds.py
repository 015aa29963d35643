"""Where sources and tools may come from: each kind fetches for real, from loopback."""

from __future__ import annotations

import functools
import hashlib
import http.server
import io
import os
import socket
import subprocess
import tarfile
import threading
import time
import zipfile
from pathlib import Path

import pytest

from dynbuild import proc
from tests.conftest import DEMO, WORKSPACE


@pytest.fixture
def served(tmp_path):
    """A folder served over HTTP on loopback: (folder, address)."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield folder, f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def _tarball(path, files):
    with tarfile.open(path, "w:gz") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(f"top-1.0/{name}")
            info.size, info.mode = len(text), 0o755
            tar.addfile(info, io.BytesIO(text.encode()))
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def export(dynbuild, engine, tmp_path):
    """Build one stage under an overlay and lay the files of one of its folders out in another.

    A stage can be a whole system, and BuildKit was seen to wait for ever while it sent one
    (https://github.com/moby/buildkit/issues/2950): no more is sent than is looked at.
    """

    def run(stage: str, overlay: str, tree: Path = DEMO, folder: str = "/"):
        config, dockerfile, out = (tmp_path / name for name in ("o.toml", "Dockerfile", "out"))
        config.write_text(overlay)
        flags = ("--config", str(DEMO / "dynbuild.toml"), "--config", str(config))
        context = ("--context", str(tree))
        done = dynbuild("render", *flags, *context, "--output", str(dockerfile))
        assert done.returncode == 0, done.stderr
        with dockerfile.open("a") as file:
            file.write(f"FROM scratch AS laid_out\nCOPY --from={stage} {folder} {folder}\n")
        network = ("--network", "host") if engine.network == "host" else ()
        built = proc.run(
            [
                engine.docker, "buildx", "build", "--progress", "plain", "--file", str(dockerfile),
                "--target", "laid_out", "--output", f"type=local,dest={out}", *network, str(tree),
            ],
            env=engine.env(os.environ), check=False, timeout=300,
        )  # fmt: skip
        return built, out

    return run


def test_source_from_a_tarball_with_checksum(export, served):
    folder, address = served
    digest = _tarball(folder / "ucx.tar.gz", {"configure": "#!/bin/sh\n", "src/a.c": "int a;\n"})
    built, out = export(
        "ucx_src",
        f'[sources.ucx]\nkind = "url"\nurl = "{address}/ucx.tar.gz"\nsha256 = "{digest}"\n',
    )
    assert built.returncode == 0, built.stderr
    assert (out / "src" / "a.c").read_text() == "int a;\n"
    assert (out / "configure").is_file()


def test_source_with_a_wrong_checksum_is_refused(export, served):
    folder, address = served
    _tarball(folder / "ucx.tar.gz", {"configure": "changed on the way"})
    built, _ = export(
        "ucx_src",
        f'[sources.ucx]\nkind = "url"\nurl = "{address}/ucx.tar.gz"\nsha256 = "{"0" * 64}"\n',
    )
    assert built.returncode != 0
    assert "digest mismatch" in built.stderr


def test_source_from_git_at_the_ref_of_its_argument(export, tmp_path):
    repository = tmp_path / "git" / "ucx"
    repository.mkdir(parents=True)

    def git(*words: str) -> None:
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.com")
        subprocess.run(["git", *identity, *words], cwd=repository, check=True, capture_output=True)

    git("init", "-q")
    (repository / "version").write_text("old\n")
    git("add", "-A")
    git("commit", "-qm", "one")
    git("tag", "1.20.0")
    (repository / "version").write_text("new\n")
    git("commit", "-qam", "two")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    daemon = subprocess.Popen(
        ["git", "daemon", "--reuseaddr", "--export-all", "--listen=127.0.0.1",
         f"--port={port}", f"--base-path={repository.parent}"],
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _await_port(port)
        built, out = export(
            "ucx_src",
            f'[sources.ucx]\nkind = "git"\nrepo = "git://127.0.0.1:{port}/ucx"\n',
        )
    finally:
        # git daemon forks a child per connection; the group is not ours, so one by one.
        daemon.terminate()
        daemon.wait(timeout=10)
    assert built.returncode == 0, built.stderr
    assert (out / "version").read_text() == "old\n"
    assert not (out / ".git").exists()


def _await_port(port):
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail("git daemon did not start")


def test_source_from_a_folder(dynbuild, tmp_path):
    """--source puts a local tree in the stage's place; the stage itself fetches nothing."""
    tree = tmp_path / "ucx"
    tree.mkdir()
    done = dynbuild(
        "plan", "--format", "json", "--config", str(DEMO / "dynbuild.toml"),
        "--context", str(DEMO), "--source", f"ucx={tree}",
    )  # fmt: skip
    assert f'"ucx_src": "{tree}"' in done.stdout


def test_tool_from_a_download_of_each_architecture(export, served):
    folder, address = served
    digest = _tarball(folder / "nats-amd64.tar.gz", {"nats-server": "#!/bin/sh\necho stand-in\n"})
    built, out = export(
        "nats_tool",
        f"""\
[tools.nats]
kind = "url"
url.amd64 = "{address}/nats-amd64.tar.gz"
url.arm64 = "{address}/there-is-none-and-it-is-not-asked-for.tar.gz"
sha256.amd64 = "{digest}"
""",
        folder="/tool",
    )
    assert built.returncode == 0, built.stderr
    assert (out / "tool" / "usr" / "bin" / "nats-server").read_text().endswith("stand-in\n")


def test_tool_from_an_archive_whose_modes_are_its_maker_s(export, served):
    """protoc's archive has had files in it that only root may read."""
    folder, address = served
    with zipfile.ZipFile(folder / "protoc.zip", "w") as archive:
        for name, mode in (("bin/protoc", 0o700), ("include/google/any.proto", 0o600)):
            entry = zipfile.ZipInfo(name)
            entry.create_system, entry.external_attr = 3, mode << 16
            archive.writestr(entry, "#!/bin/sh\necho stand-in\n")
    digest = hashlib.sha256((folder / "protoc.zip").read_bytes()).hexdigest()
    built, out = export(
        "protoc_tool",
        f"""\
[request]
dynamo_wheels = "source"
[tools.protoc]
kind = "url"
url.amd64 = "{address}/protoc.zip"
sha256.amd64 = "{digest}"
sha256.arm64 = ""
""",
        WORKSPACE,
        folder="/tool",
    )
    assert built.returncode == 0, built.stderr
    for name, mode in (("bin", 0o755), ("bin/protoc", 0o755), ("include/google", 0o755)):
        assert (out / "tool" / "usr" / "local" / name).stat().st_mode & 0o777 == mode
    proto = out / "tool" / "usr" / "local" / "include" / "google" / "any.proto"
    assert proto.stat().st_mode & 0o777 == 0o644


def test_tool_from_an_image(export, base_image):
    repository, _, tag = base_image.partition(":")
    built, out = export(
        "uv_tool",
        f"""\
[args]
UV_VERSION = "{tag}"
[tools.uv]
kind = "image"
image = "{repository}"
files = ["/usr/bin/env", "/usr/bin/id"]
""",
        folder="/tool",
    )
    assert built.returncode == 0, built.stderr
    assert (out / "tool" / "opt" / "uv" / "bin" / "id").is_file()
