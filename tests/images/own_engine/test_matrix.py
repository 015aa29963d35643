"""A matrix on a real engine: what runs how often, what a failure costs, when tags move.

The Dockerfiles are those of the catalog with nothing to do in their steps (``lab``).
"""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from dynbuild import proc
from dynbuild.engine import builder
from dynbuild.engine.model import Engine
from dynbuild.matrix import content, record
from dynbuild.matrix.events import CellEnded, TagsMoved
from dynbuild.plan.image_tests import ImageTest
from dynbuild.render import graph
from tests.images.lab import SMALL, WIDE, Lab, Set, Stubs, status, status_names


@pytest.fixture
def lab(engine: Engine, environment: dict[str, str], base_image: str):
    made = Lab(engine, environment, base_image)
    yield made
    made.close()


@pytest.fixture
def tree(tmp_path):
    path = tmp_path / "tree"
    path.mkdir()
    return path


TRIES = int(os.environ.get("TRIES", "4"))
"""How often a run is killed while it pushes; `make tries` does it 20 times."""

CELLS = int(os.environ.get("CELLS", "12"))
"""How many cells one command builds and loads; in `make tries` 300."""

TWELVE = [
    cell
    for cell in WIDE
    if cell in SMALL or (cell.target == "wheel_builder" and cell.framework in ("none", "sglang"))
]


@pytest.mark.parametrize("jobs", [24, 2])
def test_every_distinct_step_of_many_cells_runs_once(lab, tree, jobs):
    many = Set(lab, tree, SMALL)
    assert len(many.job.images) >= 6
    result = many.run(jobs=jobs)
    assert set(status(result).values()) == {"done"}
    assert len(lab.ran) == len(many.distinct()) == result.steps.run_instructions > 50


def test_hundreds_of_cells_in_one_command(lab, tree, docker):
    many = Stubs(lab, tree, CELLS)
    begun = time.monotonic()
    result = many.run()
    print(f"{CELLS} cells: {time.monotonic() - begun:.1f} s")
    tags = [tag for cell in result.cells for tag in cell.tags]
    if tags:
        docker("image", "rm", *tags)
    assert [(cell.id, cell.failure) for cell in result.cells if cell.status != "done"] == []
    assert (len(result.cells), len(lab.ran), result.retries) == (CELLS, CELLS + 1, ())


def test_a_failure_costs_its_cell_and_resuming_runs_that_alone(lab, tree):
    many = Set(lab, tree, TWELVE)
    assert len(many.job.images) == 12
    broken = next(image for image in many.job.images if image.plan.target == "local-dev")
    many.fails = {broken.name: (broken.plan.stage,)}
    first = many.run()
    assert first.status == "failed"
    assert [name for name, one in status(first).items() if one != "done"] == [broken.name]
    (cell,) = [cell for cell in first.cells if cell.status == "failed"]
    assert f"[{broken.plan.stage} " in cell.failure.step
    assert "exit code: 7" in cell.failure.message
    assert cell.build
    before = len(lab.ran)
    many.fails = {}
    again = many.run(done=[cell for cell in first.cells if cell.status == "done"])
    assert again.status == "done"
    assert again.common == "", "one cell has nothing in common with another"
    assert len(lab.ran) - before == 1, "the step that failed"
    assert len({cell.build for cell in again.cells} - {cell.build for cell in first.cells}) == 1


def test_a_common_step_that_fails_is_run_once_and_told_for_each_cell(lab, tree):
    many = Set(lab, tree, [cell for cell in SMALL if cell.framework == "none"])
    having = {
        image.name
        for image in many.job.images
        if "ucx" in graph_stages(image, many.texts[image.name])
    }
    many.fails = dict.fromkeys(status_names(many), ("ucx",))
    result = many.run()
    failed = {cell.id for cell in result.cells if cell.status == "failed"}
    assert failed == having
    assert failed < set(status(result))
    assert all("[ucx " in cell.failure.step for cell in result.cells if cell.failure)


def graph_stages(image, text):
    return {step.stage for step in graph.of(image.plan, text).steps.values()}


def test_failing_fast_ends_the_others(lab, tree):
    lab.seconds = 0.3
    many = Set(lab, tree, SMALL)
    broken = min(
        many.job.images, key=lambda image: len(graph.of(image.plan, many.texts[image.name]).steps)
    )
    many.fails = {broken.name: (broken.plan.stage,)}
    result = many.run(fail_fast=True, jobs=2)
    assert "failed" in status(result).values()
    assert set(status(result).values()) <= {"failed", "cancelled", "skipped", "done"}
    assert {"cancelled", "skipped"} & set(status(result).values())


def test_a_cell_that_takes_too_long_fails_alone(lab, tree):
    many = Set(lab, tree, SMALL[:1])
    lab.seconds = 1.0
    (cell,) = many.run(timeout=2.0).cells
    assert cell.status == "failed"
    assert "--timeout" in cell.failure.message


@pytest.fixture
def tags(from_registry: Callable[[str], tuple[Any, str]]):
    """What tags of a repository in the registry are on, by name."""

    def read(repository):
        names = from_registry(f"{repository}/tags/list")[0]["tags"]
        return {name: from_registry(f"{repository}/manifests/{name}")[1] for name in names}

    return read


