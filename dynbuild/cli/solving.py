"""From a decision to a solve that can begin, and what is around the solve.

``build`` and ``matrix`` share it: consent, logins, engine and builder, the compile cache, the
tree's own commands, signals.
"""

from __future__ import annotations

import gc
import os
import shlex
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from dynbuild import proc, units
from dynbuild.build.background import Background
from dynbuild.cli import console, prompt, signals
from dynbuild.cli.planning import PlannedJob, decide, dockerfiles, notes_of, widenings
from dynbuild.cli.request import BuildRequest
from dynbuild.errors import NotReady
from dynbuild.quick import dataclass
from dynbuild.settings.layers import Origin, Setting

if TYPE_CHECKING:
    from dynbuild.build.result import Retry
    from dynbuild.engine.builder import Builder
    from dynbuild.engine.model import Engine
    from dynbuild.engine.private.network import Trouble
    from dynbuild.engine.registry import Answer
    from dynbuild.plan.document import PlanDocument
    from dynbuild.sccache.s3.credentials import Credentials

_HOUR = 3600.0
_SLOWER = 1.5


def is_to_build(
    request: BuildRequest,
    planned: PlannedJob,
    texts: dict[str, str],
    format: str,
    *,
    dry_run: bool,
    trust: bool,
) -> bool:
    """Whether what is *planned* is to be built: not where it is only to be shown, which is done.

    Raises:
        RequestError: The tree's own file asks for what nobody consented to.
    """
    if not dry_run:
        _check_trust(planned, trust=trust)
        return True
    for note in notes_of(planned):
        console.warn(note)
    _dry_run_of(request, planned, texts, format)
    return False


class Search:
    """The search for an engine, and for what is wrong with its network.

    It goes on beside the planning, which takes about as long.
    """

    def __init__(self) -> None:
        self.engine = Background(_find)
        self._trouble = Background(self._look)

    def _look(self) -> Trouble | None:
        from dynbuild.engine import private

        engine = self.engine.result()
        # Whoever does without the private engine imports nothing of its network.
        return private.network_trouble(engine, os.environ) if engine.kind == "private" else None

    def network_trouble(self, engine: Engine) -> Trouble | None:
        """What is wrong with the network of *engine*, be it the one that was found or another."""
        from dynbuild.engine import private

        with suppress(NotReady):
            if self.engine.result() == engine:
                return self._trouble.result()
        return private.network_trouble(engine, os.environ)


def _find() -> Engine:
    from dynbuild.engine import client

    return client.find(os.environ)


def engine_of(search: Search) -> Engine:
    """The engine to build on; where none runs, the private one is offered.

    Raises:
        NotReady: No engine answers.
    """
    try:
        return search.engine.result()
    except NotReady:
        offered = prompt.is_interactive() and not os.environ.get("DOCKER_HOST")
        if not offered or not typer.confirm(
            "No Docker engine answers. Start a private one now?", default=True, err=True
        ):
            raise
    from dynbuild.engine import private

    return private.up(os.environ, console.say)


