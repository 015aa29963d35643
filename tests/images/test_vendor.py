"""A runtime that starts from the engine vendor's image, with a stub of that image.

The stub is Debian with what matters here of SGLang's: a package `sglang` among the system's
Python packages, beside the ones that its image has and that are in the way.
"""

from __future__ import annotations

import shlex

import pytest

from dynbuild.plan import image_tests
from tests import support
from tests.session import NAME as RUN

REPOSITORY = f"{RUN}/vendor"
IMAGE = f"{REPOSITORY}:latest-sglang-runtime-cpu"
STUB = f"{RUN}/sglang:v0.5.8-runtime"

DOCKERFILE = """\
FROM {base}
RUN apt-get update && apt-get install -y --no-install-recommends python3 python3-pip python3-apt
RUN site="$(python3 -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" \\
    && for package in sglang-0.5.8 torch-2.9.1 termplotlib-0.3.9; do \\
        name="${{package%-*}}" \\
        && mkdir -p "$site/$name" "$site/$package.dist-info" \\
        && echo "VERSION = '${{package#*-}}'" > "$site/$name/__init__.py" \\
        && printf 'Metadata-Version: 2.1\\nName: %s\\nVersion: %s\\n' "$name" "${{package#*-}}" \\
            > "$site/$package.dist-info/METADATA" \\
        && {{ test "$name" != torch \\
            || echo 'Requires-Dist: nowhere' >> "$site/$package.dist-info/METADATA"; }} \\
        && printf '%s,,\\n' "$name/__init__.py" "$package.dist-info/METADATA" \\
            "$package.dist-info/RECORD" > "$site/$package.dist-info/RECORD" || exit 1; \\
    done
"""
OVERLAY = f"""\
[frameworks.sglang.devices.cpu]
platforms = ["linux/amd64"]
[frameworks.sglang.devices.cpu.args]
RUNTIME_IMAGE = "{RUN}/sglang"
RUNTIME_IMAGE_TAG = "v0.5.8-runtime"
PYTHON_VERSION = "3.13"
ENABLE_MEDIA_FFMPEG = "false"
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    tree = support.workspace(tmp_path_factory.mktemp("tree") / "workspace", "v0.9.0")
    # A requirement that the engine has already, without a bound.
    with (tree / "container" / "deps" / "requirements.txt").open("a") as file:
        file.write("sglang\n")
    (tree / "components" / "src" / "dynamo" / "hello" / "libhello.la").write_text("# libtool\n")
    with (tree / "pyproject.toml").open("a") as file:
        table = "[tool.hatch.build.targets.wheel.shared-data]"
        file.write(f'{table}\nLICENSE = "include/site/hello.h"\n')
    return tree


@pytest.fixture(scope="module")
def vendor(engine, docker, base_image, tmp_path_factory):
    folder = tmp_path_factory.mktemp("vendor")
    (folder / "Dockerfile").write_text(DOCKERFILE.format(base=base_image))
    network = ("--network", "host") if engine.network == "host" else ()
    docker("build", "--quiet", "--tag", STUB, *network, str(folder))
    return STUB


@pytest.fixture(scope="module")
def built(vendor, build, tree, tmp_path_factory):
    assert vendor
    config = tmp_path_factory.mktemp("config") / "cpu.toml"
    config.write_text(OVERLAY)
    return build(
        "--config", str(config), "--context", str(tree), "--framework", "sglang",
        "--target", "runtime", "--dynamo-wheels", "source", "--repository", REPOSITORY,
        "--enable-kvbm",
    )  # fmt: skip


@pytest.fixture(scope="module")
def inside(built, container):
    assert built["images"]
    return container(IMAGE)


def test_stub_engine_is_seen_in_the_venv_where_the_vendor_put_it(inside):
    line = "import sglang; print(sglang.__file__, sglang.VERSION)"
    where, version = inside(f'python -c "{line}"').split()
    assert where.startswith("/usr/local/lib/python3")
    assert version == "0.5.8"
    assert inside("command -v python") == "/opt/dynamo/venv/bin/python"


def test_engine_s_versions_are_constraints_of_what_is_installed_later(inside):
    assert inside("cat /opt/dynamo/engine.txt").split() == ["sglang==0.5.8", "torch==2.9.1"]
    refused = inside(
        "python -m pip install --no-index -c /opt/dynamo/engine.txt 'sglang>=0.6' 2>&1 || true"
    )
    assert "ERROR" in refused


def test_what_the_engine_misses_is_told_but_for_what_it_missed_before(built, container):
    """The stub's torch asks for what is nowhere; the test makes its sglang do so as well."""
    assert built["images"]
    inside = container(IMAGE)
    before = "torch 2.9.1 requires nowhere, which is not installed."
    assert inside("cat /opt/dynamo/engine-conflicts.txt") == before
    assert inside(image_tests.ENGINE) == ""
    site = "/usr/local/lib/python3.*/dist-packages"
    inside(f"echo 'Requires-Dist: elsewhere' >> {site}/sglang-0.5.8.dist-info/METADATA", "-u", "0")
    said = inside(f"sh -ec {shlex.quote(image_tests.ENGINE)} || echo refused")
    assert said.split("\n") == [
        "sglang 0.5.8 requires elsewhere, which is not installed.", "refused"
    ]  # fmt: skip


