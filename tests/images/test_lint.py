"""Every Dockerfile there is passes BuildKit's own checks and hadolint, without a warning.

NVIDIA's and the other remote images cannot be had everywhere: a Debian image stands in for
each of them. That is enough for the checks, which look at nothing of an image but its
environment; NVIDIA's images define LD_LIBRARY_PATH, so the stand-in does.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from dynbuild import proc
from dynbuild.plan.matrix import EFA_TARGETS
from dynbuild.render.dockerfile import render
from tests import cells as matrix
from tests.session import NAME as RUN
from tests.support import DEMO, ROOT, TEMPLATES, make_image_job

HADOLINT = Path(sys.executable).with_name("hadolint")
# One command for many files; with some hundreds of targets at once buildx loses track of them.
BATCH = 24
WORKERS = 2


@pytest.fixture(scope="module")
def stub(engine, base_image, tmp_path_factory):
    """The stand-in for every remote image."""
    name = f"{RUN}/stub-of-a-remote-image:1"
    folder = tmp_path_factory.mktemp("stub")
    text = f"FROM {base_image}\nENV LD_LIBRARY_PATH=/usr/local/cuda/lib64\n"
    (folder / "Dockerfile").write_text(text, encoding="utf-8")
    words = [engine.docker, "build", "--quiet", "--tag", name, str(folder)]
    proc.run(words, env=engine.env(os.environ))
    return name


@pytest.fixture(scope="module")
def check(engine, stub, tmp_path_factory):
    """Ask BuildKit about Dockerfiles: (name, warning or error) of each that is not clean."""

    def run(texts):
        folder = tmp_path_factory.mktemp("check")
        targets = {}
        for number, text in enumerate(texts.values()):
            path = folder / f"{number}.Dockerfile"
            path.write_text(text, encoding="utf-8")
            targets[str(number)] = {
                "context": str(folder),
                "dockerfile": str(path),
                "target": re.findall(r"^FROM \S+ AS (\S+)$", text, re.MULTILINE)[-1],
                "contexts": dict.fromkeys(_images(text), f"docker-image://{stub}"),
            }
        file = folder / "bake.json"
        file.write_text(json.dumps({"target": targets}), encoding="utf-8")
        env = engine.env(os.environ) | {"BUILDX_BAKE_ENTITLEMENTS_FS": "0"}
        words = [engine.docker, "buildx", "bake", "--progress=quiet", "--call=check,format=json"]
        found, said, wanted = [], {}, list(targets)
        for start in range(0, len(wanted), BATCH):
            asked = wanted[start : start + BATCH]
            done = proc.run([*words, "--file", str(file), *asked], env=env, check=False)
            if not done.stdout:
                found.append((", ".join(asked), done.stderr))
                continue
            said |= json.loads(done.stdout)["target"]
        for number, name in enumerate(texts):
            checked = said.get(str(number), {}).get("check")
            if checked is None:
                found.append((name, "was not checked"))
                continue
            found += [(name, item["detail"]) for item in checked.get("warnings") or ()]
            if checked.get("error"):
                found.append((name, str(checked["error"])))
        return found

    return run


def _images(text):
    """What a file starts from and does not have itself: remote images, and linked ones."""
    values = dict(re.findall(r"^ARG (\w+)=(\S*)$", text, re.MULTILINE))
    own = set(re.findall(r"^FROM \S+ AS (\S+)$", text, re.MULTILINE)) | {"scratch"}
    for reference in re.findall(r"^FROM (\S+) AS", text, re.MULTILINE):
        image = re.sub(r"\$\{(\w+)\}", lambda m: values.get(m[1], "amd64"), reference)
        if image not in own:
            yield image


def _hadolint(folder, texts):
    """(name, finding) of each stage that hadolint finds something in.

    Stages are shared between files, so each distinct one is looked at in one file only;
    elsewhere there are just its first line, for the stages that go on from it.
    """
    seen, names = set(), {}
    for number, (name, text) in enumerate(texts.items()):
        head, *parts = _stages(text)
        if set(parts) <= seen:
            continue
        kept = [
            "\n".join(re.findall(r"^(?:FROM .*|SHELL .*|# hadolint .*)$", part, re.MULTILINE))
            if part in seen
            else part
            for part in parts
        ]
        seen |= set(parts)
        path = folder / f"{number}.Dockerfile"
        path.write_text("\n".join([head, *kept, ""]), encoding="utf-8")
        names[str(path)] = name
    files = list(names)
    words = [str(HADOLINT), "--config", str(ROOT / ".hadolint.yaml"), "--format", "json"]
    started = [
        subprocess.Popen([*words, *files[first::WORKERS]], stdout=subprocess.PIPE, text=True)
        for first in range(WORKERS)
        if files[first::WORKERS]
    ]
    found = [item for process in started for item in json.loads(process.communicate()[0])]
    return seen, [
        (names[item["file"]], f"{item['code']} {item['message']}", _line(item)) for item in found
    ]


def _line(item):
    return Path(item["file"]).read_text(encoding="utf-8").split("\n")[item["line"] - 1]


def _stages(text):
    """The head with the arguments, and each stage; a template's stages stay together."""
    head, arguments, *stages = re.split(r"^(?=# ==== )", text, flags=re.MULTILINE)
    return head + arguments, *stages


