"""Who may import what, and who may touch the outside: docs/architecture.md draws the table."""

import ast
import fnmatch
import functools
import os
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import dynbuild
from tests import fake_docker
from tests.support import DEMO, WORKSPACE, spawn, spawn_python

pytestmark = pytest.mark.processes("python")

PACKAGE = Path(dynbuild.__file__).parent
MODULES = sorted(
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    for path in PACKAGE.rglob("*.py")
    if "_templates" not in path.parts
)

BASE = (
    *("addresses", "errors", "paths", "names", "image_id", "masking", "units", "proc", "findings"),
    *("quick", "checked", "disk_cache"),
)
"""Modules beside the folders: they may import each other, and every folder may import them."""

MAY_IMPORT = {
    "settings": (),
    "sccache": (),
    "engine": (),
    "plan": ("settings", "sccache"),
    "render": ("plan", "settings"),
    "build": ("settings", "sccache", "plan", "render", "engine"),
    "matrix": ("plan", "render", "engine", "build"),
    "run": ("settings", "engine"),
    "doctor": ("settings", "sccache", "plan", "engine", "build", "run"),
    "report": ("settings", "plan", "build", "matrix"),
    "cli": (
        *("settings", "sccache", "plan", "render", "engine", "build", "matrix", "run", "doctor"),
        "report",
    ),
}  # fmt: skip
"""For each folder the folders below it that it may import."""

PURE = (
    *("names", "image_id", "masking", "units", "findings", "errors"),
    *("settings.layers", "settings.models", "settings.*option*"),
    *("settings.csv_fields", "settings.mounts"),
    *("sccache.cache", "sccache.stats", "sccache.s3.messages"),
    "plan.*",
    *("render.bake", "render.graph", "render.instructions"),
    *("build.clocks", "build.compile_figures", "build.events", "build.failure", "build.log"),
    *("build.ignore", "engine.requirements"),
    *("build.rawjson", "build.result", "build.solve", "build.steps", "build.vertex"),
    *(
        "build.retry",
        "matrix.groups",
        "matrix.promotion",
        "matrix.common",
        "matrix.events",
        "matrix.result",
    ),
    *("build.causes", "build.differences", "build.expectation", "build.snapshot", "report.why"),
    *("run.facts", "run.gpus", "run.image", "run.launch", "run.limits", "run.numa"),
    *("run.ports", "run.request", "run.user", "run.preflight.*", "run.export.*"),
    "doctor.model",
    *("report.display", "report.plan_table"),
    *("report.critical_path", "report.document", "report.markdown", "report.timeline"),
    *("report.junit", "report.matrix_markdown", "report.ci_log"),
    *("report.live", "report.frame", "report.forecast", "report.event_json"),
    *("report.trace", "report.whatif", "report.history", "report.comparison"),
)
"""Patterns of the modules that do no input or output."""

PROCESSES = (
    *(
        "proc",
        "engine.*",
        "build.command",
        "build.drive",
        "build.execution",
        "build.git",
        "build.prepare",
    ),
    *(
        "matrix.pending",
        "matrix.run",
        "matrix.testing",
        "run.host",
        "doctor.capture",
        "doctor.probe",
    ),
    *("cli.solving", "cli.run", "cli.signals", "cli.why"),
)
"""Patterns of the modules that may start processes, or end them, by ``proc``."""

SLOW = ("boto3", "botocore", "python_on_whales", "git", "psutil")


@functools.cache
def tree(module):
    path = PACKAGE.joinpath(*module.split(".")).with_suffix(".py")
    return ast.parse(path.read_text(encoding="utf-8"))


@functools.cache
def imports(module, *, top_level=False):
    """Full names of what a module imports, ``from a import b`` as ``a.b``."""
    nodes = tree(module).body if top_level else ast.walk(tree(module))
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: a relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def folder(module):
    """The folder of a module of dynbuild; the module itself where it lies beside the folders."""
    return module.split(".")[0]


def folders(module):
    """The folders, and modules beside them, that a module imports anywhere in its text."""
    own = {name.split(".")[1] for name in imports(module) if name.startswith("dynbuild.")}
    return own - {"__version__"}


