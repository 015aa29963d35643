"""What several test modules use: requests, plans, the command line, git repositories.

Nothing here needs an engine or the network, and nothing depends on the caller's environment:
every process and every in-process command gets the environment that a test gives it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from unittest import mock

import hypothesis

from dynbuild.errors import RequestError
from dynbuild.plan import planner
from dynbuild.plan.machine import Machine
from dynbuild.plan.version import Version
from dynbuild.settings import load as settings
from dynbuild.settings.layers import Origin, Setting

ROOT = Path(__file__).resolve().parent.parent
TEMPLATES = ROOT / "templates"
WORKSPACE = ROOT / "examples" / "workspace"
DEMO = ROOT / "examples" / "demo"
GOLDEN = Path(__file__).resolve().parent / "golden"

CATALOG = tomllib.loads((TEMPLATES / "catalog.toml").read_text(encoding="utf-8"))
ARGUMENTS = CATALOG["args"]
"""The declarations of the build arguments; ``CATALOG`` has the values alone."""
CATALOG["args"] = {name: declared["value"] for name, declared in ARGUMENTS.items()}
CATALOG["arguments"] = {
    name: {key: value for key, value in declared.items() if key != "value"}
    for name, declared in ARGUMENTS.items()
}
SWITCHES = tuple(name for name, declared in ARGUMENTS.items() if declared["kind"] == "switch")
PER_BUILD = {name for name, declared in ARGUMENTS.items() if declared.get("per_build")}
UNKEYED = {name for name, declared in ARGUMENTS.items() if declared.get("unkeyed")}

# The same examples in every run, and no clock: a loaded machine fails no test.
hypothesis.settings.register_profile(
    "dynbuild", deadline=None, derandomize=True, database=None, max_examples=60
)
hypothesis.settings.load_profile("dynbuild")

ENV = {
    "PATH": os.environ.get("PATH", os.defpath),
    "HOME": "/dev/null/absent",
    "LC_ALL": "C.UTF-8",
    "TERM": "dumb",
    "COLUMNS": "80",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
}
"""The whole environment of a command under test."""

VERSION = Version(
    tag="v0.9.0", python="0.9.0", commit="0123abc" * 5, dirty=False, origin="git tag v0.9.0"
)
MACHINE = Machine(uid=1234, gid=5678)

NONE_RUNTIME = {"framework": "none", "target": "runtime"}
NONE_CPU = {**NONE_RUNTIME, "device": "cpu"}


def flags(args=None, contexts=None, **request):
    """The layer that flags make: build arguments, named contexts, fields of the request."""
    layer = {}
    for name, value in (args or {}).items():
        layer["args", name] = Setting(value, Origin("flag", f"--build-arg {name}"))
    for name, value in (contexts or {}).items():
        layer["contexts", name] = Setting(value, Origin("flag", "--build-context"))
    for name, value in request.items():
        layer["request", name] = Setting(value, Origin("flag", f"--{name.replace('_', '-')}"))
    return layer


def load(*overlays, env=None, templates=TEMPLATES, **asked):
    """Settings of the catalog, *overlays* (files), *env* and what ``flags`` takes."""
    return settings.load(
        templates=templates, overlays=overlays, env=env or {}, flags=flags(**asked)
    )


def make_job(
    *overlays,
    env=None,
    templates=TEMPLATES,
    version=VERSION,
    machine=MACHINE,
    context=WORKSPACE,
    **asked,
):
    """The job of a request, such as ``make_job(framework="none", target="runtime")``."""
    config = load(*overlays, env=env, templates=templates, **asked)
    return planner.make_plan(config, version=version, context=Path(context), machine=machine)


def make_plan(*overlays, **asked):
    """The plan of ``make_job``."""
    return make_job(*overlays, **asked).plan


def make_image_job(*overlays, **asked):
    """The one image of ``make_job``."""
    (image,) = make_job(*overlays, **asked).images
    return image


def make_image(*overlays, **asked):
    """The one image of ``make_plan``."""
    return make_image_job(*overlays, **asked).plan


def with_values(job, values):
    """*job* with those values of its own arguments, whatever the plan would say of them."""
    (image,) = job.images
    own = image.plan.build_args
    return with_args(job, {arg: values.get(arg, value) for arg, value in own.items()})


def with_args(job, args):
    """*job* with those arguments alone, whatever the plan would say of them."""
    return job.with_images(
        replace(image, plan=replace(image.plan, build_args=dict(args))) for image in job.images
    )


def refusal(*overlays, **asked):
    """The error that a request meets."""
    try:
        make_plan(*overlays, **asked)
    except RequestError as error:
        return error
    raise AssertionError("the request was not refused")


@dataclass(frozen=True)
class Result:
    """What a command left: its status and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def hint(self):
        """The text after ``hint:``, empty where there is none."""
        return self.err.partition("hint: ")[2].strip()


