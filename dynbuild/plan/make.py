"""From settings to a plan: which images, from which stages, with which values, and why.

Pure: nothing is read, started or written here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dynbuild.errors import RequestError
from dynbuild.plan import arguments, build_cache, matrix, mirrors, stages, tags
from dynbuild.plan.document import LINK, ImagePlan, PlanDocument, PlannedVersion, Preparation
from dynbuild.plan.job import ImageJob, Job, Secret, Wheel
from dynbuild.plan.machine import Machine
from dynbuild.plan.matrix import Choice
from dynbuild.plan.recipe import Recipe
from dynbuild.plan.secrets import AWS_SECRETS, secret_sources
from dynbuild.plan.trtllm.intent import CONTEXT, Intent
from dynbuild.plan.version import Version
from dynbuild.sccache.cache import CompileCache
from dynbuild.settings.layers import Origin, Setting
from dynbuild.settings.load import OVERLAY_NAME, Settings
from dynbuild.settings.models import PASSED_THROUGH


def make_plan(config: Settings, *, version: Version, context: Path, machine: Machine) -> Job:
    """Decide on the requested image, and on those that it is built on or that come with it.

    Raises:
        RequestError: The combination does not exist, or a value cannot be used.
    """
    asked = matrix.choose(config)
    warnings: list[str] = []
    values = arguments.of(config, asked, version, uid=machine.uid, gid=machine.gid)
    before = _epp(config, asked, values, version, _make_variables(context, machine))
    wheel = arguments.trtllm_wheel(config, asked, context, values)
    cache = arguments.compile_cache_of(config, values)
    if wheel:
        warnings += wheel.warnings
        before += _wheel_command(wheel)
    mirrored = mirrors.of_args(config, values, made={step.makes for step in before})
    decided = _Decided(version, machine, mirrored, wheel, cache)
    images = [_image(config, choice, decided) for choice in matrix.with_efa(config, asked)]
    for image in images:
        warnings += _check_downloads(config, image.recipe, values)
    if cache and cache.read_only and cache.kind == "s3":
        warnings += arguments.unheeded_read_only(values)
    used = {arg for image in images for arg in image.plan.build_args}
    warnings += arguments.unused(values, used)
    if values["USER_UID"].origin == Origin("machine", "the caller is root") and "USER_UID" in used:
        kept = arguments.IMAGE_UID
        warnings.append(f"the caller is root, so dynamo keeps the uid {kept}; --uid gives another")
    if version.dirty:
        warnings.append("the source tree has uncommitted changes; the image is labelled dirty")
    plan = PlanDocument(
        version=PlannedVersion(
            tag=version.tag,
            python=version.python,
            commit=version.commit,
            dirty=version.dirty,
            origin=version.origin,
        ),
        context=str(context),
        network=config.catalog.request.network,
        before=before,
        images=tuple(image.plan for image in images),
        warnings=tuple(dict.fromkeys(warnings)),
    )
    wheels = {}
    if wheel and wheel.command:
        python = str(values["PYTHON_VERSION"].value)
        wheels[wheel.output] = Wheel(intent=wheel, python_version=python)
    return Job(plan=plan, images=tuple(images), wheels=wheels)


def _image(config: Settings, choice: Choice, decided: _Decided) -> ImageJob:
    catalog, values, wheel = config.catalog, decided.values, decided.wheel
    recipe = _recipe(config, choice, values)
    _check_tools(config, recipe)
    chain = stages.chain(recipe)
    secrets = secret_sources(catalog, decided.machine)
    if decided.cache and decided.cache.kind == "s3":
        secrets += tuple(Secret(id=name, env=variable) for name, variable in AWS_SECRETS.items())
    contexts = {
        f"{name}_src": source.path
        for name, source in recipe.sources.items()
        if source.kind == "context" and any(stage.name == f"{name}_src" for stage in chain)
    } | dict(catalog.contexts)
    if wheel and wheel.context and any(stage.name == CONTEXT for stage in chain):
        contexts.setdefault(CONTEXT, wheel.context)
    if any(stage.name == "meson_packages" for stage in chain):
        contexts.setdefault("meson_packages", catalog.site.meson_packages)
    below: tuple[str, ...] = ()
    if choice.linked:
        base = str(choice.linked.image)
        below = (base,)
        contexts[choice.linked.stage] = f"{LINK}{base}"
    name = str(choice.id)
    read, written = _build_cache(config, choice, decided)
    build_args = {arg: values[arg] for arg in stages.args(chain)}
    plan = ImagePlan(
        name=name,
        framework=choice.framework,
        target=choice.target,
        stage=choice.target,
        device=choice.device,
        cuda_version=choice.cuda or None,
        variant=choice.variant,
        release_line=catalog.request.release_line,
        platforms=choice.platforms,
        dockerfile=f"{name}.Dockerfile",
        tags=tags.of(config, choice, decided.version) if choice.wanted else (),
        build_args={arg: setting.value for arg, setting in build_args.items()},
        origins={arg: str(setting.origin) for arg, setting in build_args.items()},
        set_by={arg: setting.origin for arg, setting in build_args.items()},
        passed_args=tuple(arg for arg in values if arg in PASSED_THROUGH),
        labels=_labels(decided.version, choice, commit=values["DYNAMO_COMMIT_SHA"].value),
        secrets=tuple(secret.id for secret in secrets),
        contexts=contexts,
        cache_from=(*catalog.request.cache_from, *read),
        cache_to=(*catalog.request.cache_to, *written) if choice.wanted else (),
        output=catalog.request.output if choice.wanted else "none",
        no_cache=catalog.request.no_cache,
        depends_on=below,
    )
    return ImageJob(
        plan=plan,
        recipe=recipe,
        reach=mirrors.reach(config),
        secrets=secrets,
        passed={arg: values[arg].value for arg in values if arg in PASSED_THROUGH},
        compile_cache=decided.cache,
    )


@dataclass(frozen=True, slots=True)
class _Decided:
    """What holds for every image of the plan."""

    version: Version
    machine: Machine
    values: Mapping[str, Setting]
    wheel: Intent | None
    cache: CompileCache | None


def _build_cache(
    config: Settings, choice: Choice, decided: _Decided
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    request = config.catalog.request
    if not request.cache:
        return (), ()
    values = {arg: str(setting.value) for arg, setting in decided.values.items()}
    endpoint = values["SCCACHE_ENDPOINT"]
    if endpoint and "://" not in endpoint:
        plain = values["SCCACHE_S3_USE_SSL"] in ("off", "false", "0")
        endpoint = f"{'http' if plain else 'https'}://{endpoint}"
    place = build_cache.Place(
        image=choice.id,
        branch=decided.version.branch,
        repository=request.repository,
        bucket=values["SCCACHE_BUCKET"],
        region=values["SCCACHE_REGION"],
        endpoint=endpoint,
    )
    return build_cache.expand(request.cache, place, origin=str(config.origin("request", "cache")))


EPP_FOLDER = "deploy/inference-gateway/epp"
"""Where the source tree builds the endpoint picker (facts: frontend / EPP flow)."""


def _make_variables(context: Path, machine: Machine) -> tuple[str, ...]:
    """What the endpoint picker's Makefile is told (facts: frontend / EPP flow)."""
    host = machine.ecr_hostname
    proxy = (f"DOCKER_PROXY={host}/dockerhub/",) if host else ()
    return (f"DYNAMO_DIR={context}", *proxy)


