"""Logins by every way in that the documents name: they work, and no byte of them is found.

One build with a push: a private git host, a package index and a mirror of apt that want logins,
a proxy with a password, keys of caches, and a registry cache of all stages.
"""

from __future__ import annotations

import base64
import gzip
import http.server
import json
import os
import secrets
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from dynbuild.engine import packages
from tests.conftest import DEMO, ROOT
from tests.images.conftest import package_index
from tests.session import NAME as RUN

BRANCH = "main"


def _basic(user, password):
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}".lower()


class _Site(http.server.BaseHTTPRequestHandler):
    """A git host, a package index and a mirror of apt; each wants its login."""

    def do_GET(self):
        top = self.path.split("/")[1].partition(".")[0]
        given = self.headers.get("Authorization", "")
        right = given.lower() == self.server.logins[top]
        self.server.asked.append((top, right))
        if not right:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="site"')
            self.end_headers()
        elif top == "simple":
            self.send_response(302)  # the files are on the index that the machine uses
            self.send_header("Location", self.server.index + self.path)
            self.end_headers()
        elif top == "apt":
            self._forward(self.path.removeprefix("/apt"))
        else:
            self._git()

    do_POST = do_GET  # noqa: N815 - the name is http.server's

    def _forward(self, path):
        hosts = self.server.hosts
        host = next((host for head, host in hosts.items() if path.startswith(head)), "")
        try:
            with urllib.request.urlopen(f"{host}{path}", timeout=120) as answer:
                body = answer.read()
        except (urllib.error.URLError, ValueError) as error:
            self.send_error(getattr(error, "code", 502))
            return
        self._answer({"Content-Length": str(len(body))}, body)

    def _git(self):
        url = urllib.parse.urlsplit(self.path)
        env = os.environ | {
            "GIT_PROJECT_ROOT": str(self.server.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": url.path,
            "QUERY_STRING": url.query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "HTTP_GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "CONTENT_LENGTH": self.headers.get("Content-Length", "0"),
        }
        body = self.rfile.read(int(env["CONTENT_LENGTH"]))
        done = subprocess.run(
            ("git", "http-backend"), env=env, input=body, capture_output=True, check=True
        )
        head, _, rest = done.stdout.partition(b"\r\n\r\n")
        lines = (line.split(": ", 1) for line in head.decode().split("\r\n"))
        self._answer({key: value for key, value in lines if key != "Status"}, rest)

    def _answer(self, headers, body):
        self.send_response(200)
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def _repository(root):
    """A repository with a tool, which a step takes as it is."""
    tree = root / "tree"
    (tree / "tool" / "usr" / "local" / "bin" / "etcd").mkdir(parents=True)
    (tree / "tool" / "usr" / "local" / "bin" / "etcd" / "etcd").write_text(secrets.token_hex(8))
    who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
    for words in (("init", "-q", "-b", BRANCH), ("add", "."), (*who, "commit", "-q", "-m", "one")):
        subprocess.run(("git", "-C", str(tree), *words), check=True)
    for name in ("token", "header"):
        subprocess.run(("git", "clone", "-q", "--bare", tree, root / f"{name}.git"), check=True)


SECRETS = (
    "git token", "git header", "netrc", "apt", "dnf", "crates", "proxy", "key id", "key", "session",
    "remote", "environment",
)  # fmt: skip


@pytest.fixture
def known():
    """Twelve secrets, each of its own bytes."""
    return {name: f"Zq{secrets.token_hex(10)}" for name in SECRETS}


@pytest.fixture
def host(tmp_path, known):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Site) as server:
        server.root, server.asked, server.hosts = tmp_path / "git", [], {}
        server.index = package_index()
        server.logins = {
            "token": _basic("x-access-token", known["git token"]),
            "header": f"bearer {known['git header']}".lower(),
            "simple": _basic("ada", known["netrc"]),
            "apt": _basic("ada", known["apt"]),
        }
        for source in packages.sources(os.environ):
            parts = urllib.parse.urlsplit(source.uri)
            server.hosts.setdefault(f"{parts.path}/", f"{parts.scheme}://{parts.netloc}")
        _repository(server.root)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def _settings(address, known, tmp_path):
    (tmp_path / "netrc").write_text(
        f"machine 127.0.0.1 login ada password {known['netrc']}\n", encoding="utf-8"
    )
    path, by_name = tmp_path / "site.toml", address.replace("127.0.0.1", "localhost")
    path.write_text(
        f"""\
[site]
netrc = "netrc"
index_url = "http://{address}/simple"
apt_mirror = "http://ada:{known["apt"]}@{address}/apt"
dnf_mirror = "http://ada:{known["dnf"]}@{address}/dnf"
crates_index = "sparse+http://ada:{known["crates"]}@{address}/crates/"
git_auth_token = ["{address}=LOGIN_TOKEN"]
git_auth_header = ["{by_name}=LOGIN_HEADER"]
[tools]
nats.kind = "pypi"
nats.pypi = "nats"
nats.version = "NATS_VERSION"
etcd.kind = "pypi"
etcd.pypi = "etcd"
etcd.version = "ETCD_VERSION"
[contexts]
etcd_tool = "http://{address}/token.git#{BRANCH}"
nats_tool = "http://{by_name}/header.git#{BRANCH}"
""",
        encoding="utf-8",
    )
    return path


