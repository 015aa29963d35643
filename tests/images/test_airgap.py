"""A site with mirrors of its own: the steps of a real build use them, the image shows none.

The mirror is a forwarder on loopback in front of the one that the machine itself uses; the
registry of crates and the archives of Meson's subprojects are made here.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import io
import json
import os
import shutil
import ssl
import subprocess
import tarfile
import threading
import urllib.error
import urllib.parse
import urllib.request
import uuid
import zipfile
from pathlib import Path

import pytest

from dynbuild.build import facts
from dynbuild.engine import packages
from tests.conftest import DEMO, ROOT, WORKSPACE
from tests.images.conftest import package_index
from tests.session import NAME as RUN

SITE = ("--network", "host", "--no-tag-latest")
TARGET = ("--target", "dynamo_base", "--tag", f"{RUN}/airgap:now")


class _Forwarder(http.server.BaseHTTPRequestHandler):
    """``/apt/PATH`` is PATH of whichever host the machine's apt has it from.

    Else what is in ``files``.
    """

    def do_GET(self):
        self.server.asked.append((self.path, self.headers.get("Authorization")))
        if self.path in self.server.files:
            self._answer(self.server.files[self.path])
            return
        if self.path.startswith("/simple/"):
            self.send_response(302)  # the files are on the index that the machine uses
            self.send_header("Location", f"{self.server.index}{self.path}")
            self.end_headers()
            return
        path = self.path.removeprefix("/apt")
        host = next((host for top, host in self.server.hosts.items() if path.startswith(top)), "")
        try:
            with urllib.request.urlopen(f"{host}{path}", timeout=120) as answer:
                body = answer.read()
        except (urllib.error.URLError, ValueError) as error:
            self.send_error(getattr(error, "code", 502))
            return
        self._answer(body)

    def _answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class _Server(http.server.ThreadingHTTPServer):
    def shutdown_request(self, request):
        if isinstance(request, ssl.SSLSocket):
            with contextlib.suppress(OSError):
                request.unwrap()  # apt takes an end without goodbye for a connection that was cut
        super().shutdown_request(request)


@pytest.fixture
def mirror():
    """The forwarder."""
    with _Server(("127.0.0.1", 0), _Forwarder) as server:
        server.asked, server.hosts, server.files = [], {}, {}
        for source in packages.sources(os.environ):
            parts = urllib.parse.urlsplit(source.uri)
            server.hosts.setdefault(f"{parts.path}/", f"{parts.scheme}://{parts.netloc}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def site(tmp_path):
    """Writes the site's overlay."""

    def write(text):
        path = tmp_path / "site.toml"
        path.write_text(text)
        return ("--config", str(path))

    return write


def test_apt_uses_the_mirror_and_the_image_shows_nothing_of_it(
    build, docker, base_image, *, own_base, mirror, site
):
    address = f"127.0.0.1:{mirror.server_port}"
    config = site(f'[site]\napt_mirror = "http://ada:hunter2@{address}/apt"\n')
    report = build(*config, *SITE, *TARGET, *own_base)
    asked = [path for path, _ in mirror.asked]
    assert any(path.endswith("/dists/trixie/InRelease") for path in asked)
    assert {login for _, login in mirror.asked} == {"Basic YWRhOmh1bnRlcjI="}

    log = (ROOT / report["record"] / "log").read_text()
    gets = [line for line in log.splitlines() if " Get:" in line or " Hit:" in line]
    assert gets
    assert all(address in line for line in gets)
    assert "hunter2" not in log

    lists = "cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null; ls -d /run/s* || true"
    image = f"{RUN}/airgap:now"
    inside = docker("run", "--rm", "--network", "none", image, "sh", "-c", lists)
    assert inside == docker("run", "--rm", "--network", "none", base_image, "sh", "-c", lists)
    found = docker(
        "run", "--rm", "--network", "none", image, "sh", "-c",
        f"grep -rIl -e hunter2 -e {address} /etc /opt /root /run /tmp /usr /var || true",
    )  # fmt: skip
    assert found == ""
    for words in (("history", "--no-trunc", image), ("image", "inspect", image)):
        text = docker(*words)
        assert "hunter2" not in text
        assert address not in text
    assert report["images"]

    # Another address is no other step: nothing listens there, and nothing is asked.
    nowhere = site('[site]\napt_mirror = "http://127.0.0.1:1/apt"\n')
    again = build(*nowhere, *SITE, *TARGET, *own_base)
    assert again["steps"]["run"] == 0, again["steps"]


