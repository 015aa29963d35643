"""Real engines from their published wheels, built, looked at and served from: `make proof`.

Nothing of them is run on a GPU.  Where code asks for the driver's libraries, a driver that finds no
device takes their place.  Each image is removed before the next is built.
"""

from __future__ import annotations

import json
import os
import re
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from dynbuild.units import format_size
from tests import ready, session
from tests.conftest import DEMO
from tests.session import NAME as RUN

pytestmark = [pytest.mark.engine, pytest.mark.timeout(7200)]

CONFIG = DEMO.parent.parent / "tests" / "proof" / "engines.toml"
CUDA_OF_BASE = "13.0"
BASE = f"{RUN}/cuda"
"""The base by a name of this run: another run of tests may take away its own in the meantime."""
SECONDS = 3600
STUBS = "/opt/stubs"
DRIVER = rf"""
set -e
mkdir {STUBS} && cd {STUBS}
ln -s /usr/local/cuda/lib64/stubs/libnvidia-ml.so libnvidia-ml.so.1
{{
    nm --dynamic --defined-only /usr/local/cuda/lib64/stubs/libcuda.so \
        | awk '$2 == "T" && $3 !~ /^cu(DriverGetVersion|GetProcAddress(_v2)?)$/ \
            {{ print "int " $3 "(void) {{ return 100; }}" }}'
    cat <<'END'
#include <dlfcn.h>
int cuDriverGetVersion(int *version) {{ *version = 13000; return 0; }}
int cuGetProcAddress_v2(const char *name, void **found, int version, long flags, int *status) {{
    *found = dlsym(dlopen("libcuda.so.1", RTLD_LAZY), name);
    if (!*found) *found = (void *)cuInit;
    if (status) *status = 0;
    return 0;
}}
int cuGetProcAddress(const char *name, void **found, int version, long flags) {{
    return cuGetProcAddress_v2(name, found, version, flags, 0);
}}
END
}} > libcuda.c
gcc -w -shared -fPIC -Wl,-soname,libcuda.so.1 -o libcuda.so.1 libcuda.c
touch /etc/nv_tegra_release
"""
"""Makes it: each function answers CUDA_ERROR_NO_DEVICE.  Code that asks if there is a GPU takes
this for an answer and the stubs' CUDA_ERROR_STUB_LIBRARY for an error, as CuPy does.  Without
one vLLM takes the machine for one without CUDA, unless it looks like a Jetson."""
LAYERS = 110
"""Overlay file systems take 128; what is built on an image needs some of them."""


@dataclass(frozen=True, slots=True)
class Cell:
    """An image, and the distribution whose Python its wheels are for."""

    framework: str
    line: str
    cuda: str
    suite: str
    python: str

    def __str__(self) -> str:
        return f"{self.framework}-{self.line}-cuda{self.cuda}"

    @property
    def base(self) -> tuple[str, ...]:
        """The arguments that name the base."""
        image, tag = BASE, f"{CUDA_OF_BASE}-{self.suite}"
        parts = [f"PYTHON_VERSION={self.python}"]
        for name in ("BASE_IMAGE", "RUNTIME_IMAGE"):
            parts += [f"{name}={image}", f"{name}_TAG={tag}"]
        return tuple(f"--build-arg={part}" for part in parts)


CELLS = (
    Cell("vllm", "1.6", "13.0", "trixie", "3.13"),
    Cell("sglang", "1.6", "13.0", "bookworm", "3.11"),  # it has wheels up to Python 3.12
    Cell("vllm", "0.9.0", "12.9", "trixie", "3.13"),
)


class Image:
    """An image that is there, with a container of it that waits."""

    def __init__(self, docker, cell, name, args, begun):
        self.docker, self.cell, self.name, self.args = docker, cell, name, args
        self.begun = f"{begun:%Y-%m-%d %H:%M:%S}"
        self.container = f"{RUN}-{uuid.uuid4().hex[:12]}"
        waits = ("--network", "none", "--entrypoint", "sleep", "--name", self.container)
        docker("run", "--detach", "--rm", *waits, name, "infinity")
        docker("exec", "--user", "root", self.container, "bash", "-c", DRIVER)
        self.say(f"built in {(datetime.now(UTC) - begun).total_seconds():.0f} s")

    def say(self, text):
        """Print what the note quotes."""
        for line in text.splitlines():
            print(f"[{self.cell}] {line}", flush=True)

    def __call__(self, line):
        return self.docker("exec", self.container, "bash", "-c", line, timeout=900)

    def try_line(self, line):
        """What a command says, and its status as the last line."""
        return self(f"{{ {line}; }} 2>&1; echo $?")

    def remove(self):
        """Remove the image, and what its build left in the cache."""
        self.docker("rm", "--force", self.container)
        self.docker("image", "rm", "--force", self.name)
        kept = map(json.loads, self.docker("buildx", "du", "--format", "json").splitlines())
        own = [one for one in kept if one["CreatedAt"] >= self.begun]
        # What others are built on can only go after them.
        for one in sorted(own, key=lambda one: one["CreatedAt"], reverse=True):
            self.docker("buildx", "prune", "--all", "--force", "--filter", f"id={one['ID']}")