def _epp(
    config: Settings,
    asked: Choice,
    values: dict[str, Setting],
    version: Version,
    variables: tuple[str, ...],
) -> tuple[Preparation, ...]:
    """The tree's own build of the endpoint picker, and the image that it makes as EPP_IMAGE."""
    if not config.catalog.request.build_epp:
        return ()
    origin = config.origin("request", "build_epp")
    if asked.target != "frontend":
        raise RequestError(
            f"the endpoint picker is part of the frontend, not of {asked.target}",
            origin=str(origin),
            hint="add --target frontend, or drop --build-epp",
        )
    if values["EPP_IMAGE"].origin.layer == origin.layer == "flag":
        raise RequestError(
            "--build-epp and --epp-image exclude each other: one endpoint picker is needed",
            origin=f"{origin}, {values['EPP_IMAGE'].origin}",
            hint="drop one of them",
        )
    image = f"dynamo/dynamo-epp:{version.described or 'dev'}"
    values["EPP_IMAGE"] = Setting(image, origin)
    argv = ("make", "-C", EPP_FOLDER, "all", *variables)
    return (Preparation(what="epp", argv=argv, makes=image),)


def _wheel_command(intent: Intent) -> tuple[Preparation, ...]:
    if not intent.command:
        return ()
    made = Preparation(what="trtllm_wheel", argv=intent.command, makes=intent.output)
    return (made,)


