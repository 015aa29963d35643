"""Whether this machine can run the whole suite, said before anything is downloaded.

It runs before the virtual environment is there, so it needs nothing but Python.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

GB = 1_000_000_000
ENGINE_BYTES = 33 * GB
"""What the engine, its images and its build cache take when the suite ends."""
FILES_BYTES = 2 * GB
"""What its temporary files take."""
TOOLS_BYTES = 1 * GB
"""What the virtual environment takes."""
PROOF_BYTES = 40 * GB
"""What one image of an engine takes while it is built: packages, stages, layers, compressed."""
PROOF = "make proof downloads 15 GB and takes 45 minutes on 2 cores; an image at a time is kept"

PROGRAMS = ("git", "make", "openssl", "apt-get", "dpkg", "unshare", "setpriv", "systemd-analyze")
"""What tests start that neither dynbuild nor requirements.lock brings along."""

ROOT = Path(__file__).resolve().parent.parent


def problems(env: Mapping[str, str], *, proof: bool = False) -> Iterator[str]:
    """What is missing, a sentence each; *proof*: for `make proof`, not for the suite."""
    if sys.version_info < (3, 11):  # noqa: UP036 - nothing has checked it yet
        yield f"Python 3.11 or newer is needed, and {sys.executable} is older"
        return
    path = os.pathsep.join((env.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
    for name in PROGRAMS:
        if shutil.which(name, path=path) is None:
            yield f"the program {name} is needed"
    if os.geteuid() != 0:
        yield "root is needed: the tests start engines and mount file systems"
    sys.path.insert(0, str(ROOT))
    from dynbuild.engine.private.layout import bytes_on_disk
    from dynbuild.paths import home

    engine = home(env) / "engine"
    if proof:
        yield from short_of_disk({engine: PROOF_BYTES})
        return
    left = max(0, ENGINE_BYTES - bytes_on_disk(engine))
    files = Path(tempfile.gettempdir())
    yield from short_of_disk({engine: left, files: FILES_BYTES, ROOT: TOOLS_BYTES})


def short_of_disk(sizes: Mapping[Path, int]) -> Iterator[str]:
    """A sentence for each disk that has not the bytes which are needed at those places."""
    needed: dict[int, int] = {}
    places: dict[int, Path] = {}
    for place, size in sizes.items():
        there = next(folder for folder in (place, *place.parents) if folder.exists())
        disk = there.stat().st_dev
        needed[disk] = needed.get(disk, 0) + size
        places.setdefault(disk, there)
    for disk, size in needed.items():
        free = shutil.disk_usage(places[disk]).free
        if free < size:
            yield (
                f"the tests need {size / GB:.1f} GB of disk at {places[disk]}, and"
                f" {free / GB:.1f} GB are free; DYNBUILD_HOME and TMPDIR name other disks"
            )


if __name__ == "__main__":
    is_proof = sys.argv[1:] == ["proof"]
    if is_proof:
        print(f"{PROOF}; it needs {PROOF_BYTES / GB:.0f} GB of disk", flush=True)
    told = list(problems(os.environ, proof=is_proof))
    for problem in told:
        print(f"error: {problem}", file=sys.stderr)
    sys.exit(3 if told else 0)
