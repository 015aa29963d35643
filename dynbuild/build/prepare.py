"""Before the solve: what the source tree builds by itself and the images then take.

These are the tree's own commands (the endpoint picker's Makefile, TensorRT-LLM's wheel
script), run with the caller's environment and the engine's address.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from dynbuild import proc
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
                env=engine.env(env),
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
