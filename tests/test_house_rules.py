"""Rules of the house that can be checked: short functions, short files, types of our own.

A file that is longer than the rule for a reason says so in its head, on a line
``# long: REASON``.
"""

import ast
import functools
import re
from pathlib import Path

import pytest

import dynbuild

PACKAGE = Path(dynbuild.__file__).parent
FILES = sorted(
    str(path.relative_to(PACKAGE))
    for path in PACKAGE.rglob("*.py")
    if "_templates" not in path.parts
)
LONGEST_FILE, LONGEST_FUNCTION = 500, 60
HEAD = 40
"""Lines in which a long file gives its reason."""

FOREIGN = {
    "build/record.py:Record.write_json.value": "JSON",
    "build/result.py:BuildResult._current": "JSON, of an earlier schema",
    "build/result.py:ImageResult._current": "JSON, of an earlier schema",
    "checked.py:": "fields of any document, and pydantic's schemas",
    "cli/console.py:json_text.value": "JSON",
    "cli/console.py:out_json.value": "JSON",
    "cli/parameters.py:_annotation": "annotations of Typer's",
    "cli/parameters.py:_parameter.annotation": "annotations of Typer's",
    "cli/usage.py:_Light.process_value": "Typer's own method",
    "quick.py:": "methods of whatever class is decorated",
    "render/bake.py:_literal": "JSON",
    "sccache/s3/service.py:": "boto3 has no types",
    "sccache/stats.py:_words.value": "JSON",
    "settings/": "leaves of TOML, and pydantic's annotations",
}
"""Where ``Any`` stands, and for what that is not ours; keys are beginnings of FILE:NAME."""

_OBJECT = re.compile(r"\b(?:dict|Mapping)\[str, Any\]")
"""An object of JSON, a table of TOML, or words for a call: foreign wherever it stands."""


@functools.cache
def source(file):
    return (PACKAGE / file).read_text(encoding="utf-8")


@functools.cache
def tree(file):
    return ast.parse(source(file))


def functions(file):
    """Every function with its name, in which that of its class is."""

    def below(node, prefix):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{file}:{prefix}{child.name}", child
                yield from below(child, f"{prefix}{child.name}.")
            elif isinstance(child, ast.ClassDef):
                yield from below(child, f"{prefix}{child.name}.")
            else:
                yield from below(child, prefix)

    yield from below(tree(file), "")


def lines_of(function):
    """Lines of a function, its docstring among them."""
    return function.end_lineno - function.lineno + 1


def annotations(file):
    """Every annotation of a parameter, a result or a variable, by FILE:NAME."""
    for name, function in functions(file):
        arguments = function.args
        every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
        for argument in every:
            yield f"{name}.{argument.arg}", argument.annotation
        yield f"{name}", function.returns
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.AnnAssign):
            yield f"{file}:{ast.unparse(node.target)}", node.annotation


@pytest.mark.parametrize("file", FILES)
def test_files_are_short(file):
    text = source(file)
    head = "\n".join(text.splitlines()[:HEAD])
    short = text.count("\n") <= LONGEST_FILE
    assert short or re.search(r"^# long: \w+ \w+", head, re.MULTILINE)


def test_functions_are_short():
    long = {
        name: lines_of(function)
        for file in FILES
        for name, function in functions(file)
        if lines_of(function) > LONGEST_FUNCTION
    }
    assert long == {}


def unknown_any():
    """Where ``Any`` stands but in an object of JSON, and no reason is known."""
    for file in FILES:
        for name, annotation in annotations(file):
            text = _OBJECT.sub("", ast.unparse(annotation)) if annotation else ""
            if re.search(r"\bAny\b", text):
                yield name


def test_types_of_our_own_are_not_any():
    known = tuple(FOREIGN)
    assert [name for name in unknown_any() if not name.startswith(known)] == []


@pytest.mark.parametrize("known", FOREIGN)
def test_a_reason_for_any_is_still_needed(known):
    assert any(name.startswith(known) for name in unknown_any())
