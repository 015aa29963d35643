"""The examples of the documentation are run, its settings loaded, its links followed.

A fenced ``console`` block holds commands after ``$ `` and what they print; a ``sh`` block
holds commands only. ``# exit N`` at the end of a command says how it ends. A ``toml`` block
is an overlay; ``# NAME.toml`` as its first line names it for the commands of the page.
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer

from dynbuild.cli.commands import app
from dynbuild.run import export, preflight
from dynbuild.settings import load, models
from tests import test_import_rules as rules
from tests.support import CATALOG, ROOT, TEMPLATES, WORKSPACE, call, git, names_of

pytestmark = pytest.mark.processes("docker", "git")

PAGES = sorted([ROOT / "README.md", ROOT / "examples" / "README.md", *(ROOT / "docs").glob("*.md")])
FLAG_PAGES = ("build.md", "launcher.md", "local-dev.md", "migrating.md", "troubleshooting.md")
HOME = "/home/ada"
"""Where the documentation's user lives; stands for the test's own folder."""

PLANNED = ("plan", "render", "build", "run", "devcontainer")
REPORTS = ("doctor", "env")
OPERATORS = {"&&", "||", "|", ";", ">", ">>", "&", "do"}


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    language: str
    text: str

    @property
    def name(self):
        """The file name that a toml block gives itself."""
        found = re.match(r"# (\S+\.toml)\n", self.text)
        return found[1] if found else None


@dataclass(frozen=True)
class Example:
    """One command of the documentation with the lines shown below it."""

    where: str
    page: Path
    words: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    code: int
    shown: tuple[str, ...]


def _blocks(page):
    fence = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    text = page.read_text(encoding="utf-8")
    for found in fence.finditer(text):
        yield Block(page, text.count("\n", 0, found.start()) + 1, found[1], found[2])


BLOCKS = [block for page in PAGES for block in _blocks(page)]
OVERLAYS = [block for block in BLOCKS if block.language == "toml"]


def _commands(block):
    """(line number, command, lines shown below it) of a block; continued lines are joined."""
    commands = []
    for offset, line in enumerate(block.text.splitlines(), 1):
        if block.language == "sh":
            start = line.strip()
        elif line.startswith("$ "):
            start = line[2:]
        else:
            start = None
        if commands and commands[-1][1].endswith("\\"):
            commands[-1][1] = f"{commands[-1][1][:-1]} {line.strip()}"
        elif start is not None:
            commands.append([block.line + offset, start, []])
        else:
            commands[-1][2].append(line)
    return [command for command in commands if command[1] and not command[1].startswith("#")]


def _examples():
    for block in BLOCKS:
        if block.language not in ("console", "sh"):
            continue
        for line, text, shown in _commands(block):
            command, _, comment = text.partition("  # ")
            exit_code = re.search(r"exit (\d+)", comment)
            lexer = shlex.shlex(command, posix=True, punctuation_chars=";|&>")
            lexer.whitespace_split, lexer.commenters = True, ""
            part = []
            for word in (*lexer, ";"):
                if word not in OPERATORS:
                    part.append(word)
                    continue
                env = [w for w in part if re.match(r"[A-Za-z_]+=", w)][: _assignments(part)]
                words = part[len(env) :]
                part = []
                if words and words[0] == "dynbuild":
                    yield Example(
                        where=f"{block.page.relative_to(ROOT)}:{line}",
                        page=block.page,
                        words=tuple(words[1:]),
                        env=tuple(tuple(w.split("=", 1)) for w in env),
                        code=int(exit_code[1]) if exit_code else 0,
                        shown=tuple(shown),
                    )


def _assignments(words):
    """How many words at the front set a variable."""
    count = 0
    while count < len(words) and re.match(r"[A-Za-z_]+=", words[count]):
        count += 1
    return count


EXAMPLES = list(_examples())
RUN = [
    example
    for example in EXAMPLES
    if example.words and example.words[0] in (*PLANNED, "line") and "--diff" not in example.words
]
"""Those that need no more than a tree; --diff compares with a build that was."""

NOT_RUN = [example for example in EXAMPLES if example not in RUN]


def _parameters(*ones):
    return [pytest.param(one, id=one.where) for one in ones]


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """The documentation user's source tree, a repository at the tag v0.9.0."""
    home = tmp_path_factory.mktemp("home")
    path = home / "dynamo"
    shutil.copytree(WORKSPACE, path, ignore=shutil.ignore_patterns(".dynbuild", "target"))
    for example in ("demo", "demo-1.6", "airgap", "cuda"):
        shutil.copytree(
            ROOT / "examples" / example, path / "examples" / example, dirs_exist_ok=True
        )
    (path / "examples" / "workspace").symlink_to("..")
    # What a tree of the other release line has in the place of one file.
    for name in ("common", "planner", "vllm", "benchmark", "dev"):
        (path / f"container/deps/requirements.{name}.txt").touch()
    (home / "ucx").mkdir()
    (home / ".netrc").write_text("machine files.example.com login ada password hunter2\n")
    for block in OVERLAYS:
        if block.name and block.name != load.OVERLAY_NAME:
            (path / block.name).write_text(block.text, encoding="utf-8")
    git(path, "init", "--quiet", "--initial-branch", "main")
    git(path, "add", "--all")
    git(path, "commit", "--quiet", "--message", "one")
    git(path, "tag", "v0.9.0")
    return path


