"""One input after the other: each is made of its kind and its number alone."""

from __future__ import annotations

import contextlib
import random
import re
from dataclasses import dataclass

from tests import support
from tests.fuzz import argv, exports, records, repositories, settings_files
from tests.fuzz.sandbox import in_time, sandbox

KINDS = {
    "argv": argv.attempt,
    "toml": settings_files.attempt,
    "records": records.attempt,
    "git": repositories.attempt,
    "exports": exports.attempt,
}
SHARES = {"argv": 40, "toml": 25, "records": 15, "git": 5, "exports": 15}
"""Of a hundred inputs so many are of the kind."""

DOCUMENTED = (0, 1, 2, 3, 130)
"""The exit statuses of the program's help; 70 is there too, and is a finding."""

_ESCAPES = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True)
class Finding:
    """What an input showed."""

    kind: str
    number: int
    words: str
    about: str

    def __str__(self):
        return f"{self.kind} {self.number}: {self.about}\n    {self.words}"


class Bench:
    """The folder in which inputs are tried, with what they begin from."""

    def __init__(self, folder, env):
        self.folder, self.env = folder, env
        trees = folder / "trees"
        support.source_tree(trees / "source")
        records.whole(trees / "whole")
        repositories.whole(trees / "git")
        (folder / "home").mkdir()

    def call(self, *words, env=None, **more):
        """Run a command line, with the variables of the sandbox."""
        return support.call(*words, env={**self.env, **(env or {})}, **more)

    def attempt(self, kind, number):
        """Try the input *number* of *kind*; what it shows, if anything."""
        chance = random.Random(f"{kind} {number}")
        try:
            with in_time():
                words, done = KINDS[kind](chance, self.folder, self.call)
        except Exception as error:
            return Finding(kind, number, "", f"{type(error).__name__}: {error}"[:2000])
        about = wrong(done)
        return Finding(kind, number, repr(words)[:1500], about) if about else None


def wrong(done):
    """What is wrong with how a command ended; empty for nothing."""
    if done.code not in DOCUMENTED:
        return f"exit status {done.code}: {done.err[-1500:]}"
    if "Traceback (most recent call last)" in done.err + done.out:
        return f"a traceback: {done.err[-1500:]}"
    if found := _ESCAPES.search(done.err):
        return f"{found[0]!r} on standard error: {done.err[:1500]!r}"
    if done.code and not done.err and not done.out:
        return f"exit status {done.code} without a word"
    return ""


@contextlib.contextmanager
def bench(folder):
    """Where inputs can be tried, while it lasts."""
    with sandbox(folder) as env:
        yield Bench(folder, env)
