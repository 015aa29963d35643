"""Which images are solved together, and what comes before them."""

import functools
from dataclasses import replace

import pytest

from dynbuild.matrix import common, groups
from dynbuild.plan import planner
from dynbuild.render import graph
from dynbuild.render.dockerfile import render
from tests.cells import cells
from tests.support import MACHINE, TEMPLATES, VERSION, WORKSPACE, make_job


def merged(*asked):
    """One job of several requests."""
    names = ({"tag": f"a:{number}", "tag_latest": False} for number in range(len(asked)))
    jobs = [make_job(**each, **name) for each, name in zip(asked, names, strict=True)]
    shared = planner.Shared(config=None, version=VERSION, context=WORKSPACE, machine=MACHINE)
    return planner.merge(
        [planner.CellJob(id=job.images[0].id, images=job.images) for job in jobs],
        planner.replace(shared, config=_config()),
    )


@functools.cache
def _config():
    from tests.support import load

    return load(framework="none", target="runtime")


CPU = {"framework": "none", "device": "cpu"}


@functools.cache
def wide():
    """A job of several images, with its Dockerfiles and graphs."""
    names = ("vllm", "trtllm")
    job = merged(
        *({"framework": one, "target": target} for one in names for target in ("runtime", "dev"))
    )
    texts = {image.name: render(image, TEMPLATES) for image in job.images}
    graphs = {image.name: graph.of(image.plan, texts[image.name]) for image in job.images}
    return job, texts, graphs


def test_images_that_are_not_linked_are_solved_alone():
    job = merged({**CPU, "target": "runtime"}, {**CPU, "target": "dev"})
    assert [[image.name for image in one.images] for one in groups.split(job)] == [
        ["none-runtime-cpu"],
        ["none-dev-cpu"],
    ]
    assert [one.plan.images for one in groups.split(job)] == [
        (job.plan.images[0],),
        (job.plan.images[1],),
    ]


def test_linked_images_are_solved_together():
    job = merged(
        {**CPU, "target": "runtime"},
        {**CPU, "target": "local-dev", "make_efa": True, "device": "cuda"},
        {**CPU, "target": "dev", "make_efa": True, "device": "cuda"},
    )
    names = [{image.name for image in one.images} for one in groups.split(job)]
    assert names == [
        {"none-runtime-cpu"},
        {"none-local-dev-cuda12.8"},
        {"none-dev-cuda12.8", "none-local-dev-aws-cuda12.8", "none-dev-aws-cuda12.8"},
    ]


def test_what_runs_before_the_solves_stays_with_the_whole():
    job = merged({**CPU, "target": "runtime"})
    before = replace(job.plan, warnings=("w",))
    (one,) = groups.split(planner.replace(job, plan=before))
    assert (one.plan.before, one.plan.warnings, one.wheels) == ((), (), {})


def test_every_common_step_is_in_the_solve_of_common_steps():
    job, texts, graphs = wide()
    found = common.of(job, texts, graphs)
    assert found is not None
    below = {}
    for image in found.job.images:
        below |= graph.of(image.plan, found.texts[image.name]).steps
    shared = graph.shared(graphs.values())
    worth = {key for key, step in below.items() if step.is_run}
    runs = {key for key in shared if graphs[shared[key][0]].steps[key].is_run}
    assert runs == worth, "each common RUN, and nothing that one image alone has"
    assert found.steps == len(shared)


def test_no_part_of_the_common_steps_is_inside_of_another():
    job, texts, graphs = wide()
    found = common.of(job, texts, graphs)
    tops = [list(graph.of(one.plan, found.texts[one.name]).steps) for one in found.job.images]
    for number, steps in enumerate(tops):
        others = {key for other in tops[:number] + tops[number + 1 :] for key in other}
        assert steps[-1] not in others


def test_common_steps_make_no_image():
    job, texts, graphs = wide()
    found = common.of(job, texts, graphs)
    for image in found.job.images:
        plan = image.plan
        assert (plan.tags, plan.output, plan.cache_to) == ((), "none", ())
        assert plan.id == image.id
    names = [image.name for image in found.job.images]
    assert len(set(names)) == len(names) > 1
    assert all(set(found.owners[name]) <= set(graphs) for name in names)


def test_one_image_has_nothing_in_common():
    job, texts, graphs = wide()
    (alone, *_) = groups.split(job)
    assert common.of(alone, texts, graphs) is None


def test_without_what_failed():
    job, texts, graphs = wide()
    found = common.of(job, texts, graphs)
    names = [image.name for image in found.job.images]
    left = common.without(found, names[:1])
    assert [image.name for image in left.job.images] == names[1:]
    assert [image.name for image in left.job.plan.images] == names[1:]
    assert common.without(found, names) is None


@pytest.mark.parametrize("line", ["0.9.0"])
def test_every_image_of_a_line_at_once(line):
    chosen = [cell for cell in cells() if cell.variant == "default" and cell.line == line]
    asked = [cell.asked for cell in chosen if not cell.target.endswith("-aws")]
    job = merged(*asked)
    texts = {image.name: render(image, TEMPLATES) for image in job.images}
    graphs = {image.name: graph.of(image.plan, texts[image.name]) for image in job.images}
    found = common.of(job, texts, graphs)
    shared = graph.shared(graphs.values())
    runs = {key for key in shared if graphs[shared[key][0]].steps[key].is_run}
    covered = {
        key
        for image in found.job.images
        for key, step in graph.of(image.plan, found.texts[image.name]).steps.items()
        if step.is_run
    }
    assert covered == runs
