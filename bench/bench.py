"""``make bench``: what dynbuild costs, each figure beside the one it is compared with.

All rows of a group are measured in one run on one machine, so their ratio means something
even where the seconds do not. The engine is the one ``dynbuild build`` would use; without
one only the commands are measured.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dynbuild.build import context
from dynbuild.build.context import Source
from dynbuild.build.hashes import Memory
from dynbuild.build.solve import Solve, replay
from dynbuild.cli import console
from dynbuild.engine import base, builder, client
from dynbuild.engine.model import Engine
from dynbuild.errors import NotReady

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # the S3 server is the one of the tests
DEMO = ROOT / "examples" / "demo"
SCRIPT = str(Path(sys.executable).parent / "dynbuild")
DYNBUILD = (SCRIPT,)
REQUEST = ("--framework", "none", "--target", "runtime", "--device", "cpu")
CELL = ("--framework", "none", "--target", "dynamo_base", "--device", "cpu")
INDEX = ("--dynamo-wheels", "index==0.9.0")

Row = tuple[str, float]


def interleaved(*ways: Sequence[str], times: int = 12) -> list[float]:
    """Median wall-clock seconds of commands that take turns, so that a busy moment meets all.

    The first run of each is not counted.
    """
    taken: list[list[float]] = [[] for _ in ways]
    for turn in range(times + 1):
        for argv, own in zip(ways, taken, strict=True):
            one = once(argv)
            if turn:
                own.append(one)
    return [statistics.median(own) for own in taken]


def once(argv: Sequence[str], *, cwd: Path = ROOT) -> float:
    """Wall-clock seconds of one run."""
    begun = time.perf_counter()
    subprocess.run(argv, check=True, capture_output=True, cwd=cwd)
    return time.perf_counter() - begun


COMPLETION = {
    "_DYNBUILD_COMPLETE": "complete_bash",
    "COMP_WORDS": "dynbuild plan --framework v",
    "COMP_CWORD": "3",
}
PLANNED = ("--context", str(DEMO), *REQUEST, *INDEX)
SHORT: dict[str, tuple[str, ...]] = {
    "python -c pass": (sys.executable, "-c", "pass"),
    "python -c 'import typer'": (sys.executable, "-c", "import typer"),
    "git status": ("git", "status", "--porcelain"),
    "dynbuild --help": (SCRIPT, "--help"),
    "dynbuild plan --help": (SCRIPT, "plan", "--help"),
    "completion of a framework": (SCRIPT,),
    "dynbuild plan": (SCRIPT, "plan", *PLANNED),
    "dynbuild render": (SCRIPT, "render", *PLANNED),
    "dynbuild run --dry-run": (SCRIPT, "run", "--dry-run", "--image", "x"),
    "300 cells, planned and rendered": (sys.executable, str(ROOT / "bench" / "matrix.py")),
}
"""Commands that build nothing, beside an interpreter that does nothing and a bare library."""


def commands(times: int = 15) -> list[tuple[str, ...]]:
    """The median of each short command and its ratio to the first two; the rounds interleave.

    The first round, in which bytecode and other things that are kept are made, is not counted.
    """
    taken: dict[str, list[float]] = {name: [] for name in SHORT}
    for turn in range(times + 1):
        for name, argv in SHORT.items():
            own = os.environ | (COMPLETION if len(argv) == 1 else {})
            begun = time.perf_counter()
            subprocess.run(argv, check=True, capture_output=True, cwd=ROOT, env=own)
            if turn:
                taken[name].append(time.perf_counter() - begun)
    medians = {name: statistics.median(values) for name, values in taken.items()}
    bare, typer, *_ = medians.values()
    return [
        (name, f"{value:8.3f} s", f"{value / bare:7.1f} x", f"{value / typer:7.2f} x")
        for name, value in medians.items()
    ]


def builds(tree: Path) -> list[Row]:
    """The example tree: all stages anew, then what an edit costs, then nothing to do."""
    flags = ("--config", str(DEMO / "dynbuild.toml"), "--context", str(tree))
    build = [*DYNBUILD, "build", *flags, "--dynamo-wheels", "source", "--no-load"]
    subprocess.run(build, check=True, capture_output=True)

    def edited(path: str, line: str) -> Callable[[], float]:
        def run() -> float:
            with (tree / path).open("a") as stream:
                stream.write(line.format(uuid.uuid4()))
            return once(build)

        return run

    python = edited("components/src/dynamo/hello/__init__.py", "# {0}\n")
    rust = edited("lib/bindings/python/src/lib.rs", "// {0}\n")
    record = _last(tree, "none-runtime-cpu")
    alone, beside = interleaved(_bake(record), build)
    return [
        ("nothing changed, bake alone", alone),
        ("nothing changed", beside),
        ("a Python file edited", python()),
        ("a Rust file edited", rust()),
    ]


def minute(tree: Path) -> list[Row]:
    """A build with a step that takes most of a minute, each time anew."""
    templates = tree.parent / "templates"
    shutil.copytree(ROOT / "templates", templates)
    with (templates / "dynamo_base.Dockerfile.j2").open("a") as stream:
        stream.write("\nRUN for i in $(seq 550); do echo $i; sleep 0.1; done\n")
    flags = ("--config", str(DEMO / "dynbuild.toml"), "--context", str(tree))
    words = (*CELL, "--dynamo-wheels", "source", "--templates", str(templates))
    build = [*DYNBUILD, "build", *flags, *words, "--no-load", "--no-cache"]
    once(build)
    record = _last(tree, "none-dynamo_base-cpu")
    alone, beside = interleaved([*_bake(record), "--no-cache"], build, times=2)
    return [("bake alone", alone), ("dynbuild build", beside)]


def foretold(tree: Path) -> list[Row]:
    """What a build would run, in a tree of 50,000 files more, with all questions asked."""
    flags = ("--config", str(DEMO / "dynbuild.toml"), "--context", str(tree))
    words = (*flags, "--dynamo-wheels", "source")
    _fill(tree / "lib" / "more")
    subprocess.run((*DYNBUILD, "build", *words, "--no-load"), check=True, capture_output=True)
    plan = (*DYNBUILD, "plan", *words)
    alone, beside = interleaved(plan, (*plan, "--diff"))
    return [("dynbuild plan", alone), ("dynbuild plan --diff", beside)]


def unchanged(tree: Path, engine: Engine, base_image: str) -> list[Row]:
    """A cell whose tags have its content already, beside a bake that pushes it once more."""
    from tests.images import conftest

    port = conftest.free_port()
    image = f"dynbuild-bench/registry:{port}"
    network = ("--network", "host")
    with tempfile.TemporaryDirectory() as folder:
        text = conftest.REGISTRY_DOCKERFILE.format(base=base_image, port=port)
        Path(folder, "Dockerfile").write_text(text)
        once((engine.docker, "build", "--tag", image, *network, folder))
    once((engine.docker, "run", "--detach", "--rm", *network, "--name", f"bench-{port}", image))
    try:
        while not conftest.answers(port):
            time.sleep(0.1)
        flags = ("--config", str(DEMO / "dynbuild.toml"), "--context", str(tree))
        words = (*CELL, "--dynamo-wheels", "source", "--if-changed")
        push = ("--push", "--allow-unversioned", "--repository", f"127.0.0.1:{port}/bench")
        matrix = [*DYNBUILD, "matrix", *flags, *words, *push]
        once(matrix)
        record = _last(tree, "none-dynamo_base-cpu")
        alone, beside = interleaved(_bake(record), matrix)
    finally:
        once((engine.docker, "rm", "--force", f"bench-{port}"))
        once((engine.docker, "rmi", image))
    return [("pushed again by bake", alone), ("matrix --if-changed", beside)]


def compile_cache(tree: Path) -> list[tuple[str, ...]]:
    """UCX, Rust and C++ compiled without a compile cache, into an empty one, and from it.

    Every step of the three builds is run anew; the cache is a real S3 server on loopback.
    """
    from tests import s3_server

    server = s3_server.start(tree.parent / "s3")
    cached = (
        *("--use-sccache", "--sccache-bucket", s3_server.BUCKET),
        *("--sccache-region", s3_server.REGION),
        *("--sccache-endpoint", f"http://{server.endpoint}", "--network", "host"),
    )
    flags = ("--config", str(DEMO / "dynbuild.toml"), "--context", str(tree), "--format", "json")
    build = [*DYNBUILD, "build", *flags, "--dynamo-wheels", "source", "--target", "wheel_builder"]
    build += ["--enable-kvbm", "--enable-gpu-memory-service", "--no-load", "--no-cache"]
    env = os.environ | server.env()
    try:
        reports = [
            json.loads(subprocess.run(argv, check=True, capture_output=True, env=env).stdout)
            for argv in (build, [*build, *cached], [*build, *cached])
        ]
    finally:
        s3_server.stop(server)
    plain, cold, warm = ({**_steps(report), "whole build": report["seconds"]} for report in reports)
    stages = reports[2]["compile_cache"]["stages"] | {
        "whole build": reports[2]["compile_cache"]["total"]
    }
    return [
        (
            name,
            *(f"{times[name]:7.1f} s" for times in (plain, cold, warm)),
            f"{warm[name] / cold[name]:5.2f} x",
            f"{stages[name]['hits']}/{stages[name]['hits'] + stages[name]['misses']}",
        )
        for name in stages
    ]


def cells(folder: Path, engine: Engine, image: str) -> list[tuple[str, ...]]:
    """Twenty-four cells with steps of a fifth of a second: one bare bake, a matrix, one by one.

    The steps are those of the catalog with nothing to do; each run has steps of its own, so
    that none finds another's in the cache: to it the engine is cold. The first two take turns,
    and the median of three counts.
    """
    from dynbuild import proc
    from dynbuild.build import drive
    from dynbuild.matrix import groups
    from dynbuild.render import bake
    from tests.images.lab import WIDE, Lab, Set

    def bare(many: Set, tree: Path) -> None:
        """Bake the definition as a person would, without dynbuild."""
        paths = {name: tree / f"{name}.Dockerfile" for name in many.texts}
        for name, text in many.texts.items():
            paths[name].write_text(text)
        texts = {name: str(path) for name, path in paths.items()}
        file = tree / "bake.json"
        file.write_text(json.dumps(bake.definition(many.job, texts, network="host")))
        _, *words = bake.argv(
            many.job.plan, bake_file=str(file), metadata_file=str(tree / "m"), network="host"
        )
        env = builder.find(engine, os.environ).env(os.environ) | bake.ENVIRONMENT
        subprocess.run([engine.docker, *words], check=True, capture_output=True, env=env)

    def one_by_one(many: Set, _tree: Path) -> None:
        for job in groups.split(many.job):
            result = drive.build(
                job,
                {one.name: many.texts[one.name] for one in job.images},
                builder=builder.find(engine, os.environ),
                env=os.environ,
                secrets={},
                listen=lambda _: None,
                cancellation=proc.Cancellation(),
            )
            assert result.status == "done"

    def matrix(many: Set, _tree: Path) -> None:
        assert many.run().status == "done"

    def measure(way: Callable[[Set, Path], None], count: int = 24) -> tuple[float, str]:
        tree = Path(tempfile.mkdtemp(dir=folder))
        lab = Lab(engine, os.environ, image, seconds=0.2)
        many = Set(lab, tree, WIDE[:count])
        begun = time.perf_counter()
        way(many, tree)
        taken = time.perf_counter() - begun
        lab.close()
        return taken, f"{len(lab.ran)} of {len(many.distinct())}"

    measure(matrix, 1)
    turns = [(measure(bare), measure(matrix)) for _ in range(3)]
    found = {
        "one bake by hand": [hand for hand, _ in turns],
        "a matrix": [ours for _, ours in turns],
        "one by one": [measure(one_by_one)],
    }
    walls = {name: statistics.median(wall for wall, _ in of) for name, of in found.items()}
    hand, _, single = walls.values()
    return [
        (
            name,
            f"{walls[name]:7.1f} s",
            f"{walls[name] / hand:5.2f} x",
            f"{walls[name] / single:5.2f} x",
            ", ".join(dict.fromkeys(ran for _, ran in of)),
        )
        for name, of in found.items()
    ]


def _steps(report: dict[str, Any]) -> dict[str, float]:
    """Seconds of the longest step of each stage: the one that compiles."""
    solve = Solve()
    with Path(report["record"], "events.jsonl").open(encoding="utf-8") as lines:
        for _ in replay(lines, solve):
            pass
    found: dict[str, float] = {}
    for step in solve.steps.values():
        stage = step.name.stage
        found[stage] = max(found.get(stage, 0.0), step.seconds)
    return found


def progress() -> list[Row]:
    """Reading 50,000 lines of progress, beside only taking their JSON apart."""
    recorded = (ROOT / "tests" / "data" / "events" / "linked.jsonl").read_text().splitlines()
    turns = 50_000 // len(recorded) + 1
    # Each turn is of other steps: digests are longer by its number.
    lines = [line.replace("sha256:", f"sha256:{n}") for n in range(turns) for line in recorded]
    rows: list[Row] = []
    for name, read in (("json.loads", map(json.loads, lines)), ("replay", replay(lines))):
        begun = time.perf_counter()
        for _ in read:
            pass
        rows.append((name, time.perf_counter() - begun))
    return rows


def memory(lines: int = 200_000) -> list[tuple[str, ...]]:
    """Peak memory of ``dynbuild build`` with and without a long log, which a client plays."""
    from tests import fake_docker

    begun, started, printed, ended = fake_docker.progress(
        printed="gcc -O2 -c source/of/a/component/file.c -o build/of/a/component/file.o\n"
    ).splitlines(keepends=True)
    rows = []
    for count in (0, lines):
        with tempfile.TemporaryDirectory() as folder:
            docker = fake_docker.make(Path(folder, "bin"))
            with (docker.path / "progress").open("w") as told:
                told.writelines((begun, started, *(printed for _ in range(count)), ended))
            tree = Path(folder, "workspace")
            shutil.copytree(ROOT / "examples" / "workspace", tree)
            argv = [*DYNBUILD, "build", *REQUEST, *INDEX, "--context", str(tree), "--no-load"]
            path = f"{docker.path}{os.pathsep}{os.environ['PATH']}"
            env = os.environ | {"PATH": path, "DYNBUILD_HOME": str(Path(folder, "home"))}
            with subprocess.Popen(
                argv, cwd=ROOT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            ) as process:
                most = 0.0
                while process.poll() is None:
                    most = max(most, _most_memory(process.pid))
                    time.sleep(0.02)
            if process.returncode:
                raise RuntimeError(f"a played build ended with {process.returncode}")
            rows.append((f"{count:,} lines", f"{most:7.1f} MiB"))
    return rows


def _most_memory(pid: int) -> float:
    """MiB that a process has had at most; ru_maxrss would have what its parent had, too."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    found = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(found[0]) / 1024 if found else 0.0


