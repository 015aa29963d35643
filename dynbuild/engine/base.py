"""Debian base images made from the machine's own mirror, for engines that can pull none."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from dynbuild import names, proc
from dynbuild.addresses import public
from dynbuild.engine import builder, cuda_base, emulation, images, packages
from dynbuild.engine.cuda_base import Toolkit
from dynbuild.engine.model import Engine
from dynbuild.errors import NotReady, RequestError, ToolFailed

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SECONDS = 3600.0
# Debian's names; platform.machine() and the image's platform have others.
_PLATFORMS = {"amd64": "linux/amd64", "arm64": "linux/arm64"}
# What runs in the finished root ($1).  The settings stay in force in the image, so that
# packages installed later are as lean; mmdebstrap itself is much slower under them.  Nor does
# dpkg wait for the disk after each file there: a step that a crash ends leaves no layer.
_LEAN = """\
cd "$1"
cat > etc/dpkg/dpkg.cfg.d/lean <<'END'
force-unsafe-io
path-exclude=/usr/share/man/*
path-exclude=/usr/share/info/*
path-exclude=/usr/share/locale/*
path-include=/usr/share/locale/locale.alias
path-exclude=/usr/share/doc/*
path-include=/usr/share/doc/*/copyright
END
cat > etc/apt/apt.conf.d/lean <<'END'
Acquire::Languages "none";
Acquire::GzipIndexes "true";
END
rm -rf usr/share/man/* usr/share/info/*
find usr/share/locale -mindepth 1 ! -name locale.alias -delete
find usr/share/doc -mindepth 1 ! -type d ! -name copyright -delete
find usr/share/doc -mindepth 1 -type d -empty -delete
"""
# Passwords of the machine's mirror must not end up in an image.
_NO_PASSWORDS = """\
find "$1"/etc/apt/sources.list.d -type f -exec sed -i -E 's#://[^/@ ]*@#://#' {} +
"""


def make_base(
    engine: Engine,
    env: Mapping[str, str],
    *,
    suite: str = "stable",
    arch: str | None = None,
    name: str | None = None,
    toolkit: Toolkit | None = None,
    force: bool = False,
    say: Callable[[str], None],
) -> str:
    """Make a minimal Debian image with CA certificates, unless the engine has it.

    For an architecture that this machine cannot run, an emulator is registered.

    Args:
        engine: The engine that gets the image.
        env: The environment of the user.
        suite: A suite of the mirror, by its codename or as ``stable``, ``testing``.
        arch: ``amd64`` or ``arm64``; the machine's own by default.
        name: Name of the image; by default ``dynbuild/debian:CODENAME``, with ``-ARCH``
            after it for an architecture that is not the machine's.
        toolkit: The CUDA toolkit of an image on that one, which is made too.
        force: Make it anew even if the engine has it; with *toolkit*, the image on it alone.
        say: Takes lines of progress.

    Returns:
        The name of the image: of the one with CUDA where *toolkit* is given.

    Raises:
        RequestError: The mirror has no such suite, or *arch* is unknown.
        NotReady: The image cannot be made on this machine.
    """
    _check(suite, arch)
    native = _native(env)
    arch = arch or native
    with tempfile.TemporaryDirectory(
        prefix="dynbuild-base-", dir=env.get("TMPDIR") or None, ignore_cleanup_errors=True
    ) as temporary:
        work = Path(temporary)
        main = packages.main_source(env)
        codename = _existing(suite, main, work, env)
        name = name or f"dynbuild/debian:{codename}{'' if arch == native else f'-{arch}'}"
        if (force and not toolkit) or not images.has(engine, env, name):
            packages.ensure_programs(("mmdebstrap",), env, say)
            if emulation.ensure(arch, env, say):
                say(f"registered an emulator for {arch}; it takes minutes with it")
            say(f"making {name} from the mirror of this machine")
            listed = work / "base.list"
            listed.write_text(_sources_list(main, codename, work, env), encoding="utf-8")
            _bootstrap(codename, arch, work / "base.tar", listed, env)
            _import(engine, env, work / "base.tar", name, arch)
        else:
            say(f"{name} is there already")
    if toolkit is None:
        return name
    emulation.ensure(arch, env, say)
    platform = _PLATFORMS[arch]
    return cuda_base.make(engine, env, toolkit, on=name, platform=platform, force=force, say=say)


def _check(suite: str, arch: str | None) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9-]*", suite):
        raise RequestError(f"'{suite}' is not the name of a suite")
    if arch is not None and arch not in _PLATFORMS:
        raise RequestError(f"'{arch}' is not one of {', '.join(_PLATFORMS)}", origin="arch")


def _existing(suite: str, main: packages.Source, work: Path, env: Mapping[str, str]) -> str:
    """The codename of *suite*.

    Raises:
        RequestError: The mirror has no such suite.
    """
    codename = _codename(main.uri, suite, work, env)
    if codename is None:
        raise RequestError(
            f"the mirror {public(main.uri)} has no suite '{suite}'",
            hint="name one that it has, with --suite",
        )
    return codename


def _import(engine: Engine, env: Mapping[str, str], tar: Path, name: str, arch: str) -> None:
    changes = (f"--change=ENV PATH={_PATH}", '--change=CMD ["bash"]')
    platform = f"--platform={_PLATFORMS.get(arch, f'linux/{arch}')}"
    argv = (engine.docker, "import", platform, *changes, str(tar), name)
    proc.run(argv, env=engine.env(env))


def make_joined_base(
    engine: Engine,
    env: Mapping[str, str],
    *,
    archs: Sequence[str],
    suite: str = "stable",
    push: str | None = None,
    toolkit: Toolkit | None = None,
    force: bool = False,
    say: Callable[[str], None],
) -> str:
    """Make base images of several architectures, and one image that holds them all.

    From such an image BuildKit takes, for each platform it builds for, the right one.

    Args:
        engine: The engine that gets the images.
        env: The environment of the user.
        archs: ``amd64``, ``arm64``; the machine's own where there is none.
        suite: See ``make_base``.
        push: ``REGISTRY/NAME:TAG``, where the joined image goes; by default it stays on the
            engine as ``dynbuild/debian:CODENAME-multi``.
        toolkit: See ``make_base``.
        force: See ``make_base``.
        say: Takes lines of progress.

    Returns:
        The name of the joined image.

    Raises:
        RequestError: As ``make_base``, or *push* is no such reference.
        NotReady: An image cannot be made, joined or pushed.
    """
    if push is not None:
        _check_pushable(push)
    if not engine.containerd_store:
        raise NotReady(
            "this engine keeps one platform an image, so images cannot be joined",
            hint='set "features": {"containerd-snapshotter": true} in its daemon.json',
        )
    made = {
        arch: make_base(engine, env, suite=suite, arch=arch, toolkit=toolkit, force=force, say=say)
        for arch in dict.fromkeys(archs or (_native(env),))
    }
    arch, first = next(iter(made.items()))
    name = push or f"{first.removesuffix(f'-{arch}')}-multi"
    say(f"{'joining' if push is None else 'pushing'} {' and '.join(made.values())} as {name}")
    try:
        _join(engine, env, made, name, "--load" if push is None else "--push")
    except ToolFailed as error:
        raise NotReady(
            f"{name} cannot be {'made' if push is None else 'pushed'}",
            hint="see whether the registry answers, and log in to it before `dynbuild engine up`"
            if push is not None
            else None,
            details=tuple(line for line in error.details if line.startswith("ERROR:"))
            or error.details,
        ) from error
    return name


def _check_pushable(reference: str) -> None:
    names.check_reference(reference, origin="--push")
    if not names.is_qualified(reference) or not names.split_reference(reference)[1]:
        raise RequestError(
            f"'{reference}' names no {'tag' if names.is_qualified(reference) else 'registry'}",
            origin="--push",
            hint="REGISTRY/NAME:TAG, as in registry.example.com/team/debian:trixie",
        )


def _join(
    engine: Engine, env: Mapping[str, str], images: Mapping[str, str], name: str, output: str
) -> None:
    docker = engine.env(env)
    platforms = ",".join(_PLATFORMS[arch] for arch in images)
    own = f"--builder={builder.own_name(docker)}"
    options = (own, f"--platform={platforms}", "--provenance=false")
    proc.run(
        (engine.docker, "buildx", "build", "--quiet", *options, output, f"--tag={name}", "-"),
        env=docker,
        input=_joined(images),
        timeout=_SECONDS,
    )


def _native(env: Mapping[str, str]) -> str:
    own = proc.run(
        ("dpkg", "--print-architecture"), env=env, needs="this needs Debian or a relative"
    )
    return own.stdout.strip()


def _joined(images: Mapping[str, str]) -> str:
    """The Dockerfile of an image that is, for each architecture, the one of *images*."""
    stages = (
        f"FROM --platform={_PLATFORMS[arch]} {image} AS {arch}" for arch, image in images.items()
    )
    return "\n".join(("ARG TARGETARCH", *stages, "FROM ${TARGETARCH}", ""))


def _sources_list(main: packages.Source, codename: str, work: Path, env: Mapping[str, str]) -> str:
    """A sources list for *codename*, with updates and security fixes where the machine has them."""
    lines = [f"deb {main.uri} {codename} main"]
    for extra in ("updates", "security"):
        wanted = f"{main.suite}-{extra}"
        source = next((s for s in packages.sources(env) if s.suite == wanted), None)
        if source and _codename(source.uri, f"{codename}-{extra}", work, env):
            lines.append(f"deb {source.uri} {codename}-{extra} main")
    return "\n".join(lines) + "\n"


def _codename(uri: str, suite: str, work: Path, env: Mapping[str, str]) -> str | None:
    """What the Release file of *suite* calls it; ``None`` when the mirror has no such suite."""
    release = work / f"{suite}.release"
    # apt's own helper knows the proxies and logins of apt's configuration.  The signature
    # is left to apt: a wrong name could only lead to another signed suite.
    helper = ("/usr/lib/apt/apt-helper", "-o", "APT::Sandbox::User=root", "download-file")
    done = proc.run(
        (*helper, f"{uri}/dists/{suite}/InRelease", str(release)),
        env={**env, "LC_ALL": "C.UTF-8"},
        check=False,
        timeout=120,
        needs="this needs a machine with apt: Debian, Ubuntu or a relative",
    )
    if done.returncode != 0:
        if "404" in done.stderr or "not found" in done.stderr.lower():
            return None
        raise NotReady(
            f"the mirror {public(uri)} does not answer",
            details=tuple(public(line) for line in done.stderr.splitlines()[-3:]),
        )
    found = re.search(
        r"^Codename: ([a-z0-9-]+)$", release.read_text(encoding="utf-8"), re.MULTILINE
    )
    return found[1] if found else suite


def _bootstrap(codename: str, arch: str, tar: Path, listed: Path, env: Mapping[str, str]) -> None:
    mode = "root" if os.geteuid() == 0 else "auto"
    # That programs of the architecture run is known: mmdebstrap's own test needs arch-test.
    options = (f"--mode={mode}", "--variant=minbase", "--skip=check/qemu")
    try:
        proc.run(
            (
                *("mmdebstrap", *options, f"--architectures={arch}"),
                "--include=ca-certificates",
                # Stays in force too: a name server may be away for half a minute.
                '--aptopt=Acquire::Retries "5"',
                *(f"--customize-hook=set -e\n{hook}" for hook in (_LEAN, _NO_PASSWORDS)),
                *(codename, str(tar), str(listed)),
            ),
            env={**env, "PATH": packages.search_path(env), "LC_ALL": "C.UTF-8"},
            timeout=_SECONDS,
        )
    except ToolFailed as error:
        lines = [line for line in error.stderr.splitlines() if line.startswith("E:")]
        raise NotReady(
            f"mmdebstrap could not make a {codename} base for {arch}",
            hint="see whether the mirror has that suite and architecture",
            details=tuple(public(line) for line in lines) or error.details,
        ) from error
