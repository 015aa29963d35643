"""Builds made up for the tests of reports: BuildKit's progress, and whole records."""

import json
import random
from base64 import b64encode
from datetime import UTC, datetime, timedelta

from dynbuild.build.record import Record
from dynbuild.build.result import BuildResult, ImageResult, Steps
from dynbuild.build.solve import Solve, replay

BEGUN = datetime(2026, 11, 22, 1, 30, 12, tzinfo=UTC)
ID = "20261122T013012-4711-none-runtime-cpu"


def time(seconds):
    return (BEGUN + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def vertex(digest, name, start, end, inputs=(), **more):
    """The line of a step that ended; without *end* of one that is worked on."""
    value = {"digest": digest, "name": name, "inputs": list(inputs), "started": time(start), **more}
    if end is not None:
        value["completed"] = time(end)
    return json.dumps({"vertexes": [value]}) + "\n"


def printed(digest, text, seconds):
    log = {"vertex": digest, "stream": 1, "data": b64encode(text.encode()).decode()}
    return json.dumps({"logs": [{**log, "timestamp": time(seconds)}]}) + "\n"


def solved(*lines):
    solve = Solve()
    list(replay(lines, solve))
    return solve


def graph(seed, waits=False):
    """A random graph: seconds of each step, the steps before it, and the wait before it."""
    chance = random.Random(seed)
    count = chance.randint(2, 9)
    seconds = {f"s{n}": chance.randint(1, 40) / 4 for n in range(count)}
    before = {f"s{n}": [f"s{m}" for m in range(n) if chance.random() < 0.4] for n in range(count)}
    waited = {step: chance.choice((0, 0, 0.5, 2)) if waits else 0 for step in seconds}
    return seconds, before, waited


def scheduled(seconds, before, waited):
    """Progress of the graph when each step begins as soon as it may, after its wait."""
    ends, lines = {}, []
    for step, took in seconds.items():
        start = max((ends[other] for other in before[step]), default=0) + waited[step]
        ends[step] = start + took
        lines.append(vertex(step, f"[{step} 1/1] RUN {step}", start, ends[step], before[step]))
    return lines


def longest(weights, before):
    """Weight of the longest path, by walking every one of them."""

    def walk(step):
        return weights[step] + max((walk(other) for other in before[step]), default=0)

    return max(map(walk, weights))


def result(**more):
    image = ImageResult(
        id="none-runtime-cpu",
        output="load",
        tags=("dynamo:v0.9.0-none-runtime",),
        digest="sha256:" + "ab" * 32,
        size=239_000_000,
    )
    values = {
        "status": "done",
        "seconds": 20.0,
        "steps": Steps(run=2, cached=1),
        "images": (image,),
    }
    return BuildResult(**{**values, **more})


LINES = (
    vertex("d0", "[internal] load build definition from Dockerfile", 0, 0.5),
    vertex("d1", "[ucx 1/3] FROM docker.io/library/debian", 0.5, 1),
    vertex("d2", "[ucx 2/3] RUN cd /source && make -j2", 1, 11, ["d1"]),
    printed("d2", "CC <ucx>.o\n\x1b[31mwarning\x1b[0m: </script><!-- odd\n", 5),
    vertex("d3", "[ucx 3/3] COPY text /text", 11, 11, ["d2"], cached=True),
    vertex("d4", "[nixl 1/1] RUN meson compile", 1, 5, ["d1"]),
    vertex("d5", "[stage-2 1/1] COPY --from=ucx /ucx /ucx", 13, 14, ["d3", "d4"]),
    vertex("d6", "exporting to image", 14, 19),
)
"""A build of 20 seconds: compiling takes ten, before the last COPY it waits for two."""


def recorded(builds, lines=LINES, ended=None, build_id=ID):
    """A record in the folder *builds*."""
    folder = builds / build_id
    folder.mkdir(parents=True)
    source = Record(folder)
    source.events.write_text("".join(lines), encoding="utf-8")
    if ended is not None:
        source.write_json(source.result, ended.document())
    return source


def large(steps, lines, seed=1):
    """Progress of a build of many steps and lines, in stages of ten, ten stages at once."""
    chance = random.Random(seed)
    ends, made = {}, []
    for n in range(steps):
        stage, index = divmod(n, 10)
        inputs = [f"v{n - 1}"] if index else []
        if not index and stage > 9:
            inputs = [f"v{10 * chance.randrange(stage) + 9}"]
        start = max((ends[i] for i in inputs), default=0.0) + chance.random() / 10
        ends[f"v{n}"] = start + chance.expovariate(1 / 3)
        command = "cd /source && make -j" + " ".join(
            f"part{chance.randrange(999)}" for _ in range(9)
        )
        cached = {"cached": True} if chance.random() < 0.3 else {}
        name = f"[stage{stage} {index + 1:2}/10] RUN {command}"
        made.append(vertex(f"v{n}", name, start, ends[f"v{n}"], inputs, **cached))
        share = lines // steps
        text = "".join(
            f"[{k}/{share}] CXX obj/part{chance.randrange(9999)}/file{k}.cpp.o -O2 -g\n"
            for k in range(share)
        )
        made.append(printed(f"v{n}", text, start))
    return made
