"""Programs from the distribution: unpacked privately, or installed in the ordinary way.

Mirrors and keys are those of the machine's own apt configuration, which is read and
never changed: downloads use a sources list, a state and a cache directory of their own.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dynbuild import proc
from dynbuild.addresses import public
from dynbuild.errors import NotReady, ToolFailed

_UPDATE_SECONDS = 600.0
_DOWNLOAD_SECONDS = 3600.0
_ENGINE = ("docker.io", "docker-buildx", "containerd")
# In older suites the client is part of docker.io, and tini-static, which docker-init is a
# link to, part of tini.
_SPLIT_OFF = ("docker-cli", "tini", "tini-static")
# Whatever the machine's apt lets pass: what runs as root here is signed.
_SIGNED = {
    "APT::Get::AllowUnauthenticated": "false",
    "Acquire::AllowInsecureRepositories": "false",
    "Acquire::AllowWeakRepositories": "false",
    "Acquire::AllowDowngradeToInsecureRepositories": "false",
}
_FOLDERS = (
    "usr/sbin",
    "usr/bin",
    "usr/libexec/docker/cli-plugins",
    "usr/lib/docker/cli-plugins",
)


@dataclass(frozen=True, slots=True)
class Source:
    """One suite of the machine's apt configuration.

    Attributes:
        uri: The mirror, without a slash at its end.
        suite: The suite as it is written there: ``trixie``, ``stable``, ``trixie-updates``.
        components: ``main`` and so on.
        signed_by: Path of the keyring, or ``None`` for apt's own trust.
    """

    uri: str
    suite: str
    components: tuple[str, ...]
    signed_by: str | None

    def line(self, suite: str | None = None) -> str:
        """The entry of a sources list for this mirror, optionally for another *suite*."""
        option = f"[signed-by={self.signed_by}] " if self.signed_by else ""
        return f"deb {option}{self.uri} {suite or self.suite} {' '.join(self.components)}"


def search_path(env: Mapping[str, str]) -> str:
    """PATH of *env* and the directories of system programs."""
    return os.pathsep.join((env.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"))


def sources(env: Mapping[str, str]) -> tuple[Source, ...]:
    """The suites of binary packages that the machine's apt configuration names.

    Raises:
        NotReady: There is no apt, or it names none.
    """
    fields = ("SITE", "RELEASE", "COMPONENT", "SOURCESENTRY")
    argv = ("apt-get", "indextargets", "--no-release-info", "--format")
    pattern = "\t".join(f"$({field})" for field in fields)
    done = _apt((*argv, pattern, "Created-By: Packages", "Target-Of: deb"), env)
    merged: dict[tuple[str, str], Source] = {}
    for row in done.stdout.splitlines():
        uri, suite, component, entry = row.split("\t")
        key = (uri.rstrip("/"), suite)
        known = merged.get(key) or Source(*key, (), _signed_by(entry))
        if component not in known.components:
            known = Source(*key, (*known.components, component), known.signed_by)
        merged[key] = known
    if not merged:
        raise NotReady(
            "the apt configuration of this machine names no package source",
            hint="add the mirror of the distribution to /etc/apt/sources.list.d",
        )
    return tuple(merged.values())


def _signed_by(entry: str) -> str | None:
    """The keyring file that *entry* (``file:number``) names, if it names one."""
    name, _, number = entry.rpartition(":")
    text = Path(name).read_text(encoding="utf-8", errors="replace")
    if name.endswith(".sources"):
        stanzas = [s for s in re.split(r"\n\s*\n", text) if re.search(r"(?m)^[A-Za-z-]+:", s)]
        found = re.search(r"(?mi)^Signed-By:\s*(/\S+)", stanzas[int(number) - 1])
    else:
        found = re.search(r"signed-by=(/[^\]\s]+)", text.splitlines()[int(number) - 1])
    return found[1] if found else None


def main_source(env: Mapping[str, str]) -> Source:
    """The machine's own suite: not its updates, not a third party's.

    Raises:
        NotReady: The apt configuration does not name it.
    """
    codename = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    moving = ("stable", "oldstable", "testing", "unstable", "sid")
    known = sources(env)
    for wanted in ((codename,), moving):
        for source in known:
            if source.suite in wanted and "main" in source.components:
                return source
    raise NotReady(
        f"the apt configuration of this machine has no entry for its suite '{codename}'",
        hint="add the mirror of the distribution to /etc/apt/sources.list.d",
    )


def ensure_programs(
    programs: Sequence[str], env: Mapping[str, str], say: Callable[[str], None]
) -> None:
    """Install those of *programs* that are missing; package and program share the name.

    Raises:
        NotReady: apt cannot, or this user may not, install them.
    """
    path = search_path(env)
    missing = [name for name in programs if shutil.which(name, path=path) is None]
    if not missing:
        return
    names = " and ".join(missing)
    if os.geteuid() != 0:
        raise NotReady(f"{names} must be installed", hint=f"as root: apt-get install {names}")
    say(f"installing {names} with apt-get")
    signed = (word for key, value in _SIGNED.items() for word in ("-o", f"{key}={value}"))
    common = ("apt-get", "-y", "-q", "-o", "DPkg::Lock::Timeout=120", *signed)
    install = (*common, "install", "--no-install-recommends", *missing)
    try:
        _apt(install, env)
    except NotReady:
        # The lists may be absent or out of date; that is the one thing worth a second try.
        _apt((*common, "update"), env)
        _apt(install, env)
    if still := [name for name in missing if shutil.which(name, path=path) is None]:
        raise NotReady(f"apt-get installed no program '{still[0]}'")


def program(root: Path, name: str) -> Path | None:
    """The program *name* of the packages below *root*; suites differ in where they put it."""
    places = (root / folder / name for folder in _FOLDERS)
    return next((place for place in places if place.exists()), None)


def ensure_engine(
    root: Path, work: Path, env: Mapping[str, str], say: Callable[[str], None]
) -> None:
    """Unpack engine, client, buildx and containerd into *root*, unless they are there.

    The suites are tried from the newest engine to the machine's own; the first whose
    programs run on this machine is taken.

    Args:
        root: Where the packages are unpacked to; appears complete or not at all.
        work: Directory for the download, emptied before and removed after.
        env: The environment of the user.
        say: Takes lines of progress.

    Raises:
        NotReady: There is no apt or dpkg, or no suite has an engine that runs here.
    """
    if program(root, "dockerd"):
        return
    _check_tools("the private engine", "install Docker in the way of this distribution", env)
    source = main_source(env)
    failures: list[str] = []
    for suite in dict.fromkeys(("testing", "stable", source.suite)):
        shutil.rmtree(work, ignore_errors=True)
        try:
            say(f"downloading the Docker engine: suite {suite} of {public(source.uri)}")
            unpack(source.line(suite), work, env, _ENGINE, _SPLIT_OFF)
            _prove(work / "root", env)
        except (NotReady, ToolFailed) as error:
            reason = error.details[0] if error.details else error.message
            failures.append(f"{suite}: {public(reason)}")
            continue
        (work / "root").replace(root)
        shutil.rmtree(work)
        return
    shutil.rmtree(work, ignore_errors=True)
    raise NotReady(
        f"no suite of {public(source.uri)} has a Docker engine that runs on this machine",
        hint="check that `apt-get update` works, or install Docker and start it",
        details=tuple(failures),
    )


def ensure_emulator(
    name: str, target: Path, work: Path, env: Mapping[str, str], say: Callable[[str], None]
) -> None:
    """Put QEMU's emulator of programs for another architecture at *target*, unless it is there.

    The suite ``stable`` is tried before the machine's own: what it has is newer and faster,
    and the program is linked statically, so that it runs on any.

    Args:
        name: QEMU's name of the architecture, such as ``aarch64``.
        target: The program; appears complete or not at all.
        work: Directory for the download, emptied before and removed after.
        env: The environment of the user.
        say: Takes lines of progress.

    Raises:
        NotReady: There is no apt or dpkg, or no suite has an emulator that runs here.
    """
    if target.exists():
        return
    _check_tools("the emulator", "install qemu-user-static in the way of this distribution", env)
    source = main_source(env)
    failures: list[str] = []
    try:
        for suite in dict.fromkeys(("stable", source.suite)):
            shutil.rmtree(work, ignore_errors=True)
            try:
                say(f"downloading QEMU: suite {suite} of {public(source.uri)}")
                # The static programs are in the one or the other, with links between them.
                unpack(source.line(suite), work, env, ("qemu-user",), ("qemu-user-static",))
                found = _static_emulator(name, work, env)
            except (NotReady, ToolFailed) as error:
                reason = error.details[0] if error.details else error.message
                failures.append(f"{suite}: {public(reason)}")
                continue
            found.replace(target)
            return
    finally:
        shutil.rmtree(work, ignore_errors=True)
    raise NotReady(
        f"no suite of {public(source.uri)} has an emulator for {name} that runs on this machine",
        hint="check that `apt-get update` works, or install qemu-user-static and binfmt-support",
        details=tuple(failures),
    )


def _static_emulator(name: str, work: Path, env: Mapping[str, str]) -> Path:
    """The emulator of the packages that were unpacked below *work*, proved to need no library.

    Raises:
        NotReady: The packages contain none.
        ToolFailed: It does not run.
    """
    programs = work / "root/usr/bin"
    names = (f"qemu-{name}-static", f"qemu-{name}")
    found = next((programs / one for one in names if (programs / one).is_file()), None)
    if found is None:
        raise NotReady(f"its packages contain no qemu-{name}")
    alone = work / "alone"
    alone.mkdir()
    shutil.copy2(found, alone / "emulator")
    # In a container it will find nothing but itself.
    proc.run(("chroot", str(alone), "/emulator", "--version"), env=env, timeout=60)
    return alone / "emulator"


def _check_tools(what: str, instead: str, env: Mapping[str, str]) -> None:
    """Raise ``NotReady`` where Debian packages can be neither downloaded nor unpacked."""
    path = search_path(env)
    for tool in ("apt-get", "dpkg"):
        if shutil.which(tool, path=path) is None:
            raise NotReady(
                f"{what} comes as Debian packages, and there is no {tool} here", hint=instead
            )


def unpack(
    line: str,
    work: Path,
    env: Mapping[str, str],
    needed: Sequence[str],
    optional: Sequence[str],
) -> None:
    """Unpack packages of the suite *line* into ``root`` below *work*.

    Args:
        line: The entry of a sources list.
        work: Directory for everything, empty or not there yet.
        env: The environment of the user.
        needed: Packages that the suite must have.
        optional: Packages that are left out where it has them not.

    Raises:
        NotReady: apt failed.
        ToolFailed: A package could not be unpacked.
    """
    archives = work / "archives"
    for folder in (archives, work / "lists/partial", work / "cache/archives/partial"):
        folder.mkdir(parents=True)
    (work / "sources.list").write_text(f"{line}\n", encoding="utf-8")
    settings = work / "apt.conf"
    # The machine's hooks and pins are about its own packages, not about these.
    settings.write_text(
        f"""\
