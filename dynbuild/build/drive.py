"""Run a plan: one BuildKit solve through ``docker buildx bake``, recorded as it goes."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dynbuild import proc
from dynbuild.build import compile_figures, record
from dynbuild.build.compile_figures import Figures
from dynbuild.build.events import Event, Warned
from dynbuild.build.log import Log
from dynbuild.build.record import Record
from dynbuild.build.solve import Solve
from dynbuild.engine.model import Engine
from dynbuild.errors import BuildFailed, Interrupted
from dynbuild.plan.document import Plan
from dynbuild.render import bake


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """One image that was built.

    Attributes:
        name: Key of the image in the plan.
        tags: Its names.
        digest: Digest of what was exported; empty where nothing was.
        size: Bytes that the engine's store says it takes; ``None`` when not loaded.
    """

    name: str
    tags: tuple[str, ...]
    digest: str
    size: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A build that went well.

    Attributes:
        record: Its record.
        images: What it made.
        seconds: Wall-clock time of the solve.
        counts: See ``Solve.counts``.
        warnings: BuildKit's, each once, and those of the compile cache.
        compile_cache: What it did (see ``compile_figures.document``); ``None`` without one.
    """

    record: Record
    images: tuple[Built, ...]
    seconds: float
    counts: Mapping[str, int]
    warnings: tuple[str, ...]
    compile_cache: Mapping[str, Any] | None = None


def build(
    plan: Plan,
    dockerfiles: Mapping[str, str],
    *,
    engine: Engine,
    env: Mapping[str, str],
    secrets: Mapping[str, str],
    listen: Callable[[Event], None],
    cancellation: proc.Cancellation,
) -> Outcome:
    """Build *plan*.

    Args:
        plan: What to build.
        dockerfiles: Text of the Dockerfile of each image, by image name.
        engine: Where to build.
        env: The caller's environment.
        secrets: Values of the secrets that BuildKit reads from variables.
        listen: Told of every event as it happens.
        cancellation: What calls the build off.

    Raises:
        BuildFailed: A step failed; the message has its name, its last lines and the log.
        Interrupted: The build was called off; the record is closed.
        NotReady: The record cannot be written.
    """
    context = Path(plan.context)
    now = record.create(context, record.new_id(plan.images[0].name))
    solve = Solve(datetime.now(UTC), [bake.target_name(image) for image in plan.images])
    told = Log()
    figures = Figures()
    warnings: list[str] = []
    begun = time.monotonic()
    status = "failed"
    try:
        with ExitStack() as stack:
            stack.enter_context(cancellation.observe())
            network = bake.network_of(plan, engine.network)
            _write_inputs(now, plan, dockerfiles, context, network)
            log = stack.enter_context(now.log.open("w", encoding="utf-8"))
            events = stack.enter_context(now.events.open("w", encoding="utf-8"))
            # Closed with the stack: an error in here must cancel the build as well.
            process = stack.enter_context(
                _bake(plan, now, engine, {**env, **secrets}, cancellation)
            )
            for line in process.lines():
                if line.startswith("{"):
                    events.write(f"{line}\n")
                for event in solve.feed(line):
                    log.writelines(f"{text}\n" for text in told.lines(event))
                    log.flush()
                    figures.feed(event)
                    if isinstance(event, Warned):
                        warnings.append(event.text)
                    listen(event)
            ended = process.wait()
        if cancellation.cancelled:
            status = "interrupted"
            raise Interrupted(
                "interrupted; the build is cancelled", hint=f"its log so far: {now.log}"
            )
        if ended != 0:
            raise _failure(solve, now, ended)
        status = "done"
    finally:
        seconds = time.monotonic() - begun
        images = _images(plan, now, engine, env) if status == "done" else ()
        counts = solve.counts()
        cached = None
        if plan.compile_cache:
            before = _figures_before(context, plan.images[0].name)
            cached = compile_figures.document(figures, plan.compile_cache, before)
            warnings += compile_figures.warnings(figures, plan.compile_cache, before)
        now.finish(
            {
                "schema": 1,
                "id": now.id,
                "status": status,
                "seconds": round(seconds, 3),
                "steps": counts,
                **({"compile_cache": cached} if cached else {}),
                "warnings": list(dict.fromkeys(warnings)),
                "images": [
                    {"name": i.name, "tags": list(i.tags), "digest": i.digest, "size": i.size}
                    for i in images
                ],
            }
        )
    return Outcome(
        record=now,
        images=images,
        seconds=seconds,
        counts=counts,
        warnings=tuple(dict.fromkeys(warnings)),
        compile_cache=cached,
    )


