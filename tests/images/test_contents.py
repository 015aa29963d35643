"""What the old images shipped wrongly: libraries by the wrong name, files twice, test tools.

FFmpeg's own source takes ten minutes to compile, so a stub tree stands for it here: two small
libraries with FFmpeg's names, versions and SONAMEs, one of them linked with the other.
"""

from __future__ import annotations

import json

import pytest

from tests import support
from tests.session import NAME as RUN

REPOSITORY = f"{RUN}/contents"
FLAGS = (
    "--dynamo-wheels", "source", "--repository", REPOSITORY,
    "--enable-kvbm", "--enable-gpu-memory-service", "--enable-media-ffmpeg",
)  # fmt: skip

CONFIGURE = """\
#!/bin/sh
for argument; do
    case "$argument" in --prefix=*) prefix="${argument#--prefix=}";; esac
done
printf 'SOURCE=%s\\nPREFIX=%s\\n' "$(dirname "$0")" "$prefix" > config.mak
cp "$(dirname "$0")/Makefile" .
"""
MAKEFILE = """\
include config.mak
LIB = $(DESTDIR)$(PREFIX)/lib
all: libavutil.so.59.39.100 libavcodec.so.61.19.101
libavutil.so.59.39.100:
\techo 'int avutil_version(void) { return 59; }' \\
\t    | cc -shared -fPIC -Wl,-soname,libavutil.so.59 -o $@ -x c -
\tln -s $@ libavutil.so.59
\tln -s $@ libavutil.so
libavcodec.so.61.19.101: libavutil.so.59.39.100
\techo 'int avutil_version(void); int avcodec_version(void) { return avutil_version() + 2; }' \\
\t    | cc -shared -fPIC -Wl,-soname,libavcodec.so.61 -o $@ -x c - -L. -lavutil
\tln -s $@ libavcodec.so.61
\tln -s $@ libavcodec.so
install: all
\tmkdir -p $(LIB)
\tcp -P lib*.so* $(LIB)
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return support.workspace(tmp_path_factory.mktemp("tree") / "workspace", "v0.9.0")


@pytest.fixture(scope="module")
def ffmpeg(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ffmpeg")
    (folder / "configure").write_text(CONFIGURE)
    (folder / "configure").chmod(0o755)
    (folder / "Makefile").write_text(MAKEFILE)
    return folder


@pytest.fixture(scope="module")
def picker(docker, tmp_path_factory):
    folder = tmp_path_factory.mktemp("epp")
    (folder / "epp").write_text("#!/bin/sh\n")
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY --chmod=755 epp /epp\n")
    docker("build", "--quiet", "--tag", f"{RUN}/epp:contents", str(folder))
    return f"{RUN}/epp:contents"


@pytest.fixture(scope="module", params=["runtime", "frontend"])
def image(request, build, tree, ffmpeg, picker):
    """Name of each image that people run services from."""
    more = ("--epp-image", picker) if request.param == "frontend" else ()
    report = build(
        "--context", str(tree), *FLAGS, "--target", request.param, "--source", f"ffmpeg={ffmpeg}",
        *more,
    )  # fmt: skip
    return report["images"][0]["tags"][0]


@pytest.fixture(scope="module")
def inside(image, container):
    return container(image)


def test_libraries_of_the_ffmpeg_stub_are_found_by_soname(inside):
    """Copied without its links, a library is found by no program that is linked with it."""
    call = "import ctypes; print(ctypes.CDLL('libavcodec.so.61').avcodec_version())"
    assert inside(f'python -c "{call}"') == "61"
    assert "libavutil.so.59 (libc6,x86-64)" in inside("/sbin/ldconfig -p")


def test_link_of_a_library_is_a_link(inside):
    said = inside("cd /usr/local/lib && readlink libavutil.so libavutil.so.59")
    assert said.split() == ["libavutil.so.59.39.100"] * 2


def test_source_of_ffmpeg_goes_along(inside):
    """Its licence wants that."""
    assert inside("ls /usr/local/src/ffmpeg").split() == ["Makefile", "configure"]


def test_switch_reached_the_wheel(inside):
    assert (
        "media-ffmpeg"
        in inside("python -c 'import dynamo.runtime as r; print(*r.features())'").split()
    )


DUPLICATES = """\
import collections, glob, hashlib, json, os
packaged = {line.rstrip() for f in glob.glob('/var/lib/dpkg/info/*.list') for line in open(f)}
found, seen = collections.defaultdict(list), set()
for folder, folders, files in os.walk('/'):
    folders[:] = [f for f in folders if os.path.join(folder, f) not in ('/proc', '/sys', '/dev')]
    for path in (os.path.join(folder, name) for name in files):
        state = os.lstat(path)
        regular = os.path.isfile(path) and not os.path.islink(path)
        if regular and state.st_size > 65536 and (state.st_dev, state.st_ino) not in seen:
            seen.add((state.st_dev, state.st_ino))
            found[hashlib.md5(open(path, 'rb').read()).hexdigest()].append(path)
twice = [paths for paths in found.values() if len(paths) > 1 and not packaged.issuperset(paths)]
print(json.dumps([len(seen), twice]))
"""


def test_no_file_is_shipped_twice(inside):
    """The distribution's packages may, among themselves; hard links are one file."""
    looked_at, twice = json.loads(inside(f'python -c "{DUPLICATES}"', "--user", "0:0"))
    assert looked_at > 100
    assert twice == []


def test_no_test_tools_and_no_linters(inside):
    installed = inside("uv pip list --format freeze").lower()
    assert "ai-dynamo==0.9.0" in installed
    for name in ("pytest", "mypy", "pyright", "pre-commit", "types-", "hypothesis"):
        assert name not in installed, name
