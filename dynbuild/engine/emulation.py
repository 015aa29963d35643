"""Programs of another architecture on this machine: Linux hands them to QEMU (binfmt_misc).

The kernel keeps the emulator open from its registration on (flag F), so that it works in
containers, where no such file is. It is registered the way Debian does it: with the name
of the program kept (P), the file opened by the kernel (O), and without the credentials of
programs that are set-user-id (no C), which an emulator cannot guard.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
import struct
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from dynbuild import paths, proc
from dynbuild.engine import packages
from dynbuild.errors import NotReady, RequestError, ToolFailed

_BINFMT = Path("/proc/sys/fs/binfmt_misc")
_FLAGS = "OPF"
_ELSEWHERE = "build on a machine of that architecture, or with a builder that has one"
_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class _Kind:
    """One architecture.

    Attributes:
        qemu: QEMU's name of it, which is the kernel's as well.
        machine: Its number in ELF headers.
        exits: Machine code that ends a process with status ``_PROVED``.
    """

    qemu: str
    machine: int
    exits: bytes


_PROVED = 42
_KINDS = {
    # mov eax, 60 (exit); mov edi, 42; syscall
    "amd64": _Kind("x86_64", 62, bytes.fromhex("b83c000000 bf2a000000 0f05")),
    # mov x0, #42; mov x8, #93 (exit); svc #0
    "arm64": _Kind("aarch64", 183, bytes.fromhex("400580d2 a80b80d2 010000d4")),
}


@dataclass(slots=True)
class _Record:
    """What dynbuild changed in the kernel.

    Attributes:
        mounted: Whether it mounted binfmt_misc.
        registered: The emulator's path, by architecture.
    """

    mounted: bool = False
    registered: dict[str, str] = field(default_factory=dict)


def other() -> str:
    """The architecture that this machine is not: ``amd64`` or ``arm64``."""
    return next(name for name, kind in _KINDS.items() if kind.qemu != platform.machine())


def ensure(arch: str, env: Mapping[str, str], say: Callable[[str], None]) -> bool:
    """Make the kernel run linux programs for *arch*, unless it does already.

    Args:
        arch: ``amd64`` or ``arm64``.
        env: The environment of the user.
        say: Takes lines of progress.

    Returns:
        Whether an emulator was registered; not so where the machine runs such programs
        itself, or anybody's emulator does.

    Raises:
        RequestError: *arch* is another one.
        NotReady: This user or this kernel cannot, or there is no emulator to be had.
    """
    _check(arch)
    if runs(arch, env):
        return False
    if os.geteuid() != 0:
        raise NotReady(
            f"an emulator for {arch} must be registered by root",
            hint=f"as root: dynbuild engine emulate {arch}, or install qemu-user-static",
        )
    with _locked(env) as folder:
        if runs(arch, env):
            return False
        record = _read(env)
        if _mount():
            record.mounted = True
            _write(record, env)
        # Debian's QEMU knows by the end of this name that the program's name is kept.
        program = folder / f"{_KINDS[arch].qemu}-binfmt-P"
        packages.ensure_emulator(_KINDS[arch].qemu, program, folder / "download", env, say)
        record.registered[arch] = str(program)
        _write(record, env)
        _register(arch, program)
        if not runs(arch, env):
            _remove((arch,), env)
            raise NotReady(
                f"the kernel took an emulator for {arch} and does not use it",
                hint=f"see whether {_BINFMT / 'status'} says 'enabled'; {_ELSEWHERE}",
            )
    return True


def remove(env: Mapping[str, str], arch: str | None = None) -> tuple[str, ...]:
    """Take away the emulators that dynbuild registered, and nobody else's.

    Args:
        env: The environment of the user.
        arch: Only that one.

    Returns:
        The architectures whose emulators were registered until now.

    Raises:
        RequestError: *arch* is neither ``amd64`` nor ``arm64``.
        NotReady: This user may not.
    """
    if arch is not None:
        _check(arch)
    if not _file(env).exists():
        return ()
    with _locked(env):
        return _remove(tuple(_KINDS) if arch is None else (arch,), env)


def runs(arch: str, env: Mapping[str, str]) -> bool:
    """Whether the kernel runs linux programs for *arch*, be it by itself or by an emulator.

    Asked by root, the answer holds for containers: the program runs in a root directory
    that has nothing else in it.
    """
    with tempfile.TemporaryDirectory(prefix="probe-", dir=_folder(env)) as name:
        program = Path(name, "program")
        program.write_bytes(_program(_KINDS[arch]))
        program.chmod(0o755)
        start = ("chroot", name, "/program") if os.geteuid() == 0 else ("env", str(program))
        done = proc.run(
            start,
            env={**env, "PATH": packages.search_path(env)},
            check=False,
            timeout=_SECONDS,
        )
    return done.returncode == _PROVED


def _check(arch: str) -> None:
    if arch not in _KINDS:
        raise RequestError(f"'{arch}' is not one of {', '.join(_KINDS)}", origin="arch")


def _program(kind: _Kind) -> bytes:
    """A complete ELF program that does nothing but end with status ``_PROVED``."""
    start, headers = 0x400000, 64 + 56
    size = headers + len(kind.exits)
    header = (b"\x7fELF\x02\x01\x01", 2, kind.machine, 1, start + headers, 64, 0, 0, 64, 56, 1)
    segment = (1, 5, 0, start, start, size, size, 0x10000)
    return (
        struct.pack("<16sHHIQQQIHHHHHH", *header, 0, 0, 0)
        + struct.pack("<IIQQQQQQ", *segment)
        + kind.exits
    )


# --- the kernel


def _mount() -> bool:
    """Mount binfmt_misc where it is not; whether that was so.

    Raises:
        NotReady: The kernel has none, or does not let this process.
    """
    if (_BINFMT / "register").exists():
        return False
    if not _BINFMT.is_dir():
        with suppress(NotReady):
            proc.run(("modprobe", "binfmt_misc"), check=False, timeout=_SECONDS)
    if not _BINFMT.is_dir():
        raise NotReady(
            "this kernel has no binfmt_misc, which hands programs to emulators",
            hint=f"load its module on the machine itself: modprobe binfmt_misc; or {_ELSEWHERE}",
        )
    try:
        proc.run(("mount", "-t", "binfmt_misc", "binfmt_misc", str(_BINFMT)), timeout=_SECONDS)
    except ToolFailed as error:
        raise NotReady(
            "binfmt_misc cannot be mounted here",
            hint="run this on the machine itself, outside of any container",
            details=error.details,
        ) from error
    return True


def _entry(arch: str) -> Path:
    return _BINFMT / f"dynbuild-{arch}"


def _register(arch: str, program: Path) -> None:
    # The first 20 bytes of an ELF file; left open are the ABI, and whether it is
    # position-independent.
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    magic = ident + struct.pack("<HH", 2, _KINDS[arch].machine)
    mask = b"\xff" * 7 + b"\x00" + b"\xff" * 8 + b"\xfe\xff\xff\xff"
    fields = ("", f"dynbuild-{arch}", "M", "", _escaped(magic), _escaped(mask), program, _FLAGS)
    try:
        if _entry(arch).exists():  # of another $DYNBUILD_HOME, and not working
            _entry(arch).write_text("-1", encoding="ascii")
        (_BINFMT / "register").write_bytes(os.fsencode(":".join(map(str, fields))))
    except OSError as error:
        raise NotReady(
            f"the kernel does not take the emulator {program}: {error.strerror}",
            hint="run this on the machine itself, outside of any container",
        ) from error


def _escaped(data: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in data)


def _remove(archs: tuple[str, ...], env: Mapping[str, str]) -> tuple[str, ...]:
    record = _read(env)
    gone = []
    for arch in archs:
        program = record.registered.pop(arch, None)
        entry = _entry(arch)
        if program is None or not _names(entry, program):
            continue
        try:
            entry.write_text("-1", encoding="ascii")
        except OSError as error:
            raise NotReady(
                f"the emulator for {arch} cannot be taken away: {error.strerror}",
                hint=f"as root: dynbuild engine emulate {arch} --remove",
            ) from error
        gone.append(arch)
    if record.mounted and not record.registered:
        # Unmounting would end the emulators of others, too.
        if {path.name for path in _BINFMT.glob("*")} == {"register", "status"}:
            proc.run(("umount", str(_BINFMT)), check=False, timeout=_SECONDS)
        record.mounted = False
    _write(record, env)
    return tuple(gone)


def _names(entry: Path, program: str) -> bool:
    """Whether the kernel's *entry* is there and leads to *program*."""
    try:
        return f"interpreter {program}" in entry.read_text(encoding="utf-8").splitlines()
    except OSError:
        return False