def _authority(folder):
    """An authority of its own, and a certificate of it for loopback: its file, key and chain."""
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    make = ("openssl", "req", "-x509", *key)
    files = {name: str(folder / f"{name}.pem") for name in ("ca", "ca_key", "own", "own_key")}
    first = ("-subj", "/CN=authority of a site", "-keyout", files["ca_key"], "-out", files["ca"])
    subprocess.run((*make, *first), check=True, capture_output=True)
    signed = ("-CA", files["ca"], "-CAkey", files["ca_key"], "-subj", "/CN=a site")
    names = ("subjectAltName=DNS:localhost", "basicConstraints=critical,CA:FALSE")
    more = [word for name in names for word in ("-addext", name)]
    out = ("-keyout", files["own_key"], "-out", files["own"])
    subprocess.run((*make, *signed, *more, *out), check=True, capture_output=True)
    return files


def test_steps_trust_the_authority_of_the_site(
    build, dynbuild, own_base, *, mirror, site, tmp_path
):
    """apt and uv, over TLS; without the authority the very same build fails."""
    files, bundle = _authority(tmp_path), facts.read(os.environ).ca_bundle
    others = (bundle,) if bundle else ()
    mirror.index = package_index()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files["own"], files["own_key"])
    mirror.socket = context.wrap_socket(mirror.socket, server_side=True)
    address = f"https://localhost:{mirror.server_port}"  # pip cannot verify a number
    both = tmp_path / "both.pem"
    both.write_text("\n".join(Path(path).read_text() for path in (files["ca"], *others)))
    text = f'[site]\napt_mirror = "{address}/apt"\nindex_url = "{address}/simple"\n'
    refused = dynbuild(
        "build", "--config", str(DEMO / "dynbuild.toml"), "--context", str(tmp_path),
        *site(text), *SITE, *TARGET, *own_base,
    )  # fmt: skip
    assert refused.returncode == 1, refused.stderr
    assert "certificate" in refused.stderr.lower()
    assert not mirror.asked
    build(*site(f'{text}ca_bundle = "{both}"\n'), *SITE, *TARGET, *own_base)
    tops = {path.split("/")[1] for path, _ in mirror.asked}
    assert tops == {"apt", "simple"}


def _tarball(files):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    return data.getvalue()


LOCKED = """
[[package]]
name = "tiny"
version = "1.0.0"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "{}"
"""


def _source_tree(path, mirror):
    """The example tree with a dependency that only the site's registry has."""
    shutil.copytree(WORKSPACE, path, ignore=shutil.ignore_patterns(".dynbuild", "target"))
    (path / ".cargo" / "config.toml").unlink()
    crate = _tarball(
        {
            "tiny-1.0.0/Cargo.toml": '[package]\nname = "tiny"\nversion = "1.0.0"\n',
            "tiny-1.0.0/src/lib.rs": 'pub fn word() -> &\'static str { "tiny" }\n',
        }
    )
    digest = hashlib.sha256(crate).hexdigest()
    entry = {"name": "tiny", "vers": "1.0.0", "deps": [], "cksum": digest}
    entry |= {"features": {}, "yanked": False}
    address = f"http://127.0.0.1:{mirror.server_port}"
    mirror.files |= {
        "/index/config.json": json.dumps({"dl": f"{address}/crates"}).encode(),
        "/index/ti/ny/tiny": json.dumps(entry).encode(),
        "/crates/tiny/1.0.0/download": crate,
    }
    manifest = path / "lib" / "runtime" / "Cargo.toml"
    manifest.write_text(f'{manifest.read_text()}\n[dependencies]\ntiny = "1.0.0"\n')
    source = path / "lib" / "runtime" / "src" / "lib.rs"
    source.write_text(f"{source.read_text()}\n// {uuid.uuid4()}\npub use tiny::word;\n")
    lock = path / "Cargo.lock"
    own = 'name = "dynamo-runtime"\nversion = "0.9.0"\n'
    assert own in lock.read_text()
    text = lock.read_text().replace(own, f'{own}dependencies = [\n "tiny",\n]\n')
    lock.write_text(text + LOCKED.format(digest))