def parts_of_the_package(name):
    """The modules of dynbuild that the full name *name* goes through, each without ``dynbuild.``.

    ``dynbuild.build.drive.run`` goes through ``build.drive``.
    """
    first, *rest = name.split(".")
    if first != "dynbuild":
        return set()
    return {".".join(rest[:end]) for end in range(1, len(rest) + 1)} & set(MODULES)


def uses(module, root, attribute=""):
    """Whether a module uses the name *root*, or its *attribute*."""
    for node in ast.walk(tree(module)):
        if attribute and isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id == root and node.attr.startswith(attribute):
                return True
        elif not attribute and isinstance(node, ast.Name) and node.id == root:
            return True
    return False


def in_cli(module):
    return folder(module) == "cli"


def test_the_rules_look_at_modules_that_exist():
    for pattern in PURE:
        assert fnmatch.filter(MODULES, pattern), pattern
    assert {folder(module) for module in MODULES} == {
        *BASE, *MAY_IMPORT, "__init__", "__main__",
    }  # fmt: skip


def test_the_folders_are_ranked():
    """Each folder comes after those it may import, so there can be no circle of folders."""
    order = list(MAY_IMPORT)
    for name, below in MAY_IMPORT.items():
        assert {order.index(other) for other in below} <= set(range(order.index(name)))


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_downwards_only(module):
    own = folder(module)
    if module == "__main__":
        assert folders(module) == {"cli"}
    elif own in MAY_IMPORT:
        assert folders(module) <= {own, *MAY_IMPORT[own], *BASE}
    else:
        assert folders(module) <= set(BASE)


@pytest.mark.parametrize(
    "module", [m for m in MODULES if any(fnmatch.fnmatchcase(m, p) for p in PURE)]
)
def test_a_pure_module_reaches_nothing_outside(module):
    forbidden = {"subprocess", "os", "shutil", "socket", "tempfile", "urllib", "time", *SLOW}
    assert not {name.split(".")[0] for name in imports(module)} & forbidden
    assert not {name for name in imports(module) if name.startswith("dynbuild.proc")}


@pytest.mark.parametrize("module", MODULES)
def test_processes_are_started_in_one_place(module):
    if module == "proc":
        return
    assert "subprocess" not in {name.split(".")[0] for name in imports(module)}
    for call in ("exec", "spawn", "system", "popen", "fork"):
        assert not uses(module, "os", call)


@pytest.mark.parametrize("module", MODULES)
def test_processes_are_started_for_few(module):
    if any(fnmatch.fnmatchcase(module, pattern) for pattern in PROCESSES):
        return
    assert "proc" not in folders(module)


@pytest.mark.parametrize("module", [module for module in MODULES if not in_cli(module)])
def test_only_the_command_line_prints_and_exits(module):
    assert not uses(module, "print")
    assert not uses(module, "sys", "exit")
    assert not uses(module, "sys", "std")


@pytest.mark.parametrize("module", [module for module in MODULES if not in_cli(module)])
def test_only_the_command_line_reads_the_environment(module):
    for name in ("environ", "getenv", "putenv"):
        assert not uses(module, "os", name)
    assert not imports(module) & {"os.environ", "os.getenv"}


@pytest.mark.parametrize("module", MODULES)
def test_slow_libraries_are_imported_where_they_are_used(module):
    roots = {name.split(".")[0] for name in imports(module, top_level=True)}
    assert not roots & set(SLOW)


def test_the_modules_make_no_circle():
    """Nowhere, not even through an import that is hidden in a function."""
    below = {
        module: {
            other
            for name in imports(module)
            for other in parts_of_the_package(name)
            if other != module
        }
        for module in MODULES
    }
    left = dict(below)
    while ready := [module for module, needs in left.items() if not needs & set(left)]:
        for module in ready:
            del left[module]
    assert left == {}


