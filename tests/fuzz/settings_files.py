"""Settings files: any value at any key there is, keys that there are not, and damaged text."""

from __future__ import annotations

import datetime
import functools

from dynbuild.settings import request_options, run_options
from tests.fuzz import hostile
from tests.fuzz.argv import IMAGE
from tests.support import CATALOG

COMMANDS = (
    ("plan", *IMAGE),
    ("plan", *IMAGE, "--format", "json"),
    ("plan",),
    ("list",),
    ("render", *IMAGE),
    ("run", "--image", "x:y", "--dry-run"),
    ("run", "--image", "x:y", "--export", "compose"),
    ("devcontainer",),
    ("env",),
    ("build", *IMAGE, "--dry-run"),
)


@functools.cache
def paths():
    """The path of every leaf, of the catalog and of the options, with a value that it has."""
    found = {}

    def walk(table, before):
        for key, value in table.items():
            found[*before, key] = value
            if isinstance(value, dict):
                walk(value, (*before, key))

    walk({key: value for key, value in CATALOG.items() if key != "arguments"}, ())
    options = (*request_options.REQUEST, *request_options.SITE, *run_options.SETTINGS)
    samples = {"list": ["x"], "pairs": {"x": "y"}, "integer": 1, "switch": True}
    for option in options:
        if len(option.path) == 2:
            found.setdefault(option.path, samples.get(option.kind, "x"))
    for table in ("contexts", "sources", "tools", "mirrors", "profiles", "matrix", "secrets"):
        for path in ((table, "x"), *((table, "x", key) for key in ("kind", "path", "url"))):
            found[path] = "x"
    return found


def quoted(text):
    """A text as TOML has it."""
    escaped = text.encode("utf-8", "replace").decode().replace("\\", "\\\\").replace('"', '\\"')
    plain = "".join(char if char.isprintable() else f"\\U{ord(char):08x}" for char in escaped)
    return f'"{plain}"'


def written(value):
    """A value as TOML has it."""
    if isinstance(value, bool) or value is None:
        return "true" if value else "false"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{quoted(key)} = {written(one)}' for key, one in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(written, value))}]"
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    return str(value)


def _alike(chance, value):
    """A value of the type of *value*."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return chance.choice((0, 1, -1, 2**31, 10**40))
    if isinstance(value, list):
        return [*value, chance.choice(hostile.TEXTS)][chance.randrange(2) :]
    if isinstance(value, dict):
        return {chance.choice(hostile.TEXTS): chance.choice(hostile.TEXTS)}
    return hostile.text(chance, (str(value),))


def line(chance):
    """A key and a value."""
    known = chance.choice(list(paths()))
    path = list(known)
    if chance.random() < 0.2:
        path[chance.randrange(len(path))] = chance.choice(hostile.TEXTS)
    if chance.random() < 0.1:
        path.append(chance.choice(("x", "kind", "args", "0", "")))
    leaf = chance.choice((*hostile.LEAVES, *hostile.DATES))
    if chance.random() < 0.7:
        leaf = _alike(chance, paths()[known])
    elif chance.random() < 0.2:
        leaf = [leaf] * chance.randrange(1, 4)
    return f"{'.'.join(map(quoted, path))} = {written(leaf)}\n"


def attempt(chance, folder, call):
    """Try one file; the words and what came of them."""
    text = "".join(line(chance) for _ in range(chance.choice((1, 1, 1, 2, 3))))
    data = text.encode("utf-8", "replace")
    if chance.random() < 0.1:
        data = hostile.damaged(chance, data)
    file = folder / "settings.toml"
    file.write_bytes(data)
    words = [*chance.choice(COMMANDS)]
    if words[0] in ("env",):
        words += ["--context", str(folder / "trees" / "source")]
        file.replace(folder / "trees" / "source" / "dynbuild.toml")
    else:
        words += ["--config", str(file)]
    try:
        return [*words, data], call(*words, cwd=folder / "trees" / "source")
    finally:
        (folder / "trees" / "source" / "dynbuild.toml").unlink(missing_ok=True)
