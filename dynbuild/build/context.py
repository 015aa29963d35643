"""Which files a build takes from its build contexts, and what is in them: ``context.json``.

That is what tells two builds of one plan apart.  Files are hashed while the solve runs.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import stat
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import field, replace
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal, Protocol

from dynbuild.build import ignore
from dynbuild.build.hashes import Memory, Stopped
from dynbuild.build.ignore import Ignore, Matches
from dynbuild.build.inputs import ignore_file
from dynbuild.checked import Document, adapter, described, plain
from dynbuild.quick import dataclass
from dynbuild.render import instructions
from dynbuild.render.instructions import MAIN


class _Told(Document):
    """What a newer dynbuild wrote is read as far as it is known."""

    __slots__ = ()
    __pydantic_config__: ClassVar[Mapping[str, object]] = {
        "extra": "ignore", "populate_by_name": True,
    }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextFiles(_Told):
    """The files that are taken from one build context."""

    path: str = described("the folder")
    files: dict[str, str] = described(
        "by path: 'file MODE SHA256', 'dir MODE', 'link TARGET', 'other', 'unreadable'"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFiles(_Told):
    """What one step takes."""

    image: str
    stage: str
    step: str = described("the instruction")
    context: str = described("name of the build context; empty for the tree")
    sources: tuple[str, ...] = described("paths or patterns; an empty one is all of it")
    count: int = described("how many files, folders and links that is")
    digest: str = described("of their paths and of what is in them")


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextRecord(_Told):
    """What a build took from its build contexts, after ``.dockerignore``."""

    format: Literal[1] = field(default=1, metadata={"alias": "schema"})
    contexts: dict[str, ContextFiles]
    steps: tuple[StepFiles, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """An image as far as it decides what is read.

    Attributes:
        image: Its id.
        dockerfile: Text of its Dockerfile.
        stage: The stage that becomes it.
        args: Values of its build arguments.
        folders: Its named contexts that are folders.
    """

    image: str
    dockerfile: str
    stage: str
    args: Mapping[str, str]
    folders: Mapping[str, str]


def take(
    sources: list[Source],
    tree: Path,
    own_ignore: str,
    memory: Memory,
    stopped: Callable[[], bool] = lambda: False,
) -> ContextRecord:
    """Read what the images take.

    Args:
        sources: The images.
        tree: The context that has no name.
        own_ignore: The ignore file that holds for it.
        memory: Hashes of earlier builds.
        stopped: Whether nobody waits for the answer any more.

    Raises:
        ValueError: An ignore file is malformed.
        RequestError: It cannot be read.
        Stopped: *stopped* said so.
    """
    trees: dict[str, _Tree] = {}
    steps = []
    for source in sources:
        folders = {MAIN: str(tree), **source.folders}
        for chosen in instructions.selections(
            source.dockerfile, source.stage, source.args, source.folders
        ):
            root = Path(folders[chosen.context])
            if chosen.context not in trees:
                text = own_ignore if chosen.context == MAIN else ignore_file(root)
                trees[chosen.context] = _Tree(root, Ignore.parse(text), memory, stopped)
            count, digest = trees[chosen.context].select(chosen.sources)
            steps.append(
                StepFiles(
                    image=source.image,
                    stage=chosen.stage,
                    step=chosen.step,
                    context=chosen.context,
                    sources=chosen.sources,
                    count=count,
                    digest=digest,
                )
            )
    contexts = {
        name: ContextFiles(path=str(one.root), files=dict(sorted(one.entries.items())))
        for name, one in sorted(trees.items())
    }
    return ContextRecord(contexts=contexts, steps=tuple(steps))


def _digest(taken: Mapping[str, str]) -> str:
    text = "".join(f"{path}\0{entry}\n" for path, entry in sorted(taken.items()))
    return f"sha256:{hashlib.sha256(text.encode(errors='surrogateescape')).hexdigest()}"


@dataclasses.dataclass(slots=True)
class _Tree:
    """One build context, read as far as steps select from it, and each file of it once."""

    root: Path
    ignore: Ignore
    memory: Memory
    stopped: Callable[[], bool]
    entries: dict[str, str] = field(default_factory=dict)
    _selected: dict[tuple[str, ...], tuple[int, str]] = field(default_factory=dict)
    _top: str = field(init=False)

    def __post_init__(self) -> None:
        self._top = str(self.root)

    def select(self, sources: tuple[str, ...]) -> tuple[int, str]:
        """How much *sources* select, and a digest of it.

        Images have many steps in common: what was selected once is not looked at again.
        """
        if sources not in self._selected:
            paths: list[str] = []
            for source in sources:
                for path in self._expand(source):
                    if (self.root / path).is_symlink():
                        paths.append(path)
                    self._collect(self._resolved(path), paths)
            taken = {path: self._known(path) for path in paths}
            self._selected[sources] = len(taken), _digest(taken)
        return self._selected[sources]

    def _expand(self, source: str) -> Iterator[str]:
        """The paths that a source means; one with signs is compared folder by folder."""
        paths = [""]
        for part in source.split("/") if source else ():
            if not re.search(r"[*?\[\\]", part):
                paths = [_join(path, part) for path in paths]
                continue
            pattern = re.compile(ignore.expression(part.replace("**", "*")))
            paths = [
                _join(path, one.name)
                for path in paths
                for one in self._inside(path)
                if pattern.match(one.name)
            ]
        for path in paths:
            if os.path.lexists(self.root / path):
                yield path

    def _resolved(self, path: str) -> str:
        """The path with links followed, as COPY follows those of its sources."""
        real, top = os.path.realpath(self.root / path), os.path.realpath(self.root)
        inside = os.path.relpath(real, top)
        outside = inside == ".." or inside.startswith("../")
        return path if outside else "" if inside == "." else inside

    def _collect(self, path: str, below: list[str]) -> None:
        """Add *path* and all below it that is not ignored, folders of what is taken too."""
        excluded, fits = self._state(path)
        if not path or self._is_folder(path):
            self._walk(path, excluded, fits, below)
        elif not excluded:
            below.append(path)

    def _walk(self, path: str, excluded: bool, fits: Matches | None, below: list[str]) -> None:
        if excluded and not self.ignore.takes_back:
            return
        start = len(below)
        below.append(path)
        inside = f"{path}/" if path else ""
        enter, entries = self.ignore.enter, self.entries
        for one in self._inside(path):
            name = one.name
            inner = inside + name
            out, more = enter(inner, name, fits)
            if one.is_dir(follow_symlinks=False):
                self._walk(inner, out, more, below)
            elif not out:
                below.append(inner)
                if inner not in entries:
                    # Looked at from its folder: the way to it is not walked once more.
                    entries[inner] = self._entry(one.path, one.stat)
        if not path or (excluded and len(below) == start + 1):
            del below[start]

    def _is_folder(self, path: str) -> bool:
        try:
            return stat.S_ISDIR(os.lstat(f"{self._top}/{path}").st_mode)
        except OSError:
            return False

    def _inside(self, path: str) -> list[os.DirEntry[str]]:
        """What is in a folder."""
        if self.stopped():
            raise Stopped
        try:
            with os.scandir(f"{self._top}/{path}") as found:
                return list(found)
        except OSError:
            return []

    def _state(self, path: str) -> tuple[bool, Matches | None]:
        excluded, fits = False, None
        parts = path.split("/") if path else []
        for depth, name in enumerate(parts, start=1):
            excluded, fits = self.ignore.enter("/".join(parts[:depth]), name, fits)
        return excluded, fits

    def _known(self, path: str) -> str:
        if path not in self.entries:
            full = f"{self._top}/{path}"
            self.entries[path] = self._entry(full, partial(os.stat, full))
        return self.entries[path]

    def _entry(self, full: str, look: Callable[..., os.stat_result]) -> str:
        """What is at the path *full*, whose state *look* tells."""
        try:
            state = look(follow_symlinks=False)
            mode = state.st_mode
            kind = stat.S_IFMT(mode)
            if kind == stat.S_IFREG:
                digest = self.memory.sha256(full, state, self.stopped)
                return f"file {mode & 0o7777:o} {digest}"
            if kind == stat.S_IFLNK:
                return f"link {os.readlink(full)}"  # noqa: PTH115 - paths of files cost time
        except OSError:
            return "unreadable"
        return f"dir {mode & 0o7777:o}" if kind == stat.S_IFDIR else "other"


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def to_text(taken: ContextRecord) -> str:
    """*taken* as the text of ``context.json``; names of files may be of any bytes."""
    return json.dumps(plain(taken)) + "\n"


def parse(text: bytes | str) -> ContextRecord:
    """What a ``context.json`` holds.

    Raises:
        ValueError: It is damaged.
    """
    try:
        found: ContextRecord = adapter(ContextRecord).validate_python(json.loads(text))
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
    return found


class Taken(Protocol):
    """What was, or will have been, taken from build contexts."""

    @property
    def trouble(self) -> str:
        """Why there is no answer; empty where there is one, or none is wanted."""

    def result(self, *, wait: bool) -> ContextRecord | None:
        """What was taken; ``None`` where that failed, or is not over and need not be waited for."""


class Reading:
    """The reading of build contexts beside a solve, in a thread of its own."""

    def __init__(self, sources: list[Source], tree: Path, own_ignore: str, memory: Memory) -> None:
        self._trouble = ""
        self._taken: ContextRecord | None = None
        self._stop = False
        self._thread = threading.Thread(
            target=self._read, args=(sources, tree, own_ignore, memory), daemon=True
        )
        self._thread.start()

    @property
    def trouble(self) -> str:
        """Why there is no answer; empty where there is one, or none is wanted."""
        return self._trouble

    @property
    def over(self) -> bool:
        """Whether all is read."""
        return not self._thread.is_alive()

    def result(self, *, wait: bool) -> ContextRecord | None:
        """What was read; ``None`` where that failed, or is not over and need not be waited for."""
        self._stop = not wait
        self._thread.join()
        return self._taken

    def part(self, images: Iterable[str]) -> Part:
        """The reading as far as it is of the *images* of those names."""
        return Part(self, frozenset(images))

    def _read(self, sources: list[Source], tree: Path, own_ignore: str, memory: Memory) -> None:
        try:
            self._taken = take(sources, tree, own_ignore, memory, lambda: self._stop)
            memory.keep()
        except Stopped:
            pass
        except Exception as error:
            # The build is not to fail with its bookkeeping, whatever lies in the tree.
            self._trouble = str(error) or type(error).__name__


@dataclass(frozen=True, slots=True)
class Part:
    """What some of the images of a reading take, where one reading is for several builds."""

    whole: Reading
    images: frozenset[str]

    @property
    def trouble(self) -> str:
        """Why there is no answer."""
        return self.whole.trouble

    def result(self, *, wait: bool) -> ContextRecord | None:
        """What was read; the other builds still wait for the rest."""
        taken = self.whole.result(wait=True) if wait or self.whole.over else None
        if taken is None:
            return None
        steps = tuple(step for step in taken.steps if step.image in self.images)
        used = {step.context for step in steps}
        contexts = {name: files for name, files in taken.contexts.items() if name in used}
        return replace(taken, steps=steps, contexts=contexts)
