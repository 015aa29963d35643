"""From what a command line says to a decision, and to an engine that can carry it out.

``build``, ``matrix``, ``plan`` and ``render`` share it.
"""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from dynbuild.cli import console
from dynbuild.cli.request import Asked, kept_in, lines_of
from dynbuild.errors import NotReady
from dynbuild.quick import dataclass
from dynbuild.settings.layers import Origin, Setting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dynbuild.engine.builder import Builder
    from dynbuild.engine.model import Engine
    from dynbuild.plan.document import PlanDocument
    from dynbuild.plan.image_tests import ImageTest
    from dynbuild.plan.job import Job
    from dynbuild.settings.load import Settings
    from dynbuild.settings.trust import Widening


@dataclass(frozen=True, slots=True)
class Decided:
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


def decide(asked: Asked) -> Decided:
    """Gather the facts, which is where files and git are read, and make the plan."""
    from dynbuild.build import git

    # git answers while everything else is imported.
    reading = git.Reading(asked.context, os.environ)
    from dynbuild.build import facts, inputs, tree
    from dynbuild.plan import image_tests, make, matrix, named_matrix, secrets, selection, version
    from dynbuild.render import bake, site
    from dynbuild.settings import load

    context = asked.context
    env = os.environ
    templates = load.templates_dir(asked.templates)
    lines = lines_of(
        flags=asked.flags, context=context, overlays=asked.overlays, templates=asked.templates
    )
    config = lines[lines.chosen[0]]
    inputs.check_context(context)
    machine = facts.read(env)
    commits = reading.facts()
    shared = make.Shared(
        config=config,
        version=version.derive(commits, env),
        context=context,
        machine=machine,
    )
    if asked.cells is None:
        selected = selection.of_request([lines[line] for line in lines.chosen])
    else:
        selected = selection.of_matrix(
            lines,
            lines.chosen,
            named_matrix.named(config, asked.cells.matrix),
            selection.Globs(only=asked.cells.only, skip=asked.cells.skip),
        )
    if any(one.config.catalog.request.cache.startswith("registry") for one in selected):
        base = git.merge_base(context, env, commits)
        shared = replace(shared, version=replace(shared.version, base=base))
    made = make.merge(make.decide_all(selected, shared), shared)
    inputs.check(made)
    unfit = tree.check(made, inputs.read_by_name(made))
    if unfit:
        plan = made.plan.model_copy(update={"warnings": (*made.plan.warnings, *unfit)})
        made = replace(made, plan=plan)
    script = site.script(config, templates)
    values = secrets.secret_values(config, machine, script) | bake.environment(made)
    configs = {id(one.config): one.config for one in selected}
    own = {one.cell.id: one.config for one in selected}
    known = matrix.Known(lines, lines.chosen)
    for one in configs.values():
        image_tests.check(one, known)
    tests = {
        image.name: image_tests.of(image, own.get(image.id, config))
        for image in made.plan.images
        if image.tags and image.output != "none"
    }
    return Decided(made, templates, values, tuple(configs.values()), tests)


def _widenings(decided: Decided) -> tuple[Widening, ...]:
    """What the tree's own file asks for that reaches beyond its build, each once."""
    if decided.configs[0].tree_file is None:
        return ()
    from dynbuild.settings.trust import of_build

    every = (one for config in decided.configs for one in of_build(config))
    return tuple({one.identity: one for one in every}.values())


def notes_of(decided: Decided) -> tuple[str, ...]:
    """What a build would ask consent for, as warnings of a command that only looks."""
    if decided.configs[0].tree_file is None:
        return ()
    from dynbuild.cli import trust

    return trust.notes(decided.configs[0], _widenings(decided), "build")


def dockerfiles(decided: Decided) -> dict[str, str]:
    """Text of the Dockerfile of each image, by its name."""
    from dynbuild.render.dockerfile import render

    return {
        image.name: render(image, decided.templates, compiled=kept_in("templates", os.environ))
        for image in decided.job.images
    }


def check_trust(decided: Decided, *, trust: bool) -> None:
    """Nothing is done that the tree's own file asks for without consent.

    Raises:
        RequestError: There is none.
    """
    if decided.configs[0].tree_file is None:
        return
    from dynbuild.cli.trust import check

    check(decided.configs[0], _widenings(decided), trust=trust)


def engine_here() -> Engine:
    """The engine to build on; where none runs, the private one is offered."""
    from dynbuild.engine import client, private

    try:
        return client.find(os.environ)
    except NotReady:
        offered = sys.stdin.isatty() and sys.stderr.isatty() and not os.environ.get("DOCKER_HOST")
        if not offered or not typer.confirm(
            "No Docker engine answers. Start a private one now?", default=True, err=True
        ):
            raise
    return private.up(os.environ, console.say)


def builder_of(asked: Asked, engine: Engine, plan: PlanDocument, texts: dict[str, str]) -> Builder:
    """The builder of *engine*, which can solve this and hand over what comes of it.

    One that the command line names is that of all processes from here on.

    Raises:
        NotReady: It cannot.
    """
    from dynbuild.build.bases import check_bases, check_load
    from dynbuild.build.taken import check_tags
    from dynbuild.engine import builder, private, requirements
    from dynbuild.render import bake

    _name_builder(asked)
    if not engine.heeds_builder(os.environ):
        if asked.builder:
            raise NotReady(
                f"the private engine's client has no builder '{asked.builder}'",
                origin="flag --builder",
                hint='eval "$(dynbuild engine env)" and docker buildx create make one, and'
                " docker buildx ls lists them",
            )
        console.warn("BUILDX_BUILDER names no builder of the private engine: it builds itself")
    found = builder.find(engine, os.environ)
    network = bake.network_of(plan, found.network)
    requirements.check(found, texts.values(), network=network)
    check_load(found, plan)
    check_bases(found, os.environ, plan)
    check_tags(found, os.environ, plan)
    if found.in_engine and engine.kind == "private":
        private.join(os.environ)
        _check_network(engine)
    return found


