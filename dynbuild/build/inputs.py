"""What a plan reads from disk: whether it is there, before anything is started."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from dynbuild import addresses, names
from dynbuild.build import trtllm_wheel
from dynbuild.errors import NotReady, RequestError
from dynbuild.plan import build_cache, epp
from dynbuild.plan.document import LINK, ImagePlan, Preparation
from dynbuild.plan.job import ImageJob, Job
from dynbuild.plan.trtllm.intent import CONTEXT, SCRIPT

SOURCE_TREE = (
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "hatch_build.py",
    "Cargo.toml",
    "Cargo.lock",
    "rust-toolchain.toml",
    "components",
    "lib",
)
"""What the wheel stages copy (facts: build context requirements)."""


def check_context(context: Path) -> None:
    """Raise if there is no folder *context*.

    Raises:
        RequestError: There is none.
    """
    if not context.is_dir():
        raise RequestError(
            f"the build context {context} does not exist", hint="--context names a folder"
        )


def check(job: Job) -> None:
    """Raise if an input of *job* is missing.

    Raises:
        RequestError: The context, a named context, or a file of the source tree.
    """
    plan = job.plan
    context = Path(plan.context)
    check_context(context)
    for step in plan.before:
        _check_command(step, context)
    for one in job.images:
        image = one.plan
        if one.recipe.from_source:
            _check_tree(one, context)
        if one.recipe.local_wheel and not plan.before and CONTEXT in image.contexts:
            _check_wheel(image)
        for secret in one.secrets:
            if secret.src and not Path(secret.src).is_file():
                raise RequestError(
                    f"the file of the secret '{secret.id}' is not there: {secret.src}",
                    hint="site.ca_bundle, or SSL_CERT_FILE, names a file of certificates",
                )
        for name, where in image.contexts.items():
            if where.startswith(LINK) or names.is_address(where):
                continue
            if where in (step.makes for step in plan.before):
                continue
            if not Path(where).is_dir():
                source = name.removesuffix("_src")
                raise RequestError(
                    f"the source path of '{name}' is not there: {where}",
                    hint=f"--source {source}=PATH and --build-context {name}=PATH take a folder",
                )


def ignore_file(root: Path) -> str:
    """The text of the ``.dockerignore`` of the context *root*; empty where there is none.

    Raises:
        RequestError: It cannot be read.
    """
    own = root / ".dockerignore"
    try:
        return own.read_text(encoding="utf-8", errors="surrogateescape") if own.is_file() else ""
    except OSError as error:
        raise RequestError(f"{own} cannot be read: {error.strerror}") from error


def read_by_name(job: Job) -> tuple[str, ...]:
    """The paths of the source tree that steps of *job* copy or mount by their names."""
    built = [one for one in job.images if one.recipe.from_source]
    files = (file for one in built for file in _files(one))
    return tuple(dict.fromkeys((*(SOURCE_TREE if built else ()), *files)))


def check_logins(job: Job, env: Mapping[str, str]) -> None:
    """Raise if a variable or an agent with the logins of *job* is not there.

    Raises:
        NotReady: One of them.
    """
    for one in job.images:
        image = one.plan
        specs = (*image.cache_from, *image.cache_to)
        _check_actions(specs, env)
        git = [secret.env for secret in one.secrets if secret.id.startswith("GIT_AUTH_")]
        for name in (*git, *addresses.variables_of(specs)):
            value = env.get(name, "")
            if not value or (name not in git and re.search(r'[,"\s]', value)):
                wrong = "has a comma, a quote or a blank" if value else "is not set"
                raise NotReady(
                    f"the variable {name}, from which {image.name} gets a login, {wrong}",
                    hint="site.git_auth_token, site.git_auth_header and ${NAME} in --cache-to name"
                    " variables that hold secrets",
                )
        if image.ssh and not Path(env.get("SSH_AUTH_SOCK") or "/nonexistent").is_socket():
            raise NotReady(
                f"{image.name} fetches from git by ssh, and no ssh agent runs (SSH_AUTH_SOCK)",
                hint='eval "$(ssh-agent)" && ssh-add; or a token: site.git_auth_token',
            )


_ADDRESSES = ("ACTIONS_RESULTS_URL", "ACTIONS_CACHE_URL")


def _check_actions(specs: Iterable[str], env: Mapping[str, str]) -> None:
    """BuildKit leaves the cache of GitHub Actions out in silence where these are not set.

    Raises:
        NotReady: A variable that leads to it is not there.
    """
    for spec in specs:
        keys = build_cache.fields(spec).keys()
        if not re.match(r"(?:.*,)?type=gha(?:,|$)", spec):
            continue
        lacking = []
        if "token" not in keys and not env.get("ACTIONS_RUNTIME_TOKEN"):
            lacking.append("ACTIONS_RUNTIME_TOKEN")
        if not keys & {"url", "url_v2"} and not any(map(env.get, _ADDRESSES)):
            lacking.append(" or ".join(_ADDRESSES))
        if lacking:
            raise NotReady(
                f"the cache of GitHub Actions needs the variables {' and '.join(lacking)},"
                " which are not set",
                hint="in a job, the action crazy-max/ghaction-github-runtime exports them; "
                "elsewhere there is no such cache: --cache registry or local=DIR",
            )


def _check_command(step: Preparation, context: Path) -> None:
    """The source tree has what builds its part."""
    needed = Path(epp.FOLDER, "Makefile") if step.what == "epp" else Path(SCRIPT)
    if not (context / needed).is_file():
        raise RequestError(
            f"the build context {context} has no {needed}, which builds {step.makes}",
            hint="--context names Dynamo's source tree",
        )


def _check_wheel(image: ImagePlan) -> None:
    """The folder has one wheel that fits, which is looked for again inside the build."""
    (platform,) = image.platforms
    trtllm_wheel.find(
        Path(image.contexts[CONTEXT]),
        arch=names.architecture(platform),
        python_version=image.build_args["PYTHON_VERSION"],
    )


def _check_tree(one: ImageJob, context: Path) -> None:
    missing = [entry for entry in SOURCE_TREE if not (context / entry).exists()]
    if missing:
        raise RequestError(
            f"the build context {context} has no {missing[0]}: it is not Dynamo's source tree",
            hint="--context PATH names that tree; without one, --dynamo-wheels index takes "
            f"published wheels for {one.name}",
            details=(f"missing: {', '.join(missing)}",) if len(missing) > 1 else (),
        )
    files = [file for file in dict.fromkeys(_files(one)) if not (context / file).exists()]
    if files:
        raise RequestError(
            f"the build context {context} has no {files[0]}, which {one.name} installs from",
            hint="another --release-line may be the one of that tree; or a framework's"
            " 'requirements' in dynbuild.toml",
            details=(f"missing: {', '.join(files)}",) if len(files) > 1 else (),
        )


def _files(one: ImageJob) -> Iterator[str]:
    """The files of the source tree that the steps of an image read by their names."""
    chain = {stage.name: stage.template for stage in one.stages}
    engine = "runtime" in chain and chain["runtime"] != "runtime.none"
    own = one.recipe.target_requirements
    for target in ("runtime", "frontend", "planner", "test"):
        installs = engine if target == "runtime" else target == "frontend"
        if target in chain and (target in own or installs):
            yield from (f"container/deps/{name}" for name in one.recipe.requirements_of(target))
    if engine or "frontend" in chain:
        if engine:
            yield "container/launch_message/runtime.txt"
        if "frontend" in chain:
            yield "container/launch_message/frontend.txt"
    if "dev" in chain and one.recipe.dev_requirements:
        files = (*one.recipe.requirements, *one.recipe.dev_requirements)
        yield from (f"container/deps/{name}" for name in files)
    if "gms_wheel" in chain:
        yield "lib/gpu_memory_service"