def files() -> list[Row]:
    """What is taken of a tree of 50,000 files whose hashes are known, beside their ``lstat``."""
    text = "FROM scratch\nCOPY lib /lib\n"
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        _fill(root / "lib")
        paths = [str(path) for path in root.rglob("*.rs")]
        rules = (ROOT / "examples" / "workspace" / ".dockerignore").read_text()
        source = Source(image="x", dockerfile=text, stage="0", args={}, folders={})
        kept = root / "hashes.json"
        time.sleep(2.5)  # what changed this moment is not kept
        for turn in range(2):
            begun = time.process_time()
            if turn:
                for path in paths:
                    os.lstat(path)
                rows.append(("lstat", time.process_time() - begun))
                begun = time.process_time()
            memory = Memory(kept)
            context.take([source], root, rules, memory)
            memory.keep()
        rows.append(("what is taken", time.process_time() - begun))
    return rows


def _fill(folder: Path) -> None:
    """50,000 small files in a thousand folders."""
    for number in range(1000):
        inside = folder / f"{number % 10}/{number}/src"
        inside.mkdir(parents=True)
        for file in range(50):
            (inside / f"{file}.rs").write_text(f"{number} {file}")


def _last(tree: Path, image: str) -> Path:
    """The record of the last build of an image."""
    return max((tree / ".dynbuild" / "builds").glob(f"*-{image}"))


