"""Faults of the network at every place that a build goes to: got over where they pass, told at once
where they last.

A proxy on loopback stands in front of a registry, a package index and a mirror, and fails the
requests of one build each; the builds run side by side.
"""

from __future__ import annotations

import functools
import hashlib
import http.server
import os
import re
import shutil
import subprocess
import sys
import threading
import uuid
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from dynbuild import proc
from dynbuild.build import drive
from dynbuild.build.result import BuildResult
from dynbuild.engine import builder
from dynbuild.engine.model import Engine
from tests import fault_proxy, session
from tests.fault_proxy import LASTING, TRANSIENT, Proxy
from tests.support import NONE_CPU, ROOT, make_job

FOR_EVER = 10**6
KINDS = {"401": "auth", "403": "auth", "404": "missing"}
AT_ONCE = 6
PLACES = ("pull", "apt", "dnf", "index", "push")

TEXT = """\
FROM {registry}/{name}-pull:x AS pulled
FROM {tools} AS last
COPY --from=pulled / /
RUN echo "deb [trusted=yes] http://{web}/{name}-apt/ ./" > /etc/apt/sources.list.d/own.list \\
    && apt-get -oAcquire::Retries=1 update -o Dir::Etc::SourceParts=/dev/null \\
        -o Dir::Etc::SourceList=/etc/apt/sources.list.d/own.list \\
    && apt-get -oAcquire::Retries=1 install -y tiny-thing
RUN {again} && again dnf install -y --releasever=1 --nogpgcheck \\
        --repofrompath=own,http://{web}/{name}-dnf/ --repo own tiny-rpm
ENV UV_HTTP_RETRIES=1
RUN uv pip install --no-cache --system --break-system-packages \\
        --default-index http://{web}/{name}-index/simple/ tiny
"""
"""Something of each place; the programs try once more by themselves, so that solves do too.

dnf alone asks four times, so it meets each fault as often as that.
"""

RPM = ROOT / "tests" / "data" / "tiny-rpm-1-1.noarch.rpm"


def again() -> str:
    """The shell of the templates in which dnf tries again."""
    text = (ROOT / "dockerfiles" / "none-dev-cuda12.8.Dockerfile").read_text()
    found = re.search(r"again\(\) .*?return 1; \\\n    \}", text, re.DOTALL)
    assert found
    return found[0]


@dataclass(frozen=True)
class Site:
    """What builds go to.

    Attributes:
        registry: The proxy in front of a registry.
        web: The one in front of a package index and a mirror.
        tools: An image with uv and apt.
        folder: What the index and the mirror serve.
    """

    registry: Proxy
    web: Proxy
    tools: str
    folder: Path


@pytest.fixture
def solve(engine: Engine, tmp_path: Path) -> Callable[..., BuildResult]:
    """Build a Dockerfile as dynbuild builds one, with its retries and its record."""

    def run(text: str, tag: str, folder: Path | None = None, **more: Any) -> BuildResult:
        tree = tmp_path / uuid.uuid4().hex
        if folder:
            shutil.copytree(folder, tree, symlinks=True)
        tree.mkdir(exist_ok=True)
        job = make_job(**NONE_CPU, context=tree)
        (image,) = job.images
        own = {"contexts": {}, "secrets": (), "output": "push", "stage": "last", "tags": (tag,)}
        plan = replace(image.plan, **(own | more))
        document = replace(job.plan, images=(plan,), network="host")
        images = (replace(image, plan=plan, secrets=()),)
        return drive.build(
            replace(job, plan=document, images=images, registry_seconds=60.0),
            {image.name: text},
            builder=builder.find(engine, os.environ),
            env=os.environ,
            secrets={},
            listen=lambda _: None,
            cancellation=proc.Cancellation(),
            retries=6,
        )

    return run


