"""How a matrix ended as JUnit's XML, which CI systems show as results of tests.  Pure.

Each cell is a case, and each test of its image is one: a cell that failed has the step, its last
lines and what it said; one that nothing was done for is skipped
(https://github.com/testmoapp/junitxml).
"""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from dynbuild.build.result import Failure
from dynbuild.matrix.result import CellResult, MatrixResult, TestResult

_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
"""Colours and the like in what a step printed (ECMA-48)."""


def render(result: MatrixResult) -> str:
    """The document."""
    root = Element("testsuites")
    suite = SubElement(root, "testsuite", name=result.name or "matrix")
    for cell in result.cells:
        _cell(suite, cell)
    for element in (root, suite):
        element.set("tests", str(len(suite)))
        element.set("failures", str(len(suite.findall("*/failure"))))
        element.set("errors", "0")
        element.set("skipped", str(len(suite.findall("*/skipped"))))
        element.set("time", f"{result.seconds:.3f}")
    indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{tostring(root, encoding="unicode")}\n'


def _cell(suite: Element, cell: CellResult) -> None:
    case = _case(suite, "dynbuild", cell.id, cell.seconds)
    if cell.failure is not None:
        _failure(case, cell.failure)
    elif cell.told != "done":
        SubElement(case, "skipped", message=cell.told)
    if cell.retries:
        lines = (f"tried again: {one.step}: {one.message}" for one in cell.retries)
        SubElement(case, "system-out").text = _plain("\n".join(lines))
    for test in cell.tests:
        _test(_case(suite, cell.id, f"{cell.id}: {test.name}", test.seconds), test)


def _test(case: Element, test: TestResult) -> None:
    if test.status == "failed":
        found = SubElement(case, "failure", type="test", message=_plain(test.message))
        found.text = _plain("\n".join((*test.lines, test.message)))
    elif test.status == "skipped":
        SubElement(case, "skipped", message=_plain(test.message))


def _case(suite: Element, group: str, name: str, seconds: float) -> Element:
    return SubElement(suite, "testcase", classname=group, name=name, time=f"{seconds:.3f}")


def _failure(case: Element, why: Failure) -> None:
    title = ": ".join(filter(None, (why.step, why.message)))
    hint = (f"What to do: {why.hint}",) if why.hint else ()
    found = SubElement(case, "failure", type=why.kind, message=_plain(title))
    found.text = _plain("\n".join((*why.lines, why.message, *hint)))


def _plain(text: str) -> str:
    """*text* without what XML has no sign for."""
    return _NO_XML.sub("", _ESCAPES.sub("", text))
