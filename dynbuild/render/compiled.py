"""Templates as compiled code on the disk, so that a command does not compile them anew.

What is kept is code, as in ``__pycache__``: it is read from a folder of the user's own that
nobody else can write, or not at all.  A file counts only for the very text that it was made
of, and for the same jinja2, Python and dynbuild.  Whatever goes wrong with one, the template
is compiled as if there were none.
"""

from __future__ import annotations

import hashlib
import marshal
import os
import stat
import sys
from contextlib import suppress
from pathlib import Path
from types import CodeType

import jinja2
from jinja2.bccache import Bucket, BytecodeCache

from dynbuild import __version__

_MADE_BY = f"dynbuild {__version__}, jinja2 {jinja2.__version__}, {sys.version}\n".encode()


class Compiled(BytecodeCache):
    """The compiled templates in *folder*, which is made when the first is kept."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load_bytecode(self, bucket: Bucket) -> None:
        """Fill *bucket* with the code of its template, where that is kept."""
        with suppress(OSError, ValueError, EOFError, TypeError):
            if not _is_own(self._folder):
                return
            head, _, code = self._path(bucket).read_bytes().partition(b"\n\n")
            if head == self._head(bucket, code):
                made = marshal.loads(code)  # noqa: S302 - from a folder that only the user writes
                bucket.code = made if isinstance(made, CodeType) else None

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep the code of *bucket*, whole or not at all."""
        if bucket.code is None:
            return
        import tempfile  # a command that finds the code does not need it

        code = marshal.dumps(bucket.code)
        with suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not _is_own(self._folder):
                return
            # The file is for its owner only from the start.
            number, part = tempfile.mkstemp(dir=self._folder, prefix=".")
            try:
                with os.fdopen(number, "wb") as file:
                    file.write(self._head(bucket, code) + b"\n\n" + code)
                os.replace(part, self._path(bucket))  # noqa: PTH105
            except OSError:
                os.unlink(part)  # noqa: PTH108
                raise

    def _path(self, bucket: Bucket) -> Path:
        return self._folder / bucket.key

    def _head(self, bucket: Bucket, code: bytes) -> bytes:
        """What is written above *code*: what made it of which text, and its own checksum."""
        sums = f"{bucket.checksum} {hashlib.sha256(code).hexdigest()}"
        return _MADE_BY + sums.encode()


def _is_own(folder: Path) -> bool:
    """Whether *folder* belongs to the caller, and nobody else can write in it."""
    found = folder.lstat()
    writable = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not writable
