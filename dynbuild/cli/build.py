"""``dynbuild build``, ``plan`` and ``render``: the build line, command by command."""

from __future__ import annotations

import json
import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from dynbuild.cli import console
from dynbuild.cli.request import Asked, with_request
from dynbuild.errors import NotReady


@dataclass(frozen=True, slots=True)
class _Decided:
    """A plan with what is needed to carry it out."""

    plan: Any
    templates: Path
    secrets: dict[str, str]


def _decide(asked: Asked) -> _Decided:
    """Gather the facts, which is where files and git are read, and make the plan."""
    from dynbuild import bake, inputs, machine, plan, settings, version

    context = asked.context.expanduser().resolve()
    env = os.environ
    templates = settings.templates_dir(asked.templates)
    config = settings.load(
        templates=templates,
        overlays=settings.overlays_of(context, asked.overlays),
        env=env,
        flags=asked.flags,
    )
    inputs.check_context(context)
    facts = machine.read(env)
    made = plan.make_plan(
        config,
        version=version.derive(version.read_git(context), env),
        context=context,
        machine=facts,
    )
    inputs.check(made)
    secrets = plan.secret_values(config.catalog, facts) | bake.environment(made)
    return _Decided(made, templates, secrets)


def _dockerfiles(decided: _Decided) -> dict[str, str]:
    from dynbuild.render import render

    return {image.name: render(image, decided.templates) for image in decided.plan.images}


@with_request
def plan(
    asked: Asked,
    format: Annotated[
        Literal["table", "json"], typer.Option("--format", help="For people, or for programs.")
    ] = "table",
) -> None:
    """Show what would be built, with every value and where it comes from.

    [bold]Examples[/bold]

      dynbuild plan --framework none --target runtime

      dynbuild plan --framework vllm --target runtime --cuda-version 13.0 --format json
    """
    from dynbuild.cli import plan_table

    decided = _decide(asked)
    if format == "json":
        console.out_json(decided.plan.document())
        return
    for line in plan_table.lines(decided.plan):
        console.out(line)
    for warning in decided.plan.warnings:
        console.warn(warning)


@with_request
def render(
    asked: Asked,
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", help="File, or folder/, to write.", show_default=False, metavar="PATH"
        ),
    ] = None,
) -> None:
    """Print the Dockerfile, or write it.

    [bold]Examples[/bold]

      dynbuild render --framework none --target runtime --device cpu

      dynbuild render --framework none --target runtime --output dockerfiles/
    """
    decided = _decide(asked)
    texts = _dockerfiles(decided)
    for image in decided.plan.images:
        if output is None:
            console.out(texts[image.name].rstrip("\n"))
            continue
        path = Path(output)
        try:
            if output.endswith("/"):
                path.mkdir(parents=True, exist_ok=True)
            if path.is_dir():
                path /= image.dockerfile
            path.write_text(texts[image.name], encoding="utf-8")
        except OSError as error:
            raise NotReady(f"{path} cannot be written: {error.strerror}") from error
        console.say(f"wrote {path}")


@with_request
def build(
    asked: Asked,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Print the command and its definition; touch nothing."),
    ] = False,
    format: Annotated[
        Literal["table", "json"], typer.Option("--format", help="For people, or for programs.")
    ] = "table",
) -> None:
    """Build an image.

    [bold]Examples[/bold]

      dynbuild build --framework none --target runtime --context ~/dynamo

      dynbuild build --framework none --target runtime --device cpu --dynamo-wheels index==0.9.0

      dynbuild build --framework none --target runtime --source ucx=../ucx

      dynbuild build --framework none --target runtime --push --repository example.com/ai/dynamo
    """
    decided = _decide(asked)
    texts = _dockerfiles(decided)
    if dry_run:
        _dry_run(decided, texts, format)
        return
    from dynbuild import drive, prepare
    from dynbuild.cli import report

    engine = _engine()
    for warning in decided.plan.warnings:
        console.warn(warning)
    prepare.run(
        decided.plan, engine=engine, env=os.environ, say=console.say, listen=report.preparing
    )
    for image in (image for image in decided.plan.images if image.tags):
        console.say(
            f"building {image.name} as {image.tags[0]} on the {engine.kind} engine {engine.version}"
        )
    with report.Progress() as progress:
        outcome = drive.build(
            decided.plan,
            texts,
            engine=engine,
            env=os.environ,
            secrets=decided.secrets,
            listen=progress,
        )
    for warning in outcome.warnings:
        console.warn(warning)
    if format == "json":
        console.out_json(report.document(outcome))
        return
    for line in report.summary(outcome):
        console.out(line)


def _dry_run(decided: _Decided, texts: dict[str, str], format: str) -> None:
    from dynbuild import bake, record

    plan = decided.plan
    now = record.Record(record.builds(Path(plan.context)) / record.new_id(plan.images[0].name))
    paths = {name: str(now.dockerfile(name, only=len(texts) == 1)) for name in texts}
    network, where = _where()
    definition = bake.definition(plan, paths, network=network)
    argv = bake.argv(
        plan, bake_file=str(now.bake), metadata_file=str(now.metadata), network=network
    )
    # A secret's variable is named, its value is not shown.
    env = where | bake.ENVIRONMENT | dict.fromkeys(decided.secrets, "...")
    before = [step.argv for step in plan.before]
    if format == "json":
        found = {"argv": argv, "env": env, "definition": definition, "dockerfiles": texts}
        console.out_json(found | ({"before": before} if before else {}))
        return
    for step in before:
        console.out(f"# First, in {plan.context}")
        console.out(shlex.join(step))
    console.out(f"# The command; the definition below would be {now.bake}")
    variables = (f"{name}={value}" for name, value in env.items())
    console.out(f"{' '.join(variables)} {shlex.join(argv)}")
    console.out("")
    console.out(json.dumps(definition, indent=2, ensure_ascii=False))


def _where() -> tuple[str, dict[str, str]]:
    """The network build steps would have, and the variables that lead to a private engine."""
    from dynbuild.engine import client

    try:
        engine = client.find(os.environ)
    except NotReady:
        return "bridge", {}
    own = engine.env(os.environ)
    return engine.network, {
        name: own[name]
        for name in ("DOCKER_HOST", "DOCKER_CONFIG")
        if name in own and own[name] != os.environ.get(name)
    }


def _engine() -> Any:
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