# --- what is on disk


def _folder(env: Mapping[str, str]) -> Path:
    """Where the emulators are: with the private engine's programs, removed with them."""
    folder = paths.home(env) / "engine/emulators"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise NotReady(
            f"the directory {folder} cannot be made: {error.strerror}",
            hint="set DYNBUILD_HOME to a place that can be written",
        ) from error
    return folder


def _file(env: Mapping[str, str]) -> Path:
    return paths.home(env) / "emulation.json"


@contextmanager
def _locked(env: Mapping[str, str]) -> Iterator[Path]:
    """The folder of the emulators, for one process at a time."""
    folder = _folder(env)
    try:
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder
    except OSError as error:
        raise NotReady(
            f"an emulator cannot be kept in {folder}: {error.strerror or error}",
            hint="see whether that disk is full or read-only, or set DYNBUILD_HOME elsewhere",
        ) from error


def _read(env: Mapping[str, str]) -> _Record:
    try:
        return _Record(**json.loads(_file(env).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return _Record()


def _write(record: _Record, env: Mapping[str, str]) -> None:
    file = _file(env)
    if not record.mounted and not record.registered:
        file.unlink(missing_ok=True)
        return
    draft = file.with_suffix(".new")
    draft.write_text(json.dumps(asdict(record), indent=2) + "\n", encoding="utf-8")
    draft.replace(file)