#clear APT::Update;
Dir::Etc::sourcelist "{work}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State "{work}";
Dir::State::lists "{work}/lists";
Dir::Cache "{work}/cache";
APT::Sandbox::User "root";
APT::Update::Error-Mode "any";
Acquire::Languages "none";
Acquire::Retries "5";
"""
        + "".join(f'{key} "{value}";\n' for key, value in _SIGNED.items()),
        encoding="utf-8",
    )
    _apt(("apt-get", "-q", "-c", str(settings), "update"), env)
    known = _apt(("apt-cache", "-c", str(settings), "pkgnames"), env).stdout.split()
    wanted = (*needed, *(name for name in optional if name in known))
    _apt(("apt-get", "-q", "-c", str(settings), "download", *wanted), env, cwd=archives)
    for archive in sorted(archives.iterdir()):
        proc.run(("dpkg", "-x", str(archive), str(work / "root")), env=env)


def _prove(root: Path, env: Mapping[str, str]) -> None:
    for name, question in (
        ("dockerd", "--version"),
        ("docker", "--version"),
        ("docker-buildx", "version"),
        ("containerd", "--version"),
    ):
        found = program(root, name)
        if found is None:
            raise NotReady(f"its packages contain no {name}")
        proc.run((str(found), question), env=env, timeout=60)


def _apt(argv: Sequence[str], env: Mapping[str, str], *, cwd: Path | None = None) -> proc.Completed:
    """Run an apt program; what went wrong is in the details of the error."""
    seconds = _DOWNLOAD_SECONDS if {"download", "install"} & set(argv) else _UPDATE_SECONDS
    try:
        return proc.run(
            argv,
            env={**env, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"},
            cwd=cwd,
            timeout=seconds,
            needs="this needs a machine with apt: Debian, Ubuntu or a relative",
        )
    except ToolFailed as error:
        lines = [line for line in error.stderr.splitlines() if line.startswith("E:")]
        action = next((word for word in argv[1:] if word.isalpha() and word.islower()), "")
        raise NotReady(
            f"'{argv[0]} {action}' failed",
            hint="see whether the machine reaches the mirror of its apt configuration",
            details=tuple(public(line) for line in lines) or error.details,
        ) from error