class Terminal(io.StringIO):
    """Text that says it goes to a terminal."""

    def isatty(self):
        return True


def call(*argv, env=None, cwd=None, columns=None):
    """Run the command line in this process; with *columns* on a terminal that is so wide."""
    from dynbuild.cli import command_line

    out, err = io.StringIO(), io.StringIO()
    if columns is not None:
        out, err = Terminal(), Terminal()
        env = {"COLUMNS": str(columns), "NO_COLOR": "1", **(env or {})}
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.dict(os.environ, {**ENV, **(env or {})}, clear=True))
        stack.enter_context(mock.patch.object(sys, "argv", ["dynbuild", *map(str, argv)]))
        stack.enter_context(contextlib.redirect_stdout(out))
        stack.enter_context(contextlib.redirect_stderr(err))
        if cwd is not None:
            stack.enter_context(contextlib.chdir(cwd))
        code = command_line(list(map(str, argv)))
        return Result(code, out.getvalue(), err.getvalue())


def spawn(*argv, env=None, cwd=ROOT, options=(), program=()):
    """Run ``python -m dynbuild``, or another *program*, as a process of its own."""
    done = subprocess.run(
        [*(program or (sys.executable, *options, "-m", "dynbuild")), *map(str, argv)],
        env={**ENV, **(env or {})},
        cwd=cwd,
        capture_output=True,
        text=True,
        errors="surrogateescape",
        check=False,
    )
    return Result(done.returncode, done.stdout, done.stderr)


def git(directory, *argv):
    """Run git in *directory* and return what it prints."""
    done = subprocess.run(
        ["git", *argv], cwd=directory, env=ENV, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def repository(directory, *tags):
    """A git repository with one commit, *tags* at it."""
    directory.mkdir(parents=True, exist_ok=True)
    git(directory, "init", "--quiet", "--initial-branch", "main")
    commit(directory)
    for tag in tags:
        git(directory, "tag", tag)
    return directory


def commit(directory, file="file"):
    """Add a commit."""
    path = directory / file
    path.write_text(f"{path.read_text()}more\n" if path.exists() else "first\n")
    git(directory, "add", file)
    git(directory, "commit", "--quiet", "--message", "change")


def workspace(directory, *tags):
    """A copy of the example tree as a repository, without what was built in the original."""
    shutil.copytree(WORKSPACE, directory, ignore=shutil.ignore_patterns(".dynbuild", "target"))
    git(directory, "init", "--quiet", "--initial-branch", "main")
    git(directory, "add", "--all")
    git(directory, "commit", "--quiet", "--message", "one")
    for tag in tags:
        git(directory, "tag", tag)
    return directory


def source_tree(directory):
    """The least that passes for Dynamo's source tree."""
    from dynbuild.build.inputs import SOURCE_TREE

    directory.mkdir(parents=True, exist_ok=True)
    for entry in SOURCE_TREE:
        path = directory / entry
        if "." in entry or entry == "LICENSE":
            path.touch()
        else:
            path.mkdir()
    files = ["container/deps/requirements.txt", "container/deps/requirements.test.txt"]
    lines = ("common", "planner", "vllm", "benchmark", "frontend", "dev")
    files += [f"container/deps/requirements.{name}.txt" for name in lines]
    files += ["container/launch_message/runtime.txt", "container/launch_message/frontend.txt"]
    (directory / "lib/gpu_memory_service").mkdir()
    for name in files:
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return directory


def spawn_python(code, *argv, env=None, cwd=ROOT):
    """Run *code* as a program of its own, with *argv* as its arguments."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, argv)],
        env={**ENV, **(env or {})},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    return Result(done.returncode, done.stdout, done.stderr)


def names_of(model):
    """The fields of a dataclass."""
    return tuple(field.name for field in dataclasses.fields(model))
