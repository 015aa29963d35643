"""Write what is generated here: Dockerfiles, schemas, tables of options in the documentation.

``--check`` writes nothing and fails, naming the command that mends it, when a committed
file differs from what would be written.
"""

from __future__ import annotations

import functools
import itertools
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dynbuild.build import result
from dynbuild.checked import plain
from dynbuild.matrix import result as matrix_result
from dynbuild.plan import argument_list, document, matrix, planner
from dynbuild.plan.job import Job
from dynbuild.plan.version import Version
from dynbuild.render.dockerfile import render
from dynbuild.settings import load, option_tables
from dynbuild.settings.layers import Origin, Setting

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ("runtime", "dev", "local-dev", "frontend")
"""Targets people use; the others are stages of these."""

_SCHEMAS = {
    "plan": document.schema,
    "result": result.schema,
    "matrix": matrix_result.schema,
}

# What a rendered file holds must not depend on this repository's own state.
_VERSION = Version(tag="v0", python="0", commit="", dirty=False, origin="")
_MACHINE = planner.Machine(uid=1000, gid=1000)


def files() -> Iterator[tuple[Path, str]]:
    """Every generated file with its text."""
    templates = load.templates_dir()
    catalog = load.load(templates=templates, overlays=(), env={}, flags={}).catalog
    for framework, entry in catalog.frameworks.items():
        for device, row in entry.devices.items():
            for cuda in row.cuda or ("",):
                for target in (name for name in IMAGES if name in entry.targets):
                    yield from _rendered(templates, framework, target, device, cuda)
    for name, schema in _SCHEMAS.items():
        text = json.dumps(schema(), indent=2, sort_keys=True) + "\n"
        yield ROOT / "docs" / f"{name}.schema.json", text
    values = plain(catalog)
    for page in (ROOT / "docs" / "build.md", ROOT / "docs" / "launcher.md"):
        yield page, option_tables.filled(page.read_text(encoding="utf-8"), values)
    page = ROOT / "docs" / "arguments.md"
    table = functools.partial(argument_list.lines, catalog, _stages_of_arguments(templates))
    yield page, option_tables.replaced(page.read_text(encoding="utf-8"), "arguments", table)


def _stages_of_arguments(templates: Path) -> dict[str, list[str]]:
    """For each argument the stages that use it in any image."""
    used: dict[str, list[str]] = {}
    catalog = load.load(templates=templates, overlays=(), env={}, flags={}).catalog
    variants = (
        ({"make_efa": True}, {"HAS_TRTLLM_CONTEXT": "1"}),
        ({"use_sccache": "s3"}, {"SCCACHE_BUCKET": "objects", "SCCACHE_REGION": "eu-1"}),
        ({"dynamo_wheels": "index"}, {"ENABLE_GPU_MEMORY_SERVICE": "false"}),
    )
    for framework, entry in catalog.frameworks.items():
        for device, row in entry.devices.items():
            for cuda, target in itertools.product(row.cuda or ("",), ("local-dev", "frontend")):
                for request, args in variants if target in entry.targets else ():
                    own = {**request, "make_efa": "make_efa" in request and target != "frontend"}
                    own |= {"use_sccache": request.get("use_sccache", "")}
                    asked = {**own, "framework": framework, "target": target, "device": device}
                    made = _job(templates, {**asked, "cuda_version": cuda}, args)
                    for image in made.images:
                        for arg, stages in image.plan.used_by.items():
                            used.setdefault(arg, []).extend(stages)
    return {arg: list(dict.fromkeys(stages)) for arg, stages in used.items()}


def _job(templates: Path, request: Mapping[str, Any], args: Mapping[str, str]) -> Job:
    origin = Origin("flag", "")
    flags = {("request", key): Setting(value, origin) for key, value in request.items()}
    flags |= {("args", key): Setting(value, origin) for key, value in args.items()}
    config = load.load(templates=templates, overlays=(), env={}, flags=flags)
    return planner.make_plan(config, version=_VERSION, context=ROOT, machine=_MACHINE)


def _rendered(
    templates: Path, framework: str, target: str, device: str, cuda: str
) -> Iterator[tuple[Path, str]]:
    """The image, and the one with AWS's layer where there is one."""
    asked = {"framework": framework, "target": target, "device": device, "cuda_version": cuda}
    asked["make_efa"] = target in matrix.EFA_TARGETS
    for image in _job(templates, asked, {}).images:
        yield ROOT / "dockerfiles" / image.plan.dockerfile, render(image, templates)


def main() -> int:
    """Write or check; the status for the shell."""
    checking = "--check" in sys.argv[1:]
    wanted = dict(files())
    stale = [
        path for path, text in wanted.items() if not path.is_file() or path.read_text() != text
    ]
    left = set((ROOT / "dockerfiles").glob("*.Dockerfile")) - set(wanted)
    for path in (*stale, *sorted(left)):
        print(f"{'differs' if checking else 'wrote'}: {path.relative_to(ROOT)}")
        if not checking:
            if path in left:
                path.unlink()
            else:
                path.write_text(wanted[path])
    if checking and (stale or left):
        print("generated files are out of date; mend them with: make generate")
        return 1
    print(f"{len(wanted)} generated files are up to date")
    return 0


if __name__ == "__main__":
    sys.exit(main())
