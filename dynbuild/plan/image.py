"""One image of a plan: its Dockerfile's recipe, its names, contexts, caches and secrets.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dynbuild import names
from dynbuild.image_id import LABEL
from dynbuild.plan import build_cache, recipe, secrets, stages, tags
from dynbuild.plan.decision import Values
from dynbuild.plan.document import LINK, ImagePlan
from dynbuild.plan.job import ImageJob, Secret
from dynbuild.plan.machine import Machine
from dynbuild.plan.matrix import Cell
from dynbuild.plan.mirrors import Reach
from dynbuild.plan.recipe import Recipe
from dynbuild.plan.stages import Stage
from dynbuild.plan.trtllm.intent import CONTEXT, Intent
from dynbuild.plan.version import Version
from dynbuild.quick import dataclass
from dynbuild.sccache.cache import CompileCache
from dynbuild.settings.load import Settings
from dynbuild.settings.models import PASSED_THROUGH, Catalog
from dynbuild.settings.problems import Collector


@dataclass(frozen=True, slots=True, kw_only=True)
class CellDecision:
    """What holds for every image of a cell.

    Attributes:
        config: The settings.
        version: What git says.
        machine: The caller.
        values: The values of all arguments.
        wheel: Where TensorRT-LLM's wheel comes from.
        cache: The compile cache.
        reach: What the settings say of the outside.
    """

    config: Settings
    version: Version
    machine: Machine
    values: Values
    wheel: Intent | None
    cache: CompileCache | None
    reach: Reach


def of(cell: Cell, decision: CellDecision, problems: Collector) -> ImageJob | None:
    """The image of *cell*; ``None`` where there is none, and the problems say why."""
    with problems.collected():
        facts = recipe.of(decision.config, cell, decision.values, decision.reach)
        return _image(cell, facts, decision, problems)
    return None


def _image(cell: Cell, facts: Recipe, decision: CellDecision, problems: Collector) -> ImageJob:
    config, values = decision.config, decision.values
    request = config.catalog.request
    chain = stages.chain(facts)
    references: tuple[str, ...] = ()
    with problems.collected():
        references = tags.of(config, cell, decision.version, decision.machine.date)
    read: tuple[str, ...] = ()
    written: tuple[str, ...] = ()
    with problems.collected():
        read, written = _build_cache(cell, decision)
    used_secrets = _secrets(decision)
    build_args = {arg: values[arg] for arg in stages.args(chain)}
    contexts = _contexts(cell, chain, facts, config.catalog, decision.wheel)
    passed = {arg: setting for arg, setting in values.items() if arg in PASSED_THROUGH}
    plan = ImagePlan(
        name=str(cell.id),
        framework=cell.id.framework,
        target=cell.id.target,
        stage=cell.id.target,
        device=cell.id.device,
        cuda_version=cell.id.cuda or None,
        variant=cell.id.variant,
        release_line=request.release_line,
        platforms=cell.platforms,
        dockerfile=f"{cell.id}.Dockerfile",
        tags=references,
        build_args={arg: setting.value for arg, setting in build_args.items()},
        origins={arg: str(setting.origin) for arg, setting in build_args.items()},
        set_by={arg: setting.origin for arg, setting in build_args.items()},
        unset={
            arg: config.catalog.arguments[arg].empty
            for arg, setting in build_args.items()
            if not setting.value
        },
        used_by={arg: stages.using(arg, chain) for arg in build_args},
        unkeyed_args=tuple(arg for arg in build_args if arg in facts.unkeyed),
        passed_args=tuple(passed),
        passed_by={arg: str(setting.origin) for arg, setting in passed.items()},
        labels=_labels(decision, cell),
        secrets=tuple(secret.id for secret in used_secrets),
        ssh=any(map(names.needs_ssh, _repositories(chain, facts, contexts))),
        contexts=dict(contexts),
        cache_from=(*request.cache_from, *read),
        cache_to=(*request.cache_to, *written) if cell.requested else (),
        output=request.output if cell.requested else "none",
        compression=request.compression,
        retag=request.retag,
        no_cache=request.no_cache,
        depends_on=(str(cell.link.image),) if cell.link else (),
    )
    return ImageJob(
        plan=plan,
        recipe=facts,
        stages=chain,
        reach=decision.reach,
        secrets=used_secrets,
        passed={arg: str(setting.value) for arg, setting in passed.items()},
        compile_cache=decision.cache,
    )


def _secrets(decision: CellDecision) -> tuple[Secret, ...]:
    used = secrets.of(decision.config.catalog, decision.machine)
    if decision.cache and decision.cache.kind == "s3":
        used += tuple(Secret(id=name, env=env) for name, env in secrets.AWS_SECRETS.items())
    return used


def _contexts(
    cell: Cell, chain: tuple[Stage, ...], facts: Recipe, catalog: Catalog, wheel: Intent | None
) -> Mapping[str, str]:
    """The named build contexts: source trees, what people give, wheels, another image."""
    there = {stage.name for stage in chain}
    contexts = {
        f"{name}_src": source.path
        for name, source in facts.sources.items()
        if source.kind == "context" and f"{name}_src" in there
    } | dict(catalog.contexts)
    if wheel and wheel.context and CONTEXT in there:
        contexts.setdefault(CONTEXT, wheel.context)
    if "meson_packages" in there:
        contexts.setdefault("meson_packages", catalog.site.meson_packages)
    if cell.link:
        contexts[cell.link.stage] = f"{LINK}{cell.link.image}"
    return contexts


def _repositories(
    chain: tuple[Stage, ...], facts: Recipe, contexts: Mapping[str, str]
) -> Iterator[str]:
    """The git repositories that the stages fetch, but for those that a context replaces."""
    for stage in chain:
        source = facts.sources.get(stage.subject)
        if source and source.kind == "git" and stage.name not in contexts:
            yield source.repo


def _build_cache(cell: Cell, decision: CellDecision) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The build cache to read and to write."""
    config = decision.config
    request = config.catalog.request
    for key in ("cache_from", "cache_to"):
        for entry in getattr(request, key):
            build_cache.check(entry, key, origin=str(config.origin("request", key)))
    if not request.cache:
        return (), ()
    values = {arg: str(setting.value) for arg, setting in decision.values.items()}
    endpoint = values["SCCACHE_ENDPOINT"]
    if endpoint and "://" not in endpoint:
        plain = values["SCCACHE_S3_USE_SSL"] in ("off", "false", "0")
        endpoint = f"{'http' if plain else 'https'}://{endpoint}"
    subject = build_cache.Subject(
        image=cell.id,
        branch=decision.version.branch,
        # A tree with changes is not its commit.
        commit="" if decision.version.dirty else decision.version.commit,
        base=decision.version.base,
        repository=request.repository,
        bucket=values["SCCACHE_BUCKET"],
        region=values["SCCACHE_REGION"],
        endpoint=endpoint,
    )
    return build_cache.expand(request.cache, subject, origin=str(config.origin("request", "cache")))


def _labels(decision: CellDecision, cell: Cell) -> dict[str, str]:
    labels = {
        "org.opencontainers.image.title": f"dynamo {cell.id.framework} {cell.id.target}",
        "org.opencontainers.image.version": decision.version.tag,
        "org.opencontainers.image.revision": decision.values["DYNAMO_COMMIT_SHA"].value,
        "dynbuild.dirty": "true" if decision.version.dirty else "false",
        LABEL: str(cell.id),
        # Who dynamo is there; in other images always the same.
        "dynbuild.user": ":".join(decision.values[arg].value for arg in ("USER_UID", "USER_GID"))
        if cell.id.target.startswith("local-dev")
        else "",
    }
    return {key: value for key, value in labels.items() if value}
