"""Records of builds and of matrices, with anything in them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from pathlib import Path

from dynbuild.matrix.result import CellResult, MatrixResult
from tests.fuzz import hostile
from tests.report import builds
from tests.support import NONE_CPU, make_job

READERS = (
    *(("report", "--format", form, "-o", "-") for form in ("html", "md", "json", "chrome-trace")),
    ("report",),
    ("history", "list"),
    ("history", "list", "--format", "json"),
    ("history", "show"),
    ("history", "compare"),
    ("history", "prune", "--keep", "1", "--dry-run"),
    ("df",),
    ("clean", "--records", "--older-than", "1d", "--dry-run"),
    ("matrix", "--resume", "last"),
    ("matrix", "--resume", "last", "--dry-run"),
    ("build", "--dry-run"),
)

_IDS = (builds.ID, "20261122T023012-4712-none-runtime-cpu", "20261122T033012-4713-vllm-runtime")
_MATRIX = "20261122T043012-4714-release"


def whole(folder):
    """A tree with the records of three builds and a matrix."""
    for id_ in _IDS:
        made = builds.recorded(
            folder / ".dynbuild" / "builds", ended=builds.result(), build_id=id_
        ).path
        plan = make_job(**NONE_CPU, context=folder).plan
        (made / "plan.json").write_text(json.dumps(plan.document()))
        (made / "metadata.json").write_text('{"none-runtime-cpu": {"containerimage.digest": "x"}}')
        (made / "context.json").write_text("{}")
        (made / "log").write_text("a\nb\n")
    matrix = folder / ".dynbuild" / "matrices" / _MATRIX
    matrix.mkdir(parents=True)
    (matrix / "plan.json").write_text(json.dumps(plan.document()))
    cells = (
        CellResult(id="none-runtime-cpu", status="failed", output="load", build=_IDS[0]),
        CellResult(id="x", status="done", output="load", build=_IDS[1], digest="sha256:1"),
    )
    ended = MatrixResult(id="x", status="failed", cells=cells)
    (matrix / "result.json").write_text(json.dumps(ended.document()))
    return folder


def change(chance, file):
    """Change a file of a record, or put something else in its place."""
    action = chance.random()
    if action < 0.65 and file.suffix in (".json", ".jsonl"):
        # Of what is damaged already nothing more is made.
        with contextlib.suppress(ValueError):
            _change_json(chance, file)
    elif action < 0.9:
        file.write_bytes(hostile.damaged(chance, file.read_bytes()))
    else:
        _replace(chance, file)


def _change_json(chance, file):
    """Change values of a file of JSON, in one of its lines where each is a value."""
    lines = file.read_text().splitlines() if file.suffix == ".jsonl" else [file.read_text()]
    place = chance.randrange(len(lines))
    value = json.loads(lines[place])
    for _ in range(chance.choice((1, 1, 2, 4))):
        value = hostile.mutated(chance, value)
    lines[place] = json.dumps(value)
    file.write_text("\n".join(lines))


def _replace(chance, file):
    """Put what is no file in the place of *file*."""
    file.unlink()
    kind = chance.randrange(5)
    if kind == 0:
        file.mkdir()
    elif kind == 1:
        file.symlink_to(file.name)
    elif kind == 2:
        file.symlink_to("/dev/null/x")
    elif kind == 3:
        os.mkfifo(file)


def attempt(chance, folder, call):
    """Try records once; the words and what came of them."""
    tree = folder / "trees" / "records"
    shutil.rmtree(tree, ignore_errors=True)
    shutil.copytree(folder / "trees" / "whole", tree, symlinks=True)
    state = tree / ".dynbuild"
    changed = []
    for _ in range(chance.choice((1, 1, 2))):
        files = sorted(path for path in state.rglob("*") if path.is_file())
        file = chance.choice(files)
        change(chance, file)
        changed.append(str(file.relative_to(state)))
    if chance.random() < 0.1:
        odd = os.fsdecode(chance.choice((b"\xff-1-x", b"20261122T-1-\x1b[31m", b"latest", b"a b")))
        made: Path = state / "builds" / odd
        made.mkdir()
        shutil.copy(
            folder / "trees" / "whole" / ".dynbuild" / "builds" / _IDS[0] / "result.json", made
        )
    words = [*chance.choice(READERS), "--context", str(tree)]
    if words[:2] == ["history", "show"]:
        words.insert(2, chance.choice((*_IDS, "~1")))
    return [*words, *changed], call(*words, cwd=tree)