def _recipe(config: Settings, choice: Choice, values: Mapping[str, Setting]) -> Recipe:
    catalog = config.catalog
    framework = catalog.frameworks[choice.framework]
    wheels, _ = matrix.dynamo_wheels(config)

    def on(arg: str) -> bool:
        return bool(values[arg].value == "true")

    if wheels == "index" and on("ENABLE_GPU_MEMORY_SERVICE"):
        raise RequestError(
            "the GPU memory service has no published wheel",
            origin=str(values["ENABLE_GPU_MEMORY_SERVICE"].origin),
            hint="use --dynamo-wheels source, or --no-enable-gpu-memory-service",
        )
    return Recipe(
        framework=choice.framework,
        target=choice.target,
        device=choice.device,
        cuda=choice.cuda,
        dynamo_wheels=wheels,
        kvbm=on("ENABLE_KVBM"),
        gms=on("ENABLE_GPU_MEMORY_SERVICE"),
        media_ffmpeg=on("ENABLE_MEDIA_FFMPEG"),
        media_nixl=on("ENABLE_MEDIA_NIXL"),
        sources=mirrors.of_sources(config),
        tools=mirrors.of_tools(config),
        engine=framework.engine,
        requirements=tuple(framework.requirements),
        dev_requirements=tuple(framework.dev_requirements),
        dev_workspace=framework.dev_workspace,
        compile_cache=catalog.request.use_sccache,
        local_wheel=values["HAS_TRTLLM_CONTEXT"].value == "1",
        linked=choice.linked.stage if choice.linked else "",
        site=mirrors.wanted(catalog),
        meson_packages=bool(catalog.site.meson_packages),
    )


def _check_tools(config: Settings, recipe: Recipe) -> None:
    """Refuse to leave out a tool that the stages call."""
    for name in ("uv", "rust", "protoc") if recipe.from_source else ("uv",):
        if recipe.tools[name].kind == "none":
            raise RequestError(
                f"the images cannot be built without {name}",
                origin=str(config.origin("tools", name, "kind")),
                hint=f"tools.{name}.kind is one of: image, url, apt, pypi",
            )


def _check_downloads(
    config: Settings,
    recipe: Recipe,
    values: Mapping[str, Setting],
) -> list[str]:
    """Refuse a checksum that belongs to another version; warn of downloads without one."""
    warnings = []
    for stage in stages.chain(recipe):
        if stage.template == "tool.url":
            tool = recipe.tools[stage.subject]
            table, used = "tools", [tool.version]
            sums: dict[tuple[str, ...], str] = {
                ("sha256", arch): tool.sha256.get(arch, "") for arch in tool.url
            }
        elif stage.template == "source.url":
            source = recipe.sources[stage.subject]
            table, used = "sources", re.findall(r"\$\{(\w+)\}", source.url)
            sums = {("sha256",): source.sha256}
        else:
            continue
        if not all(sums.values()):
            warnings.append(
                f"{stage.subject} is downloaded without a checksum "
                f"(set {table}.{stage.subject}.sha256)"
            )
        fixed = [
            key
            for key, value in sums.items()
            if value and config.origin(table, stage.subject, *key).layer == "catalog"
        ]
        moved = [arg for arg in used if values[arg].value != config.lowest("args", arg)]
        if fixed and moved:
            raise RequestError(
                f"{moved[0]} is changed to {values[moved[0]].value}, but the checksum of "
                f"{stage.subject} is the one of the catalog's version",
                origin=str(values[moved[0]].origin),
                hint=f"give the new one as {table}.{stage.subject}.sha256 in "
                f'{OVERLAY_NAME} ("" goes without)',
            )
    return warnings


def _labels(version: Version, choice: Choice, *, commit: str) -> dict[str, str]:
    labels = {
        "org.opencontainers.image.title": f"dynamo {choice.framework} {choice.target}",
        "org.opencontainers.image.version": version.tag,
        "org.opencontainers.image.revision": commit,
        "dynbuild.dirty": "true" if version.dirty else "false",
        "dynbuild.image": str(choice.id),
    }
    return {key: value for key, value in labels.items() if value}
