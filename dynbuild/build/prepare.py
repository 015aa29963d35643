"""Before the solve: what the source tree builds by itself and the images then take.

These are the tree's own commands (the endpoint picker's Makefile, TensorRT-LLM's wheel
script).  They get the engine's address, and of the caller's environment what tools need and
what holds no secret.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from dynbuild import masking, proc
from dynbuild.addresses import secret_in
from dynbuild.build import trtllm_wheel
from dynbuild.engine.model import Engine
from dynbuild.errors import BuildFailed, ToolFailed
from dynbuild.plan.document import Preparation
from dynbuild.plan.job import Job


def run(
    job: Job,
    *,
    engine: Engine,
    env: Mapping[str, str],
    say: Callable[[str], None],
    listen: Callable[[str], None],
    cancellation: proc.Cancellation,
) -> None:
    """Run what *job* needs before its solve; a wheel that is there already is kept.

    Args:
        job: What will be built.
        engine: Where the commands find Docker.
        env: The caller's environment.
        say: Told what is done.
        listen: Told every line that a command prints.
        cancellation: What calls the build off.

    Raises:
        Interrupted: The build was called off.
        BuildFailed: A command failed, or did not make what it should.
        NotReady: A program that is needed is not installed.
    """
    for step in job.plan.before:
        if _is_there(step, job):
            say(f"{step.what}: {step.makes} is there already")
            continue
        say(f"{step.what}: building {step.makes}")
        try:
            proc.stream(
                step.argv,
                env=engine.env(environment(env)),
                cwd=Path(job.plan.context),
                listen=listen,
                cancellation=cancellation,
            )
        except ToolFailed as error:
            raise BuildFailed(
                f"{step.what}: {error.message}",
                details=error.details,
                hint="its build is the source tree's own; run the command there to see more",
            ) from error
        if not _was_made(step, job, engine, env):
            raise BuildFailed(
                f"{step.what}: the command ended well, but made no {step.makes}",
                hint=f"the source tree's {step.argv[0]} names what it makes otherwise",
            )


_PASSED = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|TERM|COLUMNS|LANG|LANGUAGE|LC_\w+|TZ|TMPDIR|TMP|TEMP|CI"
    r"|XDG_\w+_(HOME|DIR|DIRS)|SOURCE_DATE_EPOCH|MAKEFLAGS|CC|CXX|ECR_HOSTNAME"
    r"|DOCKER_(HOST|CONFIG|CONTEXT|TLS|TLS_VERIFY|CERT_PATH|BUILDKIT|DEFAULT_PLATFORM)"
    r"|BUILDX_CONFIG|BUILDKIT_PROGRESS|GO[A-Z]+|CARGO_HOME|RUSTUP_HOME|UV_CACHE_DIR|PIP_CACHE_DIR"
    r"|SSL_CERT_(FILE|DIR)|CURL_CA_BUNDLE|REQUESTS_CA_BUNDLE|GIT_SSL_CAINFO|PIP_CERT"
    r"|(PIP|UV)_INDEX_URL|PIP_CONFIG_FILE|(?i:(HTTP|HTTPS|FTP|NO|ALL)_PROXY)"
)
"""Variables that a tree's commands get: what finds tools, the engine, mirrors and proxies."""


def environment(env: Mapping[str, str]) -> dict[str, str]:
    """Of *env* what the tree's own commands get: what is known to be needed, and no secret."""
    return {
        name: value
        for name, value in env.items()
        if _PASSED.fullmatch(name)
        and not masking.secret_value(name, value)
        and secret_in(value) is None
        and masking.scrub_message(value) == value
    }


def _is_there(step: Preparation, job: Job) -> bool:
    # An image is cheap to ask make for again, and make knows what changed.
    return step.what == "trtllm_wheel" and _wheel(step, job) is not None


def _was_made(step: Preparation, job: Job, engine: Engine, env: Mapping[str, str]) -> bool:
    if step.what == "trtllm_wheel":
        return _wheel(step, job) is not None
    asked = [engine.docker, "image", "inspect", "--format", "{{.Id}}", step.makes]
    return proc.run(asked, env=engine.env(env), check=False).returncode == 0


def _wheel(step: Preparation, job: Job) -> Path | None:
    wheel = job.wheels[step.makes]
    return trtllm_wheel.built(wheel.intent, python_version=wheel.python_version)
