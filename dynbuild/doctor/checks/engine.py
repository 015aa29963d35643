"""The engine: does it answer, and what can it do."""

from __future__ import annotations

import re

from dynbuild.doctor.model import Answer, absent, ok, problem, warning
from dynbuild.doctor.probe import Probe, version_number
from dynbuild.engine import limits as engine_limits
from dynbuild.engine import private, requirements
from dynbuild.engine.builder import Builder
from dynbuild.errors import NotReady
from dynbuild.names import PLATFORMS
from dynbuild.run.limits import fit
from dynbuild.run.request import DEFAULT_ULIMITS

# `docker buildx build --check` came with it.
_BUILDX = (0, 15)
# Dynamo's dev containers hang under it.
_BAD_ENGINES = ("29.0.1",)


def engine(probe: Probe) -> Answer:
    """An engine answers, of a version without known trouble."""
    found = probe.found
    if isinstance(found, NotReady):
        if "ServerVersion" in probe.info:
            return ok(f"system, Docker {probe.info['ServerVersion']}")
        why = "; ".join(dict.fromkeys((found.message, *found.details)))
        return problem(why, found.hint or "")
    value = f"{found.kind}, Docker {found.version}"
    if found.network == "host":
        value += ", on the host's network only"
    if found.version.split("+")[0] in _BAD_ENGINES:
        return warning(value, "dev containers hang under this version: use another one")
    return ok(value)


def network(probe: Probe) -> Answer:
    """Build steps and containers of the private engine reach something."""
    engine = probe.engine
    if engine is None:
        return absent("not looked for: there is no engine")
    if engine.kind != "private":
        return ok("the engine's own affair")
    if engine.network == "host":
        return ok("the host's")
    wrong = private.network_trouble(engine, probe.env)
    if wrong is None:
        return ok("a bridge, with its rules in place")
    say = warning if wrong.kind == "connection" else problem
    return say(wrong.message, "run `dynbuild engine up`")


def buildx(probe: Probe) -> Answer:
    """Its client has buildx, new enough."""
    found = probe.found
    if isinstance(found, NotReady):
        if "ServerVersion" in probe.info:
            return problem(found.message, found.hint or "")
        return absent("not looked for: there is no engine")
    if isinstance(probe.builder, Builder):
        for need in requirements.missing(probe.builder):
            if need.program == "buildx":
                remedy = requirements.remedy(probe.builder, need)
                return problem(f"{found.buildx}; builds need {need}", remedy)
    if version_number(found.buildx)[:2] < _BUILDX:
        return warning(
            f"{found.buildx or 'unknown version'}, older than 0.15",
            "Dockerfiles cannot be checked (--check): install a newer buildx",
        )
    return ok(f"{found.buildx}, Dockerfiles can be checked")


def buildkit(probe: Probe) -> Answer:
    """The builder has a BuildKit that is new enough for every template."""
    builder = probe.builder
    if builder is None:
        return absent("not looked for: there is no engine")
    if isinstance(builder, NotReady):
        return problem(builder.message, builder.hint or "")
    if builder.version is None:
        return ok(f"of an unknown version, of {builder}")
    value = f"{'.'.join(map(str, builder.version))}, of {builder}"
    old = [
        need
        for need in requirements.NEEDS
        if need.program == "BuildKit" and need.since > builder.version
    ]
    if not old:
        return ok(value)
    newest = max(old, key=lambda need: need.since)
    return warning(f"{value}; some images need {newest}", requirements.remedy(builder, newest))


def store(probe: Probe) -> Answer:
    """Where it keeps images, which decides what they can be."""
    if probe.engine is None:
        return absent("not looked for: there is no engine")
    if probe.engine.containerd_store:
        return ok("containerd: keeps several platforms and attestations")
    return absent(
        "classic: one platform an image, no attestations",
        'set "features": {"containerd-snapshotter": true} in the engine\'s daemon.json',
    )


def platforms(probe: Probe) -> Answer:
    """The platforms it can build for."""
    engine = probe.engine
    if engine is None:
        return absent("not looked for: there is no engine")
    said = probe.run(engine.docker, "buildx", "inspect", env=engine.env(probe.env)).stdout
    lines = re.findall(r"^\s*Platforms:\s*(.*)$", said, re.MULTILINE)
    names = {name.strip(" *") for line in lines for name in line.split(",")}
    found = [name for name in PLATFORMS if name in names]
    missing = [name for name in PLATFORMS if name not in names]
    if not found:
        return absent("buildx does not say which")
    value = ", ".join(found)
    if not missing:
        return ok(value)
    return absent(
        f"{value}; no emulator for {missing[0]}",
        f"to build for {missing[0]}, on the engine's machine: dynbuild engine emulate"
        f" {missing[0].removeprefix('linux/')}",
    )


def limits(probe: Probe) -> Answer:
    """The limits that containers get are those that runs ask for."""
    engine = probe.engine
    if engine is None:
        return absent("not looked for: there is no engine")
    if not probe.local:
        return absent("not known: the engine is on another machine")
    hard = engine_limits.of_engine(engine.host, probe.env)
    fitted, said = fit(DEFAULT_ULIMITS, hard)
    if not said:
        return ok("as high as runs ask for")
    cut = (limit for limit in fitted if limit not in DEFAULT_ULIMITS)
    remedy = "runs ask for no more; to have more, start the engine with CAP_SYS_RESOURCE"
    return warning(f"at most {', '.join(cut)}", remedy)


def security(probe: Probe) -> Answer:
    """What it does to the owners of files in mounts."""
    options = " ".join(map(str, probe.info.get("SecurityOptions") or ()))
    if "name=rootless" in options:
        remedy = "files that containers write in mounts belong to ids of their own"
        return warning("the engine is rootless", f"{remedy}: use --user or a root engine")
    if probe.read("sys/fs/selinux/enforce") == "1":
        value = "SELinux enforces"
        if "name=selinux" in options:
            return warning(f"{value}, also in containers", "mounts need the suffix :z or :Z")
        return ok(f"{value}, not in containers")
    if "name=userns" in options:
        remedy = "files in mounts belong to mapped ids: run with --userns=host"
        return warning("the engine maps user ids", remedy)
    if not probe.info:
        return absent("SELinux does not enforce; there is no engine to ask")
    return ok("neither rootless, nor SELinux, nor mapped user ids")