def _chains(text):
    """What BuildKit's checks see of each stage: itself with all that it stands on.

    Of the values above all stages that is whether there is one, and of the other stages whether
    those that it copies or mounts from are there.
    """
    head, *stages = re.split(r"^(?=FROM )", text, flags=re.MULTILINE)
    given = set(re.findall(r"^ARG (\w+)=\S", head, re.MULTILINE))
    chains = {}
    for stage in stages:
        start, name = re.match(r"FROM (?:--\S+ )?(\S+) AS (\S+)", stage).groups()
        below = chains.get(re.sub(r"\$\{TARGETARCH\}", "amd64", start), ())
        lacking = {word for word in re.findall(r"\$\{(\w+)\}", start) if word not in given}
        outside = {one for one in re.findall(r"\bfrom=([\w.-]+)", stage) if one not in chains}
        chains[name] = (*below, (stage, *sorted(lacking), *sorted(outside)))
    return set(chains.values())


def _enough(chains):
    """Names of files that have each chain of any of them; the longest files come first."""
    kept, seen = [], set()
    for name in sorted(chains, key=lambda name: -len(chains[name])):
        if not chains[name] <= seen:
            kept.append(name)
            seen |= chains[name]
    return kept


def _everything():
    """Every distinct Dockerfile by a name, those of the examples too."""
    texts = {name: text for name, (_, text) in matrix.dockerfiles().items()}
    return texts | {"demo": render(make_image_job(DEMO / "dynbuild.toml"), TEMPLATES)}


def test_the_cells_are_those_of_the_catalog_and_its_lines(capsys):
    counted = 0
    for path in (TEMPLATES / "catalog.toml", *(TEMPLATES / "lines").glob("*.toml")):
        for entry in tomllib.loads(path.read_text(encoding="utf-8"))["frameworks"].values():
            for device, row in entry["devices"].items():
                layered = set() if device == "xpu" else set(entry["targets"]) & set(EFA_TARGETS)
                targets = len(entry["targets"]) + len(layered)
                counted += targets * (len(row.get("cuda", ())) or 1) * len(matrix.VARIANTS)
    cells, texts = matrix.cells(), matrix.dockerfiles()
    assert len(set(cells)) == len(cells) == counted
    assert {matrix.rendered(cell)[1] for cell in cells} == {text for _, text in texts.values()}
    with capsys.disabled():
        print(f"\n{len(cells)} cells of the matrix, {len(texts)} distinct Dockerfiles")


def test_every_cell_passes_buildkits_checks(check, capsys):
    """A stage is checked with all that it stands on, once: many files share both."""
    texts = _everything()
    chains = {name: _chains(text) for name, text in texts.items()}
    kept = _enough(chains)
    every = set().union(*chains.values())
    assert set().union(*(chains[name] for name in kept)) == every
    with capsys.disabled():
        print(f"\n{len(kept)} of {len(texts)} files have all {len(every)} stages there are")
    assert check({name: texts[name] for name in kept}) == []


def test_every_cell_passes_hadolint(tmp_path):
    texts = _everything()
    seen, found = _hadolint(tmp_path, texts)
    assert found == []
    assert seen == {stage for text in texts.values() for stage in _stages(text)[1:]}


def test_the_committed_files_are_among_them():
    texts = set(_everything().values())
    for path in (ROOT / "dockerfiles").glob("*.Dockerfile"):
        assert path.read_text(encoding="utf-8") in texts, f"{path.name}: run: make generate"


BAD = """\
# a file with mistakes
# ==== arguments ===
ARG VERSION=1
# ==== runtime ===
FROM nvcr.io/nvidia/cuda AS runtime
RUN echo ${VERSOIN} | cat
ENV PATH=/opt:${PATHH}
MAINTAINER me
"""


def test_the_checks_find_mistakes(check):
    ((name, first), *more) = check({"bad": BAD, "good": "FROM scratch AS good\nCOPY . /\n"})
    assert name == "bad"
    assert any("PATHH" in text or "MAINTAINER" in text for _, text in [(name, first), *more])


def test_hadolint_finds_mistakes(tmp_path):
    _, found = _hadolint(tmp_path, {"bad": BAD})
    assert {text.split()[0] for _, text, _ in found} >= {"DL3006", "DL4000", "DL4006"}


def test_every_ignored_rule_has_its_reason():
    lines = (ROOT / ".hadolint.yaml").read_text(encoding="utf-8").splitlines()
    rules = [number for number, line in enumerate(lines) if line.startswith("  - ")]
    assert rules
    for number in rules:
        above = lines[number - 1]
        assert above.startswith(("  # ", "  - ")), f"{lines[number]} is ignored without a reason"