def imported(*argv, env=None):
    """What a command imports, read off ``-X importtime``: libraries, and parts of dynbuild."""
    result = spawn(*argv, options=("-X", "importtime"), env=env)
    assert result.code == 0, result.err
    lines = [line for line in result.err.splitlines() if line.startswith("import time:")]
    names = {line.rpartition("|")[2].strip() for line in lines}
    tops = {name.split(".")[0] for name in names}
    parts = {name.split(".")[1] for name in names if name.startswith("dynbuild.")}
    assert "dynbuild" in tops
    # What begins with an underscore says how a package is installed.
    installed = {name for name in packages_distributions() if not name.startswith("_")}
    return tops & installed - {"dynbuild"}, parts & set(MAY_IMPORT)


TYPER = {"typer", "annotated_doc", "shellingham"}
PYDANTIC = {
    *("pydantic", "pydantic_core", "annotated_types"),
    *("typing_extensions", "typing_inspection"),
}
JINJA = {"jinja2", "markupsafe"}
CONTEXT = ("--context", DEMO)
ASKED = {
    "_DYNBUILD_COMPLETE": "complete_bash",
    "COMP_WORDS": "dynbuild plan --framework v",
    "COMP_CWORD": "3",
}
PLANNING = {"cli", "settings", "report", "plan", "build", "render", "sccache"}

IMPORTS = {
    "--version": (("--version",), TYPER, {"cli", "settings", "report"}),
    "--help": (("--help",), TYPER, {"cli", "settings", "report"}),
    "plan --help": (("plan", "--help"), TYPER, {"cli", "settings", "report"}),
    "completion": ((), TYPER, {"cli", "settings", "report"}),
    "plan": (("plan", *CONTEXT), TYPER | PYDANTIC, PLANNING),
    "plan of a tree": (("plan", "--context", WORKSPACE), TYPER | PYDANTIC, PLANNING),
    "render": (("render", *CONTEXT), TYPER | PYDANTIC | JINJA, PLANNING),
    "run": (
        ("run", "--dry-run", "--image", "x"),
        TYPER | PYDANTIC,
        {"cli", "settings", "report", "run"},
    ),
}
"""Commands with the libraries and folders that they import, no more and no less: start-up
time is what is imported, and this is told alike by an idle machine and a busy one."""


BEGINNING = """
import os, sys
from dynbuild import proc
def start(argv, **_):
    print(*(name for name in sys.modules if name.startswith("dynbuild.")), file=sys.stderr)
    os._exit(5)
proc.start = start
from dynbuild.cli import main
main()
"""
LATER = {
    *("build.execution", "build.failure", "build.events", "build.result", "build.context"),
    *("build.metadata", "build.solve", "report.progress", "engine.private.start"),
}
"""What a build needs when BuildKit has something to say, and not before."""


@pytest.mark.processes("docker", "python")
def test_a_build_starts_buildkit_before_it_imports_what_reads_its_answer(tmp_path):
    docker = fake_docker.make(tmp_path / "bin")
    env = {"PATH": f"{docker.path}{os.pathsep}{os.environ['PATH']}"}
    words = ("--config", DEMO / "dynbuild.toml", "--context", tmp_path)
    done = spawn_python(BEGINNING, "build", *words, env=env)
    assert done.code == 5, done.err
    there = {name.removeprefix("dynbuild.") for name in done.err.splitlines()[-1].split()}
    assert there & LATER == set()
    assert set(MODULES) >= LATER


@pytest.mark.parametrize(("argv", "libraries", "parts"), IMPORTS.values(), ids=IMPORTS)
def test_a_command_imports_what_it_uses(argv, libraries, parts):
    assert imported(*argv, env={} if argv else ASKED) == (libraries, parts)


def test_what_was_rendered_before_is_not_rendered_again(tmp_path):
    env = {"HOME": str(tmp_path)}
    assert imported("render", *CONTEXT, env=env) == (TYPER | PYDANTIC | JINJA, PLANNING)
    assert imported("render", *CONTEXT, env=env) == (TYPER, PLANNING)


@pytest.mark.parametrize("argv", [("plan", *CONTEXT), ("run", "--dry-run", "--image", "x")])
def test_settings_that_were_checked_before_are_not_checked_again(argv, tmp_path):
    env = {"HOME": str(tmp_path)}
    for libraries in (TYPER | PYDANTIC, TYPER):
        assert imported(*argv, env=env)[0] == libraries
