"""Real Dockerfiles with nothing to do: each RUN only notes that it ran, and waits a moment.

The graph of the steps stays as it is rendered; what steps compile is not the business of who
schedules them.  A step is counted by a line that it sends to a socket on loopback, over the
machine's own network: progress of BuildKit tells of steps that another solve ran, and cache
mounts of builds side by side were seen to lose what was written
(https://github.com/moby/buildkit/issues/7088).
"""

import hashlib
import re
import socketserver
import threading
import uuid
from dataclasses import replace

from dynbuild import names, proc
from dynbuild.engine import builder
from dynbuild.matrix import record, run
from dynbuild.plan import planner
from dynbuild.plan.job import Job
from dynbuild.render import graph, instructions
from dynbuild.render.dockerfile import render
from tests.cells import cells
from tests.session import NAME
from tests.support import MACHINE, TEMPLATES, VERSION, load, make_job

WIDE = [
    cell
    for cell in cells()
    if (cell.variant, cell.line) == ("default", "0.9.0") and not cell.target.endswith("-aws")
]
"""Cells of the catalog's own line, without AWS's layers."""

SMALL = [
    cell
    for cell in WIDE
    if cell.target in ("dynamo_base", "local-dev") and cell.framework in ("none", "sglang")
]
"""Cells of two frameworks, three devices, and few steps."""

NONE = next(cell for cell in WIDE if (cell.framework, cell.target) == ("none", "runtime"))


class Lab:
    """Dockerfiles of one experiment on an engine.

    Attributes:
        base: The image that takes the place of every base image.
        name: Of the experiment; no other one has steps in common with it.
        ran: A line for each step that was run so far.
    """

    def __init__(self, engine, env, base, seconds=0.0):
        self.engine, self.env, self.base = engine, env, base
        self.seconds = seconds
        self.name = uuid.uuid4().hex
        self.ran = []
        lines = self.ran

        class Line(socketserver.StreamRequestHandler):
            def handle(self):
                lines.append(self.rfile.readline().decode().strip())

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Line)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        """Take no more lines."""
        self._server.shutdown()
        self._server.server_close()

    def text(self, dockerfile, fails=()):
        """*dockerfile* with stand-ins for its steps; those whose stage is in *fails* fail."""
        defaults, stages = instructions.read(dockerfile)
        known = {stage.name.lower() for stage in stages}
        lines = [f"ARG {name}={value}" for name, value in defaults.items()]
        for stage in stages:
            lines += self._stage(stage, known, fails)
        return "\n".join((*lines, ""))

    def _stage(self, stage, known, fails):
        base = stage.base
        if base.lower() in known or "TARGETARCH" in base:
            yield f"FROM {base} AS {stage.name}"
        else:
            # The name of the real image stands in a step, so that two of them are two.
            yield f"FROM {self.base} AS {stage.name}"
            for arg in re.findall(r"\$\{(\w+)\}", base):
                yield f"ARG {arg}"
            if base != "scratch":
                yield self._run("from", f"from {base}")
        *_, last = [one for one in stage.instructions if one.keyword == "RUN"] or [None]
        for one in stage.instructions:
            if one.keyword in ("ARG", "ENV"):
                yield f"{one.keyword} {one.text}"
            elif one.keyword in ("COPY", "ADD") and one.flag("from").lower() in known:
                yield self._run(
                    stage.name, str(one), f"--mount=type=bind,from={one.flag('from')},target=/from"
                )
            elif one.keyword == "RUN":
                origins = dict.fromkeys(instructions.origins(one, {}))
                own = [
                    f"--mount=type=bind,from={name},target=/from{number}"
                    for number, name in enumerate(origins)
                    if name.lower() in known
                ]
                status = "; exit 7" if stage.name in fails and one is last else ""
                yield self._run(stage.name, f"{one.text}{one.body}", *own, end=status)

    def _run(self, stage, what, *flags, end=""):
        mark = hashlib.sha256(what.encode()).hexdigest()[:12]
        wait = f"sleep {self.seconds} && " if self.seconds else ""
        # What it leaves depends on all that it sees, as with a real step.
        told = (
            f"bash -c 'echo {stage}-{mark} > /dev/tcp/127.0.0.1/{self._server.server_address[1]}'"
        )
        work = f"env > /{stage}-{mark} && {told}"
        return " ".join(("RUN", *flags, f"{wait}{work}{end} # {self.name}"))


