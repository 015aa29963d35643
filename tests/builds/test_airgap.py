"""A site with mirrors of its own: the steps of a real build use them, the image shows none.

The mirror is a forwarder on loopback in front of the one that the machine itself uses.
"""

from __future__ import annotations

import http.server
import os
import threading
import urllib.error
import urllib.parse
import urllib.request

import pytest

from dynbuild.engine import packages
from tests.conftest import DEMO

SITE = ("--network", "host", "--no-tag-latest", "--context", str(DEMO))
TARGET = ("--target", "dynamo_base", "--tag", "dynbuild/tests:airgap")


class _Forwarder(http.server.BaseHTTPRequestHandler):
    """``/apt/PATH`` is PATH of whichever host the machine's apt has it from."""

    def do_GET(self):
        self.server.asked.append((self.path, self.headers.get("Authorization")))
        path = self.path.removeprefix("/apt")
        host = next((host for top, host in self.server.hosts.items() if path.startswith(top)), "")
        try:
            with urllib.request.urlopen(f"{host}{path}", timeout=120) as answer:
                body = answer.read()
        except (urllib.error.URLError, ValueError) as error:
            self.send_error(getattr(error, "code", 502))
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def mirror():
    """The forwarder."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Forwarder) as server:
        server.asked, server.hosts = [], {}
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
    build, docker, base_image, mirror, site
):
    address = f"127.0.0.1:{mirror.server_port}"
    config = site(f'[site]\napt_mirror = "http://ada:hunter2@{address}/apt"\n')
    report = build(*config, *SITE, *TARGET, "--no-cache")
    asked = [path for path, _ in mirror.asked]
    assert any(path.endswith("/dists/trixie/InRelease") for path in asked)
    assert {login for _, login in mirror.asked} == {"Basic YWRhOmh1bnRlcjI="}

    log = (DEMO / ".dynbuild/builds/latest/log").read_text()
    fetched = {line.split()[-1] for line in log.splitlines() if "InRelease" in line}
    assert fetched
    gets = [line for line in log.splitlines() if " Get:" in line or " Hit:" in line]
    assert gets
    assert all(address in line for line in gets)
    assert "hunter2" not in log

    lists = "cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null; ls -A /run"
    image = "dynbuild/tests:airgap"
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
    again = build(*site('[site]\napt_mirror = "http://127.0.0.1:1/apt"\n'), *SITE, *TARGET)
    assert again["steps"]["run"] == 0, again["steps"]