def _name_builder(asked: Asked) -> None:
    from dynbuild.engine.model import BUILDER

    if asked.builder:
        os.environ[BUILDER] = asked.builder


def _check_network(engine: Engine) -> None:
    """Raise where build steps of the private engine would have no network.

    Raises:
        NotReady: What its network needs is gone.
    """
    from dynbuild.engine import private

    wrong = private.network_trouble(engine, os.environ)
    if wrong is None:
        return
    message = f"build steps have no network: {wrong.message}"
    if wrong.kind != "connection":
        raise NotReady(message, hint="`dynbuild engine up` mends that")
    # Steps may need none of it: a proxy has a name server of its own.
    console.warn(message)


_HOUR = 3600.0
_SLOWER = 1.5


def with_compile_cache(
    asked: Asked, decided: Decided, texts: dict[str, str], builder: Builder
) -> tuple[Decided, dict[str, str], tuple[str, ...]]:
    """Check the compile cache in S3 and fetch its credentials, before anything is built.

    Returns:
        The decision with the credentials; or, where the cache cannot be used and is optional,
        the decision without it and a warning.

    Raises:
        NotReady: The cache cannot be used.
    """
    cache = decided.job.compile_cache
    if cache is None or cache.kind == "local":
        return decided, texts, ()
    from datetime import UTC, datetime

    from dynbuild.plan.secrets import AWS_SECRETS
    from dynbuild.render import bake
    from dynbuild.sccache.s3 import credentials, preflight

    console.say(f"checking the compile cache in the bucket {cache.bucket}")
    found = preflight.check(
        cache, os.environ, expected_seconds=_expected(decided.plan), now=datetime.now(UTC),
        network=bake.network_of(decided.plan, builder.network),
    )  # fmt: skip
    for finding in found:
        if finding.note:
            console.warn(f"{finding.message}; {finding.remedy}")
    wrong = [finding for finding in found if not finding.note]
    if not wrong:
        given = credentials.find(os.environ)
        values = (given.access_key, given.secret_key, given.token)
        keys = dict(zip(AWS_SECRETS.values(), values, strict=True))
        return replace(decided, secrets=decided.secrets | keys), texts, ()
    first, *more = wrong
    if not cache.optional:
        raise NotReady(
            f"the compile cache cannot be used: {first.message}",
            hint=f"{first.remedy}; or --sccache-optional builds without it",
            details=tuple(f"{finding.message}: {finding.remedy}" for finding in more),
        )
    off = Setting("", Origin("flag", "--sccache-optional"))
    asked = replace(asked, flags={**asked.flags, ("request", "use_sccache"): off})
    decided = decide(asked)
    lost = f"built without the compile cache: {first.message} ({first.remedy})"
    return decided, dockerfiles(decided), (lost,)


def _expected(plan: PlanDocument) -> float:
    """Seconds that the build may take: somewhat more than the last one of its image did."""
    from dynbuild.build import record

    for result in record.finished(Path(plan.context)):
        if result.status == "done" and result.made(plan.images[0].name):
            return max(_HOUR, _SLOWER * result.seconds)
    return _HOUR


def dry_run_of(asked: Asked, decided: Decided, texts: dict[str, str], format: str) -> None:
    """Print the command that would run, and its definition."""
    from dynbuild.build import record
    from dynbuild.engine.model import BUILDER
    from dynbuild.render import bake

    plan = decided.plan
    now = record.Record(record.builds(Path(plan.context)) / record.new_id(plan.images[0].name))
    paths = {name: str(now.dockerfile(name, only=len(texts) == 1)) for name in texts}
    _name_builder(asked)
    network, where = _where()
    where |= {BUILDER: asked.builder} if asked.builder else {}
    network = bake.network_of(plan, network)
    definition = bake.definition(decided.job, paths, network=network)
    argv = bake.argv(
        plan, bake_file=str(now.bake), metadata_file=str(now.metadata), network=network
    )
    # A secret's variable is named, its value is not shown.
    named = [secret.env for image in decided.job.images for secret in image.secrets if secret.env]
    env = where | bake.ENVIRONMENT | dict.fromkeys((*decided.secrets, *named), "...")
    before = [step.argv for step in plan.before]
    if format == "json":
        found = {"argv": argv, "env": env, "definition": definition, "dockerfiles": texts}
        console.out_json(found | ({"before": before} if before else {}))
        return
    for step in before:
        console.out(f"# First, in {plan.context}")
        console.out_data(f"{shlex.join(step)}\n")
    console.out(f"# The command; the definition below would be {now.bake}")
    variables = (f"{name}={shlex.quote(value)}" for name, value in env.items())
    console.out_data(f"{' '.join(variables)} {shlex.join(argv)}\n")
    console.out("")
    console.out_json(definition)


def _where() -> tuple[str, dict[str, str]]:
    """The network build steps would have, and the variables that lead to a private engine."""
    from dynbuild.engine import builder, client

    try:
        engine = client.find(os.environ)
        network = builder.find(engine, os.environ).network
    except NotReady:
        return "bridge", {}
    own = engine.env(os.environ)
    return network, {
        name: own[name]
        for name in ("DOCKER_HOST", "DOCKER_CONFIG")
        if name in own and own[name] != os.environ.get(name)
    }
