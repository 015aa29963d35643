"""Run tests in an image that was built, each in a container of its own."""

from __future__ import annotations

import platform
import time
import uuid
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Literal

from dynbuild import proc
from dynbuild.build import failure
from dynbuild.engine import images
from dynbuild.engine.builder import Builder
from dynbuild.errors import DynbuildError
from dynbuild.matrix.result import TestResult
from dynbuild.plan.image_tests import ImageTest

_LINES = 20
_HERE = {"x86_64": "linux/amd64", "aarch64": "linux/arm64"}
_ENGINE_FAILED = 125
"""The status of ``docker run`` where no container was made."""


def run(
    tests: Iterable[ImageTest],
    image: str,
    *,
    platforms: Collection[str],
    builder: Builder,
    env: Mapping[str, str],
    cancellation: proc.Cancellation,
) -> tuple[TestResult, ...]:
    """How each of *tests* ends in *image*.

    An image that the engine does not have is pulled, and removed afterwards: what is tested is
    what the registry has.

    Args:
        tests: What to run.
        image: Its reference.
        platforms: What it is for: where this machine runs none of them, its tests are skipped.
        builder: Whose engine and logins are used.
        env: The caller's environment.
        cancellation: What calls it off.
    """
    there = bool(images.inspect(builder.engine, env, [image], ("Id",)))
    results = []
    for test in tests:
        if cancellation.cancelled:
            results.append(_result(test, "skipped", message="it was called off"))
        else:
            ended = _run(test, image, builder, env, cancellation)
            results.append(_foreign(ended, platforms))
    if not there:
        with suppress(DynbuildError):
            argv = (builder.engine.docker, "image", "rm", image)
            proc.run(argv, env=builder.env(env), check=False)
    return tuple(results)


def _foreign(ended: TestResult, platforms: Collection[str]) -> TestResult:
    """*ended*, which is no failure of an image that this machine cannot run."""
    if ended.status != "failed" or _HERE.get(platform.machine()) in platforms:
        return ended
    known = failure.recognise("\n".join(ended.lines))
    if known is None or known.kind != "platform":
        return ended
    said = f"this machine does not run {', '.join(platforms)}"
    return replace(ended, status="skipped", message=said)


def _run(
    test: ImageTest,
    image: str,
    builder: Builder,
    env: Mapping[str, str],
    cancellation: proc.Cancellation,
) -> TestResult:
    docker, own = builder.engine.docker, builder.env(env)
    name = f"dynbuild-test-{uuid.uuid4().hex[:12]}"
    first, *rest = test.argv
    words = ("--rm", "--name", name, "--network", "none", "--entrypoint", first)
    user = ("--user", test.user) if test.user else ()
    tail: deque[str] = deque(maxlen=_LINES)
    begun = time.monotonic()
    with cancellation.part(test.seconds) as part:
        try:
            with proc.start(
                (docker, "run", *words, *user, image, *rest), env=own, cancellation=part, grace=1.0
            ) as process:
                tail.extend(process.lines())
                status = process.wait()
        finally:
            if part.cancelled:
                # The client is gone; what it started is not.
                proc.run((docker, "rm", "--force", name), env=own, check=False)
    seconds = round(time.monotonic() - begun, 3)
    lines = tuple(tail)
    if cancellation.cancelled:
        return _result(test, "skipped", seconds, "it was called off")
    if part.late:
        return _result(test, "failed", seconds, f"it took longer than {test.seconds:g} s", lines)
    if status == 0:
        return _result(test, "passed", seconds)
    said = "no container could be made" if status == _ENGINE_FAILED else f"exit status {status}"
    return _result(test, "failed", seconds, said, lines)


def _result(
    test: ImageTest,
    status: Literal["passed", "failed", "skipped"],
    seconds: float = 0.0,
    message: str = "",
    lines: tuple[str, ...] = (),
) -> TestResult:
    return TestResult(
        name=test.name,
        promised=test.promised,
        status=status,
        seconds=seconds,
        message=message,
        lines=lines,
    )
