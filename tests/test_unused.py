"""Nothing is in the package for the tests alone: what it defines, it uses itself."""

import ast
import re
from pathlib import Path

import dynbuild
from tests.support import ROOT, TEMPLATES

PACKAGE = Path(dynbuild.__file__).parent

TOOLS = (ROOT / "bench" / "bench.py", ROOT / "dockerfiles" / "generate.py")
"""What of the repository beside the package uses it; tests do not count."""

ALLOWED = {
    "build/solve.py: children": "the graph read downwards, beside parents",
    "plan/trtllm/intent.py: ARGS": "what the wheel's decision may set, held against the catalog",
}
"""What waits for a user, and why it stays."""


def trees():
    for path in sorted(PACKAGE.rglob("*.py")):
        if "_templates" not in path.parts:
            yield path.relative_to(PACKAGE), ast.parse(path.read_text(encoding="utf-8"))


def defined(tree):
    """Functions, classes and constants of a module, and methods; registered ones aside.

    What has a decorator is used by it: a command, a validator, a fixture of a library.
    """
    for node in tree.body:
        yield from _names(node)
        # A method of a class with a base may be what the base calls.
        if isinstance(node, ast.ClassDef) and not node.bases:
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef):
                    yield from _names(inner)


def _names(node):
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        own = {_text(d) for d in node.decorator_list}
        if own <= {
            "property",
            "staticmethod",
            "classmethod",
            "dataclass",
            "contextmanager",
            "cache",
        }:
            yield node.name
    elif isinstance(node, ast.Assign):
        yield from (target.id for target in node.targets if isinstance(target, ast.Name))
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        yield node.target.id


def _text(decorator):
    name = decorator.func if isinstance(decorator, ast.Call) else decorator
    return ast.unparse(name).rpartition(".")[2]


def used(tree):
    """Every word that a module reads: names, attributes, words in annotations as text."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.keyword) and node.arg:
            yield node.arg
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from re.findall(r"\w+", node.value) if len(node.value) < 60 else ()


def test_what_is_defined_is_used():
    modules = dict(trees())
    users = [*modules.values(), *(ast.parse(path.read_text()) for path in TOOLS)]
    words = {word for tree in users for word in used(tree)}
    for path in TEMPLATES.rglob("*.j2"):
        words |= set(re.findall(r"\w+", path.read_text(encoding="utf-8")))
    unused = {
        f"{path}: {name}"
        for path, tree in modules.items()
        for name in defined(tree)
        if name not in words and not re.fullmatch(r"__\w+__", name)
    }
    assert unused == set(ALLOWED)