def _tree(path, known):
    """A context whose repository was cloned with a token in the address."""
    path.mkdir()
    (path / "file").touch()
    who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
    remote = f"https://ada:{known['remote']}@git.example.com/ai/dynamo.git"
    for words in (("init", "-q"), ("add", "."), (*who, "commit", "-q", "-m", "one")):
        subprocess.run(("git", "-C", str(path), *words), check=True)
    with (path / ".git" / "config").open("a") as config:  # no process has it in its words
        config.write(f'[remote "origin"]\n\turl = {remote}\n')
    return str(path)


def _seen(stop, found, known):
    """Look for the secrets among the words of every process."""
    while not stop.is_set():
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                text = path.read_bytes()
            except OSError:
                continue
            found |= {name for name, value in known.items() if value.encode() in text}
        time.sleep(0.02)


def _inside(data, known):
    """The secrets in *data*, also where it is compressed."""
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    return {name for name, value in known.items() if value.encode() in data}


def _everything(registry, repository, tag):
    """Manifests, configurations and blobs behind a tag of a registry."""
    left, done = [("manifests", tag)], set()
    accept = ", ".join(
        f"application/vnd.{kind}+json" for kind in ("oci.image.index.v1", "oci.image.manifest.v1")
    )
    while left:
        kind, name = left.pop()
        if name in done:
            continue
        done.add(name)
        url = f"http://{registry}/v2/{repository}/{kind}/{name}"
        asked = urllib.request.Request(url, headers={"Accept": accept})
        with urllib.request.urlopen(asked, timeout=60) as answer:
            data = answer.read()
        yield data
        if kind == "manifests":
            manifest = json.loads(data)
            left += [
                ("manifests" if "manifest" in each["mediaType"] else "blobs", each["digest"])
                for each in manifest.get("manifests", ())
            ]
            parts = (*manifest.get("layers", ()), manifest.get("config"))
            left += [("blobs", part["digest"]) for part in parts if part]


def test_twelve_logins_work_and_leave_no_byte(
    dynbuild, own_base, registry, *, known, host, tmp_path
):
    address = f"127.0.0.1:{host.server_port}"
    image = f"{registry}/{RUN}/logins"
    stop, seen = threading.Event(), set()
    watch = threading.Thread(target=_seen, args=(stop, seen, known))
    watch.start()
    try:
        done = dynbuild(
            "-vv", "build", "--format", "json",
            "--config", str(DEMO / "dynbuild.toml"),
            "--config", str(_settings(address, known, tmp_path)),
            "--network", "host", *own_base,
            "--context", _tree(tmp_path / "tree", known),
            "--target", "dynamo_base", "--push", "--repository", image, "--no-tag-latest",
            "--cache-to", f"type=registry,ref={image}-cache:all,mode=max",
            "--cache-from", "type=s3,bucket=b,region=r,endpoint_url=http://127.0.0.1:9,"
            "access_key_id=${LOGIN_ID},secret_access_key=${LOGIN_KEY},session_token=${LOGIN_SESSION}",
            env={
                "LOGIN_TOKEN": known["git token"], "LOGIN_ID": known["key id"],
                "LOGIN_KEY": known["key"], "LOGIN_SESSION": known["session"],
                "LOGIN_HEADER": f"Bearer {known['git header']}",
                "DYNBUILD_ARG_FTP_PROXY": f"http://ada:{known['proxy']}@127.0.0.1:9",
                "AWS_SECRET_ACCESS_KEY": known["environment"],
            },
        )  # fmt: skip
    finally:
        stop.set()
        watch.join()
    assert done.returncode == 0, done.stderr
    # All that a terminal was shown, at its most verbose.
    assert _inside(f"{done.stdout}{done.stderr}".encode(), known) == set()
    report = json.loads(done.stdout)
    # Each was needed, and was right.
    assert {top for top, right in host.asked if right} == {"token", "header", "simple", "apt"}
    # BuildKit starts its git with the header as a word; dynbuild's own processes have none.
    assert seen <= {"git header"}
    record = ROOT / report["record"]
    for path in record.rglob("*"):
        if path.is_file():
            assert _inside(path.read_bytes(), known) == set(), path
    assert _inside(json.dumps(report).encode(), known) == set()
    (tag,) = (tag.rpartition(":")[2] for tag in report["images"][0]["tags"])
    pieces = [
        *_everything(registry, f"{RUN}/logins", tag),
        *_everything(registry, f"{RUN}/logins-cache", "all"),
    ]
    assert len(pieces) > 8
    for piece in pieces:
        assert _inside(piece, known) == set(), piece[:200]