def _dry(words):
    """The same command, told to touch nothing."""
    if words[0] not in ("build", "run") or "--dry-run" in words:
        return words
    end = words.index("--") if "--" in words else len(words)
    return (*words[:end], "--dry-run", *words[end:])


@pytest.mark.parametrize("example", _parameters(*RUN))
def test_example_runs(example, tree):
    home = str(tree.parent)
    words = [
        re.sub(r"^~(?=/|$)", home, word.replace("$target", "runtime").replace("$PWD", str(tree)))
        for word in example.words
    ]
    for flag in ("--output", "-o"):
        if flag in words and words[words.index(flag) + 1] != "-":
            words[words.index(flag) + 1] = f"{home}/Dockerfile"
    done = call(*_dry(tuple(words)), env={"HOME": home, **dict(example.env)}, cwd=tree)
    assert done.code == example.code, done.err
    _compare(example, done, home)
    assert not (tree / ".dynbuild").exists()


def _compare(example, done, home):
    """What is shown was printed: messages and docker lines whole, tables by their rows."""
    out, err = (text.replace(home, HOME) for text in (done.out, done.err))
    err = re.sub(r"/\S*/templates/", "…/templates/", err)
    for line in example.shown:
        if line.startswith(("error:", "hint:", "warning:", "the release line is ")):
            assert line in err.splitlines()
        elif example.words[0] == "line":
            assert line in [text.strip() for text in out.splitlines()]
        elif line.startswith("docker run") or "--export" in example.words:
            assert line in out.splitlines()
        elif example.words[0] == "plan" and line.strip() and line != "…":
            first, last = line.split()[0], line.split()[-1]
            row = next(row for row in out.splitlines() if row.split()[:1] == [first])
            if "flag" in line or first == "tags":
                assert row.split()[-1] == last


@pytest.mark.parametrize("example", _parameters(*NOT_RUN))
def test_other_commands_exist(example):
    group = typer.main.get_command(app)
    for word in example.words:
        if word.startswith("-"):
            known = {flag for one in group.params for flag in (*one.opts, *one.secondary_opts)}
            assert word in known
        elif hasattr(group, "commands"):
            group = group.commands[word]


@pytest.mark.parametrize(
    "block", [pytest.param(one, id=f"{one.page.name}:{one.line}") for one in OVERLAYS]
)
def test_overlay_loads(block, tmp_path):
    file = tmp_path / "overlay.toml"
    file.write_text(block.text, encoding="utf-8")
    load.load(templates=TEMPLATES, overlays=(file,), env={}, flags={})


def test_overlays_have_names_of_their_own():
    names = [block.name for block in OVERLAYS if block.name]
    assert len(names) == len(set(names))


def test_there_are_examples_to_run():
    pages = {example.page.name for example in RUN}
    assert {"README.md", "build.md", "launcher.md", "troubleshooting.md", "migrating.md"} <= pages


def _flags():
    group = typer.main.get_command(app)
    for name in (*PLANNED, *REPORTS):
        for parameter in group.commands[name].params:
            if parameter.param_type_name == "option":
                yield from (*parameter.opts, *parameter.secondary_opts)


@pytest.mark.parametrize("flag", sorted(set(_flags())))
def test_flag_is_documented(flag):
    text = "\n".join((ROOT / "docs" / name).read_text(encoding="utf-8") for name in FLAG_PAGES)
    assert re.search(rf"(?<![\w-]){re.escape(flag)}(?![\w-])", text)


@pytest.mark.parametrize("field", [*names_of(models.Request), *names_of(models.Site)])
def test_setting_and_its_variable_are_documented(field):
    text = (ROOT / "docs" / "build.md").read_text(encoding="utf-8")
    assert f"| `{field}` " in text
    assert f"`DYNBUILD_{field.upper()}`" in text


@pytest.mark.parametrize("field", names_of(models.RunProfile))
def test_option_of_a_profile_is_documented_and_a_flag(field):
    text = (ROOT / "docs" / "launcher.md").read_text(encoding="utf-8")
    assert f"`{field}`" in text
    assert f"--{field.replace('_', '-')}" in set(_flags())