BUILD = """\
project('nixl', version: '0.9.0')
value = subproject('tiny').get_variable('value')
assert(value == 'patched')
import('python').find_installation(pure: true).install_sources('nixl.py')
subdir('src/bindings/python/nixl-meta')
"""
PROJECT = """\
[build-system]
requires = ["meson-python"]
build-backend = "mesonpy"

[project]
name = "nixl-cpu"
version = "0.9.0"
"""
WRAP = """\
[wrap-file]
directory = tiny-1.0
source_url = https://files.example.com/tiny-1.0.tar.gz
source_filename = tiny-1.0.tar.gz
source_hash = {source}
patch_url = https://wraps.example.com/tiny_1.0-1/get_patch
patch_filename = tiny_1.0-1_patch.zip
patch_hash = {patch}
"""


def _nixl(tree, archives):
    """A stand-in for NIXL whose subproject comes as an archive with a patch."""
    source = _tarball({"tiny-1.0/meson.build": "project('tiny')\nvalue = 'plain'\n"})
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as patch:
        patch.writestr("tiny-1.0/meson.build", "project('tiny')\nvalue = 'patched'\n")
    archives.mkdir()
    (archives / "tiny-1.0.tar.gz").write_bytes(source)
    (archives / "tiny_1.0-1_patch.zip").write_bytes(data.getvalue())
    sums = {
        "source": hashlib.sha256(source).hexdigest(),
        "patch": hashlib.sha256(data.getvalue()).hexdigest(),
    }
    for name, text in {
        "meson.build": BUILD,
        "meson_options.txt": "option('disable_gds_backend', type: 'boolean', value: false)\n",
        "pyproject.toml": PROJECT,
        "nixl.py": f"# {uuid.uuid4()}\n",
        "src/bindings/python/nixl-meta/meson.build": "",
        "subprojects/tiny.wrap": WRAP.format(**sums),
    }.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


SITE_TOML = """\
[site]
apt_mirror = "http://127.0.0.1:{port}/apt"
crates_index = "sparse+http://127.0.0.1:{port}/index/"
meson_packages = "archives"
[sources.ucx]
kind = "none"
[sources.nixl]
kind = "context"
path = "nixl"
"""


def test_crates_and_meson_subprojects_come_from_the_site(build, dynbuild, mirror, site, tmp_path):
    tree = tmp_path / "tree"
    _source_tree(tree, mirror)
    _nixl(tmp_path / "nixl", tmp_path / "archives")
    config = site(SITE_TOML.format(port=mirror.server_port))
    words = (
        *config, "--context", str(tree), "--target", "wheel_builder", "--dynamo-wheels", "source",
        "--network", "host", "--no-load",
    )  # fmt: skip
    build(*words)
    asked = [path for path, _ in mirror.asked]
    assert "/index/ti/ny/tiny" in asked
    assert "/crates/tiny/1.0.0/download" in asked

    # An archive that is not there is an error of Meson's, not a download.
    (tmp_path / "archives" / "tiny_1.0-1_patch.zip").unlink()
    done = dynbuild("build", "--config", str(DEMO / "dynbuild.toml"), *words)
    assert done.returncode == 1
    assert "downloading is disabled" in done.stderr
