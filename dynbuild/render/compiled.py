"""Templates as compiled code on the disk, so that a command does not compile them anew."""

from __future__ import annotations

import marshal
from contextlib import suppress
from pathlib import Path
from types import CodeType

import jinja2
from jinja2.bccache import Bucket, BytecodeCache

from dynbuild import disk_cache


class Compiled(BytecodeCache):
    """The compiled templates in *folder*, which is made when the first is kept."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load_bytecode(self, bucket: Bucket) -> None:
        """Fill *bucket* with the code of its template, where that is kept."""
        content = disk_cache.read(self._folder / bucket.key, _made_of(bucket))
        with suppress(ValueError, EOFError, TypeError):
            made = marshal.loads(content or b"")  # noqa: S302 - only the user writes there
            bucket.code = made if isinstance(made, CodeType) else None

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep the code of *bucket*."""
        if bucket.code is not None:
            content = marshal.dumps(bucket.code)
            disk_cache.write(self._folder / bucket.key, _made_of(bucket), content)


def _made_of(bucket: Bucket) -> str:
    """What the code depends on: the text of the template, and jinja2."""
    return f"jinja2 {jinja2.__version__}, {bucket.checksum}"
