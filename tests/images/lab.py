"""Real Dockerfiles with nothing to do: each RUN only notes that it ran, and waits a moment.

The graph of the steps stays as it is rendered; what steps compile is not the business of who
schedules them.  A step is counted by a line that it leaves in a cache mount, since progress of
BuildKit tells of steps that another solve ran.
"""

import hashlib
import re
import uuid

from dynbuild import proc
from dynbuild.render import instructions


class Lab:
    """Dockerfiles of one experiment on an engine.

    Attributes:
        base: The image that takes the place of every base image.
        name: Of the experiment; no other one has steps in common with it.
    """

    def __init__(self, engine, env, base, seconds=0.0):
        self.engine, self.env, self.base = engine, env, base
        self.seconds = seconds
        self.name = uuid.uuid4().hex

    @property
    def _mount(self):
        return f"--mount=type=cache,id={self.name},target=/ran"

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
        flags = " ".join((self._mount, *flags))
        wait = f"sleep {self.seconds} && " if self.seconds else ""
        # What it leaves depends on all that it sees, as with a real step.
        work = f"env > /{stage}-{mark} && echo {stage}-{mark} >> /ran/log"
        return f"RUN {flags} {wait}{work}{end} # {self.name}"

    def ran(self, tmp_path):
        """A line for each step that was run so far."""
        file = tmp_path / f"read-{uuid.uuid4().hex}"
        file.mkdir()
        text = (
            f"FROM {self.base}\n"
            f"RUN {self._mount} touch /ran/log && cp /ran/log /log # {uuid.uuid4()}\n"
            "FROM scratch\nCOPY --from=0 /log /log\n"
        )
        (file / "Dockerfile").write_text(text)
        argv = (self.engine.docker, "buildx", "build", "--quiet", "--output", str(file), str(file))
        proc.run(argv, env=self.engine.env(self.env))
        return (file / "log").read_text().split()