@pytest.fixture(scope="module")
def site(
    registry: str, docker: Any, base_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    tools, folder = (tmp_path_factory.mktemp(name) for name in ("tools", "www"))
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--target", tools / "uv", "uv==0.11.2"],
        check=True,
    )
    (tools / "Dockerfile").write_text(
        f"FROM {base_image}\nRUN apt-get -oAcquire::Retries=5 update"
        " && apt-get -oAcquire::Retries=5 install -y --no-install-recommends python3 dnf\n"
        "COPY uv/bin/uv /usr/bin/uv\n"
    )
    name = f"{session.NAME}/fault-tools"
    docker("build", "--quiet", "--network", "host", "--tag", name, str(tools))
    _index(folder)
    _mirror(folder)
    _rpm_mirror(folder)
    handler = functools.partial(_Quiet, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"127.0.0.1:{server.server_address[1]}"
    with fault_proxy.before(registry) as images, fault_proxy.before(address) as web:
        yield Site(images, web, name, folder)
    server.shutdown()
    server.server_close()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Write nothing."""


def _index(folder: Path) -> None:
    """A package index with one wheel."""
    place = folder / "simple" / "tiny"
    place.mkdir(parents=True)
    wheel = place / "tiny-1.0-py3-none-any.whl"
    info = "tiny-1.0.dist-info"
    files = {
        "tiny.py": f"X = '{uuid.uuid4().hex * 500}'\n",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(wheel, "w") as written:
        for name, text in files.items():
            written.writestr(name, text)
        written.writestr(f"{info}/RECORD", "".join(f"{name},,\n" for name in files))
    (place / "index.html").write_text(f'<a href="{wheel.name}">{wheel.name}</a>\n')


def _mirror(folder: Path) -> None:
    """A mirror with one package."""
    root = folder / "deb"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "etc").mkdir()
    (root / "etc" / "tiny").write_text(uuid.uuid4().hex * 500)
    fields = "Package: tiny-thing\nVersion: 1\nArchitecture: all\nMaintainer: x <x@example.com>\n"
    (root / "DEBIAN" / "control").write_text(f"{fields}Description: x\n")
    archive = folder / "tiny-thing_1_all.deb"
    subprocess.run(["dpkg-deb", "--build", root, archive], check=True, capture_output=True)
    data = archive.read_bytes()
    sums = f"Size: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n"
    packages = f"{fields}Filename: ./{archive.name}\n{sums}Description: x\n"
    (folder / "Packages").write_text(packages)
    digest = hashlib.sha256(packages.encode()).hexdigest()
    (folder / "Release").write_text(
        "Suite: x\nDate: Thu, 01 Jan 2026 00:00:00 UTC\n"
        f"SHA256:\n {digest} {len(packages)} Packages\n"
    )


def _rpm_mirror(folder: Path) -> None:
    """A mirror with one package for dnf."""
    (folder / "repodata").mkdir()
    shutil.copy(RPM, folder)
    spaces = ("common", "rpm")
    named = " ".join(f'xmlns:{one}="http://linux.duke.edu/metadata/{one}"' for one in spaces)
    data = RPM.read_bytes()
    primary = (
        f'<metadata {named} xmlns="http://linux.duke.edu/metadata/common" packages="1">'
        '<package type="rpm"><name>tiny-rpm</name><arch>noarch</arch>'
        '<version epoch="0" ver="1" rel="1"/><checksum type="sha256" pkgid="YES">'
        f"{hashlib.sha256(data).hexdigest()}</checksum><summary>x</summary>"
        f'<time file="1" build="1"/><size package="{len(data)}" installed="2" archive="1"/>'
        f'<location href="{RPM.name}"/><format><rpm:provides>'
        '<rpm:entry name="tiny-rpm" flags="EQ" epoch="0" ver="1" rel="1"/></rpm:provides></format>'
        "</package></metadata>\n"
    )
    (folder / "repodata" / "primary.xml").write_text(primary)
    (folder / "repodata" / "repomd.xml").write_text(
        '<repomd xmlns="http://linux.duke.edu/metadata/repo"><revision>1</revision>'
        '<data type="primary"><checksum type="sha256">'
        f"{hashlib.sha256(primary.encode()).hexdigest()}</checksum>"
        '<location href="repodata/primary.xml"/></data></repomd>\n'
    )


def pushed(registry: str, name: str, docker: Any, folder: Path) -> None:
    """A small image that the engine does not have, in the registry."""
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY file /\n")
    (folder / name).write_text(name * 500)
    (folder / "file").write_text(uuid.uuid4().hex * 500)
    docker("buildx", "build", "--quiet", "--push", "--provenance=false",
           "--tag", f"{registry}/{name}:x", str(folder))  # fmt: skip


def side_by_side(cases: list[Any], one: Callable[[Any], BuildResult]) -> dict[Any, BuildResult]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = dict(zip(cases, pool.map(one, cases), strict=True))
    for case, result in found.items():
        again = [f"{retry.step[:40]}: {retry.message[-60:]}" for retry in result.retries]
        print(case, result.status, round(result.seconds, 1), again, result.failure)
    return found


@pytest.fixture
def built(site: Site, solve: Any, docker: Any, registry: str, tmp_path: Path) -> Any:
    """Build with a fault at *places*; what is pushed has a fault as well where that is one."""

    def run(fault: str, places: Sequence[str], times: int, **more: Any) -> BuildResult:
        name = f"fault-{fault}-{uuid.uuid4().hex[:10]}"
        pushed(registry, f"{name}-pull", docker, tmp_path / name)
        seconds = 1.0 if fault in ("429", "503", "timeout") else 0.0
        for place in places:
            proxy = site.registry if place in ("pull", "push", "cache") else site.web
            path = f"/v2/{name}-{place}/*" if proxy is site.registry else f"/{name}-{place}/*"
            proxy.fail(path, fault, times * (4 if place == "dnf" else 1), seconds=seconds)
        for place in ("apt", "dnf", "index"):
            (site.folder / f"{name}-{place}").symlink_to(".")
        here = site.registry.address
        text = TEXT.format(
            registry=here, web=site.web.address, tools=site.tools, name=name, again=again()
        )
        cache = f"type=registry,ref={here}/{name}-cache:x,mode=max,ignore-error=true"
        return solve(text, f"{here}/{name}-push:x", cache_to=(cache,), **more)

    return run


def test_what_passes_is_got_over_at_every_place(built, site):
    results = side_by_side(list(TRANSIENT), lambda fault: built(fault, (*PLACES, "cache"), 2))
    for fault, result in results.items():
        assert (result.status, result.warnings) == ("done", ()), (fault, result.failure)
    assert {one.fault for one in (*site.registry.failed(), *site.web.failed())} == set(TRANSIENT)
    steps = {
        retry.step.partition("RUN ")[2][:8] for one in results.values() for retry in one.retries
    }
    assert {'echo "de', "uv pip i"} <= steps, "each retry is in the record, with its step"


SMALL = """\
FROM {registry}/{name}-pull:x AS last
COPY <<'END' /own
{name}
END
"""
"""What goes to a registry alone."""


@pytest.fixture
def small(site: Site, solve: Any, docker: Any, registry: str, tmp_path: Path) -> Any:
    """Build on an image of a registry that wants a token, and push there; getting it fails."""

    def run(fault: str, times: int) -> BuildResult:
        name = f"token-{fault}-{uuid.uuid4().hex[:10]}"
        pushed(registry, f"{name}-pull", docker, tmp_path / name)
        here = site.registry.address
        site.registry.guard(f"/v2/{name}-*")
        seconds = 1.0 if fault in ("429", "503", "timeout") else 0.0
        site.registry.fail(f"{fault_proxy.TOKEN}*{name}*", fault, times, seconds=seconds)
        text = SMALL.format(registry=here, name=name)
        return solve(text, f"{here}/{name}-push:x")

    return run


def test_a_server_of_tokens_that_fails_for_a_moment_is_got_over(small, site):
    for fault, result in side_by_side(list(TRANSIENT), lambda fault: small(fault, 2)).items():
        assert (result.status, result.warnings) == ("done", ()), (fault, result.failure)
    failed = [one for one in site.registry.failed() if one.path.startswith(fault_proxy.TOKEN)]
    assert {one.fault for one in failed} == set(TRANSIENT)


def test_a_server_of_tokens_that_refuses_is_told_at_the_first_try(small):
    results = side_by_side(["401", "403"], lambda fault: small(fault, FOR_EVER))
    for fault, result in results.items():
        assert result.failure, fault
        assert (result.failure.kind, result.retries) == ("auth", ()), fault


def test_a_handshake_of_tls_that_is_cut_is_tried_again(registry, solve, docker, tmp_path):
    name = f"tls-{uuid.uuid4().hex[:10]}"
    pushed(registry, f"{name}-pull", docker, tmp_path / name)
    with fault_proxy.before(registry) as proxy:
        proxy.fail("TLS", fault_proxy.HANDSHAKE, 2)
        text = SMALL.format(registry=proxy.address, name=name)
        result = solve(text, f"{proxy.address}/{name}-push:x")
        assert (result.status, result.warnings) == ("done", ()), result.failure
        assert len(proxy.failed()) == 2


@pytest.fixture
def imported(site: Site, solve: Any, docker: Any, registry: str, tmp_path: Path) -> Any:
    """Build with a cache of a registry, with a fault where that is imported."""

    def run(fault: str, times: int) -> BuildResult:
        name = f"import-{fault}-{uuid.uuid4().hex[:10]}"
        pushed(registry, f"{name}-pull", docker, tmp_path / name)
        here = site.registry.address
        text = SMALL.format(registry=here, name=name)
        cache = f"type=registry,ref={here}/{name}-cache:x"
        solve(text, f"{here}/{name}-push:x", cache_to=(f"{cache},mode=max",))
        seconds = 1.0 if fault in ("429", "503", "timeout") else 0.0
        site.registry.fail(f"/v2/{name}-cache/*", fault, times, method="GET", seconds=seconds)
        return solve(text, f"{here}/{name}-push:x", cache_from=(cache,))

    return run


def imports(site, fault):
    """How each request for a cache of that name failed, in their order."""
    return [
        one.fault
        for one in site.registry.asked
        if one.method == "GET"
        and one.path.startswith(f"/v2/import-{fault}-")
        and "-cache/" in one.path
    ]


def test_an_import_of_a_cache_is_tried_again_where_that_helps_and_costs_no_build(imported, site):
    """BuildKit asks for a cache once or a few times, and would go on without it."""
    cases = [*((fault, 2) for fault in TRANSIENT), *((fault, FOR_EVER) for fault in LASTING)]
    for (fault, times), result in side_by_side(cases, lambda case: imported(*case)).items():
        assert result.status == "done", (fault, result.failure)
        asked = imports(site, fault)
        assert asked.count(fault) == times or fault in LASTING
        if fault in TRANSIENT:
            assert (asked[-1], result.warnings, result.steps.run) == ("", (), 0), (fault, asked)
            assert all("importing cache" in one.step for one in result.retries)
        else:
            # That there is no cache yet is nothing to tell of.
            assert (result.retries, len(result.warnings)) == ((), int(fault != "404"))
            assert all("was not read" in warning for warning in result.warnings)


RESOLVER = """\
FROM {tools} AS last
COPY <<'END' /own.sh
set -e
# A name server that cannot be reached, then names that need none.
echo 'hosts: dns' > /etc/nsswitch.conf
(sleep 10; echo 'hosts: files' > /etc/nsswitch.conf) &
python3 -m http.server --bind 127.0.0.1 --directory /www 8000 > /dev/null 2>&1 &
{again}
"$@"
END
COPY . /www
RUN --network=none sh /own.sh {command}
"""
RESOLVED = {
    "apt": 'sh -c \'rm /etc/apt/sources.list.d/*; echo "deb [trusted=yes] http://localhost:8000 ./"'
    " > /etc/apt/sources.list && apt-get -oAcquire::Retries=5 update -o"
    " APT::Update::Error-Mode=any && apt-get -oAcquire::Retries=5 install -y tiny-thing'",
    "uv": "env UV_HTTP_RETRIES=5 uv pip install --no-cache --system --break-system-packages"
    " --default-index http://localhost:8000/simple/ tiny",
    # curl, and with it dnf, knows localhost by itself.
    "dnf": "again dnf install -y --releasever=1 --nogpgcheck --repo own"
    " --repofrompath=own,http://buildkitsandbox:8000/ tiny-rpm",
}


def test_a_name_server_that_is_away_for_ten_seconds(site, solve):
    def one(program):
        text = RESOLVER.format(tools=site.tools, command=RESOLVED[program], again=again())
        return solve(text, f"{site.registry.address}/resolver-{program}:x", site.folder)

    for program, result in side_by_side(list(RESOLVED), one).items():
        assert result.status == "done", (program, result.failure)
        assert result.seconds > 9, program


def test_what_lasts_is_told_at_the_first_try(built):
    cases = [(fault, place) for fault in LASTING for place in PLACES]
    results = side_by_side(cases, lambda case: built(case[0], (case[1],), FOR_EVER))
    for (fault, place), result in results.items():
        assert result.failure, (fault, place)
        assert (result.failure.kind, result.retries) == (KINDS[fault], ()), (fault, place)


class _Git(_Quiet):
    """Repositories over HTTP, as git itself serves them."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Hand the request to git."""
        path, _, query = self.path.partition("?")
        length = int(self.headers.get("Content-Length") or 0)
        env = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": self.directory,
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": "/" + path.split("/", 2)[2],
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(length),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        said = subprocess.run(
            ["git", "http-backend"],
            input=self.rfile.read(length),
            env=env,
            capture_output=True,
            check=True,
        )
        head, _, body = said.stdout.partition(b"\r\n\r\n")
        lines = [line.split(": ", 1) for line in head.decode().splitlines()]
        headers = {name.lower(): value for name, value in lines}
        self.send_response(int(headers.pop("status", "200").split()[0]))
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        """The same."""
        self.do_GET()


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Proxy]:
    """What is in front of a server of a repository; each first part of a path leads to it."""
    made = tmp_path / "made"
    made.mkdir()
    (made / "file").write_text("x")
    who = ("-c", "user.name=x", "-c", "user.email=x@example.com")
    for words in (
        ("init", "--quiet", "-b", "main"),
        ("add", "file"),
        (*who, "commit", "--quiet", "-m", "x"),
        ("clone", "--quiet", "--bare", ".", str(tmp_path / "bare" / "own.git")),
    ):
        subprocess.run(["git", *words], cwd=made, check=True)
    handler = functools.partial(_Git, directory=str(tmp_path / "bare"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with fault_proxy.before(f"127.0.0.1:{server.server_address[1]}") as proxy:
        yield proxy
    server.shutdown()
    server.server_close()


def test_a_source_of_git_is_fetched_again_where_that_helps(repository, solve, base_image):
    def one(fault):
        name = f"{fault}-{uuid.uuid4().hex[:10]}"
        times = FOR_EVER if fault in LASTING else 1
        seconds = 1.0 if fault in ("429", "503", "timeout") else 0.0
        repository.fail(f"/{name}/*", fault, times, seconds=seconds)
        source = f"http://{repository.address}/{name}/own.git#main"
        text = f"FROM {base_image} AS last\nADD {source} /source\n"
        return solve(text, "x:x", output="none")

    # Git says the same of all statuses that may pass.
    passing = ("reset", "timeout", "503", "half")
    results = side_by_side([*passing, *LASTING], one)
    for fault in passing:
        assert (results[fault].status, len(results[fault].retries)) == ("done", 1), fault
    for fault in LASTING:
        why = results[fault].failure
        assert (why and why.kind, results[fault].retries) == (KINDS[fault], ()), fault