@pytest.fixture(scope="module", params=CELLS, ids=str)
def image(request, engine, docker, dynbuild, tmp_path_factory):
    cell = request.param
    assert not list(ready.problems(os.environ, proof=True))
    base = session.make_cuda_base(engine, os.environ, CUDA_OF_BASE, suite=cell.suite)
    docker("tag", base, f"{BASE}:{base.rpartition(':')[2]}")
    words = (
        "--config", str(CONFIG), "--context", str(tmp_path_factory.mktemp("nothing")),
        "--framework", cell.framework, "--release-line", cell.line, "--cuda-version", cell.cuda,
        "--repository", f"{RUN}/proof", *cell.base, "--format", "json",
    )  # fmt: skip
    planned = dynbuild("plan", *words)
    assert planned.returncode == 0, planned.stderr
    (plan,) = json.loads(planned.stdout)["images"]
    begun = datetime.now(UTC)
    done = dynbuild("build", *words, timeout=SECONDS)
    assert done.returncode == 0, done.stderr
    made = Image(docker, cell, plan["tags"][0], plan["build_args"], begun)
    yield made
    made.remove()


def frozen(image):
    """Versions by name, of all that is in the venv."""
    lines = image("uv pip list --format json")
    return {found["name"].lower(): found["version"] for found in json.loads(lines)}


def test_versions_are_those_of_the_plan(image):
    args, found = image.args, frozen(image)
    wanted = {"ai-dynamo": args["DYNAMO_VERSION"], "ai-dynamo-runtime": args["DYNAMO_VERSION"]}
    wanted[image.cell.framework] = args[f"{image.cell.framework.upper()}_REF"].removeprefix("v")
    nixl = args["NIXL_REF"].removeprefix("v")
    wanted |= {"nixl": nixl, f"nixl-cu{image.cell.cuda[:2]}": nixl}
    if args["ENABLE_KVBM"] == "true":
        wanted["kvbm"] = args["DYNAMO_VERSION"]
    assert {name: found.get(name) for name in wanted} == wanted
    assert len([name for name in found if name.startswith("nixl-cu")]) == 1
    shown = (*wanted, "torch", "triton", "flashinfer-python", "transformers", "pydantic", "numpy")
    image.say(", ".join(f"{name} {found[name]}" for name in shown if name in found))
    image.say(f"{len(found)} packages")


def test_every_requirement_holds_but_what_the_plan_leaves_out(image):
    """NIXL's own package asks for its libraries for every CUDA; the image has those for one."""
    said = image.try_line("uv pip check")
    asked = re.findall(r"package `(\S+)` requires `([A-Za-z0-9_-]+)", said)
    left_out = set(image.args.get("LEFT_OUT_REQUIREMENTS", "").split(","))
    left_out |= set(re.findall(r"[a-z][\w-]+(?===)", image.args["ENGINE_OVERRIDES"]))
    image.say(said)
    known = ("nixl-cu12", "nixl-cu13", *left_out)
    assert {name for _, name in asked if name not in known} == set()


def with_driver(line):
    """A command with a driver that finds no device."""
    return f"LD_LIBRARY_PATH={STUBS}:$LD_LIBRARY_PATH {line}"


def test_engine_and_dynamo_are_imported(image):
    names = f"torch, {image.cell.framework}, nixl, dynamo.runtime, dynamo.llm"
    line = f"import {names}; print(torch.version.cuda, torch.cuda.is_available())"
    *said, status = image.try_line(with_driver(f"python -c '{line}'")).splitlines()
    assert status == "0", "\n".join(said)
    cuda, available = said[-1].split()
    assert cuda.partition(".")[0] == image.cell.cuda.partition(".")[0]
    assert available == "False"
    image.say(f"imported: {names}; PyTorch's CUDA is {cuda}")


def test_kernels_are_loaded(image):
    module = {"vllm": "vllm.platforms.cuda", "sglang": "sgl_kernel"}[image.cell.framework]
    image(with_driver(f"python -c 'import torch, {module}'"))
    image.say(f"loaded without a device: {module}")


def test_dynamo_s_engine_module_starts(image):
    said = image.try_line(with_driver(f"python -m dynamo.{image.cell.framework} --help"))
    assert said.splitlines()[-1] == "0", said
    assert "usage:" in said
    image.say(f"python -m dynamo.{image.cell.framework} --help: {len(said.splitlines())} lines")


def test_image_serves(image, docker):
    said = docker(
        "run", "--rm", "--network", "none", "--volume", f"{DEMO}:/demo:ro", image.name,
        "python", "/demo/serve.py", "ask", "--format", "json", "--timeout", "300", timeout=900,
    )  # fmt: skip
    answer = json.loads(said)
    assert answer["completion"]["choices"][0]["message"]["content"].strip()
    image.say(f"served by the mocker: {answer['seconds']}")


def test_sizes_by_layer(image, docker):
    """Printed for the note; bounded in number, since what is built on it has layers too."""
    columns = "{{.Size}}\t{{.CreatedBy}}"
    rows = docker("history", "--no-trunc", "--human=false", "--format", columns, image.name)
    layers = [
        (int(size), made) for size, _, made in (row.partition("\t") for row in rows.split("\n"))
    ]
    own = [(size, made) for size, made in layers if size]
    size = docker("image", "inspect", "--format", "{{.Size}}", image.name)
    total = sum(size for size, _ in own)
    image.say(f"{len(own)} layers, {format_size(total)}; {format_size(int(size))} to docker")
    for size, made in sorted(own, reverse=True)[:12]:
        image.say(f"{format_size(size):>10}  {' '.join(made.split())[:150]}")
    assert len(own) < LAYERS
