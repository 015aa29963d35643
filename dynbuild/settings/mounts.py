"""What ``-v`` and ``--mount`` accept: docker's own grammars.  Pure.

That of ``-v`` is moby's (``volume/mounts``), that of ``--mount`` docker/cli's
(``opts/mount.go``).  One thing is taken besides: a source with colons in ``-v``, which docker
can only be told by ``--mount``.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator
from typing import Literal

from dynbuild.errors import RequestError, quote
from dynbuild.quick import dataclass
from dynbuild.settings import csv_fields

Kind = Literal["bind", "volume", "tmpfs"]

PROPAGATION = ("shared", "slave", "private", "rshared", "rslave", "rprivate")
CONSISTENCY = ("consistent", "cached", "delegated")
SELINUX = ("z", "Z")
_GROUPS = (("ro", "rw"), SELINUX, PROPAGATION, CONSISTENCY, ("nocopy",))

NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
"""Docker's rule for the names of volumes, and of containers."""

_SAME = {"src": "source", "dst": "target", "destination": "target", "ro": "readonly"}
_FLAGS = ("readonly", "volume-nocopy", "bind-nonrecursive", "bind-create-src")
_EXTRA = {
    "bind": ("bind-nonrecursive", "bind-recursive", "bind-create-src"),
    "volume": ("volume-driver", "volume-label", "volume-opt", "volume-subpath"),
    "tmpfs": ("tmpfs-size", "tmpfs-mode"),
}
_TRUTH = {"1": True, "true": True, "0": False, "false": False}


@dataclass(frozen=True, slots=True)
class Mount:
    """One ``-v`` or ``--mount``.

    Attributes:
        source: Path of the host, name of a volume, or empty for a volume without name.
        target: Path inside.
        options: ``ro``, ``z`` and so on, in the order given.
        kind: What is mounted; a path of the host in ``-v`` is a bind.
        extra: Fields of ``--mount`` that ``-v`` has no option for, ``NAME=VALUE``.
        long: Whether docker is told it by ``--mount``, and so makes no folder for it.
    """

    source: str
    target: str
    options: tuple[str, ...] = ()
    kind: Kind = "bind"
    extra: tuple[str, ...] = ()
    long: bool = False

    @property
    def is_path(self) -> bool:
        """Whether the source is a path of the host; a relative one starts with a dot."""
        return self.kind == "bind" and self.source.startswith(("/", "."))

    @property
    def read_only(self) -> bool:
        """Whether the container cannot write to it."""
        return "ro" in self.options

    @property
    def words(self) -> tuple[str, str]:
        """The option of ``docker run`` and its value."""
        if not self.long:
            options = ",".join(self.options)
            parts = (self.source, self.target) if self.source else (self.target,)
            return "-v", ":".join((*parts, *((options,) if options else ())))
        return "--mount", csv_fields.joined(self._fields())

    def _fields(self) -> Iterator[str]:
        yield f"type={self.kind}"
        if self.source:
            yield f"source={self.source}"
        yield f"target={self.target}"
        for option in self.options:
            if option == "ro":
                yield "readonly"
            elif option == "nocopy":
                yield "volume-nocopy"
            elif option in PROPAGATION:
                yield f"bind-propagation={option}"
            elif option in CONSISTENCY:
                yield f"consistency={option}"
        yield from self.extra

    def option_of(self, group: tuple[str, ...]) -> str:
        """The option out of *group* that is set; empty where there is none."""
        return next((option for option in self.options if option in group), "")


def parse(text: str) -> Mount:
    """A ``-v`` value: ``SOURCE:TARGET[:OPTIONS]``, or ``TARGET`` for a volume without name.

    Docker has no way to write a source with a colon here.  Where more colons are there than
    docker takes, the last part that is an absolute path is the target, so that
    ``/a:b:/c:ro`` is a mount of ``/a:b``, told by ``--mount``.

    Raises:
        RequestError: It is none that docker takes.
    """
    parts = text.split(":")
    if len(parts) == 1:
        parts = ["", *parts]
    elif not parts[0]:
        raise _error(text)
    long = len(parts) > 3 or (len(parts) == 3 and not _fits(parts))
    if long:
        at = max((n for n, part in enumerate(parts) if n and part.startswith("/")), default=0)
        if not at or len(parts) - at > 2 or not text.startswith("/"):
            raise _error(text)
        parts = [":".join(parts[:at]), *parts[at:]]
    if not parts[1].startswith("/"):
        raise _error(text)
    options = tuple(parts[2].split(",")) if parts[2:] and parts[2] else ()
    kind: Kind = "bind" if parts[0].startswith(("/", ".")) else "volume"
    mount = Mount(parts[0], parts[1], options, kind, (), long)
    _check_target(f"-v {quote(text)}", mount.target)
    if mount.source and kind == "volume" and not NAME.fullmatch(mount.source):
        raise RequestError(
            f"-v {quote(text)}: {quote(mount.source)} is neither a path nor the name of a volume",
            hint="a path starts with / or ./",
        )
    _check_options(text, options)
    if long and (selinux := mount.option_of(SELINUX)):
        raise RequestError(
            f"-v {quote(text)}: docker takes no {selinux} for a path with a colon in it",
            hint="a symbolic link without a colon leads there as well",
        )
    return mount