def _figures_before(context: Path, image: str) -> Mapping[str, Any] | None:
    """What the compile cache did in the last build of *image* that compiled anything."""
    for _, result in record.finished(context):
        cached = result.get("compile_cache") or {}
        names = [entry.get("name") for entry in result.get("images", ())]
        if image in names and cached.get("total", {}).get("hit_rate") is not None:
            return dict(cached)
    return None


def _write_inputs(
    now: Record, plan: Plan, dockerfiles: Mapping[str, str], context: Path, network: str
) -> None:
    only = len(plan.images) == 1
    paths = {name: now.dockerfile(name, only=only) for name in dockerfiles}
    # BuildKit prefers the ignore file beside the Dockerfile: the tree's own rules hold,
    # and dynbuild's records never travel to the builder.
    own = context / ".dockerignore"
    ignore = own.read_text(encoding="utf-8") if own.is_file() else ""
    for name, path in paths.items():
        now.write(path, dockerfiles[name])
        now.write(path.with_name(f"{path.name}.dockerignore"), f"{ignore}\n{record.STATE}/\n")
    now.write_json(now.path / "plan.json", plan.document())
    texts = {name: str(path) for name, path in paths.items()}
    now.write_json(now.bake, bake.definition(plan, texts, network=network))


def _bake(
    plan: Plan,
    now: Record,
    engine: Engine,
    variables: Mapping[str, str],
    cancellation: proc.Cancellation,
) -> proc.Process:
    """The process of bake; its lines are the progress."""
    network = bake.network_of(plan, engine.network)
    _, *words = bake.argv(
        plan, bake_file=str(now.bake), metadata_file=str(now.metadata), network=network
    )
    return proc.start(
        (engine.docker, *words),
        env=engine.env(variables) | bake.ENVIRONMENT,
        cancellation=cancellation,
    )


def _failure(solve: Solve, now: Record, ended: int) -> BuildFailed:
    step = solve.failed()
    if step is None:
        # Nothing ran: the definition, the Dockerfile or the engine was refused.
        text = [line for line in solve.messages if line.strip()] or [f"status {ended}"]
        return BuildFailed(
            "the build could not be carried out",
            details=tuple(text[-12:]),
            hint=f"the whole log: {now.log}",
        )
    hint = f"the whole log: {now.log}"
    if "load metadata" in step.name.instruction or "failed to resolve source" in step.error:
        hint = (
            "if this machine cannot pull that image, give one that it has: --base-image, or "
            f"--build-context IMAGE=docker-image://OTHER; {hint}"
        )
    reason = re.sub(r'^process ".*" did not', "the command did not", step.error, flags=re.S)
    return BuildFailed(
        f"the step failed: {step.name.title[:160]}",
        details=(*step.tail, reason),
        hint=hint,
    )


def _images(plan: Plan, now: Record, engine: Engine, env: Mapping[str, str]) -> tuple[Built, ...]:
    metadata = json.loads(now.metadata.read_text()) if now.metadata.is_file() else {}
    found = []
    for image in (image for image in plan.images if image.tags):
        digest = metadata.get(bake.target_name(image), {}).get("containerimage.digest", "")
        size = _size(image.tags[0], engine, env) if image.output == "load" else None
        tags = image.tags if image.output != "none" else ()
        found.append(Built(name=image.name, tags=tags, digest=digest, size=size))
    return tuple(found)


def _size(tag: str, engine: Engine, env: Mapping[str, str]) -> int | None:
    done = proc.run(
        [engine.docker, "image", "ls", "--format", "{{.Size}}", tag],
        env=engine.env(env),
        check=False,
    )
    return _bytes(done.stdout.strip().splitlines()[0]) if done.stdout.strip() else None


def _bytes(text: str) -> int | None:
    units = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
    number = text.rstrip("BkMGT")
    try:
        return round(float(number) * units[text[len(number) :]])
    except (ValueError, KeyError):
        return None