def _bake(record: Path) -> list[str]:
    words = ["buildx", "bake", "--file", str(record / "bake.json"), "--progress", "quiet"]
    return [client.find(os.environ).docker, *words]


def show(title: str, rows: list[Row]) -> None:
    """A table of *rows*, each with its ratio to the first."""
    first = rows[0][1]
    lines = [(name, f"{value:8.3f} s", f"{value / first:7.2f} x") for name, value in rows]
    console.out_table((title, "median", f"of {rows[0][0]}"), lines)
    console.out("")


WITHOUT_ENGINE: dict[str, Callable[[], None]] = {
    "commands": lambda: _table(("command", "median", "of pass", "of typer"), commands()),
    "progress": lambda: show("50,000 lines of progress", progress()),
    "files": lambda: show("50,000 files", files()),
    "memory": lambda: _table(("log of a build", "memory at most"), memory()),
}
ON_ENGINE: dict[str, Callable[[Path, Engine, str], None]] = {
    "cells": lambda tree, engine, image: _table(
        ("24 cells", "wall", "of one bake", "of one by one", "steps run, of distinct"),
        cells(tree.parent, engine, image),
    ),
    "builds": lambda tree, _engine, _image: show("build of examples/workspace", builds(tree)),
    "minute": lambda tree, _engine, _image: show("a build of a minute", minute(tree)),
    "foretold": lambda tree, _engine, _image: show("50,000 files", foretold(tree)),
    "unchanged": lambda tree, engine, image: show(
        "a cell that is there", unchanged(tree, engine, image)
    ),
    "cache": lambda tree, _engine, _image: _table(
        ("compile cache", "without", "cold", "warm", "warm/cold", "hits"), compile_cache(tree)
    ),
}
"""What can be measured, by the name that chooses it."""


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    console.out_table(head, rows)
    console.out("")