def test_dynamo_s_wheels_and_requirements_are_in_the_venv(inside):
    assert '"ai-dynamo-runtime": "0.9.0"' in inside("python -m dynamo.hello 'some words'")
    names = ("ai_dynamo", "dynamo", "kvbm", "gpu_memory_service", "msgpack", "hello_bench")
    found = inside("ls /opt/dynamo/venv/lib/python3*/site-packages").split()
    for name in names:
        assert any(entry.startswith(name) for entry in found), name
    assert inside("cd / && python -c 'import kvbm, gpu_memory_service, msgpack; print(1)'") == "1"


def test_no_linters_and_no_test_tools(inside):
    installed = inside("python -m pip list --format freeze").lower()
    for name in ("mypy", "types-pyyaml", "pytest"):
        assert name not in installed


def test_what_is_in_the_way_is_gone(inside):
    line = "dpkg --status python3-apt >/dev/null 2>&1 || echo gone"
    assert inside(line) == "gone"
    assert inside("python3 -c 'import termplotlib' 2>&1 | tail -n 1").startswith("ModuleNotFound")


def test_no_development_files_come_with_wheels(inside):
    """The wheel of the tree has an archive of libtool and a header, as those of NIXL have."""
    shipped = inside("python -m zipfile -l /opt/dynamo/wheelhouse/ai_dynamo-*.whl")
    assert "hello/libhello.la" in shipped
    assert "include/site/hello.h" in shipped
    assert inside("find /opt/dynamo /usr/local/ucx -name '*.la' -o -name hello.h") == ""


def test_user_and_permissions(built, docker):
    assert built["images"]
    said = docker(
        "run", "--rm", "--network", "none", IMAGE, "bash", "-c", "whoami; id -u; id -g; pwd; umask"
    )
    assert said.split() == ["dynamo", "1000", "0", "/workspace", "0002"]


def test_user_adds_a_package_to_the_venv(inside):
    wheel = "/opt/dynamo/wheelhouse/kvbm*.whl"
    inside(f"python -m pip install --no-index --no-deps --force-reinstall {wheel}")


@pytest.mark.parametrize(
    "path", ["/workspace", "/workspace/tests", "/opt/dynamo/venv", "/home/dynamo"]
)
def test_group_may_write(inside, path):
    inside(f"touch {path}/probe && rm {path}/probe", "--user", "4711:0")


def test_nothing_in_the_venv_is_closed_to_the_group(built, docker):
    assert built["images"]
    line = "find /opt/dynamo/venv ! -type l ! -perm -g+w | head -3"
    assert docker("run", "--rm", "--network", "none", IMAGE, "bash", "-c", line) == ""


def test_environment(inside):
    found = dict(line.split("=", 1) for line in inside("env").splitlines() if "=" in line)
    assert found["SGLANG_VERSION"] == "v0.5.8"
    assert found["SGLANG_FORCE_SHUTDOWN"] == "1"
    assert found["DYNAMO_HOME"] == "/workspace"
    assert len(found["DYNAMO_COMMIT_SHA"]) == 40
    assert inside("readlink /sgl-workspace/dynamo") == "/workspace"