def _fits(parts: list[str]) -> bool:
    """Whether three parts are docker's source, target and options."""
    return parts[1].startswith("/") and not parts[2].startswith("/")


def bind(source: str, target: str, *options: str) -> Mount:
    """The mount of a path of the host, told by ``--mount`` where its path has a colon."""
    return Mount(source, target, options, "bind", (), ":" in source)


def parse_long(text: str) -> Mount:
    """A ``--mount`` value: fields of CSV, ``type=bind,source=…,target=…`` and so on.

    Raises:
        RequestError: It is none that docker takes.
    """
    said: dict[str, str] = {}
    extra: list[str] = []
    record = csv_fields.read(text)
    if not record:
        raise _long_error(text, "there is nothing in it, or a quote is where none may be")
    for field in record:
        key, equals, value = _pair(field)
        if not equals and key not in _FLAGS:
            raise _long_error(text, f"{quote(field)} has no value")
        if any(key in names for names in _EXTRA.values()):
            extra.append(field)
        else:
            said[key] = value if equals else "true"
    kind = said.pop("type", "volume")
    if kind not in ("bind", "volume", "tmpfs"):
        raise _long_error(text, f"there is no type {quote(kind)} here: bind, volume, tmpfs")
    allowed = {_pair(option)[0] for option in extra} - {*_EXTRA[kind]}
    source, target = said.pop("source", ""), said.pop("target", "")
    options = tuple(_long_options(text, said, kind))
    if allowed or said:
        raise _long_error(text, f"{quote(next(iter((*allowed, *said))))} is no field of a {kind}")
    if not target.startswith("/"):
        raise _long_error(text, "a target is an absolute path")
    _check_target(f"--mount {quote(text)}", target)
    _check_source(text, kind, source)
    return Mount(source, target, options, kind, tuple(extra), True)  # type: ignore[arg-type]


def _long_options(text: str, said: dict[str, str], kind: str) -> Iterator[str]:
    for key, option in (("readonly", "ro"), ("volume-nocopy", "nocopy")):
        if key == "volume-nocopy" and kind != "volume":
            continue
        value = said.pop(key, "false").lower()
        if value not in _TRUTH:
            raise _long_error(text, f"{key} is true or false")
        if _TRUTH[value]:
            yield option
    for key, group in (("bind-propagation", PROPAGATION), ("consistency", CONSISTENCY)):
        if key in said and (kind == "bind" or key == "consistency"):
            if (value := said.pop(key).lower()) not in (*group, "default"):
                raise _long_error(text, f"{key} is one of {', '.join(group)}")
            yield from () if value == "default" else (value,)


def _check_source(text: str, kind: str, source: str) -> None:
    if kind == "bind" and not source.startswith(("/", ".")):
        raise _long_error(text, "the source of a bind is a path: it starts with / or ./")
    if kind == "tmpfs" and source:
        raise _long_error(text, "a tmpfs has no source")
    if kind == "volume" and source and not NAME.fullmatch(source):
        raise _long_error(text, f"{quote(source)} is no name of a volume; a path is type=bind")


def _pair(field: str) -> tuple[str, str, str]:
    """The key of a field of ``--mount``, whichever of its names is written; ``=``; the value."""
    name, equals, value = field.partition("=")
    key = name.lower().strip()
    return _SAME.get(key, key), equals, value


def with_source(text: str, path: Callable[[str], str]) -> str:
    """A ``-v`` value with what *path* makes of its source, which is empty where it has none."""
    source, rest = _source_of(text)
    return f"{path(source)}{rest}"


def with_source_long(text: str, path: Callable[[str], str]) -> str:
    """A ``--mount`` value with what *path* makes of its source; as it is where it is none."""
    record = csv_fields.read(text) or []
    changed = [
        f"{field.partition('=')[0]}={path(value)}" if key == "source" and equals else field
        for field in record
        for key, equals, value in (_pair(field),)
    ]
    return text if changed == record else csv_fields.joined(changed)


def _source_of(text: str) -> tuple[str, str]:
    """The source of a ``-v`` value as it is written, and the rest of it."""
    mount = None
    if text.count(":") > 1:
        try:
            mount = parse(text)
        except RequestError:
            mount = None
    if mount is not None and mount.long:
        return mount.source, text[len(mount.source) :]
    source, colon, rest = text.partition(":")
    return (source, f"{colon}{rest}") if colon else ("", text)


def _check_target(said: str, target: str) -> None:
    if posixpath.normpath(target) in ("/", "//"):
        raise RequestError(f"{said}: nothing can be mounted at /")


def _check_options(text: str, options: tuple[str, ...]) -> None:
    for option in options:
        if not any(option in group for group in _GROUPS):
            raise RequestError(f"-v {quote(text)}: there is no option {quote(option)}")
    for group in _GROUPS:
        if len(both := [option for option in options if option in group]) > 1:
            raise RequestError(f"-v {quote(text)}: {' and '.join(both)} exclude each other")


def _error(text: str) -> RequestError:
    return RequestError(
        f"-v {quote(text)} is no SOURCE:TARGET[:OPTIONS] with an absolute target",
        hint="--mount 'type=bind,source=PATH,target=PATH' takes any path"
        if text.count(":") > 1
        else None,
    )


def _long_error(text: str, why: str) -> RequestError:
    return RequestError(
        f"--mount {quote(text)}: {why}",
        hint="such as type=bind,source=/data,target=/data,readonly",
    )