class Again:
    """What was asked of a registry, or a bucket, again; a person is told of each."""

    def __init__(self) -> None:
        self.retries: list[Retry] = []

    def __call__(self, one: Retry) -> None:
        """Take in one."""
        self.retries.append(one)
        wait = units.format_time(one.waited)
        console.warn(f"{one.step}: {one.message}: tried again in {wait}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """What is planned, on a machine that can solve it.

    Attributes:
        planned: What is built, with the credentials for it.
        texts: Text of the Dockerfile of each image, by its name.
        engine: Where.
        builder: Who solves it.
        lost: What is done without, as warnings.
        again: What was asked of a registry again.
        said: What a registry said of tags that are to be pushed.
    """

    planned: PlannedJob
    texts: dict[str, str]
    engine: Engine
    builder: Builder
    lost: tuple[str, ...]
    again: Again
    said: Mapping[str, Answer]

    def warn_at_end(self, warnings: Iterable[str]) -> None:
        """Tell the *warnings* of a result, and once more what was done without."""
        for warning in (*warnings, *self.lost):
            console.warn(warning)


def make_ready(
    request: BuildRequest,
    planned: PlannedJob,
    texts: dict[str, str],
    search: Search | None = None,
) -> Ready:
    """Find who can build what is *planned*, and tell the warnings of it.

    Args:
        request: What the command line says.
        planned: What to build.
        texts: Text of the Dockerfile of each image, by its name.
        search: The search for the engine; without one, it begins now.

    Raises:
        NotReady: The machine cannot build it.
        RequestError: A tag of it is another image's.
    """
    from dynbuild.build import inputs

    inputs.check_logins(planned.job, os.environ)
    search = search or Search()
    engine = engine_of(search)
    again = Again()
    builder = _builder_of(request, engine, planned.plan, texts)
    said = _check_tags(builder, planned.plan, again)
    if builder.in_engine and engine.kind == "private":
        _check_network(search, engine)
    planned, texts, lost = _with_compile_cache(request, planned, texts, builder, again)
    for warning in (*planned.plan.warnings, *lost):
        console.warn(warning)
    return Ready(
        planned=planned,
        texts=texts,
        engine=engine,
        builder=builder,
        lost=lost,
        again=again,
        said=said,
    )


@contextmanager
def running(ready: Ready) -> Iterator[proc.Cancellation]:
    """Run what the tree makes before its solves; signals call off that, and what the block does.

    Raises:
        Interrupted: It was called off before the block.
        BuildFailed: A command of the tree failed.
        NotReady: A program that is needed is not installed.
    """
    cancellation = proc.Cancellation()
    # What follows may take hours. The planning before is short, and what it made stays.
    gc.freeze()
    gc.enable()
    try:
        with signals.cancelling(cancellation):
            if ready.planned.plan.before:
                from dynbuild.build import prepare

                prepare.run(
                    ready.planned.job,
                    engine=ready.engine,
                    env=os.environ,
                    say=console.say,
                    listen=console.detail,
                    cancellation=cancellation,
                )
            yield cancellation
    finally:
        gc.unfreeze()


def _check_trust(planned: PlannedJob, *, trust: bool) -> None:
    """Nothing is done that the tree's own file asks for without consent.

    Raises:
        RequestError: There is none.
    """
    if planned.configs[0].tree_file is None:
        return
    from dynbuild.cli.trust import check

    check(planned.configs[0], widenings(planned), trust=trust)


def _check_tags(builder: Builder, plan: PlanDocument, again: Again) -> Mapping[str, Answer]:
    """Raise where a tag that is to be pushed is another image's; what was said of each.

    Raises:
        RequestError: One is.
        NotReady: The registry does not answer.
    """
    if all(image.output != "push" for image in plan.images):
        return {}
    from dynbuild.build.tag_conflicts import check_tags

    return check_tags(builder, os.environ, plan, again)


def _builder_of(
    request: BuildRequest, engine: Engine, plan: PlanDocument, texts: dict[str, str]
) -> Builder:
    """The builder of *engine*, which can solve this and hand over what comes of it.

    One that the command line names is that of all processes from here on.

    Raises:
        NotReady: It cannot.
    """
    from dynbuild.build.base_images import check_bases, check_load
    from dynbuild.engine import builder, requirements
    from dynbuild.render import bake

    _name_builder(request)
    if not engine.heeds_builder(os.environ):
        if request.builder:
            raise NotReady(
                f"the private engine's client has no builder '{request.builder}'",
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
    return found


def _name_builder(request: BuildRequest) -> None:
    from dynbuild.engine.model import BUILDER

    if request.builder:
        os.environ[BUILDER] = request.builder


def _check_network(search: Search, engine: Engine) -> None:
    """Raise where build steps of the private engine would have no network.

    That this installation uses it is noted.

    Raises:
        NotReady: What its network needs is gone.
    """
    from dynbuild.engine import private

    private.join(os.environ)
    wrong = search.network_trouble(engine)
    if wrong is None:
        return
    message = f"build steps have no network: {wrong.message}"
    if wrong.kind != "connection":
        raise NotReady(message, hint="`dynbuild engine up` mends that")
    # Steps may need none of it: a proxy has a name server of its own.
    console.warn(message)


def _with_compile_cache(
    request: BuildRequest,
    planned: PlannedJob,
    texts: dict[str, str],
    builder: Builder,
    again: Again,
) -> tuple[PlannedJob, dict[str, str], tuple[str, ...]]:
    """Check the compile cache in S3 and fetch its credentials, before anything is built.

    Returns:
        The decision with the credentials; or, where the cache cannot be used and is optional,
        the decision without it and a warning.

    Raises:
        NotReady: The cache cannot be used.
    """
    cache = planned.job.compile_cache
    if cache is None or cache.kind == "local":
        return planned, texts, ()
    from datetime import UTC, datetime

    from dynbuild.build.result import Retry
    from dynbuild.render import bake
    from dynbuild.sccache.s3 import credentials, preflight

    def asked_again(message: str, waited: float) -> None:
        again(Retry(step="checking the compile cache", message=message, waited=waited))

    console.say(f"checking the compile cache in the bucket {cache.bucket}")
    found = preflight.check(
        cache, os.environ, expected_seconds=_expected(planned.plan), now=datetime.now(UTC),
        network=bake.network_of(planned.plan, builder.network), again=asked_again,
    )  # fmt: skip
    for finding in found:
        if finding.note:
            console.warn(f"{finding.message}; {finding.remedy}")
    wrong = [finding for finding in found if not finding.note]
    if not wrong:
        return _with_credentials(planned, credentials.find(os.environ)), texts, ()
    first, *more = wrong
    if not cache.optional:
        raise NotReady(
            f"the compile cache cannot be used: {first.message}",
            hint=f"{first.remedy}; or --sccache-optional builds without it",
            details=tuple(f"{finding.message}: {finding.remedy}" for finding in more),
        )
    off = Setting("", Origin("flag", "--sccache-optional"))
    request = replace(request, flags={**request.flags, ("request", "use_sccache"): off})
    planned = decide(request)
    lost = f"built without the compile cache: {first.message} ({first.remedy})"
    return planned, dockerfiles(planned), (lost,)


def _with_credentials(planned: PlannedJob, given: Credentials) -> PlannedJob:
    """*planned* with the credentials of the compile cache; of a role, with what renews its keys."""
    from dynbuild.plan import secrets

    identity = given.web_identity
    if identity is None:
        keys = (given.access_key, given.secret_key, given.token)
        found = dict(zip(secrets.AWS_SECRETS.values(), keys, strict=True))
        return replace(planned, secrets=planned.secrets | found)
    role = (identity.role_arn, identity.session_name)
    found = dict(zip(secrets.AWS_ROLE.values(), role, strict=True))
    job = secrets.with_web_identity(planned.job, identity.token_file)
    return replace(planned, job=job, secrets=planned.secrets | found)


def _expected(plan: PlanDocument) -> float:
    """Seconds that the build may take: somewhat more than the last one of its image did."""
    from dynbuild.build import record

    for result in record.finished(Path(plan.context)):
        if result.status == "done" and result.made(plan.images[0].name):
            return max(_HOUR, _SLOWER * result.seconds)
    return _HOUR


def _dry_run_of(
    request: BuildRequest, planned: PlannedJob, texts: dict[str, str], format: str
) -> None:
    """Print the command that would run, and its definition."""
    from dynbuild.build import record
    from dynbuild.engine.model import BUILDER
    from dynbuild.render import bake

    plan = planned.plan
    now = record.Record(record.builds(Path(plan.context)) / record.new_id(plan.images[0].name))
    paths = {name: str(now.dockerfile(name, only=len(texts) == 1)) for name in texts}
    _name_builder(request)
    network, where = _where()
    where |= {BUILDER: request.builder} if request.builder else {}
    network = bake.network_of(plan, network)
    definition = bake.definition(planned.job, paths, network=network)
    argv = bake.argv(
        plan, bake_file=str(now.bake), metadata_file=str(now.metadata), network=network
    )
    # A secret's variable is named, its value is not shown.
    named = [secret.env for image in planned.job.images for secret in image.secrets if secret.env]
    env = where | bake.ENVIRONMENT | bake.handed(plan)
    env |= dict.fromkeys((*planned.secrets, *named), "...")
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
