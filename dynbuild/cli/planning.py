"""From what a command line says to a plan with its job.

``build``, ``matrix``, ``plan`` and ``render`` share it.
"""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from dynbuild.cli.request import BuildRequest, cache_folder, lines_of
from dynbuild.quick import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dynbuild.plan.document import PlanDocument
    from dynbuild.plan.image_tests import ImageTest
    from dynbuild.plan.job import Job
    from dynbuild.plan.selection import Selected
    from dynbuild.settings.load import Lines, Settings
    from dynbuild.settings.trust import Widening


@dataclass(frozen=True, slots=True)
class PlannedJob:
    """A job with what is needed to carry it out.

    Attributes:
        job: What to build.
        templates: The folder of the templates.
        secrets: Values of the secrets that are variables.
        configs: The settings of its cells, each once.
        tests: What is to be run in its images, by their names.
    """

    job: Job
    templates: Path
    secrets: dict[str, str]
    configs: tuple[Settings, ...]
    tests: Mapping[str, tuple[ImageTest, ...]]

    @property
    def plan(self) -> PlanDocument:
        """What is printed of it."""
        return self.job.plan


def decide(request: BuildRequest) -> PlannedJob:
    """Gather the facts, which is where files and git are read, and make the plan."""
    from dynbuild.build import git
    from dynbuild.build.background import Background

    # git answers while everything else is imported.
    reading = Background(partial(git.read, request.context, dict(os.environ)))
    from dynbuild.build import facts, inputs, tree_check
    from dynbuild.plan import planner, secrets, version
    from dynbuild.render import bake, site
    from dynbuild.settings import load

    context = request.context
    env = os.environ
    templates = load.templates_dir(request.templates)
    lines = lines_of(
        flags=request.flags, context=context, overlays=request.overlays, templates=request.templates
    )
    config = lines[lines.chosen[0]]
    inputs.check_context(context)
    machine = facts.read(env)
    commits = reading.result()
    shared = planner.Shared(
        config=config,
        version=version.derive(commits, env),
        context=context,
        machine=machine,
    )
    selected = _selected(request, lines)
    if any(one.config.catalog.request.cache.startswith("registry") for one in selected):
        base = git.merge_base(context, env, commits)
        shared = replace(shared, version=replace(shared.version, base=base))
    made = planner.merge(planner.decide_all(selected, shared), shared)
    inputs.check(made)
    unfit = tree_check.check(made, inputs.read_by_name(made))
    if unfit:
        plan = replace(made.plan, warnings=(*made.plan.warnings, *unfit))
        made = replace(made, plan=plan)
    script = site.script(config, templates)
    values = secrets.secret_values(config, machine, script) | bake.environment(made)
    configs = tuple({id(one.config): one.config for one in selected}.values())
    tests = _image_tests(made, selected, configs, lines)
    return PlannedJob(made, templates, values, configs, tests if request.tests else {})


def _selected(request: BuildRequest, lines: Lines) -> tuple[Selected, ...]:
    """The cells that are asked for, each with its settings."""
    from dynbuild.plan import named_matrix, selection

    if request.cells is None:
        return selection.of_request([lines[line] for line in lines.chosen])
    return selection.of_matrix(
        lines,
        lines.chosen,
        named_matrix.named(lines[lines.chosen[0]], request.cells.matrix),
        selection.Globs(only=request.cells.only, skip=request.cells.skip),
    )


def _image_tests(
    job: Job, selected: Iterable[Selected], configs: Iterable[Settings], lines: Lines
) -> dict[str, tuple[ImageTest, ...]]:
    """What is to be run in the images of *job*, by their names.

    Raises:
        RequestError: A test of the settings is none, or is for a cell that there is not.
    """
    from dynbuild.plan import image_tests, matrix

    known = matrix.Known(lines, lines.chosen)
    for config in configs:
        image_tests.check(config, known)
    own = {one.cell.id: one.config for one in selected}
    return {
        image.name: image_tests.of(image, own.get(image.id, lines[lines.chosen[0]]))
        for image in job.plan.images
        if image.tags and image.output != "none"
    }


def widenings(planned: PlannedJob) -> tuple[Widening, ...]:
    """What the tree's own file asks for that reaches beyond its build, each once."""
    if planned.configs[0].tree_file is None:
        return ()
    from dynbuild.settings.trust import of_build

    every = (one for config in planned.configs for one in of_build(config))
    return tuple({one.identity: one for one in every}.values())


def notes_of(planned: PlannedJob) -> tuple[str, ...]:
    """What a build would ask consent for, as warnings of a command that only looks."""
    if planned.configs[0].tree_file is None:
        return ()
    from dynbuild.cli import trust

    return trust.notes(planned.configs[0], widenings(planned), "build")


def dockerfiles(planned: PlannedJob) -> dict[str, str]:
    """Text of the Dockerfile of each image, by its name."""
    from dynbuild.render.text_cache import rendered

    cache = cache_folder("templates", os.environ)
    return {image.name: rendered(image, planned.templates, cache) for image in planned.job.images}
