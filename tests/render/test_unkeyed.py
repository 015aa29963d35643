"""Values that say how fast a step runs or where its compile cache is: no key of a step has one."""

import re

import pytest

from dynbuild.render import graph
from dynbuild.render.dockerfile import render
from tests import cells
from tests.support import ARGUMENTS, NONE_CPU, TEMPLATES, UNKEYED, make_image_job, make_job

OTHER = {
    "BUILD_JOBS": "3917", "CARGO_BUILD_JOBS": "3918", "MAX_JOBS": "3919",
    "SCCACHE_BUCKET": "other-bucket", "SCCACHE_REGION": "other-region-1",
    "SCCACHE_ENDPOINT": "other.example:8333", "SCCACHE_S3_USE_SSL": "off",
    "SCCACHE_PREFIX": "other-prefix", "SCCACHE_S3_RW_MODE": "READ_ONLY",
}  # fmt: skip
"""Values that no catalog has."""


def test_which_arguments_are_unkeyed():
    """What else begins like them: the cache's program, and whether there is a cache at all."""
    alike = {name for name in ARGUMENTS if name.endswith("_JOBS") or "SCCACHE" in name}
    assert alike - {"USE_SCCACHE", "SCCACHE_VERSION"} == UNKEYED == set(OTHER)


@pytest.mark.parametrize("line", cells.LINES)
def test_no_text_of_any_image_has_another_value(line):
    """Byte for byte, in each variant; one with a cache on the engine has it in S3 then."""
    for cell in cells.cells():
        if cell.line != line:
            continue
        image, text = cells.rendered(cell)
        asked = {**cell.asked, "args": {**cell.asked["args"], **OTHER}}
        if asked.get("use_sccache"):
            asked["use_sccache"] = "s3"
        (other,) = (one for one in make_job(**asked).images if one.plan.target == cell.target)
        assert render(other, TEMPLATES) == text, cell
        assert other.plan.keyed_args == image.plan.keyed_args, cell
        own = {name: value for name, value in other.plan.build_args.items() if name in UNKEYED}
        assert other.plan.handed_args == own
        assert not own or own != image.plan.handed_args


@pytest.mark.parametrize("line", cells.LINES)
def test_none_is_an_argument_or_a_variable_of_a_stage(line):
    """The environment of a stage is part of the key of all that comes after it."""
    for cell in cells.cells():
        if cell.line == line:
            _, text = cells.rendered(cell)
            for name in UNKEYED:
                assert not re.search(rf"^ARG {name}\b", text, re.MULTILINE), (cell, name)
                assert not re.search(rf"^(ENV| +){name}=", text, re.MULTILINE), (cell, name)


def test_a_step_that_reads_one_is_handed_it():
    """A variable that is not handed over is empty, and nobody would notice."""
    read = {"BUILD_JOBS": r"\$\{BUILD_JOBS\b", "CARGO_BUILD_JOBS": r"\bmaturin build\b",
            "MAX_JOBS": r"\bbash \./install_", "SCCACHE_BUCKET": r"/opt/sccache/use\b"}  # fmt: skip
    found = set()
    for cell in cells.cells():
        image, text = cells.rendered(cell)
        if cell.line != cells.LINES[0]:
            continue
        for step in graph.of(image.plan, text).steps.values():
            if step.is_run:
                handed = {
                    name
                    for name in UNKEYED
                    if ("mount", f"type=secret,id={name},env={name}") in step.instruction.flags
                }
                wanted = {name for name, sign in read.items() if re.search(sign, str(step.parts))}
                assert handed & set(read) == wanted, (cell, step.instruction)
                found |= wanted
    assert found == set(read)


def test_a_value_that_is_not_there_has_a_default():
    """BuildKit sets a secret's variable to nothing where there is no secret."""
    text = render(make_image_job(framework="vllm", target="runtime"), TEMPLATES)
    for name in ("CARGO_BUILD_JOBS", "MAX_JOBS"):
        assert f'export {name}="${{{name}:-$(nproc)}}"' in text
    assert '-j"${BUILD_JOBS:-$(nproc)}"' in text


def test_the_key_of_an_image_is_the_same():
    keys = {
        graph.of(image.plan, render(image, TEMPLATES)).key
        for image in (make_image_job(**NONE_CPU, args={"BUILD_JOBS": jobs}) for jobs in ("2", "3"))
    }
    assert len(keys) == 1