def main(*chosen: str) -> None:
    """Measure what is *chosen*, or all that can be measured here."""
    every = (*WITHOUT_ENGINE, *ON_ENGINE)
    names = chosen or every
    if unknown := set(names).difference(every):
        sys.exit(f"not measured: {', '.join(unknown)}; there is {', '.join(every)}")
    for name in names:
        if name in WITHOUT_ENGINE:
            WITHOUT_ENGINE[name]()
    left = [name for name in names if name in ON_ENGINE]
    try:
        engine = client.find(os.environ) if left else None
    except NotReady as error:
        console.say(f"no builds measured: {error.message}")
        return
    if engine is None:
        return
    image = base.make_base(engine, os.environ, suite="trixie", say=console.say)
    os.environ.update(engine.env(os.environ), BUILDX_BAKE_ENTITLEMENTS_FS="0")
    os.environ["DYNBUILD_SECRET_CA_BUNDLE_PATH"] = "/run/secrets/ca_bundle"
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder, "workspace")
        ignore = shutil.ignore_patterns(".dynbuild", "target")
        shutil.copytree(ROOT / "examples" / "workspace", tree, ignore=ignore)
        for name in left:
            ON_ENGINE[name](tree, engine, image)


if __name__ == "__main__":
    main(*sys.argv[1:])