class Set:
    """Cells of the catalog as lab images, with the same steps in every run of it."""

    def __init__(self, lab, tree, chosen, output="none", repository=f"{NAME}/lab", *, caches=""):
        self.lab, self.tree, self.caches = lab, tree, caches
        jobs = []
        for cell in chosen:
            name = {"tag": f"{repository}:{str(cell).replace(' ', '-')}-1", "tag_latest": False}
            job = make_job(**cell.asked | name, context=tree)
            images = tuple(self._bare(image, output) for image in job.images)
            jobs.append(planner.CellJob(id=images[0].id, images=images))
        shared = planner.Shared(
            config=load(framework="none", target="runtime"),
            version=VERSION,
            context=tree,
            machine=MACHINE,
        )
        job = planner.merge(jobs, shared)
        plan = replace(job.plan, network="host")
        self.job: Job = replace(job, plan=plan)
        self.fails: dict[str, tuple[str, ...]] = {}

    def _bare(self, image, output):
        ours = {"contexts": {}, "secrets": (), "output": output, "dockerfile": "Dockerfile"}
        if self.caches:
            entry = f"type=registry,ref={self.caches}:{names.as_tag(image.name)}"
            ours |= {"cache_from": (entry,), "cache_to": (f"{entry},mode=max",)}
        return replace(image, plan=replace(image.plan, **ours), secrets=())

    def tagged(self, end):
        """Give the images other tags, which end in *end*."""
        images = tuple(
            replace(
                image,
                plan=replace(image.plan, tags=tuple(f"{tag}-{end}" for tag in image.plan.tags)),
            )
            for image in self.job.images
        )
        self.job = self.job.with_images(images)

    @property
    def texts(self):
        return {
            image.name: self.lab.text(render(image, TEMPLATES), self.fails.get(image.name, ()))
            for image in self.job.images
        }

    def distinct(self):
        """Keys of the RUN steps of all images."""
        graphs = [graph.of(image.plan, self.texts[image.name]) for image in self.job.images]
        return {key for one in graphs for key, step in one.steps.items() if step.is_run}

    def run(self, *, done=(), listen=None, cancellation=None, engine=None, env=None, **options):
        heard, env = [], env or self.lab.env
        site = run.Site(
            builder=builder.find(engine or self.lab.engine, env),
            env=env,
            secrets={},
            cancellation=cancellation or proc.Cancellation(),
            listen=listen or heard.append,
        )
        return run.run(
            self.job,
            self.texts,
            site=site,
            options=run.Options(**{"jobs": 24, **options}),
            record=record.create(self.job.plan, "lab"),
            done=done,
        )


class Stubs(Set):
    """Cells of two steps each, of which all have the first in common."""

    def __init__(self, lab, tree, count, repository=f"{NAME}/stub"):
        super().__init__(lab, tree, [NONE], output="load", repository=repository)
        (one,) = self.job.images
        own = [replace(one.id, variant=f"stub-{number}") for number in range(count)]
        images = tuple(
            replace(
                one,
                plan=replace(
                    one.plan,
                    name=str(name),
                    variant=name.variant,
                    stage="last",
                    tags=(f"{repository}:{name.variant}",),
                    dockerfile=f"{name}.Dockerfile",
                ),
            )
            for name in own
        )
        self.job = self.job.with_images(images)

    @property
    def texts(self):
        return {
            image.name: "\n".join(
                (
                    f"FROM {self.lab.base} AS last",
                    self.lab._run("last", "common"),
                    self.lab._run("last", image.name),
                    "",
                )
            )
            for image in self.job.images
        }


def status(result):
    """How each cell of a matrix ended, by its id."""
    return {cell.id: cell.status for cell in result.cells}


def status_names(many):
    """The ids of the cells of a set, in their order."""
    return [image.name for image in many.job.images]
