"""What BuildKit sees of hostile values: through the bake definition and the Dockerfile.

The unit tests take quotes and HCL apart by rules of their own; here bake and BuildKit do.
"""

from __future__ import annotations

import json
import os

import pytest

from dynbuild import proc
from dynbuild.render import bake
from dynbuild.render.dockerfile import quote
from tests.render.test_bake import evaluate
from tests.render.test_properties import CHANGED, HOSTILE
from tests.support import make_job, with_args

# What a name in the environment of a step cannot hold is no hostile value but an impossible one.
VALUES = {f"VALUE_{number}": text for number, text in enumerate(HOSTILE)}


@pytest.fixture
def run(engine):
    """Run a docker command and return what it prints."""

    def run(*words):
        env = engine.env(os.environ) | bake.ENVIRONMENT
        return proc.run([engine.docker, *map(str, words)], env=env).stdout

    return run


def test_bake_reads_every_value_as_it_is(run, tmp_path):
    made = make_job(framework="none", target="runtime", device="cpu", context=tmp_path)
    (image,) = made.images
    job = with_args(made, VALUES)
    file = tmp_path / "bake.json"
    definition = bake.definition(job, {image.name: str(tmp_path / "Dockerfile")})
    file.write_text(json.dumps(definition), encoding="utf-8")
    name = image.id.bake_target
    said = json.loads(run("buildx", "bake", "--file", file, "--print", name))
    # What bake prints is a definition again, so that it writes HCL's signs as it reads them.
    printed = said["target"][name]["args"]
    assert printed == definition["target"][name]["args"]
    assert {name: evaluate(text) for name, text in printed.items()} == VALUES


def test_bake_changes_what_the_plan_refuses(run, tmp_path):
    """Else the plan would refuse it for nothing."""
    file = tmp_path / "bake.json"
    args = {f"VALUE_{number}": text for number, text in enumerate(CHANGED)}
    file.write_text(json.dumps({"target": {"t": {"args": args}}}), encoding="utf-8")
    said = json.loads(run("buildx", "bake", "--file", file, "--print", "t"))
    assert not [name for name, text in args.items() if said["target"]["t"]["args"][name] == text]


def _read_back(folder):
    return {name: (folder / name).read_text(encoding="utf-8") for name in VALUES}


@pytest.mark.parametrize("way", ["definition", "default"])
def test_a_step_sees_every_value_as_it_is(way, run, engine, base_image, tmp_path):
    """Passed as an argument, and as the default that the rendered file has."""
    out = tmp_path / "out"
    defaults = VALUES if way == "default" else dict.fromkeys(VALUES, "")
    lines = [f"ARG {name}={quote(text)}" for name, text in defaults.items()]
    lines += [f"FROM {base_image} AS written", "WORKDIR /written"]
    lines += [f"ARG {name}" for name in VALUES]
    lines.append(
        f"RUN for name in {' '.join(VALUES)}; do printenv $name | head -c -1 > $name; done"
    )
    lines += ["FROM scratch AS runtime", "COPY --from=written /written/ /", ""]
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text("\n".join(lines), encoding="utf-8")
    made = make_job(framework="none", target="runtime", device="cpu", context=tmp_path)
    (image,) = made.images
    job = with_args(made, VALUES if way == "definition" else {})
    definition = bake.definition(job, {image.name: str(dockerfile)}, network=engine.network)
    target = definition["target"][image.id.bake_target]
    target |= {"output": [f"type=local,dest={out}"], "tags": []}
    file = tmp_path / "bake.json"
    file.write_text(json.dumps(definition), encoding="utf-8")
    words = bake.targets(job.plan, network=engine.network)
    run("buildx", "bake", "--progress", "quiet", "--file", file, *words)
    assert _read_back(out) == VALUES