def test_findings_of_the_preflight_are_documented():
    text = (ROOT / "docs" / "launcher.md").read_text(encoding="utf-8")
    code = "".join(path.read_text("utf-8") for path in Path(preflight.__file__).parent.glob("*.py"))
    known = set(re.findall(r'Finding\(\s*"([a-z-]+)"', code))
    assert "gpu-runtime" in known
    table = text.partition("## Preflight")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `([a-z-]+)`", table, re.MULTILINE)) == known


def test_formats_of_exports_are_documented():
    text = (ROOT / "docs" / "launcher.md").read_text(encoding="utf-8")
    table = text.partition("## Exports")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `([a-z0-9]+)`", table, re.MULTILINE)) == set(export.FORMATS)


ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def table_below(heading):
    """The rows of the first table below a heading, as the words in code of each cell."""
    text = ARCHITECTURE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = re.findall(r"^\|(.*)\|$", text, re.MULTILINE)[2:]
    return [[re.findall(r"`([^`]+)`", cell) for cell in line.split("|")] for line in lines]


def test_modules_are_in_the_table_of_the_architecture():
    """Each by its own name, or in the row of a folder below the first rank; none twice."""
    named = [name for row in table_below("Who owns what") for name in row[0]]
    assert len(set(named)) == len(named)
    modules = {name.replace(".", "/") for name in rules.MODULES if not name.startswith("__")}
    modules = {name for name in modules if not name.endswith("/__init__")}
    folders = tuple(name for name in named if name.endswith("/"))
    assert {module for module in modules - set(named) if not module.startswith(folders)} == set()
    assert {name for name in named if name not in modules and name not in folders} == set()
    assert all(any(module.startswith(folder) for module in modules) for folder in folders)


def test_the_import_table_is_the_one_of_the_tests():
    drawn = {
        row[0][0].rstrip("/"): tuple(" ".join(row[1]).split()) for row in table_below("Folders")
    }
    assert list(drawn) == list(rules.MAY_IMPORT)
    assert drawn == rules.MAY_IMPORT
    beside = ARCHITECTURE.partition("The modules beside the folders")[2].partition(".")[0]
    assert set(re.findall(r"`(\w+)`", beside)) == set(rules.BASE)


@pytest.mark.parametrize("row", table_below("Where would I look?"), ids=lambda row: row[2][0])
def test_what_one_looks_for_is_there(row):
    module = importlib.import_module(f"dynbuild.{row[1][0].replace('/', '.')}")
    found = getattr(module, row[2][0])
    assert inspect.getmodule(found) in (module, None), "it is only imported there"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
class TestPage:
    def test_variables_exist(self, page):
        known = {"HOME", "LOG", "PROGRESS", "TEMPLATES"}
        known |= {f.upper() for f in (*names_of(models.Request), *names_of(models.Site))}
        known |= {f"ARG_{name}" for name in CATALOG["args"]} | {"NAME", "ARG_NAME", ""}
        known |= {f"RUN_{f.upper()}" for f in (*names_of(models.RunProfile), "profile", "name")}
        known.add("RUN_")
        for name in re.findall(r"\bDYNBUILD_(\w*)", page.read_text(encoding="utf-8")):
            assert name in known

    def test_make_targets_exist(self, page):
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
        text = page.read_text(encoding="utf-8")
        named = re.findall(r"(?:`|^ {4}|^\$ |^)make ([a-z]+)(?:`|$)", text, re.MULTILINE)
        assert set(named) <= targets

    def test_links_resolve(self, page):
        text = page.read_text(encoding="utf-8")
        for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)#?([^)\s]*)\)", text):
            other = page.parent / target if target else page
            assert other.exists(), target
            if anchor:
                headings = re.findall(r"^#+ (.+)$", other.read_text(encoding="utf-8"), re.MULTILINE)
                slugs = {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}
                assert anchor in slugs

    def test_fences_are_closed_and_say_what_is_in_them(self, page):
        fences = re.findall(r"^ *```(.*)$", page.read_text("utf-8"), re.MULTILINE)
        assert len(fences) % 2 == 0
        assert all(fences[::2])
        assert not any(fences[1::2])

    def test_lines_and_tables_keep_their_shape(self, page):
        text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
        widths = {}
        for number, line in enumerate(text.splitlines()):
            assert line == line.rstrip()
            assert len(line) <= 130
            if line.startswith("|"):
                assert len(line) <= 100
                widths[number] = line.count("|")
                assert widths.get(number - 1, widths[number]) == widths[number], line


def test_schema_is_the_one_that_is_linked():
    schema = json.loads((ROOT / "docs" / "plan.schema.json").read_text(encoding="utf-8"))
    assert {"schema", "version", "context", "images"} <= set(schema["properties"])