def test_tags_move_when_all_is_there_whenever_it_is_killed(lab, tree, registry, tags):
    chosen = [cell for cell in SMALL if cell.framework == "none"]
    name = f"{registry}/all-or-none"
    many = Set(lab, tree, chosen, output="push", repository=name)
    old = many.run()
    assert old.status == "done", [cell.failure for cell in old.cells]
    assert all(cell.moved for cell in old.cells)
    first = final(tags("all-or-none"))
    assert first == {cell.tags[0].rpartition(":")[2]: cell.digest for cell in old.cells}
    rng = random.Random(7)
    for number in range(TRIES):
        lab.name = f"{lab.name}{number}"
        before = final(tags("all-or-none"))
        cut = rng.randrange(2 * len(chosen))
        cancellation, seen = proc.Cancellation(), []

        def kill(event, cut=cut, cancellation=cancellation, seen=seen):
            if isinstance(event, (CellEnded, TagsMoved)):
                seen.append(event)
                if len(seen) == cut:
                    cancellation.cancel()

        partly = many.run(listen=kill, cancellation=cancellation)
        if not any(isinstance(event, TagsMoved) for event in seen):
            assert final(tags("all-or-none")) == before
        again = many.run(done=[cell for cell in partly.cells if cell.status == "done"])
        assert again.status == "done"
        now = final(tags("all-or-none"))
        assert now == {cell.tags[0].rpartition(":")[2]: cell.digest for cell in again.cells}
        assert not set(now.values()) & set(before.values())


def final(found):
    return {name: digest for name, digest in found.items() if not name.startswith("pending-")}


def test_no_tag_moves_where_one_cell_fails(lab, tree, registry, tags):
    chosen = [cell for cell in SMALL if cell.framework == "none"][:3]
    many = Set(lab, tree, chosen, output="push", repository=f"{registry}/one-fails")
    many.fails = {many.job.images[0].name: (many.job.images[0].plan.stage,)}
    assert many.run().status == "failed"
    assert final(tags("one-fails")) == {}
    each = many.run(tag_when="each")
    done = {cell.tags[0].rpartition(":")[2] for cell in each.cells if cell.status == "done"}
    assert set(final(tags("one-fails"))) == done
    assert len(done) == 2


def test_the_record_is_whole_whenever_it_is_read(lab, tree):
    many = Set(lab, tree, SMALL[:2])
    result = many.run()
    one = record.find(tree, "")
    plan, ended = record.plan_of(one), record.result_of(one)
    assert plan == many.job.plan
    assert ended == result
    assert json.loads(one.result.read_text())["cells"][0]["id"] == many.job.images[0].name
    assert threading.active_count() < 20


def test_what_is_in_the_registry_with_its_content_needs_no_solve(lab, tree, registry, tags):
    chosen = [cell for cell in SMALL if cell.framework == "none"][:2]
    many = Set(lab, tree, chosen, output="push", repository=f"{registry}/if-changed")
    where = content.Registry(
        builder=builder.find(lab.engine, lab.env), env=lab.env, on_retry=lambda _: None
    )

    def unchanged():
        ids = content.ids(many.job, many.texts, {}, where)
        assert not ids.unknown
        many.job = content.labelled(many.job, ids.known)
        return tuple(content.unchanged(many.job, ids.known, where))

    assert unchanged() == ()
    first = many.run()
    before = len(lab.ran)
    again = many.run(done=unchanged())
    assert [cell.unchanged for cell in again.cells] == [True, True]
    assert [cell.digest for cell in again.cells] == [cell.digest for cell in first.cells]
    assert (again.status, again.steps.run, len(lab.ran)) == ("done", 0, before)
    # Another commit, whose tags nothing has yet.
    many.tagged("new")
    newer = many.run(done=unchanged())
    assert [cell.unchanged for cell in newer.cells] == [True, True]
    assert len(lab.ran) == before
    found = final(tags("if-changed"))
    for cell in newer.cells:
        assert found[cell.tags[0].rpartition(":")[2]] == cell.digest
        assert found[f"current-{cell.id}"] == cell.digest
    # Another last step of one cell.
    other = many.job.images[0]
    many.fails = {other.name: (other.plan.stage,)}
    assert [cell.id for cell in unchanged()] == [image.name for image in many.job.images[1:]]


@pytest.mark.parametrize("output", ["push", "load"])
def test_a_test_that_fails_keeps_the_tags_of_its_cell_alone(
    lab, tree, registry, *, tags, docker, output
):
    chosen = [cell for cell in SMALL if cell.framework == "none"][:2]
    name = f"{registry}/tested-{output}"
    many = Set(lab, tree, chosen, output=output, repository=name)
    bad, good = status_names(many)
    result = many.run(
        tests={
            bad: (ImageTest(name="fails", argv=("sh", "-c", "id -u; exit 3"), user="65534"),),
            good: (ImageTest(name="fine", argv=("true",)),),
        },
        tag_when="each",
    )
    assert status(result) == {bad: "failed", good: "done"}
    (failed,), (fine,) = ([cell for cell in result.cells if cell.id == one] for one in (bad, good))
    assert (failed.failure.step, failed.failure.lines) == ("test fails", ("65534",))
    assert [one.status for one in fine.tests] == ["passed"]
    own = {tag.rpartition(":")[2] for tag in fine.tags}
    if output == "push":
        assert set(final(tags(f"tested-{output}"))) == own
        return
    there = docker("image", "ls", "--format", "{{.Tag}}", name).split()
    assert set(there) == own | {f"pending-{bad}"}
    docker("image", "rm", *(f"{name}:{tag}" for tag in there))
